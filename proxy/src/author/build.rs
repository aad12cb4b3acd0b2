//! `sluicegate plugin build` and `test`: cargo, called as a plugin needs it.
//!
//! In: a project's folder. Out: NAME.wasm in it, checked as the gateway of its
//! gateway.yaml would; or the result of its own tests. The file
//! is replaced in one step, so that a gateway that watches it never reads half of it. Cargo's words go to the terminal.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::check::{self, Setting};
use super::project::{Project, TARGET, ensure_target, not_started};
use crate::cli::Outcome;
use crate::config;

/// Builds the project in a folder and checks what comes out.
pub fn build(folder: &Path) -> Result<Outcome, String> {
    let project = Project::find(folder)?;
    let file = compile(&project)?;
    let (setting, note) = setting_of(&project, &file);
    let mut outcome = check::check(&file, &setting)?;
    outcome.text.insert_str(0, &format!("{}\n", file.display()));
    outcome.text.push_str(&note);
    Ok(outcome)
}

/// As what the file is checked: as the plugin of the project's own gateway that has this file, or this name; and what is to
/// be said where there is none.
fn setting_of(project: &Project, file: &Path) -> (Setting, String) {
    let gateway = project.folder.join("gateway.yaml");
    let alone = |why: &str| (Setting::Config(None), format!("checked without a config: {why}\n"));
    if !gateway.is_file() {
        return (Setting::Config(None), String::new());
    }
    let Ok(loaded) = config::load(&gateway) else {
        let path = gateway.display();
        return alone(&format!("{path} has faults, which `sluicegate check {path}` tells"));
    };
    let known = &loaded.config.plugins;
    let same_file = known.iter().find(|plugin| is_same_file(&plugin.file, file));
    match same_file.or_else(|| known.iter().find(|plugin| plugin.name == project.name)) {
        Some(plugin) => (Setting::Gateway(gateway, plugin.name.clone()), String::new()),
        None => alone(&format!("no plugin of {} has this file", gateway.display())),
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Builds a project; the file that came out of it.
pub fn compile(project: &Project) -> Result<PathBuf, String> {
    ensure_target(&project.folder)?;
    let mut cargo = project.cargo()?;
    cargo.args(["build", "--lib", "--profile", "plugin", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.stdout(Stdio::piped());
    let done = cargo
        .spawn()
        .and_then(|child| child.wait_with_output())
        .map_err(|error| not_started("cargo", &error))?;
    if !done.status.success() {
        return Err(format!("{} does not build; cargo says why above", project.name));
    }
    let manifest = project.folder.join("Cargo.toml");
    let built = String::from_utf8_lossy(&done.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| wasm_of(&message, &manifest))
        .next_back();
    let built = built.ok_or_else(|| {
        format!(
            "cargo made no .wasm of {}: [lib] needs crate-type = [\"cdylib\", \"rlib\"]",
            project.name
        )
    })?;
    let file = project.wasm();
    put(&built, &file).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(file)
}

/// The `.wasm` that a message of cargo tells of, if it is of the package with this manifest.
fn wasm_of(message: &serde_json::Value, manifest: &Path) -> Option<PathBuf> {
    let told = message.get("manifest_path")?.as_str()?;
    let crate_types = message.get("target")?.get("crate_types")?.as_array()?;
    if !is_same_file(Path::new(told), manifest) || !crate_types.iter().any(|kind| kind == "cdylib")
    {
        return None;
    }
    let files = message.get("filenames")?.as_array()?;
    let mut wasm = files.iter().filter_map(|file| file.as_str()).filter(|f| f.ends_with(".wasm"));
    wasm.next().map(PathBuf::from)
}

/// Puts a copy in its place in one step, unless the same is there.
fn put(from: &Path, to: &Path) -> std::io::Result<()> {
    let bytes = std::fs::read(from)?;
    if std::fs::read(to).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let new = to.with_extension("wasm.new");
    std::fs::write(&new, bytes)?;
    std::fs::rename(new, to)
}

/// Runs the project's own tests.
pub fn test(folder: &Path, more: &[String]) -> Result<Outcome, String> {
    let project = Project::find(folder)?;
    let mut cargo = project.cargo()?;
    cargo.arg("test");
    if !more.is_empty() {
        cargo.arg("--").args(more);
    }
    let status = cargo.status().map_err(|error| not_started("cargo", &error))?;
    Ok(Outcome { text: String::new(), exit_code: u8::from(!status.success()) })
}

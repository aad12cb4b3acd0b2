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

/// Builds the project in a folder and checks what comes out.
pub fn build(folder: &Path) -> Result<Outcome, String> {
    let project = Project::find(folder)?;
    let file = compile(&project)?;
    let gateway = project.folder.join("gateway.yaml");
    let setting = if gateway.is_file() {
        Setting::Gateway(gateway, project.name.clone())
    } else {
        Setting::Config(None)
    };
    let mut outcome = check::check(&file, &setting)?;
    outcome.text.insert_str(0, &format!("{}\n", file.display()));
    Ok(outcome)
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
    let built = String::from_utf8_lossy(&done.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| wasm_of(&message, &project.name))
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

/// The `.wasm` that a message of cargo tells of, if it is of this package.
fn wasm_of(message: &serde_json::Value, name: &str) -> Option<PathBuf> {
    let target = message.get("target")?.get("name")?.as_str()?;
    if target.replace('_', "-") != name.replace('_', "-") {
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
    cargo.arg("test").args(more);
    let status = cargo.status().map_err(|error| not_started("cargo", &error))?;
    Ok(Outcome { text: String::new(), exit_code: u8::from(!status.success()) })
}

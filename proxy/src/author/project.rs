//! A plugin project on disk, and the tools that build it.
//!
//! In: a folder. Out: its name, its `.wasm`, and cargo as a command that can be started; or one line that says what is
//! missing and how to get it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What plugins are built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A folder with a plugin's sources.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// The name of its crate.
    pub name: String,
}

impl Project {
    /// The project in a folder.
    pub fn find(folder: &Path) -> Result<Self, String> {
        let manifest = folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).map_err(|error| {
            format!(
                "{}: {error}; this is no plugin project: go to one, name it with --path, or make one with \
                 `sluicegate plugin new NAME`",
                manifest.display()
            )
        })?;
        if !text.contains("cdylib") {
            return Err(format!(
                "{}: this crate is no plugin: it has no `crate-type = [\"cdylib\", \"rlib\"]` under [lib]",
                manifest.display()
            ));
        }
        let name = package_name(&text);
        let name = name.ok_or_else(|| format!("{}: [package] has no name", manifest.display()))?;
        Ok(Self { folder: folder.to_path_buf(), name })
    }

    /// Where `build` puts the plugin.
    pub fn wasm(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    /// Cargo, to be started in the project.
    pub fn cargo(&self) -> Result<Command, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.folder).stdin(Stdio::null());
        Ok(command)
    }
}

/// The name in the table `[package]` of a Cargo.toml.
fn package_name(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("[package]"));
    lines.next()?;
    let value = lines.take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then(|| value.trim())
    })?;
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    value.get(1..)?.split(quote).next().map(str::to_owned)
}

/// Why a program did not start.
pub fn not_started(program: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!(
            "there is no {program} on PATH: install Rust with rustup (https://rustup.rs), then try again"
        ),
        _ => format!("cannot start {program}: {error}"),
    }
}

/// Sees to it that the compiler can build for WebAssembly.
pub fn ensure_target(folder: &Path) -> Result<(), String> {
    let rustc = |words: &[&str]| {
        Command::new("rustc").args(words).current_dir(folder).stdin(Stdio::null()).output()
    };
    let found = rustc(&["--print", "target-libdir", "--target", TARGET])
        .map_err(|error| not_started("rustc", &error))?;
    let folder_of_target = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    if folder_of_target.is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(folder)
        .stdin(Stdio::null())
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`rustup target add {TARGET}` failed ({status}); see above")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(format!(
            "this Rust cannot build for {TARGET}, and there is no rustup to add it: install the target with your \
             package manager, or Rust with rustup (https://rustup.rs)"
        )),
        Err(error) => Err(not_started("rustup", &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::package_name;

    #[test]
    fn name_is_that_of_the_package_table_whatever_stands_around_it() {
        for (text, name) in [
            ("[package]\nname = \"limits\"\n", Some("limits")),
            (
                "# [package]\n[lib]\nname = \"other\"\n[package]\nname='limits' # mine\n",
                Some("limits"),
            ),
            (
                "[package] # here\nversion = \"1\"\n  name=\"a\" # \"b\"\n[lib]\nname=\"c\"",
                Some("a"),
            ),
            ("[package]\nversion = \"1\"\n[lib]\nname = \"c\"", None),
            ("[package]\nname.workspace = true", None),
            ("", None),
        ] {
            assert_eq!(package_name(text).as_deref(), name, "{text}");
        }
    }
}

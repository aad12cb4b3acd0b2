//! `sluicegate plugin new NAME`: a project for a plugin that builds and passes its own test at once, anywhere.
//!
//! In: a name. Out: a folder with the sources of `patterns-wasm/template` under that name, and the SDK beside them, since
//! no registry has it. Nothing is written unless everything may be; an existing folder must be empty.

use std::path::Path;

use super::sdk_files::SDK;
use crate::cli::Outcome;

/// The files of a project. The template has the name `my-plugin`.
const TEMPLATE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../patterns-wasm/template/Cargo.toml")),
    ("src/lib.rs", include_str!("../../../patterns-wasm/template/src/lib.rs")),
    ("gateway.yaml", include_str!("../../../patterns-wasm/template/gateway.yaml")),
    ("README.md", include_str!("../../../patterns-wasm/template/README.md")),
    (".gitignore", include_str!("../../../patterns-wasm/template/gitignore")),
];

/// What a project needs that is a part of this repository's workspace.
const WORKSPACE: &str = "
[workspace]                         # of its own, wherever it lies

# As `sluicegate plugin build` builds it: small, and a panic ends the call.
[profile.plugin]
inherits = \"release\"
opt-level = \"s\"                     # 3 is some percent faster and some KiB larger
lto = true
codegen-units = 1
panic = \"abort\"
strip = true
debug = false
";

/// Names of crates that a plugin cannot have: cargo refuses them, or the project has one already.
const TAKEN: &[&str] =
    &["core", "std", "alloc", "proc-macro", "test", "sluicegate-plugin", "serde"];

/// Longest name.
const NAME_BYTES_MAX: usize = 64;

/// Writes a project into a folder of this name.
pub fn new(name: &str) -> Result<Outcome, String> {
    check_name(name)?;
    let folder = Path::new(name);
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            if entries.count() > 0 {
                return Err(format!(
                    "the folder {name} is there and not empty: choose another name, or empty it"
                ));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("{name}: {error}")),
    }
    for (path, text) in files(name) {
        let file = folder.join(path);
        let written = file
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&file, text));
        written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    let text = format!(
        "wrote {name}/: src/lib.rs is the plugin, gateway.yaml a gateway with it, sdk/ what it is built with\n\
         next: cd {name}; sluicegate plugin test; sluicegate plugin build; sluicegate plugin run\n"
    );
    Ok(Outcome { text, exit_code: 0 })
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.ends_with('-');
    if !fits {
        return Err(format!(
            "'{name}' is no name for a plugin: lower-case letters, digits and dashes, a letter first, at most \
             {NAME_BYTES_MAX}"
        ));
    }
    if TAKEN.contains(&name) {
        return Err(format!("'{name}' is the name of another crate: choose another one"));
    }
    Ok(())
}

/// All files of a project: paths in its folder, and texts.
fn files(name: &str) -> Vec<(String, String)> {
    let named = |text: &str| {
        text.replace("my-plugin", name)
            .replace("my_plugin", &name.replace('-', "_"))
            .replace("MY-PLUGIN", &name.to_uppercase())
    };
    let mut files: Vec<(String, String)> =
        TEMPLATE.iter().map(|(path, text)| ((*path).to_owned(), named(text))).collect();
    if let Some((_, manifest)) = files.first_mut() {
        *manifest = manifest.replace("../sdk", "sdk") + WORKSPACE;
    }
    let sdk = SDK.iter().map(|(path, text)| {
        let text = if *path == "Cargo.toml" { alone(text) } else { (*text).to_owned() };
        (format!("sdk/{path}"), text)
    });
    files.extend(sdk);
    files
}

/// The manifest of a crate of this workspace, outside of it.
fn alone(manifest: &str) -> String {
    let mut text = String::new();
    for line in manifest.lines() {
        let line = match line.trim() {
            "version.workspace = true" => format!("version = \"{}\"", env!("CARGO_PKG_VERSION")),
            "edition.workspace = true" => "edition = \"2024\"".to_owned(),
            "rust-version.workspace = true" => {
                format!("rust-version = \"{}\"", env!("CARGO_PKG_RUST_VERSION"))
            }
            "license.workspace = true" => {
                format!("license = \"{}\"", env!("CARGO_PKG_LICENSE"))
            }
            "publish.workspace = true" => "publish = false".to_owned(),
            "[lints]" => "[lints.rust]".to_owned(),
            "workspace = true" => "unsafe_code = \"deny\"".to_owned(),
            _ => line.to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_or_a_configuration_refuses_are_told() {
        for name in ["a", "rate-limit", "x2"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "A", "2x", "a_b", "a/b", "../a", "a-", "-a", "a b", "é", &long] {
            assert!(check_name(name).unwrap_err().contains("no name for a plugin"), "{name}");
        }
        assert!(check_name("core").unwrap_err().contains("another crate"));
    }

    #[test]
    fn project_has_its_own_name_everywhere_and_needs_nothing_of_this_workspace() {
        for (path, text) in files("rate-limit") {
            assert!(!text.contains("my-plugin") && !text.contains("MY-PLUGIN"), "{path}");
            if path.ends_with("Cargo.toml") {
                assert!(!text.contains("workspace = true"), "{path}: {text}");
                assert!(!text.contains("\"../"), "{path}: {text}");
            }
        }
    }
}

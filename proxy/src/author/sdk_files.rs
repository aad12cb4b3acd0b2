//! The SDK's files, which `plugin new` writes beside a new plugin: no registry has them.
//!
//! In: nothing. Out: paths in `patterns-wasm/sdk`, and texts. A test compares the list with the folder and says which line is
//! missing; it is a list, so that the build needs no script and no further crate.

/// Path and text of each file.
#[rustfmt::skip]
pub(super) const SDK: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../patterns-wasm/sdk/Cargo.toml")),
    ("src/args.rs", include_str!("../../../patterns-wasm/sdk/src/args.rs")),
    ("src/command.rs", include_str!("../../../patterns-wasm/sdk/src/command.rs")),
    ("src/commands.rs", include_str!("../../../patterns-wasm/sdk/src/commands.rs")),
    ("src/config.rs", include_str!("../../../patterns-wasm/sdk/src/config.rs")),
    ("src/convert.rs", include_str!("../../../patterns-wasm/sdk/src/convert.rs")),
    ("src/cx.rs", include_str!("../../../patterns-wasm/sdk/src/cx.rs")),
    ("src/deserialize.rs", include_str!("../../../patterns-wasm/sdk/src/deserialize.rs")),
    ("src/error.rs", include_str!("../../../patterns-wasm/sdk/src/error.rs")),
    ("src/exports.rs", include_str!("../../../patterns-wasm/sdk/src/exports.rs")),
    ("src/frame.rs", include_str!("../../../patterns-wasm/sdk/src/frame.rs")),
    ("src/harness/frames.rs", include_str!("../../../patterns-wasm/sdk/src/harness/frames.rs")),
    ("src/harness/instance.rs", include_str!("../../../patterns-wasm/sdk/src/harness/instance.rs")),
    ("src/harness/interleave.rs", include_str!("../../../patterns-wasm/sdk/src/harness/interleave.rs")),
    ("src/harness/lane.rs", include_str!("../../../patterns-wasm/sdk/src/harness/lane.rs")),
    ("src/harness/manifest.rs", include_str!("../../../patterns-wasm/sdk/src/harness/manifest.rs")),
    ("src/harness/mod.rs", include_str!("../../../patterns-wasm/sdk/src/harness/mod.rs")),
    (
        "src/harness/redis/hashes.rs",
        include_str!("../../../patterns-wasm/sdk/src/harness/redis/hashes.rs"),
    ),
    (
        "src/harness/redis/keys.rs",
        include_str!("../../../patterns-wasm/sdk/src/harness/redis/keys.rs"),
    ),
    (
        "src/harness/redis/lists.rs",
        include_str!("../../../patterns-wasm/sdk/src/harness/redis/lists.rs"),
    ),
    (
        "src/harness/redis/mod.rs",
        include_str!("../../../patterns-wasm/sdk/src/harness/redis/mod.rs"),
    ),
    (
        "src/harness/redis/sorted.rs",
        include_str!("../../../patterns-wasm/sdk/src/harness/redis/sorted.rs"),
    ),
    (
        "src/harness/redis/strings.rs",
        include_str!("../../../patterns-wasm/sdk/src/harness/redis/strings.rs"),
    ),
    ("src/harness/script.rs", include_str!("../../../patterns-wasm/sdk/src/harness/script.rs")),
    ("src/harness/tasks.rs", include_str!("../../../patterns-wasm/sdk/src/harness/tasks.rs")),
    ("src/harness/tests.rs", include_str!("../../../patterns-wasm/sdk/src/harness/tests.rs")),
    ("src/harness/time.rs", include_str!("../../../patterns-wasm/sdk/src/harness/time.rs")),
    ("src/harness/world.rs", include_str!("../../../patterns-wasm/sdk/src/harness/world.rs")),
    ("src/host.rs", include_str!("../../../patterns-wasm/sdk/src/host.rs")),
    ("src/json.rs", include_str!("../../../patterns-wasm/sdk/src/json.rs")),
    ("src/lib.rs", include_str!("../../../patterns-wasm/sdk/src/lib.rs")),
    ("src/operations.rs", include_str!("../../../patterns-wasm/sdk/src/operations.rs")),
    ("src/plugin.rs", include_str!("../../../patterns-wasm/sdk/src/plugin.rs")),
    ("src/prelude.rs", include_str!("../../../patterns-wasm/sdk/src/prelude.rs")),
    ("src/reply.rs", include_str!("../../../patterns-wasm/sdk/src/reply.rs")),
    ("src/request.rs", include_str!("../../../patterns-wasm/sdk/src/request.rs")),
    ("src/run.rs", include_str!("../../../patterns-wasm/sdk/src/run.rs")),
    ("src/transaction.rs", include_str!("../../../patterns-wasm/sdk/src/transaction.rs")),
    ("src/wait.rs", include_str!("../../../patterns-wasm/sdk/src/wait.rs")),
    ("src/window.rs", include_str!("../../../patterns-wasm/sdk/src/window.rs")),
    ("wit/plugin.wit", include_str!("../../../patterns-wasm/sdk/wit/plugin.wit")),
];

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::SDK;

    fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files_below(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn list_has_every_file_of_the_sdk() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../patterns-wasm/sdk");
        let mut found = Vec::new();
        files_below(&sdk, &mut found);
        let mut on_disk: Vec<String> = found
            .iter()
            .map(|path| path.strip_prefix(&sdk).expect("below it").display().to_string())
            .collect();
        on_disk.sort();
        let listed: Vec<&str> = SDK.iter().map(|(path, _)| *path).collect();
        for path in &on_disk {
            let line =
                format!("(\"{path}\", include_str!(\"../../../patterns-wasm/sdk/{path}\")),");
            assert!(listed.contains(&path.as_str()), "add this line to sdk_files.rs: {line}");
        }
        assert_eq!(listed, on_disk, "in order, and nothing that is not there");
    }
}

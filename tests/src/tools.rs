//! Finds the programs that `scripts/setup tests` put in place, and says it when one is missing.
//!
//! Comes in: a program's name. Goes out: its path, from the environment (`REDIS_SERVER` for redis-server), from
//! target/tools, or from PATH. A test that cannot run calls `skip`, which writes one line past the test runner's
//! capture, and fails where `CI=true`: a missing tool is never a silent pass.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The top of the repository.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests crate lies in the repository").to_path_buf()
}

/// Where `scripts/setup` puts what it installs.
pub fn tools_dir() -> PathBuf {
    repository().join("target").join("tools")
}

/// The program's path, if this machine has it.
pub fn find(name: &str) -> Option<PathBuf> {
    let variable = name.to_uppercase().replace('-', "_");
    let given = std::env::var_os(variable).map(PathBuf::from);
    let ours = [tools_dir().join(name), tools_dir().join("venv/bin").join(name)];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name));
    given.into_iter().chain(ours).chain(system).find(|candidate| candidate.is_file())
}

/// The program's path, or the one-line reason why the test is skipped.
pub fn find_or_skip(name: &str, test: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        skip(test, &format!("there is no {name} (scripts/setup tests says why)"));
    }
    found
}

/// Says that a test did not run. Fails it where `CI=true`.
pub fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{test} must run on CI: {reason}"
    );
    let line = format!("SKIPPED {test}: {reason}\n");
    // Past the capture of print macros, so that it shows although the test passes.
    std::io::stderr().lock().write_all(line.as_bytes()).expect("write to stderr");
}

/// The gateway's binary, built when it is older than its source.
pub fn gateway_binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let built = Command::new(env!("CARGO"))
                .current_dir(repository())
                .args(["build", "--locked", "--quiet", "--bin", "sluicegate"])
                .output()
                .expect("run cargo");
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
            let test_binary = std::env::current_exe().expect("path of the test binary");
            let binary = test_binary.ancestors().nth(2).expect("target folder").join("sluicegate");
            assert!(binary.is_file(), "cargo build left no {}", binary.display());
            binary
        })
        .clone()
}

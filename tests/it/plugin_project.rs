//! A stranger's way: `sluicegate plugin new`, `test`, `build`, `check`, a gateway that runs it, an edit, and the swap.
//!
//! All by the binary, in a temporary folder outside of the repository and without a network: the SDK comes out of the
//! binary. Cargo's target folder is shared between runs, so that only the first one compiles everything. What the tools
//! say when something is missing or wrong is held here too.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::plugins::built;
use sluicegate_tests::real_server::{RealServer, free_port, signal};
use sluicegate_tests::tools::{find, gateway_binary, repository};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually;

/// A temporary folder that ends with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder =
            std::env::temp_dir().join(format!("sluicegate-project-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `sluicegate plugin <words>` in a folder.
fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(gateway_binary());
    command
        .arg("plugin")
        .args(words)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", repository().join("target/projects"))
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if let Some(server) = find("redis-server") {
        command.env("REDIS_SERVER", server);
    }
    command
}

/// How it ends.
fn plugin(folder: &Path, words: &[&str]) -> Output {
    command(folder, words).output().expect("the binary starts")
}

/// What it printed; fails the test when it did not end well.
fn well(folder: &Path, words: &[&str]) -> String {
    let output = plugin(folder, words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "plugin {words:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it complained of; fails the test when it did not end with status 1.
fn refused(folder: &Path, words: &[&str]) -> String {
    let output = plugin(folder, words);
    assert_eq!(output.status.code(), Some(1), "plugin {words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn edit(file: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(file).expect("read a file");
    assert!(text.contains(old), "{} has no {old}", file.display());
    std::fs::write(file, text.replace(old, new)).expect("write a file");
}

#[test]
fn new_project_passes_its_test_builds_runs_in_a_gateway_and_is_swapped_after_an_edit() {
    let top = Folder::new("whole");
    let said = well(&top.0, &["new", "shout-loud"]);
    assert!(said.contains("cd shout-loud"), "{said}");
    let project = top.0.join("shout-loud");
    well(&project, &["test"]);
    let said = well(&project, &["build"]);
    for part in ["shout-loud.wasm\n", "SHOUT-LOUD.HELLO (arity 2", "hooks      GET\n", "KiB\n"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.ends_with("\nok\n"), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let said = well(
        &project,
        &["check", "shout-loud.wasm", "--plugin", "shout-loud", "-c", "gateway.yaml"],
    );
    assert!(said.ends_with("\nok\n"), "{said}");

    let shards = RealServer::start_many(1);
    let file = project.join("shout-loud.wasm");
    let entry = format!("plugins:\n  shout-loud: {{file: \"{}\"}}\n", file.display());
    let bindings = ["plugins:", "  - {use: shout-loud, keys: [\"hello:*\"]}"];
    let gateway = InProcess::start(&(entry + &yaml_over(&shards, &bindings)));
    let mut client = gateway.client();
    assert_eq!(client.line("SET hello:1 ada"), Value::ok());
    assert_eq!(client.line("GET hello:1"), Value::bulk("ADA"));
    assert_eq!(client.line("SHOUT-LOUD.HELLO hello:1"), Value::bulk("Hello, ada"));

    // A source that does not build leaves everything as it is.
    let source = project.join("src/lib.rs");
    edit(&source, "b\"Hello, \"", "b\"Good day, \" +");
    let told = refused(&project, &["build"]);
    assert!(told.ends_with("shout-loud does not build; cargo says why above\n"), "{told}");
    assert_eq!(client.line("SHOUT-LOUD.HELLO hello:1"), Value::bulk("Hello, ada"));
    edit(&source, "b\"Good day, \" +", "b\"Good day, \"");
    well(&project, &["build"]);
    let address = gateway.address().to_string();
    let said = well(&project, &["reload", "shout-loud", "--address", &address]);
    assert!(said.starts_with("OK plugin 'shout-loud': "), "{said}");
    eventually("the new greeting", || {
        let said = client.line("SHOUT-LOUD.HELLO hello:1");
        (said == Value::bulk("Good day, ada")).then_some(())
    });
    let told = plugin(&project, &["reload", "nope", "--address", &address]);
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(told, "ERR no plugin 'nope'; the configuration names shout-loud\n");
}

#[test]
fn tools_say_what_to_do_when_something_is_missing_or_wrong() {
    let top = Folder::new("wrong");
    let cases: [(&[&str], &str); 5] = [
        (&["new", "Shout"], "'Shout' is no name for a plugin: lower-case letters"),
        (&["build"], "this is no plugin project: go to one, name it with --path, or make one"),
        (&["test"], "this is no plugin project"),
        (&["check", "none.wasm"], "cannot read none.wasm"),
        (&["reload", "--address", "127.0.0.1:1"], "is the gateway running? --address says where"),
    ];
    for (words, due) in cases {
        let told = refused(&top.0, words);
        assert!(told.contains(due) && told.lines().count() == 1, "{words:?}: {told}");
    }
    std::fs::create_dir(top.0.join("full")).expect("a folder");
    std::fs::write(top.0.join("full/x"), "").expect("a file");
    assert!(refused(&top.0, &["new", "full"]).contains("the folder full is there and not empty"));
    std::fs::write(top.0.join("Cargo.toml"), "[package]\nname = \"x\"\n").expect("a file");
    assert!(refused(&top.0, &["build"]).contains("this crate is no plugin"));
}

#[test]
fn check_tells_what_a_plugin_is_or_in_one_line_why_it_is_none() {
    let top = Folder::new("check");
    for (guest, due) in [
        ("misbehaving/wasi_import", "(WASI), which plugins do not have"),
        ("misbehaving/foreign_import", "which the gateway does not offer"),
        ("misbehaving/other_abi", "ABI"),
        ("misbehaving/no_plugin", "plugin"),
    ] {
        let file = built(guest).display().to_string();
        let told = refused(&top.0, &["check", &file]);
        assert!(told.contains(due) && told.lines().count() == 1, "{guest}: {told}");
    }
    let cache = built("cache").display().to_string();
    let said = well(&top.0, &["check", &cache, "--config", "{grace: 20s}"]);
    assert!(said.contains("asks for") && said.ends_with("\nok\n"), "{said}");
    let told = refused(&top.0, &["check", &cache, "--config", "{\"nope\": 1}"]);
    assert!(told.starts_with("config: ") && told.contains("nope"), "{told}");
    let told = refused(&top.0, &["check", &cache, "--config", "nope"]);
    assert!(told.contains("--config is no file and no map"), "{told}");
}

#[test]
fn bench_gives_numbers_for_a_call_with_two_commands() {
    let top = Folder::new("bench");
    let probe = built("probe").display().to_string();
    let said = well(&top.0, &["bench", &probe, "--quick", "--json", "--only", "PROBE.TWO"]);
    let number = |name: &str| {
        let (_, rest) = said.split_once(&format!("\"{name}\": ")).expect(name);
        let text: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        text.parse::<f64>().unwrap_or_else(|_| panic!("{name}: {said}"))
    };
    assert_eq!(number("steps"), 3.0);
    for name in ["getppid_ns", "step_ns", "plugin_calls_per_cpu_second", "ratio"] {
        assert!(number(name) > 0.0, "{name}: {said}");
    }
    assert_eq!(said.matches("\"in_flight\"").count(), 3, "{said}");
    let told = refused(&top.0, &["bench", &probe, "--only", "NOPE"]);
    assert_eq!(told, "the plugin has no hook and no command NOPE\n");
}

#[test]
fn run_starts_what_is_missing_swaps_on_save_and_ends_with_all_it_started() {
    let top = Folder::new("run");
    well(&top.0, &["new", "on-save"]);
    let project = top.0.join("on-save");
    let [listen, first, second] = [free_port(), free_port(), free_port()];
    let yaml = project.join("gateway.yaml");
    for (old, new) in [("6380", listen), ("7001", first), ("7002", second)] {
        edit(&yaml, &format!("127.0.0.1:{old}"), &format!("127.0.0.1:{new}"));
    }
    // So that what is awaited below is a start, not a first build.
    well(&project, &["build"]);
    let mut running = command(&project, &["run"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let address = SocketAddr::from(([127, 0, 0, 1], listen));
    let mut client = eventually("the gateway", || {
        assert_eq!(running.try_wait().expect("look at a child"), None, "it ended");
        Client::try_connect(address).ok()
    });
    assert_eq!(client.line("SET hello:1 ada"), Value::ok());
    assert_eq!(client.line("ON-SAVE.HELLO hello:1"), Value::bulk("Hello, ada"));
    edit(&project.join("src/lib.rs"), "b\"Hello, \"", "b\"Good day, \"");
    eventually("the new greeting", || {
        let said = client.line("ON-SAVE.HELLO hello:1");
        (said == Value::bulk("Good day, ada")).then_some(())
    });
    signal(running.id(), Signal::INT);
    let ended = eventually("the end", || running.try_wait().expect("look at a child"));
    assert!(ended.success(), "{ended}");
    for port in [listen, first, second] {
        assert!(Client::try_connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err(), "{port}");
    }
}

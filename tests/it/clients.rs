//! Clients that people use connect with their defaults and work: redis-py, ioredis, redis-cli, redis-benchmark.
//!
//! The programs of the libraries lie in tests/clients and end with the line `ok`. redis-cli and redis-benchmark are
//! built on hiredis, the C client. A library that is not installed is said, and fails the test where `CI=true`.
//! Each test has its own gateway over three shards.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::tools::{find_or_skip, repository, skip, tools_dir};
use sluicegate_tests::value::Value;

struct Setup {
    shards: Vec<RealServer>,
    gateway: InProcess,
    port: String,
}

fn setup() -> Setup {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let port = gateway.address().port().to_string();
    Setup { shards, gateway, port }
}

impl Setup {
    /// Whether the work was spread: a gateway that sends everything to one shard would pass the rest.
    fn assert_every_shard_was_used(&self) {
        for shard in &self.shards {
            assert!(shard.client().line("DBSIZE") > Value::Integer(0), "a shard got no key");
        }
    }
}

/// Runs a program to its end, `input` on its standard input; fails the test unless it succeeds.
fn run(program: &Path, args: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command.args(args).env("NODE_PATH", tools_dir().join("node/node_modules"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("start {}: {e}", program.display()));
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("write its input");
    let Output { status, stdout, stderr } = child.wait_with_output().expect("its end");
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{} {args:?}: {status}\n{out}\n{err}", program.display());
    out.into_owned()
}

fn script(name: &str) -> String {
    repository().join("tests/clients").join(name).to_string_lossy().into_owned()
}

/// Runs a program of tests/clients with redis-py to its last line; says it and gives false when that is not installed.
pub fn run_redis_py(program: &str, args: &[&str]) -> bool {
    let python = tools_dir().join("venv/bin/python");
    let has_library = Command::new(&python).args(["-c", "import redis"]).output();
    if !has_library.is_ok_and(|output| output.status.success()) {
        skip(program, "target/tools/venv has no redis-py (scripts/setup tests says why)");
        return false;
    }
    let program = script(program);
    let args = [&[program.as_str()], args].concat();
    assert_eq!(run(&python, &args, "").trim(), "ok");
    true
}

fn check_redis_py(protocol: &str) {
    let setup = setup();
    if run_redis_py("redis_py.py", &[&setup.port, protocol]) {
        setup.assert_every_shard_was_used();
    }
}

#[test]
fn redis_py_works_with_resp2() {
    check_redis_py("2");
}

#[test]
fn redis_py_works_with_resp3() {
    check_redis_py("3");
}

/// A program that somebody wrote for one plain Redis, over one and over the gateway.
#[test]
fn a_script_for_one_plain_redis_runs_unmodified() {
    let plain = RealServer::start();
    if !run_redis_py("plain_redis_script.py", &[&plain.address().port().to_string()]) {
        return;
    }
    let setup = setup();
    assert!(run_redis_py("plain_redis_script.py", &[&setup.port]));
    setup.assert_every_shard_was_used();
}

#[test]
fn ioredis_works_with_its_defaults() {
    if !tools_dir().join("node/node_modules/ioredis").is_dir() {
        return skip("ioredis", "target/tools/node has no ioredis (scripts/setup tests says why)");
    }
    let Some(node) = find_or_skip("node", "ioredis") else {
        return;
    };
    let setup = setup();
    assert_eq!(run(&node, &[&script("ioredis.js"), &setup.port], "").trim(), "ok");
    setup.assert_every_shard_was_used();
}

#[test]
fn redis_cli_works_with_arguments_pipes_and_both_protocols() {
    let Some(cli) = find_or_skip("redis-cli", "redis-cli") else {
        return;
    };
    let setup = setup();
    let line =
        |args: &[&str], input: &str| run(&cli, &[&["-p", &setup.port], args].concat(), input);
    assert_eq!(line(&["SET", "cli:a", "1"], ""), "OK\n");
    assert_eq!(line(&["GET", "cli:a"], ""), "1\n");
    assert_eq!(line(&["-3", "HSET", "cli:h", "f", "v"], ""), "1\n");
    assert_eq!(line(&["-3", "--json", "HGETALL", "cli:h"], ""), "{\"f\":\"v\"}\n");
    assert_eq!(line(&["-x", "SET", "cli:x"], "from a pipe"), "OK\n");
    assert_eq!(line(&["GET", "cli:x"], ""), "from a pipe\n");
    assert_eq!(
        line(&[], "SET cli:b 2\nINCR cli:b\nMGET cli:a cli:b cli:none\n"),
        "OK\n3\n1\n3\n\n"
    );
    let many: String = (0..1000).map(|i| format!("SET cli:{i} {i}\r\n")).collect();
    let said = line(&["--pipe"], &many);
    assert!(said.contains("errors: 0, replies: 1000"), "{said}");
    setup.assert_every_shard_was_used();
}

/// Bytes typed into a terminal program: no arrays, lines only.
#[test]
fn inline_commands_are_answered_like_arrays() {
    let setup = setup();
    let mut client = setup.gateway.client();
    client.send_raw(
        b"SET inline:a \"two words\"\r\nGET inline:a\nPING\r\n\r\nEXISTS inline:a inline:b\r\n",
    );
    assert_eq!(client.reply(), Value::ok());
    assert_eq!(client.reply(), Value::bulk("two words"));
    assert_eq!(client.reply(), Value::Simple(b"PONG".to_vec()));
    assert_eq!(client.reply(), Value::Integer(1), "the empty line gets no reply");
}

#[test]
fn redis_benchmark_runs_to_its_end() {
    let Some(benchmark) = find_or_skip("redis-benchmark", "redis-benchmark") else {
        return;
    };
    let setup = setup();
    let base = ["-p", &setup.port, "-t", "set,get", "-n", "2000", "-r", "1000", "-q"];
    for more in [&["-P", "16"][..], &["-P", "1", "-c", "100"], &["-P", "16", "-d", "4096", "-3"]] {
        let said = run(&benchmark, &[&base[..], more].concat(), "");
        let rates = said.matches("requests per second").count();
        assert!(rates >= 2 && !said.contains("rror"), "{said}");
    }
    setup.assert_every_shard_was_used();
}

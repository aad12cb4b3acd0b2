//! The client matrix: every client library that the package registries give, step by step, against one gateway.
//!
//! Each library has a program in tests/clients/matrix that connects with the library's own defaults and says one line
//! per step: `step ok`, `step -` (the library has no such thing) or `step FAIL reason`. All run at once over the same
//! gateway and three shards, each on keys of its own, so that clients of both protocols share lanes. At the end the
//! table is printed past the test runner's capture; a cell that failed, or that nobody spoke of, fails the test.
//! `MATRIX=plain` runs the same programs against one redis-server, which shows that they are plain programs;
//! `MATRIX_ROWS=fred,redis-py` picks rows. A library that is not installed is said, and fails the test where `CI=true`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::tools::{find, repository, skip, tools_dir};
use sluicegate_tests::value::Value;

/// The columns.
const STEPS: &[&str] = &[
    "connect",
    "string",
    "hash",
    "list",
    "set",
    "zset",
    "stream",
    "hyperloglog",
    "geo",
    "bitmap",
    "binary",
    "pipeline",
    "mget",
    "scan",
    "multi",
    "watch",
    "eval",
    "pubsub",
    "pattern",
    "blpop",
    "resp3",
];

/// How long a row may take: long, for two cores that all rows share.
const PATIENCE: Duration = Duration::from_secs(120);

/// What runs at once.
const AT_ONCE: usize = 4;

/// How a program is started.
#[derive(Clone, Copy)]
enum Runner {
    /// Python of target/tools/venv; the name of a folder of target/tools that goes before its libraries.
    Python(&'static str),
    Node,
    /// A program that the machine has: its name, then what the script gets as its last argument.
    Machine(&'static str, Option<&'static str>),
    /// C, built first.
    C,
    /// A program that scripts/setup built in target/tools/rust-clients.
    Rust,
}

/// A row: its name, how to start its program, the program, what it gets after the port and the prefix.
type Row = (&'static str, Runner, &'static str, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("redis-py", Runner::Python(""), "redis_py.py", &["redis"]),
    ("redis-py RESP2", Runner::Python(""), "redis_py.py", &["redis", "2"]),
    ("redis-py 5", Runner::Python("redis-py-5"), "redis_py.py", &["redis"]),
    ("redis-py asyncio", Runner::Python(""), "redis_asyncio.py", &[]),
    ("valkey-py", Runner::Python(""), "redis_py.py", &["valkey"]),
    ("glide python", Runner::Python(""), "valkey_glide.py", &["glide"]),
    ("glide python sync", Runner::Python(""), "valkey_glide.py", &["glide_sync"]),
    ("node-redis", Runner::Node, "node_redis.js", &["redis"]),
    ("node-redis 5", Runner::Node, "node_redis.js", &["redis-5"]),
    ("node-redis 4", Runner::Node, "node_redis.js", &["redis-4"]),
    ("ioredis", Runner::Node, "ioredis.js", &["ioredis"]),
    ("ioredis 5", Runner::Node, "ioredis.js", &["ioredis-5"]),
    ("iovalkey", Runner::Node, "ioredis.js", &["iovalkey"]),
    ("glide node", Runner::Node, "valkey_glide.js", &[]),
    ("redis-rs", Runner::Rust, "client-redis-rs", &[]),
    ("fred", Runner::Rust, "client-fred", &[]),
    ("phpredis", Runner::Machine("php", None), "phpredis.php", &[]),
    ("predis", Runner::Machine("php", None), "predis.php", &[]),
    ("redis-rb", Runner::Machine("ruby", None), "redis_rb.rb", &[]),
    ("perl redis", Runner::Machine("perl", None), "perl_redis.pl", &[]),
    ("hiredis", Runner::C, "hiredis.c", &[]),
    ("redis-cli", Runner::Machine("bash", Some("redis-cli")), "redis_cli.sh", &[]),
    (
        "redis-benchmark",
        Runner::Machine("bash", Some("redis-benchmark")),
        "redis_benchmark.sh",
        &[],
    ),
];

/// What a program said: its version and its steps, or why it did not run.
#[derive(Default)]
struct Said {
    version: String,
    steps: BTreeMap<String, String>,
    skipped: Option<String>,
    /// What it said beside its lines: a stack trace, a warning.
    noise: String,
}

fn program(name: &str) -> PathBuf {
    repository().join("tests/clients/matrix").join(name)
}

/// The command that runs a row's program, or why there is none.
fn command(row: &Row, folder: &Path) -> Result<Command, String> {
    let (_, runner, name, _) = row;
    let missing = |what: &str| format!("there is no {what} (scripts/setup tests says why)");
    let on_machine = |name: &str| find(name).ok_or_else(|| missing(name));
    let mut command = match runner {
        Runner::Python(beside) => {
            let python = tools_dir().join("venv/bin/python");
            if !python.is_file() {
                return Err(missing("Python environment in target/tools/venv"));
            }
            let mut command = Command::new(python);
            if !beside.is_empty() {
                let beside = tools_dir().join(beside);
                if !beside.is_dir() {
                    return Err(missing(&beside.display().to_string()));
                }
                command.env("PYTHONPATH", beside);
            }
            command.env("PYTHONDONTWRITEBYTECODE", "1").arg(program(name));
            command
        }
        Runner::Node => {
            let mut command = Command::new(on_machine("node")?);
            command.env("NODE_PATH", tools_dir().join("node/node_modules")).arg(program(name));
            command
        }
        Runner::Machine(interpreter, _) => {
            let mut command = Command::new(on_machine(interpreter)?);
            command.arg(program(name));
            command
        }
        Runner::C => {
            let built = folder.join("hiredis");
            let (source, cc) = (program(name), on_machine("cc")?);
            let built_well =
                Command::new(cc).arg(source).arg("-o").arg(&built).arg("-lhiredis").output();
            let output = built_well.map_err(|e| e.to_string())?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(said.lines().next().unwrap_or("cc failed").to_owned());
            }
            Command::new(built)
        }
        Runner::Rust => {
            let built = tools_dir().join("rust-clients/debug").join(name);
            if !built.is_file() {
                return Err(missing(name));
            }
            Command::new(built)
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

/// Runs a row to its end, or to the end of our patience.
fn run(row: &Row, port: u16, folder: &Path) -> Said {
    let (name, runner, _, more) = row;
    let mut said = Said::default();
    let mut command = match command(row, folder) {
        Ok(command) => command,
        Err(reason) => return Said { skipped: Some(reason), ..said },
    };
    command.args([&port.to_string(), &name.replace(' ', "-")]).args(*more);
    if let Runner::Machine(_, Some(tool)) = runner {
        match find(tool) {
            Some(tool) => command.arg(tool),
            None => return Said { skipped: Some(format!("there is no {tool}")), ..said },
        };
    }
    let mut child = command.spawn().unwrap_or_else(|e| panic!("start the program of {name}: {e}"));
    let (stdout, mut stderr) =
        (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (to, lines) = channel();
    let end = Instant::now() + PATIENCE;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                // Nobody listens any more once our patience has ended.
                let _ = to.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let noise = scope.spawn(move || {
            let mut text = Vec::new();
            // What could be read before an error is good enough to show.
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => said.take(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    said.noise = format!("did not end in {PATIENCE:?}. ");
                    break;
                }
            }
        }
        // Both fail only when the process is gone already.
        let _ = child.kill();
        let _ = child.wait();
        said.noise += &noise.join().expect("the reader of its errors");
    });
    said
}

impl Said {
    fn take(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("version", version)) => version.clone_into(&mut self.version),
            Some(("SKIPPED", reason)) => self.skipped = Some(reason.to_owned()),
            Some((step, how)) if STEPS.contains(&step) => {
                self.steps.insert(step.to_owned(), how.to_owned());
            }
            _ => self.noise += &format!("{line}\n"),
        }
    }

    /// The cell, and why it fails the test if it does.
    fn cell(&self, step: &str) -> (&'static str, Option<String>) {
        match self.steps.get(step).map(String::as_str) {
            Some("ok") => ("ok", None),
            Some("-") => ("-", None),
            Some(reason) => ("FAIL", Some(reason.to_owned())),
            None => ("FAIL", Some("said nothing of it".to_owned())),
        }
    }
}

/// Runs the rows, some at once.
fn run_all(rows: &[Row], port: u16) -> Vec<Said> {
    let folder = std::env::temp_dir().join(format!("sluicegate-matrix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for what is built");
    let (left, done) =
        (Mutex::new((0..rows.len()).rev().collect::<Vec<_>>()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || left.lock().expect("no row panics").pop();
                while let Some(index) = next() {
                    let said = run(&rows[index], port, &folder);
                    done.lock().expect("no row panics").insert(index, said);
                }
            });
        }
    });
    // A folder that is left behind in the temporary folder harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    done.into_inner().expect("no row panics").into_values().collect()
}

/// The table and the failures behind it.
fn table(rows: &[Row], all: &[Said], over: &str) -> (String, Vec<String>) {
    let mut text = format!("\nclient matrix: {} clients, {over}\n{:28}", rows.len(), "");
    let mut failures = Vec::new();
    let width = |step: &str| step.len().max(4) + 1;
    for step in STEPS {
        write!(text, " {step:<w$}", w = width(step)).expect("write to a string");
    }
    for ((name, ..), said) in rows.iter().zip(all) {
        write!(text, "\n{:28}", format!("{name} ({})", said.version)).expect("write to a string");
        if let Some(reason) = &said.skipped {
            write!(text, " SKIPPED {reason}").expect("write to a string");
            continue;
        }
        for step in STEPS {
            let (cell, failure) = said.cell(step);
            write!(text, " {cell:<w$}", w = width(step)).expect("write to a string");
            failures
                .extend(failure.map(|reason| format!("{name}, {step}: {reason} {}", said.noise)));
        }
    }
    text.push('\n');
    (text, failures)
}

fn picked() -> Vec<Row> {
    let wanted = std::env::var("MATRIX_ROWS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    ROWS.iter().filter(|(name, ..)| wanted.is_empty() || wanted.contains(name)).copied().collect()
}

#[test]
fn every_client_library_does_every_step_with_its_defaults() {
    let rows = picked();
    let plain = std::env::var("MATRIX").is_ok_and(|over| over == "plain");
    let shards = RealServer::start_many(if plain { 1 } else { 3 });
    let gateway = (!plain).then(|| InProcess::start(&yaml_over(&shards, &[])));
    let address = gateway.as_ref().map_or_else(|| shards[0].address(), InProcess::address);
    let all = run_all(&rows, address.port());
    let over = if plain { "one redis-server" } else { "one gateway over three shards" };
    let (table, failures) = table(&rows, &all, over);
    // Past the capture of print macros, so that it shows although the test passes.
    std::io::stderr().lock().write_all(table.as_bytes()).expect("write to stderr");
    for shard in &shards {
        assert!(shard.client().line("DBSIZE") > Value::Integer(0), "a shard got no key");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let skipped: Vec<String> = rows
        .iter()
        .zip(&all)
        .filter_map(|((name, ..), said)| said.skipped.as_ref().map(|why| format!("{name} ({why})")))
        .collect();
    if !skipped.is_empty() {
        skip("client matrix", &skipped.join("; "));
    }
}

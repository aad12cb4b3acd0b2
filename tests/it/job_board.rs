//! The examples as a reader runs them: the job board against the gateway and against a plain Redis, and the recipes.
//!
//! `examples/job-board/gateway.yaml` with other ports, `jobboard.py` as it stands. Its demo says what came out and what should
//! have, so its exit status is the test: through the gateway, again after a shard has come back empty, and, with the lines of
//! the patterns removed, against one plain Redis, where it must run and find what goes wrong. The recipes' page shows
//! code that stands in the recipes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use sluicegate_tests::gateway::Process;
use sluicegate_tests::plugins::{client_of_each_worker, plugin_folder};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::tools::{repository, skip, tools_dir};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::{eventually, eventually_true};

const LINES: [&str; 10] = [
    "views, each user once",
    "session in the same read",
    "top jobs",
    "latest jobs of a user",
    "latest jobs of all users, at most",
    "reset mails",
    "equal reports",
    "reports computed",
    "instances that ran the nightly job",
    "views in the database",
];

/// A folder of its own, which goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "sluicegate-examples-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("make a folder");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The example's shards and gateway, with ports of their own.
struct Site {
    gateway: Process,
    shards: Vec<RealServer>,
    folder: Folder,
}

impl Site {
    fn start() -> Site {
        let shards = RealServer::start_many(3);
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut yaml = read("examples/job-board/gateway.yaml")
            .replace("127.0.0.1:6380", &address.to_string())
            .replace("../../target/plugins", &plugin_folder().display().to_string());
        for (port, shard) in ["7001", "7002", "7003"].iter().zip(&shards) {
            yaml = yaml.replace(&format!("127.0.0.1:{port}"), &shard.address().to_string());
        }
        let gateway = Process::start(&yaml, address);
        Site { gateway, shards, folder: Folder::new() }
    }

    fn url(&self) -> String {
        format!("redis://{}", self.gateway.address())
    }

    fn run(&self, program: &Path, args: &[&str]) -> Output {
        let output = command(program, &self.folder.0).args(args).output();
        output.expect("run python")
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).expect("a file of the repository")
}

fn python() -> PathBuf {
    tools_dir().join("venv/bin/python")
}

/// Whether redis-py is there.
fn has_library(test: &str) -> bool {
    let found = Command::new(python()).args(["-c", "import redis"]).output();
    let has_library = found.is_ok_and(|output| output.status.success());
    if !has_library {
        skip(test, "target/tools/venv has no redis-py (scripts/setup tests says why)");
    }
    has_library
}

/// A program of the examples, with the database in `folder`.
fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(python());
    command.arg(program).current_dir(folder).env("DATABASE_URL", folder.join("jobs.db"));
    command
}

fn example(path: &str) -> PathBuf {
    repository().join("examples").join(path)
}

/// What the demo printed: whether each line is right.
fn lines(output: &Output) -> Vec<(bool, String)> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<(bool, String)> = text
        .lines()
        .map(|line| (line.starts_with("ok "), line.get(6..).unwrap_or_default().to_owned()))
        .collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(lines.len(), LINES.len(), "{text}{errors}");
    for ((_, line), wanted) in lines.iter().zip(LINES) {
        assert!(line.starts_with(wanted), "{line}");
    }
    lines
}

fn demo(site: &Site, seed: &str) {
    let output = site
        .run(&example("job-board/jobboard.py"), &["demo", "--redis", &site.url(), "--seed", seed]);
    let lines = lines(&output);
    assert!(lines.iter().all(|(is_right, _)| *is_right) && output.status.success(), "{lines:?}");
}

#[test]
fn job_board_counts_right_also_after_a_shard_has_come_back_empty() {
    if !has_library("job_board_counts_right_also_after_a_shard_has_come_back_empty") {
        return;
    }
    let mut site = Site::start();
    demo(&site, "1");
    for shard in 0..3 {
        site.shards[shard].kill();
        site.shards[shard].restart();
        for mut client in client_of_each_worker(site.gateway.address(), 2) {
            for key in 0..64 {
                eventually_true("the shard to be reached again", || {
                    let reply = client.command(&["TYPE", &format!("probe:{key}")]);
                    !matches!(reply, Value::Error(_))
                });
            }
        }
        demo(&site, &(shard + 2).to_string());
    }
}

#[test]
fn same_file_without_the_patterns_runs_on_a_plain_redis_and_finds_what_goes_wrong() {
    if !has_library(
        "same_file_without_the_patterns_runs_on_a_plain_redis_and_finds_what_goes_wrong",
    ) {
        return;
    }
    let plain = RealServer::start();
    let folder = Folder::new();
    let text = read("examples/job-board/jobboard.py");
    let kept: Vec<&str> = text.lines().filter(|line| !line.ends_with("# gateway")).collect();
    assert!(kept.len() + 10 < text.lines().count());
    let program = folder.0.join("plain.py");
    std::fs::write(&program, kept.join("\n") + "\n").expect("write a file");
    let url = format!("redis://{}", plain.address());
    let output = command(&program, &folder.0).args(["demo", "--redis", &url]).output();
    let output = output.expect("run python");
    let lines = lines(&output);
    assert!(lines.iter().any(|(is_right, _)| !is_right), "nothing went wrong: {lines:?}");
    assert_eq!(output.status.code(), Some(1));
}

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn job_board_is_served_and_one_instance_has_the_night() {
    if !has_library("job_board_is_served_and_one_instance_has_the_night") {
        return;
    }
    let site = Site::start();
    let program = example("job-board/jobboard.py");
    let port = free_port();
    let mut serve = command(&program, &site.folder.0);
    serve.args(["serve", "--redis", &site.url(), "--port", &port.to_string()]);
    let _served =
        Served(serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run python"));
    let page = eventually("the page", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /?user=ann&job=3 HTTP/1.0\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        page.contains("\"report\"").then_some(page)
    });
    assert!(
        page.contains("Junior pilot, seen by 1 users") && page.contains("Junior pilot: 1"),
        "{page}"
    );
    let told = |_| {
        let output = site.run(&program, &["nightly", "--redis", &site.url()]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let mut told: Vec<String> = (0..3).map(told).collect();
    told.sort();
    assert_eq!(told, ["another instance does it", "another instance does it", "done here"]);
}

#[test]
fn recipes_say_what_their_page_says() {
    if !has_library("recipes_say_what_their_page_says") {
        return;
    }
    let site = Site::start();
    let url = site.url();
    let output = site.run(&example("recipes/decorator.py"), &["--redis", &url]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("a lock in the client: 8 computations"), "{text}{output:?}");
    assert!(text.contains("the gateway: 1 computations"), "{text}");
    let output = site.run(&example("recipes/nightly.py"), &["--redis", &url]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ONCE: 20 runs in 20 nights"), "{text}{output:?}");
    assert!(text.contains("a night that failed is given back: True"), "{text}");
    // The page's code is the recipes'.
    let page = read("docs/recipes.md");
    let recipes = read("examples/recipes/decorator.py") + &read("examples/recipes/nightly.py");
    let blocks: Vec<&str> = page.split("```python\n").skip(1).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        let code = block.split("```").next().unwrap_or_default();
        assert!(recipes.contains(code), "not in the recipes:\n{code}");
    }
}

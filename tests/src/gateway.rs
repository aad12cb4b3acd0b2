//! The gateway for tests: in this process on a free port, or as a process of its own.
//!
//! Comes in: a configuration as YAML text, mostly made by `yaml`. Goes out: the address that clients connect to.
//! Both kinds end with the value that owns them: the one by its own drain, the other by SIGKILL if it still lives.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use sluicegate::config;
use sluicegate::server::Gateway;

use crate::client::Client;
use crate::real_server::{RealServer, signal};
use crate::tools;
use crate::wait::eventually;

/// YAML of one pool `main` on a free port over `shards` named `shard-0`, `shard-1` ..., with `extra` lines in it.
pub fn yaml(shards: &[SocketAddr], extra: &[&str]) -> String {
    pool_yaml("127.0.0.1:0", shards, extra)
}

/// The same over running servers.
pub fn yaml_over(servers: &[RealServer], extra: &[&str]) -> String {
    yaml(&servers.iter().map(RealServer::address).collect::<Vec<_>>(), extra)
}

/// The same with the address to listen on.
pub fn pool_yaml(listen: &str, shards: &[SocketAddr], extra: &[&str]) -> String {
    let mut text = format!("workers: 2\npools:\n  main:\n    listen: {listen}\n");
    for line in extra {
        writeln!(text, "    {line}").expect("write to a string");
    }
    text.push_str("    shards:\n");
    for (index, address) in shards.iter().enumerate() {
        writeln!(text, "      - {{name: shard-{index}, address: \"{address}\"}}")
            .expect("write to a string");
    }
    text
}

/// A file name that no other test of this machine has.
fn unique_name(ending: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    format!("sluicegate-tests-{}-{number}.{ending}", std::process::id())
}

/// A gateway in this process.
#[derive(Debug)]
pub struct InProcess {
    gateway: Option<Gateway>,
    address: SocketAddr,
}

impl InProcess {
    /// Starts with `text` as its configuration; fails the test when it does not start.
    pub fn start(text: &str) -> InProcess {
        InProcess::try_start(text)
            .unwrap_or_else(|e| panic!("the gateway does not start: {e}\n{text}"))
    }

    /// Starts, or gives the faults or the start error as text.
    pub fn try_start(text: &str) -> Result<InProcess, String> {
        InProcess::start_loaded(config::parse(text, Path::new("test.yaml")))
    }

    /// The same with `text` in a file, as `sluicegate run` reads it: what it names must exist.
    pub fn try_start_file(text: &str) -> Result<InProcess, String> {
        let file = std::env::temp_dir().join(unique_name("yaml"));
        std::fs::write(&file, text).expect("write a configuration");
        let started = InProcess::start_loaded(config::load(&file));
        // A file that is left behind in the temporary folder harms nobody.
        let _ = std::fs::remove_file(&file);
        started
    }

    fn start_loaded(
        loaded: Result<config::Loaded, Vec<config::fault::Fault>>,
    ) -> Result<InProcess, String> {
        let loaded = loaded.map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            faults.join("\n")
        })?;
        let gateway = Gateway::start(loaded.config).map_err(|e| e.to_string())?;
        let address = gateway.addresses().first().expect("a pool that listens").1;
        Ok(InProcess { gateway: Some(gateway), address })
    }

    /// Where the first pool listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the pool `name` listens.
    pub fn address_of(&self, name: &str) -> SocketAddr {
        let addresses = self.gateway.as_ref().expect("runs").addresses();
        let found = addresses.iter().find(|(pool, _)| pool == name);
        found.unwrap_or_else(|| panic!("no pool {name}")).1
    }

    /// A connection to the first pool.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.shutdown();
        }
    }
}

/// A gateway as a process of its own: `sluicegate run --config F`.
#[derive(Debug)]
pub struct Process {
    child: Child,
    file: PathBuf,
    address: SocketAddr,
}

impl Process {
    /// Starts the binary with `text`, whose pool must listen on `address`, and waits until it answers PING.
    pub fn start(text: &str, address: SocketAddr) -> Process {
        Process::start_binary(&tools::gateway_binary(), text, address)
    }

    /// The same with another build of the binary.
    pub fn start_binary(binary: &Path, text: &str, address: SocketAddr) -> Process {
        let mut process = Process::spawn(binary, text, address);
        eventually("the gateway process to answer PING", || {
            let ended = process.child.try_wait().expect("look at a child");
            assert!(ended.is_none(), "the gateway ended at start: {}", process.log());
            Client::try_connect(address).ok()?.line("PING").text().eq("PONG").then_some(())
        });
        process
    }

    /// Starts a binary and does not wait.
    pub fn spawn(binary: &Path, text: &str, address: SocketAddr) -> Process {
        let file = std::env::temp_dir().join(unique_name("yaml"));
        std::fs::write(&file, text).expect("write a configuration");
        let log = std::fs::File::create(file.with_extension("log")).expect("log file");
        let child = Command::new(binary)
            .args(["run", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("second handle of the log"))
            .stderr(log)
            .spawn()
            .expect("start the gateway");
        Process { child, file, address }
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file.with_extension("log")).unwrap_or_default()
    }

    /// Where its pool listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        signal(self.child.id(), Signal::TERM);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the gateway process to end", || self.child.try_wait().expect("look at a child"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process is gone already; a file left in the temporary folder harms nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_file(self.file.with_extension("log"));
    }
}

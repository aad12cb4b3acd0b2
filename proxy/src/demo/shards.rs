//! The demo's shards: redis-server processes on free ports, ended with the values that own them.
//!
//! In: the server's program and a folder. Out: shards that answer. A shard counts as started when it tells our child's
//! process id, so a stranger on the port is never taken for ours. Each runs in a process group of its own: Ctrl-C
//! reaches the demo first, which drains the gateway and only then ends them. Nothing is saved to disk but the log.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::client::Client;
use super::stop::Stop;
use super::{DemoError, LOCAL};

/// Names in the order of the configuration. Placement hashes them, so keys live on the same shard in every demo.
pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];
/// How long a server may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// A port that was free may be taken before the server binds it: then another is tried.
const START_ATTEMPTS: usize = 5;

/// One running server.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    child: Child,
}

/// Starts one shard for each name; those that run already are ended if a later one fails.
pub(super) fn start_all(
    program: &Path,
    folder: &Path,
    stop: &Stop,
) -> Result<Vec<Shard>, DemoError> {
    NAMES.iter().map(|name| start(program, folder, name, stop)).collect()
}

fn start(
    program: &Path,
    folder: &Path,
    name: &'static str,
    stop: &Stop,
) -> Result<Shard, DemoError> {
    let log = folder.join(format!("shard-{name}.log"));
    for _ in 0..START_ATTEMPTS {
        let address = free_address().map_err(DemoError::Port)?;
        let child = spawn(program, folder, &log, address.port())
            .map_err(|error| DemoError::Spawn { program: program.to_path_buf(), error })?;
        let mut shard = Shard { name, address, child };
        if shard.wait_until_ready(stop)? {
            return Ok(shard);
        }
    }
    Err(DemoError::NoAnswer { program: program.to_path_buf(), log: last_lines(&log) })
}

/// Starts a server on a port that is known.
pub(super) fn start_on(
    program: &Path,
    folder: &Path,
    port: u16,
    stop: &Stop,
) -> Result<Shard, DemoError> {
    let log = folder.join(format!("shard-{port}.log"));
    let child = spawn(program, folder, &log, port)
        .map_err(|error| DemoError::Spawn { program: program.to_path_buf(), error })?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut shard = Shard { name: "", address, child };
    if shard.wait_until_ready(stop)? {
        return Ok(shard);
    }
    Err(DemoError::NoAnswer { program: program.to_path_buf(), log: last_lines(&log) })
}

fn spawn(program: &Path, folder: &Path, log: &Path, port: u16) -> std::io::Result<Child> {
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", LOCAL, "--save", "", "--appendonly", "no"])
        .args(["--daemonize", "no"])
        .arg("--dir")
        .arg(folder)
        .arg("--logfile")
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

impl Shard {
    /// Whether it answers in time; false when the process has ended.
    fn wait_until_ready(&mut self, stop: &Stop) -> Result<bool, DemoError> {
        let ours = format!("process_id:{}\r\n", self.child.id());
        let ready = stop.until(START_TIMEOUT, || {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return Some(false);
            }
            let mut client = Client::connect(self.address).ok()?;
            client.command(&["PING"]).ok()?;
            let info = client.command(&["INFO", "server"]).ok()?;
            info.text().contains(&ours).then_some(true)
        })?;
        Ok(ready.unwrap_or(false))
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// An address that was free a moment ago.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((LOCAL, 0))?.local_addr()
}

/// The end of a server's log, for the error that it did not start.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(3));
    let last: String = last.map(|line| format!("\n  {line}")).collect();
    if last.is_empty() {
        "; it wrote no log".to_owned()
    } else {
        format!("; its log ends with:{last}")
    }
}

//! What is measured: a server or proxy that listens on a port, and the CPU time that it has used.
//!
//! Comes in: the running shards. Goes out: one `Subject` each for direct Redis, twemproxy, HAProxy (TCP mode, which
//! parses nothing) and the gateway; those whose program is missing are said and left out. CPU time is read from
//! /proc: nanoseconds of all threads where the kernel keeps them, else ticks. A subject ends with its value.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{Process, pool_yaml};
use sluicegate_tests::nutcracker::Nutcracker;
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::tools;
use sluicegate_tests::wait::eventually;

/// Names, as they stand in the table.
pub const DIRECT: &str = "direct Redis";
pub const TWEMPROXY: &str = "twemproxy";
pub const HAPROXY: &str = "HAProxy TCP";
pub const GATEWAY: &str = "sluicegate";

/// One thing to measure.
#[derive(Debug)]
pub struct Subject {
    pub name: &'static str,
    pub address: SocketAddr,
    running: Running,
}

/// What keeps it running. A field that is only owned ends the process when it goes.
#[derive(Debug)]
enum Running {
    Direct,
    Twemproxy(Nutcracker),
    Haproxy(Haproxy),
    Gateway(Process),
}

#[derive(Debug)]
struct Haproxy {
    child: Child,
    file: PathBuf,
}

fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

impl Subject {
    /// Every subject that this machine can run.
    pub fn start_all(shards: &[RealServer]) -> Vec<Subject> {
        let first = shards.first().expect("shards");
        let direct = Subject { name: DIRECT, address: first.address(), running: Running::Direct };
        let peers = [Subject::twemproxy(shards), Subject::haproxy(shards)];
        let mut subjects = vec![direct];
        subjects.extend(peers.into_iter().flatten());
        subjects.push(Subject::gateway(shards));
        subjects
    }

    fn twemproxy(shards: &[RealServer]) -> Option<Subject> {
        let Some(program) = tools::find("nutcracker") else {
            eprintln!("no nutcracker: twemproxy is left out");
            return None;
        };
        let address = free_address();
        let servers: String =
            shards.iter().map(|shard| format!("   - {}:1\n", shard.address())).collect();
        let yaml = format!("alpha:\n  listen: {address}\n  redis: true\n  servers:\n{servers}");
        let running = Running::Twemproxy(Nutcracker::start(&program, &yaml, address));
        Some(Subject { name: TWEMPROXY, address, running })
    }

    fn haproxy(shards: &[RealServer]) -> Option<Subject> {
        let Some(program) = tools::find("haproxy") else {
            eprintln!("no haproxy: it is left out");
            return None;
        };
        let address = free_address();
        let servers: String = shards
            .iter()
            .enumerate()
            .map(|(index, shard)| format!("  server s{index} {}\n", shard.address()))
            .collect();
        let text = format!(
            "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  \
             timeout server 60s\nlisten redis\n  bind {address}\n  balance roundrobin\n{servers}"
        );
        let file =
            std::env::temp_dir().join(format!("sluicegate-haproxy-{}.cfg", std::process::id()));
        fs::write(&file, text).expect("write haproxy's configuration");
        let mut command = Command::new(program);
        command.args(["-db", "-f"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("start haproxy");
        eventually("haproxy to listen", || Client::try_connect(address).ok().map(|_| ()));
        Some(Subject { name: HAPROXY, address, running: Running::Haproxy(Haproxy { child, file }) })
    }

    fn gateway(shards: &[RealServer]) -> Subject {
        let address = free_address();
        let shards: Vec<SocketAddr> = shards.iter().map(RealServer::address).collect();
        let yaml =
            pool_yaml(&address.to_string(), &shards, &[]).replace("workers: 2", "workers: 1");
        let running = Running::Gateway(Process::start_binary(&release_binary(), &yaml, address));
        Subject { name: GATEWAY, address, running }
    }

    /// CPU time that its process has used so far, user and system, seconds; `None` for direct Redis.
    pub fn cpu_seconds(&self) -> Option<f64> {
        let pid = match &self.running {
            Running::Direct => return None,
            Running::Twemproxy(nutcracker) => nutcracker.pid(),
            Running::Haproxy(haproxy) => haproxy.child.id(),
            Running::Gateway(process) => process.pid(),
        };
        Some(cpu_seconds(pid))
    }
}

/// The gateway that `make bench` has built.
pub fn release_binary() -> PathBuf {
    let bench = std::env::current_exe().expect("path of the bench");
    let target = bench.ancestors().nth(2).expect("target folder");
    let binary = target.join("release/sluicegate");
    assert!(binary.is_file(), "no {}: `make bench` builds it", binary.display());
    binary
}

/// CPU time that a process has used so far, user and system, seconds.
pub fn cpu_seconds(pid: u32) -> f64 {
    scheduled_seconds(pid).unwrap_or_else(|| ticked_seconds(pid))
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // Both fail only when the process is gone already; a file in the temporary folder harms nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.file);
    }
}

/// The scheduler's nanoseconds over all threads, where the kernel keeps them.
fn scheduled_seconds(pid: u32) -> Option<f64> {
    let mut sum = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        sum += text.split(' ').next()?.parse::<f64>().ok()? / 1e9;
    }
    (sum > 0.0).then_some(sum)
}

/// The process's ticks of 10 ms.
fn ticked_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the subject lives");
    let after_name = text.rsplit(") ").next().unwrap_or_default();
    let ticks =
        after_name.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap_or(0.0));
    ticks.sum::<f64>() / 100.0
}

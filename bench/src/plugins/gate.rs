//! A release build of the gateway with plugins, and what its process has used.
//!
//! Comes in: the shards, plugins with their settings, and bindings. Goes out: the address, clients, CPU time and resident
//! memory. One worker unless said otherwise, so that the CPU time is that of one thread. It ends with its value.

use std::fs;
use std::net::SocketAddr;

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::Process;
use sluicegate_tests::herd;
use sluicegate_tests::plugins::{BindingRow, Entry, binding_rows, yaml_with};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::wait::eventually;

use crate::subject::{cpu_seconds, release_binary};

/// Limits that no line of this bench reaches by itself, so that what is measured is not an error.
pub const LONG_CALLS: &str = "limits: {call_timeout: 10m, breaker_traps: 1000000, breaker_within: 1s, \
                              quarantine: 0s}";

/// A running gateway.
#[derive(Debug)]
pub struct Gate {
    process: Process,
}

impl Gate {
    /// One worker.
    pub fn start(shards: &[RealServer], plugins: &[Entry<'_>], bindings: &[&str]) -> Gate {
        Gate::start_with(shards, plugins, bindings, 1)
    }

    /// So many workers.
    pub fn start_with(
        shards: &[RealServer],
        plugins: &[Entry<'_>],
        bindings: &[&str],
        workers: usize,
    ) -> Gate {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let yaml = yaml_with(shards, plugins, bindings)
            .replace("127.0.0.1:0", &address.to_string())
            .replace("workers: 2", &format!("workers: {workers}"))
            // One group freezes the shards for as long as it looks, some have ten thousand clients.
            .replace("    shards:\n", "    timeout: 0\n    max_clients: 12000\n    shards:\n");
        Gate { process: Process::start_binary(&release_binary(), &yaml, address) }
    }

    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Connections, as many as the machine's hard limit of open files allows.
    pub fn clients(&self, count: usize) -> Vec<Client> {
        herd::allow_many_sockets();
        (0..count).map(|_| Client::connect(self.address())).collect()
    }

    /// CPU time used so far, user and system, seconds.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.process.pid())
    }

    /// Resident memory, KiB, once it stays as it is.
    pub fn resident_kib(&self) -> f64 {
        let mut last = (0, 0);
        let kib = eventually("the gateway's memory to stay as it is", || {
            let now = self.status_kib("VmRSS:");
            last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
            (last.1 > 100).then_some(now)
        });
        f64::from(kib)
    }

    fn status_kib(&self, field: &str) -> u32 {
        let file = format!("/proc/{}/status", self.process.pid());
        let text = fs::read_to_string(file).expect("the gateway lives");
        let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The first binding as the worker of a new client sees it.
    pub fn binding(&self) -> BindingRow {
        binding_rows(&mut Client::connect(self.address())).swap_remove(0)
    }
}

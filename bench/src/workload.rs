//! The loads: redis-benchmark with the options of DESIGN section 9, and the bounds that stand there.
//!
//! Comes in: a subject and a number of requests. Goes out: requests per second and the subject's CPU time per
//! request over that run. Each SET stands before the GET of the same size, so that a GET finds values.
//! The bounds are ratios inside one run; this file repeats them so that the table can say where each stands.

use std::process::Command;

use sluicegate_tests::tools;

use crate::subject::Subject;

/// One load.
#[derive(Debug)]
pub struct Workload {
    pub name: &'static str,
    options: &'static [&'static str],
    pub requests: u32,
    /// Bound of the gateway's CPU per request as a share of twemproxy's.
    pub twemproxy_max: f64,
    /// The same as a share of HAProxy's.
    pub haproxy_max: f64,
}

/// What one run gave.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    pub requests_per_second: f64,
    pub cpu_us: Option<f64>,
}

const fn workload(
    name: &'static str,
    options: &'static [&'static str],
    requests: u32,
    twemproxy_max: f64,
    haproxy_max: f64,
) -> Workload {
    Workload { name, options, requests, twemproxy_max, haproxy_max }
}

pub const WORKLOADS: &[Workload] = &[
    workload("SET, 50 clients, -P 1", &["-t", "set", "-c", "50", "-P", "1"], 150_000, 0.95, 0.75),
    workload("GET, 50 clients, -P 1", &["-t", "get", "-c", "50", "-P", "1"], 150_000, 0.85, 0.75),
    workload("GET, 500 clients, -P 1", &["-t", "get", "-c", "500", "-P", "1"], 150_000, 0.85, 0.75),
    workload(
        "SET, 50 clients, -P 16",
        &["-t", "set", "-c", "50", "-P", "16"],
        1_000_000,
        0.72,
        1.05,
    ),
    workload(
        "GET, 50 clients, -P 16",
        &["-t", "get", "-c", "50", "-P", "16"],
        1_000_000,
        0.62,
        1.05,
    ),
    workload(
        "GET, 50 clients, -P 64",
        &["-t", "get", "-c", "50", "-P", "64"],
        2_000_000,
        0.20,
        1.2,
    ),
    workload(
        "SET 4 KiB, -P 16",
        &["-t", "set", "-c", "50", "-P", "16", "-d", "4096"],
        300_000,
        0.65,
        0.7,
    ),
    workload(
        "GET 4 KiB, -P 16",
        &["-t", "get", "-c", "50", "-P", "16", "-d", "4096"],
        300_000,
        0.65,
        0.7,
    ),
];

impl Workload {
    /// Runs it once.
    pub fn run(&self, subject: &Subject, requests: u32) -> Measure {
        let benchmark =
            tools::find("redis-benchmark").expect("redis-benchmark (scripts/setup bench)");
        let before = subject.cpu_seconds();
        let output = Command::new(benchmark)
            .args(["-p", &subject.address.port().to_string(), "-n", &requests.to_string()])
            .args(["-r", "10000", "--csv"])
            .args(self.options)
            .output()
            .expect("run redis-benchmark");
        let after = subject.cpu_seconds();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} on {}: {said}{errors}", self.name, subject.name);
        // "test","rps",... and below it the numbers, each in quotes.
        let rate = said.lines().nth(1).and_then(|line| line.split(',').nth(1));
        let rate = rate.and_then(|field| field.trim_matches('"').parse().ok());
        let requests_per_second = rate.unwrap_or_else(|| panic!("no rate in: {said}{errors}"));
        let used = before.zip(after).map(|(before, after)| after - before);
        Measure {
            requests_per_second,
            cpu_us: used.map(|seconds| seconds * 1e6 / f64::from(requests)),
        }
    }
}

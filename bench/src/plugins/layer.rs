//! The plugin layer without sockets, as `sluicegate plugin bench` measures it, and how long a file takes to load.
//!
//! Comes in: the release build of the gateway, which measures itself (`PROBE.NOOP`: one step; `PROBE.TWO`: a call of three
//! steps with two commands behind them). Goes out: lines. A file is loaded by RELOAD, so the time has the way to the
//! workers and back in it.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use sluicegate_tests::client::Client;
use sluicegate_tests::plugins::{Entry, PluginFile, built, variant};
use sluicegate_tests::real_server::RealServer;

use super::drive::median;
use super::gate::{Gate, LONG_CALLS};
use super::{Effort, Line};
use crate::subject::release_binary;

/// What the gateway's own bench found of one command of `probe`.
fn measured(command: &str, effort: Effort) -> Value {
    let quick = (effort.share > 1).then_some("--quick");
    let output = Command::new(release_binary())
        .args(["plugin", "bench"])
        .arg(built("probe"))
        .args(["--only", command, "--json"])
        .args(quick)
        .output()
        .expect("run the gateway");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "plugin bench: {errors}");
    let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    all["flows"][0].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// A step, and calls beside the same flow in Rust.
pub fn steps(_shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let noop = measured("PROBE.NOOP", effort);
    let note = format!("{:.0} ns", number(&noop["step_ns"]));
    let step = number(&noop["step_getppid"]);
    let mut lines = vec![Line::new("no-op step / getppid", step, "x", 2.5, note)];
    let two = measured("PROBE.TWO", effort);
    for (in_flight, bound) in [(1_000, 3.5), (10_000, 4.5)] {
        let crowds = two["crowds"].as_array().into_iter().flatten();
        let Some(crowd) = crowds.into_iter().find(|crowd| crowd["in_flight"] == in_flight) else {
            continue;
        };
        let of = |side: &str| number(&crowd[side]);
        let note = format!(
            "{:.0} calls per CPU-second, Rust {:.0}",
            of("plugin_calls_per_cpu_second"),
            of("native_calls_per_cpu_second")
        );
        let what = format!("call of three steps / the same flow in Rust, {in_flight} in flight");
        lines.push(Line::new(&what, of("ratio"), "x", bound, note));
        if in_flight == 10_000 {
            let sides =
                ["plugin_bytes_per_call", "native_bytes_per_call"].map(|side| of(side) / 1024.0);
            let note = format!("{:.2} KiB - {:.2} KiB", sides[0], sides[1]);
            let more = sides[0] - sides[1];
            lines.push(Line::new(
                "memory of a waiting call beyond Rust's, 10,000",
                more,
                "KiB",
                3.0,
                note,
            ));
        }
    }
    lines
}

/// A new file, and one whose code has been compiled before.
pub fn loads(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let file = PluginFile::copy_of("pass");
    let pass = Entry { name: "pass", file: file.path(), settings: &[LONG_CALLS] };
    let gate = Gate::start(shards, &[pass], &["{use: pass, keys: [\"pass:*\"]}"]);
    let good = std::fs::read(built("pass")).expect("a plugin");
    let mut operator = Client::connect(gate.address());
    let run = std::process::id();
    let mut reload = |mark: &str| {
        file.replace(&variant(&good, mark));
        let begun = Instant::now();
        let reply = operator.line("SLUICEGATE PLUGIN RELOAD pass");
        assert!(!reply.is_error(""), "RELOAD: {reply:?}");
        begun.elapsed().as_secs_f64() * 1e3
    };
    let marks: Vec<String> = (0..=effort.rounds).map(|round| format!("{run} {round}")).collect();
    let [compiled, cached] =
        [0, 1].map(|_| median(marks.iter().map(|mark| reload(mark)).collect()));
    let size = format!("{} KiB of wasm", good.len() / 1024);
    vec![
        Line::new("RELOAD of a new file: compiled", compiled, "ms", 150.0, size.clone()),
        Line::new("RELOAD of a known file: from cache", cached, "ms", 2.0, size),
    ]
}

//! What plugins cost those who use them and those who do not: CPU time and memory of the gateway.
//!
//! Comes in: running shards. Goes out: lines. "The same natively" is a client that sends the plugin's commands itself
//! through the same gateway, or a gateway without plugins. The layer below, a call without sockets, is measured by
//! `sluicegate plugin bench`.

use sluicegate_tests::plugins::{Entry, built};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::wait::eventually;

use super::drive::{self, KEYS, Unit, cpu_us, median};
use super::gate::{Gate, LONG_CALLS};
use super::{Effort, Line};

/// Clients where their number does not matter.
const CLIENTS: usize = 50;

/// Ratio of two costs in each round, and the medians of the ratio and of both sides.
fn ratio(rounds: usize, mut measure: impl FnMut() -> (f64, f64)) -> (f64, String) {
    measure();
    let pairs: Vec<(f64, f64)> = (0..rounds).map(|_| measure()).collect();
    let of = |side: fn(&(f64, f64)) -> f64| median(pairs.iter().map(side).collect());
    let note = format!("{:.2} us / {:.2} us", of(|pair| pair.0), of(|pair| pair.1));
    (of(|pair| pair.0 / pair.1), note)
}

/// Commands that meet no hook, with a plugin bound to other keys and without any.
pub fn hooks_elsewhere(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let file = built("pass");
    let pass = Entry { name: "pass", file: &file, settings: &[] };
    let with = Gate::start(shards, &[pass], &["{use: pass, keys: [\"other:*\"]}"]);
    let without = Gate::start(shards, &[], &[]);
    let mut clients = [with.clients(CLIENTS), without.clients(CLIENTS)];
    let mut lines = Vec::new();
    for depth in [1, 16] {
        let units = [Unit::of(&["GET plain:{}"]).times(depth)];
        let count = 2_000 / effort.share / if depth == 1 { 1 } else { 4 };
        let (found, note) = ratio(2 * effort.rounds, || {
            let [a, b] = &mut clients;
            (cpu_us(&with, a, &units, count), cpu_us(&without, b, &units, count))
        });
        let what = format!("GET -P {depth}, hooks on other keys / no plugins, CPU");
        lines.push(Line::new(&what, found, "x", 1.03, note));
    }
    lines
}

/// A fresh GET that the cache plugin answers, and the client's own GET and PTTL.
pub fn cached_get(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let file = built("cache");
    let cache = Entry { name: "cache", file: &file, settings: &[] };
    let gate = Gate::start(shards, &[cache], &["{use: cache, keys: [\"cache:*\"]}"]);
    let mut clients = gate.clients(CLIENTS);
    for line in ["SETEX cache:{} 10000 value", "SETEX plain:{} 10000 value"] {
        let fill = Unit::of(&[line]).times(16);
        (0..=KEYS / CLIENTS / 16).for_each(|number| drive::round(&mut clients, &fill, number));
    }
    let mut lines = Vec::new();
    for (depth, bound) in [(1, 1.3), (16, 2.0)] {
        let hooked = [Unit::of(&["GET cache:{}"]).times(depth)];
        let own = ["GET plain:{}", "PTTL plain:{}"];
        let (both, one_by_one) =
            ([Unit::of(&own).times(depth)], own.map(|line| Unit::of(&[line]).times(depth)));
        let count = 1_000 / effort.share / if depth == 1 { 1 } else { 4 };
        for (name, native, bound) in
            [("one after the other", &one_by_one[..], Some(bound)), ("sent together", &both, None)]
        {
            let (found, note) = ratio(effort.rounds, || {
                let hooked = cpu_us(&gate, &mut clients, &hooked, count);
                (hooked, cpu_us(&gate, &mut clients, native, count))
            });
            let what = format!("cached GET -P {depth} / own GET and PTTL {name}, CPU");
            lines.push(match bound {
                Some(bound) => Line::new(&what, found, "x", bound, note),
                None => Line::known(&what, found, "x", note),
            });
        }
    }
    lines
}

/// A call with two GETs, and the same two GETs sent by the client, at many in flight: one for each client, since the
/// own commands of one client are carried out one after the other.
pub fn calls(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let file = built("probe");
    let probe = Entry { name: "probe", file: &file, settings: &[LONG_CALLS] };
    let gate = Gate::start(shards, &[probe], &["{use: probe, keys: [\"work:*\"]}"]);
    let mut lines = Vec::new();
    for (in_flight, bound) in [(1_000, 3.5), (10_000, 4.5)] {
        let mut clients = gate.clients(in_flight);
        let call = [Unit::of(&["PROBE.WORK work:{} 2 0"])];
        let own = [0, 1].map(|_| Unit::of(&["GET plain:{}"]));
        let count = (40_000 / in_flight / effort.share).max(2);
        let (found, note) = ratio(effort.rounds, || {
            let call = cpu_us(&gate, &mut clients, &call, count);
            (call, cpu_us(&gate, &mut clients, &own, count))
        });
        let what = format!("call with two GETs / the client's own, {in_flight} in flight, CPU");
        lines.push(Line::new(&what, found, "x", bound, note));
    }
    lines
}

/// Ten thousand calls that wait for a frozen shard, and as many plain GETs.
pub fn memory_of_calls(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    const WAITING: usize = 10_000;
    let file = built("pass");
    let waiting = |line: &str| {
        let pass = Entry { name: "pass", file: &file, settings: &[LONG_CALLS] };
        let gate = Gate::start(shards, &[pass], &["{use: pass, keys: [\"pass:*\"]}"]);
        let mut clients = gate.clients(WAITING);
        let unit = Unit::of(&[line]);
        let before = gate.resident_kib();
        shards.iter().for_each(RealServer::pause);
        drive::send(&mut clients, &unit, 0);
        if line.starts_with("PASS") {
            eventually("all calls to wait", || {
                (gate.binding().number("live") == WAITING as u64).then_some(())
            });
        }
        let after = gate.resident_kib();
        shards.iter().for_each(RealServer::resume);
        (after - before) / WAITING as f64
    };
    let pairs: Vec<(f64, f64)> = (0..effort.rounds)
        .map(|_| (waiting("PASS.ECHO pass:{}"), waiting("GET plain:{}")))
        .collect();
    let of = |side: fn(&(f64, f64)) -> f64| median(pairs.iter().map(side).collect());
    let note = format!("{:.2} KiB - {:.2} KiB", of(|pair| pair.0), of(|pair| pair.1));
    let more = of(|pair| pair.0 - pair.1);
    vec![Line::new(
        "memory of a waiting call beyond a waiting GET, 10,000 of them",
        more,
        "KiB",
        3.0,
        note,
    )]
}

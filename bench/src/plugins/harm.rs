//! What plugins that misbehave, are replaced, or run on a crowded machine do to those who use the gateway meanwhile.
//!
//! Comes in: running shards. Goes out: lines: how long requests wait behind an endless loop, behind 200 swaps, and how many
//! calls are taken for endless while every core burns. Clients are threads of this process on the same machine.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sluicegate_tests::client::Client;
use sluicegate_tests::plugins::{
    Entry, PluginFile, binding_rows, built, client_of_each_worker, variant,
};
use sluicegate_tests::real_server::RealServer;

use super::drive::{Loop, Took, Unit, median, p99_ms, round};
use super::gate::{Gate, LONG_CALLS};
use super::{Effort, Line};

/// Endless loops, half a second apart, beside clients of the same worker that ask for keys without a plugin.
pub fn endless_loops(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let file = built("misbehaving/misbehaving");
    let bad = Entry { name: "bad", file: &file, settings: &[LONG_CALLS] };
    let gate = Gate::start(shards, &[bad], &["{use: bad, keys: [loop]}"]);
    let mut culprit = Client::connect(gate.address());
    let loops = 40 / effort.share;
    let mut measure = |line: &str| {
        let innocents = Loop::start(gate.address(), 4, &["GET plain:{}"]);
        let moments: Vec<Instant> = (0..loops)
            .map(|_| {
                std::thread::park_timeout(Duration::from_millis(500));
                let begun = Instant::now();
                culprit.line(line);
                begun
            })
            .collect();
        let took = innocents.end();
        // The longest request that was under way when the culprit's came, or was sent up to 10 ms behind it.
        let longest = moments.iter().map(|begun| {
            let near = |one: &&Took| {
                one.sent + one.time >= *begun && one.sent <= *begun + Duration::from_millis(10)
            };
            took.iter().filter(near).map(|one| one.time.as_secs_f64() * 1e3).fold(0.0, f64::max)
        });
        (longest.collect::<Vec<f64>>(), p99_ms(&took))
    };
    let (calm, calm_p99) = measure("GET plain:culprit");
    let (stalled, stalled_p99) = measure("GET loop");
    let worst = stalled.iter().copied().fold(0.0, f64::max);
    let note = format!(
        "worst of {loops}: {worst:.2} ms; without a loop: median {:.2} ms, worst {:.2} ms",
        median(calm.clone()),
        calm.iter().copied().fold(0.0, f64::max)
    );
    let p99 = format!("{stalled_p99:.3} ms / {calm_p99:.3} ms, one loop in half a second");
    vec![
        Line::new(
            "longest request beside an endless loop, median",
            median(stalled),
            "ms",
            10.0,
            note,
        ),
        Line::known(
            "p99 of innocent requests with endless loops / without",
            stalled_p99 / calm_p99,
            "x",
            p99,
        ),
    ]
}

/// Clients of two plugins and of none while one of the plugins is swapped 200 times in 30 seconds.
pub fn swaps(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    const SWAPS: usize = 200;
    const WINDOWS: usize = 12;
    let (file, cache) = (PluginFile::copy_of("pass"), built("cache"));
    let plugins = [
        Entry { name: "pass", file: file.path(), settings: &[LONG_CALLS] },
        Entry { name: "cache", file: &cache, settings: &[LONG_CALLS] },
    ];
    let bindings = ["{use: pass, keys: [\"pass:*\"]}", "{use: cache, keys: [\"cache:*\"]}"];
    let gate = Gate::start(shards, &plugins, &bindings);
    let good = std::fs::read(built("pass")).expect("a plugin");
    let mut operator = Client::connect(gate.address());
    // Generations of both plugins are counted together; only the one is swapped.
    let generation = |operator: &mut Client| {
        binding_rows(operator).iter().map(|row| row.number("generation")).max().unwrap_or(0)
    };
    let first = generation(&mut operator);
    let window = Duration::from_millis(2_500) / u32::try_from(effort.share).unwrap_or(1);
    let pause = Duration::from_secs(30) / u32::try_from(SWAPS).unwrap_or(1);
    let lines = [
        "SET pass:{} v",
        "GET pass:{}",
        "PASS.ECHO pass:{}",
        "SETEX cache:{} 100 v",
        "GET cache:{}",
        "GET plain:{}",
    ];
    let mut p99s = [Vec::new(), Vec::new()];
    let mut swapped = 0;
    for _ in 0..WINDOWS {
        for (swapping, found) in [false, true].into_iter().zip(&mut p99s) {
            let load = Loop::start(gate.address(), 8, &lines);
            let begun = Instant::now();
            while begun.elapsed() < window {
                let next = Instant::now() + pause;
                if swapping {
                    swapped += 1;
                    file.replace(&variant(&good, &format!("swap {swapped}")));
                    let reply = operator.line("SLUICEGATE PLUGIN RELOAD pass");
                    assert!(!reply.is_error(""), "RELOAD: {reply:?}");
                }
                std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
            }
            found.push(p99_ms(&load.end()));
        }
    }
    let taken = generation(&mut operator) - first;
    // Each window with swaps is compared with the one before it: the machine's own pace changes more slowly.
    let [without, with] = &p99s;
    let ratio = median(with.iter().zip(without).map(|(with, without)| with / without).collect());
    let [without, with] = p99s.map(median);
    let note = format!("{with:.3} ms / {without:.3} ms; {taken} generations in {swapped} swaps");
    vec![Line::new(
        "p99 with a swap each 150 ms / without; no request failed",
        ratio,
        "x",
        1.5,
        note,
    )]
}

/// A thousand calls of short steps while twice as many threads as cores burn.
pub fn burners(shards: &[RealServer], effort: Effort) -> Vec<Line> {
    let file = built("probe");
    let limits = "limits: {call_timeout: 10m}";
    let probe = Entry { name: "probe", file: &file, settings: &[limits] };
    let gate = Gate::start_with(shards, &[probe], &["{use: probe, keys: [\"work:*\"]}"], 2);
    let mut watchers = client_of_each_worker(gate.address(), 2);
    let mut clients = gate.clients(1_000);
    let over = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads: Vec<_> = (0..2 * cores)
        .map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                let burnt = AtomicU64::new(0);
                while !over.load(Ordering::Relaxed) {
                    black_box(burnt.fetch_add(1, Ordering::Relaxed));
                }
            })
        })
        .collect();
    let unit = Unit::of(&["PROBE.WORK work:{} 20 20000"]);
    let (begun, mut calls) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(8) / u32::try_from(effort.share).unwrap_or(1) {
        round(&mut clients, &unit, 0);
        calls += clients.len();
    }
    over.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("a burner"));
    let crashes = watchers.iter_mut().map(|watcher| binding_rows(watcher)[0].number("crashes"));
    let killed = crashes.sum::<u64>() as f64;
    let note = format!("of {calls} calls of 20 steps, 1,000 in flight");
    vec![Line::new("calls killed while all cores burn", killed, "", 0.0, note)]
}

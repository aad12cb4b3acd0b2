//! A plugin that does little is never taken for one that does too much, however busy the machine is.
//!
//! Threads that burn every core, twice over, keep taking the processor from the gateway in the middle of a plugin's step,
//! which then lasts milliseconds by the clock and microseconds of the thread's own time. Only the latter may count.
//! The calls take many short steps each; the bound on a step is the default one.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::herd;
use sluicegate_tests::plugins::{Entry, binding_rows, built, client_of_each_worker, yaml_with};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

const WORKERS: usize = 2;
const IN_FLIGHT: usize = 1_000;
const BURN: Duration = Duration::from_secs(8);
/// Steps of one call, and rounds of a loop in each: some tens of microseconds.
const WORK: (i64, &str) = (20, "20000");

/// Threads that keep every core busy until this value goes.
struct Burners {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Burners {
    fn start() -> Burners {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let over = Arc::new(AtomicBool::new(false));
        let burn = |over: Arc<AtomicBool>| {
            let burnt = AtomicU64::new(0);
            while !over.load(Ordering::Relaxed) {
                black_box(burnt.fetch_add(1, Ordering::Relaxed));
            }
        };
        let threads = (0..2 * cores).map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || burn(over))
        });
        Burners { threads: threads.collect(), over }
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It does nothing that could panic.
            let _ = thread.join();
        }
    }
}

#[test]
fn short_steps_of_a_thousand_calls_are_not_cut_while_all_cores_burn() {
    let shards = RealServer::start_many(1);
    let file = built("probe");
    let limits = "limits: {call_timeout: 10m}";
    let entry = Entry { name: "probe", file: &file, settings: &[limits] };
    let yaml = yaml_with(&shards, &[entry], &["{use: probe, keys: [\"work:*\"]}"]);
    let gateways = [InProcess::start(&yaml)];
    let mut watchers = client_of_each_worker(gateways[0].address(), WORKERS);
    let mut clients = herd::connect(&gateways, IN_FLIGHT);
    let (steps, spins) = WORK;
    let burners = Burners::start();
    let begun = Instant::now();
    while begun.elapsed() < BURN {
        herd::send_all(&mut clients, &["PROBE.WORK", "work:1", &steps.to_string(), spins]);
        for reply in herd::replies(&mut clients) {
            assert_eq!(reply, Value::Integer(steps));
        }
    }
    drop(burners);
    for watcher in &mut watchers {
        let row = binding_rows(watcher).swap_remove(0);
        assert_eq!(row.number("crashes"), 0, "{row:?}");
        assert_eq!(row.fields["state"], "up");
        assert!(row.number("calls") >= 100, "a worker had next to nothing to do: {row:?}");
    }
}

//! The cache guarantee with clients that run freely: 500 threads read one key as fast as they can over two gateways.
//!
//! Each value is a number in order. Whoever gets nil writes the next one: at once, after others have got the old
//! value, or only when the old value is gone from its shard, so that readers wait. Every reply is held against what
//! the writers have noted; no claim depends on how fast the machine is, because each compares two ends of an order:
//! a value's age is counted from after its write was answered to before the read was sent, and is thus never too high.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sluicegate_tests::client::Client;
use sluicegate_tests::herd::connect;
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

use crate::cache::Site;

const CLIENTS: usize = 500;
const EXPIRIES: usize = 20;
const KEY: &str = "cache:herd";
const SOFT_TTL_MS: u64 = 100;
const GRACE_MS: u64 = 400;
/// Clocks here and at the shard are read in whole milliseconds.
const CLOCK_STEP: Duration = Duration::from_millis(5);

/// What is known of one value.
#[derive(Debug, Clone, Copy)]
struct Fill {
    sent: Instant,
    answered: Option<Instant>,
}

/// What all clients of the test share.
struct Herd<'a> {
    shards: &'a [RealServer],
    fills: Mutex<Vec<Fill>>,
    computing: AtomicBool,
    /// Reads that got a value while somebody computed the next.
    served_meanwhile: AtomicUsize,
    over: AtomicBool,
}

impl Herd<'_> {
    fn run(&self, mut client: Client) {
        while !self.over.load(Ordering::SeqCst) {
            let sent = Instant::now();
            match client.command(&["GET", KEY]) {
                Value::Null => self.compute(&mut client),
                value => self.check(&value, sent),
            }
        }
    }

    /// A value may be as old as its soft TTL and the grace.
    fn check(&self, value: &Value, sent: Instant) {
        let number: usize = value.text().parse().expect("a value is a number");
        let fill = self.fills.lock().expect("no thread has failed")[number];
        let age = fill.answered.map(|answered| sent.saturating_duration_since(answered));
        let oldest = Duration::from_millis(SOFT_TTL_MS + GRACE_MS) + CLOCK_STEP;
        assert!(age < Some(oldest), "value {number} is {age:?} old");
        if self.computing.load(Ordering::SeqCst) {
            self.served_meanwhile.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The client was told to compute: it must be the only one, and the last value must be past its soft TTL.
    fn compute(&self, client: &mut Client) {
        let told = Instant::now();
        let others = self.computing.swap(true, Ordering::SeqCst);
        assert!(!others, "two were told to compute");
        let number = {
            let fills = self.fills.lock().expect("no thread has failed");
            if let Some(last) = fills.last() {
                let age = told.duration_since(last.sent) + CLOCK_STEP;
                let soft = Duration::from_millis(SOFT_TTL_MS);
                assert!(age >= soft, "computed again after {age:?}");
            }
            fills.len()
        };
        self.take_time(number);
        if number == EXPIRIES {
            self.over.store(true, Ordering::SeqCst);
        }
        let sent = Instant::now();
        let mut fills = self.fills.lock().expect("no thread has failed");
        fills.push(Fill { sent, answered: None });
        drop(fills);
        // From here on another may be told, for the fill ends the lease.
        self.computing.store(false, Ordering::SeqCst);
        let value = number.to_string();
        let set = client.command(&["PSETEX", KEY, &SOFT_TTL_MS.to_string(), &value]);
        assert_eq!(set, Value::ok());
        let answered = Some(Instant::now());
        self.fills.lock().expect("no thread has failed")[number].answered = answered;
    }

    /// Some values are computed at once, some after others have been served, some when the old one is gone.
    fn take_time(&self, number: usize) {
        let gone = || {
            let has = |shard: &RealServer| shard.client().command(&["EXISTS", KEY]);
            self.shards.iter().all(|shard| has(shard) == Value::Integer(0))
        };
        match number % 3 {
            0 => {}
            1 => {
                let before = self.served_meanwhile.load(Ordering::SeqCst);
                eventually_true("others to be served meanwhile", || {
                    self.served_meanwhile.load(Ordering::SeqCst) > before || gone()
                });
            }
            _ => eventually_true("the old value to go", gone),
        }
    }
}

#[test]
fn herd_computes_each_value_once_and_sees_none_that_is_too_old() {
    let site = Site::start(&format!("grace: {GRACE_MS}ms, lease: 600s, wait: 30s, poll: 100ms"));
    let herd = Herd {
        shards: &site.shards,
        fills: Mutex::new(Vec::new()),
        computing: AtomicBool::new(false),
        served_meanwhile: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let herd = &herd;
    std::thread::scope(|scope| {
        for client in connect(&site.gateways, CLIENTS) {
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn_scoped(scope, move || herd.run(client))
                .expect("start a small thread");
        }
    });
    let fills = herd.fills.lock().expect("no thread has failed");
    assert!(fills.len() > EXPIRIES, "{} values", fills.len());
}

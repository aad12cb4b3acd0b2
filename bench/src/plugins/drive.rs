//! The clients of the plugin bench: in lockstep where CPU time counts, each in a thread of its own where time does.
//!
//! Comes in: a gateway and what to send. Goes out: microseconds of the gateway's CPU per unit sent, or how long each
//! request of closed-loop clients took. A reply that is an error ends the bench: a figure of failed requests is none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::value::Value;

use super::gate::Gate;

/// What every client sends at once in one round, and how many replies it then reads.
#[derive(Debug)]
pub struct Unit {
    pub requests: Vec<Vec<String>>,
}

impl Unit {
    /// `lines` sent together, `{}` in them replaced by a number of its own for each client and round.
    pub fn of(lines: &[&str]) -> Unit {
        let words = |line: &&str| line.split(' ').map(str::to_owned).collect();
        Unit { requests: lines.iter().map(words).collect() }
    }

    /// The same `times` over, all sent together.
    pub fn times(mut self, times: usize) -> Unit {
        let once = self.requests.clone();
        (1..times).for_each(|_| self.requests.extend(once.clone()));
        self
    }

    fn bytes(&self, number: usize) -> Vec<u8> {
        let requests = self.requests.iter().zip(number * self.requests.len()..);
        let filled = requests.map(|(words, number)| {
            let number = (number % KEYS).to_string();
            request(&words.iter().map(|word| word.replace("{}", &number)).collect::<Vec<_>>())
        });
        filled.flatten().collect()
    }
}

/// Different numbers in requests.
pub const KEYS: usize = 20_000;

/// Sends `unit` on every connection and reads all replies; fails at an error.
pub fn round(clients: &mut [Client], unit: &Unit, number: usize) {
    send(clients, unit, number);
    for client in clients {
        for request in &unit.requests {
            let reply = client.reply();
            assert!(!matches!(reply, Value::Error(_)), "{request:?}: {reply:?}");
        }
    }
}

/// Sends `unit` on every connection.
pub fn send(clients: &mut [Client], unit: &Unit, number: usize) {
    let count = clients.len();
    for (place, client) in clients.iter_mut().enumerate() {
        client.send_raw(&unit.bytes(number * count + place));
    }
}

/// The gateway's CPU time for each time that a client sent all of `units`, one after the other; microseconds.
pub fn cpu_us(gate: &Gate, clients: &mut [Client], units: &[Unit], rounds: usize) -> f64 {
    let before = gate.cpu_seconds();
    for number in 0..rounds {
        units.iter().for_each(|unit| round(clients, unit, number));
    }
    let used = gate.cpu_seconds() - before;
    used * 1e6 / (rounds * clients.len()) as f64
}

/// When a request was sent and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    pub sent: Instant,
    pub time: Duration,
}

/// Clients in a closed loop, each in a thread of its own.
#[derive(Debug)]
pub struct Loop {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Took>>>,
}

impl Loop {
    /// `count` clients that send `lines` in turn, `{}` replaced by the client's place.
    pub fn start(address: SocketAddr, count: usize, lines: &[&str]) -> Loop {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|place| {
            let lines = lines.iter().map(|line| line.replace("{}", &place.to_string()));
            let lines: Vec<String> = lines.collect();
            let over = Arc::clone(&over);
            let mut client = Client::connect(address);
            std::thread::spawn(move || {
                let mut took = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    for line in &lines {
                        let sent = Instant::now();
                        let reply = client.line(line);
                        assert!(!matches!(reply, Value::Error(_)), "{line}: {reply:?}");
                        took.push(Took { sent, time: sent.elapsed() });
                    }
                }
                took
            })
        });
        Loop { threads: threads.collect(), over }
    }

    /// Ends them; all that they saw.
    pub fn end(self) -> Vec<Took> {
        self.over.store(true, Ordering::Relaxed);
        let all = self.threads.into_iter().map(|thread| thread.join().expect("a client's thread"));
        all.flatten().collect()
    }
}

/// The time that 99 of 100 requests did not exceed, milliseconds.
pub fn p99_ms(took: &[Took]) -> f64 {
    let mut times: Vec<Duration> = took.iter().map(|took| took.time).collect();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// The middle of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

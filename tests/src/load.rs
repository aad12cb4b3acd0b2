//! Clients that keep asking in threads of their own while a test does something else.
//!
//! Comes in: clients, and what one client does in one round (asks and checks). Goes out: a way to wait until every
//! client has gone on, and the end, which fails the test if any round failed.
//! The threads end with the value that owns them, also when the test has failed. Nothing is measured here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::client::{Client, request};
use crate::value::Value;
use crate::wait::eventually_true;

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    over: Arc<AtomicBool>,
    users: Vec<User>,
}

#[derive(Debug)]
struct User {
    rounds: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Starts a thread for each client; `round` gets its place among them and the round's number.
    pub fn start<C: Send + 'static>(
        clients: Vec<C>,
        round: impl Fn(&mut C, usize, usize) + Send + Sync + 'static,
    ) -> Load {
        let over = Arc::new(AtomicBool::new(false));
        let round = Arc::new(round);
        let users = clients.into_iter().enumerate().map(|(place, mut client)| {
            let (over, round) = (Arc::clone(&over), Arc::clone(&round));
            let rounds = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&rounds);
            let thread = std::thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    round(&mut client, place, counted.load(Ordering::SeqCst));
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            });
            User { rounds, thread }
        });
        let users = users.collect();
        Load { over, users }
    }

    /// Waits until every client has begun and ended a round from now on.
    pub fn await_round(&self) {
        let now = |user: &User| user.rounds.load(Ordering::SeqCst);
        let before: Vec<usize> = self.users.iter().map(now).collect();
        for (place, (user, before)) in self.users.iter().zip(before).enumerate() {
            eventually_true("a client to go on", || {
                assert!(!user.thread.is_finished(), "client {place} has failed");
                now(user) > before + 1
            });
        }
    }

    /// Ends all clients; fails the test if one of them failed.
    pub fn finish(mut self) {
        self.over.store(true, Ordering::SeqCst);
        for (place, user) in self.users.drain(..).enumerate() {
            let ended = user.thread.join();
            assert!(ended.is_ok(), "client {place} has failed, see above");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for user in self.users.drain(..) {
            // Only a test that has failed already comes here with threads: its own words are the ones to read.
            let _ = user.thread.join();
        }
    }
}

/// Sends all requests at once and checks each reply in its place.
pub fn ask(client: &mut Client, asked: &[(&[&str], Value)]) {
    let bytes: Vec<u8> = asked.iter().flat_map(|(args, _)| request(args)).collect();
    client.send_raw(&bytes);
    for (args, expected) in asked {
        assert_eq!(client.reply(), *expected, "{args:?}");
    }
}

/// What innocent clients ask of the plugin `pass`, on `pass:*`, and of none.
pub fn ask_elsewhere(client: &mut Client, user: usize, round: usize) {
    let value = format!("{user}-{round}");
    let [passed, plain] = ["pass", "plain"].map(|kind| format!("{kind}:{user}"));
    let asked: [(&[&str], Value); 5] = [
        (&["SET", &passed, &value], Value::ok()),
        (&["GET", &passed], Value::bulk(&value)),
        (&["PASS.ECHO", &passed], Value::bulk(&value)),
        (&["SET", &plain, &value], Value::ok()),
        (&["GET", &plain], Value::bulk(&value)),
    ];
    ask(client, &asked);
}

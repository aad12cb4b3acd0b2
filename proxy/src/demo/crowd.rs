//! Many clients that ask the same thing at once.
//!
//! In: an address, or connected clients and a command. Out: their answers in the order in which they came, each with its
//! client and its time. One thread per client, because each waits for its own reply; all start at one gate, after the last
//! thread is there. A client that fails answers with its error: no answer is ever missing.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::client::Client;
use super::reply::Reply;

/// One client's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) client: Client,
    pub(super) reply: io::Result<Reply>,
    /// From sending to the reply.
    pub(super) took: Duration,
}

/// Connects `count` clients.
pub(super) fn connect(address: SocketAddr, count: usize) -> io::Result<Vec<Client>> {
    (0..count).map(|_| Client::connect(address)).collect()
}

/// Every client sends this command at once. The receiver gets one answer per client, then ends.
pub(super) fn ask(clients: Vec<Client>, words: &[&str]) -> io::Result<Receiver<Answer>> {
    let words: Arc<[String]> = words.iter().map(|word| (*word).to_owned()).collect();
    let (sender, answers) = sync_channel(clients.len());
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
    for mut client in clients {
        let (words, sender, gate) = (Arc::clone(&words), sender.clone(), Arc::clone(&gate));
        std::thread::Builder::new().name("crowd".into()).spawn(move || {
            drop(gate.read());
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let start = Instant::now();
            let reply = client.command(&words);
            let _nobody_counts_any_more =
                sender.send(Answer { client, reply, took: start.elapsed() });
        })?;
    }
    drop(closed);
    Ok(answers)
}

/// How many of `answers` read `line`; an error reads as itself.
pub(super) fn count(answers: &[Answer], line: &str) -> usize {
    answers.iter().filter(|answer| shown(answer) == line).count()
}

/// An answer in one line.
pub(super) fn shown(answer: &Answer) -> String {
    match &answer.reply {
        Ok(reply) => reply.line(),
        Err(error) => format!("no reply: {error}"),
    }
}

/// The slowest answer.
pub(super) fn slowest(answers: &[Answer]) -> Duration {
    answers.iter().map(|answer| answer.took).max().unwrap_or_default()
}

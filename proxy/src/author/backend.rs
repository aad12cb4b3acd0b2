//! A shard for measurements: takes requests as bytes, reads them like a shard, and answers all that wait at once.
//!
//! In: requests of calls, written one behind the other as on a connection. Out: an answer per request or transaction,
//! to the call that waits for it. No socket: what is measured is calls, and both kinds of calls pay this shard alike.

use tokio::sync::oneshot;

use super::flow::answer_to;
use crate::resp::args::Args;
use crate::resp::request::{RequestLimits, RequestScan, Scanned};
use crate::resp::write;

/// The shard.
#[derive(Debug, Default)]
pub(super) struct Backend {
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
    scan: RequestScan,
}

#[derive(Debug)]
struct Waiting {
    requests: usize,
    is_transaction: bool,
    caller: oneshot::Sender<Vec<u8>>,
}

/// Where an answer comes.
pub(super) type Answer = oneshot::Receiver<Vec<u8>>;

impl Backend {
    /// Writes a request; `done` tells that its last was written.
    pub(super) fn write<'a>(&mut self, args: impl ExactSizeIterator<Item = &'a [u8]>) {
        write::request(&mut self.bytes, args);
    }

    /// The last `requests` that were written get one answer.
    pub(super) fn ask(&mut self, requests: usize, is_transaction: bool) -> Answer {
        let (caller, answer) = oneshot::channel();
        self.waiting.push(Waiting { requests, is_transaction, caller });
        answer
    }

    /// How many wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Answers everything.
    pub(super) fn answer_all(&mut self) {
        let mut at = 0;
        for Waiting { requests, is_transaction, caller } in self.waiting.drain(..) {
            let mut answer = Vec::new();
            if is_transaction {
                write::array_header(&mut answer, requests);
            }
            for _ in 0..requests {
                let rest = self.bytes.get(at..).unwrap_or_default();
                if let Scanned::Complete { len } = self.scan.scan(rest, &RequestLimits::OPEN) {
                    let raw = rest.get(..len).unwrap_or_default();
                    let args = Args::new(raw, self.scan.spans());
                    answer_to(args.name(), args.len(), &mut answer);
                    at += len;
                }
                self.scan.reset();
            }
            let _gone = caller.send(answer);
        }
        self.bytes.clear();
    }
}

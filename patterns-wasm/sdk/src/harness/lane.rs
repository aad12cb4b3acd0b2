//! What travels between one worker and the fake shard, in both directions, in order.
//!
//! One lane per worker: requests are executed in the order in which they were sent and answered in that order, while
//! the lanes of different workers interleave as the seed says.

use std::collections::VecDeque;

use super::redis::FakeRedis;
use crate::reply::Reply;

/// Who gets the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiver {
    /// Operation `op` of a task.
    Task { task: usize, op: u32 },
    /// The client of a ticket, as it is: a command that was passed.
    Ticket(usize),
    /// A client's MULTI, by its number.
    Multi(usize),
    /// Nobody.
    Nobody,
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) enum Request {
    One(Vec<Vec<u8>>),
    Transaction(Vec<Vec<Vec<u8>>>),
}

/// The lane of one worker.
#[derive(Default)]
pub(super) struct Lane {
    requests: VecDeque<(Receiver, Request)>,
    replies: VecDeque<(Receiver, Reply)>,
}

impl Lane {
    pub(super) fn send(&mut self, receiver: Receiver, request: Request) {
        self.requests.push_back((receiver, request));
    }

    pub(super) fn has_request(&self) -> bool {
        !self.requests.is_empty()
    }

    pub(super) fn has_reply(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Executes the oldest request.
    pub(super) fn execute(&mut self, redis: &mut FakeRedis) {
        let Some((receiver, request)) = self.requests.pop_front() else {
            return;
        };
        let reply = match request {
            Request::One(words) => redis.execute(&words),
            Request::Transaction(commands) => {
                Reply::Array(commands.iter().map(|words| redis.execute(words)).collect())
            }
        };
        self.replies.push_back((receiver, reply));
    }

    /// Takes the oldest answer.
    pub(super) fn receive(&mut self) -> Option<(Receiver, Reply)> {
        self.replies.pop_front()
    }
}

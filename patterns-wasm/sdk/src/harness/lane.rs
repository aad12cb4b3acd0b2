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
    /// A transaction that runs if the read answers these bytes.
    Guarded {
        read: Vec<Vec<u8>>,
        expected: Vec<u8>,
        commands: Vec<Vec<Vec<u8>>>,
    },
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Came {
    Reply(Reply),
    /// The guard did not hold: what its read answered.
    Changed(Reply),
}

/// The lane of one worker.
#[derive(Default)]
pub(super) struct Lane {
    requests: VecDeque<(Receiver, Request)>,
    replies: VecDeque<(Receiver, Came)>,
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
        let came = match request {
            Request::Transaction(commands) => Came::Reply(exec(redis, &commands)),
            Request::One(words) => Came::Reply(redis.execute(&words)),
            Request::Guarded { read, expected, commands } => {
                let found = redis.execute(&read);
                let mut bytes = Vec::new();
                found.write(2, &mut bytes);
                if bytes == expected {
                    Came::Reply(exec(redis, &commands))
                } else {
                    Came::Changed(found)
                }
            }
        };
        self.replies.push_back((receiver, came));
    }

    /// Takes the oldest answer.
    pub(super) fn receive(&mut self) -> Option<(Receiver, Came)> {
        self.replies.pop_front()
    }
}

fn exec(redis: &mut FakeRedis, commands: &[Vec<Vec<u8>>]) -> Reply {
    Reply::Array(commands.iter().map(|words| redis.execute(words)).collect())
}

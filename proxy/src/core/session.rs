//! What a worker keeps of one client connection.
//!
//! Input that is not a whole request yet, the places of the replies still owed, the output on its way to the
//! socket, and what the client has set. Idle, a session owns no buffer. The session decides nothing: `request`
//! reads from it, `reply` writes to it, and `io::client` moves its bytes.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::buffer::{OutBuffer, reserve_input};
use crate::command::CommandSpec;
use crate::core::forward::Target;
use crate::core::ids::{BlockedId, LaneId, TaskId};
use crate::core::monitor::Monitor;
use crate::core::topics::Subscriptions;
use crate::core::transaction::Transaction;
use crate::core::wait::Safe;
use crate::core::watch::Watching;
use crate::limits;
use crate::pending::{Pending, Place};
use crate::resp::request::RequestScan;
use crate::resp::write::Protocol;
use crate::session::identity::Identity;
use crate::topology::ShardIndex;

/// Whether and when a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closing {
    /// It stays.
    No,
    /// What the client has sent by now is still read, then nothing more.
    AfterRead,
    /// Nothing more is read; it ends when all replies are written.
    AfterReplies,
    /// It ends at once.
    Now,
}

/// One client connection.
#[derive(Debug)]
pub struct Session {
    /// Index of the pool.
    pub pool: u16,
    /// What the client has set and is known by.
    pub identity: Identity,
    /// Replies owed.
    pub pending: Pending,
    /// Replies on their way.
    pub out: OutBuffer,
    /// Input behind the last whole request.
    pub input: BytesMut,
    /// The scan of a request that has begun in `input`.
    pub scan: Option<Box<RequestScan>>,
    /// Plugin calls in flight for this session.
    pub tasks: Vec<TaskId>,
    /// Plugins that asked to be told when this session ends, the oldest first.
    pub watched: VecDeque<Watched>,
    /// The place of a request under way that nothing may run beside (large, blocking, in rounds); the next one waits for it.
    pub alone_place: Option<Place>,
    /// What it waits for at shards, if it does.
    pub(crate) blocked: Option<BlockedId>,
    /// The shards that it wrote to since a WAIT was content: a bit for each; beyond 64 several share one.
    pub(crate) wrote: u64,
    /// Those that it wrote to before, and the WAIT that was content with them.
    pub(crate) safe: Option<Box<Safe>>,
    /// What it subscribes to, if it does.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// An open MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// What WATCH watches.
    pub watching: Option<Watching>,
    /// `input` may hold a whole request that has not been looked at.
    pub input_ready: bool,
    /// The next request waits for a plugin call, a large request or earlier replies.
    pub held: bool,
    /// The next request waits because of CLIENT PAUSE.
    pub paused: bool,
    /// Whether and when the session ends.
    pub closing: Closing,
    /// Its last command, for CLIENT LIST.
    pub last_command: Option<&'static CommandSpec>,
    /// It is shown what the clients of its pool do.
    pub monitor: Option<Monitor>,
    /// Whether the session is in the worker's list of those to wake.
    pub to_wake: bool,
    /// Whether a timer watches that the client takes its replies.
    pub stall_watched: bool,
    /// Bytes written to the client since it came.
    pub written: u64,
    /// When the last byte came or was written, milliseconds on the worker's clock.
    pub last_active_ms: u64,
    /// Bytes counted for this session in the worker's budget.
    pub accounted: usize,
    /// Bytes of replies to parts of its split requests that are not complete.
    pub joining_bytes: usize,
    /// A lane that was paused for this session; it is not paused again before the client has taken much.
    pub paused_lane: Option<LaneId>,
    /// Nothing was read because too much is under way: look again when the client has taken some of it.
    pub read_stopped: bool,
}

/// A plugin that asked to be told when a session ends.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Index of the binding in the pool.
    pub binding: u16,
    /// The handler to start, as the present version of the plugin numbers it.
    pub handler: u16,
    /// The key that it gave.
    pub key: Vec<u8>,
    /// The protocol of the call that asked: what it has sent is on this protocol's lanes.
    pub protocol: Protocol,
    /// The database of that call.
    pub database: u16,
}

impl Watched {
    /// Whether both are the same watch.
    fn is(&self, other: &Self) -> bool {
        (self.binding, self.handler) == (other.binding, other.handler) && self.key == other.key
    }
}

impl Session {
    /// A session that has just connected.
    pub fn new(pool: u16, identity: Identity, now_ms: u64) -> Self {
        Self {
            pool,
            identity,
            pending: Pending::default(),
            out: OutBuffer::default(),
            input: BytesMut::new(),
            scan: None,
            tasks: Vec::new(),
            watched: VecDeque::new(),
            alone_place: None,
            blocked: None,
            wrote: 0,
            safe: None,
            subscriptions: None,
            transaction: None,
            watching: None,
            input_ready: false,
            held: false,
            paused: false,
            closing: Closing::No,
            last_command: None,
            monitor: None,
            to_wake: false,
            stall_watched: false,
            written: 0,
            last_active_ms: now_ms,
            accounted: 0,
            joining_bytes: 0,
            paused_lane: None,
            read_stopped: false,
        }
    }

    /// Notes a watch as the newest; beyond the bound the oldest goes.
    pub fn watch(&mut self, watched: Watched) {
        self.unwatch(&watched);
        if self.watched.len() >= limits::SESSION_WATCHES_MAX {
            self.watched.pop_front();
        }
        self.watched.push_back(watched);
    }

    /// Forgets a watch.
    pub fn unwatch(&mut self, watched: &Watched) {
        self.watched.retain(|other| !other.is(watched));
    }

    /// Bytes that this session holds now.
    pub fn bytes_held(&self) -> usize {
        let queued = self.transaction.as_ref().map_or(0, |transaction| transaction.bytes());
        self.input.len() + queued + self.output_held()
    }

    /// Bytes of replies that the client has not taken.
    #[inline]
    pub fn output_held(&self) -> usize {
        self.out.len() + self.pending.kept_bytes() + self.joining_bytes
    }

    /// The input with room for the next read.
    pub fn room_for_input(&mut self) -> &mut BytesMut {
        reserve_input(&mut self.input, self.scan.as_ref().map_or(0, |scan| scan.expected()));
        &mut self.input
    }

    /// Whether everything that was asked has been answered and written.
    pub fn is_done(&self) -> bool {
        self.pending.is_empty() && self.out.is_empty()
    }

    /// Where this session's requests to a shard go.
    pub(crate) fn target(&self, shard: ShardIndex) -> Target {
        Target {
            pool: self.pool,
            shard,
            protocol_index: self.protocol_index(),
            database: self.identity.database,
        }
    }

    /// Whether it may only subscribe, unsubscribe, PING, QUIT and RESET: RESP2 cannot tell messages from replies.
    #[inline]
    pub fn is_subscribed_in_resp2(&self) -> bool {
        self.subscriptions.is_some() && self.identity.protocol == Protocol::Resp2
    }

    /// Index of the lanes that this session uses: 0 for RESP2, 1 for RESP3.
    pub fn protocol_index(&self) -> usize {
        usize::from(self.identity.protocol == Protocol::Resp3)
    }
}

//! One connection to a shard, seen from inside: what is to be sent, and who awaits which reply.
//!
//! ```text
//!          push(request, owner)                          next_reply()
//!   requests ──► [out ............] ──► socket ──► shard ──► [input] ──► owner of the queue's head
//!                queue: [owner, end] [owner, end] [owner, end] ...
//! ```
//! Many sessions share a lane; the shard answers in order, so the head of `queue` owns the next reply. Each entry
//! knows where its request's last byte lies in the stream, so when the connection breaks it is known which requests
//! the kernel has taken whole (they may have run) and which not (they have not).
//! A request that timed out keeps its entry, without an owner, until its late reply has been skipped.
//! Pure: the socket is `io::backend`'s.

use std::collections::{HashSet, VecDeque};

use bytes::BytesMut;

use crate::buffer::{OutBuffer, Piece, Spare, reserve_input};
use crate::config::ShardQueue;
use crate::core::forward::{SetupStep, Target};
use crate::core::ids::{
    BlockedId, ConfirmationId, ExecId, GatherId, GuardId, JoinId, PublishId, ScriptId, SessionId,
    TaskId, UnblockId,
};
use crate::core::script_texts::Digest;
use crate::limits;
use crate::pending::Place;
use crate::resp::reply::{ReplyScan, ReplyScanned};
use crate::resp::write;
use crate::topology::ShardIndex;

/// Who awaits a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A session: the reply is its answer.
    Session(SessionId, Place),
    /// A split request: the reply is one part.
    Part(JoinId, u32),
    /// A command that asks several shards: the reply is the answer to one of its asks.
    Gather(GatherId, u32),
    /// A plugin's task: the reply is the result of its operation.
    Task(TaskId, u32),
    /// A WATCH of a session: the reply is its answer.
    Watch(SessionId, Place),
    /// A transaction: the reply is EXEC's, of one of its parts.
    Exec(ExecId, u32),
    /// A guarded transaction: the reply is its next one.
    Guard(GuardId),
    /// An EVALSHA: the reply may be that the shard lacks its script.
    Script(ScriptId),
    /// The lane itself, which loads a script: the reply says nothing new.
    Load,
    /// A PUBLISH: the reply is the shard's number of receivers.
    Publish(PublishId),
    /// A subscription: the reply confirms it, to nobody if a connection that was opened again asked.
    Subscriber(ConfirmationId),
    /// The lane itself, which changes to another database.
    Select,
    /// A command that waits at shards: the reply is that of its lane with this number.
    Blocked(BlockedId, u32),
    /// An order to end such a wait: likewise.
    Unblock(UnblockId, u32),
    /// Nobody: the reply is skipped.
    Nobody,
}

/// A request whose reply has not come.
#[derive(Debug, Clone, Copy)]
pub struct Awaited {
    /// Who gets the reply.
    pub owner: Owner,
    /// Where the request ends in the stream of bytes to the shard.
    end: u64,
    /// When it times out, milliseconds on the worker's clock; `u64::MAX` = never.
    deadline_ms: u64,
}

/// Where a lane is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneState {
    /// No connection. One is opened when a request comes, not before `retry_at_ms`.
    Closed {
        /// Earliest time of the next attempt, milliseconds on the worker's clock.
        retry_at_ms: u64,
    },
    /// The socket is being opened; requests wait in `out`.
    Connecting,
    /// Connected; the set-up's replies are awaited and requests wait in `out`.
    SettingUp,
    /// Requests flow.
    Ready,
}

/// One connection to a shard.
#[derive(Debug)]
pub struct Lane {
    /// Index of the pool.
    pub pool: u16,
    /// Index of the shard in its pool.
    pub shard: ShardIndex,
    /// RESP version spoken on it, 2 or 3.
    pub protocol: u8,
    /// Where it is in its life.
    pub state: LaneState,
    /// Why the last connection ended or could not be made; shown to clients until one is made.
    pub last_fault: String,
    /// Attempts since the last connection that worked.
    pub attempts: u32,
    /// Whether it serves one session, or one request, at a time.
    pub is_private: bool,
    /// Whether it is subscribed to what the worker's sessions want to be told; its replies may be messages.
    pub is_subscriber: bool,
    /// Whether it is private and nobody's.
    pub is_idle: bool,
    /// Whether it is private and somebody's until it is given back, also while no reply is due.
    pub is_lent: bool,
    /// Whether it is private and must not serve another when its reply has come.
    pub is_spent: bool,
    /// The shard's number for the connection, if it is private and the shard has told it.
    pub client_number: Option<i64>,
    /// Whether the shard lets us use MULTI.
    pub multi_allowed: bool,
    /// Whether the shard lets us select each of the pool's databases.
    pub selects_databases: bool,
    /// The database that the next request will find selected.
    pub database: u16,
    /// Scripts that were loaded on this connection.
    pub scripts: HashSet<Digest>,
    /// Whether the lane is in the worker's list of those to wake.
    pub to_wake: bool,
    /// Whether a timer for the head of the queue is set.
    pub timer_set: bool,
    /// Until when nothing is read, for the sake of a client that does not take its replies; worker's clock.
    pub paused_until_ms: u64,
    /// Bytes counted for this lane in the worker's budget.
    pub accounted: usize,
    /// Whether a timer looks now and then if it is still used.
    pub idle_watched: bool,
    /// Why the connection is to be closed, if it is.
    pub to_close: Option<String>,
    /// When the last byte came, milliseconds on the worker's clock.
    pub last_input_ms: u64,
    /// When the last request was pushed.
    pub last_used_ms: u64,
    setup: OutBuffer,
    setup_written: u64,
    setup_steps: VecDeque<SetupStep>,
    out: OutBuffer,
    queue: VecDeque<Awaited>,
    pushed: u64,
    written: u64,
    expired: usize,
    input: BytesMut,
    scan: ReplyScan,
}

impl Lane {
    /// A lane without a connection.
    pub fn new(pool: u16, shard: ShardIndex, protocol: u8) -> Self {
        Self {
            pool,
            shard,
            protocol,
            state: LaneState::Closed { retry_at_ms: 0 },
            last_fault: String::new(),
            attempts: 0,
            is_private: false,
            is_subscriber: false,
            is_idle: false,
            is_lent: false,
            is_spent: false,
            client_number: None,
            multi_allowed: true,
            selects_databases: true,
            database: 0,
            scripts: HashSet::new(),
            to_wake: false,
            timer_set: false,
            paused_until_ms: 0,
            accounted: 0,
            idle_watched: false,
            to_close: None,
            last_input_ms: 0,
            last_used_ms: 0,
            setup: OutBuffer::default(),
            setup_written: 0,
            setup_steps: VecDeque::new(),
            out: OutBuffer::default(),
            queue: VecDeque::new(),
            pushed: 0,
            written: 0,
            expired: 0,
            input: BytesMut::new(),
            scan: ReplyScan::default(),
        }
    }

    /// Where its requests go.
    pub(crate) fn target(&self) -> Target {
        Target {
            pool: self.pool,
            shard: self.shard,
            protocol_index: usize::from(self.protocol == 3),
            database: self.database,
        }
    }

    /// Appends `skipped + 1` whole requests in one piece: the replies of the first `skipped` belong to nobody, the
    /// last one's to `owner`. All count as taken by the kernel only when the last byte is.
    #[inline]
    pub fn push(
        &mut self,
        request: Piece<'_>,
        skipped: usize,
        owner: Owner,
        deadline_ms: u64,
        spare: &mut Spare,
    ) {
        self.pushed += request.bytes().len() as u64;
        self.out.push(request, spare);
        for _ in 0..skipped {
            let nobody = Awaited { owner: Owner::Nobody, end: self.pushed, deadline_ms };
            self.queue.push_back(nobody);
        }
        self.queue.push_back(Awaited { owner, end: self.pushed, deadline_ms });
    }

    /// Selects another database for the requests from here on.
    pub fn select(&mut self, database: u16, deadline_ms: u64, spare: &mut Spare) {
        let mut request = Vec::new();
        let number = database.to_string();
        write::request(&mut request, [b"SELECT".as_slice(), number.as_bytes()].into_iter());
        self.push(Piece::borrowed(&request), 0, Owner::Select, deadline_ms, spare);
        self.database = database;
    }

    /// Whether a change to another database is among the requests.
    pub fn has_selects(&self) -> bool {
        self.queue.iter().any(|awaited| awaited.owner == Owner::Select)
    }

    /// Whether a MULTI..EXEC is among the requests.
    pub fn has_groups(&self) -> bool {
        self.queue.iter().any(|awaited| awaited.owner == Owner::Nobody)
    }

    /// Whether a connection is there or on its way, and one more request stays within `bound`.
    #[inline]
    pub fn takes(&self, bound: ShardQueue) -> bool {
        !matches!(self.state, LaneState::Closed { .. }) && !self.is_full(bound)
    }

    /// Whether one more request would be beyond `bound`.
    #[inline]
    pub fn is_full(&self, bound: ShardQueue) -> bool {
        self.awaited() >= bound.requests || (self.out.len() > bound.bytes && !self.is_private)
    }

    /// The session that the next reply belongs to, if it is a session's and no other value may come first.
    #[inline]
    pub fn next_session(&self) -> Option<(SessionId, Place)> {
        match (&self.state, self.queue.front()?.owner) {
            (LaneState::Ready, Owner::Session(id, place)) => Some((id, place)),
            _ => None,
        }
    }

    /// Number of replies awaited.
    pub fn awaited(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that this lane holds now.
    pub fn bytes_held(&self) -> usize {
        self.out.len() + self.input.len()
    }

    /// The input with room for the next read.
    pub fn room_for_input(&mut self) -> &mut BytesMut {
        reserve_input(&mut self.input, self.scan.expected());
        &mut self.input
    }

    /// Begins the set-up of a fresh connection: the steps, and the bytes that ask for them.
    pub fn begin_setup(&mut self, (steps, request): (Vec<SetupStep>, Vec<u8>), spare: &mut Spare) {
        self.setup.clear(spare);
        self.setup.push(Piece::borrowed(&request), spare);
        self.setup_steps = steps.into();
        self.state = LaneState::SettingUp;
    }

    /// Takes the step of the set-up that the next reply belongs to.
    pub fn next_setup_step(&mut self) -> Option<SetupStep> {
        self.setup_steps.pop_front()
    }

    /// Whether every step of the set-up is answered.
    pub fn setup_done(&self) -> bool {
        self.setup_steps.is_empty()
    }

    /// What may be written now, and the count of bytes that the kernel has taken of it, which the writer keeps up to
    /// date; `None` when there is no connection. Requests wait for the end of the set-up.
    pub fn writing(&mut self) -> Option<(&mut OutBuffer, &mut u64)> {
        match self.state {
            LaneState::Ready => Some((&mut self.out, &mut self.written)),
            LaneState::SettingUp => Some((&mut self.setup, &mut self.setup_written)),
            LaneState::Closed { .. } | LaneState::Connecting => None,
        }
    }

    /// The next whole reply in `buffer`, which starts at a reply's first byte.
    pub fn scan(&mut self, buffer: &[u8]) -> ReplyScanned {
        let verdict = self.scan.scan(buffer);
        if matches!(verdict, ReplyScanned::Complete { .. }) {
            self.scan.reset();
        }
        verdict
    }

    /// Takes the owner of the next reply; `None` when no reply is awaited.
    pub fn take_owner(&mut self) -> Option<Owner> {
        let awaited = self.queue.pop_front()?;
        self.expired = self.expired.saturating_sub(1);
        Some(awaited.owner)
    }

    /// The input that waits for the rest of its reply.
    pub fn input_mut(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// When the oldest request that has not timed out will do so.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.queue.get(self.expired).map(|awaited| awaited.deadline_ms)
    }

    /// Takes the owner of the oldest request if its time is over; its reply will be skipped.
    pub fn expire_one(&mut self, now_ms: u64) -> Option<Owner> {
        let awaited = self.queue.get_mut(self.expired)?;
        if awaited.deadline_ms > now_ms {
            return None;
        }
        self.expired += 1;
        Some(std::mem::replace(&mut awaited.owner, Owner::Nobody))
    }

    /// Whether a request has timed out whose reply is still due.
    pub fn is_late(&self) -> bool {
        self.expired > 0
    }

    /// Ends the connection: gives every owner with whether its request may have run, and forgets all bytes.
    pub fn close(&mut self, retry_at_ms: u64, spare: &mut Spare) -> Vec<(Owner, MayHaveRun)> {
        let written = self.written;
        let owners = self
            .queue
            .drain(..)
            .filter(|awaited| !matches!(awaited.owner, Owner::Nobody | Owner::Select | Owner::Load))
            .map(|awaited| (awaited.owner, MayHaveRun(awaited.end <= written)))
            .collect();
        self.state = LaneState::Closed { retry_at_ms };
        self.out.clear(spare);
        self.setup.clear(spare);
        self.setup_steps.clear();
        self.input = BytesMut::new();
        self.scan.reset();
        self.pushed = 0;
        self.written = 0;
        self.expired = 0;
        self.paused_until_ms = 0;
        self.multi_allowed = true;
        self.selects_databases = true;
        self.database = 0;
        self.scripts = HashSet::new();
        self.to_close = None;
        if self.queue.capacity() > limits::QUEUE_KEPT_ENTRIES {
            self.queue = VecDeque::new();
        }
        owners
    }

    /// Gives memory back that a burst needed.
    pub fn shrink(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > limits::QUEUE_KEPT_ENTRIES {
            self.queue = VecDeque::new();
        }
        if self.input.is_empty() && self.input.capacity() > limits::SPARE_BUFFER_BYTES_MAX {
            self.input = BytesMut::new();
        }
    }
}

/// Whether a request's last byte was taken by the kernel, so that the shard may have carried it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayHaveRun(pub bool);

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(place: u32) -> Owner {
        Owner::Session(SessionId::default(), place)
    }

    fn write(lane: &mut Lane, count: usize, spare: &mut Spare) {
        let (out, written) = lane.writing().unwrap();
        out.advance(count, spare);
        *written += count as u64;
    }

    fn ready_lane() -> Lane {
        Lane { state: LaneState::Ready, ..Lane::new(0, 0, 2) }
    }

    #[test]
    fn lane_that_breaks_knows_which_requests_may_have_run() {
        let mut spare = Spare::default();
        let mut lane = ready_lane();
        for place in 0..3 {
            lane.push(Piece::borrowed(b"12345"), 0, owner(place), u64::MAX, &mut spare);
        }
        write(&mut lane, 9, &mut spare);
        let ran: Vec<_> = lane.close(0, &mut spare).into_iter().map(|(_, ran)| ran.0).collect();
        assert_eq!(ran, [true, false, false]);
        assert_eq!(lane.awaited(), 0);
        assert!(lane.out.is_empty());
    }

    #[test]
    fn request_that_timed_out_keeps_its_place_so_that_its_late_reply_is_skipped() {
        let mut spare = Spare::default();
        let mut lane = ready_lane();
        lane.push(Piece::borrowed(b"a"), 0, owner(0), 10, &mut spare);
        lane.push(Piece::borrowed(b"b"), 0, owner(1), 20, &mut spare);
        assert_eq!(lane.expire_one(9), None);
        assert_eq!(lane.expire_one(10), Some(owner(0)));
        assert_eq!(lane.expire_one(10), None);
        assert_eq!(lane.next_deadline_ms(), Some(20));
        assert!(lane.is_late());
        assert_eq!(lane.take_owner(), Some(Owner::Nobody));
        assert!(!lane.is_late());
        assert_eq!(lane.take_owner(), Some(owner(1)));
        assert_eq!(lane.take_owner(), None);
    }

    #[test]
    fn lane_in_set_up_holds_requests_back() {
        let mut spare = Spare::default();
        let mut lane = Lane::new(0, 0, 2);
        lane.state = LaneState::Connecting;
        lane.push(Piece::borrowed(b"GET"), 0, owner(0), u64::MAX, &mut spare);
        assert!(lane.writing().is_none());
        lane.begin_setup((vec![SetupStep::Auth], b"AUTH".to_vec()), &mut spare);
        assert_eq!(lane.writing().unwrap().0.front(), b"AUTH");
        write(&mut lane, 4, &mut spare);
        assert!(lane.writing().unwrap().0.is_empty());
        assert_eq!(lane.next_setup_step(), Some(SetupStep::Auth));
        assert!(lane.setup_done());
        lane.state = LaneState::Ready;
        assert_eq!(lane.writing().unwrap().0.front(), b"GET");
    }
}

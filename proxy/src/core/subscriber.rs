//! The connections that are subscribed at the shards, and the messages that come over them.
//!
//! ```text
//!   topics ─► SUBSCRIBE x (one request per name) ─► lane of the shard ─► shard
//!   sessions that subscribe x ◄── the message's own bytes ◄── lane ◄────┘      RESP3: `>` in place of `*`
//! ```
//! One lane per shard and pool, RESP2, opened on the first subscription and closed when none has been left for a while.
//! Channels and patterns are subscribed at every shard, since keyspace events and PUBLISH inside a script happen where
//! the key is; a shard channel at its own shard. A lane that breaks comes back by itself and asks for all that is
//! wanted: clients miss the messages of that time and notice nothing else. It is never paused: a client that does not
//! take its messages is cut at `client_output`.

use bytes::Bytes;

use crate::buffer::Piece;
use crate::command::rule::ChannelKind;
use crate::core::Core;
use crate::core::confirm::Confirmation;
use crate::core::hot::Apart;
use crate::core::ids::{ConfirmationId, LaneId, SessionId};
use crate::core::lane::{Lane, LaneState, Owner};
use crate::core::pubsub::{subscribe_word, unsubscribe_word};
use crate::core::session::Closing;
use crate::core::timer::Timer;
use crate::limits;
use crate::resp::value::head;
use crate::resp::write::{self, Protocol};
use crate::topology::ShardIndex;

/// How messages begin, by what they come from.
const MESSAGES: [(&[u8], ChannelKind); 3] = [
    (b"*3\r\n$7\r\nmessage\r\n", ChannelKind::Channel),
    (b"*4\r\n$8\r\npmessage\r\n", ChannelKind::Pattern),
    (b"*3\r\n$8\r\nsmessage\r\n", ChannelKind::Shard),
];

impl Core {
    /// The lanes over which these names are to be subscribed, opened where they are not; without those of shards that
    /// cannot be reached now.
    pub(crate) fn subscriber_lanes(
        &mut self,
        pool: u16,
        kind: ChannelKind,
        names: &[Bytes],
    ) -> Vec<(ShardIndex, LaneId)> {
        let mut shards = self.shards_of(pool, kind, names);
        shards.sort_unstable();
        shards.dedup();
        let mut lanes = Vec::with_capacity(shards.len());
        for shard in shards {
            if let Some(lane) = self.subscriber_lane(pool, shard)
                && self.open_subscriber(lane)
            {
                lanes.push((shard, lane));
            }
        }
        lanes
    }

    /// The shards at which names of this kind are subscribed.
    fn shards_of(&self, pool: u16, kind: ChannelKind, names: &[Bytes]) -> Vec<ShardIndex> {
        let Some(pool) = self.pools.get(usize::from(pool)) else {
            return Vec::new();
        };
        let topology = &pool.topology;
        match kind {
            ChannelKind::Channel | ChannelKind::Pattern => (0..).take(topology.len()).collect(),
            ChannelKind::Shard => {
                names.iter().map(|name| topology.shard_of_channel(name)).collect()
            }
        }
    }

    fn subscriber_lane(&mut self, pool_index: u16, shard: ShardIndex) -> Option<LaneId> {
        let pool = self.pools.get_mut(usize::from(pool_index))?;
        let slot = pool.topics.lanes.get_mut(usize::from(shard))?;
        if slot.is_none() {
            let mut lane = Lane::new(pool_index, shard, 2);
            lane.is_subscriber = true;
            *slot = Some(self.lanes.insert(lane));
        }
        *slot
    }

    /// Whether the lane has a connection or is getting one; a fresh one asks for all that is wanted.
    fn open_subscriber(&mut self, id: LaneId) -> bool {
        let was_closed =
            self.lanes.get(id).is_some_and(|lane| matches!(lane.state, LaneState::Closed { .. }));
        if !self.usable_lane(id) {
            return false;
        }
        // It was about to be closed because nothing was wanted.
        if let Some(lane) = self.lanes.get_mut(id).filter(|lane| !lane.is_late()) {
            lane.to_close = None;
        }
        if was_closed {
            for (kind, name) in self.wanted_of(id) {
                self.ask_name(id, subscribe_word(kind), &name, ConfirmationId::default());
            }
        }
        true
    }

    /// What is wanted over a lane.
    fn wanted_of(&self, id: LaneId) -> Vec<(ChannelKind, Bytes)> {
        let lane = self.lanes.get(id);
        let pool = lane.and_then(|lane| self.pools.get(usize::from(lane.pool)));
        let Some((lane, pool)) = lane.zip(pool) else {
            return Vec::new();
        };
        let of = |kind| pool.topics.wanted(kind).into_iter().map(move |name| (kind, name));
        let is_ours = |name: &Bytes| pool.topology.shard_of_channel(name) == lane.shard;
        of(ChannelKind::Channel)
            .chain(of(ChannelKind::Pattern))
            .chain(of(ChannelKind::Shard).filter(|(_, name)| is_ours(name)))
            .collect()
    }

    /// Subscribes a session to the names of its confirmation. The shards are asked also for what they have confirmed to
    /// another session: what was published before comes before their answer, and is not for this one.
    pub(crate) fn ask_subscribe(
        &mut self,
        pool_index: u16,
        id: ConfirmationId,
        lanes: &[(ShardIndex, LaneId)],
    ) {
        let Some(Confirmation { session, kind, names, .. }) = self.confirmations.get(id) else {
            return;
        };
        let (session, kind, names) = (*session, *kind, names.clone());
        for name in &names {
            let Some(pool) = self.pools.get_mut(usize::from(pool_index)) else {
                return;
            };
            pool.topics.add(kind, name, session);
            let only = match kind {
                ChannelKind::Channel | ChannelKind::Pattern => None,
                ChannelKind::Shard => Some(pool.topology.shard_of_channel(name)),
            };
            for (_, lane) in lanes.iter().filter(|(at, _)| only.is_none_or(|only| only == *at)) {
                self.shard_is_asked(id);
                self.ask_name(*lane, subscribe_word(kind), name, id);
            }
        }
    }

    /// Unsubscribes, at the shards, what nobody of this worker wants.
    pub(crate) fn ask_unsubscribe(&mut self, pool: u16, kind: ChannelKind, names: &[&Bytes]) {
        for name in names {
            for shard in self.shards_of(pool, kind, std::slice::from_ref(*name)) {
                let topics = self.pools.get(usize::from(pool)).map(|pool| &pool.topics);
                let lane = topics.and_then(|topics| *topics.lanes.get(usize::from(shard))?);
                let is_open = |id: &LaneId| {
                    let lane = self.lanes.get(*id);
                    lane.is_some_and(|lane| !matches!(lane.state, LaneState::Closed { .. }))
                };
                if let Some(lane) = lane.filter(is_open) {
                    self.ask_name(lane, unsubscribe_word(kind), name, ConfirmationId::default());
                }
            }
        }
    }

    /// Sends one request of one name, which a shard answers once. A lane takes as many as there are subscriptions.
    fn ask_name(&mut self, id: LaneId, word: &str, name: &[u8], confirmation: ConfirmationId) {
        let mut request = self.spare.take();
        write::request(&mut request, [word.as_bytes(), name].into_iter());
        self.send_to_subscriber(id, &request, confirmation);
        self.spare.give(request);
    }

    fn send_to_subscriber(&mut self, id: LaneId, request: &[u8], confirmation: ConfirmationId) {
        let Apart { lanes, pools, mut hands, .. } = self.apart();
        if let Some(lane) = lanes.get_mut(id)
            && let Some(pool) = pools.get(usize::from(lane.pool))
        {
            let owner = Owner::Subscriber(confirmation);
            hands.send((id, lane), 0, (Piece::borrowed(request), 0), owner, pool.timeout_ms);
        }
    }

    /// The connection of a subscriber lane is over: another one is opened, if anything is wanted.
    pub(crate) fn subscriber_closed(&mut self, id: LaneId) {
        let is_wanted = !self.wanted_of(id).is_empty();
        let Some(lane) = self.lanes.get(id) else {
            return;
        };
        if let LaneState::Closed { retry_at_ms } = lane.state
            && is_wanted
        {
            let at_ms = retry_at_ms.max(self.clock.now_ms + 1);
            return self.timers.set(at_ms, Timer::SubscriberRetry(id));
        }
        let (pool, shard) = (lane.pool, lane.shard);
        if let Some(pool) = self.pools.get_mut(usize::from(pool))
            && let Some(slot) = pool.topics.lanes.get_mut(usize::from(shard))
        {
            *slot = None;
        }
        self.lanes.remove(id);
    }

    /// It is time to open a subscriber lane again.
    pub(crate) fn reopen_subscriber(&mut self, id: LaneId) {
        let Some(LaneState::Closed { .. }) = self.lanes.get(id).map(|lane| lane.state.clone())
        else {
            return;
        };
        if self.wanted_of(id).is_empty() || !self.open_subscriber(id) {
            self.subscriber_closed(id);
        }
    }

    /// Whether a silent subscriber lane is still wanted; if so, the shard is asked whether it is still there.
    pub(crate) fn keep_subscriber(&mut self, id: LaneId) -> bool {
        let is_wanted = !self.wanted_of(id).is_empty();
        if is_wanted {
            let mut request = Vec::new();
            write::request(&mut request, [b"PING".as_slice()].into_iter());
            self.send_to_subscriber(id, &request, ConfirmationId::default());
        }
        is_wanted
    }

    /// Takes what came over a subscriber lane if it is a message.
    pub(crate) fn take_message(&mut self, id: LaneId, reply: Piece<'_>) -> bool {
        let bytes = reply.bytes();
        let found =
            MESSAGES.iter().find_map(|(start, kind)| Some((bytes.strip_prefix(*start)?, *kind)));
        let Some((rest, kind)) = found else {
            return false;
        };
        if let Some(name) = first_bulk(rest)
            && let Some(lane) = self.lanes.get(id)
        {
            self.deliver(lane.pool, kind, name, reply);
        }
        true
    }

    /// Gives a message to all who subscribe the channel or pattern `name`.
    fn deliver(&mut self, pool: u16, kind: ChannelKind, name: &[u8], message: Piece<'_>) {
        let Some(pool) = self.pools.get(usize::from(pool)) else {
            return;
        };
        let bound = pool.config.client_output_bytes;
        let mut receivers = std::mem::take(&mut self.receivers);
        receivers.extend(pool.topics.receivers(kind, name));
        let bytes = message.bytes();
        // Long ones are shared by all who get them.
        let is_shared = bytes.len() >= limits::TURN_SHARE_BYTES_MIN;
        let shared = match message.shares() {
            Some(shared) => shared.clone(),
            None if is_shared => Bytes::copy_from_slice(bytes),
            None => Bytes::new(),
        };
        let mut pushed: Option<Bytes> = None;
        for id in receivers.drain(..) {
            let protocol = self.sessions.get(id).map(|session| session.identity.protocol);
            let piece = match protocol {
                None => continue,
                Some(Protocol::Resp2) if is_shared => Piece::shared(&shared),
                Some(Protocol::Resp2) => Piece::borrowed(bytes),
                Some(Protocol::Resp3) => {
                    let pushed = pushed.get_or_insert_with(|| as_push(bytes));
                    if is_shared { Piece::shared(pushed) } else { Piece::borrowed(pushed) }
                }
            };
            self.push_message(id, bound, piece);
        }
        self.receivers = receivers;
    }

    /// Puts a message behind all that a session has been given. One that leaves too much untaken is cut.
    fn push_message(&mut self, id: SessionId, bound: usize, message: Piece<'_>) {
        let has_no_room = self.bytes_held > self.bytes_max;
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if session.closing > Closing::AfterRead {
            return;
        }
        let waiting = session.subscriptions.as_ref().and_then(|all| all.held.as_ref());
        let held = session.output_held() + waiting.map_or(0, Vec::len);
        let is_slow = held > 0 && held + message.bytes().len() > bound;
        if is_slow || (has_no_room && held > limits::TURN_BYTES_MAX) {
            self.stats.clients_cut += 1;
            return self.end_session(id, Closing::Now);
        }
        self.stats.messages += 1;
        let session = self.sessions.get_mut(id);
        let waiting = session.and_then(|session| session.subscriptions.as_mut()?.held.as_mut());
        if let Some(waiting) = waiting {
            return waiting.extend_from_slice(message.bytes());
        }
        self.give_message(id, message);
    }

    /// A session's SUBSCRIBE has been confirmed: gives it what came meanwhile.
    pub(crate) fn release_held(&mut self, id: SessionId) {
        let session = self.sessions.get_mut(id);
        let held = session.and_then(|session| session.subscriptions.as_mut()?.held.take());
        if let Some(held) = held.filter(|held| !held.is_empty()) {
            self.give_message(id, Piece::borrowed(&held));
        }
    }

    fn give_message(&mut self, id: SessionId, message: Piece<'_>) {
        let Apart { sessions, mut hands, .. } = self.apart();
        if let Some(session) = sessions.get_mut(id) {
            hands.push((id, session), message);
            if session.output_held() > limits::OUTPUT_ACCOUNTED_BYTES {
                self.account_session(id);
            }
        }
    }
}

/// A message in RESP3: the same as a push.
fn as_push(message: &[u8]) -> Bytes {
    let mut push = message.to_vec();
    if let Some(mark) = push.first_mut() {
        *mark = b'>';
    }
    push.into()
}

/// The bulk string at the start of `bytes`.
fn first_bulk(bytes: &[u8]) -> Option<&[u8]> {
    let head = head(bytes).filter(|head| head.kind == b'$')?;
    let len = usize::try_from(head.number()?).ok()?;
    bytes.get(head.len..head.len.checked_add(len)?)
}

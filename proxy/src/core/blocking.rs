//! Commands that wait at their shard: BLPOP and its like, XREAD BLOCK.
//!
//! ```text
//!   all earlier replies are here ──► private lane ──► shard (waits) ──► reply ──► the session's place, next request
//!        the client goes away ─────► the lane is closed: the shard takes no element for it
//!        CLIENT UNBLOCK, drain ────► the shard is told to end the wait (`unblock`); its reply comes as any other
//! ```
//! A session that waits costs nothing but its two connections: no timer, no turn. The shard keeps the time; the lane's
//! deadline lies the pool's time-out behind it, and there is none for a command that waits without end. Then the set-up
//! of its lane has the time-out, and TCP's keepalive finds a shard that is gone without a word.
//! WAIT uses the same (`wait`), with one lane for each shard that it asks.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::waiting::{Waits, waits};
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::ids::{BlockedId, LaneId, SessionId};
use crate::core::lane::Owner;
use crate::core::wait::ActiveWait;
use crate::pending::Place;
use crate::resp::args::Args;
use crate::resp::write;
use crate::topology::ShardIndex;

/// A command that waits at shards.
#[derive(Debug)]
pub(crate) struct Blocked {
    pub(crate) session: SessionId,
    pub(crate) place: Place,
    /// Its lanes; `None` = that one has answered.
    pub(crate) lanes: Vec<Option<LaneId>>,
    /// What it has heard, if it is a WAIT.
    pub(crate) wait: Option<ActiveWait>,
}

impl Core {
    /// Whether a request goes out alone because it may wait at shards. In MULTI none does.
    pub(crate) fn waits_at_shards(
        &self,
        id: SessionId,
        spec: &CommandSpec,
        args: &Args<'_>,
    ) -> bool {
        let in_multi = self.sessions.get(id).is_some_and(|session| session.transaction.is_some());
        !in_multi && waits(spec, args) != Waits::Never
    }

    /// Sends a command that may wait at its shard.
    pub(crate) fn forward_blocking(
        &mut self,
        id: SessionId,
        shard: ShardIndex,
        waits: Waits,
        piece: Piece<'_>,
    ) {
        if self.draining {
            return self.refuse_next(id, "UNBLOCKED the gateway is stopping; not sent");
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let target = session.target(shard);
        let Some((place, lanes)) = self.lanes_to_wait_on(id, &[target]) else {
            return;
        };
        let blocked = Blocked { session: id, place, lanes, wait: None };
        for (lane, owner) in self.block(blocked) {
            self.forward_waiting(lane, target, (piece, 0), owner, waits.ms());
        }
    }

    /// Takes the session's next place and a private lane for each target; `None` if it has been answered with an error.
    pub(crate) fn lanes_to_wait_on(
        &mut self,
        id: SessionId,
        targets: &[Target],
    ) -> Option<(Place, Vec<Option<LaneId>>)> {
        let session = self.sessions.get_mut(id)?;
        let place = session.pending.push();
        let owner = Owner::Session(id, place);
        if let Some(target) = targets.iter().find(|target| self.is_unreachable(**target)) {
            self.refuse_unreachable(*target, owner);
            return None;
        }
        let mut lanes = Vec::with_capacity(targets.len());
        for target in targets {
            let Some(lane) = self.private_lane(*target) else {
                lanes.into_iter().flatten().for_each(|lane| self.rest_lane(lane));
                self.refuse_private(*target, owner);
                return None;
            };
            lanes.push(Some(lane));
        }
        Some((place, lanes))
    }

    /// Notes that a session waits; gives its lanes, and the owner of what each of them is sent.
    pub(crate) fn block(&mut self, blocked: Blocked) -> Vec<(LaneId, Owner)> {
        let (session, place) = (blocked.session, blocked.place);
        let lanes: Vec<LaneId> = blocked.lanes.iter().copied().flatten().collect();
        let id = self.blocked.insert(blocked);
        self.stats.clients_blocked += 1;
        if let Some(session) = self.sessions.get_mut(session) {
            session.alone_place = Some(place);
            session.blocked = Some(id);
        }
        (0..).zip(lanes).map(|(number, lane)| (lane, Owner::Blocked(id, number))).collect()
    }

    /// Takes the reply of one lane.
    pub(crate) fn settle_blocked(&mut self, id: BlockedId, number: u32, reply: Piece<'_>) {
        let Some(blocked) = self.blocked.get_mut(id) else {
            return;
        };
        if blocked.wait.is_some() {
            return self.settle_wait(id, number, reply.bytes());
        }
        self.answer_blocked(id, reply);
    }

    /// Answers the command: its session goes on.
    pub(crate) fn answer_blocked(&mut self, id: BlockedId, reply: Piece<'_>) {
        if let Some(blocked) = self.forget_blocked(id) {
            self.answer(blocked.session, blocked.place, reply);
        }
    }

    /// One lane will not answer. It is closed, so that the shard takes no element for nobody.
    pub(crate) fn fail_blocked(&mut self, id: BlockedId, number: u32, text: &str) {
        let Some(blocked) = self.blocked.get(id) else {
            return;
        };
        if let Some(lane) = blocked.lanes.get(number as usize).copied().flatten() {
            self.close_lane(lane, "kept a client waiting");
        }
        let mut reply = self.spare.take();
        write::error(&mut reply, text);
        if self.blocked.get(id).is_some_and(|blocked| blocked.wait.is_some()) {
            self.fail_wait(id, &reply);
        } else {
            self.answer_blocked(id, Piece::borrowed(&reply));
        }
        self.spare.give(reply);
    }

    /// Cancels what a session waits for, since its client is gone: the place is left without a reply.
    pub(crate) fn cancel_blocked(&mut self, id: SessionId) {
        let blocked = self.sessions.get(id).and_then(|session| session.blocked);
        let Some(blocked) = blocked.and_then(|blocked| self.forget_blocked(blocked)) else {
            return;
        };
        for lane in blocked.lanes.into_iter().flatten() {
            self.close_lane(lane, "waited for a client that is gone");
        }
        self.answer(id, blocked.place, Piece::borrowed(b""));
    }

    fn forget_blocked(&mut self, id: BlockedId) -> Option<Blocked> {
        let blocked = self.blocked.remove(id)?;
        self.stats.clients_blocked = self.stats.clients_blocked.saturating_sub(1);
        if let Some(session) = self.sessions.get_mut(blocked.session) {
            session.blocked = None;
        }
        Some(blocked)
    }
}

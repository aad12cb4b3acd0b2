//! Bringing answers to those who await them.
//!
//! `settle` takes a shard's reply, `fail` takes the gateway's own word that there is none; both end at the owner:
//! a session's place, a part of a split request, an operation of a plugin's task, or nobody. Owners are found by id,
//! so what comes for a session that is gone is dropped here.
//! A client that does not take its replies is read no more and, without progress, cut.

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::hot::Apart;
use crate::core::ids::{LaneId, SessionId};
use crate::core::lane::Owner;
use crate::core::session::Closing;
use crate::core::timer::Timer;
use crate::limits;
use crate::pending::Place;
use crate::plugin::given::Status;
use crate::resp::write;

impl Core {
    /// Gives `reply` to its owner.
    pub(crate) fn settle(&mut self, owner: Owner, reply: Piece<'_>) {
        match owner {
            Owner::Session(session, place) => self.answer(session, place, reply),
            Owner::Part(join, part) => self.settle_part(join, part, reply.bytes()),
            Owner::Gather(gather, number) => self.settle_gather(gather, number, reply.bytes()),
            Owner::Task(task, number) => {
                self.settle_task(task, number, Status::Reply, reply.bytes());
            }
            Owner::Watch(session, place) => self.settle_watch(session, place, reply),
            Owner::Exec(exec, part) => self.settle_exec(exec, part, reply),
            Owner::Guard(guard) => self.settle_guard(guard, reply),
            Owner::Blocked(blocked, number) => self.settle_blocked(blocked, number, reply),
            Owner::Unblock(unblock, number) => self.settle_unblock(unblock, number, reply.bytes()),
            Owner::Script(script) => self.settle_script(script, reply),
            Owner::Publish(publish) => self.settle_publish(publish, reply),
            Owner::Subscriber(confirmation) => {
                let refusal = Some(reply.bytes()).filter(|reply| reply.first() == Some(&b'-'));
                self.shard_confirmed(confirmation, refusal);
            }
            Owner::Select | Owner::Load | Owner::Nobody => {}
        }
    }

    /// Tells the owner that its request has no reply, and why.
    pub(crate) fn fail(&mut self, owner: Owner, text: &str) {
        let mut owner = owner;
        match owner {
            Owner::Select | Owner::Load | Owner::Nobody => return,
            Owner::Task(task, number) => {
                return self.settle_task(task, number, Status::BackendError, text.as_bytes());
            }
            Owner::Guard(guard) => return self.fail_guard(guard, text),
            Owner::Subscriber(confirmation) => return self.shard_confirmed(confirmation, None),
            Owner::Watch(session, place) => {
                self.watch_failed(session);
                owner = Owner::Session(session, place);
            }
            Owner::Exec(exec, part) if self.is_aborted(exec, text) => {
                return self.abort_exec(exec, part);
            }
            Owner::Blocked(blocked, number) => return self.fail_blocked(blocked, number, text),
            Owner::Unblock(unblock, number) => return self.fail_unblock(unblock, number, text),
            Owner::Session(..)
            | Owner::Part(..)
            | Owner::Gather(..)
            | Owner::Script(_)
            | Owner::Exec(..)
            | Owner::Publish(_) => {}
        }
        let mut reply = self.spare.take();
        write::error(&mut reply, text);
        self.settle(owner, Piece::borrowed(&reply));
        self.spare.give(reply);
    }

    /// Fills a place of a session.
    pub(crate) fn answer(&mut self, id: SessionId, place: Place, reply: Piece<'_>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if session.output_held() > limits::OUTPUT_ACCOUNTED_BYTES && self.cut_if_too_much(id) {
            return;
        }
        let Apart { sessions, mut hands, .. } = self.apart();
        if let Some(session) = sessions.get_mut(id) {
            hands.fill((id, session), place, reply);
            if session.output_held() > limits::OUTPUT_ACCOUNTED_BYTES {
                self.account_session(id);
            }
        }
    }

    /// Cuts a client that holds more than it may leave untaken while the worker's memory budget is used up. Before that,
    /// such a client is only read no more and has time to take what is there. Says whether it did.
    pub(crate) fn cut_if_too_much(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else {
            return false;
        };
        let pool = self.pools.get(usize::from(session.pool));
        let bound = pool.map_or(usize::MAX, |pool| pool.config.client_output_bytes);
        if self.bytes_held <= self.bytes_max || session.output_held() <= bound {
            return false;
        }
        self.stats.clients_cut += 1;
        self.end_session(id, Closing::Now);
        true
    }

    /// Lets a lane wait for a client that holds more than it may leave untaken, once until it has taken half of it: so
    /// a client that is only slower than its shard is not cut, and one that takes nothing delays the others little.
    pub(crate) fn pause_lane_for(&mut self, id: SessionId, lane_id: LaneId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let pool = self.pools.get(usize::from(session.pool));
        let bound = pool.map_or(usize::MAX, |pool| pool.config.client_output_bytes);
        if session.paused_lane.is_some() || session.output_held() <= bound {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(lane_id) {
            session.paused_lane = Some(lane_id);
            lane.paused_until_ms = self.clock.now_ms + limits::LANE_PAUSE_MS;
            self.timers.set(lane.paused_until_ms, Timer::LanePaused(lane_id));
        }
    }

    /// Whether nothing is to be read from a lane now.
    pub fn lane_paused(&self, id: LaneId) -> bool {
        self.lanes.get(id).is_some_and(|lane| lane.paused_until_ms > self.clock.now_ms)
    }

    /// Answers the next place of a session with the gateway's own words.
    pub(crate) fn answer_next(&mut self, id: SessionId, reply: &[u8]) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let place = session.pending.push();
        self.answer(id, place, Piece::borrowed(reply));
    }

    /// Answers the next place of a session with an error.
    pub(crate) fn refuse_next(&mut self, id: SessionId, text: &str) {
        self.stats.requests_refused += 1;
        let mut reply = self.spare.take();
        write::error(&mut reply, text);
        self.answer_next(id, &reply);
        self.spare.give(reply);
    }

    /// Looks whether a session that held much output has taken some of it.
    pub(crate) fn check_stalled(&mut self, id: SessionId, written_before: u64) {
        let now_ms = self.clock.now_ms;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let bound = self
            .pools
            .get(usize::from(session.pool))
            .map_or(usize::MAX, |pool| pool.config.client_output_bytes);
        let held = session.output_held();
        if held <= limits::CLIENT_OUTPUT_WATCHED_BYTES {
            session.stall_watched = false;
            return;
        }
        let over = held > bound || self.bytes_held > self.bytes_max;
        // What waits for an earlier reply is not the client's to take.
        if over && session.written == written_before && !session.out.is_empty() {
            self.stats.clients_cut += 1;
            return self.end_session(id, Closing::Now);
        }
        let timer = Timer::SessionStalled(id, session.written);
        self.timers.set(now_ms + limits::CLIENT_STALL_MS, timer);
    }
}

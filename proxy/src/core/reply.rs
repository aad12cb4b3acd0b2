//! Bringing answers to those who await them.
//!
//! `settle` takes a shard's reply, `fail` takes the gateway's own word that there is none; both end at the owner:
//! a session's place, a part of a split request, an operation of a plugin's task, or nobody. Owners are found by id,
//! so what comes for a session that is gone is dropped here.
//! A client that does not take its replies is read no more and, without progress, cut.

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::hot::Apart;
use crate::core::ids::SessionId;
use crate::core::lane::Owner;
use crate::core::session::Closing;
use crate::core::timer::Timer;
use crate::limits;
use crate::pending::Place;
use crate::plugin::frame::Status;
use crate::resp::write;

impl Core {
    /// Gives `reply` to its owner.
    pub(crate) fn settle(&mut self, owner: Owner, reply: Piece<'_>) {
        match owner {
            Owner::Session(session, place) => self.answer(session, place, reply),
            Owner::Part(join, part) => self.settle_part(join, part, reply.bytes()),
            Owner::Task(task, number) => {
                self.settle_task(task, number, Status::Reply, reply.bytes());
            }
            Owner::Exec(exec) => self.settle_exec(exec, reply),
            Owner::Guard(guard) => self.settle_guard(guard, reply),
            Owner::Nobody => {}
        }
    }

    /// Tells the owner that its request has no reply, and why.
    pub(crate) fn fail(&mut self, owner: Owner, text: &str) {
        match owner {
            Owner::Nobody => return,
            Owner::Task(task, number) => {
                return self.settle_task(task, number, Status::BackendError, text.as_bytes());
            }
            Owner::Guard(guard) => return self.fail_guard(guard, text),
            Owner::Session(..) | Owner::Part(..) | Owner::Exec(_) => {}
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
        let held = session.output_held();
        if held > limits::CLIENT_OUTPUT_WATCHED_BYTES && self.is_over_hard_bound(id, held) {
            self.stats.clients_cut += 1;
            return self.end_session(id, Closing::Now);
        }
        let Apart { sessions, mut hands, .. } = self.apart();
        if let Some(session) = sessions.get_mut(id) {
            hands.fill((id, session), place, reply);
        }
    }

    /// Whether a client holds so much output already that it is cut instead of given more: twice its bound, since what
    /// it has asked for by the time it is read no more still comes.
    fn is_over_hard_bound(&self, id: SessionId, held: usize) -> bool {
        self.sessions
            .get(id)
            .and_then(|session| self.pools.get(usize::from(session.pool)))
            .is_some_and(|pool| held > pool.config.client_output_bytes.saturating_mul(2))
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
        if over && session.written == written_before {
            self.stats.clients_cut += 1;
            return self.end_session(id, Closing::Now);
        }
        let timer = Timer::SessionStalled(id, session.written);
        self.timers.set(now_ms + limits::CLIENT_STALL_MS, timer);
    }
}

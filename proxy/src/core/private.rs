//! Private lanes: connections to a shard that serve one request at a time.
//!
//! A large request would hold up everybody's small ones behind it on the shared lane, and so would its reply's way
//! back. So it waits until its session owes no earlier reply, goes out over a private lane, and the session's next
//! request waits for its reply: the client's order stays, and the others' requests pass on the shared lane.
//! A plugin's guarded transaction uses one too, since WATCH is a state of the connection (`guard`).
//! A private lane whose reply has come is kept for the next large request, until it has been unused for a minute.

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::ids::{LaneId, SessionId};
use crate::core::lane::{Lane, Owner};
use crate::limits;

impl Core {
    /// Whether a request of this many bytes is large for the session's pool.
    pub(crate) fn is_large(&self, id: SessionId, bytes: usize) -> bool {
        if bytes <= limits::LARGE_REQUEST_BYTES_MIN {
            return false;
        }
        self.sessions
            .get(id)
            .and_then(|session| self.pools.get(usize::from(session.pool)))
            .is_some_and(|pool| bytes > pool.config.large_request_bytes)
    }

    /// Sends a large request over a private lane; the session's next request waits for its reply.
    pub(crate) fn forward_large(&mut self, id: SessionId, target: Target, request: Piece<'_>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let place = session.pending.push();
        session.large_place = Some(place);
        let owner = Owner::Session(id, place);
        match self.private_lane(target) {
            Some(lane) => self.forward_on(lane, target, (request, 0), owner),
            None => {
                self.stats.overloads += 1;
                let name = self.shard_name(target);
                let text = format!("ERR shard {name} overloaded with large requests; not sent");
                self.fail(owner, &text);
            }
        }
    }

    /// A private lane that nobody uses, made if there is none.
    pub(crate) fn private_lane(&mut self, target: Target) -> Option<LaneId> {
        let pool = self.pools.get_mut(usize::from(target.pool))?;
        let fits = |lane: &Lane| {
            lane.shard == target.shard
                && usize::from(lane.protocol == 3) == target.protocol_index
                && lane.awaited() == 0
                && lane.to_close.is_none()
        };
        let lanes = &self.lanes;
        let idle = pool.private_lanes.iter().find(|id| lanes.get(**id).is_some_and(fits));
        if let Some(id) = idle {
            return Some(*id);
        }
        if pool.private_lanes.len() >= limits::PRIVATE_LANES_MAX {
            return None;
        }
        let protocol = if target.protocol_index == 1 { 3 } else { 2 };
        let mut lane = Lane::new(target.pool, target.shard, protocol);
        lane.is_private = true;
        let id = self.lanes.insert(lane);
        pool.private_lanes.push(id);
        Some(id)
    }

    /// Forgets a private lane whose connection is over.
    pub(crate) fn drop_private_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(id) else {
            return;
        };
        if !lane.is_private {
            return;
        }
        if let Some(pool) = self.pools.get_mut(usize::from(lane.pool)) {
            pool.private_lanes.retain(|other| *other != id);
        }
        self.lanes.remove(id);
    }
}

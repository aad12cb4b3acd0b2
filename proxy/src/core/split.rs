//! Split requests under way: one part per shard, joined into one reply.
//!
//! The plan says which keys go where (`route::split`), the join puts the replies together (`join`); this file only
//! sends the parts and brings their replies, or errors, to the join. The session's place is filled once, when the
//! last part has come; a session that is gone leaves its join to finish unseen.

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::ids::{JoinId, LaneId, SessionId};
use crate::core::lane::Owner;
use crate::join::Join;
use crate::pending::Place;
use crate::route::split::Split;
use crate::topology::ShardIndex;

/// A split request whose parts are under way.
#[derive(Debug)]
pub(crate) struct ActiveJoin {
    pub(crate) join: Join,
    /// The client whose request it is, and the place that it has.
    pub(crate) session: SessionId,
    pub(crate) place: Place,
    /// Who gets the joined reply: that place, or a part of another join.
    pub(crate) owner: Owner,
}

impl Core {
    /// Sends the parts of a request; their joined reply takes the session's next place. A large request's parts go over
    /// private lanes, each shard's one after another. If a shard has no room, nothing is sent.
    pub(crate) fn send_parts(&mut self, id: SessionId, split: Split, is_large: bool) {
        self.stats.requests_split += 1;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (pool, first) = (session.pool, session.target(0));
        let place = session.pending.push();
        if is_large {
            session.alone_place = Some(place);
        }
        let mut lanes: Vec<(ShardIndex, LaneId)> = Vec::new();
        for part in &split.parts {
            if lanes.iter().any(|(shard, _)| *shard == part.shard) {
                continue;
            }
            let target = Target { shard: part.shard, ..first };
            let lane = if is_large { self.private_lane(target) } else { self.lane_of(target) };
            let Some(lane) = lane.filter(|lane| !self.lane_is_full(*lane, pool)) else {
                self.stats.overloads += 1;
                lanes.iter().for_each(|(_, lane)| self.rest_lane(*lane));
                let text = format!("ERR shard {} overloaded; not sent", self.shard_name(target));
                return self.fail(Owner::Session(id, place), &text);
            };
            lanes.push((part.shard, lane));
        }
        let mut positions = Vec::with_capacity(split.parts.len());
        let mut requests = Vec::with_capacity(split.parts.len());
        for part in split.parts {
            positions.push(part.positions);
            requests.push((part.shard, part.request));
        }
        let join = Join::new(split.rule, split.is_write, split.keys, positions.into_iter());
        let join = self.joins.insert(ActiveJoin {
            join,
            session: id,
            place,
            owner: Owner::Session(id, place),
        });
        for (part, (shard, request)) in (0..).zip(requests) {
            let target = Target { shard, ..first };
            let owner = Owner::Part(join, part);
            let request = Piece::borrowed(&request);
            match lanes.iter().find(|(known, _)| *known == shard) {
                Some((_, lane)) => self.forward_on(*lane, target, (request, 0), owner),
                None => self.forward(target, request, owner),
            }
        }
    }

    /// Whether a lane takes no more.
    pub(crate) fn lane_is_full(&self, id: LaneId, pool: u16) -> bool {
        let pool = self.pools.get(usize::from(pool));
        let lane = self.lanes.get(id);
        pool.zip(lane).is_none_or(|(pool, lane)| lane.is_full(pool.config.shard_queue))
    }

    /// Gives the reply of one part to its join, and the joined reply to the session when it is the last.
    pub(crate) fn settle_part(&mut self, id: JoinId, part: u32, reply: &[u8]) {
        let Some(active) = self.joins.get_mut(id) else {
            return;
        };
        let kept_before = active.join.kept_bytes();
        let complete = active.join.fill(part as usize, reply);
        let kept = active.join.kept_bytes();
        let session_id = active.session;
        if let Some(session) = self.sessions.get_mut(session_id) {
            let gone = if complete { kept_before } else { 0 };
            let come = if complete { 0 } else { kept - kept_before };
            session.joining_bytes = session.joining_bytes + come - gone;
        }
        if complete {
            if let Some(active) = self.joins.remove(id) {
                let reply = bytes::Bytes::from(active.join.finish());
                self.settle(active.owner, Piece::borrowed(&reply));
            }
        } else if !self.cut_if_too_much(session_id) {
            self.account_session(session_id);
        }
    }
}

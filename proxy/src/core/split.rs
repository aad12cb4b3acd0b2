//! Split requests under way: one part per shard, joined into one reply.
//!
//! The plan says which keys go where (`route::split`), the join puts the replies together (`join`); this file only
//! sends the parts and brings their replies, or errors, to the join. The session's place is filled once, when the
//! last part has come; a session that is gone leaves its join to finish unseen.

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::ids::{JoinId, SessionId};
use crate::core::lane::Owner;
use crate::join::Join;
use crate::pending::Place;
use crate::route::split::Split;

/// A split request whose parts are under way.
#[derive(Debug)]
pub(crate) struct ActiveJoin {
    join: Join,
    session: SessionId,
    place: Place,
}

impl Core {
    /// Sends the parts of a request; their joined reply takes the session's next place.
    pub(crate) fn send_parts(&mut self, id: SessionId, split: Split) {
        self.stats.requests_split += 1;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (pool, protocol_index) = (session.pool, session.protocol_index());
        let place = session.pending.push();
        let mut positions = Vec::with_capacity(split.parts.len());
        let mut requests = Vec::with_capacity(split.parts.len());
        for part in split.parts {
            positions.push(part.positions);
            requests.push((part.shard, part.request));
        }
        let join = Join::new(split.rule, split.is_write, split.keys, positions.into_iter());
        let join = self.joins.insert(ActiveJoin { join, session: id, place });
        for (part, (shard, request)) in (0..).zip(requests) {
            let target = Target { pool, shard, protocol_index };
            self.forward(target, Piece::borrowed(&request), Owner::Part(join, part));
        }
    }

    /// Gives the reply of one part to its join, and the joined reply to the session when it is the last.
    pub(crate) fn settle_part(&mut self, id: JoinId, part: u32, reply: &[u8]) {
        let Some(active) = self.joins.get_mut(id) else {
            return;
        };
        if !active.join.fill(part as usize, reply) {
            return;
        }
        if let Some(active) = self.joins.remove(id) {
            let reply = bytes::Bytes::from(active.join.finish());
            self.answer(active.session, active.place, Piece::borrowed(&reply));
        }
    }
}

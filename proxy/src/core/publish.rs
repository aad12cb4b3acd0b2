//! PUBLISH and SPUBLISH.
//!
//! A message goes to one shard, that of its channel, in order with the session's other commands there; from that shard
//! it comes back to every worker with a subscriber. So each subscriber gets it once, also those that listen at the
//! shard past the gateway. The reply is the number of this gateway's sessions that it reaches, over all workers, as
//! known when the command came; what the shard itself counts are the gateway's connections.

use crate::buffer::Piece;
use crate::command::rule::ChannelKind;
use crate::core::Core;
use crate::core::ids::{PublishId, SessionId};
use crate::core::lane::Owner;
use crate::core::request::Request;
use crate::pending::Place;
use crate::resp::write;

/// A PUBLISH under way.
#[derive(Debug)]
pub(crate) struct ActivePublish {
    session: SessionId,
    place: Place,
    receivers: u64,
}

impl Core {
    /// Sends a message to the shard of its channel.
    pub(crate) fn publish(&mut self, id: SessionId, kind: ChannelKind, request: Request<'_>) {
        let is_large = self.is_large(id, request.args.raw().len());
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(pool) = self.pools.get(usize::from(session.pool)) else {
            return;
        };
        let channel = request.args.get(1).unwrap_or_default();
        let target = session.target(pool.topology.shard_of_channel(channel));
        let receivers = pool.topics.reach(kind, channel);
        let place = session.pending.push();
        let publish = ActivePublish { session: id, place, receivers };
        let owner = Owner::Publish(self.publishes.insert(publish));
        if !is_large {
            return self.forward(target, request.piece, owner);
        }
        session.alone_place = Some(place);
        match self.private_lane(target) {
            Some(lane) => self.forward_on(lane, target, (request.piece, 0), owner),
            None => self.refuse_private(target, owner),
        }
    }

    /// The shard has answered: with its own number, or an error.
    pub(crate) fn settle_publish(&mut self, id: PublishId, reply: Piece<'_>) {
        let Some(publish) = self.publishes.remove(id) else {
            return;
        };
        if reply.bytes().first() != Some(&b':') {
            return self.answer(publish.session, publish.place, reply);
        }
        let mut number = self.spare.take();
        write::integer(&mut number, i64::try_from(publish.receivers).unwrap_or(i64::MAX));
        self.answer(publish.session, publish.place, Piece::borrowed(&number));
        self.spare.give(number);
    }
}

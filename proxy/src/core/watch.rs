//! WATCH: the connection of its own that a session has while it watches keys.
//!
//! ```text
//!   shared lane   ── SET a 1 ──────────────── GET a ──────────────────────────────── GET a ──►
//!   private lane               WATCH a                  MULTI SET a 2 EXEC
//!                              +OK                      array, or null: a has changed
//! ```
//! A watch is a state of the connection, so the shared lanes cannot carry it. WATCH goes out when nothing is owed to
//! the session, and the next request waits for its reply, and for EXEC's: so what it sends before, between and after
//! over the shared lanes runs in the order in which it was sent. EXEC, DISCARD, UNWATCH, RESET and the client's end
//! give the lane back. All watched keys live on one shard, and so do the transaction's. If the lane has broken since,
//! a change could have been missed, and EXEC answers null, as if there had been one.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::core::Core;
use crate::core::ids::{LaneId, SessionId};
use crate::core::lane::Owner;
use crate::pending::Place;
use crate::resp::args::Args;
use crate::resp::write;
use crate::route;
use crate::topology::ShardIndex;

const CROSS_SHARD: &str = "CROSSSHARD all watched keys must live on one shard; give them one hash tag, as in {x}:a and \
     {x}:b";

/// The watch of a session.
#[derive(Debug, Clone, Copy)]
pub struct Watching {
    /// The shard of the watched keys.
    pub(crate) shard: ShardIndex,
    /// The private lane that watches.
    pub(crate) lane: LaneId,
    /// Whether the shard has said that it watches something.
    is_sure: bool,
}

impl Core {
    /// WATCH outside MULTI.
    pub(crate) fn watch_keys(&mut self, id: SessionId, spec: &CommandSpec, args: &Args<'_>) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let Some(pool) = self.pools.get(usize::from(session.pool)) else {
            return;
        };
        let found = route::one_shard(spec, args, &pool.topology, &mut self.scratch);
        let watching = session.watching;
        let Ok(shard) = found else {
            return self.refuse_next(id, CROSS_SHARD);
        };
        if watching.is_some_and(|watching| watching.shard != shard) {
            return self.refuse_next(id, CROSS_SHARD);
        }
        let target = session.target(shard);
        if let Some(watching) = watching
            && !self.still_watches(watching, target.protocol_index)
        {
            // EXEC will say that a key may have changed, and the client will begin anew.
            return self.answer_next(id, b"+OK\r\n");
        }
        let lane = watching.map(|watching| watching.lane).or_else(|| self.lend_lane(target));
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let place = session.pending.push();
        let Some(lane) = lane else {
            return self.refuse_private(target, Owner::Session(id, place));
        };
        session.alone_place = Some(place);
        session.watching.get_or_insert(Watching { shard, lane, is_sure: false });
        let piece = (Piece::borrowed(args.raw()), 0);
        self.forward_on(lane, target, piece, Owner::Watch(id, place));
    }

    /// Takes the shard's reply to a WATCH.
    pub(crate) fn settle_watch(&mut self, id: SessionId, place: Place, reply: Piece<'_>) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(watching) = &mut session.watching
        {
            watching.is_sure |= reply.bytes().first() == Some(&b'+');
            if !watching.is_sure {
                let lane = watching.lane;
                session.watching = None;
                self.return_lane(lane);
            }
        }
        self.answer(id, place, reply);
    }

    /// A WATCH has no reply: what the lane watches is not known.
    pub(crate) fn watch_failed(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(watching) = session.watching else {
            return;
        };
        // What was watched before stays so in name, and EXEC will find that the lane is gone.
        if !watching.is_sure {
            session.watching = None;
        }
        self.close_lane(watching.lane, "kept a WATCH waiting");
    }

    /// UNWATCH outside MULTI.
    pub(crate) fn unwatch_keys(&mut self, id: SessionId) {
        self.release_watch(id);
        self.answer_next(id, b"+OK\r\n");
    }

    /// Ends the watch of a session, if it has one, and gives its lane back.
    pub(crate) fn release_watch(&mut self, id: SessionId) {
        if let Some(watching) = self.sessions.get_mut(id).and_then(|s| s.watching.take()) {
            self.end_watch(watching);
        }
    }

    /// Gives the lane of a watch back without one.
    pub(crate) fn end_watch(&mut self, watching: Watching) {
        let Some(lane) = self.lanes.get(watching.lane) else {
            return;
        };
        let target = lane.target();
        let mut unwatch = Vec::new();
        write::request(&mut unwatch, [b"UNWATCH".as_slice()].into_iter());
        let piece = (Piece::borrowed(&unwatch), 0);
        self.forward_on(watching.lane, target, piece, Owner::Nobody);
        self.return_lane(watching.lane);
    }

    /// Whether no change of a watched key can have been missed, and EXEC's reply will be in the session's protocol.
    pub(crate) fn still_watches(&self, watching: Watching, protocol_index: usize) -> bool {
        self.lanes.get(watching.lane).is_some_and(|lane| {
            lane.to_close.is_none() && lane.target().protocol_index == protocol_index
        })
    }
}

//! Ending a wait before its time: CLIENT UNBLOCK, and the gateway's own stop.
//!
//! ```text
//!   private lane:  BLPOP k 0 ───────────────────────────► shard ──► nil or -UNBLOCKED ──► the blocked client
//!   shared lane:   CLIENT UNBLOCK <the lane's number> ──► shard ──► 1, or 0: it has just got its reply
//! ```
//! Only the shard knows whether an element was taken, so it is the shard that ends the wait. Until it has answered, the
//! lane serves nobody else: an order that comes late must not end the wait of another. Without an answer it never does.

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::ask::{Asker, Finding};
use crate::core::forward::Target;
use crate::core::ids::{LaneId, SessionId, UnblockId};
use crate::core::lane::{LaneState, Owner};
use crate::resp::{value, write};

/// An order to end a wait, until every shard has answered it.
#[derive(Debug)]
pub(crate) struct ActiveUnblock {
    lanes: Vec<LaneId>,
    missing: usize,
    woken: bool,
    /// Who wants to know, and what went wrong.
    asker: Option<Asker>,
    fault: Vec<u8>,
}

impl Core {
    /// Tells the shards to end what a session waits for, as if its time were over or with an error.
    /// Whether there is something to end; if so, `asker` is told whether that was in time.
    pub(crate) fn unblock_session(
        &mut self,
        id: SessionId,
        with_error: bool,
        asker: Option<Asker>,
    ) -> bool {
        let blocked = self.sessions.get(id).and_then(|session| session.blocked);
        let Some(blocked) = blocked.and_then(|blocked| self.blocked.get(blocked)) else {
            return false;
        };
        // One that is lent is being told already.
        let orders: Vec<(LaneId, Target, i64)> = blocked
            .lanes
            .iter()
            .flatten()
            .filter_map(|id| Some((*id, self.lanes.get(*id)?)))
            .filter(|(_, lane)| lane.state == LaneState::Ready && !lane.is_lent)
            .filter_map(|(id, lane)| {
                let target =
                    Target { pool: lane.pool, shard: lane.shard, protocol_index: 0, database: 0 };
                Some((id, target, lane.client_number?))
            })
            .collect();
        if orders.is_empty() {
            return false;
        }
        let lanes: Vec<LaneId> = orders.iter().map(|(lane, ..)| *lane).collect();
        for lane in &lanes {
            if let Some(lane) = self.lanes.get_mut(*lane) {
                lane.is_lent = true;
            }
        }
        let unblock =
            ActiveUnblock { missing: lanes.len(), lanes, woken: false, asker, fault: Vec::new() };
        let unblock = self.unblocks.insert(unblock);
        let reason: &[u8] = if with_error { b"ERROR" } else { b"TIMEOUT" };
        for (number, (_, target, client)) in (0..).zip(orders) {
            let mut request = self.spare.take();
            let client = client.to_string();
            let words = [b"CLIENT".as_slice(), b"UNBLOCK", client.as_bytes(), reason];
            write::request(&mut request, words.into_iter());
            self.forward(target, Piece::borrowed(&request), Owner::Unblock(unblock, number));
            self.spare.give(request);
        }
        true
    }

    /// Takes a shard's answer.
    pub(crate) fn settle_unblock(&mut self, id: UnblockId, number: u32, reply: &[u8]) {
        let Some(unblock) = self.unblocks.get_mut(id) else {
            return;
        };
        unblock.woken |= reply == b":1\r\n";
        if let Some(text) = value::error_text(reply) {
            unblock.fault = text.to_vec();
        }
        if let Some(lane) = unblock.lanes.get(number as usize).copied() {
            self.return_lane(lane);
        }
        self.end_unblock(id);
    }

    /// A shard does not answer: the order may come late.
    pub(crate) fn fail_unblock(&mut self, id: UnblockId, number: u32, text: &str) {
        let Some(unblock) = self.unblocks.get_mut(id) else {
            return;
        };
        unblock.fault = text.as_bytes().to_vec();
        if let Some(lane) = unblock.lanes.get(number as usize).copied() {
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.is_spent = true;
            }
            self.return_lane(lane);
        }
        self.end_unblock(id);
    }

    fn end_unblock(&mut self, id: UnblockId) {
        let Some(unblock) = self.unblocks.get_mut(id) else {
            return;
        };
        unblock.missing = unblock.missing.saturating_sub(1);
        if unblock.missing > 0 {
            return;
        }
        if let Some(ActiveUnblock { woken, asker: Some(asker), fault, .. }) =
            self.unblocks.remove(id)
        {
            let text = if woken { Vec::new() } else { fault };
            self.tell(asker, Finding { count: u64::from(woken), text, ..Finding::default() });
        }
    }

    /// The gateway stops: what a session waits for ends with an error, by the shard where it can be told, so that no
    /// element is lost.
    pub(crate) fn end_blocked(&mut self, id: SessionId) {
        if self.unblock_session(id, true, None) {
            return;
        }
        let blocked = self.sessions.get(id).and_then(|session| session.blocked);
        let blocked = blocked.and_then(|blocked| self.blocked.get(blocked));
        let is_told = |lane: &LaneId| self.lanes.get(*lane).is_some_and(|lane| lane.is_lent);
        let lanes = blocked.map_or(Vec::new(), |blocked| {
            blocked.lanes.iter().copied().flatten().filter(|lane| !is_told(lane)).collect()
        });
        for lane in lanes {
            self.close_lane(lane, "was given up, since the gateway stops");
        }
    }
}

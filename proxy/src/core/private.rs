//! Private lanes: connections to a shard that serve one session, or one request, at a time.
//!
//! ```text
//!   private_lane ──► one request (or more, sent at once) ──► its last reply is here ──► idle
//!   lend_lane ─────► as long as the borrower wants ───────► return_lane ─────────────► idle, when no reply is due
//!                                                           close_lane: its state is not to be trusted
//!   idle ──► the next one who needs a lane of this shard and protocol; closed when unused for a minute
//! ```
//! A large request would hold up everybody's small ones behind it on the shared lane, and so would its reply's way
//! back. So it waits until its session owes no earlier reply, goes out over a private lane, and the session's next
//! request waits for its reply: the client's order stays, and the others' requests pass on the shared lane.
//! What is a state of the connection needs one as well: a plugin's guarded transaction (`guard`), WATCH, a command that
//! waits at its shard (`blocking`, `wait`).
//!
//! To borrow one: `lend_lane(target)`, then `forward_on(lane, ..)` as often as wanted. It stays the borrower's when it
//! is silent, and is gone from `Core::lanes` once its connection has broken. Give it back clean (`return_lane`) or, if
//! it may keep a state, have it closed (`close_lane`). Taking and giving back cost the same however many there are.

use crate::buffer::Piece;
use crate::core::forward::Target;
use crate::core::ids::{LaneId, SessionId};
use crate::core::lane::{Lane, Owner};
use crate::core::{Core, wake_lane};
use crate::limits;
use crate::topology::ShardIndex;

/// The private lanes of a pool on one worker.
#[derive(Debug)]
pub struct PrivateLanes {
    shards: Vec<OfShard>,
}

/// Those to one shard.
#[derive(Debug, Default)]
struct OfShard {
    /// All that there are, idle or not.
    count: usize,
    /// Those that nobody uses, by protocol; the one used last is the last.
    idle: [Vec<LaneId>; 2],
}

impl PrivateLanes {
    /// None yet, for so many shards.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| OfShard::default()).collect() }
    }

    fn of(&mut self, shard: ShardIndex) -> Option<&mut OfShard> {
        self.shards.get_mut(usize::from(shard))
    }
}

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
        session.alone_place = Some(place);
        let owner = Owner::Session(id, place);
        match self.private_lane(target) {
            Some(lane) => self.forward_on(lane, target, (request, 0), owner),
            None => self.refuse_private(target, owner),
        }
    }

    /// Says that there is no private lane left.
    pub(crate) fn refuse_private(&mut self, target: Target, owner: Owner) {
        self.stats.overloads += 1;
        let name = self.shard_name(target);
        self.fail(owner, &format!("ERR shard {name} has too many private connections; not sent"));
    }

    /// A private lane for requests that are sent now: when the last reply has come it is idle again.
    pub(crate) fn private_lane(&mut self, target: Target) -> Option<LaneId> {
        let most = limits::PRIVATE_LANES_MAX / self.facts.workers.max(1);
        let of_shard =
            self.pools.get_mut(usize::from(target.pool))?.private_lanes.of(target.shard)?;
        let idle = of_shard.idle.get_mut(target.protocol_index)?;
        while let Some(id) = idle.pop() {
            if let Some(lane) = self.lanes.get_mut(id).filter(|lane| lane.to_close.is_none()) {
                lane.is_idle = false;
                return Some(id);
            }
        }
        if of_shard.count >= most {
            return None;
        }
        of_shard.count += 1;
        let protocol = if target.protocol_index == 1 { 3 } else { 2 };
        let mut lane = Lane::new(target.pool, target.shard, protocol);
        lane.is_private = true;
        Some(self.lanes.insert(lane))
    }

    /// A private lane for as long as the borrower wants; `return_lane` or `close_lane` ends that.
    pub(crate) fn lend_lane(&mut self, target: Target) -> Option<LaneId> {
        let id = self.private_lane(target)?;
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.is_lent = true;
        }
        Some(id)
    }

    /// The borrower needs the lane no more and has left no state on it, as soon as the replies still due have come.
    pub(crate) fn return_lane(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.is_lent = false;
        }
        self.rest_lane(id);
    }

    /// Has a lane's connection closed, since it may keep a state that would hurt the next one.
    pub(crate) fn close_lane(&mut self, id: LaneId, why: &str) {
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.to_close = Some(why.to_owned());
            wake_lane(lane, id, &mut self.wake);
        }
    }

    /// A private lane that nobody uses any more is idle.
    pub(crate) fn rest_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        if lane.is_spent && lane.awaited() == 0 {
            return self.close_lane(id, "was not to be used again");
        }
        let is_in_use = lane.awaited() > 0 || lane.is_lent || lane.to_close.is_some();
        if !lane.is_private || lane.is_idle || is_in_use {
            return;
        }
        lane.is_idle = true;
        let (shard, protocol_index) = (lane.shard, usize::from(lane.protocol == 3));
        if let Some(pool) = self.pools.get_mut(usize::from(lane.pool))
            && let Some(of_shard) = pool.private_lanes.of(shard)
            && let Some(idle) = of_shard.idle.get_mut(protocol_index)
        {
            idle.push(id);
        }
    }

    /// Forgets a private lane whose connection is over.
    pub(crate) fn drop_private_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(id) else {
            return;
        };
        if !lane.is_private {
            return;
        }
        if let Some(pool) = self.pools.get_mut(usize::from(lane.pool))
            && let Some(of_shard) = pool.private_lanes.of(lane.shard)
        {
            of_shard.count = of_shard.count.saturating_sub(1);
            if lane.is_idle {
                of_shard.idle.iter_mut().for_each(|idle| idle.retain(|other| *other != id));
            }
        }
        self.lanes.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Address, Listen, PoolConfig, ShardConfig};
    use crate::core::answer::GatewayFacts;
    use crate::core::{Clock, Pool, PoolSetup};
    use crate::topology::Topology;

    const TARGET: Target = Target { pool: 0, shard: 0, protocol_index: 0, database: 0 };

    fn core() -> Core {
        let shard = |name| ShardConfig::named(name, Address::Tcp { host: "fake".into(), port: 1 });
        let listen = Listen::Tcp { host: "127.0.0.1".into(), port: 0 };
        let config = PoolConfig::with_defaults("main", listen, vec![shard("a"), shard("b")]);
        let topology = Topology::from_pool(&config);
        let setup = PoolSetup { config: Arc::new(config), topology, bindings: Vec::new() };
        Core::new(vec![Pool::new(setup, 1)], 0, 1, 1 << 30)
    }

    fn connect(core: &mut Core, id: LaneId) {
        core.forward_on(id, TARGET, (Piece::borrowed(b"PING"), 0), Owner::Nobody);
        core.lane_connected(id);
        core.lane_input(id, b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n:7\r\n").unwrap();
        core.lane_input(id, b"+PONG\r\n").unwrap();
    }

    #[test]
    fn lane_is_idle_again_when_its_last_reply_has_come_and_serves_only_its_own_shard_and_protocol()
    {
        let mut core = core();
        let first = core.private_lane(TARGET).unwrap();
        assert_ne!(core.private_lane(TARGET), Some(first), "it is in use");
        connect(&mut core, first);
        assert_ne!(core.private_lane(Target { shard: 1, ..TARGET }), Some(first));
        assert_ne!(core.private_lane(Target { protocol_index: 1, ..TARGET }), Some(first));
        assert_eq!(core.private_lane(TARGET), Some(first));
    }

    #[test]
    fn lent_lane_stays_the_borrowers_while_it_is_silent_and_comes_back_when_no_reply_is_due() {
        let mut core = core();
        let lane = core.lend_lane(TARGET).unwrap();
        connect(&mut core, lane);
        assert_ne!(core.private_lane(TARGET), Some(lane));
        core.set_clock(Clock { now_ms: 10 * limits::LANE_IDLE_MS, unix_ms: 0 });
        core.on_time();
        assert_eq!(core.lanes[lane].to_close, None, "a borrower may take its time");
        core.forward_on(lane, TARGET, (Piece::borrowed(b"UNWATCH"), 0), Owner::Nobody);
        core.return_lane(lane);
        assert_ne!(core.private_lane(TARGET), Some(lane), "a reply is due");
        core.lane_input(lane, b"+OK\r\n").unwrap();
        assert_eq!(core.private_lane(TARGET), Some(lane));
    }

    #[test]
    fn lane_that_is_to_be_closed_serves_nobody_and_leaves_its_room_to_another() {
        let mut core = core();
        core.set_facts(GatewayFacts { workers: limits::PRIVATE_LANES_MAX, ..Default::default() });
        let lane = core.lend_lane(TARGET).unwrap();
        connect(&mut core, lane);
        assert_eq!(core.private_lane(TARGET), None, "one per shard is the bound here");
        core.close_lane(lane, "for the test");
        core.return_lane(lane);
        assert_eq!(core.private_lane(TARGET), None);
        core.lane_closed(lane, "for the test");
        assert!(core.private_lane(TARGET).is_some());
    }
}

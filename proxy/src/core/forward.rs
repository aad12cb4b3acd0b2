//! Giving requests to shards, and the life of the connections to them.
//!
//! `forward` appends a request to the shared lane of its shard, opening the lane when it has none. What cannot be
//! sent is answered at once with what is known: `not sent`. When a connection breaks, every request on it is
//! answered by whether the kernel had taken it (`outcome unknown`) or not (`not sent`); nothing is sent twice.
//! A shard that cannot be reached is tried again after a wait that doubles, with jitter; until then requests for it
//! fail at once, so one dead shard costs the others nothing.

use std::fmt::Write as _;

use crate::buffer::Piece;
use crate::config::PoolConfig;
use crate::core::hot::{Apart, Delivered};
use crate::core::ids::LaneId;
use crate::core::lane::{Lane, LaneState, MayHaveRun, Owner};
use crate::core::timer::Timer;
use crate::core::{Core, Pool, wake_lane};
use crate::limits;
use crate::resp::reply::ReplyScanned;
use crate::resp::{value, write};
use crate::topology::ShardIndex;

/// Where a request goes: pool, shard, protocol (0 for RESP2, 1 for RESP3), database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) pool: u16,
    pub(crate) shard: ShardIndex,
    pub(crate) protocol_index: usize,
    pub(crate) database: u16,
}

impl Core {
    /// Sends `request` to a shard; `owner` gets the reply, or the reason why there is none.
    pub(crate) fn forward(&mut self, target: Target, request: Piece<'_>, owner: Owner) {
        self.forward_many(target, request, 0, owner);
    }

    /// Sends several requests in one piece; the replies of the first `skipped` are not looked at, `owner` gets the
    /// last one's.
    pub(crate) fn forward_many(
        &mut self,
        target: Target,
        request: Piece<'_>,
        skipped: usize,
        owner: Owner,
    ) {
        match self.lane_of(target) {
            Some(id) => self.forward_on(id, target, (request, skipped), owner),
            None => self.refuse_unreachable(target, owner),
        }
    }

    /// Sends over a lane of `target`; the arguments are those of `forward_many`.
    pub(crate) fn forward_on(
        &mut self,
        id: LaneId,
        target: Target,
        piece: (Piece<'_>, usize),
        owner: Owner,
    ) {
        self.forward_waiting(id, target, piece, owner, 0);
    }

    /// The same for a request that may wait at its shard for `waits_ms`; its reply is overdue when the time-out has
    /// passed as well.
    pub(crate) fn forward_waiting(
        &mut self,
        id: LaneId,
        target: Target,
        (request, skipped): (Piece<'_>, usize),
        owner: Owner,
        waits_ms: u64,
    ) {
        if !self.usable_lane(id) {
            return self.refuse_unreachable(target, owner);
        }
        let Apart { lanes, pools, mut hands, .. } = self.apart();
        let Some(pool) = pools.get(usize::from(target.pool)) else {
            return;
        };
        let Some(lane) = lanes.get_mut(id) else {
            return;
        };
        if lane.is_full(pool.config.shard_queue) {
            hands.stats.overloads += 1;
            let text = format!("ERR shard {} overloaded; not sent", self.shard_name(target));
            return self.fail(owner, &text);
        }
        if target.database != 0 && !lane.selects_databases {
            let (name, fault) = (self.shard_name(target), self.select_fault(target.pool));
            return self.fail(owner, &format!("ERR shard {name} {fault}; not sent"));
        }
        let timeout_ms = pool.timeout_ms.saturating_add(waits_ms);
        hands.send((id, lane), target.database, (request, skipped), owner, timeout_ms);
    }

    /// Why a lane of this pool does not take what is for another database than the first.
    pub(crate) fn select_fault(&self, pool: u16) -> String {
        let databases = pool_databases(&self.pools, pool);
        format!(
            "does not allow SELECT {}: it has fewer databases than the pool's `databases: {databases}`, or its user may not select",
            databases.saturating_sub(1)
        )
    }

    /// Whether a request may be put on the lane `id` now; opens it if it is closed and may be tried.
    pub(crate) fn usable_lane(&mut self, id: LaneId) -> bool {
        let now_ms = self.clock.now_ms;
        let Some(lane) = self.lanes.get_mut(id) else {
            return false;
        };
        if let LaneState::Closed { retry_at_ms } = lane.state {
            if retry_at_ms > now_ms {
                return false;
            }
            lane.state = LaneState::Connecting;
            lane.attempts = lane.attempts.saturating_add(1);
            self.wake.connect.push(id);
        }
        true
    }

    /// The lane for `target`, made if there is none.
    pub(crate) fn lane_of(&mut self, target: Target) -> Option<LaneId> {
        let pool = self.pools.get_mut(usize::from(target.pool))?;
        let slot = pool.lanes.get_mut(target.protocol_index)?.get_mut(usize::from(target.shard))?;
        if let Some(id) = slot {
            return Some(*id);
        }
        let protocol = if target.protocol_index == 1 { 3 } else { 2 };
        let id = self.lanes.insert(Lane::new(target.pool, target.shard, protocol));
        *slot = Some(id);
        Some(id)
    }

    /// Opens the lanes of a pool's shards before the first request, so that a shard that is down is known.
    pub fn preconnect(&mut self, pool: u16) {
        let shards = self.pools.get(usize::from(pool)).map_or(0, |pool| pool.topology.len());
        for shard in 0..u16::try_from(shards).unwrap_or(u16::MAX) {
            if let Some(id) = self.lane_of(Target { pool, shard, protocol_index: 0, database: 0 }) {
                self.usable_lane(id);
            }
        }
    }

    /// Whether the shard of `target` could not be reached a moment ago.
    pub(crate) fn is_unreachable(&self, target: Target) -> bool {
        let lanes = self
            .pools
            .get(usize::from(target.pool))
            .and_then(|p| p.lanes.get(target.protocol_index));
        let id = lanes.and_then(|lanes| lanes.get(usize::from(target.shard)).copied().flatten());
        let state = id.and_then(|id| self.lanes.get(id)).map(|lane| &lane.state);
        matches!(state, Some(LaneState::Closed { retry_at_ms }) if *retry_at_ms > self.clock.now_ms)
    }

    /// Says that a shard cannot be reached, and why.
    pub(crate) fn refuse_unreachable(&mut self, target: Target, owner: Owner) {
        let fault = self
            .lane_of(target)
            .and_then(|id| self.lanes.get(id))
            .map_or(String::new(), |lane| lane.last_fault.clone());
        let text = format!("ERR shard {} {fault}; not sent", self.shard_name(target));
        self.fail(owner, &text);
    }

    /// The shard as errors name it: `'a' (127.0.0.1:6379)`.
    pub(crate) fn shard_name(&self, target: Target) -> String {
        let shard = self
            .pools
            .get(usize::from(target.pool))
            .and_then(|pool| pool.config.shards.get(usize::from(target.shard)));
        match shard {
            Some(shard) => format!("'{}' ({})", shard.name, shard.address),
            None => format!("{}", target.shard),
        }
    }

    /// The socket is open: starts the lane's set-up.
    pub fn lane_connected(&mut self, id: LaneId) {
        let now_ms = self.clock.now_ms;
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        lane.last_input_ms = now_ms;
        lane.last_used_ms = now_ms;
        let Some(pool) = self.pools.get(usize::from(lane.pool)) else {
            return;
        };
        let setup = setup_request(&pool.config, lane.protocol, lane.is_private);
        lane.begin_setup(setup, &mut self.spare);
        if lane.is_private && pool.timeout_ms != u64::MAX {
            // What waits without end has no time-out of its own for a shard that never answers the set-up.
            self.timers.set(now_ms.saturating_add(pool.timeout_ms), Timer::LaneHead(id));
        }
        if !lane.idle_watched {
            lane.idle_watched = true;
            self.timers.set(now_ms + limits::LANE_IDLE_MS, Timer::LaneIdle(id));
        }
        self.stats.lanes_opened += 1;
    }

    /// The connection is over, or could not be made: answers every request on it.
    /// `fault` says why, as `closed the connection` or `is unreachable: connection refused`.
    pub fn lane_closed(&mut self, id: LaneId, fault: &str) {
        let jitter = self.random();
        let now_ms = self.clock.now_ms;
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let was_ready = lane.state == LaneState::Ready;
        let is_subscriber = lane.is_subscriber;
        let target = lane.target();
        let first_failure = !was_ready && lane.attempts == 1;
        lane.last_fault.clear();
        let _infallible = write!(lane.last_fault, "{fault}");
        // A connection that worked is tried again at once, when somebody asks; one that never did, after a wait.
        let wait_ms =
            if was_ready && !is_subscriber { 0 } else { retry_wait_ms(lane.attempts, jitter) };
        let owners = lane.close(now_ms + wait_ms, &mut self.spare);
        self.account_lane(id);
        self.stats.lanes_failed += 1;
        let name = self.shard_name(target);
        if first_failure {
            let meanwhile = if is_subscriber {
                "its messages are missed until it is back"
            } else {
                "its requests are answered with an error until it is back"
            };
            self.notes.push(format!("shard {name} {fault}; {meanwhile}"));
        }
        for (owner, MayHaveRun(may_have_run)) in owners {
            let outcome = if may_have_run { "outcome unknown" } else { "not sent" };
            self.fail(owner, &format!("ERR shard {name} {fault}; {outcome}"));
        }
        if is_subscriber {
            self.subscriber_closed(id);
        }
        self.drop_private_lane(id);
        self.run_ready_tasks();
    }

    /// Takes in what a shard sent while its lane had no unfinished input. The rest is kept.
    /// An error means that the connection must be closed, and says why.
    pub fn lane_input(&mut self, id: LaneId, bytes: &[u8]) -> Result<(), String> {
        let mut rest = bytes;
        loop {
            let (used, next) = self.deliver_next(id, rest, limits::SHARED_PIECE_BYTES_MIN)?;
            rest = rest.get(used..).unwrap_or_default();
            let Some(len) = next else { break };
            let (reply, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            self.lane_reply(id, Piece::borrowed(reply))?;
            rest = behind;
        }
        if !rest.is_empty()
            && let Some(lane) = self.lanes.get_mut(id)
        {
            lane.input_mut().extend_from_slice(rest);
        }
        self.rest_lane(id);
        self.run_ready_tasks();
        Ok(())
    }

    /// Goes on with a lane's own input, which has grown.
    pub fn lane_input_grown(&mut self, id: LaneId) -> Result<(), String> {
        let Some(lane) = self.lanes.get_mut(id) else {
            return Ok(());
        };
        let mut input = std::mem::take(lane.input_mut());
        loop {
            let (used, next) = self.deliver_next(id, &input, limits::TURN_SHARE_BYTES_MIN)?;
            bytes::Buf::advance(&mut input, used);
            let Some(len) = next else { break };
            if len >= limits::TURN_SHARE_BYTES_MIN {
                let reply = input.split_to(len.min(input.len())).freeze();
                self.lane_reply(id, Piece::shared(&reply))?;
            } else {
                self.lane_reply(id, Piece::borrowed(input.get(..len).unwrap_or_default()))?;
                bytes::Buf::advance(&mut input, len);
            }
        }
        if let Some(lane) = self.lanes.get_mut(id) {
            *lane.input_mut() = input;
            lane.shrink();
        }
        self.rest_lane(id);
        self.run_ready_tasks();
        Ok(())
    }

    /// Delivers the plain replies at the start of `bytes`: how many bytes they were, and the length of the reply behind
    /// them, if it is whole.
    /// Replies of `large_min` bytes are left to the caller.
    fn deliver_next(
        &mut self,
        id: LaneId,
        bytes: &[u8],
        large_min: usize,
    ) -> Result<(usize, Option<usize>), String> {
        let Delivered { used, large } = self.deliver_plain(id, bytes, large_min);
        let rest = bytes.get(used..).unwrap_or_default();
        match large {
            None if rest.is_empty() => Ok((used, None)),
            None => Ok((used, self.lane_scan(id, rest)?)),
            Some(len) => Ok((used, Some(len))),
        }
    }

    fn lane_scan(&mut self, id: LaneId, bytes: &[u8]) -> Result<Option<usize>, String> {
        let now_ms = self.clock.now_ms;
        let Some(lane) = self.lanes.get_mut(id) else {
            return Ok(None);
        };
        lane.last_input_ms = now_ms;
        match lane.scan(bytes) {
            ReplyScanned::Complete { len } => Ok(Some(len)),
            ReplyScanned::Incomplete => Ok(None),
            ReplyScanned::Broken => Err("sent bytes that are no RESP".into()),
        }
    }

    fn lane_reply(&mut self, id: LaneId, reply: Piece<'_>) -> Result<(), String> {
        // Shared lanes ask for no pushes; one that comes all the same belongs to nobody.
        if reply.bytes().first() == Some(&b'>') {
            return Ok(());
        }
        let Some(lane) = self.lanes.get_mut(id) else {
            return Ok(());
        };
        if lane.state == LaneState::SettingUp {
            return self.lane_setup_reply(id, reply.bytes());
        }
        if lane.is_subscriber && self.take_message(id, reply) {
            return Ok(());
        }
        let Some(owner) = self.lanes.get_mut(id).and_then(Lane::take_owner) else {
            self.stats.unasked_replies += 1;
            return Err("sent a reply that nothing was asked for".into());
        };
        if owner == Owner::Select && reply.bytes().first() == Some(&b'-') {
            let text = String::from_utf8_lossy(reply.bytes());
            return Err(format!("refused SELECT: {}", text.trim_start_matches('-').trim_end()));
        }
        self.settle(owner, reply);
        if let Owner::Session(session, _) = owner {
            self.pause_lane_for(session, id);
        }
        Ok(())
    }

    fn lane_setup_reply(&mut self, id: LaneId, reply: &[u8]) -> Result<(), String> {
        let Some(lane) = self.lanes.get_mut(id) else {
            return Ok(());
        };
        let Some(step) = lane.next_setup_step() else {
            return Ok(());
        };
        if step == SetupStep::ClientId {
            lane.client_number =
                value::head(reply).filter(|head| head.kind == b':').and_then(|head| head.number());
        }
        let refused = reply.first() == Some(&b'-');
        if refused {
            let text = String::from_utf8_lossy(reply);
            let text = text.trim_start_matches('-').trim_end();
            match step {
                SetupStep::Auth => return Err(format!("refused its password: {text}")),
                SetupStep::Hello => return Err(format!("refused RESP3: {text}")),
                SetupStep::Multi if text.starts_with("NOAUTH") => {
                    return Err("asks for a password: set shard_password or redis_auth".into());
                }
                SetupStep::Multi if lane.has_groups() => {
                    return Err("does not allow MULTI, which a transaction needs".into());
                }
                SetupStep::Multi => lane.multi_allowed = false,
                // The connection is inside MULTI and would stay there.
                SetupStep::Discard if lane.multi_allowed => {
                    return Err(format!("does not allow DISCARD, which MULTI needs: {text}"));
                }
                SetupStep::Discard => {}
                SetupStep::SelectLast if lane.has_selects() => {
                    return Err(format!(
                        "does not allow a SELECT, which clients asked for: {text}"
                    ));
                }
                SetupStep::SelectLast => lane.selects_databases = false,
                SetupStep::SelectFirst if lane.selects_databases => {
                    return Err(format!("refused SELECT 0: {text}"));
                }
                SetupStep::SelectFirst | SetupStep::ClientId => {}
            }
        }
        if lane.setup_done() {
            lane.state = LaneState::Ready;
            lane.attempts = 0;
            lane.last_fault.clear();
            wake_lane(lane, id, &mut self.wake);
        }
        Ok(())
    }
}

/// One command of a lane's set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupStep {
    /// The shard's password.
    Auth,
    /// RESP3.
    Hello,
    /// Where a server refuses MULTI, queued commands would run one by one: so it is tried first.
    Multi,
    /// Ends the trial.
    Discard,
    /// The last of the pool's databases: a request must never run in another than its client's, so it is tried first.
    SelectLast,
    /// Back to the first one.
    SelectFirst,
    /// The shard's number for a private connection: CLIENT UNBLOCK names it. A shard may refuse to tell.
    ClientId,
}

/// The steps of a lane's set-up and the bytes that ask for them.
fn setup_request(config: &PoolConfig, protocol: u8, is_private: bool) -> (Vec<SetupStep>, Vec<u8>) {
    let mut steps = Vec::new();
    let mut bytes = Vec::new();
    if let Some(password) = &config.shard_password {
        steps.push(SetupStep::Auth);
        match &config.shard_user {
            Some(user) => {
                write::request(&mut bytes, [b"AUTH", user.as_bytes(), password.bytes()].into_iter())
            }
            None => write::request(&mut bytes, [b"AUTH".as_slice(), password.bytes()].into_iter()),
        }
    }
    if protocol == 3 {
        steps.push(SetupStep::Hello);
        write::request(&mut bytes, [b"HELLO".as_slice(), b"3"].into_iter());
    }
    steps.extend([SetupStep::Multi, SetupStep::Discard]);
    write::request(&mut bytes, [b"MULTI".as_slice()].into_iter());
    write::request(&mut bytes, [b"DISCARD".as_slice()].into_iter());
    if let Some(last) = config.databases.checked_sub(1).filter(|last| *last > 0) {
        steps.extend([SetupStep::SelectLast, SetupStep::SelectFirst]);
        write::request(&mut bytes, [b"SELECT".as_slice(), last.to_string().as_bytes()].into_iter());
        write::request(&mut bytes, [b"SELECT".as_slice(), b"0"].into_iter());
    }
    if is_private {
        steps.push(SetupStep::ClientId);
        write::request(&mut bytes, [b"CLIENT".as_slice(), b"ID"].into_iter());
    }
    (steps, bytes)
}

fn pool_databases(pools: &[Pool], index: u16) -> u16 {
    pools.get(usize::from(index)).map_or(1, |pool| pool.config.databases)
}

fn retry_wait_ms(attempts: u32, jitter: u64) -> u64 {
    let doubled = limits::RECONNECT_WAIT_MS << attempts.saturating_sub(1).min(10);
    let wait = doubled.min(limits::RECONNECT_WAIT_MS_MAX);
    wait / 2 + jitter % (wait / 2 + 1)
}

//! The hot path: a plain client's requests with one key, and the replies to them, each in one pass.
//!
//! ```text
//!   bytes ─► scan ─► spec ─► shard ─► lane.push      lane's bytes ─► scan ─► session.pending.fill
//! ```
//! These two loops do what `request`, `forward` and `reply` do, for the case that nearly all traffic is: a session
//! without MULTI, plugin call, large or blocking request under way, a command with exactly one key that no binding takes, and
//! a lane that is there and not full. They borrow each thing once, not once per step. Whatever is not plain is left
//! to the general way, at the byte where it stands; so there is one place for each rule, and this file only decides
//! whether a request needs it. What both ways do (`Hands::send`, `Hands::fill`) stands here once.

use slotmap::SlotMap;

use crate::buffer::{Piece, Spare};
use crate::command::CommandSpec;
use crate::command::resolve::resolve;
use crate::command::rule::Rule;
use crate::core::beginning::Beginning;
use crate::core::ids::{LaneId, SessionId};
use crate::core::lane::{Lane, Owner};
use crate::core::session::{Closing, Session};
use crate::core::stats::Stats;
use crate::core::timer::{Timer, Timers};
use crate::core::wait::shard_bit;
use crate::core::{Core, Pool, Wake, wake_lane, wake_session};
use crate::limits;
use crate::pending::{Place, Replies};
use crate::resp::args::Args;
use crate::resp::reply::ReplyScanned;
use crate::resp::request::{RequestLimits, RequestScan, Scanned};
use crate::topology::ShardIndex;

/// How far a turn has come in a client's bytes.
#[derive(Debug)]
pub(crate) struct Run {
    /// Bytes of whole requests that are carried out.
    pub(crate) used: usize,
    /// Requests that may still be looked at in this turn.
    pub(crate) left: usize,
}

/// What became of a lane's bytes.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// Bytes of whole replies that are delivered.
    pub(crate) used: usize,
    /// The length of a large reply behind them, which is scanned and not delivered: it is worth sharing.
    pub(crate) large: Option<usize>,
}

/// The core's parts, borrowed at once.
pub(crate) struct Apart<'a> {
    pub(crate) sessions: &'a mut SlotMap<SessionId, Session>,
    pub(crate) lanes: &'a mut SlotMap<LaneId, Lane>,
    pub(crate) pools: &'a [Pool],
    pub(crate) hands: Hands<'a>,
}

/// What sending and filling need beside the lane or the session itself.
pub(crate) struct Hands<'a> {
    pub(crate) wake: &'a mut Wake,
    pub(crate) stats: &'a mut Stats,
    pub(crate) timers: &'a mut Timers,
    pub(crate) spare: &'a mut Spare,
    pub(crate) now_ms: u64,
}

impl Hands<'_> {
    /// Puts a request on a lane that takes it; the arguments are those of `Core::forward_many`.
    #[inline]
    pub(crate) fn send(
        &mut self,
        (id, lane): (LaneId, &mut Lane),
        database: u16,
        (request, skipped): (Piece<'_>, usize),
        owner: Owner,
        timeout_ms: u64,
    ) {
        let deadline_ms = self.now_ms.saturating_add(timeout_ms);
        if lane.awaited() == 0 {
            // The shard's silence begins now.
            lane.last_input_ms = self.now_ms;
        }
        if lane.database != database {
            lane.select(database, deadline_ms, self.spare);
        }
        lane.push(request, skipped, owner, deadline_ms, self.spare);
        lane.last_used_ms = self.now_ms;
        if !lane.timer_set && timeout_ms != u64::MAX {
            lane.timer_set = true;
            self.timers.set(deadline_ms, Timer::LaneHead(id));
        }
        wake_lane(lane, id, self.wake);
    }

    /// Fills a place of a session and watches that the client takes what it is given.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        (id, session): (SessionId, &mut Session),
        place: Place,
        reply: Piece<'_>,
    ) {
        self.stats.output_bytes += reply.bytes().len() as u64;
        if session.pending.fill(place, reply, &mut session.out, self.spare) {
            wake_session(session, id, self.wake);
        }
        self.watch((id, session));
    }

    /// Gives a session what it did not ask for now, behind all that it has been given, and watches that it takes it.
    pub(crate) fn push(&mut self, (id, session): (SessionId, &mut Session), message: Piece<'_>) {
        self.stats.output_bytes += message.bytes().len() as u64;
        session.out.push(message, self.spare);
        wake_session(session, id, self.wake);
        self.watch((id, session));
    }

    #[inline]
    fn watch(&mut self, (id, session): (SessionId, &mut Session)) {
        if session.output_held() > limits::CLIENT_OUTPUT_WATCHED_BYTES && !session.stall_watched {
            session.stall_watched = true;
            let timer = Timer::SessionStalled(id, session.written);
            self.timers.set(self.now_ms + limits::CLIENT_STALL_MS, timer);
        }
    }
}

impl Core {
    /// Borrows the core's parts at once.
    #[inline]
    pub(crate) fn apart(&mut self) -> Apart<'_> {
        Apart {
            sessions: &mut self.sessions,
            lanes: &mut self.lanes,
            pools: &self.pools,
            hands: Hands {
                wake: &mut self.wake,
                stats: &mut self.stats,
                timers: &mut self.timers,
                spare: &mut self.spare,
                now_ms: self.clock.now_ms,
            },
        }
    }

    /// Carries out plain requests from `run.used` on. Returns the verdict on the first one that is not plain; it is
    /// scanned, and not carried out. `None`: nothing was scanned beyond what is carried out.
    pub(crate) fn run_plain(
        &mut self,
        id: SessionId,
        bytes: &[u8],
        scan: &mut RequestScan,
        run: &mut Run,
    ) -> Option<Scanned> {
        let mut known = self.beginning;
        let seen = self.run_plain_from(id, bytes, scan, run, &mut known);
        self.beginning = known;
        seen
    }

    fn run_plain_from(
        &mut self,
        id: SessionId,
        bytes: &[u8],
        scan: &mut RequestScan,
        run: &mut Run,
        known: &mut Option<Beginning>,
    ) -> Option<Scanned> {
        let Apart { sessions, lanes, pools, mut hands } = self.apart();
        let session = sessions.get_mut(id).filter(|session| session.is_plain())?;
        let pool = pools.get(usize::from(session.pool)).filter(|pool| pool.is_plain())?;
        let lanes_by_shard = pool.lanes.get(session.protocol_index())?;
        session.held = false;
        while run.left > 0 {
            let rest = bytes.get(run.used..).unwrap_or_default();
            let spec = (*known)
                .filter(|known| !scan.in_progress() && known.starts(rest, scan))
                .map(|known| known.spec);
            let verdict = scan.scan(rest, &RequestLimits::OPEN);
            let Scanned::Complete { len } = verdict else {
                return Some(verdict);
            };
            let args = Args::new(rest.get(..len).unwrap_or_default(), scan.spans());
            let Some(spec) = spec.or_else(|| resolve(&args).ok()) else {
                return Some(verdict);
            };
            let Some(shard) = plain_shard(spec, &args, pool) else {
                return Some(verdict);
            };
            if known.is_none_or(|known| known.spec.index != spec.index) {
                *known = Beginning::of(&args, spec);
            }
            let lane_id = lanes_by_shard.get(usize::from(shard)).copied().flatten();
            let lane = lane_id.and_then(|id| Some((id, lanes.get_mut(id)?)));
            let takes = |lane: &Lane| {
                lane.takes(pool.config.shard_queue)
                    && (session.identity.database == 0 || lane.selects_databases)
            };
            let Some(lane) = lane.filter(|(_, lane)| takes(lane)) else {
                return Some(verdict);
            };
            if session.pending.len() >= limits::SESSION_PENDING_MAX {
                return Some(verdict);
            }
            session.last_command = Some(spec);
            session.wrote |= shard_bit(shard) & u64::from(spec.is_write()).wrapping_neg();
            let owner = Owner::Session(id, session.pending.push());
            let piece = (Piece::borrowed(args.raw()), 0);
            hands.send(lane, session.identity.database, piece, owner, pool.timeout_ms);
            hands.stats.requests += 1;
            hands.stats.input_bytes += len as u64;
            scan.reset();
            run.used += len;
            run.left -= 1;
        }
        None
    }

    /// Delivers the replies at the start of `bytes` that belong to sessions. Stops at a reply that is not whole, is no
    /// session's, has `large_min` bytes, or whose client holds much output already.
    pub(crate) fn deliver_plain(
        &mut self,
        id: LaneId,
        bytes: &[u8],
        large_min: usize,
    ) -> Delivered {
        let mut delivered = Delivered { used: 0, large: None };
        let Apart { sessions, lanes, mut hands, .. } = self.apart();
        let Some(lane) = lanes.get_mut(id) else {
            return delivered;
        };
        lane.last_input_ms = hands.now_ms;
        // Pushes ask nothing and answer nothing.
        while let Some(rest) = bytes.get(delivered.used..)
            && rest.first().is_some_and(|mark| *mark != b'>')
            && let Some((owner, place)) = lane.next_session()
            && let Some(session) = sessions.get_mut(owner)
            && session.output_held() <= limits::OUTPUT_ACCOUNTED_BYTES
            && let ReplyScanned::Complete { len } = lane.scan(rest)
        {
            if len >= large_min {
                delivered.large = Some(len);
                break;
            }
            let _owner = lane.take_owner();
            let reply = Piece::borrowed(rest.get(..len).unwrap_or_default());
            hands.fill((owner, session), place, reply);
            delivered.used += len;
        }
        delivered
    }
}

impl Session {
    /// Whether nothing is under way that the next request might have to wait for or to be judged by.
    #[inline]
    fn is_plain(&self) -> bool {
        self.closing <= Closing::AfterRead
            && self.identity.authenticated
            && self.transaction.is_none()
            && self.tasks.is_empty()
            && !self.is_subscribed_in_resp2()
            && self.alone_place.is_none()
            && self.pending.replies == Replies::On
            && self.output_held() <= limits::CLIENT_OUTPUT_WATCHED_BYTES
    }
}

/// The shard of a command with one key that no binding takes; `None` for every other request.
#[inline]
fn plain_shard(spec: &CommandSpec, args: &Args<'_>, pool: &Pool) -> Option<ShardIndex> {
    if spec.rule != Rule::Key || args.raw().len() > limits::LARGE_REQUEST_BYTES_MIN {
        return None;
    }
    let key = args.get(usize::from(spec.single_key.unwrap_or(1)))?;
    if let Some(plugins) = &pool.plugins
        && plugins.bindings.hooked(spec.index)
        && plugins.bindings.take(spec.index, Some(key), 0).is_some()
    {
        return None;
    }
    Some(pool.topology.shard_of(key))
}

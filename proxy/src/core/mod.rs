//! The core of a worker: everything that happens between the sockets, without a socket.
//!
//! ```text
//!   io::client ──client_input──►  request ──► route ──► forward ──► lane.out ──► io::backend
//!   io::client ◄──session.out──   pending ◄── join ◄─── reply   ◄──lane_input──  io::backend
//!                                    ▲                     │
//!                                    └──── task (plugin calls) ◄──┘      timers: io::worker calls `on_time`
//! ```
//! The outer layer tells the core what came and what the time is, and then does what `Wake` lists. So a whole
//! gateway, sessions, shards, time-outs and plugins included, runs in a test without sockets, clock or tasks, from
//! a seed (tests/ has that simulation).
//!
//! Files: `ids` names, `session` and `lane` hold state, `request` reads what clients want, `forward` gives it to
//! lanes, `ask` asks the other workers (`clients`, `pause` and `monitor` are what is asked), `reply` brings answers back, `hot` does these three at once for plain traffic, `split`, `gather`, `transaction`, `pubsub`
//! (with `topics`, `confirm`, `subscriber` and `publish`) and `task` (with `ready`) carry out what is more than one request,
//! `timer` and `expiry` handle time.

pub mod answer;
pub mod ask;
mod beginning;
pub mod blocking;
pub mod catalog;
pub mod clients;
pub mod confirm;
pub mod draft;
pub mod effects;
pub mod exec;
pub mod expiry;
pub mod failed_task;
pub mod forward;
pub mod gather;
pub mod guard;
pub mod hook;
pub mod hook_keys;
pub mod hot;
pub mod ids;
pub mod in_multi;
pub mod lane;
pub mod monitor;
pub mod order;
pub mod pause;
pub mod plugin_timers;
pub mod plugins;
pub mod plugins_command;
mod plugins_reply;
pub mod private;
pub mod publish;
pub mod pubsub;
pub mod ready;
pub mod reply;
pub mod request;
pub mod script_texts;
pub mod scripts;
pub mod session;
pub mod split;
pub mod stats;
pub mod subscriber;
pub mod task;
pub mod timer;
pub mod topics;
pub mod transaction;
pub mod unblock;
pub mod wait;
pub mod waiters;
pub mod watch;

use std::collections::HashSet;
use std::sync::Arc;

use slotmap::SlotMap;

use crate::buffer::Spare;
use crate::config::PoolConfig;
use crate::core::answer::GatewayFacts;
use crate::core::ask::{Answer, Ask, OpenAsk};
use crate::core::beginning::Beginning;
use crate::core::blocking::Blocked;
use crate::core::catalog::KnownPlugin;
use crate::core::confirm::{Confirmation, SubscriptionNews};
use crate::core::exec::ActiveExec;
use crate::core::gather::ActiveGather;
use crate::core::guard::ActiveGuard;
use crate::core::ids::{
    AskId, BlockedId, ConfirmationId, ExecId, GatherId, GuardId, JoinId, LaneId, PublishId,
    ScriptId, SessionId, TaskId, UnblockId,
};
use crate::core::lane::Lane;
use crate::core::monitor::Shown;
use crate::core::pause::Paused;
use crate::core::plugins::{PluginBinding, PoolPlugins};
use crate::core::plugins_command::Reload;
use crate::core::private::PrivateLanes;
use crate::core::publish::ActivePublish;
use crate::core::ready::Ready;
use crate::core::script_texts::{Digest, ScriptNews, ScriptTexts};
use crate::core::scripts::ActiveScript;
use crate::core::session::{Closing, Session, Watched};
use crate::core::split::ActiveJoin;
use crate::core::stats::Stats;
use crate::core::task::{SpareLists, Task};
use crate::core::timer::Timers;
use crate::core::topics::Topics;
use crate::core::unblock::ActiveUnblock;
use crate::core::waiters::{Notice, Waiters};
use crate::gather::scan;
use crate::resp::request::RequestScan;
use crate::resp::write::Protocol;
use crate::route::Scratch;
use crate::session::identity::Identity;
use crate::topology::{ShardIndex, Topology};

/// What the outer layer has to do after a call into the core.
#[derive(Debug, Default)]
pub struct Wake {
    /// Sessions that have output to write, input to go on with, or an end to come to.
    pub sessions: Vec<SessionId>,
    /// Lanes that have something to write, or are to be closed.
    pub lanes: Vec<LaneId>,
    /// Lanes that need a connection.
    pub connect: Vec<LaneId>,
    /// Changes of subscriptions, for the other workers.
    pub subscription_news: Vec<SubscriptionNews>,
    /// Whose news of other workers are known here now.
    pub news_known: Vec<(usize, ConfirmationId)>,
    /// NOTIFYs for the other workers.
    pub notices: Vec<Notice>,
    /// Sessions of a pool that monitor: how many there are now.
    pub monitors: Vec<(u16, usize)>,
    /// Questions for other workers.
    pub asks: Vec<Ask>,
    /// Answers to questions of other workers.
    pub answers: Vec<Answer>,
    /// Orders to the thread that loads plugins.
    pub reloads: Vec<Reload>,
    /// Lines for those who monitor on other workers.
    pub shown: Vec<Shown>,
    /// What the other workers are to know of scripts.
    pub scripts: Vec<ScriptNews>,
}

/// What a pool is made of, ready to be sent to a worker's thread.
#[derive(Debug)]
pub struct PoolSetup {
    /// Its checked configuration.
    pub config: Arc<PoolConfig>,
    /// Its placement.
    pub topology: Topology,
    /// Its bindings, in the order in which they are tried.
    pub bindings: Vec<PluginBinding>,
}

/// A pool as a worker sees it.
#[derive(Debug)]
pub struct Pool {
    /// Its checked configuration.
    pub config: Arc<PoolConfig>,
    /// Its placement.
    pub topology: Topology,
    /// Names of its shards, in the order of the configuration.
    pub shard_names: Vec<String>,
    /// Its shards in the order of their names.
    pub by_name: Vec<ShardIndex>,
    /// Its lanes: by protocol (RESP2, RESP3), then by shard.
    pub lanes: [Vec<Option<LaneId>>; 2],
    /// Its lanes that serve one session at a time.
    pub private_lanes: PrivateLanes,
    /// What its sessions, and those of other workers, subscribe to.
    pub(crate) topics: Topics,
    /// Its plugins.
    pub plugins: Option<PoolPlugins>,
    /// Time for a shard to answer, milliseconds; `u64::MAX` = without end.
    pub timeout_ms: u64,
    /// Sessions of this pool in this worker.
    pub sessions: usize,
    /// Somebody monitors it.
    pub monitored: bool,
    /// CLIENT PAUSE.
    pub paused: Option<Paused>,
}

impl Pool {
    /// A pool without lanes; they are made on first use. `seed` feeds what is drawn by chance.
    pub fn new(setup: PoolSetup, seed: u64) -> Self {
        let PoolSetup { config, topology, bindings } = setup;
        let shard_names: Vec<String> =
            config.shards.iter().map(|shard| shard.name.clone()).collect();
        let lanes = [vec![None; topology.len()], vec![None; topology.len()]];
        let private_lanes = PrivateLanes::new(topology.len());
        let topics = Topics::new(topology.len());
        let plugins = PoolPlugins::new(bindings, seed);
        let timeout_ms = timeout_ms(&config);
        Self {
            config,
            topology: topology.with_seed(seed),
            by_name: scan::by_name(&shard_names),
            shard_names,
            lanes,
            private_lanes,
            topics,
            plugins,
            timeout_ms,
            sessions: 0,
            monitored: false,
            paused: None,
        }
    }

    /// Whether nobody wants to see, or to hold up, what its clients do.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        !self.monitored && self.paused.is_none()
    }
}

/// The time-out of a pool in milliseconds; `u64::MAX` = none.
fn timeout_ms(config: &PoolConfig) -> u64 {
    config.timeout.map_or(u64::MAX, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX))
}

/// The time as the core sees it, given by the outer layer before each call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds since the worker started; never goes back.
    pub now_ms: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

/// All that one worker keeps.
#[derive(Debug)]
pub struct Core {
    /// What the outer layer has to do.
    pub wake: Wake,
    /// Counters.
    pub stats: Stats,
    /// Later work.
    pub timers: Timers,
    pub(crate) clock: Clock,
    pub(crate) pools: Vec<Pool>,
    pub(crate) sessions: SlotMap<SessionId, Session>,
    pub(crate) lanes: SlotMap<LaneId, Lane>,
    pub(crate) joins: SlotMap<JoinId, ActiveJoin>,
    pub(crate) gathers: SlotMap<GatherId, ActiveGather>,
    pub(crate) scripts: ScriptTexts,
    pub(crate) script_calls: SlotMap<ScriptId, ActiveScript>,
    /// Scripts without keys that the log was told of.
    pub(crate) keyless_noted: HashSet<Digest>,
    pub(crate) tasks: SlotMap<TaskId, Task>,
    pub(crate) execs: SlotMap<ExecId, ActiveExec>,
    pub(crate) guards: SlotMap<GuardId, ActiveGuard>,
    pub(crate) asks: SlotMap<AskId, OpenAsk>,
    /// Sessions that monitor.
    pub(crate) monitors: Vec<SessionId>,
    pub(crate) confirmations: SlotMap<ConfirmationId, Confirmation>,
    pub(crate) publishes: SlotMap<PublishId, ActivePublish>,
    /// Who gets the message that is being delivered.
    pub(crate) receivers: Vec<SessionId>,
    pub(crate) blocked: SlotMap<BlockedId, Blocked>,
    pub(crate) unblocks: SlotMap<UnblockId, ActiveUnblock>,
    pub(crate) ready: Ready,
    /// The plugins of the configuration, in its order.
    pub(crate) catalog: Vec<KnownPlugin>,
    pub(crate) waiters: Waiters,
    /// What the log should tell; the outer layer writes it.
    pub notes: Vec<String>,
    pub(crate) facts: GatewayFacts,
    pub(crate) spare: Spare,
    pub(crate) spare_lists: Vec<SpareLists>,
    pub(crate) scan: RequestScan,
    pub(crate) beginning: Option<Beginning>,
    pub(crate) scratch: Scratch,
    pub(crate) bytes_held: usize,
    pub(crate) bytes_max: usize,
    pub(crate) draining: bool,
    /// Open sessions, as INFO counts them.
    pub(crate) sessions_counted: u64,
    random: u64,
    worker: u64,
    next_client: u64,
}

impl Core {
    /// A core for worker number `worker`. `seed` feeds jitter and plugins' random numbers; `bytes_max` is the
    /// worker's memory budget for traffic.
    pub fn new(pools: Vec<Pool>, worker: u64, seed: u64, bytes_max: usize) -> Self {
        Self {
            wake: Wake::default(),
            stats: Stats::default(),
            timers: Timers::default(),
            clock: Clock::default(),
            pools,
            sessions: SlotMap::with_key(),
            lanes: SlotMap::with_key(),
            joins: SlotMap::with_key(),
            gathers: SlotMap::with_key(),
            scripts: ScriptTexts::default(),
            script_calls: SlotMap::with_key(),
            keyless_noted: HashSet::new(),
            tasks: SlotMap::with_key(),
            execs: SlotMap::with_key(),
            guards: SlotMap::with_key(),
            asks: SlotMap::with_key(),
            monitors: Vec::new(),
            confirmations: SlotMap::with_key(),
            publishes: SlotMap::with_key(),
            receivers: Vec::new(),
            blocked: SlotMap::with_key(),
            unblocks: SlotMap::with_key(),
            ready: Ready::default(),
            catalog: Vec::new(),
            waiters: Waiters::default(),
            notes: Vec::new(),
            facts: GatewayFacts::default(),
            spare: Spare::default(),
            spare_lists: Vec::new(),
            scan: RequestScan::default(),
            beginning: None,
            scratch: Scratch::default(),
            bytes_held: 0,
            bytes_max,
            draining: false,
            sessions_counted: 0,
            random: seed,
            worker,
            next_client: 0,
        }
    }

    /// Tells the core what time it is.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// The time, milliseconds since the worker started.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms
    }

    /// Takes in a client of pool `pool`; `address` is shown in CLIENT LIST.
    pub fn open_session(&mut self, pool: u16, address: String, local_address: String) -> SessionId {
        self.next_client += 1;
        // The worker's number stands in the low bits, so an id tells whose session it is.
        let id = self.next_client << 8 | (self.worker & 0xff);
        let open =
            self.pools.get(usize::from(pool)).is_none_or(|p| p.config.client_password.is_none());
        let mut identity = Identity::new(id, address, local_address, self.clock.unix_ms, open);
        identity.database = self.pools.get(usize::from(pool)).map_or(0, |p| p.config.database);
        let mut session = Session::new(pool, identity, self.clock.now_ms);
        if self.draining {
            session.closing = Closing::AfterRead;
        }
        let session = self.sessions.insert(session);
        self.stats.sessions_opened += 1;
        self.sessions_counted += 1;
        if let Some(pool) = self.pools.get_mut(usize::from(pool)) {
            pool.sessions += 1;
            if let Some(limit_ms) = idle_limit_ms(&pool.config) {
                self.timers.set(self.clock.now_ms + limit_ms, timer::Timer::SessionIdle(session));
            }
        }
        session
    }

    /// Forgets a session whose socket is gone. Replies that still come for it find nobody.
    pub fn close_session(&mut self, id: SessionId) {
        self.cancel_blocked(id);
        let Some(mut session) = self.sessions.remove(id) else {
            return;
        };
        self.stats.sessions_closed += 1;
        self.sessions_counted = self.sessions_counted.saturating_sub(1);
        self.bytes_held = self.bytes_held.saturating_sub(session.accounted);
        session.out.clear(&mut self.spare);
        if let Some(watching) = session.watching {
            self.end_watch(watching);
        }
        if let Some(pool) = self.pools.get_mut(usize::from(session.pool)) {
            pool.sessions = pool.sessions.saturating_sub(1);
        }
        self.end_subscriptions(session.pool, id, session.subscriptions.take());
        self.orphan_tasks(&session.tasks);
        if session.monitor.is_some() {
            self.forget_monitor(id, session.pool);
        }
        let mut watched = Vec::from(session.watched);
        let whose = |one: &Watched| {
            (one.binding, one.handler, one.protocol == Protocol::Resp3, one.database)
        };
        watched.sort_by_key(whose);
        for group in watched.chunk_by(|a, b| whose(a) == whose(b)) {
            self.session_closed_task(session.pool, session.identity.id, group);
        }
        self.run_ready_tasks();
    }

    /// Number of open sessions.
    pub fn sessions_open(&self) -> usize {
        self.sessions.len()
    }

    /// The session `id`, if it is still there.
    pub fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id)
    }

    /// The lane `id`.
    pub fn lane(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(id)
    }

    /// The lane `id` and the spare memory that its output is made of.
    pub fn lane_and_spare(&mut self, id: LaneId) -> Option<(&mut Lane, &mut Spare)> {
        Some((self.lanes.get_mut(id)?, &mut self.spare))
    }

    /// The session `id` and the spare memory that its output is made of.
    pub fn session_and_spare(&mut self, id: SessionId) -> Option<(&mut Session, &mut Spare)> {
        Some((self.sessions.get_mut(id)?, &mut self.spare))
    }

    /// The pool of a lane.
    pub fn pool(&self, index: u16) -> Option<&Pool> {
        self.pools.get(usize::from(index))
    }

    /// Ends all sessions, and those that still come, once what they have sent is read and answered; used when the
    /// gateway stops.
    pub fn drain(&mut self) {
        self.draining = true;
        self.end_asks();
        (0..).take(self.pools.len()).for_each(|pool| self.end_pause_of(pool));
        self.end_worker_confirmations();
        let ids: Vec<SessionId> = self.sessions.keys().collect();
        for id in ids {
            self.end_session(id, Closing::AfterRead);
            self.end_blocked(id);
        }
    }

    /// Marks a session as ending and wakes it.
    pub fn end_session(&mut self, id: SessionId, how: Closing) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.closing = session.closing.max(how);
            wake_session(session, id, &mut self.wake);
        }
    }

    /// Brings the worker's budget up to date after a turn of this session.
    pub fn account_session(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            let held = session.bytes_held();
            self.bytes_held = (self.bytes_held + held).saturating_sub(session.accounted);
            session.accounted = held;
        }
    }

    /// Brings the worker's budget up to date after a turn of this lane.
    pub fn account_lane(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(id) {
            let held = lane.bytes_held();
            self.bytes_held = (self.bytes_held + held).saturating_sub(lane.accounted);
            lane.accounted = held;
        }
    }

    /// A number that looks random; splitmix64 (Steele, Lea, Flood 2014).
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.random;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

/// Puts a session into the list of those to wake, once.
#[inline]
pub(crate) fn wake_session(session: &mut Session, id: SessionId, wake: &mut Wake) {
    if !session.to_wake {
        session.to_wake = true;
        wake.sessions.push(id);
    }
}

/// Puts a lane into the list of those to wake, once.
#[inline]
pub(crate) fn wake_lane(lane: &mut Lane, id: LaneId, wake: &mut Wake) {
    if !lane.to_wake {
        lane.to_wake = true;
        wake.lanes.push(id);
    }
}

/// How long a client of this pool may be idle; `None` = for ever.
pub(crate) fn idle_limit_ms(config: &PoolConfig) -> Option<u64> {
    config.idle_timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

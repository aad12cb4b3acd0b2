//! Hooked commands that name several keys, or none.
//!
//! ```text
//!   MGET a b c ─► which binding takes each key? ─┬─ binding 0: a, c ─► a call with MGET a c ─┐
//!                                                └─ none: b ────────► MGET b to b's shard ───┴─► join
//! ```
//! A splittable command is cut by binding: each call sees its own keys only, the rest goes the ordinary way, and the
//! replies are joined as those of several shards are. A call that passes its part hands it on to later bindings in the
//! same manner. A command that cannot be split, or names no key, is offered whole to the bindings on `*`; its session
//! waits for it, so that one which is passed on can take its ordinary way as if it had come now.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::rule::{JoinRule, Rule};
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::ids::SessionId;
use crate::core::lane::Owner;
use crate::core::request::Request;
use crate::core::split::ActiveJoin;
use crate::core::task::{Caller, NewTask, Task};
use crate::join::Join;
use crate::pending::Place;
use crate::plugin::bindings::Taken;
use crate::plugin::given::Kind;
use crate::resp::args::Args;
use crate::resp::request::{RequestLimits, RequestScan, Scanned};
use crate::route::split::{Part, Split, width};
use crate::topology::ShardIndex;

/// What is known of a command whose keys are handed out.
#[derive(Clone, Copy)]
struct Handed<'a> {
    spec: &'static CommandSpec,
    rule: JoinRule,
    args: Args<'a>,
    /// Where its parts go; the shard is not looked at.
    target: Target,
    /// The client that waits.
    client: (SessionId, Place),
    owner: Owner,
    caller: Option<Caller>,
}

impl Core {
    /// Starts calls for a splittable command if any binding takes one of its keys; whether one does.
    pub(crate) fn start_hooked_keys(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        args: Args<'_>,
    ) -> bool {
        let Rule::Split(rule) = spec.rule else { return false };
        let Some(session) = self.sessions.get(id) else { return false };
        let target = session.target(0);
        // The shard says what is wrong with it.
        if !(args.len() - 1).is_multiple_of(width(rule)) {
            return false;
        }
        let takers = self.takers(target.pool, spec, rule, &args, 0);
        if takers.iter().all(Option::is_none) {
            return false;
        }
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let client = (id, session.pending.push());
        let owner = Owner::Session(client.0, client.1);
        let handed = Handed { spec, rule, args, target, client, owner, caller: None };
        self.hand_out(handed, &takers);
        true
    }

    /// A call has passed a command with several keys: later bindings get theirs, the shards the rest.
    pub(crate) fn pass_on_keys(&mut self, task: &Task, spec: &'static CommandSpec) {
        let (Rule::Split(rule), Some(client)) = (spec.rule, task.client) else {
            return self.settle(task.owner, Piece::borrowed(b"-ERR the client is gone\r\n"));
        };
        let args = Args::new(&task.request, &task.spans);
        let from = task.binding.saturating_add(1);
        let takers = self.takers(task.pool, spec, rule, &args, from);
        let (target, owner, caller) = (task.target(0), task.owner, Some(task.caller()));
        self.hand_out(Handed { spec, rule, args, target, client, owner, caller }, &takers);
    }

    /// For each key, the binding that takes it.
    fn takers(
        &self,
        pool: u16,
        spec: &CommandSpec,
        rule: JoinRule,
        args: &Args<'_>,
        from: u16,
    ) -> Vec<Option<Taken>> {
        let plugins = self.pools.get(usize::from(pool)).and_then(|pool| pool.plugins.as_ref());
        let keys = args.from(1).step_by(width(rule));
        let take = |key| plugins.and_then(|p| p.bindings.take(spec.index, Some(key), from));
        keys.map(take).collect()
    }

    /// Cuts a command by shard and by binding, and sends or starts each part.
    fn hand_out(&mut self, handed: Handed<'_>, takers: &[Option<Taken>]) {
        let Handed { spec, rule, args, target, client, owner, .. } = handed;
        let Some(pool) = self.pools.get(usize::from(target.pool)) else { return };
        let topology = &pool.topology;
        let shards = self.shard_count(target.pool);
        let keys = args.from(1).step_by(width(rule));
        // Behind the shards, one number for each binding.
        let places: Vec<ShardIndex> = keys
            .zip(takers)
            .map(|(key, taker)| match taker {
                None => topology.shard_of(key),
                Some(taken) => shards.saturating_add(taken.binding),
            })
            .collect();
        let split = Split::new(rule, spec.is_write(), &args, &places);
        let (mut positions, mut requests) = (Vec::new(), Vec::new());
        for Part { shard, request, positions: of_part } in split.parts {
            let first = of_part.first().map_or(0, |first| *first as usize);
            let taken = takers.get(first).copied().flatten();
            requests.push((shard, taken, request));
            positions.push(of_part);
        }
        let is_one = requests.len() == 1;
        let join = (!is_one).then(|| {
            let join = Join::new(rule, split.is_write, split.keys, positions.into_iter());
            self.joins.insert(ActiveJoin { join, session: client.0, place: client.1, owner })
        });
        for (part, (shard, taken, request)) in (0..).zip(requests) {
            let owner = join.map_or(owner, |join| Owner::Part(join, part));
            match taken {
                Some(taken) => self.start_part(handed, taken, owner, &request),
                None => {
                    self.note_write(client.0, spec, shard);
                    self.forward(Target { shard, ..target }, Piece::borrowed(&request), owner);
                }
            }
        }
    }

    /// Starts the call of a binding with its part of the keys.
    fn start_part(&mut self, handed: Handed<'_>, taken: Taken, owner: Owner, request: &[u8]) {
        let mut scan = RequestScan::default();
        let Scanned::Complete { .. } = scan.scan(request, &RequestLimits::OPEN) else { return };
        let args = Args::new(request, scan.spans());
        let step = i16::try_from(width(handed.rule)).unwrap_or(1);
        self.start_task_later(NewTask {
            pool: handed.target.pool,
            taken,
            kind: Kind::Hook,
            owner,
            session: Some(handed.client.0),
            caller: handed.caller,
            spec: Some(handed.spec),
            args,
            key: args.get(1).unwrap_or_default(),
            keys: (1, -1, step),
        });
    }

    /// Starts a call for a command that is offered whole to the bindings on `*`; whether one takes it.
    pub(crate) fn start_hooked_whole(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        args: Args<'_>,
    ) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let pool = session.pool;
        let Some(taken) = self.taker_of_whole(pool, spec, 0) else { return false };
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let place = session.pending.push();
        session.alone_place = Some(place);
        self.start_hook((pool, taken), (id, place), spec, (args, &[]));
        true
    }

    /// The binding that takes a command which is offered whole.
    pub(crate) fn taker_of_whole(&self, pool: u16, spec: &CommandSpec, from: u16) -> Option<Taken> {
        let plugins = self.pools.get(usize::from(pool))?.plugins.as_ref()?;
        is_offered_whole(spec).then(|| plugins.bindings.take(spec.index, None, from))?
    }

    /// A call has passed a command that was offered whole: it takes its ordinary way, in the place that it had.
    pub(crate) fn pass_on_whole(&mut self, task: &Task, spec: &'static CommandSpec) {
        let Some((id, place)) = task.client else { return };
        let Some(session) = self.sessions.get_mut(id) else { return };
        // Nothing has come behind it: its session waited.
        if !session.pending.take_back(place) {
            return;
        }
        session.alone_place = None;
        let args = Args::new(&task.request, &task.spans);
        let request = Request { args, piece: Piece::borrowed(&task.request) };
        self.carry_out_unhooked(id, spec, request);
        self.wake_if_held(id);
    }
}

/// Whether a command that names no single key, and is not cut by key, may be hooked.
pub fn is_offered_whole(spec: &CommandSpec) -> bool {
    match spec.rule {
        Rule::Keys
        | Rule::Script
        | Rule::Sort
        | Rule::StreamRead
        | Rule::Blocking
        | Rule::Joined(_)
        | Rule::Shards(_) => spec.single_key.is_none(),
        Rule::Local(_)
        | Rule::Clients(_)
        | Rule::Plugins
        | Rule::Key
        | Rule::Wait(_)
        | Rule::Split(_)
        | Rule::Pubsub(_)
        | Rule::Transaction(_)
        | Rule::Refuse(_)
        | Rule::Container => false,
    }
}

/// Whether a plugin can hook a command at all.
pub fn may_be_hooked(spec: &CommandSpec) -> bool {
    spec.single_key.is_some() || matches!(spec.rule, Rule::Split(_)) || is_offered_whole(spec)
}

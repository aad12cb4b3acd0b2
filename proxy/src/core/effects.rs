//! Carrying out what a plugin's call asks for.
//!
//! Each operation of a batch becomes an effect: a command on a lane, MULTI..EXEC on one shard, a timer, a waiter, a
//! notice, a watch, a new call. Keys beside another key get their names here and go to that key's shard. Operations
//! that are denied give their result at once. All of a batch is done in one go, so a WAIT-KEY is registered before a
//! command of the same batch can be answered.

use crate::buffer::Piece;
use crate::command::resolve::resolve;
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::hook::only_key;
use crate::core::ids::{SessionId, TaskId};
use crate::core::lane::Owner;
use crate::core::plugins::cells_of;
use crate::core::session::Watched;
use crate::core::task::{Awaiting, Caller, HeldResult, NewTask, Task};
use crate::core::timer::Timer;
use crate::core::waiters::{Notice, WaitLimits};
use crate::plugin::batch::{self, Arg, ArgList, Batch, CommandList, Op};
use crate::plugin::beside;
use crate::plugin::bindings::Taken;
use crate::plugin::cells::CallId;
use crate::plugin::given::{Kind, Status};
use crate::resp::args::Args;
use crate::resp::request::{RequestLimits, RequestScan, Scanned};
use crate::resp::write::{self, Protocol};
use crate::route;
use crate::topology::{ShardIndex, Topology};

/// What a call that no client waits for is about.
struct About {
    kind: Kind,
    session: Option<SessionId>,
    caller: Option<Caller>,
}

/// The call that asks for an operation which outlasts it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    pub(crate) pool: u16,
    pub(crate) binding: u16,
    pub(crate) call: Option<CallId>,
    pub(crate) session: Option<SessionId>,
    /// The session's number, as plugins know it, also when it has closed meanwhile.
    pub(crate) number: u64,
    pub(crate) protocol: Protocol,
    pub(crate) database: u16,
}

impl Core {
    /// Carries out a batch; its room goes back to the cells of its binding.
    pub(crate) fn carry_out_batch(&mut self, id: TaskId, batch: Batch) {
        let binding = self.tasks.get(id).map(|task| (task.pool, task.binding));
        self.carry_out_ops(id, &batch);
        let cells = binding.and_then(|(pool, at)| cells_of(&mut self.pools, pool, at));
        if let Some(cells) = cells {
            cells.give_back(batch);
        }
    }

    fn carry_out_ops(&mut self, id: TaskId, batch: &Batch) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.first = batch.first;
        for numbered in &batch.ops {
            if let Some(denied) = numbered.denied {
                let Some(Task { pool, binding, .. }) = self.tasks.get(id) else {
                    return;
                };
                self.denied(*pool, *binding, denied, batch.name_of(&numbered.op));
                let Some(task) = self.tasks.get_mut(id) else {
                    return;
                };
                let bytes = denied.text().as_bytes().to_vec();
                let status = Status::Denied;
                task.results.push(HeldResult { number: numbered.number, status, bytes });
                continue;
            }
            self.carry_out_op(id, batch, numbered.number, numbered.op);
        }
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        if task.abandoned && task.only_waits() {
            return self.cancel_task(id);
        }
        if let Some((session, _)) = task.client
            && task.only_waits()
        {
            self.wake_if_held(session);
        }
        self.step_if_ready(id);
    }

    fn carry_out_op(&mut self, id: TaskId, batch: &Batch, number: u32, op: Op) {
        match op {
            Op::Command { reply_wanted, hooked, target, args } => {
                // One with an address of its own would lose it where a later binding passes it on.
                let offered = hooked && target == batch::Target::OwnKeys;
                let taken = offered && self.hooked_op(id, batch, number, (args, reply_wanted));
                if !taken {
                    self.command_op(id, batch, number, (target, args, reply_wanted));
                }
            }
            Op::Transaction { target, guard, commands } => match guard {
                Some(guard) => self.begin_guard(id, batch, number, (target, guard, commands)),
                None => self.transaction_op(id, batch, number, (target, commands)),
            },
            Op::Sleep { ms } => {
                self.open_op(id, number, Awaiting::Timer);
                let deadline_ms = self.tasks.get(id).map_or(0, |task| task.deadline_ms);
                let at_ms = self.clock.now_ms.saturating_add(u64::from(ms)).min(deadline_ms);
                self.timers.set(at_ms, Timer::TaskOperation(id, number));
            }
            Op::WaitKey { timeout_ms, behind_ms, poll_ms, key } => {
                let limits = WaitLimits { timeout_ms, behind_ms, poll_ms };
                self.wait_key(id, number, batch.slice(key), limits);
            }
            Op::Notify { .. }
            | Op::WatchSession { .. }
            | Op::UnwatchSession { .. }
            | Op::Spawn { .. } => self.lasting_op(id, batch, op),
        }
    }

    /// An operation that gives no result.
    fn lasting_op(&mut self, id: TaskId, batch: &Batch, op: Op) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let asking = Asking {
            pool: task.pool,
            binding: task.binding,
            call: task.call,
            session: task.session,
            number: task.head.session,
            protocol: task.protocol,
            database: task.head.db,
        };
        self.lasting(asking, batch, op);
    }

    fn lasting(&mut self, asking: Asking, batch: &Batch, op: Op) {
        let Asking { pool, binding, session, database, .. } = asking;
        match op {
            Op::Notify { key, bytes } => {
                let (key, bytes) = (batch.slice(key).to_vec(), batch.slice(bytes).to_vec());
                self.notify(Notice { pool, binding, database, key, bytes });
            }
            Op::WatchSession { handler, key } => {
                if let Some(watched) = self.watched(asking, handler, batch.slice(key)) {
                    self.watch(asking, watched);
                }
            }
            Op::UnwatchSession { handler, key } => {
                if let Some(watched) = self.watched(asking, handler, batch.slice(key))
                    && let Some(session) = session.and_then(|id| self.sessions.get_mut(id))
                {
                    session.unwatch(&watched);
                }
            }
            Op::Spawn { handler, args } => {
                if let Some(handler) = self.present_task((pool, binding), asking.call, handler) {
                    let request = self.encode(pool, batch, args);
                    self.spawn(pool, Taken { binding, handler }, session, &request);
                }
            }
            // The contract allows none of these in the last batch of a call.
            Op::Command { .. } | Op::Transaction { .. } | Op::Sleep { .. } | Op::WaitKey { .. } => {
            }
        }
    }

    fn open_op(&mut self, id: TaskId, number: u32, awaiting: Awaiting) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.open.push((number, awaiting));
        }
    }

    fn command_op(
        &mut self,
        id: TaskId,
        batch: &Batch,
        number: u32,
        (target, args, reply_wanted): (batch::Target, ArgList, bool),
    ) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let (pool, first, session) = (task.pool, task.target(0), task.session);
        let request = self.encode(pool, batch, args);
        let shard = self.shard_for(pool, batch, target, args, &request);
        if let (Some(session), Ok(shard)) = (session, &shard) {
            self.note_wrote(session, *shard);
        }
        let owner = if reply_wanted { Owner::Task(id, number) } else { Owner::Nobody };
        if reply_wanted {
            self.open_op(id, number, Awaiting::Shard);
        }
        match shard {
            Ok(shard) => {
                let target = Target { shard, ..first };
                self.forward(target, Piece::borrowed(&request), owner);
            }
            Err(reply) => self.settle(owner, Piece::borrowed(&reply)),
        }
        self.spare.give(request);
    }

    /// A command that bindings behind this call's own may take; whether one does. Each such call is about a later
    /// binding, so they nest no deeper than there are bindings.
    fn hooked_op(
        &mut self,
        id: TaskId,
        batch: &Batch,
        number: u32,
        (args, reply_wanted): (ArgList, bool),
    ) -> bool {
        let Some(task) = self.tasks.get(id) else {
            return false;
        };
        let (pool, from, session) = (task.pool, task.binding.saturating_add(1), task.session);
        let caller = task.caller();
        if beside_owner(batch, args).is_some() {
            return false;
        }
        let request = self.encode(pool, batch, args);
        let mut scan = RequestScan::default();
        let Scanned::Complete { .. } = scan.scan(&request, &RequestLimits::OPEN) else {
            return false;
        };
        let args = Args::new(&request, scan.spans());
        let Ok(spec) = resolve(&args) else {
            return false;
        };
        let plugins = self.pools.get(usize::from(pool)).and_then(|pool| pool.plugins.as_ref());
        let key = only_key(spec, &args);
        let taken = plugins
            .zip(key)
            .and_then(|(plugins, key)| plugins.bindings.take(spec.index, Some(key), from));
        let Some(taken) = taken else {
            return false;
        };
        if reply_wanted {
            self.open_op(id, number, Awaiting::Shard);
        }
        self.start_task_later(NewTask {
            pool,
            taken,
            kind: Kind::Hook,
            owner: if reply_wanted { Owner::Task(id, number) } else { Owner::Nobody },
            session,
            caller: Some(caller),
            spec: Some(spec),
            args,
            key: key.unwrap_or_default(),
            keys: (0, 0, 0),
        });
        true
    }

    fn transaction_op(
        &mut self,
        id: TaskId,
        batch: &Batch,
        number: u32,
        (target, commands): (batch::Target, CommandList),
    ) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let (pool, first, session) = (task.pool, task.target(0), task.session);
        self.open_op(id, number, Awaiting::Shard);
        let owner = Owner::Task(id, number);
        match self.encode_transaction(pool, batch, target, commands) {
            Ok((shard, requests)) => {
                if let Some(session) = session {
                    self.note_wrote(session, shard);
                }
                self.forward_group(Target { shard, ..first }, &requests, owner);
            }
            Err(reply) => self.settle(owner, Piece::borrowed(&reply)),
        }
    }

    /// The commands of a TX as requests, and the one shard of them all.
    pub(crate) fn encode_transaction(
        &mut self,
        pool: u16,
        batch: &Batch,
        target: batch::Target,
        commands: CommandList,
    ) -> Result<(ShardIndex, Vec<Vec<u8>>), Vec<u8>> {
        let list = self.encode_list(pool, batch, target, commands)?;
        let shard = list.first().map_or(0, |(shard, _)| *shard);
        if list.iter().any(|(own, _)| *own != shard) {
            return Err(
                b"-CROSSSHARD the keys of a plugin's transaction must live on one shard\r\n"
                    .to_vec(),
            );
        }
        Ok((shard, list.into_iter().map(|(_, request)| request).collect()))
    }

    /// The same, each with its own shard.
    pub(crate) fn encode_list(
        &mut self,
        pool: u16,
        batch: &Batch,
        target: batch::Target,
        commands: CommandList,
    ) -> Result<Vec<(ShardIndex, Vec<u8>)>, Vec<u8>> {
        let mut list = Vec::new();
        for args in batch.commands(commands) {
            let request = self.encode(pool, batch, args);
            let shard = self.shard_for(pool, batch, target, args, &request)?;
            list.push((shard, request));
        }
        Ok(list)
    }

    /// A command of a batch as a request, with the names of keys beside others written out.
    pub(crate) fn encode(&mut self, pool: u16, batch: &Batch, args: ArgList) -> Vec<u8> {
        let mut request = self.spare.take();
        let topology = self.pools.get(usize::from(pool)).map(|pool| &pool.topology);
        let args = batch.args(args);
        write::array_header(&mut request, args.len());
        let mut name = Vec::new();
        for arg in args {
            match arg {
                Arg::Plain(bytes) => write::bulk(&mut request, bytes),
                Arg::Beside { owner, name: suffix } => {
                    name.clear();
                    let hashed = topology.map_or(owner, |topology| topology.hashed_part(owner));
                    beside::write_name(owner, hashed, suffix, &mut name);
                    write::bulk(&mut request, &name);
                }
            }
        }
        request
    }

    /// The shard that a command of a batch goes to.
    pub(crate) fn shard_for(
        &mut self,
        pool: u16,
        batch: &Batch,
        target: batch::Target,
        args: ArgList,
        request: &[u8],
    ) -> Result<ShardIndex, Vec<u8>> {
        let Some(pool) = self.pools.get(usize::from(pool)) else {
            return Ok(0);
        };
        let topology = &pool.topology;
        match target {
            batch::Target::Shard(shard) if usize::from(shard) < topology.len() => Ok(shard),
            batch::Target::Shard(_) => Err(b"-ERR the pool has no such shard\r\n".to_vec()),
            batch::Target::Key(key) => Ok(topology.shard_of(batch.slice(key))),
            batch::Target::OwnKeys => {
                let Some(owner) = beside_owner(batch, args) else {
                    return own_shard(request, topology, &mut self.scratch);
                };
                // A key beside another lives on its owner's shard, whatever its name hashes to.
                let mut owners = self.spare.take();
                let args = batch.args(args);
                write::array_header(&mut owners, args.len());
                args.for_each(|arg| match arg {
                    Arg::Plain(bytes) | Arg::Beside { owner: bytes, .. } => {
                        write::bulk(&mut owners, bytes);
                    }
                });
                let shard = own_shard(&owners, topology, &mut self.scratch);
                self.spare.give(owners);
                match shard {
                    Err(reply) if reply.starts_with(b"-CROSSSHARD") => Err(reply),
                    // That shard knows what is wrong with the command.
                    Err(_) => Ok(topology.shard_of(owner)),
                    shard => shard,
                }
            }
        }
    }

    /// Whether the keys of a command live on `shard`; a plugin that names a shard by its number knows best.
    pub(crate) fn lives_on(
        &mut self,
        pool: u16,
        shard: ShardIndex,
        batch: &Batch,
        (target, args, request): (batch::Target, ArgList, &[u8]),
    ) -> bool {
        if matches!(target, batch::Target::Shard(_)) {
            return true;
        }
        match self.shard_for(pool, batch, batch::Target::OwnKeys, args, request) {
            Ok(own) => own == shard,
            // A command without keys lives anywhere.
            Err(reply) => !reply.starts_with(b"-CROSSSHARD"),
        }
    }

    /// Carries out what a call inside MULTI leaves behind: notices, watches and new calls.
    pub(crate) fn carry_out_last(&mut self, asking: Asking, batch: &Batch) {
        for numbered in batch.ops.iter().filter(|numbered| numbered.denied.is_none()) {
            self.lasting(asking, batch, numbered.op);
        }
    }

    /// The watch that a call names; `None` when its task is gone with an older version.
    fn watched(&mut self, asking: Asking, handler: u16, key: &[u8]) -> Option<Watched> {
        let Asking { pool, binding, call, protocol, database, .. } = asking;
        let handler = self.present_task((pool, binding), call, handler)?;
        Some(Watched { binding, handler, key: key.to_vec(), protocol, database })
    }

    fn watch(&mut self, asking: Asking, watched: Watched) {
        let Some(session) = asking.session else { return };
        match self.sessions.get_mut(session) {
            Some(session) => session.watch(watched),
            // It has closed while the call was under way: tell the plugin now.
            None => self.session_closed_task(asking.pool, asking.number, &[watched]),
        }
    }

    /// Tells a handler that session `number`, which it watched, has closed; `watched` are its own, at least one.
    pub(crate) fn session_closed_task(&mut self, pool: u16, number: u64, watched: &[Watched]) {
        let Some(first) = watched.first() else { return };
        let mut request = Vec::new();
        write::request(&mut request, watched.iter().map(|one| one.key.as_slice()));
        let taken = Taken { binding: first.binding, handler: first.handler };
        // On the lanes of what the calls of that session have sent, so that it comes behind it.
        let Watched { protocol, database, .. } = *first;
        let caller = Some(Caller { number, protocol, database });
        let about = About { kind: Kind::SessionClosed, session: None, caller };
        self.start_plain_task(pool, taken, about, &request);
    }

    /// Starts a call that another one asks for, unless too many such calls are in flight.
    fn spawn(&mut self, pool: u16, taken: Taken, session: Option<SessionId>, request: &[u8]) {
        if self.spawned_begins(pool, taken.binding) {
            let about = About { kind: Kind::Spawned, session, caller: None };
            self.start_plain_task(pool, taken, about, request);
        }
    }

    /// Starts a call that no client waits for; `request` holds its arguments. It comes from inside a step, so it is
    /// entered later.
    fn start_plain_task(&mut self, pool: u16, taken: Taken, about: About, request: &[u8]) {
        let mut scan = RequestScan::default();
        if let Scanned::Complete { .. } = scan.scan(request, &RequestLimits::OPEN) {
            self.start_task_later(NewTask {
                pool,
                taken,
                kind: about.kind,
                owner: Owner::Nobody,
                session: about.session,
                caller: about.caller,
                spec: None,
                args: Args::new(request, scan.spans()),
                key: &[],
                keys: (0, 0, 0),
            });
        }
    }
}

/// The owner of the first key beside another that the command names.
fn beside_owner(batch: &Batch, args: ArgList) -> Option<&[u8]> {
    batch.args(args).find_map(|arg| match arg {
        Arg::Beside { owner, .. } => Some(owner),
        Arg::Plain(_) => None,
    })
}

/// The one shard of a command's own keys.
fn own_shard(
    request: &[u8],
    topology: &Topology,
    scratch: &mut route::Scratch,
) -> Result<ShardIndex, Vec<u8>> {
    let mut scan = RequestScan::default();
    let Scanned::Complete { .. } = scan.scan(request, &RequestLimits::OPEN) else {
        return Err(b"-ERR the plugin's command is no request\r\n".to_vec());
    };
    let args = Args::new(request, scan.spans());
    match resolve(&args) {
        Ok(spec) => route::one_shard(spec, &args, topology, scratch),
        Err(error) => {
            let mut reply = Vec::new();
            error.write(&args, &mut reply);
            Err(reply)
        }
    }
}

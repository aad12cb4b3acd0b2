//! Plugin calls in flight.
//!
//! ```text
//!   request ─ hook ─► start ─► step ─┬─ DONE ──────► the session's place
//!                               ▲    ├─ PASS ──────► next binding, or forward as it came
//!                               │    └─ PENDING ───► effects: commands to lanes, timers, waiters
//!                            resume ◄── results ◄───────────────┘
//! ```
//! A task is one call of a plugin and what it waits for. Results gather until the call wants to go on; then the task
//! is put into the list of `ready` and stepped at the end of the worker's present call into the core, never from inside
//! a delivery, so no chain of failing commands can nest. A task whose session closes goes on without a client while
//! commands are under way (they may have run) and is cancelled as soon as it only waits.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::keys::places;
use crate::command::rule::Rule;
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::hook::only_key;
use crate::core::ids::{SessionId, TaskId};
use crate::core::lane::Owner;
use crate::core::session::Session;
use crate::core::waiters::KeyWait;
use crate::limits;
use crate::pending::Place;
use crate::plugin::bindings::Taken;
use crate::plugin::cells::CallId;
use crate::plugin::fault::Fault;
use crate::plugin::given::{Kind, StartHead, Status};
use crate::plugin::limits::SMALL_RESULT_BYTES;
use crate::plugin::room::Step;
use crate::resp::args::{Args, Span};
use crate::resp::write::Protocol;
use crate::session::identity::Identity;
use crate::topology::ShardIndex;

/// A result that waits for its call to be resumed.
#[derive(Debug)]
pub(crate) struct HeldResult {
    pub(crate) number: u32,
    pub(crate) status: Status,
    pub(crate) bytes: Vec<u8>,
}

/// What an operation that has no result yet waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Awaiting {
    /// A shard.
    Shard,
    /// A timer.
    Timer,
    /// A NOTIFY of a key.
    Key(KeyWait),
}

/// One plugin call in flight.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) pool: u16,
    pub(crate) binding: u16,
    pub(crate) head: StartHead,
    /// Its call in the plugin's cells, once it has its first frame.
    pub(crate) call: Option<CallId>,
    /// Who waits for the reply: a session's place, an operation of another task, or nobody.
    pub(crate) owner: Owner,
    /// The client that waits for the reply, and its place.
    pub(crate) client: Option<(SessionId, Place)>,
    /// The session that the call belongs to, also after its reply.
    pub(crate) session: Option<SessionId>,
    pub(crate) spec: Option<&'static CommandSpec>,
    /// The client's request, or the arguments of a spawned call, as a request.
    pub(crate) request: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    /// The key that the command names, or the first of several.
    pub(crate) key: Vec<u8>,
    /// Where an own command has its keys: first, last, step.
    pub(crate) keys: (i16, i16, i16),
    pub(crate) protocol: Protocol,
    pub(crate) open: Vec<(u32, Awaiting)>,
    pub(crate) results: Vec<HeldResult>,
    /// Resume at the first result.
    pub(crate) first: bool,
    /// A longer result is not kept: its plugin may not be given it.
    pub(crate) result_bytes_max: usize,
    /// When its whole time is over, milliseconds on the worker's clock; `u64::MAX` before its first frame.
    pub(crate) deadline_ms: u64,
    /// Whether its reply has been given.
    pub(crate) answered: bool,
    /// Whether its client has gone before it had the reply: then it ends as soon as it only waits.
    pub(crate) abandoned: bool,
    /// Whether the task is in the list of those to step.
    pub(crate) ready: bool,
}

impl Task {
    /// Whether it waits for time or a notice only, with nothing under way to a shard.
    pub(crate) fn only_waits(&self) -> bool {
        !self.open.is_empty()
            && self.results.is_empty()
            && self.open.iter().all(|(_, awaiting)| *awaiting != Awaiting::Shard)
    }

    /// Where its commands to a shard go.
    pub(crate) fn target(&self, shard: ShardIndex) -> Target {
        let protocol_index = usize::from(self.protocol == Protocol::Resp3);
        Target { pool: self.pool, shard, protocol_index, database: self.head.db }
    }

    /// For whom it runs.
    pub(crate) fn caller(&self) -> Caller {
        let Self { protocol, head, .. } = self;
        Caller { number: head.session, protocol: *protocol, database: head.db }
    }

    /// Whether it is about this key.
    pub(crate) fn names(&self, key: &[u8]) -> bool {
        let args = Args::new(&self.request, &self.spans);
        self.key == key || places(self.keys, args.len()).any(|at| args.get(at) == Some(key))
    }

    /// Whether the call has what it wants to go on with.
    pub(crate) fn may_resume(&self) -> bool {
        !self.results.is_empty() && (self.first || self.open.is_empty())
    }
}

/// The lists of a task, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct SpareLists {
    spans: Vec<Span>,
    open: Vec<(u32, Awaiting)>,
    results: Vec<HeldResult>,
}

/// What starts a task.
pub(crate) struct NewTask<'a> {
    pub(crate) pool: u16,
    pub(crate) taken: Taken,
    pub(crate) kind: Kind,
    pub(crate) owner: Owner,
    pub(crate) session: Option<SessionId>,
    /// Whose call it is, where `session` may not be open any more.
    pub(crate) caller: Option<Caller>,
    pub(crate) spec: Option<&'static CommandSpec>,
    pub(crate) args: Args<'a>,
    pub(crate) key: &'a [u8],
    /// Where an own command has its keys: first, last, step.
    pub(crate) keys: (i16, i16, i16),
}

/// What a plugin is told of the session that a call belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) number: u64,
    pub(crate) protocol: Protocol,
    pub(crate) database: u16,
}

impl Caller {
    /// The session itself.
    fn of(session: &Session) -> Self {
        let Identity { id, protocol, database, .. } = session.identity;
        Self { number: id, protocol, database }
    }
}

impl Core {
    /// How many shards a pool has, as plugins count them.
    pub(crate) fn shard_count(&self, pool: u16) -> u16 {
        let topology = self.pools.get(usize::from(pool)).map(|pool| &pool.topology);
        topology.map_or(0, |topology| u16::try_from(topology.len()).unwrap_or(u16::MAX))
    }

    /// Starts a call: its first frame goes to the plugin now.
    pub(crate) fn start_task(&mut self, new: NewTask<'_>) {
        let id = self.new_task(new);
        self.enter(id);
    }

    /// Starts a call from inside another's step: its first frame goes to the plugin with the tasks that are ready.
    pub(crate) fn start_task_later(&mut self, new: NewTask<'_>) {
        let id = self.new_task(new);
        self.make_ready(id);
    }

    /// A task that has not begun.
    pub(crate) fn new_task(&mut self, new: NewTask<'_>) -> TaskId {
        self.stats.plugin_calls += 1;
        let of_session = |id| self.sessions.get(id).map(Caller::of);
        let caller = new.caller.or_else(|| new.session.and_then(of_session));
        let nobody = Caller { number: 0, protocol: Protocol::Resp2, database: 0 };
        let Caller { number, protocol, database } = caller.unwrap_or(nobody);
        let head = StartHead {
            kind: new.kind,
            resp: if protocol == Protocol::Resp3 { 3 } else { 2 },
            db: database,
            handler: new.taken.handler,
            binding: new.taken.binding,
            shards: self.shard_count(new.pool),
            session: number,
        };
        let client = self.client_of(new.owner);
        let mut lists = self.spare_lists.pop().unwrap_or_default();
        lists.spans.extend_from_slice(new.args.spans());
        let [mut request, mut key] = [self.spare.take(), self.spare.take()];
        request.extend_from_slice(new.args.raw());
        key.extend_from_slice(new.key);
        let task = self.tasks.insert(Task {
            pool: new.pool,
            binding: new.taken.binding,
            head,
            call: None,
            owner: new.owner,
            client,
            session: new.session,
            spec: new.spec,
            request,
            spans: lists.spans,
            key,
            keys: new.keys,
            protocol,
            open: lists.open,
            results: lists.results,
            first: false,
            result_bytes_max: usize::MAX,
            deadline_ms: u64::MAX,
            answered: false,
            abandoned: false,
            ready: false,
        });
        if let Some(session) = client.and_then(|(id, _)| self.sessions.get_mut(id)) {
            session.tasks.push(task);
        }
        task
    }

    /// The client that waits for what this owner gets, and its place.
    fn client_of(&self, owner: Owner) -> Option<(SessionId, Place)> {
        match owner {
            Owner::Session(session, place) => Some((session, place)),
            Owner::Part(join, _) => self.joins.get(join).map(|join| (join.session, join.place)),
            Owner::Gather(..)
            | Owner::Task(..)
            | Owner::Watch(..)
            | Owner::Exec(..)
            | Owner::Guard(_)
            | Owner::Script(_)
            | Owner::Publish(_)
            | Owner::Subscriber(_)
            | Owner::Select
            | Owner::Load
            | Owner::Blocked(..)
            | Owner::Unblock(..)
            | Owner::Nobody => None,
        }
    }

    /// Does what a step of a task's plugin asks for.
    pub(crate) fn take_step(&mut self, id: TaskId, step: Result<Step, Fault>) {
        match step {
            Ok(Step::Done(reply)) => self.end_task(id, &reply),
            Ok(Step::Pass) => self.pass_on(id),
            Ok(Step::DoneBackground { reply, batch }) => {
                self.answer_task(id, &reply);
                let over = batch.last;
                self.carry_out_batch(id, batch);
                if over {
                    self.drop_task(id);
                }
            }
            Ok(Step::Pending(batch)) => self.carry_out_batch(id, batch),
            Err(fault) => self.task_failed(id, &fault),
        }
    }

    /// Takes the result of an operation.
    pub(crate) fn settle_task(&mut self, id: TaskId, number: u32, status: Status, bytes: &[u8]) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let Some(at) = task.open.iter().position(|(open, _)| *open == number) else {
            return;
        };
        let (_, awaiting) = task.open.swap_remove(at);
        // What the call would not be given is not kept: the large ones together have the bound of one.
        let is_large = |len: usize| len > SMALL_RESULT_BYTES;
        let held = task.results.iter().map(|held| held.bytes.len()).filter(|len| is_large(*len));
        let fits =
            !is_large(bytes.len()) || held.sum::<usize>() + bytes.len() <= task.result_bytes_max;
        let (status, bytes): (Status, &[u8]) =
            if fits { (status, bytes) } else { (Status::TooLarge, &[]) };
        let mut held = self.spare.take();
        held.extend_from_slice(bytes);
        task.results.push(HeldResult { number, status, bytes: held });
        if let Awaiting::Key(wait) = awaiting {
            self.waiters.forget(wait.place);
        }
        self.step_if_ready(id);
    }

    /// Gives the client its reply; the task may go on.
    fn answer_task(&mut self, id: TaskId, reply: &[u8]) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.answered = true;
        let owner = std::mem::replace(&mut task.owner, Owner::Nobody);
        let client = task.client.take();
        self.settle(owner, Piece::borrowed(reply));
        if let Some((session, _)) = client {
            self.release_hold(session, id);
        }
    }

    /// Answers the client and forgets the task.
    pub(crate) fn end_task(&mut self, id: TaskId, reply: &[u8]) {
        self.answer_task(id, reply);
        self.drop_task(id);
    }

    pub(crate) fn drop_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(id) else {
            return;
        };
        if task.head.kind == Kind::Spawned {
            self.spawned_ended(task.pool, task.binding);
        }
        for (_, awaiting) in &task.open {
            if let Awaiting::Key(wait) = awaiting {
                self.waiters.forget(wait.place);
            }
        }
        self.keep_memory(task);
    }

    /// Keeps the memory of a task that is over for the next one.
    fn keep_memory(&mut self, mut task: Task) {
        self.spare.give(task.request);
        self.spare.give(task.key);
        for held in task.results.drain(..) {
            self.spare.give(held.bytes);
        }
        task.spans.clear();
        task.open.clear();
        let few = task.spans.capacity() <= limits::SPARE_LIST_ENTRIES_MAX
            && task.open.capacity() <= limits::SPARE_LIST_ENTRIES_MAX
            && task.results.capacity() <= limits::SPARE_LIST_ENTRIES_MAX;
        if few && self.spare_lists.len() < limits::SPARE_BUFFERS_MAX {
            let (spans, open, results) = (task.spans, task.open, task.results);
            self.spare_lists.push(SpareLists { spans, open, results });
        }
    }

    /// The plugin leaves the command alone: the next binding gets it, or its shard as it came.
    pub(crate) fn pass_on(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(id) else {
            return;
        };
        for (_, awaiting) in &task.open {
            if let Awaiting::Key(wait) = awaiting {
                self.waiters.forget(wait.place);
            }
        }
        let client = task.client.map(|(session, _)| session);
        if let Some(session) = client.and_then(|session| self.sessions.get_mut(session)) {
            session.tasks.retain(|other| *other != id);
        }
        if let Some(spec) = task.spec.filter(|spec| spec.single_key.is_none()) {
            let args = Args::new(&task.request, &task.spans);
            if only_key(spec, &args).is_none() {
                self.pass_on_keyless(&task, spec);
                if let Some(session) = client {
                    self.wake_if_held(session);
                }
                return self.keep_memory(task);
            }
        }
        let next = task.spec.and_then(|spec| {
            let plugins = self.pools.get(usize::from(task.pool))?.plugins.as_ref()?;
            plugins.bindings.take(spec.index, Some(&task.key), task.binding + 1)
        });
        if let (Some(taken), Some(spec)) = (next, task.spec) {
            self.hand_on(&task, spec, taken);
            return self.keep_memory(task);
        }
        let Some(pool) = self.pools.get(usize::from(task.pool)) else {
            return;
        };
        let shard = pool.topology.shard_of(&task.key);
        let target = task.target(shard);
        if let (Some(session), Some(spec)) = (task.session, task.spec) {
            self.note_write(session, spec, shard);
        }
        self.forward(target, Piece::borrowed(&task.request), task.owner);
        if let Some(session) = client {
            self.wake_if_held(session);
        }
        self.keep_memory(task);
    }

    /// The same for a command that names several keys, or none.
    fn pass_on_keyless(&mut self, task: &Task, spec: &'static CommandSpec) {
        if matches!(spec.rule, Rule::Split(_)) {
            return self.pass_on_keys(task, spec);
        }
        let Some(taken) = self.taker_of_whole(task.pool, spec, task.binding + 1) else {
            return self.pass_on_whole(task, spec);
        };
        self.hand_on(task, spec, taken);
    }

    /// A later binding takes what a call has passed.
    fn hand_on(&mut self, task: &Task, spec: &'static CommandSpec, taken: Taken) {
        let id = self.new_task(NewTask {
            pool: task.pool,
            taken,
            kind: Kind::Hook,
            owner: task.owner,
            session: task.session,
            caller: Some(task.caller()),
            spec: Some(spec),
            args: Args::new(&task.request, &task.spans),
            key: &task.key,
            keys: task.keys,
        });
        if let Some(next) = self.tasks.get_mut(id) {
            next.abandoned = task.abandoned;
        }
        self.make_ready(id);
    }
}

//! What a handler can do: send commands, wait, wake others, remember, and ask who is calling.
//!
//! `Cx` is a handle to one call and cheap to clone. Operations are queued when made and leave together when the
//! handler next waits: `let wake = cx.wait_key(..); let rows = cx.transaction(..).await?;` registers the wait before
//! the transaction is sent. Nothing here blocks, and nothing here is sent without the operator's grant.

use std::future::Future;
use std::rc::Rc;

use crate::command::{Command, NO_REPLY};
use crate::convert::IntoReply;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{self, put_bytes, put_u32};
use crate::host;
use crate::operations::{Call, Called, Operations, Outcome, STATUS_EVENT, STATUS_TIMEOUT, State};
use crate::reply::Reply;
use crate::request::{Batch, Request};

const OP_SLEEP: u8 = 3;
const OP_WAIT_KEY: u8 = 4;
const OP_NOTIFY: u8 = 5;
const OP_WATCH_SESSION: u8 = 6;
const OP_UNWATCH_SESSION: u8 = 7;
const OP_SPAWN: u8 = 8;
/// Kinds of metrics.
const COUNTER: u8 = 0;
const GAUGE: u8 = 1;
const HISTOGRAM: u8 = 2;

/// Why a handler runs.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::harness::world::World;
///
/// /// Runs every ten seconds on one worker, and by `spawn` too.
/// async fn sweep(cx: Cx, _args: Args) -> Result<()> {
///     let counter = if cx.kind() == Kind::Timer { "timed" } else { "asked" };
///     cx.call(incr_by(counter, 1)).await?;
///     Ok(())
/// }
/// async fn now(cx: Cx, _args: Args) -> Result<()> {
///     cx.spawn("sweep", &[])
/// }
/// sluicegate_plugin::plugin! {
///     name: "sweeper",
///     version: "1.0.0",
///     commands: ["SWEEP" => now],
///     tasks: ["sweep" => sweep],
///     timers: ["sweep" { every_ms: 10_000 }],
///     capabilities: { commands: ["INCRBY"], background: true },
/// }
/// # fn main() {
/// let mut world = World::new(&PLUGIN, "", 2, 1);
/// world.ask(0, 1, &["SWEEP"]);
/// world.advance(30_000);
/// assert_eq!(world.redis.run(&["GET", "asked"]), Reply::bulk("1"));
/// assert_eq!(world.redis.run(&["GET", "timed"]), Reply::bulk("3"));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A client's command that a binding took.
    Hook,
    /// One of the plugin's own commands.
    OwnCommand,
    /// A task that was spawned.
    Spawned,
    /// A client's command inside MULTI: answer an error, pass, or exactly one transaction.
    InMulti,
    /// A watched session has closed; the arguments are the keys.
    SessionClosed,
    /// A timer of the manifest is due; there are no arguments.
    Timer,
}

/// A handle to one call.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::harness::world::World;
///
/// /// `SEEN key`: how often this worker has seen the key within a second, without asking Redis.
/// async fn seen(cx: Cx, args: Args) -> Result<i64> {
///     let known = cx.shared_get(args.key()).unwrap_or_default();
///     let count = i64::from_arg(&known).unwrap_or(0) + 1;
///     if !cx.shared_set(args.key(), count.to_string().as_bytes(), 1_000) {
///         cx.log(3, "over the bound of shared_bytes");
///     }
///     cx.metric_add(0, 1);
///     Ok(count)
/// }
/// sluicegate_plugin::plugin! {
///     name: "seen",
///     version: "1.0.0",
///     commands: ["SEEN" => seen],
///     capabilities: { shared_bytes: 65_536 },
///     metrics: ["asked": "counter"],
/// }
/// # fn main() {
/// let mut world = World::new(&PLUGIN, "", 1, 1);
/// assert_eq!(world.ask(0, 1, &["SEEN", "k"]), Some(Reply::Int(1)));
/// assert_eq!(world.ask(0, 1, &["SEEN", "k"]), Some(Reply::Int(2)));
/// world.advance(1_000);
/// assert_eq!(world.ask(0, 1, &["SEEN", "k"]), Some(Reply::Int(1)));
/// assert_eq!(world.metric(0), 3);
/// # }
/// ```
#[derive(Clone)]
pub struct Cx {
    pub(crate) call: Rc<Call>,
}

/// How long `wait_key` waits.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::harness::world::World;
///
/// /// The value, waited for up to a second: writers notify.
/// async fn read(cx: Cx, args: Args) -> Result<Option<Vec<u8>>> {
///     // Made before the read is sent, so no write behind the read goes unnoticed.
///     let woken = cx.wait_key(args.key(), Wait { timeout_ms: 1_000, behind_ms: Some(20), poll_ms: None });
///     if let Some(value) = cx.call(get(args.key())).await? {
///         return Ok(Some(value));
///     }
///     match woken.await? {
///         Woken::Notice(value) => Ok(Some(value)),
///         Woken::Timeout | Woken::Behind | Woken::Turn => Ok(None),
///     }
/// }
/// async fn write(cx: Cx, args: Args) -> Result<()> {
///     cx.call(set(args.key(), args.bytes(2))).await?;
///     cx.notify(args.key(), args.bytes(2));
///     Ok(())
/// }
/// sluicegate_plugin::plugin! {
///     name: "waiting",
///     version: "1.0.0",
///     hooks: ["GET" => read, "SET" => write],
///     capabilities: { commands: ["GET", "SET"], wait: true },
/// }
/// # fn main() {
/// let mut world = World::new(&PLUGIN, "", 2, 1);
/// let waits = world.send(0, 1, &["GET", "k"]);
/// world.run();
/// world.ask(1, 2, &["SET", "k", "v"]);                    // on another worker
/// assert_eq!(world.reply(waits), Some(&Reply::bulk("v")));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// At most this long.
    pub timeout_ms: u32,
    /// At most this long once other commands stand behind this one on its connection; `None`: no such bound.
    pub behind_ms: Option<u32>,
    /// How often one of those who wait for the key on this worker has its turn to look; `None`: takes no turns.
    pub poll_ms: Option<u32>,
}

/// How a `wait_key` has ended. See [`Wait`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Woken {
    /// Somebody has notified the key, with these bytes.
    Notice(Vec<u8>),
    /// `timeout_ms` is over.
    Timeout,
    /// `behind_ms` is over and other commands stand behind, or the client sends no more.
    Behind,
    /// It is this waiter's turn to look for itself, and to notify the others of what it finds.
    Turn,
}

impl Cx {
    /// Why this handler runs.
    pub fn kind(&self) -> Kind {
        match self.call.start.kind() {
            frame::HOOK => Kind::Hook,
            frame::OWN_COMMAND => Kind::OwnCommand,
            frame::IN_MULTI => Kind::InMulti,
            frame::SESSION_CLOSED => Kind::SessionClosed,
            frame::TIMER => Kind::Timer,
            _ => Kind::Spawned,
        }
    }

    /// The client's connection; 0 when there is none.
    pub fn session_id(&self) -> u64 {
        self.call.start.session()
    }

    /// The number of the selected database.
    pub fn db(&self) -> u16 {
        self.call.start.db()
    }

    /// The protocol of the session, 2 or 3.
    pub fn resp(&self) -> u8 {
        self.call.start.resp()
    }

    /// How many shards the pool has: what `to_shard` may name, from 0.
    pub fn shards(&self) -> u16 {
        self.call.start.shards()
    }

    /// How long this call may take in all, milliseconds.
    pub fn budget_ms(&self) -> u32 {
        self.call.start.budget_ms()
    }

    /// The binding's config, as the type named in `plugin!`.
    pub fn config<T: 'static>(&self) -> Result<Rc<T>> {
        Rc::clone(&self.call.configured.config)
            .downcast()
            .map_err(|_| Error::new("the config has another type"))
    }

    /// Sends one command and reads its reply as what the command says: any [`Reply`] of `cmd("GET").arg(key)`, an
    /// `Option<Vec<u8>>` of [`get(key)`](crate::commands::get).
    ///
    /// ```
    /// # use sluicegate_plugin::prelude::*;
    /// # use sluicegate_plugin::harness::world::World;
    /// async fn double(cx: Cx, args: Args) -> Result<i64> {
    ///     let found = cx.call(get(args.key())).await?;
    ///     let value = found.ok_or_else(|| Error::new("nothing to double"))?;
    ///     cx.call(incr_by(args.key(), i64::from_arg(&value)?)).await
    /// }
    /// # sluicegate_plugin::plugin! {
    /// #     name: "x", version: "1.0.0", commands: ["DOUBLE" => double],
    /// #     capabilities: { commands: ["GET", "INCRBY"] },
    /// # }
    /// # fn main() {
    /// let mut world = World::new(&PLUGIN, "", 1, 1);
    /// world.redis.run(&["SET", "k", "21"]);
    /// assert_eq!(world.ask(0, 1, &["DOUBLE", "k"]), Some(Reply::Int(42)));
    /// assert_eq!(world.ask(0, 1, &["DOUBLE", "l"]), Some(Reply::Error("ERR nothing to double".into())));
    /// # }
    /// ```
    pub fn call<R: Request>(&self, request: R) -> impl Future<Output = Result<R::Reply>> + use<R> {
        Called::<R::Reply>::new(Operations::command(&self.call, request.into_command()))
    }

    /// Sends several commands at once, those to one shard pipelined: a tuple, an array or a `Vec` (see [`Batch`]).
    ///
    /// All go or none: none when there are more than 128 in one batch, whose error says so. The first error of a shard is
    /// the result, but for commands with [`result()`](crate::request::Typed::result).
    pub fn pipeline<B: Batch>(
        &self,
        batch: B,
    ) -> impl Future<Output = Result<B::Replies>> + use<B> {
        let operations = Operations::commands(&self.call, |queue| batch.each(queue));
        async move { B::read(&mut operations.await?.into_iter().map(Outcome::reply)) }
    }

    /// Sends a command and wants no reply. At most 128 operations leave at once: one more ends the call with an error, and
    /// none of them is sent; await something in between.
    pub fn send(&self, command: impl Into<Command>) {
        let command = command.into();
        self.put_silent(|state| state.queue_command(command, NO_REPLY));
    }

    /// Waits `ms` milliseconds.
    pub fn sleep(&self, ms: u32) -> impl Future<Output = Result<()>> + use<> {
        let operations = Operations::queue(&self.call, |out| {
            out.push(OP_SLEEP);
            out.extend_from_slice(&ms.to_le_bytes());
        });
        async move {
            let outcome = operations.await?;
            match outcome.status {
                STATUS_TIMEOUT => Ok(()),
                _ => Err(outcome.error()),
            }
        }
    }

    /// Waits until somebody notifies `key`, or as long as `wait` says.
    pub fn wait_key(&self, key: &[u8], wait: Wait) -> impl Future<Output = Result<Woken>> + use<> {
        let operations = Operations::queue(&self.call, |out| {
            out.push(OP_WAIT_KEY);
            out.extend_from_slice(&wait.timeout_ms.to_le_bytes());
            out.extend_from_slice(&wait.behind_ms.unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&wait.poll_ms.unwrap_or(u32::MAX).to_le_bytes());
            put_bytes(out, key);
        });
        async move {
            let outcome = operations.await?;
            match outcome.status {
                STATUS_EVENT => Ok(Woken::Notice(outcome.bytes().to_vec())),
                STATUS_TIMEOUT => Ok(match outcome.bytes() {
                    b"b" => Woken::Behind,
                    b"p" => Woken::Turn,
                    _ => Woken::Timeout,
                }),
                _ => Err(outcome.error()),
            }
        }
    }

    /// Wakes everybody who waits for `key` in this binding, on every worker.
    pub fn notify(&self, key: &[u8], bytes: &[u8]) {
        let write = |out: &mut Vec<u8>| {
            out.push(OP_NOTIFY);
            put_bytes(out, key);
            put_bytes(out, bytes);
        };
        self.put_silent(|state| state.queue_silent(write));
    }

    /// Runs task `task` with `key` when this session closes.
    pub fn watch_session(&self, task: &str, key: &[u8]) -> Result<()> {
        self.session_op(OP_WATCH_SESSION, task, key)
    }

    /// Ends what `watch_session` began.
    pub fn unwatch_session(&self, task: &str, key: &[u8]) -> Result<()> {
        self.session_op(OP_UNWATCH_SESSION, task, key)
    }

    fn session_op(&self, op: u8, task: &str, key: &[u8]) -> Result<()> {
        let handler = self.task_number(task)?;
        self.queued(|out| {
            out.push(op);
            out.extend_from_slice(&handler.to_le_bytes());
            put_bytes(out, key);
        })
    }

    /// Starts task `task` as a call of its own.
    pub fn spawn(&self, task: &str, args: &[&[u8]]) -> Result<()> {
        let handler = self.task_number(task)?;
        self.queued(|out| {
            out.push(OP_SPAWN);
            out.extend_from_slice(&handler.to_le_bytes());
            put_u32(out, args.len());
            for arg in args {
                put_bytes(out, arg);
            }
        })
    }

    fn task_number(&self, task: &str) -> Result<u16> {
        let place = self.call.configured.plugin.tasks.iter().position(|name| *name == task);
        place
            .and_then(|place| u16::try_from(place).ok())
            .and_then(|place| place.checked_add(self.call.configured.plugin.first_task()))
            .ok_or_else(|| Error::new("no task of that name in plugin!"))
    }

    fn put_silent(&self, put: impl FnOnce(&mut State) -> bool) {
        self.call.state.borrow_mut().put_silent(put);
    }

    /// Queues an operation without a result, or says that there is no room for it.
    fn queued(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let queued = self.call.state.borrow_mut().queue_silent(write);
        let too_many =
            || Error::new("more than 128 operations in one batch: await something first");
        queued.then_some(()).ok_or_else(too_many)
    }

    /// Gives the client `reply` now; the handler goes on and its result is for the log only. Once per call, and only
    /// where a client waits: not in tasks, not inside MULTI.
    ///
    /// ```
    /// # use sluicegate_plugin::prelude::*;
    /// # use sluicegate_plugin::harness::world::World;
    /// async fn slow(cx: Cx, args: Args) -> Result<()> {
    ///     cx.background("started");
    ///     cx.sleep(1_000).await?;
    ///     cx.call(set(args.key(), "done")).await
    /// }
    /// # sluicegate_plugin::plugin! {
    /// #     name: "x", version: "1.0.0", commands: ["SLOW" => slow],
    /// #     capabilities: { commands: ["SET"], wait: true, background: true },
    /// # }
    /// # fn main() {
    /// let mut world = World::new(&PLUGIN, "", 1, 1);
    /// assert_eq!(world.ask(0, 1, &["SLOW", "k"]), Some(Reply::bulk("started")));
    /// world.advance(1_000);
    /// assert_eq!(world.redis.run(&["GET", "k"]), Reply::bulk("done"));
    /// # }
    /// ```
    pub fn background(&self, reply: impl IntoReply) {
        let reply = reply.into_reply().unwrap_or_else(|error| Reply::Error(error.text));
        self.answer_now(&reply);
    }

    fn answer_now(&self, reply: &Reply) {
        let mut state = self.call.state.borrow_mut();
        state.misuse = match self.kind() {
            Kind::Spawned | Kind::SessionClosed | Kind::Timer => {
                Some("background() in a task: no client waits for its reply")
            }
            Kind::InMulti => Some("background() inside MULTI: return the reply, spawn() the rest"),
            Kind::Hook | Kind::OwnCommand if state.replied || state.background.is_some() => {
                Some("background() a second time: the client has its reply")
            }
            Kind::Hook | Kind::OwnCommand => {
                let mut bytes = Vec::new();
                reply.write(self.resp(), &mut bytes);
                state.background = Some(bytes);
                return;
            }
        };
    }

    /// `return cx.pass()`: the command goes on as it came. What was queued must have been sent: await something first.
    pub fn pass<T>(&self) -> Result<T> {
        Err(Error::of(ErrorKind::Pass, String::new()))
    }

    /// What `shared_set` has kept for `key`: per worker and binding, over traps and swaps.
    pub fn shared_get(&self, key: &[u8]) -> Option<Vec<u8>> {
        host::shared_get(key)
    }

    /// Keeps `value` for `ttl_ms` (0: until it is overwritten); an empty value removes. `false` when over the bound.
    pub fn shared_set(&self, key: &[u8], value: &[u8], ttl_ms: u32) -> bool {
        host::shared_set(key, value, ttl_ms)
    }

    /// 64 random bits.
    pub fn random(&self) -> u64 {
        host::random()
    }

    /// Wall clock, milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        host::now_ms()
    }

    /// A clock that never goes back.
    pub fn mono_ms(&self) -> u64 {
        host::mono_ms()
    }

    /// Adds `value` to metric number `id` of the manifest, a counter.
    pub fn metric_add(&self, id: u32, value: i64) {
        host::metric(id, COUNTER, value);
    }

    /// Sets metric number `id` of the manifest, a gauge. Each worker has its own; what operators see is their sum.
    ///
    /// ```
    /// # use sluicegate_plugin::prelude::*;
    /// # use sluicegate_plugin::harness::world::World;
    /// async fn fill(cx: Cx, args: Args) -> Result<i64> {
    ///     let level = args.get::<i64>(1)?;
    ///     cx.metric_set(0, level);
    ///     cx.metric_observe(1, level);
    ///     Ok(level)
    /// }
    /// # sluicegate_plugin::plugin! {
    /// #     name: "tank", version: "1.0.0", commands: ["FILL" => fill],
    /// #     metrics: ["level": "gauge", "levels": "histogram"],
    /// # }
    /// # fn main() {
    /// let mut world = World::new(&PLUGIN, "", 1, 1);
    /// world.ask(0, 1, &["FILL", "7"]);
    /// world.ask(0, 1, &["FILL", "5"]);
    /// assert_eq!(world.metric(0), 5);
    /// assert_eq!(world.metric(1), 12);                      // of a histogram: the sum
    /// # }
    /// ```
    pub fn metric_set(&self, id: u32, value: i64) {
        host::metric(id, GAUGE, value);
    }

    /// Takes one sample for metric number `id` of the manifest, a histogram: operators see how many there were and their sum.
    pub fn metric_observe(&self, id: u32, value: i64) {
        host::metric(id, HISTOGRAM, value);
    }

    /// Writes a line to the gateway's log: 0 trace .. 4 error.
    pub fn log(&self, level: u8, message: &str) {
        host::log(level, message);
    }
}

//! What a handler can do: send commands, wait, wake others, remember, and ask who is calling.
//!
//! `Cx` is a handle to one call and cheap to clone. Operations are queued when made and leave together when the
//! handler next waits: `let wake = cx.wait_key(..); let rows = cx.transaction(..).await?;` registers the wait before
//! the transaction is sent. Nothing here blocks, and nothing here is sent without the operator's grant.

use std::any::Any;
use std::future::Future;
use std::rc::Rc;

use crate::command::{Command, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{put_bytes, put_u32};
use crate::host;
use crate::operations::{Call, Operations, Outcome, STATUS_EVENT, STATUS_TIMEOUT};
use crate::reply::Reply;

const OP_COMMAND: u8 = 1;
const OP_TRANSACTION: u8 = 2;
const OP_SLEEP: u8 = 3;
const OP_WAIT_KEY: u8 = 4;
const OP_NOTIFY: u8 = 5;
const OP_WATCH_SESSION: u8 = 6;
const OP_UNWATCH_SESSION: u8 = 7;
const OP_SPAWN: u8 = 8;
const NO_REPLY: u8 = 1;
const HOOKED: u8 = 2;

/// Why a handler runs.
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
}

/// What a guarded transaction came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Guarded {
    /// The guard held and this is EXEC's array.
    Done(Vec<Reply>),
    /// The guard did not hold: what its read answered, or null when the key changed afterwards.
    Changed(Reply),
}

/// A handle to one call.
#[derive(Clone)]
pub struct Cx {
    pub(crate) call: Rc<Call>,
    pub(crate) config: Rc<dyn Any>,
    pub(crate) tasks: TaskNames,
}

/// The names of a plugin's tasks and the handler number of the first.
#[derive(Clone, Copy)]
pub(crate) struct TaskNames {
    pub(crate) names: &'static [&'static str],
    pub(crate) first: u16,
}

/// How long `wait_key` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// At most this long.
    pub timeout_ms: u32,
    /// At most this long once other commands stand behind this one on its connection; `None`: no such bound.
    pub behind_ms: Option<u32>,
    /// How often one of those who wait for the key on this worker has its turn to look; `None`: takes no turns.
    pub poll_ms: Option<u32>,
}

/// How a `wait_key` has ended.
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
        match self.call.head.kind {
            0 => Kind::Hook,
            1 => Kind::OwnCommand,
            3 => Kind::InMulti,
            4 => Kind::SessionClosed,
            _ => Kind::Spawned,
        }
    }

    /// The client's connection; 0 when there is none.
    pub fn session_id(&self) -> u64 {
        self.call.head.session
    }

    /// The number of the selected database.
    pub fn db(&self) -> u16 {
        self.call.head.db
    }

    /// The protocol of the session, 2 or 3.
    pub fn resp(&self) -> u8 {
        self.call.head.resp
    }

    /// The binding's config, as the type named in `plugin!`.
    pub fn config<T: 'static>(&self) -> Result<Rc<T>> {
        Rc::clone(&self.config).downcast().map_err(|_| Error::new("the config has another type"))
    }

    /// Sends one command.
    pub fn call(&self, command: Command) -> impl Future<Output = Result<Reply>> + use<> {
        let operations = self.commands([command]);
        async move { one(operations.await?).reply() }
    }

    /// Sends several commands at once; each has its own result.
    pub fn pipeline<const N: usize>(
        &self,
        commands: [Command; N],
    ) -> impl Future<Output = [Result<Reply>; N]> + use<N> {
        let operations = self.commands(commands);
        async move {
            let mut outcomes = operations.await.map(Vec::into_iter);
            std::array::from_fn(|_| match &mut outcomes {
                Ok(rest) => rest.next().map_or_else(|| Err(missing()), Outcome::reply),
                Err(error) => Err(error.clone()),
            })
        }
    }

    /// Sends any number of commands at once, at most 128.
    pub fn pipeline_all<I: IntoIterator<Item = Command>>(
        &self,
        commands: I,
    ) -> impl Future<Output = Result<Vec<Result<Reply>>>> + use<I> {
        let operations = self.commands(commands);
        async move { Ok(operations.await?.into_iter().map(Outcome::reply).collect()) }
    }

    fn commands(&self, commands: impl IntoIterator<Item = Command>) -> Operations {
        Operations::queue(
            &self.call,
            commands
                .into_iter()
                .map(|command| move |out: &mut Vec<u8>| write_command(&command, 0, out)),
        )
    }

    /// Sends a command and wants no reply.
    pub fn send(&self, command: Command) {
        self.silent(|out| write_command(&command, NO_REPLY, out));
    }

    /// Runs `commands` as MULTI..EXEC on the shard of `key`; gives EXEC's array.
    pub fn transaction<I: IntoIterator<Item = Command>>(
        &self,
        key: &[u8],
        commands: I,
    ) -> impl Future<Output = Result<Vec<Reply>>> + use<I> {
        let operations = self.transact(key, None, commands.into_iter().collect());
        async move { exec_rows(one(operations.await?).reply()?) }
    }

    /// Runs `commands` only if `guard` answers `expected` and its key does not change before EXEC.
    pub fn guarded<I: IntoIterator<Item = Command>>(
        &self,
        key: &[u8],
        guard: Command,
        expected: &Reply,
        commands: I,
    ) -> impl Future<Output = Result<Guarded>> + use<I> {
        let mut wanted = Vec::new();
        expected.write(2, &mut wanted);
        let operations = self.transact(key, Some((guard, wanted)), commands.into_iter().collect());
        async move {
            let outcome = one(operations.await?);
            if outcome.status == STATUS_EVENT {
                return Ok(Guarded::Changed(Reply::parse(&outcome.bytes).unwrap_or(Reply::Null)));
            }
            exec_rows(outcome.reply()?).map(Guarded::Done)
        }
    }

    fn transact(
        &self,
        key: &[u8],
        guard: Option<(Command, Vec<u8>)>,
        commands: Vec<Command>,
    ) -> Operations {
        if guard.is_some() && self.kind() == Kind::InMulti {
            let text = "a guarded transaction inside MULTI: its guard cannot be read there";
            self.call.state.borrow_mut().misuse = Some(text);
        }
        let target = Target::Key(key.to_vec());
        let write = move |out: &mut Vec<u8>| {
            out.push(OP_TRANSACTION);
            target.write(out);
            match &guard {
                None => out.push(0),
                Some((read, expected)) => {
                    out.push(1);
                    read.write_args(out);
                    put_bytes(out, expected);
                }
            }
            let count = u16::try_from(commands.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&count.to_le_bytes());
            for command in &commands {
                command.write_args(out);
            }
        };
        Operations::queue(&self.call, [write])
    }

    /// Waits `ms` milliseconds.
    pub fn sleep(&self, ms: u32) -> impl Future<Output = Result<()>> + use<> {
        let operations = Operations::queue(
            &self.call,
            [move |out: &mut Vec<u8>| {
                out.push(OP_SLEEP);
                out.extend_from_slice(&ms.to_le_bytes());
            }],
        );
        async move {
            let outcome = one(operations.await?);
            match outcome.status {
                STATUS_TIMEOUT => Ok(()),
                _ => Err(outcome.error()),
            }
        }
    }

    /// Waits until somebody notifies `key`, or as long as `wait` says.
    pub fn wait_key(&self, key: &[u8], wait: Wait) -> impl Future<Output = Result<Woken>> + use<> {
        let operations = Operations::queue(
            &self.call,
            [|out: &mut Vec<u8>| {
                out.push(OP_WAIT_KEY);
                out.extend_from_slice(&wait.timeout_ms.to_le_bytes());
                out.extend_from_slice(&wait.behind_ms.unwrap_or(u32::MAX).to_le_bytes());
                out.extend_from_slice(&wait.poll_ms.unwrap_or(u32::MAX).to_le_bytes());
                put_bytes(out, key);
            }],
        );
        async move {
            let outcome = one(operations.await?);
            match outcome.status {
                STATUS_EVENT => Ok(Woken::Notice(outcome.bytes)),
                STATUS_TIMEOUT => Ok(match outcome.bytes.as_slice() {
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
        self.silent(|out| {
            out.push(OP_NOTIFY);
            put_bytes(out, key);
            put_bytes(out, bytes);
        });
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
        self.silent(|out| {
            out.push(op);
            out.extend_from_slice(&handler.to_le_bytes());
            put_bytes(out, key);
        });
        Ok(())
    }

    /// Starts task `task` as a call of its own.
    pub fn spawn(&self, task: &str, args: &[&[u8]]) -> Result<()> {
        let handler = self.task_number(task)?;
        self.silent(|out| {
            out.push(OP_SPAWN);
            out.extend_from_slice(&handler.to_le_bytes());
            put_u32(out, args.len());
            for arg in args {
                put_bytes(out, arg);
            }
        });
        Ok(())
    }

    fn task_number(&self, task: &str) -> Result<u16> {
        let place = self.tasks.names.iter().position(|name| *name == task);
        place
            .and_then(|place| u16::try_from(place).ok())
            .and_then(|place| place.checked_add(self.tasks.first))
            .ok_or_else(|| Error::new("no task of that name in plugin!"))
    }

    fn silent(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.call.state.borrow_mut().queue_silent(write) {
            host::log(3, "operation dropped: more than 128 in one batch");
        }
    }

    /// Gives the client `reply` now; the handler goes on and its result is for the log only. Once per call, and only
    /// where a client waits: not in tasks, not inside MULTI.
    pub fn background(&self, reply: &Reply) {
        let mut state = self.call.state.borrow_mut();
        state.misuse = match self.kind() {
            Kind::Spawned | Kind::SessionClosed => {
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
    pub fn pass(&self) -> Result<Reply> {
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

    /// Adds `value` to metric number `id` of the manifest.
    pub fn metric_add(&self, id: u32, value: i64) {
        host::metric(id, 0, value);
    }

    /// Writes a line to the gateway's log: 0 trace .. 4 error.
    pub fn log(&self, level: u8, message: &str) {
        host::log(level, message);
    }
}

fn write_command(command: &Command, flags: u8, out: &mut Vec<u8>) {
    out.push(OP_COMMAND);
    out.push(flags | if command.hooked { HOOKED } else { 0 });
    command.target.write(out);
    command.write_args(out);
}

fn missing() -> Error {
    Error::new("the gateway gave no result")
}

fn one(outcomes: Vec<Outcome>) -> Outcome {
    outcomes
        .into_iter()
        .next()
        .unwrap_or(Outcome { status: 1, bytes: b"ERR the gateway gave no result".to_vec() })
}

fn exec_rows(reply: Reply) -> Result<Vec<Reply>> {
    match reply {
        Reply::Array(rows) => Ok(rows),
        _ => Err(Error::new("the transaction did not run")),
    }
}

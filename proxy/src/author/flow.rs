//! What a handler is called with when it is measured, and what the shards answer it: both made up, always the same.
//!
//! In: a loaded plugin. Out: one `Flow` per hook and command of its own, with arguments that suit its arity, and the
//! script of the call: what it sent in each step, and its reply. Replies are what a shard with a small value under every
//! key would say. Pure.

use crate::command;
use crate::plugin::batch::{Arg, Batch, Numbered, Op};
use crate::plugin::beside;
use crate::plugin::cells::{CallId, Cells};
use crate::plugin::fault::Fault;
use crate::plugin::generation::Generation;
use crate::plugin::given::{Kind, OpResult, StartHead, Status};
use crate::plugin::host::Clock;
use crate::plugin::room::Step;

/// Bytes of the value that a shard has under every key.
const VALUE: &[u8] = b"$32\r\nabcdefghijklmnopqrstuvwxyz012345\r\n";
/// The time of every step.
pub(super) const CLOCK: Clock = Clock { now_ms: 1_700_000_000_000, mono_ms: 1_000 };

/// A call of one handler.
#[derive(Debug, Clone)]
pub struct Flow {
    /// `GET` for a hook, `CACHE.STATS` for a command of its own.
    pub name: String,
    /// Why the handler runs.
    pub kind: Kind,
    /// Its number in the manifest.
    pub handler: u16,
    /// The request, its name first.
    pub args: Vec<Vec<u8>>,
}

/// What a call does: the requests of each step, and its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// By step: the requests, each with its answer.
    pub steps: Vec<Vec<Exchange>>,
    /// The reply.
    pub reply: Vec<u8>,
}

/// A request of a call, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The requests: one, those of a transaction, or none for what asks no shard (a pause).
    pub requests: Vec<Vec<Vec<u8>>>,
    /// Whether they are a transaction: one answer for all.
    pub is_transaction: bool,
    /// How it ends.
    pub status: Status,
    /// What it gives.
    pub answer: Vec<u8>,
}

/// The flows of a plugin: its hooks, then its own commands.
pub fn flows(generation: &Generation) -> Vec<Flow> {
    let manifest = &generation.manifest;
    let hooks = manifest.hooks.iter().map(|name| {
        let spec = command::find(name.as_bytes());
        let arity = spec.map_or(2, |spec| spec.arity);
        let key = spec.and_then(|spec| spec.single_key).unwrap_or(1);
        (name, Kind::Hook, arity, i16::from(key))
    });
    let own =
        manifest.commands.iter().map(|own| (&own.name, Kind::OwnCommand, own.arity, own.keys.0));
    let flow = |(handler, (name, kind, arity, key)): (u16, (&String, Kind, i16, i16))| {
        let mut args = vec![name.as_bytes().to_vec()];
        for place in 1..arity.unsigned_abs() {
            let is_key = i32::from(place) == i32::from(key);
            args.push(if is_key { b"bench:0123456789".to_vec() } else { b"1".to_vec() });
        }
        Flow { name: name.clone(), kind, handler, args }
    };
    (0..).zip(hooks.chain(own)).map(flow).collect()
}

impl Flow {
    /// The head of a call of this flow.
    pub(super) fn head(&self) -> StartHead {
        StartHead {
            kind: self.kind,
            resp: 2,
            db: 0,
            handler: self.handler,
            binding: 0,
            shards: 3,
            session: 1,
        }
    }

    /// Begins a call.
    pub(super) fn start(&self, cells: &mut Cells) -> Result<Begun, Fault> {
        let (id, step) = cells.start(CLOCK, &self.head(), self.args.iter().map(Vec::as_slice))?;
        Ok(Begun { id, step })
    }

    /// Runs one call whose answers are known.
    pub(super) fn replay(&self, script: &Script, cells: &mut Cells) -> Result<(), Fault> {
        let Begun { id, mut step } = self.start(cells)?;
        let mut answers = script.steps.iter();
        loop {
            let batch = match step {
                Step::Done(_) | Step::Pass => return Ok(()),
                Step::DoneBackground { batch, .. } if batch.last => return Ok(()),
                Step::DoneBackground { batch, .. } | Step::Pending(batch) => batch,
            };
            let known = answers.next().map(Vec::as_slice).unwrap_or_default();
            let waiting = batch.ops.iter().filter(|op| status_of(op).is_some());
            let results: Vec<OpResult<'_>> = waiting
                .zip(known)
                .map(|(op, one)| OpResult {
                    number: op.number,
                    status: one.status,
                    bytes: &one.answer,
                })
                .collect();
            step = cells.resume(CLOCK, id, results.into_iter())?;
        }
    }

    /// Runs one call and keeps what it does.
    pub fn script(&self, cells: &mut Cells) -> Result<Script, Fault> {
        let Begun { id, mut step } = self.start(cells)?;
        let mut steps = Vec::new();
        let mut reply = Vec::new();
        loop {
            let batch = match step {
                Step::Done(own) => {
                    reply.extend_from_slice(&own);
                    return Ok(Script { steps, reply });
                }
                Step::Pass => return Ok(Script { steps, reply }),
                Step::DoneBackground { reply: own, batch } => {
                    reply.extend_from_slice(&own);
                    if batch.last {
                        return Ok(Script { steps, reply });
                    }
                    batch
                }
                Step::Pending(batch) => batch,
            };
            let exchanges: Vec<(u32, Exchange)> =
                batch.ops.iter().filter_map(|op| exchange(&batch, op)).collect();
            let results: Vec<OpResult<'_>> = exchanges
                .iter()
                .map(|(number, one)| OpResult {
                    number: *number,
                    status: one.status,
                    bytes: &one.answer,
                })
                .collect();
            step = cells.resume(CLOCK, id, results.into_iter())?;
            steps.push(exchanges.into_iter().map(|(_, one)| one).collect());
        }
    }
}

/// A call that has begun.
pub(super) struct Begun {
    pub(super) id: CallId,
    pub(super) step: Step,
}

/// What an operation sends, and what it is answered; `None` when it gives no result.
fn exchange(batch: &Batch, numbered: &Numbered) -> Option<(u32, Exchange)> {
    let status = status_of(numbered)?;
    let words = |args| batch.args(args).map(word).collect::<Vec<_>>();
    let (requests, is_transaction): (Vec<Vec<Vec<u8>>>, bool) = match &numbered.op {
        _ if numbered.denied.is_some() => (Vec::new(), false),
        Op::Command { args, .. } => (vec![words(*args)], false),
        Op::Transaction { commands, .. } => (batch.commands(*commands).map(words).collect(), true),
        Op::Sleep { .. }
        | Op::WaitKey { .. }
        | Op::Notify { .. }
        | Op::WatchSession { .. }
        | Op::UnwatchSession { .. }
        | Op::Spawn { .. } => (Vec::new(), false),
    };
    let mut answer = Vec::new();
    if let Some(denied) = numbered.denied {
        answer.extend_from_slice(denied.text().as_bytes());
    }
    if is_transaction {
        answer.extend_from_slice(format!("*{}\r\n", requests.len()).as_bytes());
    }
    for request in &requests {
        let name = request.first().map(Vec::as_slice).unwrap_or_default();
        answer_to(name, request.len(), &mut answer);
    }
    Some((numbered.number, Exchange { requests, is_transaction, status, answer }))
}

/// How an operation ends; `None` when it gives no result.
pub(super) fn status_of(numbered: &Numbered) -> Option<Status> {
    if numbered.denied.is_some() {
        return Some(Status::Denied);
    }
    match &numbered.op {
        Op::Command { reply_wanted: false, .. } => None,
        Op::Command { .. } | Op::Transaction { .. } => Some(Status::Reply),
        Op::Sleep { .. } | Op::WaitKey { .. } => Some(Status::Timeout),
        Op::Notify { .. }
        | Op::WatchSession { .. }
        | Op::UnwatchSession { .. }
        | Op::Spawn { .. } => None,
    }
}

fn word(arg: Arg<'_>) -> Vec<u8> {
    match arg {
        Arg::Plain(bytes) => bytes.to_vec(),
        Arg::Beside { owner, name } => {
            let mut key = Vec::new();
            beside::write_name(owner, owner, name, &mut key);
            key
        }
    }
}

/// Appends what a shard says to the command `name` with so many arguments, the name included.
pub(super) fn answer_to(name: &[u8], count: usize, out: &mut Vec<u8>) {
    let is = |names: &[&[u8]]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is(&[b"GET", b"GETSET", b"GETDEL", b"GETEX", b"HGET", b"LPOP", b"RPOP", b"LINDEX"]) {
        out.extend_from_slice(VALUE);
    } else if is(&[b"SET", b"SETEX", b"PSETEX", b"MSET", b"HMSET", b"RENAME"]) {
        out.extend_from_slice(b"+OK\r\n");
    } else if is(&[b"PTTL", b"PEXPIRETIME"]) {
        out.extend_from_slice(b":100000\r\n");
    } else if is(&[b"TTL", b"EXPIRETIME"]) {
        out.extend_from_slice(b":100\r\n");
    } else if is(&[b"MGET"]) {
        out.extend_from_slice(format!("*{}\r\n", count.saturating_sub(1)).as_bytes());
        (1..count).for_each(|_| out.extend_from_slice(VALUE));
    } else if is(&[b"HGETALL", b"LRANGE", b"ZRANGE", b"SMEMBERS", b"XRANGE"]) {
        out.extend_from_slice(b"*0\r\n");
    } else {
        out.extend_from_slice(b":1\r\n");
    }
}

//! Many calls of one flow in flight on one thread: those of a plugin, and the same flow as plain Rust.
//!
//! ```text
//!   N tasks ──requests──► Backend (one for all) ──answers, once per pass──► the tasks
//!      plugin: Cells::start, resume        native: an `async fn` that sends the same requests and gives the same reply
//! ```
//! In: a flow and its script. Out: calls per second of this thread's CPU time, and resident memory per waiting call.
//! Both kinds run on the same runtime with the same shard, so the difference is the plugin.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, spawn_local, yield_now};

use super::backend::{Answer, Backend};
use super::flow::{Begun, CLOCK, Flow, Script, status_of};
use super::measure::cpu_ns;
use crate::plugin::batch::{Arg, Batch, Numbered, Op};
use crate::plugin::cells::Cells;
use crate::plugin::given::{OpResult, Status};
use crate::plugin::room::Step;

/// What runs.
#[derive(Clone)]
pub(super) enum Subject {
    /// Calls in these cells.
    Plugin(Rc<RefCell<Cells>>, Rc<Flow>),
    /// The same in Rust.
    Native(Rc<Flow>, Rc<Script>),
}

type Shared = Rc<RefCell<Backend>>;

/// Calls per second of CPU time with `in_flight` of them at once, about `calls` in all.
pub(super) fn calls_per_cpu_second(
    subject: &Subject,
    in_flight: usize,
    calls: usize,
) -> Result<f64, String> {
    let rounds = calls.div_ceil(in_flight).max(1);
    let runtime = runtime()?;
    runtime.block_on(async {
        let backend = Shared::default();
        let begin_ns = cpu_ns();
        let tasks = start(subject, &backend, in_flight, rounds);
        finish(tasks, &[&backend]).await?;
        let spent_ns = cpu_ns().saturating_sub(begin_ns).max(1);
        Ok((in_flight * rounds) as f64 * 1e9 / spent_ns as f64)
    })
}

/// Resident memory, bytes, that each of `in_flight` calls takes while all wait for their first answer: of the first
/// subject, then of the second while the first still waits. `None` where the system does not tell it.
pub(super) fn memory_per_call(
    subjects: [&Subject; 2],
    in_flight: usize,
) -> Result<Option<[f64; 2]>, String> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let backends = [Shared::default(), Shared::default()];
        let mut tasks = Vec::new();
        let mut found = Vec::new();
        for (subject, backend) in subjects.into_iter().zip(&backends) {
            let before = resident_bytes();
            let mut own = start(subject, backend, in_flight, 1);
            while backend.borrow().waiting() < in_flight && !own.iter().all(|t| t.is_finished()) {
                yield_now().await;
            }
            let after = resident_bytes();
            if let (Some(before), Some(after)) = (before, after) {
                found.push(after.saturating_sub(before) as f64 / in_flight as f64);
            }
            tasks.append(&mut own);
        }
        finish(tasks, &[&backends[0], &backends[1]]).await?;
        Ok(found.try_into().ok())
    })
}

fn runtime() -> Result<tokio::runtime::LocalRuntime, String> {
    Builder::new_current_thread()
        .build_local(LocalOptions::default())
        .map_err(|error| format!("cannot start a runtime: {error}"))
}

type Task = JoinHandle<Result<usize, String>>;

fn start(subject: &Subject, backend: &Shared, in_flight: usize, rounds: usize) -> Vec<Task> {
    let one = |_| match subject.clone() {
        Subject::Plugin(cells, flow) => {
            let backend = Rc::clone(backend);
            spawn_local(async move {
                let (mut bytes, mut lists) = (0, Lists::default());
                for _ in 0..rounds {
                    bytes += plugin_call(&cells, &flow, &backend, &mut lists).await?.len();
                }
                Ok(bytes)
            })
        }
        Subject::Native(flow, script) => {
            let backend = Rc::clone(backend);
            spawn_local(async move {
                let mut bytes = 0;
                for _ in 0..rounds {
                    bytes += native_call(&flow, &script, &backend).await.len();
                }
                Ok(bytes)
            })
        }
    };
    (0..in_flight).map(one).collect()
}

/// Answers until every call has ended.
async fn finish(tasks: Vec<Task>, backends: &[&Shared]) -> Result<(), String> {
    let mut left = tasks.as_slice();
    while let Some((first, others)) = left.split_first() {
        if first.is_finished() {
            left = others;
            continue;
        }
        backends.iter().for_each(|backend| backend.borrow_mut().answer_all());
        yield_now().await;
    }
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// What a call waits for and has got, kept for the next one as the gateway keeps it.
#[derive(Default)]
struct Lists {
    waiting: Vec<(u32, Status, Answer)>,
    answers: Vec<(u32, Status, Vec<u8>)>,
}

async fn plugin_call(
    cells: &RefCell<Cells>,
    flow: &Flow,
    backend: &RefCell<Backend>,
    Lists { waiting, answers }: &mut Lists,
) -> Result<Vec<u8>, String> {
    let begun = flow.start(&mut cells.borrow_mut());
    let Begun { id, mut step } = begun.map_err(|fault| fault.client_text())?;
    loop {
        let batch = match step {
            Step::Done(reply) => return Ok(reply),
            Step::Pass => return Ok(Vec::new()),
            Step::DoneBackground { reply, batch } if batch.last => return Ok(reply),
            Step::DoneBackground { batch, .. } | Step::Pending(batch) => batch,
        };
        for numbered in &batch.ops {
            if let Some(status) = status_of(numbered) {
                let answer = send(&batch, numbered, &mut backend.borrow_mut());
                waiting.push((numbered.number, status, answer));
            }
        }
        cells.borrow_mut().give_back(batch);
        for (number, status, answer) in waiting.drain(..) {
            answers.push((number, status, answer.await.map_err(|error| error.to_string())?));
        }
        let results = answers.iter().map(|(number, status, bytes)| OpResult {
            number: *number,
            status: *status,
            bytes: if *status == Status::Timeout { b"" } else { bytes },
        });
        let resumed = cells.borrow_mut().resume(CLOCK, id, results);
        answers.clear();
        step = resumed.map_err(|fault| fault.client_text())?;
    }
}

/// Writes an operation as requests; where its answer comes.
fn send(batch: &Batch, numbered: &Numbered, backend: &mut Backend) -> Answer {
    let words = |args| {
        batch.args(args).map(|arg| match arg {
            Arg::Plain(bytes) => bytes,
            // A shard of one's own: any name beside the owner does.
            Arg::Beside { owner, .. } => owner,
        })
    };
    match &numbered.op {
        _ if numbered.denied.is_some() => backend.ask(0, false),
        Op::Command { args, .. } => {
            backend.write(words(*args));
            backend.ask(1, false)
        }
        Op::Transaction { commands, .. } => {
            let mut count = 0;
            for args in batch.commands(*commands) {
                backend.write(words(args));
                count += 1;
            }
            backend.ask(count, true)
        }
        Op::Sleep { .. }
        | Op::WaitKey { .. }
        | Op::Notify { .. }
        | Op::WatchSession { .. }
        | Op::UnwatchSession { .. }
        | Op::Spawn { .. } => backend.ask(0, false),
    }
}

/// The same in Rust: takes its arguments in, sends what the script says, keeps what is answered, builds the reply.
async fn native_call(flow: &Flow, script: &Script, backend: &RefCell<Backend>) -> Vec<u8> {
    let args: Vec<Vec<u8>> = flow.args.clone();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for step in &script.steps {
        let mut waiting = Vec::with_capacity(step.len());
        for exchange in step {
            let mut backend = backend.borrow_mut();
            for request in &exchange.requests {
                backend.write(request.iter().map(Vec::as_slice));
            }
            waiting.push(backend.ask(exchange.requests.len(), exchange.is_transaction));
        }
        for answer in waiting {
            if let Ok(bytes) = answer.await {
                kept.push(bytes);
            }
        }
    }
    drop((args, kept));
    script.reply.clone()
}

/// Resident memory of this process.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

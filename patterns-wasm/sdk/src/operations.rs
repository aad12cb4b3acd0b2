//! The operations of one call: the batch being built, and the results that have not been taken yet.
//!
//! An operation is queued when it is made and sent when the handler next waits, so everything that a handler makes
//! before it waits travels in one batch, in that order. `Operations` is a future over one or more of them; dropping it
//! leaves the operation running and forgets its result. Results come in by their running number.
//!
//! Invariant: a slot exists for each operation whose result may still come or has not been taken, in their order.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::command::{Command, FRAME_HEAD};
use crate::convert::FromReply;
use crate::error::{Error, ErrorKind, Result, joined};
use crate::frame::{FLAG_FIRST, PENDING, Start};
use crate::host;
use crate::plugin::Plugin;
use crate::reply::Reply;

/// Most operations in one batch, a limit of the host.
const BATCH_MAX: usize = 128;

/// Most commands in the transactions of one batch, a limit of the host.
const TRANSACTION_COMMANDS_MAX: usize = 1_024;

/// What a handler is told that makes more.
const TOO_MANY: &str =
    "more than 128 operations in one batch: none of them was sent; send fewer at once";

/// Room for the first batch of a call, bytes.
const BODY_BYTES: usize = 128;

/// A batch of this many bytes is not copied once more.
const LARGE: usize = 64 * 1024;

pub(crate) const STATUS_REPLY: u8 = 0;
pub(crate) const STATUS_TIMEOUT: u8 = 2;
pub(crate) const STATUS_EVENT: u8 = 3;
const STATUS_DENIED: u8 = 4;

/// A plugin with the config of its binding.
pub(crate) struct Configured {
    pub(crate) plugin: &'static Plugin,
    pub(crate) config: Rc<dyn Any>,
}

/// What a call is and what it has under way.
pub(crate) struct Call {
    pub(crate) start: Start,
    pub(crate) configured: Rc<Configured>,
    pub(crate) state: RefCell<State>,
}

/// The changing part of a call.
#[derive(Default)]
pub(crate) struct State {
    next_op: u32,
    /// The out-frame of a batch, from its first byte on: empty, or `FRAME_HEAD` bytes to fill in and then operations.
    body: Vec<u8>,
    body_count: usize,
    slots: Vec<Slot>,
    /// The reply to give now while the call goes on.
    pub(crate) background: Option<Vec<u8>>,
    /// Whether the client has its reply already.
    pub(crate) replied: bool,
    /// What the handler did that the contract forbids: the call ends with this text instead of a bad frame.
    pub(crate) misuse: Option<&'static str>,
    /// Operations in `body` that are a TX, and that may follow a call inside MULTI.
    transactions: usize,
    lasting: usize,
    /// Commands of those transactions.
    transacted: usize,
}

struct Slot {
    op: u32,
    /// Number of the first operation that was queued with this one.
    group: u32,
    abandoned: bool,
    result: Option<Outcome>,
}

/// One result as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: u8,
    /// What came, behind `from` bytes that are something else: a frame with one result is kept as it is.
    kept: Vec<u8>,
    from: usize,
}

impl Outcome {
    /// What came.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.kept.get(self.from..).unwrap_or_default()
    }

    /// The reply of a CMD or TX; its error, when it is one.
    pub(crate) fn reply(self) -> Result<Reply> {
        if self.status != STATUS_REPLY {
            return Err(self.error());
        }
        match Reply::from_bytes(self.kept, self.from) {
            Some(Reply::Error(text)) => Err(Error::of(ErrorKind::Reply, text)),
            Some(reply) => Ok(reply),
            None => Err(Error::new("the gateway gave no whole reply")),
        }
    }

    /// The error of a result that is none.
    #[cold]
    #[inline(never)]
    pub(crate) fn error(self) -> Error {
        let text = String::from_utf8_lossy(self.bytes()).into_owned();
        match self.status {
            1 => Error::of(ErrorKind::Backend, text),
            STATUS_TIMEOUT => Error::of(ErrorKind::Timeout, String::from("ERR timed out")),
            STATUS_DENIED => {
                let mut line = String::from("ERR denied: ");
                line.push_str(&text);
                Error::of(ErrorKind::Denied, line)
            }
            5 => Error::of(
                ErrorKind::TooLarge,
                String::from("ERR the reply is larger than the plugin's limits.reply"),
            ),
            _ => Error::new("the gateway gave an unknown result"),
        }
    }
}

impl State {
    /// Puts an operation that gives no result; one too many ends the call, because the handler is not told otherwise.
    pub(crate) fn put_silent(&mut self, put: impl FnOnce(&mut Self) -> bool) {
        if !put(self) {
            self.misuse = Some(TOO_MANY);
        }
    }

    /// Queues an operation that gives no result.
    pub(crate) fn queue_silent(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.body_count >= BATCH_MAX {
            return false;
        }
        if self.body.is_empty() {
            // Most batches fit, and growing step by step costs more than all the rest.
            self.body.reserve(BODY_BYTES);
            self.body.extend_from_slice(&[0; FRAME_HEAD]);
        }
        let begin = self.body.len();
        write(&mut self.body);
        self.queued(begin);
        true
    }

    /// Counts the operation that begins at `begin`.
    fn queued(&mut self, begin: usize) {
        self.body_count += 1;
        match self.body.get(begin) {
            Some(2) => self.transactions += 1,
            Some(5..=8) => self.lasting += 1,
            _ => {}
        }
        self.next_op = self.next_op.wrapping_add(1);
    }

    /// Queues a command; the first of a batch is not copied.
    pub(crate) fn queue_command(&mut self, command: Command, flags: u8) -> bool {
        if self.body_count > 0 || !command.is_plain() {
            return self.queue_silent(|out| command.write(flags, out));
        }
        self.body = command.into_frame(flags);
        self.queued(FRAME_HEAD);
        true
    }

    fn queue(&mut self, group: u32, put: impl FnOnce(&mut Self) -> bool) -> bool {
        let op = self.next_op;
        let queued = put(self);
        if queued {
            if self.slots.capacity() == 0 {
                // Most calls have one operation under way.
                self.slots.reserve_exact(1);
            }
            self.slots.push(Slot { op, group, abandoned: false, result: None });
        }
        queued
    }

    /// Where the batch ends now: bytes, operations, slots, transactions, those that last.
    fn mark(&self) -> [usize; 5] {
        [self.body.len(), self.body_count, self.slots.len(), self.transactions, self.lasting]
    }

    /// Takes out what was queued since.
    fn rewind(&mut self, [bytes, count, slots, transactions, lasting]: [usize; 5]) {
        let gone = u32::try_from(self.body_count.saturating_sub(count)).unwrap_or(0);
        self.next_op = self.next_op.wrapping_sub(gone);
        self.body.truncate(bytes);
        self.slots.truncate(slots);
        (self.body_count, self.transactions, self.lasting) = (count, transactions, lasting);
    }

    /// Whether the batch is what a call inside MULTI may ask for.
    pub(crate) fn is_one_transaction(&self) -> bool {
        self.next_op == 1 && self.transactions == 1
    }

    /// Whether a batch has gone out.
    pub(crate) fn has_sent(&self) -> bool {
        self.next_op as usize != self.body_count
    }

    /// Whether the batch holds only what may follow a call inside MULTI.
    pub(crate) fn only_lasts(&self) -> bool {
        self.lasting == self.body_count
    }

    /// Forgets what was queued.
    pub(crate) fn drop_body(&mut self) {
        self.body.clear();
        (self.body_count, self.transactions, self.lasting, self.transacted) = (0, 0, 0, 0);
    }

    /// Whether a transaction of so many commands still fits; if so, it is counted.
    pub(crate) fn has_room_for(&mut self, commands: usize) -> bool {
        let sum = self.transacted + commands;
        if sum > TRANSACTION_COMMANDS_MAX {
            return false;
        }
        self.transacted = sum;
        true
    }

    /// Whether the handler's result is all that there is to tell.
    pub(crate) fn is_quiet(&self) -> bool {
        let has_answered = self.replied || self.background.is_some();
        self.body_count == 0 && self.misuse.is_none() && !has_answered
    }

    /// Whether there is anything to send.
    pub(crate) fn has_body(&self) -> bool {
        self.body_count > 0
    }

    /// Makes the batch the out-frame, with what stands in `out` before it, and begins the next one.
    pub(crate) fn take_body(&mut self, flags: u8, out: &mut Vec<u8>) {
        let [low, high] = u16::try_from(self.body_count).unwrap_or(u16::MAX).to_le_bytes();
        if self.body.is_empty() {
            self.body.extend_from_slice(&[0; FRAME_HEAD]);
        }
        if let Some(head) = self.body.first_chunk_mut::<FRAME_HEAD>() {
            *head = [PENDING, flags, low, high];
        }
        if out.is_empty() || self.body.len() >= LARGE {
            // The little that stands in `out` takes the place of PENDING: one copy less of a large batch.
            if !out.is_empty() {
                self.body.splice(0..1, out.drain(..));
            }
            *out = std::mem::take(&mut self.body);
        } else {
            out.extend_from_slice(self.body.get(1..).unwrap_or_default());
        }
        self.drop_body();
    }

    /// How a call that waits is to be resumed, `FLAG_FIRST` when one finished operation may let it go on, else 0; `None` when
    /// nothing is to come.
    pub(crate) fn resume_flag(&self) -> Option<u8> {
        let flag = |is_all: bool| if is_all { 0 } else { FLAG_FIRST };
        // Most calls have one operation under way.
        if let [slot] = self.slots.as_slice() {
            return slot.result.is_none().then(|| flag(!slot.abandoned));
        }
        let mut outstanding = self.slots.iter().filter(|slot| slot.result.is_none());
        let head = outstanding.next()?;
        Some(flag(!head.abandoned && outstanding.all(|slot| slot.group == head.group)))
    }

    /// Takes in the result of operation `op`, which stands in `kept` behind `from` bytes; one that nobody wants is dropped.
    pub(crate) fn put_result(&mut self, op: u32, status: u8, kept: Vec<u8>, from: usize) {
        if let [slot] = self.slots.as_mut_slice()
            && slot.op == op
            && !slot.abandoned
        {
            slot.result = Some(Outcome { status, kept, from });
            return;
        }
        let Some(index) = self.slots.iter().position(|slot| slot.op == op) else {
            // Only what is not granted has a result that nobody waits for.
            if status == STATUS_DENIED {
                let why = kept.get(from..).unwrap_or_default();
                host::log(3, &joined(&["ERR denied: ", &String::from_utf8_lossy(why)]));
            }
            return;
        };
        if self.slots.get(index).is_some_and(|slot| slot.abandoned) {
            self.slots.remove(index);
        } else if let Some(slot) = self.slots.get_mut(index) {
            slot.result = Some(Outcome { status, kept, from });
        }
    }

    fn is_ready(&self, group: u32) -> bool {
        self.slots.iter().all(|slot| slot.group != group || slot.result.is_some())
    }

    fn take_group(&mut self, group: u32) -> Vec<Outcome> {
        let mut taken = Vec::new();
        self.slots.retain_mut(|slot| {
            if slot.group == group {
                taken.extend(slot.result.take());
            }
            slot.group != group
        });
        taken
    }

    /// The result of the only operation of `group`, if it has come.
    fn take_one(&mut self, group: u32) -> Option<Outcome> {
        if let [slot] = self.slots.as_mut_slice() {
            let outcome = if slot.group == group { slot.result.take() } else { None };
            if outcome.is_some() {
                self.slots.clear();
            }
            return outcome;
        }
        let index = self.slots.iter().position(|slot| slot.group == group)?;
        let outcome = self.slots.get_mut(index)?.result.take()?;
        self.slots.remove(index);
        Some(outcome)
    }

    fn abandon(&mut self, group: u32) {
        self.slots.retain_mut(|slot| {
            let mine = slot.group == group;
            slot.abandoned |= mine;
            !(mine && slot.result.is_some())
        });
    }
}

/// One or more operations that were queued together; ready when all have finished.
#[must_use = "an operation is sent when the handler next waits, and its result is lost unless awaited"]
pub(crate) struct Operations {
    call: Rc<Call>,
    group: u32,
    /// Why the operations were not queued.
    refused: Option<&'static str>,
    /// Whether no result is to come, or all have been taken.
    done: bool,
}

impl Operations {
    /// Queues what `write` appends as one operation.
    pub(crate) fn queue(call: &Rc<Call>, write: impl FnOnce(&mut Vec<u8>)) -> One {
        Self::queue_one(call, |state| state.queue_silent(write))
    }

    /// An operation that is not queued, because the host would not take it.
    pub(crate) fn refused(call: &Rc<Call>, why: &'static str) -> One {
        One(Self { call: Rc::clone(call), group: 0, refused: Some(why), done: true })
    }

    /// Queues a command.
    pub(crate) fn command(call: &Rc<Call>, command: Command) -> One {
        Self::queue_one(call, |state| state.queue_command(command, 0))
    }

    fn queue_one(call: &Rc<Call>, put: impl FnOnce(&mut State) -> bool) -> One {
        let mut state = call.state.borrow_mut();
        let group = state.next_op;
        let queued = state.queue(group, put);
        drop(state);
        if !queued {
            return Self::refused(call, TOO_MANY);
        }
        One(Self { call: Rc::clone(call), group, refused: None, done: false })
    }

    /// Queues the commands that `all` hands over: all of them, or none when there is no room for all.
    pub(crate) fn commands(call: &Rc<Call>, all: impl FnOnce(&mut dyn FnMut(Command))) -> Self {
        let mut state = call.state.borrow_mut();
        let group = state.next_op;
        let begin = state.mark();
        let mut refused = false;
        all(&mut |command| {
            refused = refused || !state.queue(group, |state| state.queue_command(command, 0));
        });
        if refused {
            state.rewind(begin);
        }
        // The next group has this number too when nothing was queued.
        let done = state.next_op == group;
        drop(state);
        Self { call: Rc::clone(call), group, refused: refused.then_some(TOO_MANY), done }
    }
}

impl Future for Operations {
    type Output = Result<Vec<Outcome>>;

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(why) = self.refused {
            return Poll::Ready(Err(Error::new(why)));
        }
        if self.done {
            return Poll::Ready(Ok(Vec::new()));
        }
        let group = self.group;
        let outcomes = {
            let mut state = self.call.state.borrow_mut();
            if !state.is_ready(group) {
                return Poll::Pending;
            }
            state.take_group(group)
        };
        self.done = true;
        Poll::Ready(Ok(outcomes))
    }
}

/// One operation; ready when it has finished.
#[must_use = "an operation is sent when the handler next waits, and its result is lost unless awaited"]
pub(crate) struct One(Operations);

impl Future for One {
    type Output = Result<Outcome>;

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self(operation) = &mut *self;
        if let Some(why) = operation.refused {
            return Poll::Ready(Err(Error::new(why)));
        }
        let outcome = operation.call.state.borrow_mut().take_one(operation.group);
        let Some(outcome) = outcome else {
            return Poll::Pending;
        };
        operation.done = true;
        Poll::Ready(Ok(outcome))
    }
}

/// A command under way: its reply, read as an `R`.
#[must_use = "a command is sent when the handler next waits, and its reply is lost unless awaited"]
pub(crate) struct Called<R> {
    one: One,
    reply: PhantomData<fn() -> R>,
}

impl<R> Called<R> {
    pub(crate) fn new(one: One) -> Self {
        Self { one, reply: PhantomData }
    }
}

impl<R: FromReply> Future for Called<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = Pin::new(&mut self.one).poll(context);
        outcome.map(|outcome| R::from_result(outcome?.reply()))
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        if !self.done {
            self.call.state.borrow_mut().abandon(self.group);
        }
    }
}

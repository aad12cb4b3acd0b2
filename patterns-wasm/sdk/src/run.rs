//! Running calls: one future per call number, polled by `start` and `resume`, dropped by `cancel`.
//!
//! In comes a frame, out goes a frame; the handler in between only sees `Cx`. There is no reactor: a future is
//! polled exactly when the host says that results are there, so the waker does nothing. An unknown call number or a
//! broken frame ends in an error reply, never in a panic, because a panic costs every call of this instance.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::args::Args;
use crate::cx::{Cx, TaskNames};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{
    BACKGROUND, DONE, FLAG_LAST, PASS, PENDING, put_bytes, put_u32, read_resume, read_start,
};
use crate::host;
use crate::operations::{Call, State};
use crate::plugin::{HandlerFuture, Plugin};
use crate::reply::Reply;

struct Running {
    call: Rc<Call>,
    future: HandlerFuture,
}

/// One instance of a plugin: its config and the calls under way.
pub(crate) struct Runner {
    plugin: &'static Plugin,
    config: Rc<dyn Any>,
    calls: Vec<Option<Running>>,
}

impl Runner {
    /// An instance with this JSON config, or why the config is refused.
    pub(crate) fn new(plugin: &'static Plugin, config: &[u8]) -> std::result::Result<Self, String> {
        Ok(Self { plugin, config: (plugin.init)(config)?, calls: Vec::new() })
    }

    /// Begins call `number`; appends the out-frame.
    pub(crate) fn start(&mut self, number: u32, frame: Vec<u8>, out: &mut Vec<u8>) {
        let Some((head, spans)) = read_start(&frame) else {
            return put_failure(out, "ERR the start frame is of another version");
        };
        let Some(handler) = self.plugin.handlers.get(usize::from(head.handler)) else {
            return put_failure(out, "ERR no such handler in this plugin");
        };
        let call = Rc::new(Call { head, state: RefCell::new(State::default()) });
        let first_task = self.plugin.handlers.len() - self.plugin.tasks.len();
        let cx = Cx {
            call: Rc::clone(&call),
            config: Rc::clone(&self.config),
            tasks: TaskNames {
                names: self.plugin.tasks,
                first: u16::try_from(first_task).unwrap_or(u16::MAX),
            },
        };
        let future = handler(cx, Args::from_frame(frame, spans));
        self.step(number, Running { call, future }, out);
    }

    /// Takes in results for call `number`; appends the out-frame.
    pub(crate) fn resume(&mut self, number: u32, frame: &[u8], out: &mut Vec<u8>) {
        let slot = self.calls.get_mut(number as usize);
        let Some(running) = slot.and_then(Option::take) else {
            return put_failure(out, "ERR no such call in this plugin");
        };
        let whole = {
            let mut state = running.call.state.borrow_mut();
            read_resume(frame, |result| {
                state.put_result(result.op, result.status, result.bytes);
            })
        };
        if whole.is_none() {
            return put_failure(out, "ERR the resume frame is broken");
        }
        self.step(number, running, out);
    }

    /// Forgets call `number`.
    pub(crate) fn cancel(&mut self, number: u32) {
        if let Some(slot) = self.calls.get_mut(number as usize) {
            *slot = None;
        }
    }

    fn step(&mut self, number: u32, mut running: Running, out: &mut Vec<u8>) {
        let mut context = Context::from_waker(Waker::noop());
        match running.future.as_mut().poll(&mut context) {
            Poll::Ready(result) => put_end(&running.call, result, out),
            Poll::Pending if !running.call.state.borrow().is_waiting() => {
                put_end(&running.call, Err(Error::new("the handler waits for nothing")), out);
            }
            Poll::Pending => {
                put_pending(&mut running.call.state.borrow_mut(), out);
                let index = number as usize;
                if self.calls.len() <= index {
                    self.calls.resize_with(index + 1, || None);
                }
                if let Some(slot) = self.calls.get_mut(index) {
                    *slot = Some(running);
                }
            }
        }
    }
}

fn put_failure(out: &mut Vec<u8>, text: &str) {
    out.push(DONE);
    Reply::Error(String::from(text)).write(2, out);
}

fn put_pending(state: &mut State, out: &mut Vec<u8>) {
    match state.background.take() {
        Some(reply) => {
            state.replied = true;
            out.push(BACKGROUND);
            put_bytes(out, &reply);
        }
        None => out.push(PENDING),
    }
    let flags = state.resume_flag();
    state.take_body(flags, out);
}

/// The last frame of a call: its reply, and with it the operations that were queued but not sent.
fn put_end(call: &Call, result: Result<Reply>, out: &mut Vec<u8>) {
    let mut state = call.state.borrow_mut();
    let early = state.background.take();
    let silent = state.replied || early.is_some() || matches!(call.head.kind, 2 | 4);
    if let Err(error) = &result {
        if error.kind == ErrorKind::Pass && !silent {
            out.push(PASS);
            return;
        }
        if silent && error.kind != ErrorKind::Pass {
            host::log(3, &error.text);
        }
    }
    let has_body = state.has_body();
    out.push(if has_body { BACKGROUND } else { DONE });
    let begin = out.len();
    if has_body {
        put_u32(out, 0);
    }
    // Written in its place: a large reply is copied no more than it must be.
    let reply_begin = out.len();
    if let Some(early) = early {
        out.extend_from_slice(&early);
    }
    if !silent {
        match result {
            Ok(value) => value.write(call.head.resp, out),
            Err(error) => Reply::Error(error.text).write(call.head.resp, out),
        }
    }
    if has_body {
        let len = u32::try_from(out.len() - reply_begin).unwrap_or(u32::MAX);
        if let Some(place) = out.get_mut(begin..reply_begin) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        state.take_body(FLAG_LAST, out);
    }
}

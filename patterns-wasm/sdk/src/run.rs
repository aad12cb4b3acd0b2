//! Running calls: one future per call number, polled by `start` and `resume`, dropped by `cancel`.
//!
//! In comes a frame, out goes a frame; the handler in between only sees `Cx`. There is no reactor: a future is
//! polled exactly when the host says that results are there, so the waker does nothing. An unknown call number or a
//! broken frame ends in an error reply, never in a panic, because a panic costs every call of this instance.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::args::Args;
use crate::cx::Cx;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{
    BACKGROUND, DONE, FLAG_LAST, HOOK, IN_MULTI, OWN_COMMAND, OpResult, PASS, Start, put_bytes,
    put_u32, read_only_result, read_resume,
};
use crate::host;
use crate::operations::{Call, Configured, State};
use crate::plugin::{HandlerFuture, Plugin};
use crate::reply::Reply;

struct Running {
    call: Rc<Call>,
    future: HandlerFuture,
}

/// One instance of a plugin and the calls under way in it.
pub(crate) struct Runner {
    configured: Rc<Configured>,
    calls: Vec<Option<Running>>,
}

impl Runner {
    /// An instance with this JSON config, or why the config is refused.
    pub(crate) fn new(plugin: &'static Plugin, config: &[u8]) -> std::result::Result<Self, String> {
        let config = (plugin.init)(config)?;
        Ok(Self { configured: Rc::new(Configured { plugin, config }), calls: Vec::new() })
    }

    /// Begins call `number`; appends the out-frame.
    pub(crate) fn start(&mut self, number: u32, frame: Vec<u8>, out: &mut Vec<u8>) {
        let Some(start) = Start::read(frame) else {
            return put_failure(out, "ERR the start frame is of another version");
        };
        let Some(handler) = self.configured.plugin.handlers.get(usize::from(start.handler()))
        else {
            return put_failure(out, "ERR no such handler in this plugin");
        };
        let configured = Rc::clone(&self.configured);
        let call = Rc::new(Call { start, configured, state: RefCell::default() });
        let future = handler(Cx { call: Rc::clone(&call) }, Args::of(Rc::clone(&call)));
        self.step(number, Running { call, future }, out);
    }

    /// Takes in results for call `number`; appends the out-frame.
    pub(crate) fn resume(&mut self, number: u32, frame: Vec<u8>, out: &mut Vec<u8>) {
        let slot = self.calls.get_mut(number as usize);
        let Some(running) = slot.and_then(Option::take) else {
            return put_failure(out, "ERR no such call in this plugin");
        };
        let whole = {
            let mut state = running.call.state.borrow_mut();
            match read_only_result(&frame) {
                Some(OpResult { op, status, bytes }) => {
                    let from = frame.len() - bytes.len();
                    state.put_result(op, status, frame, from);
                    Some(())
                }
                None => read_resume(&frame, |OpResult { op, status, bytes }| {
                    state.put_result(op, status, bytes.to_vec(), 0);
                }),
            }
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
        let polled = running.future.as_mut().poll_reply(&mut context);
        let polled = match polled {
            Poll::Ready(result) if ends_simply(&running.call) => {
                return put_reply(result, running.call.start.resp(), out);
            }
            polled => polled,
        };
        if let Some(misuse) = misuse(&running.call, &polled) {
            running.call.state.borrow_mut().drop_body();
            return put_end(&running.call, Err(Error::new(misuse)), out);
        }
        let flags = match polled {
            Poll::Ready(result) => return put_end(&running.call, result, out),
            Poll::Pending => running.call.state.borrow().resume_flag(),
        };
        let Some(flags) = flags else {
            let error = Error::new("the handler waits for nothing");
            return put_end(&running.call, Err(error), out);
        };
        put_pending(&mut running.call.state.borrow_mut(), flags, out);
        let index = number as usize;
        if self.calls.len() <= index {
            self.calls.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.calls.get_mut(index) {
            *slot = Some(running);
        }
    }
}

/// Whether a client waits for the call's result and nothing else is to be told: as most calls end.
fn ends_simply(call: &Call) -> bool {
    matches!(call.start.kind(), HOOK | OWN_COMMAND) && call.state.borrow().is_quiet()
}

/// The last frame of a call that only answers.
fn put_reply(result: Result<Reply>, resp: u8, out: &mut Vec<u8>) {
    match result {
        Err(error) if error.kind == ErrorKind::Pass => out.push(PASS),
        result => {
            out.push(DONE);
            result.unwrap_or_else(|error| Reply::Error(error.text)).write(resp, out);
        }
    }
}

/// What the handler has done that would be a bad frame, which would cost it its instance and all calls in there.
fn misuse(call: &Call, polled: &Poll<Result<Reply>>) -> Option<&'static str> {
    let state = call.state.borrow();
    if state.misuse.is_some() {
        return state.misuse;
    }
    let in_multi = call.start.kind() == IN_MULTI;
    if !in_multi && polled.is_pending() {
        return None;
    }
    match polled {
        Poll::Pending if in_multi && !state.is_one_transaction() => {
            Some("inside MULTI a handler passes, answers an error, or awaits one transaction")
        }
        Poll::Pending => None,
        Poll::Ready(Err(error))
            if error.kind == ErrorKind::Pass && in_multi && state.has_sent() =>
        {
            Some("pass() behind a transaction inside MULTI: return its reply")
        }
        Poll::Ready(Err(error)) if error.kind == ErrorKind::Pass => {
            let waits = !state.replied && state.background.is_none();
            let is_asked = waits && !call.start.is_task();
            (is_asked && state.has_body())
                .then_some("pass() with operations that were not sent: await one first")
        }
        Poll::Ready(Ok(_)) if in_multi && !state.has_sent() => {
            Some("inside MULTI a handler may not answer by itself: pass, or await a transaction")
        }
        Poll::Ready(_) if in_multi && !state.only_lasts() => {
            Some("inside MULTI nothing may be sent behind the transaction: spawn a task")
        }
        Poll::Ready(_) => None,
    }
}

fn put_failure(out: &mut Vec<u8>, text: &str) {
    out.push(DONE);
    Reply::Error(String::from(text)).write(2, out);
}

fn put_pending(state: &mut State, flags: u8, out: &mut Vec<u8>) {
    if let Some(reply) = state.background.take() {
        state.replied = true;
        out.push(BACKGROUND);
        put_bytes(out, &reply);
    }
    state.take_body(flags, out);
}

/// The last frame of a call: its reply, and with it the operations that were queued but not sent.
fn put_end(call: &Call, result: Result<Reply>, out: &mut Vec<u8>) {
    let mut state = call.state.borrow_mut();
    if call.start.kind() == IN_MULTI && !state.has_sent() {
        // An error at once, and nothing with it: the contract allows no more there.
        state.drop_body();
    }
    let early = state.background.take();
    let silent = state.replied || early.is_some() || call.start.is_task();
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
            Ok(value) => value.write(call.start.resp(), out),
            Err(error) => Reply::Error(error.text).write(call.start.resp(), out),
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

#[cfg(test)]
mod tests {
    use crate::args::Args;
    use crate::command::{Command, cmd};
    use crate::config::{NoConfig, read};
    use crate::cx::{Cx, Kind, Wait};
    use crate::error::Result;
    use crate::harness::frames::{Op, Out};
    use crate::harness::instance::{Answer, Caller, Instance};
    use crate::plugin::Plugin;
    use crate::reply::Reply;
    use crate::wait::join;

    static PLUGIN: Plugin = Plugin {
        manifest: "{}",
        init: read::<NoConfig>,
        handlers: &[|cx, args| Box::pin(misused(cx, args))],
        tasks: &["task"],
    };

    /// Does what its first argument says.
    async fn misused(cx: Cx, args: Args) -> Result<Reply> {
        match args.name() {
            b"pass-after-send" => {
                cx.send(cmd("GET").arg("k"));
                cx.pass()
            }
            b"background" => {
                cx.background(());
                pause(&cx).await
            }
            b"background-twice" => {
                cx.background(());
                pause(&cx).await?;
                cx.background(());
                pause(&cx).await
            }
            b"call" => cx.call(cmd("GET").arg("k")).await,
            b"wait" => pause(&cx).await,
            b"answer" => Ok(Reply::ok()),
            b"notify" => {
                cx.notify(b"k", b"v");
                Err(crate::error::Error::new("no"))
            }
            b"notify-first" => {
                cx.notify(b"k", b"v");
                transaction(&cx).await
            }
            b"guarded" => {
                let guard = cmd("GET").arg("k");
                cx.guarded(guard, &Reply::Null, [cmd("DEL").arg("k")]).await?;
                Ok(Reply::ok())
            }
            b"send-last" => {
                let reply = transaction(&cx).await;
                cx.send(cmd("GET").arg("k"));
                reply
            }
            b"notify-last" => {
                let reply = transaction(&cx).await;
                cx.notify(b"k", b"v");
                reply
            }
            what => misused_by_number(&cx, what).await,
        }
    }

    /// The same for what is about how much is asked for.
    async fn misused_by_number(cx: &Cx, what: &[u8]) -> Result<Reply> {
        match what {
            b"send-many" => {
                (0..129).for_each(|_| cx.send(cmd("DEL").arg("k")));
                Ok(Reply::ok())
            }
            b"spawn-many" => {
                (0..128).try_for_each(|_| cx.spawn("task", &[]))?;
                cx.spawn("task", &[])?;
                Ok(Reply::ok())
            }
            b"transaction-of-none" => {
                cx.transaction(Vec::<Command>::new()).await?;
                Ok(Reply::ok())
            }
            b"transaction-of-many" => {
                cx.transaction(vec![cmd("DEL").arg("k"); 1_025]).await?;
                Ok(Reply::ok())
            }
            b"pipeline-of-none" => {
                drop(cx.pipeline(Vec::<Command>::new()));
                let none = cx.pipeline(Vec::<Command>::new());
                let (none, found) = join(none, cx.call(cmd("GET").arg("k"))).await;
                assert!(none?.is_empty());
                found
            }
            b"denied" => {
                cx.send(cmd("DEL").arg("k"));
                cx.call(cmd("GET").arg("k")).await
            }
            _ => many(cx).await,
        }
    }

    /// Some are queued before; of the others all go or none.
    async fn many(cx: &Cx) -> Result<Reply> {
        cx.send(cmd("GET").arg("first"));
        let gets = |count: usize| vec![cmd("GET").arg("k"); count];
        let refused = cx.pipeline(gets(200)).await;
        let replies = cx.pipeline(gets(127));
        assert!(refused.is_err_and(|error| error.text.contains("none of them was sent")));
        assert_eq!(replies.await?.len(), 127);
        Ok(Reply::ok())
    }

    async fn pause(cx: &Cx) -> Result<Reply> {
        let wait = Wait { timeout_ms: 1, behind_ms: None, poll_ms: None };
        cx.wait_key(b"k", wait).await?;
        Ok(Reply::ok())
    }

    async fn transaction(cx: &Cx) -> Result<Reply> {
        cx.transaction([cmd("GET").arg("k")]).await?;
        Ok(Reply::ok())
    }

    fn started(kind: Kind, what: &str) -> (Instance, Out) {
        let mut instance = Instance::new(&PLUGIN, "", 1).unwrap();
        let caller = Caller { kind, session: 1, resp: 2 };
        let out = instance.start(0, 0, caller, &[what.as_bytes().to_vec()]);
        (instance, out)
    }

    fn resumed(instance: &mut Instance, op: u32, status: u8, bytes: &[u8]) -> Out {
        instance.resume(0, &[Answer { op, status, bytes: bytes.to_vec() }])
    }

    #[test]
    fn misuse_ends_the_call_with_words_and_no_frame_that_the_host_would_refuse() {
        let cases = [
            (Kind::Hook, "pass-after-send", "-ERR pass() with operations that were not sent"),
            (Kind::InMulti, "background", "-ERR background() inside MULTI"),
            (Kind::InMulti, "call", "-ERR inside MULTI a handler passes, answers an error"),
            (Kind::InMulti, "wait", "-ERR inside MULTI a handler passes, answers an error"),
            (Kind::InMulti, "answer", "-ERR inside MULTI a handler may not answer by itself"),
            (Kind::InMulti, "notify", "-ERR no\r\n"),
            (Kind::InMulti, "notify-first", "-ERR inside MULTI a handler passes, answers"),
            (Kind::InMulti, "guarded", "-ERR a guarded transaction inside MULTI"),
            (Kind::Hook, "send-many", "-ERR more than 128 operations in one batch"),
            (Kind::Hook, "transaction-of-none", "-ERR a transaction of no commands"),
            (
                Kind::Hook,
                "transaction-of-many",
                "-ERR more than 1024 commands in the transactions of one batch",
            ),
            (Kind::Spawned, "background", ""),
        ];
        for (kind, what, wanted) in cases {
            let (instance, out) = started(kind, what);
            let Out::Done(reply) = out else { panic!("{what}: {out:?}") };
            let text = String::from_utf8(reply).unwrap();
            assert!(text.starts_with(wanted), "{what}: {text}");
            assert_eq!(text.is_empty(), kind == Kind::Spawned);
            let said = instance.logs().iter().any(|(_, line)| line.contains("in a task"));
            assert_eq!(said, kind == Kind::Spawned, "{what}: {:?}", instance.logs());
        }
    }

    #[test]
    fn misuse_after_the_first_step_is_told_too() {
        let (mut instance, _) = started(Kind::Hook, "background-twice");
        assert_eq!(resumed(&mut instance, 0, 2, b""), Out::Done(Vec::new()));
        assert!(instance.logs()[0].1.contains("a second time"), "{:?}", instance.logs());
        let exec = b"*1\r\n$-1\r\n";
        let (mut instance, _) = started(Kind::InMulti, "send-last");
        let out = resumed(&mut instance, 0, 0, exec);
        let Out::Done(reply) = out else { panic!("{out:?}") };
        assert!(reply.starts_with(b"-ERR inside MULTI nothing may be sent behind"));
        let (mut instance, _) = started(Kind::InMulti, "notify-last");
        let out = resumed(&mut instance, 0, 0, exec);
        assert!(matches!(out, Out::Background { body, .. } if body.last && body.ops.len() == 1));
    }

    #[test]
    fn spawn_beyond_the_batch_is_an_error_of_the_handler_and_the_others_go_out() {
        let (_, out) = started(Kind::Hook, "spawn-many");
        let Out::Background { reply, body } = out else { panic!("{out:?}") };
        assert!(reply.starts_with(b"-ERR more than 128 operations in one batch"));
        assert_eq!((body.last, body.ops.len()), (true, 128));
    }

    #[test]
    fn pipeline_of_nothing_is_ready_and_takes_nobody_elses_result() {
        let (mut instance, out) = started(Kind::Hook, "pipeline-of-none");
        assert!(matches!(out, Out::Pending(body) if body.ops.len() == 1));
        assert_eq!(
            resumed(&mut instance, 0, 0, b"$1\r\nv\r\n"),
            Out::Done(b"$1\r\nv\r\n".to_vec())
        );
    }

    #[test]
    fn operation_without_a_result_that_is_denied_is_logged() {
        let (mut instance, _) = started(Kind::Hook, "denied");
        let answers = [(0, 4, &b"the command is not granted"[..]), (1, 0, b"$-1\r\n")];
        let answers =
            answers.map(|(op, status, bytes)| Answer { op, status, bytes: bytes.to_vec() });
        assert_eq!(instance.resume(0, &answers), Out::Done(b"$-1\r\n".to_vec()));
        let line = (3, "ERR denied: the command is not granted".to_owned());
        assert_eq!(instance.logs(), &[line]);
    }

    #[test]
    fn pipeline_over_the_limit_sends_nothing_of_itself() {
        let (mut instance, out) = started(Kind::Hook, "many");
        let Out::Pending(body) = out else { panic!("{out:?}") };
        assert_eq!(body.ops.len(), 128);
        assert!(
            matches!(&body.ops[0], Op::Command { words, silent: true, .. } if words[1] == b"first")
        );
        let answers: Vec<Answer> =
            (1..=127).map(|op| Answer { op, status: 0, bytes: b"$-1\r\n".to_vec() }).collect();
        assert_eq!(instance.resume(0, &answers), Out::Done(b"+OK\r\n".to_vec()));
    }
}

//! One instance of a plugin, driven frame by frame.
//!
//! For tests of a single handler: start it, look at the operations it asks for, answer them, look at the reply. Time and
//! shared memory are the test's.

use std::collections::HashMap;

use super::frames::{self, Out};
use crate::cx::Kind;
use crate::frame::put_bytes;
use crate::host::native::{OFFER, Offer};
use crate::plugin::Plugin;
use crate::run::Runner;

/// A gateway's default for `limits.call_timeout`.
pub(super) const BUDGET_MS: u32 = 2_000;

/// Who calls. See [`Instance`].
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// Why the handler runs.
    pub kind: Kind,
    /// The session, 0 for none.
    pub session: u64,
    /// Its protocol.
    pub resp: u8,
}

/// An answer to an operation. See [`Instance`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Running number of the operation in its call.
    pub op: u32,
    /// 0 reply, 1 backend error, 2 timeout, 3 event, 4 denied.
    pub status: u8,
    /// What came.
    pub bytes: Vec<u8>,
}

/// One instance and what its gateway offers it.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::harness::frames::{Op, Out};
/// use sluicegate_plugin::harness::instance::{Answer, Caller, Instance};
///
/// async fn read(cx: Cx, args: Args) -> Result<Option<Vec<u8>>> {
///     cx.call(get(args.key())).await
/// }
/// # sluicegate_plugin::plugin! { name: "x", version: "1.0.0", commands: ["READ" => read] }
/// # fn main() {
/// let mut instance = Instance::new(&PLUGIN, "", 1).unwrap();
/// let caller = Caller { kind: Kind::OwnCommand, session: 1, resp: 2 };
/// let words = [b"READ".to_vec(), b"k".to_vec()];
/// let Out::Pending(body) = instance.start(0, 0, caller, &words) else { panic!() };
/// assert!(matches!(&body.ops[0], Op::Command { words, .. } if words[0] == b"GET"));
/// let failed = Answer { op: 0, status: 1, bytes: b"ERR shard down".to_vec() };
/// assert_eq!(instance.resume(0, &[failed]), Out::Done(b"-ERR shard down\r\n".to_vec()));
/// # }
/// ```
pub struct Instance {
    runner: Runner,
    offer: Offer,
}

impl Instance {
    /// An instance with this JSON config, or the plugin's refusal. Its shared memory has no bound.
    pub fn new(plugin: &'static Plugin, config: &str, seed: u64) -> Result<Self, String> {
        Self::open(plugin, config, Offer { random: seed, ..Offer::default() })
    }

    /// The same with so much shared memory, and with metrics of these kinds only.
    pub(super) fn bounded(
        plugin: &'static Plugin,
        config: &str,
        seed: u64,
        (shared_bytes_max, metric_kinds): (usize, Vec<String>),
    ) -> Result<Self, String> {
        let metric_kinds = Some(metric_kinds);
        let offer = Offer { random: seed, shared_bytes_max, metric_kinds, ..Offer::default() };
        Self::open(plugin, config, offer)
    }

    fn open(plugin: &'static Plugin, config: &str, mut offer: Offer) -> Result<Self, String> {
        OFFER.with_borrow_mut(|current| std::mem::swap(current, &mut offer));
        let runner = Runner::new(plugin, config.as_bytes());
        OFFER.with_borrow_mut(|current| std::mem::swap(current, &mut offer));
        Ok(Self { runner: runner?, offer })
    }

    /// Takes over what another instance's gateway has kept, as after a swap.
    pub fn take_offer(&mut self, other: &mut Self) {
        self.offer = std::mem::take(&mut other.offer);
    }

    /// Sets both clocks.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.offer.now_ms = now_ms;
    }

    /// What was counted, by number of the metric.
    pub fn metrics(&self) -> &HashMap<u32, i64> {
        &self.offer.metrics
    }

    /// What was logged.
    pub fn logs(&self) -> &[(u8, String)] {
        &self.offer.logs
    }

    /// Begins call `call` of handler `handler`.
    pub fn start(&mut self, call: u32, handler: u16, caller: Caller, words: &[Vec<u8>]) -> Out {
        let kind = match caller.kind {
            Kind::Hook => 0,
            Kind::OwnCommand => 1,
            Kind::Spawned => 2,
            Kind::InMulti => 3,
            Kind::SessionClosed => 4,
            Kind::Timer => 5,
        };
        let mut frame = vec![2, kind, caller.resp, 28, 0, 0];
        frame.extend_from_slice(&handler.to_le_bytes());
        frame.extend_from_slice(&[0; 2]);
        frame.extend_from_slice(&1u16.to_le_bytes());
        frame.extend_from_slice(&caller.session.to_le_bytes());
        frame.extend_from_slice(&BUDGET_MS.to_le_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&u32::try_from(words.len()).unwrap_or(0).to_le_bytes());
        for word in words {
            put_bytes(&mut frame, word);
        }
        self.enter(|runner, out| runner.start(call, frame, out))
    }

    /// Gives call `call` results.
    pub fn resume(&mut self, call: u32, answers: &[Answer]) -> Out {
        let mut frame = Vec::new();
        frame.extend_from_slice(&u32::try_from(answers.len()).unwrap_or(0).to_le_bytes());
        for answer in answers {
            frame.extend_from_slice(&answer.op.to_le_bytes());
            frame.push(answer.status);
            put_bytes(&mut frame, &answer.bytes);
        }
        self.enter(|runner, out| runner.resume(call, frame, out))
    }

    /// Ends call `call`.
    pub fn cancel(&mut self, call: u32) {
        self.runner.cancel(call);
    }

    fn enter(&mut self, step: impl FnOnce(&mut Runner, &mut Vec<u8>)) -> Out {
        let mut out = Vec::new();
        OFFER.with_borrow_mut(|offer| std::mem::swap(offer, &mut self.offer));
        step(&mut self.runner, &mut out);
        OFFER.with_borrow_mut(|offer| std::mem::swap(offer, &mut self.offer));
        frames::read(&out)
    }
}

//! What the harness reads out of a plugin's manifest: who handles what, and what it may do.
//!
//! The plugin is granted exactly what its manifest asks for, as an operator does who writes no `grant`; what it does not ask
//! for is denied with the gateway's own words. Keys are not looked at.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::frames::{Op, Words};
use super::world::refused;
use crate::cx::Kind;
use crate::deserialize::Value;
use crate::json::Json;

/// A handler and why it runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handler {
    pub(super) number: u16,
    pub(super) kind: Kind,
}

/// A timer and the handler of its task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timer {
    pub(super) handler: u16,
    pub(super) every_ms: u64,
    pub(super) jitter_ms: u64,
}

/// The manifest as the harness needs it.
pub(super) struct Manifest {
    pub(super) name: String,
    /// `counter`, `gauge` or `histogram`, by number.
    pub(super) metrics: Vec<String>,
    handlers: BTreeMap<String, Handler>,
    pub(super) timers: Vec<Timer>,
    grants: Capabilities,
}

#[derive(Deserialize)]
struct Text {
    name: String,
    metrics: Vec<Metric>,
    hooks: Vec<String>,
    commands: Vec<OwnCommand>,
    tasks: Vec<String>,
    timers: Vec<TimerText>,
    capabilities: Capabilities,
}

#[derive(Deserialize)]
struct Metric {
    kind: String,
}

#[derive(Deserialize)]
struct OwnCommand {
    name: String,
}

#[derive(Deserialize)]
struct TimerText {
    task: String,
    every_ms: u64,
    jitter_ms: u64,
}

#[derive(Deserialize)]
struct Capabilities {
    commands: Vec<String>,
    wait: bool,
    background: bool,
    shared_bytes: usize,
}

impl Manifest {
    pub(super) fn read(text: &str) -> Self {
        let json = Json::parse(text.as_bytes()).unwrap_or_else(|fault| refused(&fault));
        let read = Text::deserialize(Value(json));
        let text = read.unwrap_or_else(|fault| refused(&fault.to_string()));
        let own = text.commands.into_iter().map(|command| (command.name, Kind::OwnCommand));
        let named = text.hooks.into_iter().map(|name| (name, Kind::Hook)).chain(own);
        let handlers: BTreeMap<String, Handler> =
            named.zip(0..).map(|((name, kind), number)| (name, Handler { number, kind })).collect();
        let first_task = u16::try_from(handlers.len()).unwrap_or(u16::MAX);
        let timers = text.timers.into_iter().map(|timer| {
            let place = text.tasks.iter().position(|task| *task == timer.task);
            let place = place.and_then(|place| u16::try_from(place).ok());
            let place = place.unwrap_or_else(|| refused("a timer names no task"));
            let TimerText { every_ms, jitter_ms, .. } = timer;
            Timer { handler: first_task + place, every_ms: every_ms.max(1), jitter_ms }
        });
        let metrics = text.metrics.into_iter().map(|metric| metric.kind).collect();
        let (name, timers, grants) = (text.name, timers.collect(), text.capabilities);
        Self { name, metrics, timers, handlers, grants }
    }

    /// Who takes this command.
    pub(super) fn handler_of(&self, words: &Words) -> Option<Handler> {
        let name = words.first()?.to_ascii_uppercase();
        self.handlers.get(std::str::from_utf8(&name).ok()?).copied()
    }

    /// Bytes of shared memory.
    pub(super) fn shared_bytes(&self) -> usize {
        self.grants.shared_bytes
    }

    /// Why the gateway would not carry out `op` for this session; `goes_on`: of a call that has answered.
    pub(super) fn denied(&self, op: &Op, session: u64, goes_on: bool) -> Option<&'static str> {
        if goes_on && !self.grants.background {
            return Some("background is not granted");
        }
        match op {
            Op::Watch { .. } if session == 0 => Some("there is no session to watch"),
            Op::Command { words, .. } => self.command_denied(words),
            Op::Transaction { guard, commands } => {
                let read = guard.iter().map(|(words, _)| words);
                read.chain(commands).find_map(|words| self.command_denied(words))
            }
            Op::Sleep { .. } | Op::WaitKey { .. } => {
                (!self.grants.wait).then_some("wait is not granted")
            }
            Op::Watch { .. } | Op::Unwatch { .. } | Op::Spawn { .. } => {
                (!self.grants.background).then_some("background is not granted")
            }
            Op::Notify { .. } => None,
        }
    }

    fn command_denied(&self, words: &Words) -> Option<&'static str> {
        let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let granted = self.grants.commands.iter().any(|command| command.as_bytes() == name);
        (!granted).then_some("the command is not granted")
    }
}

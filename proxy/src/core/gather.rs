//! Commands that ask several shards, round after round: the sending and the collecting.
//!
//! `gather` says whom to ask what, and what the answers mean; this file sends each round over the session's lanes,
//! keeps the replies until the last has come, and asks on or answers. A request of the gateway's own that fails counts
//! as a reply, so every round ends. A session that is gone leaves its gather to finish its round unseen.

use crate::buffer::Piece;
use crate::command::rule::{JoinedCommand, ShardsCommand};
use crate::core::forward::Target;
use crate::core::ids::{GatherId, SessionId};
use crate::core::lane::Owner;
use crate::core::timer::Timer;
use crate::core::{Core, Pool};
use crate::gather::{self, Answer, Around, Ask, Gather, Step};
use crate::pending::Place;
use crate::resp::args::Args;
use crate::resp::write::Protocol;

/// A command between two rounds.
#[derive(Debug)]
pub(crate) struct ActiveGather {
    session: SessionId,
    place: Place,
    /// Where the session's requests go; the shard is each ask's own.
    target: Target,
    gather: Gather,
    answers: Vec<Answer>,
    missing: usize,
    kept_bytes: usize,
}

impl Core {
    /// Carries out a command that asks shards and has no keys.
    pub(crate) fn ask_shards(&mut self, id: SessionId, command: ShardsCommand, args: &Args<'_>) {
        match command {
            ShardsCommand::ScriptLoad => self.learn_script(args.get(2).unwrap_or_default()),
            ShardsCommand::ScriptFlush => self.forget_scripts(),
            _ => {}
        }
        let random = self.random();
        let plugins =
            if command == ShardsCommand::Info { self.plugin_report() } else { String::new() };
        let begun = self.with_facts(id, &plugins, false, |session, pool, facts| {
            let place = session.pending.push();
            let around = pool.around(session.identity.protocol, random);
            (place, gather::begin(command, args, facts, around))
        });
        if let Some((place, step)) = begun {
            self.gather_step(id, place, step);
        }
    }

    /// Carries out a command whose keys, which were planned just now, live on several shards.
    pub(crate) fn join_keys(&mut self, id: SessionId, command: JoinedCommand, args: &Args<'_>) {
        let random = self.random();
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(pool) = self.pools.get(usize::from(session.pool)) else {
            return;
        };
        let place = session.pending.push();
        let around = pool.around(session.identity.protocol, random);
        let step = gather::join(command, args, self.scratch.placed_keys(), around);
        self.gather_step(id, place, step);
    }

    /// Carries out a step of a session's command, whose reply takes `place`.
    pub(crate) fn gather_step(&mut self, id: SessionId, place: Place, step: Step) {
        let (gather, asks) = match step {
            Step::Reply(reply) => return self.answer(id, place, Piece::borrowed(&reply)),
            Step::Ask(gather, asks) => (gather, asks),
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if gather.may_ask_again() {
            session.alone_place = Some(place);
        }
        let target = session.target(0);
        let answers = asks.iter().map(|ask| Answer { shard: ask.shard, reply: Vec::new() });
        let active = ActiveGather {
            session: id,
            place,
            target,
            gather,
            answers: answers.collect(),
            missing: asks.len(),
            kept_bytes: 0,
        };
        let patience_ms = active.gather.patience_ms();
        let gather = self.gathers.insert(active);
        if let Some(patience_ms) = patience_ms {
            self.timers.set(self.clock.now_ms + patience_ms, Timer::GatherPatience(gather));
        }
        if asks.is_empty() {
            return self.end_round(gather);
        }
        for (number, Ask { shard, request }) in (0..).zip(asks) {
            let owner = Owner::Gather(gather, number);
            self.forward(Target { shard, ..target }, Piece::borrowed(&request), owner);
        }
    }

    /// Takes the reply to one ask; the last one ends the round.
    pub(crate) fn settle_gather(&mut self, id: GatherId, number: u32, reply: &[u8]) {
        let Some(active) = self.gathers.get_mut(id) else {
            return;
        };
        let Some(answer) = active.answers.get_mut(number as usize) else {
            return;
        };
        answer.reply = reply.to_vec();
        active.kept_bytes += reply.len();
        active.missing = active.missing.saturating_sub(1);
        let (is_last, owner) = (active.missing == 0, active.session);
        if let Some(session) = self.sessions.get_mut(owner) {
            session.joining_bytes += reply.len();
        }
        if is_last {
            self.end_round(id);
        } else if !self.cut_if_too_much(owner) {
            self.account_session(owner);
        }
    }

    /// Goes on with the answers that have come.
    pub(crate) fn end_round(&mut self, id: GatherId) {
        let Some(active) = self.gathers.remove(id) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(active.session) else {
            return;
        };
        session.joining_bytes = session.joining_bytes.saturating_sub(active.kept_bytes);
        let protocol =
            if active.target.protocol_index == 1 { Protocol::Resp3 } else { Protocol::Resp2 };
        let random = self.random();
        let Some(pool) = self.pools.get(usize::from(active.target.pool)) else {
            return;
        };
        let step = active.gather.go_on(&active.answers, pool.around(protocol, random));
        self.gather_step(active.session, active.place, step);
    }
}

impl Pool {
    /// What holds for a round of a command that asks this pool's shards.
    fn around(&self, protocol: Protocol, random: u64) -> Around<'_> {
        Around {
            topology: &self.topology,
            shard_names: &self.shard_names,
            by_name: &self.by_name,
            protocol,
            random,
        }
    }
}

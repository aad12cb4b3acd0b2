//! Plugins inside a transaction.
//!
//! ```text
//!   queued:   SETEX c:1 60 v        GET u:1         start(kind 3) says: TX[SET c:1 v PX 80000, DEL lease]
//!   to shard: MULTI  SET.. DEL..    GET u:1  EXEC
//!   EXEC's:   [      +OK    :0      $v       ]      resume([+OK :0]) says: +OK
//!   client:   [      +OK            $v       ]
//! ```
//! At EXEC every hooked command is started with kind 3 and answers at once: PASS (it goes as it came), a reply (an
//! error, mostly, which takes the command's place), or one list of commands, which takes the command's place in the
//! same MULTI..EXEC, each on the shard of its own keys (the client's key may be the name of something that lies elsewhere). EXEC's array is then cut into each command's share (`exec`). When EXEC did not run, the calls are
//! cancelled; and when a call cannot say what to do (a trap, no free cell, not granted), nothing is sent at all.

use crate::command::CommandSpec;
use crate::command::resolve::resolve;
use crate::command::rule::Rule;
use crate::core::Core;
use crate::core::draft::Draft;
use crate::core::effects::Asking;
use crate::core::exec::{Element, with_args};
use crate::core::forward::Target;
use crate::core::hook::only_key;
use crate::core::ids::SessionId;
use crate::core::plugins::cells_of;
use crate::core::transaction::QueuedCommand;
use crate::plugin::batch::{Batch, Op};
use crate::plugin::bindings::Taken;
use crate::plugin::cells::CallId;
use crate::plugin::fault::Fault;
use crate::plugin::given::{Kind, OpResult, StartHead, Status};
use crate::plugin::room::Step;
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};
use crate::route::split::width;

/// A plugin's call that waits for the replies to its list of commands.
#[derive(Debug)]
pub(crate) struct Call {
    asking: Asking,
    call: CallId,
    number: u32,
}

impl Core {
    /// Asks the binding of a queued command what to do in its place, and puts that into the draft. Gives its element,
    /// or says why it cannot be known.
    pub(crate) fn start_in_multi(
        &mut self,
        id: SessionId,
        target: Target,
        queued: QueuedCommand,
        draft: &mut Draft,
    ) -> Result<Element, String> {
        let asked = with_args(&queued.request, |args| {
            self.ask_in_multi(id, target, (queued.spec, args), draft)
        });
        match asked {
            Some(Some(element)) => element,
            Some(None) | None => {
                let reads = queued.spec.is_readonly();
                Ok(Element::Part(draft.push(target.shard, queued.request, reads)))
            }
        }
    }

    /// The same; `None` when the command is to go as it came.
    fn ask_in_multi(
        &mut self,
        id: SessionId,
        target: Target,
        (spec, args): (&CommandSpec, &Args<'_>),
        draft: &mut Draft,
    ) -> Option<Result<Element, String>> {
        let mut from = 0;
        loop {
            let taken = self.hook_in_multi(target.pool, (spec, args), from)?;
            match self.step_in_multi(id, target, taken, args) {
                Ok((_, Step::Pass)) => from = taken.binding + 1,
                Ok((_, Step::Done(reply) | Step::DoneBackground { reply, .. })) => {
                    return Some(Ok(Element::Said(reply)));
                }
                Ok((call, Step::Pending(batch))) => {
                    let asking = self.asking_in_multi(id, target, taken, call);
                    return Some(self.list_in_multi(target, asking, (call, &batch), draft));
                }
                Err(fault) => {
                    self.note_fault(target.pool, taken.binding, &fault);
                    if self.passes_on_failure(target.pool, taken.binding) {
                        from = taken.binding + 1;
                        continue;
                    }
                    return Some(Err(fault.client_text()));
                }
            }
        }
    }

    fn hook_in_multi(
        &self,
        pool: u16,
        (spec, args): (&CommandSpec, &Args<'_>),
        from: u16,
    ) -> Option<Taken> {
        let plugins = self.pools.get(usize::from(pool))?.plugins.as_ref()?;
        let take = |key| plugins.bindings.take(spec.index, Some(key), from);
        match (only_key(spec, args), spec.rule) {
            (Some(key), _) => take(key),
            // What a transaction carries out is not cut: one binding has all its keys, or none takes it.
            (None, Rule::Split(rule)) => {
                let mut takers = args.from(1).step_by(width(rule)).map(take);
                let first = takers.next()??;
                takers.all(|taker| taker == Some(first)).then_some(first)
            }
            (None, _) => self.taker_of_whole(pool, spec, from),
        }
    }

    /// For whom a call inside a transaction asks.
    fn asking_in_multi(&self, id: SessionId, target: Target, taken: Taken, call: CallId) -> Asking {
        let protocol = if target.protocol_index == 1 { Protocol::Resp3 } else { Protocol::Resp2 };
        Asking {
            pool: target.pool,
            binding: taken.binding,
            call: Some(call),
            session: Some(id),
            number: self.sessions.get(id).map_or(0, |session| session.identity.id),
            protocol,
            database: target.database,
        }
    }

    fn step_in_multi(
        &mut self,
        id: SessionId,
        target: Target,
        taken: Taken,
        args: &Args<'_>,
    ) -> Result<(CallId, Step), Fault> {
        let clock = self.plugin_clock();
        self.stats.plugin_calls += 1;
        let head = StartHead {
            kind: Kind::InMulti,
            resp: if target.protocol_index == 1 { 3 } else { 2 },
            db: target.database,
            handler: taken.handler,
            binding: taken.binding,
            shards: self.shard_count(target.pool),
            session: self.sessions.get(id).map_or(0, |session| session.identity.id),
        };
        match cells_of(&mut self.pools, target.pool, taken.binding) {
            Some(cells) => cells.start(clock, &head, args.from(0)),
            // A binding without cells takes nothing.
            None => Err(Fault::missing()),
        }
    }

    /// Puts a plugin's list of commands into the transaction.
    fn list_in_multi(
        &mut self,
        target: Target,
        asking: Asking,
        (call, batch): (CallId, &Batch),
        draft: &mut Draft,
    ) -> Result<Element, String> {
        let refused = match batch.ops.first().map(|numbered| (numbered, numbered.op)) {
            Some((numbered, Op::Transaction { target: to, commands, .. }))
                if numbered.denied.is_none() =>
            {
                match self.encode_list(target.pool, batch, to, commands) {
                    Ok(list) => {
                        let call = Call { asking, call, number: numbered.number };
                        // Where several shards are written, `check_shards` refuses.
                        let parts = list.into_iter().map(|(shard, request)| {
                            let reads = with_args(&request, only_reads).unwrap_or(false);
                            draft.push(shard, request, reads)
                        });
                        return Ok(Element::Call(call, parts.collect()));
                    }
                    Err(reply) => {
                        String::from_utf8_lossy(&reply).trim_matches(['-', '\r', '\n']).to_owned()
                    }
                }
            }
            Some((numbered, op)) => {
                if let Some(denied) = numbered.denied {
                    self.denied(asking.pool, asking.binding, denied, batch.name_of(&op));
                }
                let why = numbered.denied.map_or("not allowed inside MULTI", |d| d.text());
                format!("PLUGINERR {why}")
            }
            None => "PLUGINERR nothing to do inside MULTI".to_owned(),
        };
        self.cancel_call(asking.pool, asking.binding, call);
        Err(refused)
    }

    /// Gives a call the replies to its list of commands: what it says takes its command's place.
    pub(crate) fn end_in_multi(&mut self, ended: Call, replies: &[&[u8]]) -> Vec<u8> {
        let Call { asking, call, number } = ended;
        let Asking { pool, binding, .. } = asking;
        let mut list = Vec::new();
        write::array_header(&mut list, replies.len());
        replies.iter().for_each(|reply| list.extend_from_slice(reply));
        let clock = self.plugin_clock();
        let Some(cells) = cells_of(&mut self.pools, pool, binding) else {
            return b"-PLUGINERR the plugin is gone\r\n".to_vec();
        };
        let result = OpResult { number, status: Status::Reply, bytes: &list };
        match cells.resume(clock, call, [result].into_iter()) {
            Ok(Step::Done(reply)) => reply,
            Ok(Step::DoneBackground { reply, batch }) => {
                self.carry_out_last(asking, &batch);
                reply
            }
            Ok(Step::Pass | Step::Pending(_)) => {
                self.cancel_call(pool, binding, call);
                b"-PLUGINERR no reply inside MULTI\r\n".to_vec()
            }
            Err(fault) => {
                self.note_fault(pool, binding, &fault);
                format!("-{}\r\n", fault.client_text()).into_bytes()
            }
        }
    }

    /// EXEC has not run: drops the calls that wait for its replies.
    pub(crate) fn cancel_calls(&mut self, elements: &[Element]) {
        for element in elements {
            match element {
                Element::Call(Call { asking, call, .. }, _) => {
                    self.cancel_call(asking.pool, asking.binding, *call);
                }
                Element::Joined(_, elements) => self.cancel_calls(elements),
                _ => {}
            }
        }
    }

    /// Drops a call that has no task.
    fn cancel_call(&mut self, pool: u16, binding: u16, call: CallId) {
        let clock = self.plugin_clock();
        let Some(cells) = cells_of(&mut self.pools, pool, binding) else {
            return;
        };
        if let Err(fault) = cells.cancel(clock, call) {
            self.note_fault(pool, binding, &fault);
        }
    }

    fn note_fault(&mut self, pool: u16, binding: u16, fault: &Fault) {
        self.note_failure(pool, binding, fault);
        self.calls_lost(pool, binding, &fault.lost, &fault.plugin);
    }
}

/// Whether a request changes nothing.
fn only_reads(args: &Args<'_>) -> bool {
    resolve(args).is_ok_and(CommandSpec::is_readonly)
}

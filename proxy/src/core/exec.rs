//! Transactions in which plugins take part.
//!
//! ```text
//!   queued:   SETEX c:1 60 v        GET u:1         start(kind 3) says: TX[SET c:1 v PX 80000, DEL lease]
//!   to shard: MULTI  SET.. DEL..    GET u:1  EXEC
//!   EXEC's:   [      +OK    :0      $v       ]      resume([+OK :0]) says: +OK
//!   client:   [      +OK            $v       ]
//! ```
//! At EXEC every hooked command is started with kind 3 and answers at once: PASS (it goes as it came), a reply (an
//! error, mostly, which takes the command's place), or one list of commands, which takes the command's place in the
//! same MULTI..EXEC. EXEC's array is then cut into each command's share. When EXEC did not run, the calls are
//! cancelled; and when a call cannot say what to do (a trap, no free cell, not granted), nothing is sent at all.

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::effects::Asking;
use crate::core::forward::Target;
use crate::core::hook::only_key;
use crate::core::ids::{ExecId, SessionId};
use crate::core::lane::Owner;
use crate::core::plugins::cells_of;
use crate::core::transaction::QueuedCommand;
use crate::pending::Place;
use crate::plugin::batch::{Batch, Op};
use crate::plugin::bindings::Taken;
use crate::plugin::cells::CallId;
use crate::plugin::fault::Fault;
use crate::plugin::frame::{Kind, OpResult, StartHead, Status};
use crate::plugin::room::Step;
use crate::resp::args::Args;
use crate::resp::request::{RequestLimits, RequestScan, Scanned};
use crate::resp::write::Protocol;
use crate::resp::{value, write};

/// A transaction with plugins in it, on its way.
#[derive(Debug)]
pub(crate) struct ActiveExec {
    session: SessionId,
    /// The session's number, as plugins know it, also when the session has closed meanwhile.
    session_number: u64,
    place: Place,
    pool: u16,
    database: u16,
    protocol: Protocol,
    elements: Vec<Element>,
}

/// Where one element of EXEC's array comes from.
#[derive(Debug)]
enum Element {
    /// The plugin has answered; the shard sees nothing of it.
    Said(Vec<u8>),
    /// The command went as it came.
    Passed,
    /// A plugin's call waits for the replies to its list of commands.
    Call { binding: u16, call: CallId, number: u32, replies: usize },
}

impl Core {
    /// Carries out a transaction that has hooked commands.
    pub(crate) fn execute_hooked(
        &mut self,
        id: SessionId,
        target: Target,
        commands: Vec<QueuedCommand>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let place = session.pending.push();
        let session_number = session.identity.id;
        let protocol = session.identity.protocol;
        let mut elements = Vec::with_capacity(commands.len());
        let mut requests = Vec::with_capacity(commands.len());
        for queued in commands {
            let element = match self.start_in_multi(id, target, &queued, &mut requests) {
                Ok(element) => element,
                Err(why) => {
                    self.cancel_calls(target.pool, &elements);
                    let text =
                        format!("-EXECABORT Transaction discarded because of a plugin: {why}\r\n");
                    return self.answer(id, place, Piece::borrowed(text.as_bytes()));
                }
            };
            if let Element::Passed = element {
                requests.push(queued.request);
            }
            elements.push(element);
        }
        let Target { pool, database, .. } = target;
        let active =
            ActiveExec { session: id, session_number, place, pool, database, protocol, elements };
        let exec = self.execs.insert(active);
        if requests.is_empty() {
            return self.settle_exec(exec, Piece::borrowed(b"*0\r\n"));
        }
        self.forward_group(target, &requests, Owner::Exec(exec));
    }

    /// Asks the binding of a queued command what to do in its place, or says why that cannot be known.
    fn start_in_multi(
        &mut self,
        id: SessionId,
        target: Target,
        queued: &QueuedCommand,
        requests: &mut Vec<Vec<u8>>,
    ) -> Result<Element, String> {
        let mut scan = RequestScan::default();
        let Scanned::Complete { .. } = scan.scan(&queued.request, &RequestLimits::OPEN) else {
            return Ok(Element::Passed);
        };
        let args = Args::new(&queued.request, scan.spans());
        let mut from = 0;
        loop {
            let Some(taken) = self.hook_in_multi(target.pool, queued, &args, from) else {
                return Ok(Element::Passed);
            };
            match self.step_in_multi(id, target, taken, &args) {
                Ok((_, Step::Pass)) => from = taken.binding + 1,
                Ok((_, Step::Done(reply) | Step::DoneBackground { reply, .. })) => {
                    return Ok(Element::Said(reply));
                }
                Ok((call, Step::Pending(batch))) => {
                    return self.list_in_multi(target, taken, call, &batch, requests);
                }
                Err(fault) => {
                    self.note_fault(target.pool, taken.binding, &fault);
                    return Err(fault.client_text());
                }
            }
        }
    }

    fn hook_in_multi(
        &self,
        pool: u16,
        queued: &QueuedCommand,
        args: &Args<'_>,
        from: u16,
    ) -> Option<Taken> {
        let plugins = self.pools.get(usize::from(pool))?.plugins.as_ref()?;
        let key = only_key(queued.spec, args)?;
        plugins.bindings.take(queued.spec.index, Some(key), from)
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
        taken: Taken,
        call: CallId,
        batch: &Batch,
        requests: &mut Vec<Vec<u8>>,
    ) -> Result<Element, String> {
        let binding = taken.binding;
        let refused = match batch.ops.first().map(|numbered| (numbered, numbered.op)) {
            Some((numbered, Op::Transaction { target: to, commands, .. }))
                if numbered.denied.is_none() =>
            {
                match self.encode_transaction(target.pool, batch, to, commands) {
                    Ok((shard, list)) if shard == target.shard => {
                        let replies = list.len();
                        requests.extend(list);
                        let number = numbered.number;
                        return Ok(Element::Call { binding, call, number, replies });
                    }
                    Ok(_) => "CROSSSHARD the keys of a plugin's commands must live on the transaction's shard".to_owned(),
                    Err(reply) => String::from_utf8_lossy(&reply).trim_matches(['-', '\r', '\n']).to_owned(),
                }
            }
            Some((numbered, _)) => {
                let why = numbered.denied.map_or("not allowed inside MULTI", |d| d.text());
                format!("PLUGINERR {why}")
            }
            None => "PLUGINERR nothing to do inside MULTI".to_owned(),
        };
        self.cancel_call(target.pool, binding, call);
        Err(refused)
    }

    /// Takes EXEC's reply: cuts it into each command's share and answers the client.
    pub(crate) fn settle_exec(&mut self, exec: ExecId, reply: Piece<'_>) {
        let Some(active) = self.execs.remove(exec) else {
            return;
        };
        let wanted: usize = active
            .elements
            .iter()
            .map(|element| match element {
                Element::Said(_) => 0,
                Element::Passed => 1,
                Element::Call { replies, .. } => *replies,
            })
            .sum();
        let Some(shares) = array_elements(reply.bytes(), wanted) else {
            // EXEC did not run, or the outcome is unknown: its own word passes.
            self.cancel_calls(active.pool, &active.elements);
            return self.answer(active.session, active.place, reply);
        };
        let mut out = Vec::with_capacity(reply.bytes().len() + 16);
        write::array_header(&mut out, active.elements.len());
        let mut shares = shares.into_iter();
        for element in active.elements {
            match element {
                Element::Said(said) => out.extend_from_slice(&said),
                Element::Passed => out.extend_from_slice(shares.next().unwrap_or_default()),
                Element::Call { binding, call, number, replies } => {
                    let mut list = Vec::new();
                    write::array_header(&mut list, replies);
                    for share in shares.by_ref().take(replies) {
                        list.extend_from_slice(share);
                    }
                    let asking = Asking {
                        pool: active.pool,
                        binding,
                        call: Some(call),
                        session: Some(active.session),
                        number: active.session_number,
                        protocol: active.protocol,
                        database: active.database,
                    };
                    let said = self.resume_in_multi(asking, call, (number, &list));
                    out.extend_from_slice(&said);
                }
            }
        }
        self.answer(active.session, active.place, Piece::borrowed(&out));
    }

    fn resume_in_multi(
        &mut self,
        asking: Asking,
        call: CallId,
        (number, list): (u32, &[u8]),
    ) -> Vec<u8> {
        let Asking { pool, binding, .. } = asking;
        let clock = self.plugin_clock();
        let Some(cells) = cells_of(&mut self.pools, pool, binding) else {
            return b"-PLUGINERR the plugin is gone\r\n".to_vec();
        };
        let result = OpResult { number, status: Status::Reply, bytes: list };
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

    fn cancel_calls(&mut self, pool: u16, elements: &[Element]) {
        for element in elements {
            if let Element::Call { binding, call, .. } = element {
                self.cancel_call(pool, *binding, *call);
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
        self.stats.plugin_faults += 1;
        self.note_plugin(pool, binding, format!("{}: {}", fault.client_text(), fault.detail));
        self.calls_lost(pool, binding, &fault.lost, &fault.plugin);
    }
}

/// The elements of an array reply, if it is one of `count` elements.
fn array_elements(reply: &[u8], count: usize) -> Option<Vec<&[u8]>> {
    if count == 0 {
        return Some(Vec::new());
    }
    let header = format!("*{count}\r\n");
    let mut rest = reply.strip_prefix(header.as_bytes())?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        let len = value::value_len(rest)?;
        let (element, behind) = rest.split_at_checked(len)?;
        elements.push(element);
        rest = behind;
    }
    Some(elements)
}

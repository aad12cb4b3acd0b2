//! EXEC of a transaction that is more than one shard's commands as they came: its replies.
//!
//! ```text
//!   shard 1:  [    $a               [$a]                         ]     the replies of the parts that `draft` sent
//!   shard 2:  [                     [$b]      +OK   :0           ]
//!   client:   [    $a     +PONG     [$a $b]   the plugin's word  ]
//! ```
//! An *element* says where its place in EXEC's array is filled from. When every part has answered with an array, the
//! gateway's own commands are carried out and the array is written. Else nothing of the gateway's own is done, and EXEC
//! is one error, or the null that says that a watched key has changed.

use crate::buffer::Piece;
use crate::command::rule::LocalCommand;
use crate::core::Core;
use crate::core::ids::{ExecId, LaneId, SessionId};
use crate::core::in_multi::Call;
use crate::core::lane::LaneState;
use crate::join::{APPLIED, Join, MISFIT, UNKNOWN};
use crate::pending::Place;
use crate::resp::args::Args;
use crate::resp::request::{RequestLimits, RequestScan, Scanned};
use crate::resp::write::Protocol;
use crate::resp::{value, write};

/// A transaction on its way.
#[derive(Debug)]
pub(crate) struct ActiveExec {
    pub(crate) session: SessionId,
    pub(crate) place: Place,
    pub(crate) protocol: Protocol,
    pub(crate) elements: Vec<Element>,
    pub(crate) parts: Vec<Sent>,
    pub(crate) missing: usize,
    pub(crate) kept_bytes: usize,
    pub(crate) writes: bool,
    /// The lane that watches the transaction's keys.
    pub(crate) watch: Option<LaneId>,
}

/// A part whose reply is awaited or here.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) commands: usize,
    pub(crate) reply: Vec<u8>,
}

/// Where one element of EXEC's array comes from.
#[derive(Debug)]
pub(crate) enum Element {
    /// It is known.
    Said(Vec<u8>),
    /// The gateway answers this request.
    Local(LocalCommand, Vec<u8>),
    /// CLIENT INFO: the gateway shows the session.
    ClientInfo,
    /// The next reply of this part.
    Part(usize),
    /// The next reply of this part is nobody's: it changed the database.
    Skipped(usize),
    /// These become one: what each shard, or a plugin in its place, says of its keys.
    Joined(Join, Vec<Element>),
    /// A plugin's call makes it of the next replies of these parts.
    Call(Call, Vec<usize>),
}

impl Core {
    /// Takes the reply to one part; the last one ends the transaction.
    pub(crate) fn settle_exec(&mut self, id: ExecId, part: u32, reply: Piece<'_>) {
        let Some(active) = self.execs.get_mut(id) else {
            return;
        };
        let Some(sent) = active.parts.get_mut(part as usize) else {
            return;
        };
        sent.reply = reply.bytes().to_vec();
        active.kept_bytes += reply.bytes().len();
        active.missing = active.missing.saturating_sub(1);
        let (is_last, owner) = (active.missing == 0, active.session);
        if let Some(session) = self.sessions.get_mut(owner) {
            session.joining_bytes += reply.bytes().len();
        }
        if is_last {
            self.end_exec(id);
        } else if !self.cut_if_too_much(owner) {
            self.account_session(owner);
        }
    }

    /// Whether a part that has no reply was not sent because the lane that watched its keys has broken.
    pub(crate) fn is_aborted(&self, id: ExecId, text: &str) -> bool {
        let watch = self.execs.get(id).and_then(|active| active.watch);
        watch.is_some_and(|lane| {
            let lane = self.lanes.get(lane);
            let is_broken = lane.is_none_or(|lane| matches!(lane.state, LaneState::Closed { .. }));
            is_broken && text.ends_with("; not sent")
        })
    }

    /// Takes EXEC's null for a part.
    pub(crate) fn abort_exec(&mut self, id: ExecId, part: u32) {
        let protocol = self.execs.get(id).map_or(Protocol::Resp2, |active| active.protocol);
        let mut reply = Vec::new();
        write::null_array(&mut reply, protocol);
        self.settle_exec(id, part, Piece::borrowed(&reply));
    }

    /// Every part has answered.
    pub(crate) fn end_exec(&mut self, id: ExecId) {
        let Some(active) = self.execs.remove(id) else {
            return;
        };
        let owner = active.session;
        if let Some(session) = self.sessions.get_mut(owner) {
            session.joining_bytes = session.joining_bytes.saturating_sub(active.kept_bytes);
        }
        let shares: Option<Vec<_>> = active
            .parts
            .iter()
            .map(|sent| Some(array_elements(&sent.reply, sent.commands)?.into_iter()))
            .collect();
        let Some(mut shares) = shares else {
            self.cancel_calls(&active.elements);
            let reply = whole_error(&active);
            return self.answer(owner, active.place, Piece::borrowed(&reply));
        };
        let is_shown = |element: &&Element| !matches!(element, Element::Skipped(_));
        let mut out = Vec::with_capacity(active.kept_bytes + 16);
        write::array_header(&mut out, active.elements.iter().filter(is_shown).count());
        for element in active.elements {
            self.write_element(owner, element, &mut shares, &mut out);
        }
        self.answer(owner, active.place, Piece::borrowed(&out));
    }

    /// Appends one element of EXEC's array; `shares` are the replies that the shards' parts still have.
    fn write_element(
        &mut self,
        owner: SessionId,
        element: Element,
        shares: &mut [std::vec::IntoIter<&[u8]>],
        out: &mut Vec<u8>,
    ) {
        let mut next = |part: usize| shares.get_mut(part).and_then(Iterator::next);
        match element {
            Element::Said(said) => out.extend_from_slice(&said),
            Element::Part(part) => out.extend_from_slice(next(part).unwrap_or_default()),
            Element::Skipped(part) => drop(next(part)),
            Element::Joined(mut join, elements) => {
                let mut reply = Vec::new();
                for (number, element) in elements.into_iter().enumerate() {
                    reply.clear();
                    self.write_element(owner, element, shares, &mut reply);
                    join.fill(number, &reply);
                }
                out.extend_from_slice(&join.finish());
            }
            Element::Local(command, request) => {
                with_args(&request, |args| self.write_local(owner, command, args, out));
            }
            Element::ClientInfo => self.write_itself(owner, out),
            Element::Call(call, parts) => {
                let replies = parts.into_iter().filter_map(next).collect::<Vec<_>>();
                out.extend_from_slice(&self.end_in_multi(call, &replies));
            }
        }
    }
}

/// EXEC's reply where a part has no array: its own word, or the first error of those that have none.
fn whole_error(active: &ActiveExec) -> Vec<u8> {
    let has_array = |sent: &&Sent| array_elements(&sent.reply, sent.commands).is_some();
    let mut without = active.parts.iter().filter(|sent| !has_array(sent));
    let Some(first) = without.next() else {
        return Vec::new();
    };
    if active.parts.len() == 1 {
        return first.reply.clone();
    }
    let text = |sent: &Sent| value::error_text(&sent.reply).map(<[u8]>::to_vec);
    let may_have_run = |text: &Vec<u8>| text.ends_with(UNKNOWN);
    // Of a write, a part that may have been applied says more than one that was not.
    let unknown = without.filter_map(text).find(may_have_run);
    let mut error = text(first).unwrap_or_else(|| MISFIT.to_vec());
    if active.writes {
        error = unknown.unwrap_or(error);
        if active.parts.iter().any(|sent| has_array(&sent)) {
            error.extend_from_slice(APPLIED);
        }
    }
    let mut reply = Vec::new();
    write::error_bytes(&mut reply, &error);
    reply
}

/// The elements of an array reply, if it is one of `count` elements.
fn array_elements(reply: &[u8], count: usize) -> Option<Vec<&[u8]>> {
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

/// The arguments of a whole request.
pub(crate) fn with_args<T>(request: &[u8], then: impl FnOnce(&Args<'_>) -> T) -> Option<T> {
    let mut scan = RequestScan::default();
    let Scanned::Complete { .. } = scan.scan(request, &RequestLimits::OPEN) else {
        return None;
    };
    Some(then(&Args::new(request, scan.spans())))
}

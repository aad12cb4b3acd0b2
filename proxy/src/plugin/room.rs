//! A cell with the calls that live in it, and what each call may do next.
//!
//! Owns the slot numbers that the guest sees as `call`, and per call the little that decides whether an out-frame is in
//! place: kind, protocol, outstanding operations, whether its client has a reply, whether it has changed anything.
//! `accept` turns a checked frame into a `Step` or says why it is out of place.

use std::sync::Arc;

use super::batch::{Batch, Numbered, Op};
use super::cell::{Cell, EntryError, bad};
use super::fault::FaultKind;
use super::frame::{BadFrame, OutFrame, OutRules};
use super::generation::Generation;
use super::given::{Kind, StartHead};
use super::grants::{Denied, Granted, Scratch, Verdict, check};
use super::limits::{BATCH_EXTRA_BYTES, CELL_MEMORY_PER_FRAME_BYTE};

/// What the host does next for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The call has ended; this is the RESP reply. Empty when no client waits.
    Done(Vec<u8>),
    /// The call has ended; the command goes on as it came.
    Pass,
    /// This is the reply; carry out the batch. The call lives on, unless `batch.last`.
    DoneBackground {
        /// The RESP reply; empty when no client waits.
        reply: Vec<u8>,
        /// What to carry out.
        batch: Batch,
    },
    /// Carry out the batch, then resume.
    Pending(Batch),
}

impl Step {
    /// Whether the call has ended with this step.
    pub fn ends_call(&self) -> bool {
        match self {
            Self::Done(_) | Self::Pass => true,
            Self::DoneBackground { batch, .. } => batch.last,
            Self::Pending(_) => false,
        }
    }
}

/// A call in a cell.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) sequence: u32,
    pub(super) head: StartHead,
    pub(super) steps: u32,
    /// Bytes of its first frame, which the guest holds for as long as the call lives.
    frame_bytes: usize,
    next_op: u32,
    outstanding: usize,
    /// Bytes of its batches since it last had nothing outstanding: the host holds much of them.
    asked_bytes: usize,
    replied: bool,
    changed: bool,
    wrote: bool,
}

impl Call {
    pub(super) fn new(sequence: u32, head: StartHead, frame_bytes: usize) -> Self {
        Self {
            sequence,
            head,
            steps: 0,
            frame_bytes,
            next_op: 0,
            outstanding: 0,
            asked_bytes: 0,
            replied: false,
            changed: false,
            wrote: false,
        }
    }

    /// Whether it may be started again after its cell was lost.
    pub(super) fn is_replayable(&self) -> bool {
        !self.replied && !self.changed
    }

    /// Whether it has sent commands that change something.
    pub(super) fn has_written(&self) -> bool {
        self.wrote
    }

    /// Notes that results came in.
    pub(super) fn take_results(&mut self, count: usize) {
        self.outstanding = self.outstanding.saturating_sub(count);
        if self.outstanding == 0 {
            self.asked_bytes = 0;
        }
    }

    /// Notes that the call changed shared memory.
    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// What the next out-frame is checked against.
    pub(super) fn rules(&self, generation: &Generation) -> OutRules {
        OutRules {
            resp: self.head.resp,
            silent: self.replied || !self.head.kind.has_client(),
            ops_max: generation.limits.ops_per_batch,
            request_max: generation.limits.request_bytes,
            reply_max: generation.limits.reply_bytes,
            tasks: generation.manifest.task_numbers(),
            next_op: self.next_op,
        }
    }

    /// Turns a checked frame into a step: is it in place here, and what of it is granted?
    pub(super) fn accept(
        &mut self,
        frame: OutFrame,
        generation: &Generation,
        granted: &Granted,
        scratch: &mut Scratch,
    ) -> Result<Step, EntryError> {
        if self.head.kind == Kind::InMulti && !fits_multi(&frame, self.steps == 1) {
            return Err(misplaced(BadFrame::OutOfPlace));
        }
        match frame {
            OutFrame::Done(reply) => Ok(Step::Done(reply)),
            OutFrame::Pass if self.replied || !self.head.kind.has_client() => {
                Err(misplaced(BadFrame::OutOfPlace))
            }
            OutFrame::Pass => Ok(Step::Pass),
            OutFrame::Pending(batch) => {
                let batch = self.admit(batch, generation, granted, scratch)?;
                Ok(Step::Pending(batch))
            }
            OutFrame::Background { reply, batch } => {
                self.replied = true;
                let batch = self.admit(batch, generation, granted, scratch)?;
                Ok(Step::DoneBackground { reply, batch })
            }
        }
    }

    /// Numbers the operations, marks those that are not granted, and counts what will come back.
    fn admit(
        &mut self,
        mut batch: Batch,
        generation: &Generation,
        granted: &Granted,
        scratch: &mut Scratch,
    ) -> Result<Batch, EntryError> {
        self.asked_bytes = self.asked_bytes.saturating_add(batch.bytes.len());
        let request_max = generation.limits.request_bytes;
        if self.asked_bytes > request_max.saturating_add(BATCH_EXTRA_BYTES) {
            return Err(frame_error(BadFrame::Bytes, FaultKind::BatchTooLarge(request_max)));
        }
        let mut ops = std::mem::take(&mut batch.ops);
        let has_session = self.head.session != 0;
        let goes_on = self.replied && !batch.last && !granted.background();
        for Numbered { denied, op, .. } in &mut ops {
            let verdict = if goes_on {
                Verdict { denied: Some(Denied::Background), readonly: true }
            } else {
                check(granted, generation.facts, scratch, &batch, op, has_session)
            };
            *denied = verdict.denied;
            self.changed |= !verdict.readonly;
            let is_sent = matches!(op, Op::Command { .. } | Op::Transaction { .. });
            self.wrote |= is_sent && !verdict.readonly;
            self.outstanding += usize::from(op.gives_result() || verdict.denied.is_some());
        }
        self.next_op = self.next_op.wrapping_add(u32::try_from(ops.len()).unwrap_or(0));
        batch.ops = ops;
        if self.outstanding == 0 && !batch.last {
            return Err(misplaced(BadFrame::NothingOutstanding));
        }
        Ok(batch)
    }
}

/// Inside MULTI nothing may wait: an error, a pass, or one transaction; afterwards the reply.
fn fits_multi(frame: &OutFrame, at_start: bool) -> bool {
    match frame {
        OutFrame::Done(reply) => !at_start || matches!(reply.first(), Some(b'-' | b'!')),
        OutFrame::Pass => at_start,
        OutFrame::Pending(batch) => {
            at_start
                && matches!(
                    batch.ops.as_slice(),
                    [Numbered { op: Op::Transaction { guard: None, .. }, .. }]
                )
        }
        OutFrame::Background { batch, .. } => {
            let quiet = |numbered: &Numbered| {
                matches!(
                    numbered.op,
                    Op::Notify { .. }
                        | Op::WatchSession { .. }
                        | Op::UnwatchSession { .. }
                        | Op::Spawn { .. }
                )
            };
            !at_start && batch.last && batch.ops.iter().all(quiet)
        }
    }
}

pub(super) fn misplaced(why: BadFrame) -> EntryError {
    bad(&why.to_string())
}

pub(super) fn frame_error(why: BadFrame, kind: FaultKind) -> EntryError {
    EntryError { kind, detail: why.to_string() }
}

/// A cell and its calls.
pub(super) struct Room {
    pub(super) cell: Cell,
    pub(super) generation: Arc<Generation>,
    /// Place of the binding in that generation.
    pub(super) binding: usize,
    calls: Vec<Option<Call>>,
    /// Free slot numbers; the last is taken next.
    free: Vec<u16>,
    live: u16,
    /// Bytes of the first frames of all live calls.
    frame_bytes: usize,
    life: u64,
    /// Linear memory before its first call.
    first_memory_bytes: usize,
    retiring: bool,
    /// When it last became empty.
    pub(super) idle_since_ms: u64,
}

impl Room {
    pub(super) fn new(
        cell: Cell,
        generation: Arc<Generation>,
        binding: usize,
        now_ms: u64,
    ) -> Self {
        let size = generation.limits.calls_per_cell.max(1);
        Self {
            first_memory_bytes: cell.memory_bytes(),
            cell,
            generation,
            binding,
            calls: (0..size).map(|_| None).collect(),
            free: (0..size).rev().collect(),
            live: 0,
            frame_bytes: 0,
            life: 0,
            retiring: false,
            idle_since_ms: now_ms,
        }
    }

    /// Whether another call with a frame of this length may start here; `alone`: only as the one call. Calls that
    /// wait hold their frames, so a cell is full by memory before it is by number when they are large.
    pub(super) fn has_place(&self, alone: bool, frame_bytes: usize) -> bool {
        let share = self.generation.limits.memory_bytes / CELL_MEMORY_PER_FRAME_BYTE;
        let fits = self.frame_bytes.saturating_add(frame_bytes) <= share;
        !self.retiring && !self.free.is_empty() && (self.live == 0 || (!alone && fits))
    }

    /// Takes a slot.
    pub(super) fn seat(&mut self, call: Call) -> Option<u16> {
        let slot = self.free.pop()?;
        self.frame_bytes += call.frame_bytes;
        *self.calls.get_mut(usize::from(slot))? = Some(call);
        self.live += 1;
        self.life += 1;
        Some(slot)
    }

    /// Frees a slot; a cell that is used up or swollen takes no further calls.
    pub(super) fn leave(&mut self, slot: u16, now_ms: u64) {
        let Some(place) = self.calls.get_mut(usize::from(slot)) else {
            return;
        };
        let Some(call) = place.take() else {
            return;
        };
        self.frame_bytes = self.frame_bytes.saturating_sub(call.frame_bytes);
        self.free.push(slot);
        self.live = self.live.saturating_sub(1);
        let limits = &self.generation.limits;
        // Memory never shrinks, and a busy cell is never empty: it must stop to take calls in order to become so.
        let swollen = (limits.memory_bytes / 2).max(self.first_memory_bytes * 2);
        self.retiring |= self.life >= limits.cell_calls || self.cell.memory_bytes() > swollen;
        if self.live == 0 {
            self.idle_since_ms = now_ms;
        }
    }

    pub(super) fn call(&mut self, slot: u16) -> Option<&mut Call> {
        self.calls.get_mut(usize::from(slot))?.as_mut()
    }

    /// The cell, one of its calls and what it runs, to enter the one for the other.
    pub(super) fn cell_and_call(
        &mut self,
        slot: u16,
    ) -> Option<(&mut Cell, &mut Call, &Generation, usize)> {
        let call = self.calls.get_mut(usize::from(slot))?.as_mut()?;
        Some((&mut self.cell, call, &self.generation, self.binding))
    }

    /// Takes no further calls and may be dropped when empty.
    pub(super) fn retire(&mut self) {
        self.retiring = true;
    }

    pub(super) fn is_retiring(&self) -> bool {
        self.retiring
    }

    pub(super) fn live(&self) -> u16 {
        self.live
    }

    /// All calls, with their slots.
    pub(super) fn calls(&self) -> impl Iterator<Item = (u16, &Call)> {
        self.calls
            .iter()
            .enumerate()
            .filter_map(|(slot, call)| Some((u16::try_from(slot).ok()?, call.as_ref()?)))
    }
}

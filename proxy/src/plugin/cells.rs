//! The cells of one binding on one worker: where a call lives, and what a trap takes with it.
//!
//! ```text
//! start ----> admission (health) ----> room with a place ----> guest ----> Step
//! resume ---> the call's room ------------------------------> guest ----> Step
//! ```
//!
//! Pure: time, seed and results come in, steps and faults go out; no socket, no lock, no thread. A trap drops the whole
//! cell and names the other calls in it, which the host starts again or fails. New calls go to the newest generation,
//! old cells end with their last call. Entries never nest: the guest cannot reach this code.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::batch::Batch;
use super::cell::{Cell, Entry, EntryError, OpenError};
use super::fault::{Fault, FaultKind, LostCall};
use super::frame::{BadFrame, read_out};
use super::generation::Generation;
use super::given::{OpResult, StartHead, write_resume, write_start};
use super::grants::Scratch;
use super::health::{Admission, Health};
use super::host::{Clock, Kept, LogLine, MetricValue, next_random};
use super::limits::{
    ARGUMENT_BYTES, CELLS_DROPPED_MAX, CELLS_DROPPED_PER_OPENED, LARGE_FRAME_BYTES, LOG_LINES_KEPT,
    SPARE_BYTES_MAX, WARM_CELLS,
};
use super::manifest::Metric;
use super::room::{Call, Room, Step, frame_error, misplaced};
use super::shared::Shared;

/// A call, for `resume` and `cancel`. Stale ids are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    room: u32,
    slot: u16,
    sequence: u32,
}

/// Numbers for INFO and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellsStats {
    /// Calls begun.
    pub started: u64,
    /// Entries into the guest by `start` and `resume`.
    pub steps: u64,
    /// Cells dropped because of a trap, a limit or a bad reply.
    pub crashed: u64,
    /// Calls refused because cells were full or the breaker open.
    pub refused: u64,
    /// Calls in flight.
    pub live: u64,
    /// Cells.
    pub cells: u64,
    /// Linear memory that they have taken, bytes.
    pub memory_bytes: u64,
    /// Log lines that were dropped.
    pub logs_dropped: u64,
}

/// The cells of one binding on one worker.
pub struct Cells {
    generation: Arc<Generation>,
    binding: usize,
    rooms: Vec<Option<Box<Room>>>,
    /// No room before this index has a place.
    first_free: usize,
    kept: Rc<RefCell<Kept>>,
    random: u64,
    sequence: u32,
    health: Health,
    /// The call on trial behind an open breaker, by its sequence.
    trial: Option<u32>,
    /// The frame being written; kept for its room.
    frame: Vec<u8>,
    /// A batch that was carried out; kept for its room.
    spare: Batch,
    scratch: Scratch,
    logs: Vec<LogLine>,
    stats: CellsStats,
}

impl Cells {
    /// Cells for binding `binding` of `generation`; none is opened yet. `seed` feeds the guests' `random`.
    pub fn new(generation: Arc<Generation>, binding: usize, seed: u64) -> Self {
        let mut cells = Self {
            kept: Rc::new(RefCell::new(Kept { memory: Shared::default(), metrics: Vec::new() })),
            generation,
            binding,
            rooms: Vec::new(),
            first_free: 0,
            random: seed,
            sequence: 0,
            health: Health::default(),
            trial: None,
            frame: Vec::new(),
            spare: Batch::default(),
            scratch: Scratch::default(),
            logs: Vec::new(),
            stats: CellsStats::default(),
        };
        cells.fit_kept(None);
        cells
    }

    /// The generation that new calls run in.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// The generation that a call runs in, or ran in a moment ago.
    pub fn generation_of(&self, id: CallId) -> Option<&Arc<Generation>> {
        let room = self.rooms.get(id.room as usize)?.as_ref()?;
        Some(&room.generation)
    }

    /// Begins a call. The id is of use only if the step does not end the call.
    pub fn start<'a>(
        &mut self,
        clock: Clock,
        head: &StartHead,
        args: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> Result<(CallId, Step), Fault> {
        let bytes = args.len() * ARGUMENT_BYTES + args.clone().map(<[u8]>::len).sum::<usize>();
        let bytes_max = self.generation.limits.request_bytes;
        if bytes > bytes_max {
            return Err(self.fault(FaultKind::RequestTooLarge(bytes_max), String::new()));
        }
        let alone = match self.health.admit(clock.mono_ms) {
            Admission::Shared => false,
            Admission::Alone => true,
            Admission::Refused => return Err(self.refuse(FaultKind::Down)),
        };
        let room = match self.find_room(clock, alone, bytes) {
            Ok(room) => room,
            Err(fault) => {
                if !fault.is_crash() {
                    self.health.not_started(clock.mono_ms);
                }
                return Err(fault);
            }
        };
        self.sequence = self.sequence.wrapping_add(1);
        let call = Call::new(self.sequence, *head, bytes);
        let seat = self.room(room).and_then(|room| room.seat(call));
        let Some(slot) = seat else {
            return Err(self.refuse(FaultKind::Busy));
        };
        let id =
            CallId { room: u32::try_from(room).unwrap_or(u32::MAX), slot, sequence: self.sequence };
        if self.health.is_on_trial() {
            self.trial = Some(self.sequence);
        }
        self.stats.started += 1;
        let (abi, budget_ms) = (self.generation.abi, self.generation.limits.call_ms);
        write_start(&mut self.frame, abi, head, budget_ms, args);
        self.step(clock, id, Entry::Start).map(|step| (id, step))
    }

    /// Gives results to a call. A stale id is `FaultKind::Aborted`.
    pub fn resume<'a>(
        &mut self,
        clock: Clock,
        id: CallId,
        results: impl ExactSizeIterator<Item = OpResult<'a>>,
    ) -> Result<Step, Fault> {
        let Some(call) = self.call(id) else {
            return Err(self.fault(FaultKind::Aborted, "no such call".to_owned()));
        };
        call.take_results(results.len());
        let bytes_max = self.generation.limits.reply_bytes;
        write_resume(&mut self.frame, results, bytes_max);
        self.step(clock, id, Entry::Resume)
    }

    /// Takes back a batch that is carried out, for its room.
    pub fn give_back(&mut self, batch: Batch) {
        if batch.bytes.capacity() <= SPARE_BYTES_MAX {
            self.spare = batch;
        }
    }

    /// Whether a call has sent commands that change something.
    pub fn has_written(&mut self, id: CallId) -> bool {
        self.call(id).is_some_and(|call| call.has_written())
    }

    /// Ends a call without its answer: its client is gone, or its time is over. A stale id is nothing.
    pub fn cancel(&mut self, clock: Clock, id: CallId) -> Result<(), Fault> {
        if self.call(id).is_none() {
            return Ok(());
        }
        let wrote = self.has_written(id);
        let result = match self.room(id.room as usize) {
            Some(room) => room.cell.cancel(clock, u32::from(id.slot)),
            None => Ok(()),
        };
        self.collect_logs(id);
        self.release(id, clock.mono_ms);
        result.map_err(|error| Fault { wrote, ..self.crash(clock, id, error) })?;
        self.call_ended(id);
        Ok(())
    }

    /// New calls go to `generation` from now on; cells of older ones finish theirs.
    pub fn swap(&mut self, clock: Clock, generation: Arc<Generation>, binding: usize) {
        let old = std::mem::replace(&mut self.generation, generation);
        self.binding = binding;
        self.health.reset();
        self.trial = None;
        for room in self.rooms.iter_mut().flatten() {
            room.retire();
        }
        self.first_free = 0;
        self.fit_kept(Some(&old));
        self.warm_up(clock, WARM_CELLS.min(self.rooms.len()));
    }

    /// Once in a while: drops cells that have been empty for long, keeping one.
    pub fn tidy(&mut self, clock: Clock) {
        let mut spare = 0;
        let idle_max_ms = self.generation.limits.cell_idle_ms;
        self.drop_rooms(CELLS_DROPPED_MAX, |room| {
            if room.live() > 0 {
                return false;
            }
            let idle_ms = clock.mono_ms.saturating_sub(room.idle_since_ms);
            spare += 1;
            room.is_retiring() || (spare > 1 && idle_ms >= idle_max_ms)
        });
    }

    /// Opens so many cells ahead of their first calls, so that those do not pay for it.
    pub fn warm_up(&mut self, clock: Clock, count: usize) {
        for _ in 0..count {
            if self.open_room(clock).is_err() {
                return;
            }
        }
    }

    /// The lines that guests have logged since the last time.
    pub fn take_logs(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.logs)
    }

    /// Whether there are lines to take.
    pub fn has_logs(&self) -> bool {
        !self.logs.is_empty()
    }

    /// What the plugin has counted, in the order of its manifest.
    pub fn metrics(&self) -> Vec<MetricValue> {
        self.kept.borrow().metrics.clone()
    }

    /// Numbers for INFO and metrics.
    pub fn stats(&self) -> CellsStats {
        let rooms = self.rooms.iter().flatten();
        CellsStats {
            live: rooms.clone().map(|room| u64::from(room.live())).sum(),
            cells: rooms.clone().count() as u64,
            memory_bytes: rooms.map(|room| room.cell.memory_bytes() as u64).sum(),
            ..self.stats
        }
    }

    /// How the plugin has fared of late.
    pub fn health(&self) -> &Health {
        &self.health
    }

    fn step(&mut self, clock: Clock, id: CallId, entry: Entry) -> Result<Step, Fault> {
        self.stats.steps += 1;
        let result = self.enter(clock, id, entry);
        self.collect_logs(id);
        match result {
            Ok(Some(step)) => {
                if step.ends_call() {
                    self.release(id, clock.mono_ms);
                    self.call_ended(id);
                }
                Ok(step)
            }
            Ok(None) => {
                let wrote = self.has_written(id);
                self.cancel(clock, id)?;
                Err(Fault { wrote, ..self.fault(FaultKind::StepLimit, String::new()) })
            }
            Err(error) if !error.kind.is_crash() => {
                let wrote = self.has_written(id);
                self.cancel(clock, id)?;
                Err(Fault { wrote, ..self.fault(error.kind, error.detail) })
            }
            Err(error) => Err(self.crash(clock, id, error)),
        }
    }

    /// One entry into the guest; `None` when the call has had all its steps.
    fn enter(
        &mut self,
        clock: Clock,
        id: CallId,
        entry: Entry,
    ) -> Result<Option<Step>, EntryError> {
        let gone = || misplaced(BadFrame::OutOfPlace);
        let room = self.rooms.get_mut(id.room as usize);
        let room = room.and_then(Option::as_mut).ok_or_else(gone)?;
        let (cell, call, generation, binding) = room.cell_and_call(id.slot).ok_or_else(gone)?;
        let granted = generation.granted(binding).ok_or_else(gone)?;
        if call.steps >= generation.limits.steps_per_call {
            return Ok(None);
        }
        call.steps += 1;
        let rules = call.rules(generation);
        let slot = u32::from(id.slot);
        let frame = cell.enter(clock, entry, slot, &self.frame, |bytes| {
            read_out(bytes, &rules, &mut self.spare)
                .map_err(|why| frame_error(why, why.fault(&rules)))
        })?;
        if cell.shared_changed() {
            call.mark_changed();
        }
        call.accept(frame, generation, granted, &mut self.scratch).map(Some)
    }

    /// Drops the cell of `id` and names the calls that were in it.
    fn crash(&mut self, clock: Clock, id: CallId, error: EntryError) -> Fault {
        self.stats.crashed += 1;
        // What an older version breaks says nothing of this one.
        if self.generation_of(id).is_some_and(|of| Arc::ptr_eq(of, &self.generation)) {
            self.health.trapped(clock.mono_ms, &self.generation.limits.health);
        }
        let mut fault = self.fault(error.kind, error.detail);
        fault.wrote = self.has_written(id);
        let place = self.rooms.get_mut(id.room as usize);
        if let Some(room) = place.and_then(Option::take) {
            let siblings = room.calls().filter(|(slot, _)| *slot != id.slot);
            fault.lost = siblings
                .map(|(slot, call)| LostCall {
                    id: CallId { room: id.room, slot, sequence: call.sequence },
                    replayable: call.is_replayable(),
                    wrote: call.has_written(),
                })
                .collect();
        }
        self.first_free = self.first_free.min(id.room as usize);
        fault
    }

    fn refuse(&mut self, kind: FaultKind) -> Fault {
        self.stats.refused += 1;
        self.fault(kind, String::new())
    }

    fn fault(&mut self, kind: FaultKind, detail: String) -> Fault {
        let id = next_random(&mut self.random) >> 32;
        Fault {
            kind,
            plugin: self.generation.name.clone(),
            id: u32::try_from(id).unwrap_or(0),
            wrote: false,
            detail,
            lost: Vec::new(),
        }
    }

    /// A room with a place, opened if need be.
    fn find_room(&mut self, clock: Clock, alone: bool, frame_bytes: usize) -> Result<usize, Fault> {
        let has_place = |room: &Option<Box<Room>>| {
            room.as_ref().is_some_and(|room| room.has_place(alone, frame_bytes))
        };
        // Rooms before the first free one have no place for anybody.
        let is_usual = !alone && frame_bytes <= LARGE_FRAME_BYTES;
        let from = if alone { 0 } else { self.first_free };
        let found = self.rooms.iter().skip(from).position(has_place);
        if let Some(offset) = found {
            if is_usual {
                self.first_free = from + offset;
            }
            return Ok(from + offset);
        }
        self.open_room(clock)
    }

    fn open_room(&mut self, clock: Clock) -> Result<usize, Fault> {
        self.drop_rooms(CELLS_DROPPED_PER_OPENED, |room| room.is_retiring() && room.live() == 0);
        // Not those of an older version, which are over soon.
        let now = &self.generation;
        let rooms = self.rooms.iter().flatten();
        let in_use = rooms.filter(|room| Arc::ptr_eq(&room.generation, now)).count();
        if in_use >= usize::from(self.generation.limits.cells_max) {
            return Err(self.refuse(FaultKind::Busy));
        }
        let random = next_random(&mut self.random);
        let kept = Rc::clone(&self.kept);
        let cell = match Cell::open(&self.generation, self.binding, clock, kept, random) {
            Ok(cell) => cell,
            Err(OpenError::Full) => return Err(self.refuse(FaultKind::Busy)),
            Err(OpenError::Trapped(error)) => {
                self.stats.crashed += 1;
                self.health.trapped(clock.mono_ms, &self.generation.limits.health);
                return Err(self.fault(error.kind, error.detail));
            }
            Err(OpenError::Refused(detail)) => {
                self.health.trapped(clock.mono_ms, &self.generation.limits.health);
                return Err(self.fault(FaultKind::BadReply, detail));
            }
        };
        let room =
            Box::new(Room::new(cell, Arc::clone(&self.generation), self.binding, clock.mono_ms));
        let free = self.rooms.iter().position(Option::is_none);
        let index = free.unwrap_or(self.rooms.len());
        match self.rooms.get_mut(index) {
            Some(place) => *place = Some(room),
            None => self.rooms.push(Some(room)),
        }
        self.first_free = self.first_free.min(index);
        Ok(index)
    }

    fn room(&mut self, index: usize) -> Option<&mut Room> {
        self.rooms.get_mut(index)?.as_deref_mut()
    }

    fn call(&mut self, id: CallId) -> Option<&mut Call> {
        let call = self.room(id.room as usize)?.call(id.slot)?;
        (call.sequence == id.sequence).then_some(call)
    }

    fn release(&mut self, id: CallId, now_ms: u64) {
        if let Some(room) = self.room(id.room as usize) {
            room.leave(id.slot, now_ms);
            self.first_free = self.first_free.min(id.room as usize);
        }
    }

    /// Drops cells that are over, a few at a time: giving back the memory of one may take a tenth of a millisecond.
    fn drop_rooms(&mut self, count_max: usize, mut is_over: impl FnMut(&Room) -> bool) {
        let mut left = count_max;
        for place in &mut self.rooms {
            if left == 0 {
                break;
            }
            if place.as_ref().is_some_and(|room| is_over(room)) {
                *place = None;
                left -= 1;
            }
        }
        while matches!(self.rooms.last(), Some(None)) {
            self.rooms.pop();
        }
        self.first_free = 0;
    }

    /// A call has ended without a crash: if it was on trial, the breaker closes.
    fn call_ended(&mut self, id: CallId) {
        if self.trial == Some(id.sequence) {
            self.trial = None;
            self.health.trial_ended();
        }
    }

    fn collect_logs(&mut self, id: CallId) {
        let place = self.rooms.get_mut(id.room as usize);
        let Some(room) = place.and_then(Option::as_mut) else {
            return;
        };
        if !room.cell.has_logs() {
            return;
        }
        let (lines, dropped) = room.cell.take_logs();
        self.stats.logs_dropped += u64::from(dropped);
        for line in lines {
            if self.logs.len() < LOG_LINES_KEPT {
                self.logs.push(line);
            } else {
                self.stats.logs_dropped += 1;
            }
        }
    }

    /// Fits what is kept to the generation: the bound of shared memory, one value per metric. Metrics that the old one
    /// had under the same name go on.
    fn fit_kept(&mut self, old: Option<&Generation>) {
        let granted = self.generation.granted(self.binding);
        let mut kept = self.kept.borrow_mut();
        kept.memory.set_bytes_max(granted.map_or(0, |granted| granted.shared_bytes));
        let known = old.map_or(&[][..], |old| &old.manifest.metrics);
        let value = |metric: &Metric| {
            let place = known.iter().position(|known| known == metric);
            let kept = place.and_then(|place| kept.metrics.get(place)).copied();
            kept.unwrap_or(MetricValue { kind: metric.kind, sum: 0, count: 0 })
        };
        let fitted = self.generation.manifest.metrics.iter().map(value).collect();
        kept.metrics = fitted;
    }
}

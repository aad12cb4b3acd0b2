//! One instance of a plugin and the entries into it.
//!
//! Knows the canonical ABI: allocate in the guest, copy the frame, call, read the result out. Arms the epoch deadline
//! before each entry and tells a trap apart by cause. What the frames mean, and which calls live here, is `cells`'
//! business. After any `EntryError` the instance is in an unknown state and must be dropped: wasmtime would let it run on.

use std::cell::RefCell;
use std::rc::Rc;

use wasmtime::{Memory, PoolConcurrencyLimitError, Store, Trap, TypedFunc, UpdateDeadline};

use super::fault::FaultKind;
use super::generation::Generation;
use super::host::{Clock, HostState, Kept, LogLine};
use super::limits::STEP_TICKS;

/// The export that offers a buffer for frames; a guest need not have it.
const FRAME_BUFFER: &str = "sluicegate_frame_buffer";

/// Which of the two entries of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Start,
    Resume,
}

/// Why an entry did not come back with bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryError {
    pub(super) kind: FaultKind,
    pub(super) detail: String,
}

/// Why there is no new cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenError {
    /// The engine has no room for another instance.
    Full,
    /// The guest trapped before it took a call.
    Trapped(EntryError),
    /// The guest refuses its config.
    Refused(String),
}

/// One instance.
pub(super) struct Cell {
    store: Store<HostState>,
    memory: Memory,
    realloc: TypedFunc<(u32, u32, u32, u32), u32>,
    start: TypedFunc<(u32, u32, u32), u32>,
    resume: TypedFunc<(u32, u32, u32), u32>,
    cancel: TypedFunc<u32, ()>,
    post_start: Option<TypedFunc<u32, ()>>,
    post_resume: Option<TypedFunc<u32, ()>>,
    frame_buffer: FrameBuffer,
}

/// Where frames that fit are written without asking the guest for a place: `sluicegate_frame_buffer`. Of length 0 when the
/// guest offers none.
#[derive(Debug, Clone, Copy, Default)]
struct FrameBuffer {
    ptr: u32,
    len: u32,
}

impl Cell {
    /// An instance of `generation` with the config of `binding`, ready for calls.
    pub(super) fn open(
        generation: &Generation,
        binding: usize,
        clock: Clock,
        kept: Rc<RefCell<Kept>>,
        random: u64,
    ) -> Result<Self, OpenError> {
        let limits = &generation.limits;
        let state = HostState::new(kept, random, limits.memory_bytes, limits.step_cpu_us);
        let mut store = Store::new(generation.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.epoch_deadline_callback(|mut context| Ok(judge_lateness(context.data_mut())));
        arm(&mut store, clock, 0);
        let instance = match generation.instance_pre().instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) if error.is::<PoolConcurrencyLimitError>() => return Err(OpenError::Full),
            Err(error) => return Err(OpenError::Trapped(entry_error(&store, &error))),
        };
        let missing = |name: &str| {
            OpenError::Trapped(EntryError {
                kind: FaultKind::BadReply,
                detail: format!("no export {name}"),
            })
        };
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| missing("memory"))?;
        let realloc = instance
            .get_typed_func(&mut store, "cabi_realloc")
            .map_err(|_| missing("cabi_realloc"))?;
        store.data_mut().memory = Some(memory);
        store.data_mut().realloc = Some(realloc.clone());
        let prefix = generation.abi.handler();
        let handler = |name: &str| format!("{prefix}{name}");
        let mut entry = |name: &str| {
            instance.get_typed_func(&mut store, &handler(name)).map_err(|_| missing(name))
        };
        let (start, resume) = (entry("start")?, entry("resume")?);
        let cancel = instance
            .get_typed_func(&mut store, &handler("cancel"))
            .map_err(|_| missing("cancel"))?;
        let mut post = |name: &str| {
            let name = format!("cabi_post_{prefix}{name}");
            instance.get_typed_func(&mut store, &name).ok()
        };
        let (post_start, post_resume) = (post("start"), post("resume"));
        let init: TypedFunc<(u32, u32), u32> =
            instance.get_typed_func(&mut store, &handler("init")).map_err(|_| missing("init"))?;
        let frame_buffer = instance.get_typed_func(&mut store, FRAME_BUFFER).ok();
        let mut cell = Self {
            store,
            memory,
            realloc,
            start,
            resume,
            cancel,
            post_start,
            post_resume,
            frame_buffer: FrameBuffer::default(),
        };
        cell.init(&init, clock, generation.config(binding))?;
        if let Some(offer) = frame_buffer {
            cell.find_frame_buffer(&offer, clock).map_err(OpenError::Trapped)?;
        }
        Ok(cell)
    }

    fn find_frame_buffer(
        &mut self,
        offer: &TypedFunc<(), u32>,
        clock: Clock,
    ) -> Result<(), EntryError> {
        arm(&mut self.store, clock, 0);
        let answer = offer.call(&mut self.store, ());
        let answer = answer.map_err(|error| entry_error(&self.store, &error))?;
        let outside = || bad("sluicegate_frame_buffer answered a place outside of memory");
        let (ptr, len) = self.pair(answer).ok_or_else(outside)?;
        self.bytes(ptr, len).ok_or_else(outside)?;
        self.frame_buffer = FrameBuffer { ptr, len };
        Ok(())
    }

    fn init(
        &mut self,
        init: &TypedFunc<(u32, u32), u32>,
        clock: Clock,
        config: &[u8],
    ) -> Result<(), OpenError> {
        let answer = self
            .copy_in(clock, config)
            .and_then(|(ptr, len)| {
                init.call(&mut self.store, (ptr, len))
                    .map_err(|error| entry_error(&self.store, &error))
            })
            .map_err(OpenError::Trapped)?;
        let failed = self.bytes(answer, 1).and_then(|bytes| bytes.first());
        match failed {
            Some(0) => Ok(()),
            Some(1) => {
                let words = self
                    .pair(answer.wrapping_add(4))
                    .and_then(|(ptr, len)| self.bytes(ptr, len.min(4096)))
                    .unwrap_or_default();
                Err(OpenError::Refused(String::from_utf8_lossy(words).into_owned()))
            }
            _ => Err(OpenError::Trapped(bad("init answered no result"))),
        }
    }

    /// Enters call `call` with `frame` and hands the out-frame, still in the guest's memory, to `read`.
    pub(super) fn enter<T>(
        &mut self,
        clock: Clock,
        entry: Entry,
        call: u32,
        frame: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, EntryError>,
    ) -> Result<T, EntryError> {
        let (ptr, len) = self.copy_in(clock, frame)?;
        let (function, post) = match entry {
            Entry::Start => (&self.start, &self.post_start),
            Entry::Resume => (&self.resume, &self.post_resume),
        };
        let answer = function
            .call(&mut self.store, (call, ptr, len))
            .map_err(|error| entry_error(&self.store, &error))?;
        let memory = self.memory.data(&self.store);
        let out = pair_in(memory, answer).and_then(|(ptr, len)| bytes_in(memory, ptr, len));
        let value = read(out.ok_or_else(|| bad("the result lies outside of memory"))?);
        if let Some(post) = post {
            post.call(&mut self.store, answer).map_err(|error| entry_error(&self.store, &error))?;
        }
        value
    }

    /// Tells the guest that call `call` has ended without its answer.
    pub(super) fn cancel(&mut self, clock: Clock, call: u32) -> Result<(), EntryError> {
        arm(&mut self.store, clock, 0);
        self.cancel.call(&mut self.store, call).map_err(|error| entry_error(&self.store, &error))
    }

    /// Bytes of linear memory that the guest has taken.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// Whether the last entry changed shared memory.
    pub(super) fn shared_changed(&self) -> bool {
        self.store.data().shared_changed
    }

    /// The lines logged since the last time, and how many more there were.
    pub(super) fn take_logs(&mut self) -> (Vec<LogLine>, u32) {
        let state = self.store.data_mut();
        let dropped = std::mem::take(&mut state.logs_dropped);
        (std::mem::take(&mut state.logs), dropped)
    }

    /// Whether there are lines to take.
    pub(super) fn has_logs(&self) -> bool {
        !self.store.data().logs.is_empty()
    }

    fn copy_in(&mut self, clock: Clock, bytes: &[u8]) -> Result<(u32, u32), EntryError> {
        arm(&mut self.store, clock, bytes.len());
        let len = u32::try_from(bytes.len()).map_err(|_| bad("a frame beyond 4 GiB"))?;
        let ptr = if len <= self.frame_buffer.len {
            self.frame_buffer.ptr
        } else {
            self.realloc
                .call(&mut self.store, (0, 0, 1, len))
                .map_err(|error| entry_error(&self.store, &error))?
        };
        let start = ptr as usize;
        self.memory
            .data_mut(&mut self.store)
            .get_mut(start..start.saturating_add(bytes.len()))
            .ok_or_else(|| bad("cabi_realloc answered a place outside of memory"))?
            .copy_from_slice(bytes);
        Ok((ptr, len))
    }

    fn bytes(&self, ptr: u32, len: u32) -> Option<&[u8]> {
        bytes_in(self.memory.data(&self.store), ptr, len)
    }

    fn pair(&self, at: u32) -> Option<(u32, u32)> {
        pair_in(self.memory.data(&self.store), at)
    }
}

fn bytes_in(memory: &[u8], ptr: u32, len: u32) -> Option<&[u8]> {
    let start = ptr as usize;
    memory.get(start..start.saturating_add(len as usize))
}

/// `{u32 ptr, u32 len}` at `at`.
fn pair_in(memory: &[u8], at: u32) -> Option<(u32, u32)> {
    let (ptr, rest) = bytes_in(memory, at, 8)?.split_first_chunk::<4>()?;
    let len = rest.first_chunk::<4>()?;
    Some((u32::from_le_bytes(*ptr), u32::from_le_bytes(*len)))
}

/// Sets the time and the deadline of the entry that follows, for a frame of so many bytes.
fn arm(store: &mut Store<HostState>, clock: Clock, frame_bytes: usize) {
    store.data_mut().begin_step(clock, frame_bytes);
    store.set_epoch_deadline(STEP_TICKS);
}

/// An epoch deadline has passed. Epochs are wall time and the thread may just have been descheduled, so only CPU time
/// that the thread has used since the first expiry counts against the guest.
fn judge_lateness(state: &mut HostState) -> UpdateDeadline {
    let cpu_us = thread_cpu_us();
    match state.late_since_cpu_us {
        None => {
            state.late_since_cpu_us = Some(cpu_us);
            UpdateDeadline::Continue(1)
        }
        Some(since) if cpu_us.saturating_sub(since) >= state.cpu_allowed_us() => {
            UpdateDeadline::Interrupt
        }
        Some(_) => UpdateDeadline::Continue(1),
    }
}

fn thread_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000_000 + nanos / 1_000
}

pub(super) fn bad(detail: &str) -> EntryError {
    EntryError { kind: FaultKind::BadReply, detail: detail.to_owned() }
}

fn entry_error(store: &Store<HostState>, error: &wasmtime::Error) -> EntryError {
    let kind = match error.downcast_ref::<Trap>() {
        // A guest that gets no memory aborts: the trap is only how it dies.
        _ if store.data().limiter.memory_refused => FaultKind::MemoryLimit,
        Some(Trap::Interrupt) => FaultKind::CpuLimit,
        Some(trap) => FaultKind::Trap(trap_name(*trap)),
        None => FaultKind::Trap("host"),
    };
    let mut detail = error.root_cause().to_string();
    // A panic logs its message before it traps: it belongs to this fault.
    if let Some(line) = store.data().logs.last().filter(|line| line.level == 4) {
        detail.push_str(": ");
        // On one line, so that the log can be searched for the id.
        detail.push_str(&line.text.replace(['\r', '\n'], " "));
    }
    EntryError { kind, detail }
}

fn trap_name(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "stack overflow",
        Trap::MemoryOutOfBounds => "out of bounds",
        Trap::TableOutOfBounds => "table out of bounds",
        Trap::IndirectCallToNull => "null call",
        Trap::BadSignature => "bad signature",
        Trap::IntegerOverflow => "integer overflow",
        Trap::IntegerDivisionByZero => "division by zero",
        Trap::BadConversionToInteger => "bad conversion",
        Trap::UnreachableCodeReached => "unreachable",
        _ => "other",
    }
}

//! What a guest may call at once: log, clocks, random, metrics, shared memory.
//!
//! Owns the data of one instance's store and the definitions of the imports, the same for every version of the contract. Nothing here
//! blocks, reads a clock or writes a log: time was set before the step, lines are kept for the host to take. Every
//! pointer of a guest is checked; a bad one traps that guest.

use std::cell::RefCell;
use std::rc::Rc;

use wasmtime::{Caller, Linker, Memory, ResourceLimiter, TypedFunc};

use super::abi::Abi;
use super::limits::{LOG_LINE_BYTES, LOG_LINES_MAX, STEP_CPU_US_PER_MIB};
use super::manifest::MetricKind;
use super::shared::Shared;

/// The time of a step, given by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    /// Wall clock, milliseconds since 1970.
    pub now_ms: u64,
    /// Monotonic, milliseconds.
    pub mono_ms: u64,
}

/// A line that a guest logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// 0 trace, 1 debug, 2 info, 3 warn, 4 error.
    pub level: u8,
    /// The text, cut to a bound.
    pub text: String,
}

/// What a metric has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricValue {
    /// How it is read.
    pub kind: MetricKind,
    /// Counter and histogram: the sum of all samples; gauge: the last one.
    pub sum: i64,
    /// Samples.
    pub count: u64,
}

/// What a binding keeps on one worker over its instances.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) memory: Shared,
    pub(super) metrics: Vec<MetricValue>,
}

impl Kept {
    fn sample(&mut self, id: u32, value: i64) {
        let Some(metric) = self.metrics.get_mut(id as usize) else {
            return;
        };
        metric.count += 1;
        metric.sum = match metric.kind {
            MetricKind::Gauge => value,
            MetricKind::Counter | MetricKind::Histogram => metric.sum.wrapping_add(value),
        };
    }
}

/// The data of one instance.
pub(super) struct HostState {
    pub(super) clock: Clock,
    pub(super) kept: Rc<RefCell<Kept>>,
    /// State of the generator behind `random`.
    pub(super) random: u64,
    pub(super) logs: Vec<LogLine>,
    pub(super) logs_dropped: u32,
    /// Set when this step changed shared memory.
    pub(super) shared_changed: bool,
    pub(super) limiter: Limiter,
    /// CPU time of the thread when this step was first seen to be late, microseconds.
    pub(super) late_since_cpu_us: Option<u64>,
    step_cpu_us: u64,
    /// Bytes of the frame of this step.
    frame_bytes: usize,
    /// The guest's allocator, for results that are lists.
    pub(super) realloc: Option<TypedFunc<(u32, u32, u32, u32), u32>>,
    pub(super) memory: Option<Memory>,
}

impl HostState {
    pub(super) fn new(
        kept: Rc<RefCell<Kept>>,
        random: u64,
        memory_max: usize,
        step_cpu_us: u64,
    ) -> Self {
        Self {
            clock: Clock::default(),
            kept,
            random,
            logs: Vec::new(),
            logs_dropped: 0,
            shared_changed: false,
            limiter: Limiter { memory_max, memory_refused: false },
            late_since_cpu_us: None,
            step_cpu_us,
            frame_bytes: 0,
            realloc: None,
            memory: None,
        }
    }

    /// Before each entry into the guest.
    pub(super) fn begin_step(&mut self, clock: Clock, frame_bytes: usize) {
        self.clock = clock;
        self.frame_bytes = frame_bytes;
        self.late_since_cpu_us = None;
        self.limiter.memory_refused = false;
        self.shared_changed = false;
    }

    /// CPU time that this step may take once it is late, microseconds.
    pub(super) fn cpu_allowed_us(&self) -> u64 {
        let for_frame = (self.frame_bytes as u64).saturating_mul(STEP_CPU_US_PER_MIB) >> 20;
        self.step_cpu_us.saturating_add(for_frame)
    }

    fn log(&mut self, level: u32, text: &[u8]) {
        if self.logs.len() >= LOG_LINES_MAX {
            self.logs_dropped = self.logs_dropped.saturating_add(1);
            if level < 4 {
                return;
            }
            // What a panic says comes last, and tells why the call failed.
            self.logs.pop();
        }
        let text = text.get(..LOG_LINE_BYTES).unwrap_or(text);
        self.logs.push(LogLine {
            level: u8::try_from(level.min(4)).unwrap_or(4),
            text: String::from_utf8_lossy(text).into_owned(),
        });
    }
}

/// Bounds what a guest may grow.
pub(super) struct Limiter {
    memory_max: usize,
    /// Set when the guest was refused memory: a trap that follows is that.
    pub(super) memory_refused: bool,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_max;
        self.memory_refused |= !allowed;
        Ok(allowed)
    }

    /// The engine's pool bounds tables.
    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// The next number of the generator `splitmix64`.
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Defines the imports of a version of the contract.
pub(super) fn add_imports(linker: &mut Linker<HostState>, abi: Abi) -> wasmtime::Result<()> {
    let module = abi.host();
    linker.func_wrap(
        module,
        "log",
        |mut caller: Caller<'_, HostState>, level: u32, ptr: u32, len: u32| {
            // Only what may be kept is copied: a guest cannot make the host hold its memory.
            let kept = len.min(u32::try_from(LOG_LINE_BYTES).unwrap_or(u32::MAX));
            let text = read(&caller, ptr, kept)?;
            caller.data_mut().log(level, &text);
            Ok(())
        },
    )?;
    linker
        .func_wrap(module, "now-ms", |caller: Caller<'_, HostState>| caller.data().clock.now_ms)?;
    linker.func_wrap(module, "mono-ms", |caller: Caller<'_, HostState>| {
        caller.data().clock.mono_ms
    })?;
    linker.func_wrap(module, "random", |mut caller: Caller<'_, HostState>| {
        next_random(&mut caller.data_mut().random)
    })?;
    linker.func_wrap(
        module,
        "metric",
        |mut caller: Caller<'_, HostState>, id: u32, _kind: u32, value: i64| {
            caller.data_mut().kept.borrow_mut().sample(id, value);
        },
    )?;
    linker.func_wrap(module, "shared-get", shared_get)?;
    linker.func_wrap(
        module,
        "shared-set",
        |mut caller: Caller<'_, HostState>,
         key: u32,
         key_len: u32,
         value: u32,
         value_len: u32,
         ttl_ms: u32|
         -> wasmtime::Result<u32> {
            let key = read(&caller, key, key_len)?;
            let value = read(&caller, value, value_len)?;
            let state = caller.data_mut();
            state.shared_changed = true;
            let now_ms = state.clock.mono_ms;
            let mut kept = state.kept.borrow_mut();
            Ok(u32::from(kept.memory.set(now_ms, &key, &value, ttl_ms)))
        },
    )?;
    Ok(())
}

fn shared_get(
    mut caller: Caller<'_, HostState>,
    ptr: u32,
    len: u32,
    answer: u32,
) -> wasmtime::Result<()> {
    let key = read(&caller, ptr, len)?;
    let state = caller.data();
    let kept = Rc::clone(&state.kept);
    let now_ms = state.clock.mono_ms;
    let realloc = state.realloc.clone();
    // Copied, because the guest's allocator runs next and might call `shared-set`.
    let value = kept.borrow().memory.get(now_ms, &key).map(<[u8]>::to_vec);
    let Some(value) = value else {
        return write(&mut caller, answer, &[0]);
    };
    let realloc = realloc.ok_or_else(|| wasmtime::Error::msg("shared-get before init"))?;
    let value_len = u32::try_from(value.len())?;
    let value_ptr = realloc.call(&mut caller, (0, 0, 1, value_len))?;
    write(&mut caller, value_ptr, &value)?;
    let mut option = [0_u8; 12];
    let fields = [1, value_ptr, value_len].map(u32::to_le_bytes);
    for (slot, byte) in option.iter_mut().zip(fields.iter().flatten()) {
        *slot = *byte;
    }
    write(&mut caller, answer, &option)
}

/// The guest's memory, known once the instance has been made.
fn memory_of(caller: &Caller<'_, HostState>) -> wasmtime::Result<Memory> {
    caller
        .data()
        .memory
        .ok_or_else(|| wasmtime::Error::msg("a host function was called before init"))
}

fn read(caller: &Caller<'_, HostState>, ptr: u32, len: u32) -> wasmtime::Result<Vec<u8>> {
    let memory = memory_of(caller)?;
    let start = ptr as usize;
    let bytes = memory
        .data(caller)
        .get(start..start.saturating_add(len as usize))
        .ok_or(wasmtime::Trap::MemoryOutOfBounds)?;
    Ok(bytes.to_vec())
}

fn write(caller: &mut Caller<'_, HostState>, ptr: u32, bytes: &[u8]) -> wasmtime::Result<()> {
    let memory = memory_of(caller)?;
    let start = ptr as usize;
    memory
        .data_mut(caller)
        .get_mut(start..start.saturating_add(bytes.len()))
        .ok_or(wasmtime::Trap::MemoryOutOfBounds)?
        .copy_from_slice(bytes);
    Ok(())
}

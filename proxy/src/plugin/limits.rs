//! The bounds of one plugin: what an operator may set in `plugins.<name>.limits`, and what is fixed.
//!
//! Plain numbers, no checks: `config` fills them in, `cell` and `frame` enforce them. The defaults stand in
//! `crate::limits`. What no operator may change, because a change would break a promise of the contract, is a constant
//! here.

use crate::limits;

/// The bounds of one plugin. The defaults come from measurements on prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginLimits {
    /// CPU time of the worker's thread that one step may take after its first two epoch ticks, microseconds.
    pub step_cpu_us: u64,
    /// Wall time of one call, milliseconds. The host's timer ends a call that is older: `Cells::cancel`.
    pub call_ms: u64,
    /// Linear memory of one cell, bytes; at most `MEMORY_SLOT_BYTES`.
    pub memory_bytes: usize,
    /// Calls that share one cell.
    pub calls_per_cell: u16,
    /// Cells per worker and binding.
    pub cells_max: u16,
    /// Operations in one batch.
    pub ops_per_batch: u16,
    /// Steps of one call.
    pub steps_per_call: u32,
    /// Bytes of the arguments of one command that the plugin is given; one batch may have `BATCH_EXTRA_BYTES` more.
    pub request_bytes: usize,
    /// Bytes of one reply, and of all results that one `resume` is given.
    pub reply_bytes: usize,
    /// A cell is replaced after this many calls, so that a slow leak ends.
    pub cell_calls: u64,
    /// An empty cell is dropped after this long, milliseconds; one per binding stays.
    pub cell_idle_ms: u64,
    /// After a swap calls of the old generation may go on for this long, milliseconds.
    pub swap_grace_ms: u64,
    /// What follows a trap.
    pub health: HealthLimits,
}

impl PluginLimits {
    /// All of them by name, for those who ask a gateway.
    pub fn named(&self) -> Vec<(&'static str, i64)> {
        let Self { step_cpu_us, call_ms, memory_bytes, calls_per_cell, cells_max, .. } = *self;
        let Self { ops_per_batch, steps_per_call, request_bytes, reply_bytes, .. } = *self;
        let Self { cell_calls, cell_idle_ms, swap_grace_ms, health, .. } = *self;
        let HealthLimits {
            quarantine_ms,
            breaker_traps,
            breaker_within_ms,
            breaker_open_ms,
            breaker_open_max_ms,
        } = health;
        let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let size = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        vec![
            ("cpu_per_step_us", wide(step_cpu_us)),
            ("call_timeout_ms", wide(call_ms)),
            ("memory_bytes", size(memory_bytes)),
            ("calls_per_cell", i64::from(calls_per_cell)),
            ("cells", i64::from(cells_max)),
            ("operations", i64::from(ops_per_batch)),
            ("steps", i64::from(steps_per_call)),
            ("request_bytes", size(request_bytes)),
            ("reply_bytes", size(reply_bytes)),
            ("cell_calls", wide(cell_calls)),
            ("cell_idle_ms", wide(cell_idle_ms)),
            ("swap_grace_ms", wide(swap_grace_ms)),
            ("quarantine_ms", wide(quarantine_ms)),
            ("breaker_traps", size(breaker_traps)),
            ("breaker_within_ms", wide(breaker_within_ms)),
            ("breaker_open_ms", wide(breaker_open_ms)),
            ("breaker_open_max_ms", wide(breaker_open_max_ms)),
        ]
    }
}

/// What follows when a plugin traps, on the worker and in the binding where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthLimits {
    /// It runs one call per cell for this long, milliseconds.
    pub quarantine_ms: u64,
    /// This many traps within `breaker_within_ms` open the breaker.
    pub breaker_traps: usize,
    /// See `breaker_traps`; milliseconds.
    pub breaker_within_ms: u64,
    /// First time that an open breaker refuses calls, milliseconds; it doubles up to the maximum.
    pub breaker_open_ms: u64,
    /// Longest time that an open breaker refuses calls, milliseconds.
    pub breaker_open_max_ms: u64,
}

impl Default for HealthLimits {
    fn default() -> Self {
        let millis =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            quarantine_ms: millis(limits::PLUGIN_QUARANTINE),
            breaker_traps: limits::PLUGIN_BREAKER_TRAPS,
            breaker_within_ms: millis(limits::PLUGIN_BREAKER_WITHIN),
            breaker_open_ms: millis(limits::PLUGIN_BREAKER_OPEN),
            breaker_open_max_ms: millis(limits::PLUGIN_BREAKER_OPEN_MAX),
        }
    }
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            step_cpu_us: u64::try_from(limits::PLUGIN_CPU_PER_STEP.as_micros()).unwrap_or(u64::MAX),
            call_ms: u64::try_from(limits::PLUGIN_CALL_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: limits::PLUGIN_MEMORY_BYTES,
            calls_per_cell: u16::try_from(limits::PLUGIN_CALLS_PER_CELL).unwrap_or(u16::MAX),
            cells_max: u16::try_from(limits::PLUGIN_CELLS).unwrap_or(u16::MAX),
            ops_per_batch: u16::try_from(limits::PLUGIN_OPERATIONS).unwrap_or(u16::MAX),
            steps_per_call: u32::try_from(limits::PLUGIN_STEPS).unwrap_or(u32::MAX),
            request_bytes: limits::PLUGIN_REQUEST_BYTES,
            reply_bytes: limits::PLUGIN_REPLY_BYTES,
            cell_calls: limits::PLUGIN_CELL_CALLS as u64,
            cell_idle_ms: u64::try_from(limits::PLUGIN_CELL_IDLE.as_millis()).unwrap_or(u64::MAX),
            swap_grace_ms: u64::try_from(limits::PLUGIN_SWAP_GRACE.as_millis()).unwrap_or(u64::MAX),
            health: HealthLimits::default(),
        }
    }
}

/// Memory of a cell for each byte of the frames that its waiting calls hold: a guest makes some copies, and needs room
/// for what comes back. One call alone may take more.
pub const CELL_MEMORY_PER_FRAME_BYTE: usize = 8;
/// A call's share of its cell beside the bytes of its arguments: for each argument, bytes.
pub const ARGUMENT_BYTES: usize = 16;
/// A frame above this is placed with care, bytes: any place will do for a smaller one.
pub const LARGE_FRAME_BYTES: usize = 16 * 1024;
/// A batch of more bytes than this is not kept for its room.
pub const SPARE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a batch beyond those of the command that it may hold whole.
pub const BATCH_EXTRA_BYTES: usize = 128 * 1024;
/// A result of at most this many bytes is always given, and counts for nothing.
pub const SMALL_RESULT_BYTES: usize = 1024;
/// CPU time that a step may take more for each MiB of its frame, microseconds. A guest holds three or four copies of a
/// large value, and the kernel's work on fresh memory alone was measured at 4 ms per MiB.
pub const STEP_CPU_US_PER_MIB: u64 = 5_000;
/// Room reserved for the memory of each instance, bytes: no plugin's `memory_bytes` may be more.
pub const MEMORY_SLOT_BYTES: usize = limits::PLUGIN_MEMORY_BYTES_MAX;
/// Largest plugin file, bytes.
pub const MODULE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest manifest, bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// Handlers of one plugin.
pub const HANDLERS_MAX: usize = 1_024;
/// From one call of a timer to the next, milliseconds.
pub const TIMER_EVERY_MS: std::ops::RangeInclusive<u64> = 10..=86_400_000;
/// Commands in the transactions of one batch.
pub const TRANSACTION_COMMANDS_MAX: u16 = 1_024;
/// Deepest nesting of a plugin's reply.
pub const REPLY_DEPTH_MAX: usize = 32;
/// Compiled plugins kept on disk.
pub const COMPILED_FILES_MAX: usize = 256;
/// Names of commands that a plugin may ask for.
pub const GRANTED_COMMANDS_MAX: usize = 512;
/// Longest key of WAIT-KEY and WATCH-SESSION, and arguments of a SPAWN, bytes: the host keeps them.
pub const KEPT_BYTES_MAX: u32 = 64 * 1024;
/// Epoch ticks (milliseconds) before a step's CPU time is looked at.
pub const STEP_TICKS: u64 = 2;
/// Cells that are opened ahead at a swap, for those that are at work.
pub const WARM_CELLS: usize = 4;
/// Cells that are given back at once, about each second.
pub const CELLS_DROPPED_MAX: usize = 32;
/// Cells of an old generation that are given back for each that is opened.
pub const CELLS_DROPPED_PER_OPENED: usize = 2;
/// Log lines kept per cell and step.
pub const LOG_LINES_MAX: usize = 16;
/// Log lines kept per binding until the host takes them.
pub const LOG_LINES_KEPT: usize = 64;
/// Longest log line of a guest, bytes.
pub const LOG_LINE_BYTES: usize = 512;

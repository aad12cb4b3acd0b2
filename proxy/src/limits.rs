//! Every bound of the gateway on one page: default, unit, reason.
//!
//! Nothing in the gateway grows without a bound named here. Values that an operator may change are defaults that
//! `config` copies into its checked form; the others are fixed because a change would break a promise.
//! No code lives here, and nothing is imported.

/// Longest bulk string in a request, bytes. Redis's own `proto-max-bulk-len`.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Most arguments in one request, as in Redis (`1024 * 1024`).
pub const ARGUMENTS_MAX: usize = 1024 * 1024;
/// Longest inline request line, bytes. Redis's `PROTO_INLINE_MAX_SIZE`.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Before AUTH: most arguments of one request, as in Redis.
pub const UNAUTHENTICATED_ARGUMENTS_MAX: usize = 10;
/// Before AUTH: longest bulk string, bytes, as in Redis.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;
/// Most elements that one aggregate of a reply may announce; a larger number is no honest reply.
pub const REPLY_ELEMENTS_MAX: u64 = 1 << 32;
/// Largest buffer that a worker keeps as spare memory, bytes.
pub const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Most spare buffers that a worker keeps.
pub const SPARE_BUFFERS_MAX: usize = 1024;
/// Entries of an emptied queue whose memory is kept.
pub const QUEUE_KEPT_ENTRIES: usize = 4096;
/// Requests of one session that are looked at in one turn of its worker.
pub const TURN_REQUESTS_MAX: usize = 128;
/// Bytes that are read from one socket in one turn.
pub const TURN_BYTES_MAX: usize = 64 * 1024;
/// A request or reply of this many bytes is shared instead of copied.
pub const SHARED_PIECE_BYTES_MIN: usize = 32 * 1024;
/// Requests of one session without a reply; more are not read until some are answered.
pub const SESSION_PENDING_MAX: usize = 16 * 1024;
/// How long a client whose unsent output is above its bound may take nothing, milliseconds.
pub const CLIENT_STALL_MS: u64 = 10_000;
/// A shared lane without requests is closed after this time, milliseconds.
pub const LANE_IDLE_MS: u64 = 60_000;
/// First wait before a shard is tried again, milliseconds; doubles up to `RECONNECT_WAIT_MS_MAX`, with jitter.
pub const RECONNECT_WAIT_MS: u64 = 50;
/// Longest wait before a shard is tried again, milliseconds.
pub const RECONNECT_WAIT_MS_MAX: u64 = 2_000;
/// How many turns of the event loop a session's output may wait for the rest of its pipeline.
pub const FLUSH_HOLD_TURNS: u32 = 1;
/// Most commands of one MULTI.
pub const TRANSACTION_COMMANDS_MAX: usize = 10_000;
/// Most bytes queued in one MULTI.
pub const TRANSACTION_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most replies awaited on one lane; a request beyond it is refused, not sent.
pub const LANE_QUEUE_MAX: usize = 256 * 1024;
/// Output above this is written at once, whether its pipeline is answered or not, bytes.
pub const FLUSH_HOLD_BYTES: usize = 16 * 1024;
/// Bytes that are read from one shard in one turn.
pub const LANE_TURN_BYTES_MAX: usize = 256 * 1024;

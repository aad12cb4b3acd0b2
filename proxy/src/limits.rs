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

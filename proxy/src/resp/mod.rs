//! RESP on the hot path: finding where a request or a reply ends, without building values.
//!
//! `request` finds requests (arrays of bulk strings, and inline lines) and the spans of their arguments;
//! `reply` finds the end of one RESP2 or RESP3 reply; `write` puts replies and requests into a buffer.
//! Bytes are forwarded as they came. Where the content of a reply matters (joins, EXEC) `value` reads as much of it as
//! is needed. The `redis-protocol` crate is the oracle that the scanners are tested against.
//!
//! No socket, clock or log; nothing here panics on any input.

pub mod args;
pub mod inline;
pub mod reply;
pub mod request;
#[cfg(test)]
pub(crate) mod sample;
pub mod value;
pub mod write;

//! The library's pure parsers, compiled alone and with coverage for the fuzzer.
//!
//! The source files are the library's own, named by path: no copy, and no item of the library is public for the
//! fuzzer's sake. Depending on the library instead would compile wasmtime with the fuzzer's instrumentation, minutes
//! for each fresh checkout, and let libFuzzer look at a million counters of code that no input reaches.
//! What an input must show stands in `bodies`; the library's tests run the corpora through the same bodies.

#![allow(dead_code, reason = "the library's files hold more than the parsers need")]

#[path = "../../src/limits.rs"]
mod limits;
mod plugin;
#[path = "../../src/resp/mod.rs"]
mod resp;

/// A frame from a guest: read, walked, checked against grants, written again.
pub fn frame(input: &[u8]) {
    plugin::bodies::frame::check(input);
}

/// A reply of a shard or of a plugin: scanned, validated, taken apart, written again.
pub fn reply(input: &[u8]) {
    plugin::bodies::reply::check(input);
}

/// A request of a client: scanned whole and in pieces, written again.
pub fn request(input: &[u8]) {
    plugin::bodies::request::check(input);
}

//! Plugins: WebAssembly guests that answer or change commands, behind the contract of `patterns-wasm/sdk/wit/plugin.wit`.
//!
//! ```text
//! file --engine--> Generation --cells--> start/resume/cancel --cell--> guest
//!                                            |
//! bindings: which command goes to which      v
//! plugin?                                   Step: a reply, PASS, or a Batch of granted operations
//! ```
//!
//! In come a command or the results of operations, out comes a `Step`; the caller carries it out. Everything here but
//! `engine` (compiling, and the one ticker thread) is plain calls on one thread without sockets, clocks or locks. Nothing a
//! guest does may panic, block longer than its CPU limit, or reach another guest. No module here may know of backends.

pub mod abi;
pub mod batch;
pub mod beside;
pub mod bindings;
mod cell;
pub mod cells;
#[cfg(test)]
mod corpus_tests;
pub mod engine;
pub mod fault;
pub mod frame;
pub mod generation;
pub mod given;
pub mod glob;
pub mod grants;
#[cfg(test)]
mod guest_tests;
pub mod health;
pub mod host;
pub mod limits;
#[cfg(test)]
mod load_tests;
pub mod manifest;
pub mod precompiled;
mod reply_check;
pub mod room;
pub mod shared;
#[cfg(test)]
mod test_support;

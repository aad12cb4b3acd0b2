//! Write plugins for the sluicegate gateway as ordinary `async fn`.
//!
//! ```
//! use sluicegate_plugin::prelude::*;
//!
//! /// `VISIT key`: counts, and answers the count and how long it lives on.
//! async fn visit(cx: Cx, args: Args) -> Result<(i64, i64)> {
//!     cx.pipeline((incr_by(args.key(), 1), pttl(args.key()))).await
//! }
//!
//! sluicegate_plugin::plugin! {
//!     name: "visits",
//!     version: "1.0.0",
//!     commands: ["VISIT" => visit { arity: 2, keys: (1, 1, 1), flags: ["write"] }],
//!     capabilities: { commands: ["INCRBY", "PTTL"] },
//! }
//!
//! # fn main() {
//! // In a test: the same code natively, over a fake Redis and a virtual clock.
//! let mut world = sluicegate_plugin::harness::world::World::new(&PLUGIN, "", 1, 1);
//! let answer = world.ask(0, 1, &["VISIT", "page"]);
//! assert_eq!(answer, Some(Reply::Array(vec![Reply::Int(1), Reply::Int(-1)])));
//! # }
//! ```
//!
//! `wit/plugin.wit` is the contract; this crate hides its frames. A call is a future that is polled by `start` and
//! `resume` and dropped by `cancel`. Natively (`cargo test`) the same code runs under `harness`, with scripted
//! replies and a virtual clock. One file, `exports`, holds all unsafe code: the exported functions and the imports.
#![deny(missing_docs)]

pub mod args;
pub mod command;
pub mod commands;
pub mod config;
pub mod convert;
pub mod cx;
mod deserialize;
pub mod error;
#[cfg(target_arch = "wasm32")]
mod exports;
mod frame;
#[cfg(not(target_arch = "wasm32"))]
pub mod harness;
mod host;
mod json;
mod operations;
pub mod plugin;
pub mod prelude;
pub mod reply;
pub mod request;
mod run;
pub mod transaction;
pub mod wait;
pub mod window;

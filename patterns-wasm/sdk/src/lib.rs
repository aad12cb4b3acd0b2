//! Write plugins for the sluicegate gateway as ordinary `async fn`.
//!
//! ```text
//! use sluicegate_plugin::{args::Args, command::cmd, cx::Cx, error::Result, reply::Reply};
//!
//! async fn get(cx: Cx, args: Args) -> Result<Reply> {
//!     let [value, left] = cx.pipeline([cmd("GET").arg(args.key()), cmd("PTTL").arg(args.key())]).await;
//!     left?;
//!     value
//! }
//!
//! sluicegate_plugin::plugin! { name: "example", version: "1.0.0", hooks: ["GET" => get], .. }
//! ```
//!
//! `wit/plugin.wit` is the contract; this crate hides its frames. A call is a future that is polled by `start` and
//! `resume` and dropped by `cancel`. Natively (`cargo test`) the same code runs under `harness`, with scripted
//! replies and a virtual clock. One file, `exports`, holds all unsafe code: the exported functions and the imports.

pub mod args;
pub mod command;
pub mod config;
pub mod cx;
pub mod error;
#[cfg(target_arch = "wasm32")]
mod exports;
mod frame;
#[cfg(not(target_arch = "wasm32"))]
pub mod harness;
mod host;
pub mod json;
mod operations;
pub mod plugin;
pub mod reply;
mod run;
pub mod wait;

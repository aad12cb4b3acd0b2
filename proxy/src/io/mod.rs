//! Everything that touches a socket or a clock: the outer layer around `core`.
//!
//! ```text
//!   listen (one thread) ──socket──► worker (N threads, each a current-thread runtime)
//!                                     ├─ client   one task per client connection
//!                                     ├─ backend  one task per connection to a shard
//!                                     └─ timers   one task
//!   plugins (one thread) loads and watches plugin files, and tells the workers
//! ```
//! Each task is one `poll_fn`: it borrows the worker's core for one turn, moves bytes, and leaves. Nothing is
//! awaited while the core is borrowed. Tasks wake each other through the lists in `core::Wake`, on their own
//! thread, so a request crosses no lock and no channel.

pub mod alone;
pub mod backend;
pub mod board;
pub mod client;
mod command_facts;
pub mod listen;
pub mod plugins;
mod reload;
pub mod turn;
pub mod worker;
pub mod write;

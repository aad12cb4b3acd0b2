//! sluicegate: one Redis endpoint over many shards, with patterns as WebAssembly plugins.
//!
//! ```text
//! client -- listen -- session -- resp -- command --+-- route --- dispatch --- backend --- Redis/Valkey
//!              ^         |                         |     |           |            |
//!              |         |                      plugin   |         join           |
//!              +-flush---+---- pending (in order) <------+-----------+------------+
//! ```
//!
//! ARCHITECTURE.md at the top of the repository says what each module owns and which modules it may import;
//! the tidy test reads that list.

pub mod author;
pub mod buffer;
pub mod cli;
pub mod command;
pub mod config;
pub mod core;
pub mod demo;
pub mod gather;
pub mod hashing;
pub mod io;
pub mod join;
pub mod limits;
pub mod local;
pub mod pending;
pub mod plugin;
pub mod resp;
pub mod route;
pub mod server;
pub mod session;
pub mod topology;

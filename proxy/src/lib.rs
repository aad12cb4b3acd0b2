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
//! the tidy test reads that list. Modules are listed here from the lowest layer up.

pub mod limits;
pub mod hashing;
pub mod buffer;
pub mod resp;
pub mod config;
pub mod command;
pub mod topology;
pub mod join;
pub mod pending;
pub mod session;
pub mod local;
pub mod route;
pub mod plugin;
pub mod core;
pub mod io;
pub mod server;
pub mod cli;

//! Native tests: counters through the plugin against plain ones, and bases that are added once.
//!
//! `plain` asks both the same at random; `expiry` holds both modes; `restores` holds the sum over restores and `backups` what a
//! database ends up with, in every order of deliveries; `windows` moves the clock over windows' edges, and holds what boards are
//! told. `support` has the scripts in Rust; `tests/it/counter.rs` runs the Lua itself on real servers.

mod backups;
mod expiry;
mod hot;
mod plain;
mod restores;
mod support;
mod windows;

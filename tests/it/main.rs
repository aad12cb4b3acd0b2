//! The one test binary: each module is one kind of promise, held against real servers and real clients.
//!
//! `tidy` reads the source tree; `same_as_redis` compares replies to what `command_mix` makes with a plain server's; `clients` runs the client
//! libraries people use; `client_commands` asks about the clients of all workers, `worker_questions` the same without sockets; `placement` compares with twemproxy; `databases` holds SELECT apart, `key_space` SCAN and its
//! like to one server's promise; `failures` breaks things on purpose, `bounds` fills them;
//! `plugins` loads and swaps plugins, `plugin_effects` holds what they ask for to its word, `plugin_faults` and
//! `plugin_frames` break them; `cache`, `cache_herd` and `cache_waiting` hold the cache pattern to its guarantee.
//! One binary links once. Run one module with `cargo test -p sluicegate-tests --test it -- failures`.

mod bounds;
mod cache;
mod cache_herd;
mod cache_waiting;
mod client_commands;
mod clients;
mod command_mix;
mod databases;
mod failures;
mod key_space;
mod placement;
mod plugin_effects;
mod plugin_faults;
mod plugin_frames;
mod plugins;
mod same_as_redis;
mod scanner;
mod scripted_shard;
mod simulation;
mod tidy;
mod worker_questions;

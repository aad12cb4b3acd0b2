//! The one test binary: each module is one kind of promise, held against real servers and real clients.
//!
//! A module opens with what it holds and against whom; the names are the promises: `same_as_redis` (with the commands of
//! `command_mix`), `placement`, `failures`, `bounds`, one per group of commands, `plugin...`, one or more per pattern (`board`, `cache...`, `counter...`, `guard`, `latest`, `once`, `pack`),
//! `languages` (plugins in C and AssemblyScript), `clients`, `job_board` (the examples).
//! `tidy` reads the source tree; `simulation` (with its `scripted_shard`) needs no server at all.
//! One binary links once. Run one module with `cargo test -p sluicegate-tests --test it -- failures`.

mod all_shards;
mod blocking;
mod board;
mod bounds;
mod cache;
mod cache_dirty;
mod cache_herd;
mod cache_modes;
mod cache_waiting;
mod client_commands;
mod clients;
mod command_mix;
mod command_replies;
mod counter;
mod counter_feed;
mod counter_hot;
mod databases;
mod every_command;
mod failures;
mod guard;
mod handshakes;
mod job_board;
mod joined;
mod key_space;
mod languages;
mod latest;
mod matrix;
mod misbehaving;
mod once;
mod pack;
mod placement;
mod plugin_chains;
mod plugin_commands;
mod plugin_effects;
mod plugin_failures;
mod plugin_faults;
mod plugin_frames;
mod plugin_keys;
mod plugin_patience;
mod plugin_project;
mod plugin_swaps;
mod plugin_timers;
mod plugins;
mod publish;
mod pubsub;
mod replicas;
mod same_as_redis;
mod scanner;
mod scripted_shard;
mod scripts;
mod sdk_examples;
mod session_mix;
mod shard_transactions;
mod simulation;
mod tidy;
mod transaction_site;
mod transactions;
mod tutorial;
mod watch;
mod worker_questions;

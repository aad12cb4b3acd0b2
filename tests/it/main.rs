//! The one test binary: each module is one kind of promise, held against real servers and real clients.
//!
//! `tidy` reads the source tree; `same_as_redis` compares replies to what `command_mix` makes with a plain server's; `clients` runs the client
//! libraries people use; `placement` compares with twemproxy; `simulation` runs sessions without sockets; `failures` breaks things on purpose.
//! One binary links once. Run one module with `cargo test -p sluicegate-tests --test it -- failures`.

mod clients;
mod command_mix;
mod failures;
mod placement;
mod same_as_redis;
mod simulation;
mod tidy;

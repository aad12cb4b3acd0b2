//! What one client connection has set: who it is, how it speaks, what it has begun.
//!
//! In: the commands that change a connection's state, carried out by `local` and `core`. Out: the facts that planning,
//! answering and forwarding ask for. A session knows nothing of sockets, other sessions or shards.
//! Plain data with named changes, no I/O and no clock: time comes in as an argument.

pub mod identity;

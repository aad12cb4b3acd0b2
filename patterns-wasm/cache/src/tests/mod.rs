//! What the cache pattern promises, in a seeded world of several workers over one fake Redis.
//!
//! `commands`: each hooked command against a plain server. `herd`: one recompute per expiry under concurrency. `edges`:
//! leaders that vanish, shared connections, MULTI, deletions, time-outs. `orders`: two readers in every
//! order of deliveries. No clock, socket or thread: a failing seed replays.

mod commands;
mod dirty;
mod edges;
mod herd;
mod many;
mod modes;
mod orders;
mod support;

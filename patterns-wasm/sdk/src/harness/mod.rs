//! Plugins under `cargo test`: no WebAssembly, no gateway, no clock; everything is an argument or a seed.
//!
//! `instance` runs one plugin instance frame by frame, for scripted tests of single handlers. `world` is a small gateway
//! with several workers over one fake `redis`, a virtual clock and seeded interleaving, for tests of what a pattern
//! promises under concurrency: the same seed gives the same run. `script` says which commands must come and what is answered,
//! `interleave` runs a scenario under every order of deliveries. The frames in between are the real ones.

pub mod frames;
pub mod instance;
pub mod interleave;
mod lane;
mod manifest;
pub mod redis;
pub mod script;
mod tasks;
#[cfg(test)]
mod tests;
mod time;
pub mod world;

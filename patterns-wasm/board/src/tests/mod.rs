//! Native tests: boards through the plugin against one sorted set that is asked the same.
//!
//! `model` asks both at random; `orders` lets writes and reads meet in every order of deliveries; `windows` moves the clock over
//! windows' edges; `refusals` is what a board does not do. No server is started here; `tests/it/board.rs` does the same
//! on real ones.

mod model;
mod orders;
mod refusals;
mod support;
mod windows;

//! Native tests: lists through the plugin against lists that are trimmed after every write.
//!
//! `model` asks both the same at random; `orders` lets pushes, pops and reads meet in every order of deliveries; `many` pushes to
//! several lists in one call. No server is started here; `tests/it/latest.rs` does the same on real ones.

mod many;
mod model;
mod orders;

use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use crate::PLUGIN;

/// Two gateways with a worker each.
fn gateways(config: &str, seed: u64) -> World {
    World::of_gateways(&PLUGIN, config, &[1, 1], seed)
}

/// The texts of an array of strings.
fn texts(reply: Option<&Reply>) -> Vec<String> {
    let Some(Reply::Array(rows)) = reply else { panic!("no array: {reply:?}") };
    let text = |row: &Reply| String::from_utf8(row.bytes().expect("a string").to_vec()).unwrap();
    rows.iter().map(text).collect()
}

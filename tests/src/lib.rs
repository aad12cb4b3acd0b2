//! The harness: what every scenario needs to meet the gateway as a client meets it, over real sockets.
//!
//! `real_server` starts Redis and Valkey servers, `gateway` starts the gateway in this process or as one of its
//! own, `nutcracker` starts twemproxy, `client` speaks RESP byte by byte, `herd` is hundreds of clients, `load` keeps asking,
//! `plugins` finds, replaces and observes plugins, `pattern_site` is two gateways with one pattern and what may happen to them,
//! `frames` writes what a guest answers, `rng` makes seeded choices that replay, `wait` polls with a deadline, `source` reads the checkout,
//! `tools` finds what `scripts/setup tests` put in place and says it when something is missing.
//! Every port is free, every wait has a deadline, nothing sleeps; what a test starts ends with it. A harness
//! function that cannot do its work panics with a text that says what was expected.

pub mod client;
pub mod frames;
pub mod gateway;
pub mod herd;
pub mod load;
pub mod nutcracker;
pub mod pattern_site;
pub mod plugins;
pub mod real_server;
pub mod rng;
pub mod source;
pub mod tools;
pub mod value;
pub mod wait;

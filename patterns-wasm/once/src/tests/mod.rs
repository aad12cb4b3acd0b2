//! Native tests: windows and rates against their models, over gateways, with every order of deliveries.
//!
//! `windows` holds ONCE, `rates` CL.THROTTLE, `support` has the scripts in Rust. Nothing here starts a server; the
//! end-to-end tests (`tests/it/once.rs`) run the scripts themselves on real ones.

mod rates;
mod support;
mod windows;

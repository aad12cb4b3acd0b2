//! The cargo-fuzz target `request`: what libFuzzer makes goes through the body of the same name.
//!
//! Comes in: any bytes. Goes out: nothing; a body that finds a fault panics. Built only by cargo-fuzz
//! (`make fuzz-parsers`); a plain build makes an empty program.
//! No rule is here: see ../bodies/request.rs.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| sluicegate_fuzz::request(input));

#[cfg(not(fuzzing))]
fn main() {}

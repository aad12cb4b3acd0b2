//! A module that is no plugin at all: it must be refused at load for its missing exports.
//!
//! One import, one export and nothing else; it never runs. Built only for the gateway's tests, by
//! `scripts/build-plugins`. On other targets this file is empty, so that the workspace builds everywhere.
//! It must not use the SDK, which would make a proper plugin of it.
#![allow(unsafe_code, reason = "exports and imports by hand")]

#[cfg(target_arch = "wasm32")]
#[unsafe(export_name = "add")]
extern "C" fn exported(left: u32, right: u32) -> u32 {
    left.wrapping_add(right)
}

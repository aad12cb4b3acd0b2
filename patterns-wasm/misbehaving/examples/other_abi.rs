//! A guest for a later version of the contract: it must be refused at load, naming that version.
//!
//! One import, one export and nothing else; it never runs. Built only for the gateway's tests, by
//! `scripts/build-plugins`. On other targets this file is empty, so that the workspace builds everywhere.
//! It must not use the SDK, which would make a proper plugin of it.
#![allow(unsafe_code, reason = "exports and imports by hand")]

#[cfg(target_arch = "wasm32")]
#[link(wasm_import_module = "sluicegate:plugin/host@9.0.0")]
unsafe extern "C" {
    #[link_name = "now-ms"]
    safe fn wanted() -> u32;
}

#[cfg(target_arch = "wasm32")]
#[unsafe(export_name = "sluicegate:plugin/handler@9.0.0#cancel")]
extern "C" fn exported() -> u32 {
    wanted()
}

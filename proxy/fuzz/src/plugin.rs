//! The part of the library's module `plugin` that reads what a guest says, without the engine that runs guests.
//!
//! Comes in: the library's files by path. Goes out: the same module paths as in the library, so that they compile as
//! they are, and the bodies beside them. A file of the library that starts to import another pure one is named here too.

#[path = "../../src/plugin/abi.rs"]
mod abi;
#[path = "../../src/plugin/batch.rs"]
mod batch;
#[path = "../../src/plugin/beside.rs"]
mod beside;
#[path = "../bodies/mod.rs"]
pub(crate) mod bodies;
#[path = "../../src/plugin/fault.rs"]
mod fault;
#[path = "../../src/plugin/frame.rs"]
mod frame;
#[path = "../../src/plugin/given.rs"]
mod given;
#[path = "../../src/plugin/glob.rs"]
mod glob;
#[path = "../../src/plugin/grants.rs"]
mod grants;
#[path = "../../src/plugin/limits.rs"]
mod limits;
#[path = "../../src/plugin/manifest.rs"]
mod manifest;
#[path = "../../src/plugin/reply_check.rs"]
mod reply_check;

/// Stands for the library's `cells`, which needs the engine: faults name a call by it.
mod cells {
    /// The name of a call.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct CallId;
}

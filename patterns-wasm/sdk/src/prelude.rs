//! What nearly every plugin names: `use sluicegate_plugin::prelude::*;`
//!
//! Handles, replies, errors, the typed commands and the config's types. Less common things (`wait`, `harness`) are named
//! where they live. No item lives here.

pub use crate::args::Args;
pub use crate::command::{Command, Target, beside, cmd};
pub use crate::commands::*;
pub use crate::config::{ByteSize, Config, Duration, NoConfig};
pub use crate::convert::{FromArg, FromReply, IntoReply};
pub use crate::cx::{Cx, Kind, Wait, Woken};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::reply::Reply;
pub use crate::request::{Batch, Request, Typed};
pub use crate::transaction::Guarded;

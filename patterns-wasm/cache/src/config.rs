//! What an operator may set for a cache binding, with the defaults.
//!
//! Every duration is in milliseconds here. Also holds what an instance remembers: its part of the lease token and the
//! counts that are not yet in shared memory. A new instance starts with none of that.

use std::cell::{Cell, OnceCell};

use sluicegate_plugin::config::Fields;
use sluicegate_plugin::plugin;

/// Shared memory for this worker's part of the token and the counts, bytes.
const SHARED_MIN: usize = 256;
/// Most turns of one reader to look.
const TURNS_MAX: u32 = 300;

/// What a reader answers whose wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnWaitTimeout {
    /// Nil: this client computes too.
    Miss,
    /// An error.
    Error,
}

/// The config of a binding.
#[derive(Debug)]
pub struct Config {
    /// How long a value is kept after its soft TTL.
    pub grace_ms: u32,
    /// How long a leader may take before another is chosen.
    pub lease_ms: u32,
    /// How long a reader waits for a missing value.
    pub wait_ms: u32,
    /// The same when its connection carries other commands or the leader.
    pub wait_behind_ms: u32,
    /// How often one of those who wait looks for a fill through another gateway.
    pub poll_ms: u32,
    /// What follows.
    pub on_wait_timeout: OnWaitTimeout,
    /// This worker's part of every token.
    pub ident: OnceCell<u64>,
    /// Fresh reads since the last time that counts were written to shared memory.
    pub hits_pending: Cell<u64>,
}

impl plugin::Config for Config {
    fn read(fields: &mut Fields) -> Result<Self, String> {
        let config = Self {
            grace_ms: fields.duration_ms("grace", 20_000)?,
            lease_ms: fields.duration_ms("lease", 2_000)?,
            wait_ms: fields.duration_ms("wait", 1_000)?,
            wait_behind_ms: fields.duration_ms("wait_behind", 20)?,
            poll_ms: fields.duration_ms("poll", 50)?,
            on_wait_timeout: match fields.choice("on_wait_timeout", &["miss", "error"])? {
                0 => OnWaitTimeout::Miss,
                _ => OnWaitTimeout::Error,
            },
            ident: OnceCell::new(),
            hits_pending: Cell::new(0),
        };
        // The other modes are refused as unknown values until they exist.
        fields.choice("lease_mode", &["key"])?;
        if config.lease_ms == 0 || config.poll_ms == 0 {
            return Err(String::from("lease and poll must be longer than 0"));
        }
        if !fields.has_shared_memory(SHARED_MIN) {
            return Err(String::from(
                "the lease needs shared memory: grant shared_bytes: 64KiB, or leave shared_bytes out of the grant",
            ));
        }
        // A call has 1,000 steps; a turn to look takes up to three.
        let poll_ms = config.poll_ms.max(config.wait_ms / TURNS_MAX);
        Ok(Self { poll_ms, ..config })
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::plugin::read_config;

    use super::{Config, OnWaitTimeout};

    #[test]
    fn config_has_defaults_and_refuses_what_it_does_not_know() {
        let read = |text: &str| {
            read_config::<Config>(text.as_bytes()).map(|any| any.downcast::<Config>().unwrap())
        };
        let defaults = read("").unwrap();
        assert_eq!((defaults.grace_ms, defaults.lease_ms), (20_000, 2_000));
        assert_eq!((defaults.wait_ms, defaults.poll_ms), (1_000, 50));
        let set = read(r#"{"grace":"5s","on_wait_timeout":"error","lease_mode":"key"}"#).unwrap();
        assert_eq!(set.grace_ms, 5_000);
        assert_eq!(set.on_wait_timeout, OnWaitTimeout::Error);
        let long = read(r#"{"wait":"10m"}"#).unwrap();
        assert_eq!(long.poll_ms, 2_000, "within the steps of a call");
        let cases = [
            (r#"{"grcae":"5s"}"#, "unknown key 'grcae'; known are grace, lease, wait,"),
            (r#"{"grace":5}"#, "grace: a number is no duration"),
            (r#"{"lease":"0s"}"#, "lease and poll must be longer than 0"),
            (r#"{"lease_mode":"token"}"#, "lease_mode: 'token' is not one of key"),
        ];
        for (text, wanted) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}

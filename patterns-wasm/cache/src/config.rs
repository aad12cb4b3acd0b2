//! What an operator may set for a cache binding, with the defaults.
//!
//! Read by serde; what types cannot say is checked here. Also holds what an instance remembers: its part of the lease token and the
//! counts that are not yet in shared memory. A new instance starts with none of that.

use std::cell::{Cell, OnceCell};

use serde::Deserialize;
use sluicegate_plugin::config::{self, Duration};

/// Shared memory for this worker's part of the token and the counts, bytes.
const SHARED_MIN: usize = 256;
/// Most turns of one reader to look.
const TURNS_MAX: u32 = 300;

/// What a reader answers whose wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnWaitTimeout {
    /// Nil: this client computes too.
    Miss,
    /// An error.
    Error,
}

/// How a leader is known. The other modes are refused as unknown values until they exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseMode {
    /// Whoever fills the key ends its lease.
    Key,
}

/// The config of a binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a value is kept after its soft TTL.
    pub grace: Duration,
    /// How long a leader may take before another is chosen.
    pub lease: Duration,
    /// How long a reader waits for a missing value.
    pub wait: Duration,
    /// The same when its connection carries other commands or the leader.
    pub wait_behind: Duration,
    /// How often one of those who wait looks for a fill through another gateway.
    pub poll: Duration,
    /// What follows.
    pub on_wait_timeout: OnWaitTimeout,
    /// How a leader is known.
    pub lease_mode: LeaseMode,
    /// This worker's part of every token.
    #[serde(skip)]
    pub ident: OnceCell<u64>,
    /// Fresh reads since the last time that counts were written to shared memory.
    #[serde(skip)]
    pub hits_pending: Cell<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grace: Duration::secs(20),
            lease: Duration::secs(2),
            wait: Duration::secs(1),
            wait_behind: Duration::millis(20),
            poll: Duration::millis(50),
            on_wait_timeout: OnWaitTimeout::Miss,
            lease_mode: LeaseMode::Key,
            ident: OnceCell::new(),
            hits_pending: Cell::new(0),
        }
    }
}

impl Config {
    /// The grace in milliseconds: what stored times are longer by.
    pub fn grace_ms(&self) -> u32 {
        self.grace.ms()
    }
}

impl config::Config for Config {
    fn check(&mut self) -> Result<(), String> {
        if self.lease.ms() == 0 || self.poll.ms() == 0 {
            return Err(String::from("lease and poll must be longer than 0"));
        }
        if !config::has_shared_memory(SHARED_MIN) {
            return Err(String::from(
                "the lease needs shared memory: grant shared_bytes: 64KiB, or leave shared_bytes out of the grant",
            ));
        }
        // A call has 1,000 steps; a turn to look takes up to three.
        self.poll = self.poll.max(Duration::millis(self.wait.ms() / TURNS_MAX));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::config;

    use super::{Config, OnWaitTimeout};

    #[test]
    fn config_has_defaults_and_refuses_what_it_does_not_know() {
        let read = |text: &str| {
            config::read::<Config>(text.as_bytes()).map(|any| any.downcast::<Config>().unwrap())
        };
        let defaults = read("").unwrap();
        assert_eq!((defaults.grace.ms(), defaults.lease.ms()), (20_000, 2_000));
        assert_eq!((defaults.wait.ms(), defaults.poll.ms()), (1_000, 50));
        let set = read(r#"{"grace":"5s","on_wait_timeout":"error","lease_mode":"key"}"#).unwrap();
        assert_eq!(set.grace.ms(), 5_000);
        assert_eq!(set.on_wait_timeout, OnWaitTimeout::Error);
        let long = read(r#"{"wait":"10m"}"#).unwrap();
        assert_eq!(long.poll.ms(), 2_000, "within the steps of a call");
        let cases = [
            (r#"{"grcae":"5s"}"#, "unknown key 'grcae'; known are grace, lease, wait,"),
            (r#"{"grace":5}"#, "grace: found 5, allowed: a duration such as 250ms"),
            (r#"{"lease":"0s"}"#, "lease and poll must be longer than 0"),
            (r#"{"lease_mode":"token"}"#, "lease_mode: found \"token\", allowed: key"),
        ];
        for (text, wanted) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}

//! What an operator may set for a cache binding, with the defaults.
//!
//! Read by serde; what types cannot say is checked here. Also holds what an instance remembers: its part of the lease token and the
//! counts that are not yet in shared memory. A new instance starts with none of that.

use std::cell::{Cell, OnceCell};

use serde::Deserialize;
use sluicegate_plugin::config::{self, Duration};

/// Shared memory for this worker's part of the token and the counts, bytes.
const SHARED_MIN: usize = 256;
/// Most of `early_refresh`.
const EARLY_MAX: f64 = 10.0;
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

/// How a leader is known, and with it whose write is its fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseMode {
    /// Not at all: any write fills and ends the lease.
    Key,
    /// By its connection: its next write is the fill, and refused when somebody has written or deleted meanwhile.
    Conn,
    /// By a token, which CACHE.GET gives and CACHE.FILL shows; ordinary writes end the lease.
    Token,
}

/// Values that say that there is nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Negative {
    /// What such a value is, to the byte.
    pub values: Vec<String>,
    /// How long it is fresh at most.
    pub ttl: Duration,
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
    /// How far ahead of its end a value may be computed again, in recomputes; 0: never.
    pub early_refresh: f64,
    /// Values that say that there is nothing.
    pub negative: Negative,
    /// Writes must reach a database: they are noted for CACHE.DIRTY.
    pub dirty: bool,
    /// With `dirty`, a key among the binding's, beside which each shard keeps its notes.
    pub backup: String,
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
            early_refresh: 0.0,
            negative: Negative::default(),
            dirty: false,
            backup: String::new(),
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

    /// How long `value` may be fresh at most, if it says that there is nothing.
    pub fn cap_ms(&self, value: &[u8]) -> Option<u32> {
        let is_negative = self.negative.values.iter().any(|known| known.as_bytes() == value);
        is_negative.then(|| self.negative.ttl.ms())
    }
}

impl config::Config for Config {
    fn check(&mut self) -> Result<(), String> {
        if self.lease.ms() == 0 || self.poll.ms() == 0 {
            return Err(String::from("lease and poll must be longer than 0"));
        }
        if !(0.0..=EARLY_MAX).contains(&self.early_refresh) {
            return Err(String::from("early_refresh: write a number from 0 to 10"));
        }
        if self.negative.values.is_empty() != (self.negative.ttl.ms() == 0) {
            return Err(String::from("negative: write values and ttl, or neither"));
        }
        // The scripts name the notes themselves: nothing in it may be a hash tag.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
        if self.dirty == self.backup.is_empty() || !self.backup.bytes().all(is_plain) {
            return Err(String::from(
                "backup: with dirty: true write a key of letters, digits and :._- among this binding's keys, else nothing",
            ));
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
            (r#"{"lease_mode":"set"}"#, "lease_mode: found \"set\", allowed: key, conn, token"),
            (r#"{"dirty":true}"#, "backup: with dirty: true write a key"),
            (r#"{"backup":"b"}"#, "backup: with dirty: true write a key"),
            (r#"{"early_refresh":11}"#, "early_refresh: write a number from 0 to 10"),
            (r#"{"negative":{"values":[""]}}"#, "negative: "),
            (r#"{"negative":{"value":""}}"#, "negative: unknown key 'value'"),
        ];
        for (text, wanted) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}

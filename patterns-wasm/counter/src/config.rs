//! What an operator may set for a binding, with the defaults.
//!
//! Read by serde; what types cannot say is checked here. Times are those of the shard: a counter's end is its key's, and
//! what a client sets itself goes before `ttl`.

use serde::Deserialize;
use sluicegate_plugin::config::{self, Duration};
use sluicegate_plugin::window::Length;

use crate::feed::Feed;

/// Longest time that callers of hot counters wait for others.
const GATHER_MAX_MS: u32 = 1_000;
/// Shared memory for some batches, bytes.
const SHARED_MIN: usize = 1_024;
/// Most windows behind the present one.
const KEEP_MAX: u32 = 400;
/// Minutes of the clock on a wall ahead of UTC or behind it.
const OFFSET_MAX: i32 = 14 * 60;

/// Name of a shard's registry beside `backup`.
pub const REGISTRY: &str = "dirty";

/// From when a counter's `ttl` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expire {
    /// From the first increment: a window that ends.
    Fixed,
    /// From the last one: as long as it is used.
    Sliding,
}

/// The config of a binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a counter lives; zero: for ever.
    pub ttl: Duration,
    /// From when that runs.
    pub expire: Expire,
    /// How long the holder of a restore token may take until another caller gets one.
    pub restore_lease: Duration,
    /// A counter for each hour, day, week or month.
    pub window: Option<Length>,
    /// How many minutes the clock of the windows is ahead of UTC.
    pub utc_offset: i32,
    /// How many windows are kept behind the present one.
    pub keep: u32,
    /// How long increments of one counter are gathered in a worker before they go to the shard as one; zero: not at all.
    pub gather: Duration,
    /// A board that the counters feed.
    pub feed: Option<Feed>,
    /// A key among the binding's, beside which each shard keeps its registry of counters that are to be backed up. Empty: none.
    pub backup: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Duration::millis(0),
            expire: Expire::Fixed,
            restore_lease: Duration::secs(2),
            window: None,
            utc_offset: 0,
            keep: 7,
            gather: Duration::millis(0),
            feed: None,
            backup: String::new(),
        }
    }
}

impl Config {
    /// The name of the registry on every shard, as the gateway writes a key beside `backup`; empty when there is none.
    pub fn registry(&self) -> String {
        if self.backup.is_empty() {
            return String::new();
        }
        ["{", &self.backup, "}:sg:", REGISTRY].concat()
    }

    /// How the scripts are told of `expire`.
    pub fn expire_word(&self) -> &'static str {
        match self.expire {
            Expire::Fixed => "fixed",
            Expire::Sliding => "sliding",
        }
    }
}

impl config::Config for Config {
    fn check(&mut self) -> Result<(), String> {
        if self.restore_lease.ms() == 0 {
            return Err(String::from("restore_lease: write a duration longer than 0"));
        }
        if self.window.is_some() && self.ttl.ms() > 0 {
            return Err(String::from("ttl: a window's counter ends by itself; write keep instead"));
        }
        if self.utc_offset.abs() > OFFSET_MAX {
            return Err(String::from("utc_offset: write minutes from -840 to 840"));
        }
        if self.keep > KEEP_MAX {
            return Err(String::from("keep: write a number of windows from 0 to 400"));
        }
        if self.gather.ms() > GATHER_MAX_MS {
            return Err(String::from("gather: write a duration up to 1s; callers wait that long"));
        }
        if self.gather.ms() > 0 && !config::has_shared_memory(SHARED_MIN) {
            let text = "gather needs shared memory: grant shared_bytes: 64KiB, wait and background";
            return Err(String::from(text));
        }
        if let Some(feed) = &self.feed {
            feed.check(self.window.is_some())?;
        }
        // The scripts name the registry themselves: nothing in it may be a hash tag.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
        if !self.backup.bytes().all(is_plain) {
            return Err(String::from(
                "backup: write a key of letters, digits and :._- that is among this binding's keys",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::config;

    use super::{Config, Expire};

    #[test]
    fn config_has_defaults_and_says_what_is_wrong() {
        let read = |text: &str| {
            config::read::<Config>(text.as_bytes()).map(|any| any.downcast::<Config>().unwrap())
        };
        let defaults = read("").unwrap();
        assert_eq!((defaults.ttl.ms(), defaults.expire), (0, Expire::Fixed));
        assert_eq!(defaults.registry(), "");
        assert_eq!(read(r#"{"backup":"views:b"}"#).unwrap().registry(), "{views:b}:sg:dirty");
        let set = read(r#"{"ttl":"2d","expire":"sliding","restore_lease":"5s"}"#).unwrap();
        assert_eq!((set.ttl.ms(), set.expire_word()), (172_800_000, "sliding"));
        let cases = [
            (r#"{"expire":"never"}"#, "expire: found \"never\", allowed: fixed, sliding"),
            (
                r#"{"window":"day","ttl":"1s"}"#,
                "ttl: a window's counter ends by itself; write keep instead",
            ),
            (r#"{"gather":"2s"}"#, "gather: write a duration up to 1s; callers wait that long"),
            (r#"{"keep":401}"#, "keep: write a number of windows from 0 to 400"),
            (r#"{"utc_offset":-900}"#, "utc_offset: write minutes from -840 to 840"),
            (
                r#"{"feed":{"board":"top","counters":"views"}}"#,
                "feed.counters: write a key with one {member} in it",
            ),
            (r#"{"restore_lease":"0s"}"#, "restore_lease: write a duration longer than 0"),
            (
                r#"{"backup":"{views}"}"#,
                "backup: write a key of letters, digits and :._- that is among this binding's keys",
            ),
            (
                r#"{"tll":"1s"}"#,
                "unknown key 'tll'; known are ttl, expire, restore_lease, window, utc_offset, keep, gather, feed, backup",
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text).unwrap_err(), wanted);
        }
    }
}

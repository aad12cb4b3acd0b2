//! What an operator may set for a binding, with the defaults.
//!
//! Read by serde; what types cannot say is checked here. Times are those of the shard: a counter's end is its key's, and
//! what a client sets itself goes before `ttl`.

use serde::Deserialize;
use sluicegate_plugin::config::{self, Duration};

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
    /// A key among the binding's, beside which each shard keeps its registry of counters that are to be backed up. Empty: none.
    pub backup: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Duration::millis(0),
            expire: Expire::Fixed,
            restore_lease: Duration::secs(2),
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
            (r#"{"restore_lease":"0s"}"#, "restore_lease: write a duration longer than 0"),
            (
                r#"{"backup":"{views}"}"#,
                "backup: write a key of letters, digits and :._- that is among this binding's keys",
            ),
            (r#"{"tll":"1s"}"#, "unknown key 'tll'; known are ttl, expire, restore_lease, backup"),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text).unwrap_err(), wanted);
        }
    }
}

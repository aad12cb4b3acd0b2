//! What an operator may set for a binding, with the defaults.
//!
//! Read by serde; what types cannot say is checked here. Nothing but what is dangerous for every pool is on by default: the three
//! commands that walk or empty every shard.

use serde::Deserialize;
use sluicegate_plugin::config::{self, ByteSize, Duration};

use crate::rules::INSTEAD;

/// What becomes of what a rule is against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// It goes on, is counted and logged: how a rule is tried out.
    Report,
}

/// The config of a binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Commands that are refused.
    pub deny: Vec<String>,
    /// The end of keys that are written without one; zero: none.
    pub default_ttl: Duration,
    /// Longest key, bytes; zero: any.
    pub max_key: ByteSize,
    /// Longest argument of a write, bytes; zero: any.
    pub max_value: ByteSize,
    /// Most arguments behind the key of one write; zero: any.
    pub max_members: u32,
    /// What written keys must begin with; none: anything.
    pub prefixes: Vec<String>,
    /// What becomes of what a rule is against.
    pub mode: Mode,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deny: ["keys", "flushall", "flushdb"].map(String::from).to_vec(),
            default_ttl: Duration::millis(0),
            max_key: ByteSize::kib(0),
            max_value: ByteSize::kib(0),
            max_members: 0,
            prefixes: Vec::new(),
            mode: Mode::Enforce,
        }
    }
}

impl config::Config for Config {
    fn check(&mut self) -> Result<(), String> {
        for name in &mut self.deny {
            name.make_ascii_lowercase();
            if !INSTEAD.iter().any(|(known, _)| known == name) {
                let known: Vec<&str> = INSTEAD.iter().map(|(known, _)| *known).collect();
                return Err(["deny: found '", name, "', allowed: ", &known.join(", ")].concat());
            }
        }
        if self.prefixes.iter().any(String::is_empty) {
            return Err(String::from(
                "prefixes: an empty one allows every key; leave prefixes out",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::config;

    use super::{Config, Mode};

    #[test]
    fn config_has_defaults_and_says_what_is_wrong() {
        let read = |text: &str| {
            config::read::<Config>(text.as_bytes()).map(|any| any.downcast::<Config>().unwrap())
        };
        let defaults = read("").unwrap();
        assert_eq!((defaults.deny.len(), defaults.mode), (3, Mode::Enforce));
        let set = read(r#"{"deny":["SMEMBERS"],"max_value":"64KiB","mode":"report"}"#).unwrap();
        assert_eq!((set.deny[0].as_str(), set.max_value.bytes()), ("smembers", 65_536));
        assert!(
            read(r#"{"deny":["get"]}"#)
                .unwrap_err()
                .starts_with("deny: found 'get', allowed: keys,")
        );
        assert!(read(r#"{"prefixes":[""]}"#).unwrap_err().starts_with("prefixes: "));
        assert!(read(r#"{"mode":"off"}"#).unwrap_err().starts_with("mode: found \"off\""));
    }
}

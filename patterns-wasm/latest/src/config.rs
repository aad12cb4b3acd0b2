//! What an operator may set for a binding, with the defaults.
//!
//! Read by serde; what types cannot say is checked here. `keep` is the promise: nothing that a client reads through this
//! binding ever shows more items.

use serde::Deserialize;
use sluicegate_plugin::config;

/// Most items that may be kept: far beyond what anybody shows.
const KEEP_MAX: u32 = 1_000_000;

/// The config of a binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many items a list shows.
    pub keep: u32,
    /// How many more it may hold before it is trimmed; a fifth of `keep` when nothing is said.
    pub slack: Option<u32>,
    /// An item that is pushed again moves to the head instead of being there twice.
    pub unique: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { keep: 100, slack: None, unique: false }
    }
}

impl Config {
    /// How many items a list shows.
    pub fn keep(&self) -> i64 {
        i64::from(self.keep)
    }

    /// The longest that a list may be after a push.
    pub fn longest(&self) -> i64 {
        self.keep() + i64::from(self.slack.unwrap_or(self.keep.div_ceil(5)))
    }

    /// Whether each push trims in its own transaction.
    pub fn is_exact(&self) -> bool {
        self.longest() == self.keep()
    }
}

impl config::Config for Config {
    fn check(&mut self) -> Result<(), String> {
        if !(1..=KEEP_MAX).contains(&self.keep) {
            return Err(String::from("keep: write a number from 1 to 1000000"));
        }
        if self.slack.is_some_and(|slack| slack > KEEP_MAX) {
            return Err(String::from("slack: write a number from 0 to 1000000"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::config;

    use super::Config;

    #[test]
    fn config_has_defaults_and_says_what_is_wrong() {
        let read = |text: &str| {
            config::read::<Config>(text.as_bytes()).map(|any| any.downcast::<Config>().unwrap())
        };
        let defaults = read("").unwrap();
        assert_eq!((defaults.keep(), defaults.longest(), defaults.unique), (100, 120, false));
        assert_eq!(read(r#"{"keep":3}"#).unwrap().longest(), 4);
        assert!(read(r#"{"keep":3,"slack":0}"#).unwrap().is_exact());
        let cases = [
            (r#"{"keep":0}"#, "keep: write a number from 1 to 1000000"),
            (r#"{"slack":1000001}"#, "slack: write a number from 0 to 1000000"),
            (r#"{"kepp":3}"#, "unknown key 'kepp'; known are keep, slack, unique"),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text).unwrap_err(), wanted);
        }
    }
}

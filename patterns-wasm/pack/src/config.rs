//! What an operator may set for a binding, with the defaults.
//!
//! Read by serde; what types cannot say is checked here. `buckets` is in the buckets' names: with another number the old buckets
//! are out of sight, and come back when the number does.

use serde::Deserialize;
use sluicegate_plugin::config;

const BUCKETS_MAX: u32 = 1 << 24;

/// The config of a binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What all keys of the binding begin with; it is left out of the fields.
    pub prefix: String,
    /// Over how many hashes the keys are spread.
    pub buckets: u32,
    /// Bring keys in that were there before the binding.
    pub adopt: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { prefix: String::new(), buckets: 16_384, adopt: false }
    }
}

impl config::Config for Config {
    fn check(&mut self) -> Result<(), String> {
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            let text = "prefix: write what all keys of this binding begin with, such as obj:, without braces";
            return Err(String::from(text));
        }
        if !(1..=BUCKETS_MAX).contains(&self.buckets) {
            return Err(String::from("buckets: write a number from 1 to 16777216"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::config;

    use super::Config;

    #[test]
    fn config_needs_a_prefix_and_says_what_is_wrong() {
        let read = |text: &str| {
            config::read::<Config>(text.as_bytes()).map(|any| any.downcast::<Config>().unwrap())
        };
        assert_eq!(read(r#"{"prefix":"obj:"}"#).unwrap().buckets, 16_384);
        for text in ["", r#"{"prefix":"{a}"}"#] {
            assert!(read(text).unwrap_err().starts_with("prefix: write what all keys"), "{text}");
        }
        let none = read(r#"{"prefix":"a","buckets":0}"#).unwrap_err();
        assert_eq!(none, "buckets: write a number from 1 to 16777216");
    }
}

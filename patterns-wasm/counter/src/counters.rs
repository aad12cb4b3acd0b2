//! Which counter a client's key means, and when that ends.
//!
//! Without windows it is the key itself. With them `views:7` is the counter `views:7@20261123` of the present window, by the
//! gateway's clock, and a key that ends in a window's name is taken as it is: past windows are read, restored and backed up
//! by the same commands. Each window's counter is placed by its own name.

use std::borrow::Cow;

use sluicegate_plugin::command::Command;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::window::Window;

use crate::config::Config;

/// A counter of one call.
#[derive(Debug, Clone)]
pub struct Counter<'a> {
    /// The key that it is stored under.
    pub key: Cow<'a, [u8]>,
    /// The client's key without a window's name.
    pub base: &'a [u8],
    /// The window, if the binding has such.
    pub window: Option<Window>,
}

impl<'a> Counter<'a> {
    /// The counter that a client calls `key`.
    pub fn of(cx: &Cx, config: &Config, key: &'a [u8]) -> Self {
        let Some(length) = config.window else {
            return Self { key: Cow::Borrowed(key), base: key, window: None };
        };
        let at = key.iter().rposition(|byte| *byte == b'@');
        let named = at.and_then(|at| {
            let window = length.named(key.get(at + 1..)?, config.utc_offset)?;
            Some(Self { key: Cow::Borrowed(key), base: key.get(..at)?, window: Some(window) })
        });
        named.unwrap_or_else(|| Self::in_window(key, length.at(cx.now_ms(), config.utc_offset)))
    }

    /// The counter of `base` in a window.
    pub fn in_window(base: &'a [u8], window: Window) -> Self {
        let key = [base, b"@", window.name().as_bytes()].concat();
        Self { key: Cow::Owned(key), base, window: Some(window) }
    }

    /// The same for one that is written: an error when its window is no longer kept.
    pub fn to_write(cx: &Cx, config: &Config, key: &'a [u8]) -> Result<Self> {
        let counter = Self::of(cx, config, key);
        let now_ms = i64::try_from(cx.now_ms()).unwrap_or(i64::MAX);
        if counter.end_ms(config).is_some_and(|end_ms| end_ms <= now_ms) {
            return Err(Error::new("counter: that window has ended and is no longer kept"));
        }
        Ok(counter)
    }

    /// Adds what the scripts are told of its end: milliseconds, and what they mean.
    pub fn add_end(&self, command: Command, config: &Config) -> Command {
        match self.end_ms(config) {
            Some(end_ms) => command.arg(end_ms).arg("at"),
            None => command.arg(i64::from(config.ttl.ms())).arg(config.expire_word()),
        }
    }

    /// When a window's counter ends, milliseconds since 1970: `keep` windows of its length behind it.
    fn end_ms(&self, config: &Config) -> Option<i64> {
        let window = self.window?;
        let length = window.end_ms() - window.before(1).end_ms();
        Some(window.end_ms() + length * i64::from(config.keep))
    }
}

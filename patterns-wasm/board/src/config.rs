//! What an operator may set for a binding, with the defaults.
//!
//! Read by serde; what types cannot say is checked here. `parts` is in the parts' names: after a change the old board is out of
//! sight and not half in sight, and comes back when the number does.

use serde::Deserialize;
use sluicegate_plugin::config::{self, Duration};
use sluicegate_plugin::window::Length;

/// Most parts of a board: one batch reads all of them.
const PARTS_MAX: u32 = 64;
/// Most windows behind the present one.
const KEEP_MAX: u32 = 400;
/// Hours of the clock on a wall ahead of UTC or behind it.
const OFFSET_MAX: i32 = 14 * 60;

/// The config of a binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Over how many keys a board is spread.
    pub parts: u32,
    /// A board for each hour, day, week or month.
    pub window: Option<Length>,
    /// How many minutes the clock of the windows is ahead of UTC.
    pub utc_offset: i32,
    /// How many windows are kept behind the present one.
    pub keep: u32,
    /// How old the sum of several windows may be.
    pub roll_up: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { parts: 8, window: None, utc_offset: 0, keep: 7, roll_up: Duration::secs(10) }
    }
}

impl config::Config for Config {
    fn check(&mut self) -> Result<(), String> {
        let fault = if !(1..=PARTS_MAX).contains(&self.parts) {
            "parts: write a number from 1 to 64"
        } else if self.utc_offset.abs() > OFFSET_MAX {
            "utc_offset: write minutes from -840 to 840"
        } else if self.keep > KEEP_MAX {
            "keep: write a number of windows from 0 to 400"
        } else if self.roll_up.ms() == 0 {
            "roll_up: write a duration longer than 0"
        } else {
            return Ok(());
        };
        Err(String::from(fault))
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_plugin::config;
    use sluicegate_plugin::window::Length;

    use super::Config;

    #[test]
    fn config_has_defaults_and_says_what_is_wrong() {
        let read = |text: &str| {
            config::read::<Config>(text.as_bytes()).map(|any| any.downcast::<Config>().unwrap())
        };
        let defaults = read("").unwrap();
        assert_eq!((defaults.parts, defaults.window, defaults.keep), (8, None, 7));
        let set = read(r#"{"parts":8,"window":"week","utc_offset":-480,"roll_up":"1m"}"#).unwrap();
        assert_eq!((set.parts, set.window, set.utc_offset), (8, Some(Length::Week), -480));
        let cases = [
            (r#"{"parts":0}"#, "parts: write a number from 1 to 64"),
            (r#"{"parts":65}"#, "parts: write a number from 1 to 64"),
            (r#"{"window":"year"}"#, "window: found \"year\", allowed: hour, day, week, month"),
            (r#"{"utc_offset":900}"#, "utc_offset: write minutes from -840 to 840"),
            (r#"{"keep":401}"#, "keep: write a number of windows from 0 to 400"),
            (r#"{"roll_up":"0s"}"#, "roll_up: write a duration longer than 0"),
            (
                r#"{"part":1}"#,
                "unknown key 'part'; known are parts, window, utc_offset, keep, roll_up",
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text).unwrap_err(), wanted);
        }
    }
}

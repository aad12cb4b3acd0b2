//! A board that is fed: after each change the counter's value is its member's score.
//!
//! The ZADD is shown to the bindings behind this one, so that the pattern `board` takes it, or goes to a plain sorted set. Two
//! changes may overtake each other on their way: `mode: gt` makes that harmless for counters that only grow. The count stands
//! whatever becomes of the board, and the next change mends it.

use serde::Deserialize;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::{Cx, Kind};

use crate::Count;
use crate::config::Config;
use crate::counters::Counter;

/// Where a key's member stands in `counters`.
const MEMBER: &str = "{member}";
/// Where a window's name stands in `board`.
const WINDOW: &str = "{window}";

/// Which board is fed by which counters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// The board's key; `{window}` is the counter's window.
    pub board: String,
    /// The counters' keys, as `jobs:{member}:views`.
    pub counters: String,
    /// What becomes of a score that is there.
    #[serde(default)]
    pub mode: Mode,
}

/// What becomes of a score that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The greater one stays: for counters that only grow.
    #[default]
    Gt,
    /// The new one takes its place, and may be overtaken by an older one.
    Set,
}

impl Feed {
    /// Refuses what cannot work.
    pub fn check(&self, has_window: bool) -> Result<(), String> {
        if self.board.is_empty() {
            return Err(String::from("feed: write the key of a board"));
        }
        if self.counters.matches(MEMBER).count() != 1 {
            return Err(String::from("feed.counters: write a key with one {member} in it"));
        }
        if self.board.contains(WINDOW) != has_window {
            let text =
                "feed.board: write {window} in it where the binding has a window, and only there";
            return Err(String::from(text));
        }
        Ok(())
    }

    /// The member that a counter's key stands for.
    fn member<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        let (before, behind) = self.counters.split_once(MEMBER)?;
        let member = key.strip_prefix(before.as_bytes())?.strip_suffix(behind.as_bytes())?;
        (!member.is_empty()).then_some(member)
    }
}

/// Tells the board of a counter's value. Inside MULTI the board may lie elsewhere: the next change outside tells it.
pub async fn feed(cx: &Cx, config: &Config, counter: &Counter<'_>, value: i64) {
    let Some(feed) = config.feed.as_ref().filter(|_| cx.kind() != Kind::InMulti) else {
        return;
    };
    let Some(member) = feed.member(counter.base) else {
        return;
    };
    let board = match counter.window {
        Some(window) => feed.board.replace(WINDOW, &window.name()),
        None => feed.board.clone(),
    };
    let add = cmd("ZADD").arg(&board);
    let add = if feed.mode == Mode::Gt { add.arg("GT") } else { add };
    if let Err(error) = cx.call(add.arg(value).arg(member).hooked()).await {
        cx.metric_add(Count::NotFed as u32, 1);
        cx.log(3, &["counter: the board was not told: ", &error.text].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::{Feed, Mode};

    #[test]
    fn member_is_what_stands_in_its_place() {
        let feed = |counters: &str| Feed {
            board: "top".into(),
            counters: counters.into(),
            mode: Mode::Gt,
        };
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("jobs:{member}:views", "jobs:7:views", Some("7")),
            ("jobs:{member}:views", "jobs:a:b:views", Some("a:b")),
            ("jobs:{member}:views", "jobs::views", None),
            ("jobs:{member}:views", "jobs:7:clicks", None),
            ("jobs:{member}", "jobs:7", Some("7")),
            ("{member}", "7", Some("7")),
        ];
        for (counters, key, wanted) in cases {
            let feed = feed(counters);
            let member = feed.member(key.as_bytes());
            assert_eq!(member, wanted.map(str::as_bytes), "{counters} {key}");
        }
        assert!(
            feed("jobs").check(false).is_err() && feed("{member}{member}").check(false).is_err()
        );
        assert!(feed("{member}").check(true).is_err() && feed("{member}").check(false).is_ok());
    }
}

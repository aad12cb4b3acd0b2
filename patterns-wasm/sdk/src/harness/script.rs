//! Scripted replies: which commands must reach the shard, in which order, and what it answers.
//!
//! With a script the fake Redis answers nothing by itself. A command that is not the next one fails the test, and so does a
//! script that is not used up when the world is asked or dropped.

use std::collections::VecDeque;

use super::world::{World, refused};
use crate::convert::IntoReply;
use crate::reply::Reply;

/// The commands that must come.
#[derive(Default)]
pub(super) struct Script {
    lines: VecDeque<(Vec<String>, Reply)>,
}

impl Script {
    pub(super) fn execute(&mut self, words: &[Vec<u8>]) -> Reply {
        let came = shown(words);
        let Some((wanted, reply)) = self.lines.pop_front() else {
            refused(&format!("{came}: nothing more was expected"));
        };
        let fits = wanted.len() == words.len()
            && wanted.iter().zip(words).all(|(want, word)| want == "*" || want.as_bytes() == word);
        if !fits {
            refused(&format!("{came}: expected was {}", wanted.join(" ")));
        }
        reply
    }

    pub(super) fn left(&self) -> Vec<String> {
        self.lines.iter().map(|(words, _)| words.join(" ")).collect()
    }
}

fn shown(words: &[Vec<u8>]) -> String {
    let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
    words.join(" ")
}

/// A command that must come, without its reply yet. Made by [`World::expect`].
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::harness::world::World;
///
/// async fn rank(cx: Cx, args: Args) -> Result<Option<f64>> {
///     cx.call(zscore(args.key(), args.bytes(2))).await
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["RANK" => rank], capabilities: { commands: ["ZSCORE"] }
/// # }
/// # fn main() {
/// let mut world = World::new(&PLUGIN, "", 1, 1);
/// world.expect("ZSCORE board ann").reply("7.5");
/// world.expect("ZSCORE board *").reply(Reply::Null);
/// world.expect("ZSCORE list ann").error("WRONGTYPE Operation against a key holding the wrong kind of value");
/// assert_eq!(world.ask(0, 1, &["RANK", "board", "ann"]), Some(Reply::bulk("7.5")));
/// assert_eq!(world.ask(0, 1, &["RANK", "board", "bob"]), Some(Reply::Null));
/// let Some(Reply::Error(text)) = world.ask(0, 1, &["RANK", "list", "ann"]) else { panic!() };
/// assert!(text.starts_with("WRONGTYPE"));
/// world.check_done();
/// # }
/// ```
#[must_use = "it needs its reply"]
pub struct Expected<'a> {
    script: &'a mut Script,
    words: Vec<String>,
}

impl Expected<'_> {
    /// What the shard answers.
    pub fn reply(self, reply: impl IntoReply) {
        let reply = reply.into_reply().unwrap_or_else(|error| Reply::Error(error.text));
        self.script.lines.push_back((self.words, reply));
    }

    /// The error that the shard answers: code first, without the leading `-`.
    pub fn error(self, text: &str) {
        self.reply(Reply::Error(text.into()));
    }
}

impl World {
    /// The next command that must reach the shard, words apart by spaces; `*` is any one word. From now on nothing else is
    /// answered. See [`Expected`].
    pub fn expect(&mut self, words: &str) -> Expected<'_> {
        let words = words.split_whitespace().map(String::from).collect();
        Expected { script: self.redis.script.get_or_insert_default(), words }
    }

    /// Fails the test unless every expected command has come and no call is left.
    pub fn check_done(&self) {
        let left = self.redis.script.as_ref().map(Script::left).unwrap_or_default();
        if !left.is_empty() {
            refused(&format!("these commands never came: {}", left.join(", ")));
        }
        if self.live() > 0 {
            refused(&format!("{} calls are still under way", self.live()));
        }
    }
}

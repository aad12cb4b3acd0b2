//! The tour: its chapters in order, and what every chapter needs.
//!
//! In: a `Stage` and a `Screen`. Out: what was asked, what came back and whether that was expected. A chapter that
//! loses its connection is one cross and the tour goes on; only an interruption ends it. Chapters share one client, which
//! is connected anew after such a loss, and may open more. Chapters do not depend on each other's keys.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use super::client::Client;
use super::reply::Reply;
use super::screen::Screen;
use super::stage::Stage;
use super::stop::{Interrupted, Stop};
use super::{cache, plain, swap};
use crate::topology::Topology;

/// Why a chapter ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum TourError {
    #[error("interrupted")]
    Interrupted,
    /// A connection failed, or a reply was not in time.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// What the rest of the chapter builds on is not there.
    #[error("{0}")]
    Unmet(String),
}

impl From<Interrupted> for TourError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

type Chapter = fn(&mut Tour<'_>) -> Result<(), TourError>;

/// What is shown, in this order.
const CHAPTERS: &[(&str, Chapter)] = &[
    ("Where a key lives", plain::where_a_key_lives),
    ("One address, three shards", plain::three_shards),
    ("Commands with many keys are split and joined", plain::many_keys),
    ("A pipeline keeps its order", plain::pipeline),
    ("A transaction lives on one shard", plain::transaction),
    ("What clients say first, and what is refused", plain::greetings),
    ("Plugins: commands of their own, and INFO", plain::plugins),
    ("cache: one client recomputes, the others get the stale value", cache::stale_value),
    ("cache: 200 clients ask for one expired key at once", cache::expired_key),
    ("cache: 200 clients ask for one missing key at once", cache::missing_key),
    ("A plugin is replaced while clients work", swap::hot_swap),
];

/// A tour under way.
#[derive(Debug)]
pub(super) struct Tour<'a> {
    pub(super) stage: &'a Stage,
    pub(super) stop: &'a Stop,
    pub(super) screen: &'a mut Screen,
    pub(super) topology: Option<Topology>,
    client: Option<Client>,
}

impl<'a> Tour<'a> {
    pub(super) fn new(stage: &'a Stage, stop: &'a Stop, screen: &'a mut Screen) -> Self {
        let topology = stage.config.pools.first().map(Topology::from_pool);
        Self { stage, stop, screen, topology, client: None }
    }

    /// Shows every chapter.
    pub(super) fn run(mut self) -> Result<(), Interrupted> {
        for (number, (title, chapter)) in (1..).zip(CHAPTERS) {
            self.stop.check()?;
            self.screen.chapter(number, title);
            match chapter(&mut self) {
                Ok(()) => {}
                Err(TourError::Interrupted) => return Err(Interrupted),
                Err(error) => {
                    self.client = None;
                    self.screen.fail(&format!("this chapter ended early: {error}"));
                }
            }
        }
        Ok(())
    }

    /// One more connection to the gateway.
    pub(super) fn connect(&self) -> Result<Client, TourError> {
        Ok(Client::connect(self.stage.address)?)
    }

    /// The tour's own connection to the gateway.
    pub(super) fn client(&mut self) -> Result<&mut Client, TourError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.connect()?,
        };
        Ok(self.client.insert(client))
    }

    /// Sends a command and shows it with its reply.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<Reply, TourError> {
        self.screen.command("", words);
        let reply = self.quiet(words)?;
        self.screen.reply(&reply);
        Ok(reply)
    }

    /// The same over a connection of its own, which is named.
    pub(super) fn ask_as(
        &mut self,
        who: &str,
        client: &mut Client,
        words: &[&str],
    ) -> Result<Reply, TourError> {
        self.stop.check()?;
        self.screen.command(who, words);
        let reply = client.command(words)?;
        self.screen.reply(&reply);
        Ok(reply)
    }

    /// Sends a command without showing it.
    pub(super) fn quiet(&mut self, words: &[&str]) -> Result<Reply, TourError> {
        self.stop.check()?;
        Ok(self.client()?.command(words)?)
    }

    /// A tick if `found` is `expected`, else a cross with both.
    pub(super) fn check(&mut self, claim: &str, expected: impl Display, found: impl Display) {
        self.screen.check(claim, &expected.to_string(), &found.to_string());
    }

    /// Asks `look` until it finds something.
    pub(super) fn until<T>(
        &self,
        what: &str,
        time: Duration,
        look: impl FnMut() -> Option<T>,
    ) -> Result<T, TourError> {
        let found = self.stop.until(time, look)?;
        found.ok_or_else(|| TourError::Unmet(format!("waited {time:?} in vain until {what}")))
    }

    /// The name of the shard that owns `key` by the configuration.
    pub(super) fn owner(&self, key: &str) -> String {
        let shard = self.topology.as_ref().map(|topology| topology.shard_of(key.as_bytes()));
        let shard = shard.and_then(|shard| self.stage.shards.get(usize::from(shard)));
        shard.map_or(String::new(), |shard| shard.name.to_owned())
    }

    /// The names of the shards that hold `key`, as they say themselves, past the gateway.
    pub(super) fn holders(&self, key: &str) -> Result<String, TourError> {
        let mut names = Vec::new();
        for shard in &self.stage.shards {
            let mut client = Client::connect(shard.address)?;
            if client.command(&["EXISTS", key])? == Reply::Integer(1) {
                names.push(shard.name);
            }
        }
        Ok(names.join(", "))
    }
}

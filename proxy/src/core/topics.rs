//! Who subscribes to what: the topics of one pool on one worker.
//!
//! ```text
//!   (kind, name) ──► own sessions, each told of messages once its subscription is confirmed
//!               └──► how many sessions of the other workers, as they have told
//! ```
//! A topic is a channel, a pattern or a shard channel. It is there while a session of any worker subscribes to it, so
//! this table answers PUBSUB and counts the receivers of a PUBLISH for the whole gateway, and the own sessions say what
//! the worker's connections to the shards must be subscribed to. Names are shared with the sessions' own lists.
//! Only state: who is asked and told is `pubsub`'s and `subscriber`'s.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use crate::command::rule::ChannelKind;
use crate::core::ids::{LaneId, SessionId};
use crate::local::glob;

const KINDS: usize = 3;

/// What one session subscribes to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    names: [BTreeSet<Bytes>; KINDS],
    /// Messages that came before the confirmation of the latest SUBSCRIBE was given, in their order.
    pub(crate) held: Option<Vec<u8>>,
}

impl Subscriptions {
    /// How many of this kind.
    pub fn count(&self, kind: ChannelKind) -> usize {
        self.of(kind).len()
    }

    /// How many channels, patterns and shard channels.
    pub fn counts(&self) -> [usize; KINDS] {
        [ChannelKind::Channel, ChannelKind::Pattern, ChannelKind::Shard]
            .map(|kind| self.count(kind))
    }

    /// How many altogether.
    pub fn len(&self) -> usize {
        self.names.iter().map(BTreeSet::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those of this kind, in order.
    pub(crate) fn of(&self, kind: ChannelKind) -> &BTreeSet<Bytes> {
        let [channels, patterns, shard_channels] = &self.names;
        match kind {
            ChannelKind::Channel => channels,
            ChannelKind::Pattern => patterns,
            ChannelKind::Shard => shard_channels,
        }
    }

    pub(crate) fn of_mut(&mut self, kind: ChannelKind) -> &mut BTreeSet<Bytes> {
        let [channels, patterns, shard_channels] = &mut self.names;
        match kind {
            ChannelKind::Channel => channels,
            ChannelKind::Pattern => patterns,
            ChannelKind::Shard => shard_channels,
        }
    }

    /// The number in a confirmation: channels and patterns count together, shard channels by themselves.
    pub(crate) fn confirmed_count(&self, kind: ChannelKind) -> usize {
        match kind {
            ChannelKind::Channel | ChannelKind::Pattern => {
                self.count(ChannelKind::Channel) + self.count(ChannelKind::Pattern)
            }
            ChannelKind::Shard => self.count(kind),
        }
    }
}

/// A channel or pattern with its subscribers.
#[derive(Debug, Default)]
struct Topic {
    /// This worker's, and whether each is given messages: not before its subscription is confirmed.
    sessions: BTreeMap<SessionId, bool>,
    /// How many the other workers have.
    elsewhere: u64,
}

impl Topic {
    /// Those that messages reach.
    fn subscribers(&self) -> u64 {
        let own = self.sessions.values().filter(|active| **active).count();
        own as u64 + self.elsewhere
    }

    fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.elsewhere == 0
    }
}

/// The topics of a pool.
#[derive(Debug, Default)]
pub struct Topics {
    topics: [HashMap<Bytes, Topic>; KINDS],
    /// Subscriptions of this worker's sessions.
    own: usize,
    /// By shard: the connection that is subscribed to what is wanted of that shard.
    pub(crate) lanes: Vec<Option<LaneId>>,
}

impl Topics {
    /// None yet, in a pool of so many shards.
    pub fn new(shards: usize) -> Self {
        Self { topics: Default::default(), own: 0, lanes: vec![None; shards] }
    }

    /// Subscriptions of this worker's sessions.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    fn of(&self, kind: ChannelKind) -> &HashMap<Bytes, Topic> {
        let [channels, patterns, shard_channels] = &self.topics;
        match kind {
            ChannelKind::Channel => channels,
            ChannelKind::Pattern => patterns,
            ChannelKind::Shard => shard_channels,
        }
    }

    fn of_mut(&mut self, kind: ChannelKind) -> &mut HashMap<Bytes, Topic> {
        let [channels, patterns, shard_channels] = &mut self.topics;
        match kind {
            ChannelKind::Channel => channels,
            ChannelKind::Pattern => patterns,
            ChannelKind::Shard => shard_channels,
        }
    }

    /// A session subscribes; it is given no messages yet.
    pub(crate) fn add(&mut self, kind: ChannelKind, name: &Bytes, id: SessionId) {
        let topic = self.of_mut(kind).entry(name.clone()).or_default();
        if topic.sessions.insert(id, false).is_none() {
            self.own += 1;
        }
    }

    /// From now on the session is given messages, if it still subscribes.
    pub(crate) fn activate(&mut self, kind: ChannelKind, name: &[u8], id: SessionId) {
        let topic = self.of_mut(kind).get_mut(name);
        if let Some(active) = topic.and_then(|topic| topic.sessions.get_mut(&id)) {
            *active = true;
        }
    }

    /// Whether a session is given the topic's messages.
    pub(crate) fn is_active(&self, kind: ChannelKind, name: &[u8], id: SessionId) -> bool {
        let topic = self.of(kind).get(name);
        topic.and_then(|topic| topic.sessions.get(&id)).is_some_and(|active| *active)
    }

    /// A session subscribes no more. Whether it was the last one of this worker.
    pub(crate) fn remove(&mut self, kind: ChannelKind, name: &[u8], id: SessionId) -> bool {
        let topics = self.of_mut(kind);
        let Some(topic) = topics.get_mut(name) else {
            return false;
        };
        if topic.sessions.remove(&id).is_none() {
            return false;
        }
        let is_last = topic.sessions.is_empty();
        if is_last && topic.elsewhere == 0 {
            topics.remove(name);
        }
        self.own = self.own.saturating_sub(1);
        is_last
    }

    /// Sessions of another worker come to a topic, or leave it.
    pub(crate) fn change_elsewhere(&mut self, kind: ChannelKind, name: &Bytes, comes: bool) {
        let topics = self.of_mut(kind);
        if comes {
            topics.entry(name.clone()).or_default().elsewhere += 1;
            return;
        }
        if let Some(topic) = topics.get_mut(name) {
            topic.elsewhere = topic.elsewhere.saturating_sub(1);
            if topic.is_empty() {
                topics.remove(name);
            }
        }
    }

    /// The sessions that are given the topic's messages.
    pub(crate) fn receivers(
        &self,
        kind: ChannelKind,
        name: &[u8],
    ) -> impl Iterator<Item = SessionId> {
        let sessions = self.of(kind).get(name).map(|topic| &topic.sessions);
        let sessions = sessions.into_iter().flatten();
        sessions.filter(|(_, active)| **active).map(|(id, _)| *id)
    }

    /// What sessions of this worker subscribe to, in the order of names.
    pub(crate) fn wanted(&self, kind: ChannelKind) -> Vec<Bytes> {
        let topics = self.of(kind).iter().filter(|(_, topic)| !topic.sessions.is_empty());
        let mut names: Vec<Bytes> = topics.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Subscribers of one channel or pattern, over all workers.
    pub(crate) fn subscribers(&self, kind: ChannelKind, name: &[u8]) -> u64 {
        self.of(kind).get(name).map_or(0, Topic::subscribers)
    }

    /// How many sessions, over all workers, a message to this channel reaches: one that has the channel and a pattern
    /// counts twice, since it gets the message twice.
    pub(crate) fn reach(&self, kind: ChannelKind, channel: &[u8]) -> u64 {
        let direct = self.subscribers(kind, channel);
        match kind {
            ChannelKind::Shard => direct,
            ChannelKind::Channel | ChannelKind::Pattern => {
                let patterns = self.of(ChannelKind::Pattern).iter();
                let matching = patterns.filter(|(name, _)| glob::matches(name, channel, false));
                direct + matching.map(|(_, topic)| topic.subscribers()).sum::<u64>()
            }
        }
    }

    /// Number of topics of a kind, over all workers.
    pub(crate) fn number(&self, kind: ChannelKind) -> usize {
        self.of(kind).values().filter(|topic| topic.subscribers() > 0).count()
    }

    /// Topics of a kind whose names match, over all workers, in the order of names.
    pub(crate) fn matching(&self, kind: ChannelKind, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let topics = self.of(kind).iter().filter(|(_, topic)| topic.subscribers() > 0);
        let names = topics.map(|(name, _)| name);
        let is_meant =
            |name: &&Bytes| pattern.is_none_or(|pattern| glob::matches(pattern, name, false));
        let mut names: Vec<Bytes> = names.filter(is_meant).cloned().collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;
    use ChannelKind::{Channel, Pattern, Shard};

    fn sessions() -> (SessionId, SessionId) {
        let mut map: SlotMap<SessionId, ()> = SlotMap::with_key();
        (map.insert(()), map.insert(()))
    }

    #[test]
    fn messages_go_to_those_whose_subscription_is_confirmed() {
        let (a, b) = sessions();
        let mut topics = Topics::new(1);
        let name = Bytes::from_static(b"news");
        topics.add(Channel, &name, a);
        topics.add(Channel, &name, b);
        assert_eq!(topics.receivers(Channel, b"news").count(), 0);
        topics.activate(Channel, b"news", b);
        assert_eq!(topics.receivers(Channel, b"news").collect::<Vec<_>>(), [b]);
        assert!(!topics.remove(Channel, b"news", b));
        assert!(!topics.remove(Channel, b"news", b), "only once");
        topics.activate(Channel, b"news", b);
        assert_eq!(topics.receivers(Channel, b"news").count(), 0, "it has left");
        assert!(topics.remove(Channel, b"news", a));
        assert_eq!((topics.number(Channel), topics.own()), (0, 0));
    }

    #[test]
    fn a_message_reaches_channels_and_patterns_of_all_workers() {
        let (a, _) = sessions();
        let mut topics = Topics::new(1);
        let add = |topics: &mut Topics, kind, name: &'static [u8]| {
            topics.add(kind, &Bytes::from_static(name), a);
            assert_eq!(topics.subscribers(kind, name), 0, "it is not confirmed");
            topics.activate(kind, name, a);
        };
        add(&mut topics, Channel, b"n1");
        add(&mut topics, Pattern, b"n*");
        add(&mut topics, Pattern, b"x*");
        add(&mut topics, Shard, b"n1");
        topics.change_elsewhere(Pattern, &Bytes::from_static(b"n?"), true);
        topics.change_elsewhere(Channel, &Bytes::from_static(b"n1"), true);
        assert_eq!(topics.reach(Channel, b"n1"), 4);
        assert_eq!(topics.reach(Channel, b"n22"), 1);
        assert_eq!(topics.reach(Shard, b"n1"), 1);
        assert_eq!(topics.number(Pattern), 3);
        assert_eq!(topics.wanted(Pattern), ["n*", "x*"]);
        assert_eq!(topics.matching(Pattern, Some(b"n*")), ["n*", "n?"]);
        topics.change_elsewhere(Pattern, &Bytes::from_static(b"n?"), false);
        assert_eq!((topics.number(Pattern), topics.reach(Channel, b"n1")), (2, 3));
        assert!(topics.remove(Channel, b"n1", a), "no own session is left");
        assert_eq!(topics.subscribers(Channel, b"n1"), 1, "another worker's is");
    }

    #[test]
    fn confirmations_count_channels_and_patterns_together() {
        let mut subscriptions = Subscriptions::default();
        for (kind, name) in [(Channel, "a"), (Pattern, "b"), (Shard, "c"), (Shard, "d")] {
            subscriptions.of_mut(kind).insert(Bytes::from_static(name.as_bytes()));
        }
        let counts = [Channel, Pattern, Shard].map(|kind| subscriptions.confirmed_count(kind));
        assert_eq!(counts, [2, 2, 2]);
        assert_eq!((subscriptions.len(), subscriptions.count(Channel)), (4, 1));
    }
}

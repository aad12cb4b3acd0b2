//! SUBSCRIBE, UNSUBSCRIBE and PUBSUB: what sessions want to be told, and what is known of it.
//!
//! ```text
//!   SUBSCRIBE a b ─► session + topics ─┬─► every shard that may be asked   ─► confirmed ─┐
//!                                      └─► the other workers (their counts) ─► known ────┴─► confirmations, one place
//! ```
//! A SUBSCRIBE waits until its session owes no earlier reply, and the session's next request until it is confirmed. So
//! a confirmation stands where a server would put it, messages come only behind it, and who publishes after it reaches
//! the subscriber and counts it, on whichever worker. A shard that cannot be reached holds nothing up: it is subscribed
//! to as soon as it is back. UNSUBSCRIBE takes effect at once. A session in RESP2 that subscribes may do little else.

use bytes::Bytes;

use crate::command::CommandSpec;
use crate::command::rule::{ChannelKind, LocalCommand, PubsubCommand, Rule};
use crate::core::confirm::{Change, SubscriptionNews};
use crate::core::ids::SessionId;
use crate::core::request::Request;
use crate::core::topics::Subscriptions;
use crate::core::{Core, Pool};
use crate::limits;
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};

const ALL_KINDS: [ChannelKind; 3] =
    [ChannelKind::Channel, ChannelKind::Pattern, ChannelKind::Shard];

impl Core {
    /// Carries out a command of publish and subscribe.
    pub(crate) fn pubsub_command(
        &mut self,
        id: SessionId,
        command: PubsubCommand,
        request: Request<'_>,
    ) {
        match command {
            PubsubCommand::Subscribe(kind) => self.subscribe(id, kind, &request.args),
            PubsubCommand::Unsubscribe(kind) => self.unsubscribe(id, kind, &request.args),
            PubsubCommand::Publish(kind) => self.publish(id, kind, request),
            PubsubCommand::Channels(kind) => self.answer_channels(id, kind, &request.args),
            PubsubCommand::Numsub(kind) => self.answer_numsub(id, kind, &request.args),
            PubsubCommand::Numpat => self.answer_numpat(id),
        }
    }

    fn subscribe(&mut self, id: SessionId, kind: ChannelKind, args: &Args<'_>) {
        if self.refuse_too_many(id, args.len() - 1) {
            return;
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (pool, protocol) = (session.pool, session.identity.protocol);
        let subscriptions = session.subscriptions.get_or_insert_default();
        let mut reply = Vec::new();
        let mut added = Vec::new();
        for name in args.from(1) {
            if !subscriptions.of(kind).contains(name) {
                let name = Bytes::copy_from_slice(name);
                subscriptions.of_mut(kind).insert(name.clone());
                added.push(name);
            }
            let count = subscriptions.confirmed_count(kind);
            confirmation(&mut reply, protocol, subscribe_word(kind), Some(name), count);
        }
        if added.is_empty() {
            return self.confirm_now(id, &reply);
        }
        // Before the topics are there: a connection that is opened now asks for all there are.
        let lanes = self.subscriber_lanes(pool, kind, &added);
        let confirmation = self.begin_confirmation(id, pool, Change::Comes, (kind, added), reply);
        self.ask_subscribe(pool, confirmation, &lanes);
        self.end_asking(confirmation);
    }

    /// Refuses a SUBSCRIBE of so many names if it would be beyond a bound. Says whether it did.
    fn refuse_too_many(&mut self, id: SessionId, names: usize) -> bool {
        let Some(session) = self.sessions.get(id) else {
            return true;
        };
        let has = session.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.len());
        let pool = self.pools.get(usize::from(session.pool));
        let all = pool.map_or(0, |pool| pool.topics.own());
        let (most, most_of_all) =
            (limits::SESSION_SUBSCRIPTIONS_MAX, limits::WORKER_SUBSCRIPTIONS_MAX);
        let text = if has + names > most {
            format!(
                "ERR too many subscriptions: this connection has {has} of at most {most}; use another connection or a pattern"
            )
        } else if all + names > most_of_all {
            format!(
                "ERR too many subscriptions: this worker of the gateway has {all} of at most {most_of_all}; use patterns"
            )
        } else {
            return false;
        };
        self.refuse_next(id, &text);
        true
    }

    fn unsubscribe(&mut self, id: SessionId, kind: ChannelKind, args: &Args<'_>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (pool, protocol) = (session.pool, session.identity.protocol);
        let mut none = Subscriptions::default();
        let subscriptions = match &mut session.subscriptions {
            Some(subscriptions) => subscriptions.as_mut(),
            None => &mut none,
        };
        let word = unsubscribe_word(kind);
        let mut reply = Vec::new();
        let mut removed = Vec::new();
        let names: Vec<Bytes> = if args.len() > 1 {
            args.from(1).map(Bytes::copy_from_slice).collect()
        } else {
            subscriptions.of(kind).iter().cloned().collect()
        };
        for name in names {
            let was_there = subscriptions.of_mut(kind).remove(&name);
            let count = subscriptions.confirmed_count(kind);
            confirmation(&mut reply, protocol, word, Some(&name), count);
            if was_there {
                removed.push(name);
            }
        }
        if reply.is_empty() {
            confirmation(&mut reply, protocol, word, None, subscriptions.confirmed_count(kind));
        }
        if subscriptions.is_empty() {
            session.subscriptions = None;
        }
        if removed.is_empty() {
            return self.confirm_now(id, &reply);
        }
        self.leave(pool, id, kind, &removed);
        let confirmation = self.begin_confirmation(id, pool, Change::Goes, (kind, removed), reply);
        self.end_asking(confirmation);
    }

    /// Takes a session off topics; what nobody of this worker wants any more is unsubscribed at the shards.
    pub(crate) fn leave(&mut self, pool: u16, id: SessionId, kind: ChannelKind, names: &[Bytes]) {
        let Some(topics) = self.pools.get_mut(usize::from(pool)).map(|pool| &mut pool.topics)
        else {
            return;
        };
        let unwanted: Vec<&Bytes> =
            names.iter().filter(|name| topics.remove(kind, name, id)).collect();
        self.ask_unsubscribe(pool, kind, &unwanted);
    }

    /// Ends all subscriptions of a session that leaves, or that takes everything back (RESET): nobody is told.
    pub(crate) fn end_subscriptions(
        &mut self,
        pool: u16,
        id: SessionId,
        subscriptions: Option<Box<Subscriptions>>,
    ) {
        let Some(subscriptions) = subscriptions else {
            return;
        };
        for kind in ALL_KINDS {
            let names: Vec<Bytes> = subscriptions.of(kind).iter().cloned().collect();
            // The others know only of those that the shards had confirmed.
            let topics = self.pools.get(usize::from(pool)).map(|pool| &pool.topics);
            let told =
                |name: &&Bytes| topics.is_some_and(|topics| topics.is_active(kind, name, id));
            let told: Vec<Bytes> = names.iter().filter(told).cloned().collect();
            self.leave(pool, id, kind, &names);
            if !told.is_empty() {
                self.tell_workers(pool, Change::Goes, kind, told, None);
            }
        }
    }

    /// Refuses, in Redis's words, what a session may not ask while it subscribes in RESP2; whether it did.
    pub(crate) fn refuse_subscriber(&mut self, id: SessionId, spec: &CommandSpec) -> bool {
        let is_allowed = matches!(
            spec.rule,
            Rule::Pubsub(PubsubCommand::Subscribe(_) | PubsubCommand::Unsubscribe(_))
                | Rule::Local(LocalCommand::Ping | LocalCommand::Quit | LocalCommand::Reset)
        );
        !is_allowed && self.refuse_subscriber_named(id, &spec.name)
    }

    /// The same for a command that is surely not allowed.
    pub(crate) fn refuse_subscriber_named(&mut self, id: SessionId, name: &str) -> bool {
        if !self.sessions.get(id).is_some_and(|session| session.is_subscribed_in_resp2()) {
            return false;
        }
        let start =
            if name == "exec" { "EXECABORT Transaction discarded because of:" } else { "ERR" };
        let text = format!(
            "{start} Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
             allowed in this context"
        );
        self.refuse_next(id, &text);
        true
    }

    /// PING of a session that subscribes in RESP2; whether it was one.
    pub(crate) fn answer_subscribers_ping(&mut self, id: SessionId, args: &Args<'_>) -> bool {
        let is_subscribed = self.sessions.get(id).is_some_and(|it| it.is_subscribed_in_resp2());
        // Too many arguments are answered as elsewhere.
        if !is_subscribed || args.len() > 2 {
            return false;
        }
        let mut reply = Vec::new();
        write::array_header(&mut reply, 2);
        write::bulk(&mut reply, b"pong");
        write::bulk(&mut reply, args.get(1).unwrap_or_default());
        self.answer_next(id, &reply);
        true
    }

    fn answer_channels(&mut self, id: SessionId, kind: ChannelKind, args: &Args<'_>) {
        if args.len() > 3 {
            let word = String::from_utf8_lossy(args.get(1).unwrap_or_default());
            let text = format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try PUBSUB HELP."
            );
            return self.refuse_next(id, &text);
        }
        let mut reply = Vec::new();
        if let Some(pool) = self.pool_of(id) {
            let names = pool.topics.matching(kind, args.get(2));
            write::array_header(&mut reply, names.len());
            names.iter().for_each(|name| write::bulk(&mut reply, name));
        }
        self.answer_next(id, &reply);
    }

    fn answer_numsub(&mut self, id: SessionId, kind: ChannelKind, args: &Args<'_>) {
        let mut reply = Vec::new();
        if let Some(pool) = self.pool_of(id) {
            let names = args.from(2);
            write::array_header(&mut reply, names.len() * 2);
            for name in names {
                write::bulk(&mut reply, name);
                let subscribers = pool.topics.subscribers(kind, name);
                write::integer(&mut reply, i64::try_from(subscribers).unwrap_or(i64::MAX));
            }
        }
        self.answer_next(id, &reply);
    }

    fn answer_numpat(&mut self, id: SessionId) {
        let number = self.pool_of(id).map_or(0, |pool| pool.topics.number(ChannelKind::Pattern));
        let mut reply = Vec::new();
        write::integer(&mut reply, i64::try_from(number).unwrap_or(i64::MAX));
        self.answer_next(id, &reply);
    }

    fn pool_of(&self, id: SessionId) -> Option<&Pool> {
        self.pools.get(usize::from(self.sessions.get(id)?.pool))
    }

    /// Another worker's sessions subscribe, or do so no more.
    pub fn subscriptions_changed(&mut self, news: &SubscriptionNews) {
        if let Some(pool) = self.pools.get_mut(usize::from(news.pool)) {
            for name in &news.names {
                pool.topics.change_elsewhere(news.kind, name, news.change == Change::Comes);
            }
        }
        if let Some(confirmation) = news.confirmation {
            self.wake.news_known.push((news.from, confirmation));
        }
    }
}

/// A (un)subscription as clients are told of it.
fn confirmation(
    out: &mut Vec<u8>,
    protocol: Protocol,
    word: &str,
    name: Option<&[u8]>,
    count: usize,
) {
    write::push_header(out, protocol, 3);
    write::bulk(out, word.as_bytes());
    match name {
        Some(name) => write::bulk(out, name),
        None => write::null(out, protocol),
    }
    write::integer(out, i64::try_from(count).unwrap_or(i64::MAX));
}

/// The command, and the first word of its confirmation.
pub(crate) fn subscribe_word(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Channel => "subscribe",
        ChannelKind::Pattern => "psubscribe",
        ChannelKind::Shard => "ssubscribe",
    }
}

/// The same for the opposite.
pub(crate) fn unsubscribe_word(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Channel => "unsubscribe",
        ChannelKind::Pattern => "punsubscribe",
        ChannelKind::Shard => "sunsubscribe",
    }
}

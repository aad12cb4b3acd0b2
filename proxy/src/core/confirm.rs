//! Subscriptions that are not confirmed yet.
//!
//! ```text
//!   SUBSCRIBE ─► the shards that were asked ─► the session counts, messages are held ─► the other workers ─► the place is
//!                                                                                       filled, messages flow
//! ```
//! A subscriber counts for nobody's PUBLISH before the shards know it, and for everybody's once it is told: so a PUBLISH
//! that says 1 has a receiver, and a PUBLISH after a confirmation says 1.
//! A confirmation is one SUBSCRIBE or UNSUBSCRIBE of a session. A shard that refuses (its user may not read the channel)
//! makes the reply that refusal, and nothing is subscribed. A shard that breaks or does not answer counts as having
//! confirmed: it is asked again when it is back. The workers tell each other every change, in order, so that each can
//! count the subscribers of all; when the gateway stops nobody waits for another worker any more.

use bytes::Bytes;

use crate::buffer::Piece;
use crate::command::rule::ChannelKind;
use crate::core::Core;
use crate::core::ids::{ConfirmationId, SessionId};
use crate::pending::Place;

/// Which way a subscription changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It begins.
    Comes,
    /// It ends.
    Goes,
}

/// What a worker tells the others: some session of a pool subscribes, or does so no more.
#[derive(Debug, Clone)]
pub struct SubscriptionNews {
    /// The worker that tells.
    pub from: usize,
    /// Index of the pool.
    pub pool: u16,
    /// What is subscribed.
    pub kind: ChannelKind,
    /// The channels or patterns, each once.
    pub names: Vec<Bytes>,
    /// Which way.
    pub change: Change,
    /// Who waits until it is known.
    pub confirmation: Option<ConfirmationId>,
}

/// A change of a session's subscriptions under way.
#[derive(Debug)]
pub(crate) struct Confirmation {
    pub(crate) session: SessionId,
    pool: u16,
    place: Place,
    change: Change,
    pub(crate) kind: ChannelKind,
    pub(crate) names: Vec<Bytes>,
    reply: Vec<u8>,
    /// What a shard said that does not allow it.
    refusal: Option<Vec<u8>>,
    /// Requests to shards that have no answer yet, and one while more are being made.
    shards: usize,
    workers: usize,
    /// The other workers have been told.
    is_told: bool,
}

impl Core {
    /// Takes a session's next place for a change of its subscriptions to these names; its next request waits.
    pub(crate) fn begin_confirmation(
        &mut self,
        id: SessionId,
        pool: u16,
        change: Change,
        (kind, names): (ChannelKind, Vec<Bytes>),
        reply: Vec<u8>,
    ) -> ConfirmationId {
        let mut place = 0;
        if let Some(session) = self.sessions.get_mut(id) {
            // CLIENT REPLY OFF does not mute what a client subscribes to.
            place = session.pending.push_unmuted();
            session.alone_place = Some(place);
        }
        let confirmation = self.confirmations.insert(Confirmation {
            session: id,
            pool,
            place,
            change,
            kind,
            names,
            reply,
            refusal: None,
            shards: 1,
            workers: 0,
            is_told: false,
        });
        if change == Change::Goes {
            self.tell_of(confirmation);
        }
        confirmation
    }

    /// Tells the other workers of a change, and waits for them.
    fn tell_of(&mut self, id: ConfirmationId) {
        let Some(open) = self.confirmations.get_mut(id) else {
            return;
        };
        open.is_told = true;
        let (pool, change, kind, names) = (open.pool, open.change, open.kind, open.names.clone());
        let workers = self.tell_workers(pool, change, kind, names, Some(id));
        if let Some(open) = self.confirmations.get_mut(id) {
            open.workers = workers;
        }
    }

    /// The shards know of a session's new subscriptions: it counts, and its messages are held until it is told.
    fn activate(&mut self, id: ConfirmationId) {
        let Some(open) = self.confirmations.get(id) else {
            return;
        };
        let subscriptions =
            self.sessions.get_mut(open.session).and_then(|session| session.subscriptions.as_mut());
        let (Some(subscriptions), Some(pool)) =
            (subscriptions, self.pools.get_mut(usize::from(open.pool)))
        else {
            return;
        };
        subscriptions.held = Some(Vec::new());
        for name in &open.names {
            pool.topics.activate(open.kind, name, open.session);
        }
        self.tell_of(id);
    }

    /// Confirms what changes nothing.
    pub(crate) fn confirm_now(&mut self, id: SessionId, reply: &[u8]) {
        if let Some(session) = self.sessions.get_mut(id) {
            let place = session.pending.push_unmuted();
            self.answer(id, place, Piece::borrowed(reply));
        }
    }

    /// Tells the other workers; how many there are.
    pub(crate) fn tell_workers(
        &mut self,
        pool: u16,
        change: Change,
        kind: ChannelKind,
        names: Vec<Bytes>,
        confirmation: Option<ConfirmationId>,
    ) -> usize {
        let others = self.facts.workers.saturating_sub(1);
        if others == 0 || self.draining {
            return 0;
        }
        let from = usize::try_from(self.worker).unwrap_or(0);
        let news = SubscriptionNews { from, pool, kind, names, change, confirmation };
        self.wake.subscription_news.push(news);
        others
    }

    /// One more shard is asked.
    pub(crate) fn shard_is_asked(&mut self, id: ConfirmationId) {
        if let Some(open) = self.confirmations.get_mut(id) {
            open.shards += 1;
        }
    }

    /// All shards that are to be asked have been.
    pub(crate) fn end_asking(&mut self, id: ConfirmationId) {
        self.shard_confirmed(id, None);
    }

    /// A shard has answered, or will not. A confirmation of nobody is one for a connection that was opened again.
    pub(crate) fn shard_confirmed(&mut self, id: ConfirmationId, refusal: Option<&[u8]>) {
        let Some(open) = self.confirmations.get_mut(id) else {
            return;
        };
        open.shards = open.shards.saturating_sub(1);
        if let Some(refusal) = refusal {
            open.refusal = Some(refusal.to_vec());
        }
        self.confirm_if_complete(id);
    }

    /// Another worker knows of the change.
    pub fn worker_confirmed(&mut self, id: ConfirmationId) {
        if let Some(open) = self.confirmations.get_mut(id) {
            open.workers = open.workers.saturating_sub(1);
            self.confirm_if_complete(id);
        }
    }

    /// The gateway stops: the other workers are not waited for.
    pub(crate) fn end_worker_confirmations(&mut self) {
        let all: Vec<ConfirmationId> = self.confirmations.keys().collect();
        for id in all {
            if let Some(open) = self.confirmations.get_mut(id) {
                open.workers = 0;
            }
            self.confirm_if_complete(id);
        }
    }

    fn confirm_if_complete(&mut self, id: ConfirmationId) {
        let Some(open) = self.confirmations.get(id).filter(|open| open.shards == 0) else {
            return;
        };
        if !open.is_told && open.refusal.is_none() {
            self.activate(id);
        }
        if self.confirmations.get(id).is_none_or(|open| open.workers > 0) {
            return;
        }
        let Some(open) = self.confirmations.remove(id) else {
            return;
        };
        let reply = match open.refusal {
            Some(refusal) => {
                self.take_back(open.session, open.pool, open.kind, open.names);
                refusal
            }
            None => open.reply,
        };
        self.answer(open.session, open.place, Piece::borrowed(&reply));
        self.release_held(open.session);
    }

    /// A SUBSCRIBE that a shard refused.
    fn take_back(&mut self, id: SessionId, pool: u16, kind: ChannelKind, names: Vec<Bytes>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if let Some(subscriptions) = &mut session.subscriptions {
            names.iter().for_each(|name| {
                subscriptions.of_mut(kind).remove(name);
            });
            if subscriptions.is_empty() {
                session.subscriptions = None;
            }
        }
        self.leave(pool, id, kind, &names);
    }
}

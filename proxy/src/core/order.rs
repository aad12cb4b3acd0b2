//! Which requests wait for earlier ones of their session.
//!
//! Requests mostly go their way at once and their replies are put in order by `pending`. Those that change what the
//! session's later bytes mean, or over which connection its replies come, wait until nothing is owed; a request behind
//! one that goes over a private lane, or is not confirmed, waits for that one.

use crate::command::resolve::resolve;
use crate::core::Core;
use crate::core::ids::SessionId;
use crate::resp::args::Args;

impl Core {
    /// Whether a request must wait for earlier ones of its session; looked at again whenever a reply of it goes out.
    pub(crate) fn must_hold(&mut self, id: SessionId, args: &Args<'_>) -> bool {
        let paused = self.is_paused(id, args);
        let Some(session) = self.sessions.get_mut(id) else {
            return true;
        };
        session.paused = paused;
        if paused {
            return true;
        }
        if let Some(place) = session.alone_place {
            if session.pending.awaits(place) {
                return true;
            }
            session.alone_place = None;
        }
        if !session.pending.is_empty() {
            if self.must_be_first(id, args) {
                return true;
            }
            // What a plugin takes does not go over a private lane.
            let is_large = self.is_large(id, args.raw().len());
            let spec = resolve(args).ok();
            let goes_alone =
                is_large || spec.is_some_and(|spec| self.waits_at_shards(id, spec, args));
            let is_hooked = || spec.is_some_and(|spec| self.hook_for(id, spec, args).is_some());
            if goes_alone && !is_hooked() {
                return true;
            }
        }
        self.must_wait(id, args)
    }

    /// Whether a request waits until all earlier ones are answered. From HELLO and RESET on, the session's replies come
    /// over other lanes; WATCH, and EXEC behind it or of much, go over a private one; what subscriptions and MONITOR
    /// bring waits for nobody's reply.
    fn must_be_first(&self, id: SessionId, args: &Args<'_>) -> bool {
        let is = |name: &[u8]| args.name().eq_ignore_ascii_case(name);
        let names: [&[u8]; 6] =
            [b"HELLO", b"RESET", b"MONITOR", b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE"];
        if names.into_iter().any(is) {
            return true;
        }
        let Some(session) = self.sessions.get(id) else {
            return false;
        };
        match &session.transaction {
            None => is(b"WATCH"),
            Some(transaction) => {
                let is_private =
                    || session.watching.is_some() || self.is_large(id, transaction.bytes());
                is(b"EXEC") && is_private()
            }
        }
    }
}

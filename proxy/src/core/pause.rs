//! CLIENT PAUSE: requests of a pool's clients wait, until UNPAUSE or until the time is over.
//!
//! In: the pause, told to every worker. Out: whether a request must wait now. A request that waits stays in its session's
//! input, with all that is behind it, and is carried out after, unless its client leaves: nothing overtakes. Replies to
//! what was sent before still come. CLIENT PAUSE, CLIENT UNPAUSE and QUIT pass, so that who has paused can end it.
//! While a pool is paused its sessions leave the hot path; otherwise a pause costs nothing.

use crate::command::resolve::resolve;
use crate::command::rule::{ClientsCommand, LocalCommand, Rule, TransactionStep};
use crate::core::ids::SessionId;
use crate::core::timer::Timer;
use crate::core::{Core, wake_session};
use crate::local::clients::Pause;
use crate::resp::args::Args;

/// A pause under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused {
    until_ms: u64,
    writes_only: bool,
}

impl Core {
    /// Begins a pause. One that is under way gets no shorter and no milder by it, as in Redis.
    pub(crate) fn pause_pool(&mut self, index: u16, pause: Pause) {
        let now_ms = self.clock.now_ms;
        let Some(pool) = self.pools.get_mut(usize::from(index)) else {
            return;
        };
        let mut paused = Paused {
            until_ms: now_ms.saturating_add(pause.for_ms),
            writes_only: pause.writes_only,
        };
        if let Some(before) = pool.paused.filter(|before| before.until_ms > now_ms) {
            paused.until_ms = paused.until_ms.max(before.until_ms);
            paused.writes_only &= before.writes_only;
        }
        pool.paused = Some(paused);
        self.timers.set(paused.until_ms, Timer::PauseOver(index));
    }

    /// Ends the pause of a pool, if its time is over.
    pub(crate) fn check_pause(&mut self, index: u16) {
        let paused = self.pools.get(usize::from(index)).and_then(|pool| pool.paused);
        if paused.is_some_and(|paused| paused.until_ms <= self.clock.now_ms) {
            self.end_pause_of(index);
        }
    }

    /// Ends the pause of a pool: what waited is looked at again.
    pub(crate) fn end_pause_of(&mut self, index: u16) {
        let Some(pool) = self.pools.get_mut(usize::from(index)) else {
            return;
        };
        if pool.paused.take().is_none() {
            return;
        }
        for (id, session) in &mut self.sessions {
            if session.pool == index && session.held {
                wake_session(session, id, &mut self.wake);
            }
        }
    }

    /// Whether a request must wait for the end of a pause. What only gets an error need not.
    pub(crate) fn is_paused(&self, id: SessionId, args: &Args<'_>) -> bool {
        let Some(session) = self.sessions.get(id) else {
            return false;
        };
        let pool = self.pools.get(usize::from(session.pool));
        let Some(paused) = pool.and_then(|pool| pool.paused) else {
            return false;
        };
        if paused.until_ms <= self.clock.now_ms {
            return false;
        }
        let Ok(spec) = resolve(args) else {
            // A plugin's own command may write.
            return self.is_own_command(session.pool, args.name());
        };
        let passes = matches!(
            spec.rule,
            Rule::Clients(ClientsCommand::Pause | ClientsCommand::Unpause)
                | Rule::Local(LocalCommand::Quit)
        );
        if passes || !paused.writes_only {
            return !passes;
        }
        if spec.rule == Rule::Transaction(TransactionStep::Exec) {
            return session.transaction.as_ref().is_some_and(|open| open.may_replicate());
        }
        spec.may_replicate()
    }
}

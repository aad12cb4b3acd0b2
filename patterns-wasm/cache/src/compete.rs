//! A value that is not fresh: who computes it, who gets the old one, who waits.
//!
//! ```text
//!  one batch: WAIT-KEY, WATCH-SESSION, TX(take the lease, GET, PTTL)
//!  won:  not fresh -> this caller leads              fresh -> the value, lease given back
//!  lost: stale -> the stale value at once            missing -> wait for a notice, or for one's turn to look
//! ```
//! Of those who wait on a worker one at a time looks whether another gateway has filled, and tells the others.
//! A wait never outlasts `wait`, and hardly `wait_behind` when its connection has other commands to carry or is the
//! leader's own. A value that is too large to come here is judged by its TTL alone, and its GET goes on as it came.

use std::rc::Rc;

use sluicegate_plugin::command::cmd;
use sluicegate_plugin::commands::pttl;
use sluicegate_plugin::cx::{Cx, Wait, Woken};
use sluicegate_plugin::error::{Error, ErrorKind, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::wait::{First, first};

use crate::config::{Config, OnWaitTimeout};
use crate::early;
use crate::lease::{self, Asker};
use crate::notice::{self, Notice};
use crate::stats::{self, Count};
use crate::ttl::{self, Life};

/// A stored value, as far as it may come here.
pub enum Found {
    /// The value, or null.
    Here(Reply),
    /// There is one, larger than the plugin may be given.
    Large,
}

/// What a look has found.
pub struct Look {
    /// The value.
    pub found: Found,
    /// What it is to its readers.
    pub life: Life,
    /// PTTL's answer.
    pub pttl: i64,
}

/// Reads a value and its time.
pub async fn look(cx: &Cx, config: &Config, key: &[u8]) -> Result<Look> {
    let read = (cmd("GET").arg(key).result(), pttl(key));
    let (value, pttl) = cx.pipeline(read).await?;
    Look::of(value, pttl, config)
}

impl Look {
    /// From what GET and PTTL have answered.
    pub fn of(value: Result<Reply>, pttl: i64, config: &Config) -> Result<Self> {
        let value = match value {
            Err(error) if error.kind == ErrorKind::TooLarge => None,
            value => Some(value?),
        };
        let (found, life) = match value {
            Some(value) => {
                let life = ttl::life_of(&value, pttl, config.grace_ms());
                (Found::Here(value), life)
            }
            None => (Found::Large, ttl::life_of_pttl(pttl, config.grace_ms())),
        };
        Ok(Self { found, life, pttl })
    }
}

/// The error of a value that may not come here.
pub fn too_large() -> Error {
    Error::new("cache: the value is larger than the plugin's limits.reply; read it with GET")
}

/// A large value: fresh and stale ones go to the client past this plugin, and one reader per lease computes.
pub async fn compete_for_large(
    cx: &Cx,
    config: &Rc<Config>,
    key: &[u8],
    life: Life,
) -> Result<Reply> {
    let asker = Asker::session(cx, config);
    if life != Life::Fresh {
        let take = (lease::take(key, &asker, config), pttl(key));
        let (holder, pttl) = cx.transaction(take).await?;
        let life = ttl::life_of_pttl(pttl, config.grace_ms());
        if holder.is_none() && life != Life::Fresh {
            leads(cx, config, key, &asker)?;
            return Ok(Reply::Null);
        }
        if holder.is_none() {
            cx.call(lease::release(key, &asker.token)).await?;
        } else if life == Life::Stale {
            stats::count(cx, config, Count::Stale);
            return cx.pass();
        }
    }
    stats::count(cx, config, Count::Hit);
    cx.pass()
}

/// What a reader gets in the end.
pub struct Ended {
    /// The value; of a leader the old one, if there is one.
    pub value: Reply,
    /// Whether it is before its soft end.
    pub is_fresh: bool,
    /// Whether this reader is to compute.
    pub leads: bool,
}

impl Ended {
    /// A value before its end.
    pub fn fresh(value: Reply) -> Self {
        Self { value, is_fresh: true, leads: false }
    }

    fn other(value: Reply) -> Self {
        Self { value, is_fresh: false, leads: false }
    }

    /// What an ordinary client is told: nil, if it is to compute.
    pub fn told(self) -> Reply {
        if self.leads { Reply::Null } else { self.value }
    }
}

/// A fresh value whose time has come, by a draw: one of those who draw it computes it again. `None`: it goes to this reader as it
/// is, which most do.
pub async fn refresh_early(
    cx: &Cx,
    config: &Rc<Config>,
    key: &[u8],
    asker: &Asker,
    pttl: i64,
) -> Result<Option<Ended>> {
    if !early::is_due(cx, config, pttl) {
        return Ok(None);
    }
    let attempt = attempt(cx, config, key, asker).await?;
    // Another may have refreshed it since it was looked at.
    let is_same = attempt.life == Life::Fresh && (0..=pttl).contains(&attempt.pttl);
    if attempt.holder.is_none() && is_same {
        leads(cx, config, key, asker)?;
        stats::count(cx, config, Count::Early);
        return Ok(Some(Ended { value: attempt.value, is_fresh: true, leads: true }));
    }
    settle(cx, config, key, asker, &attempt)
}

/// The value is not fresh: become the leader, take the stale value, or wait, at most `wait_ms`.
pub async fn compete(
    cx: &Cx,
    config: &Rc<Config>,
    key: &[u8],
    asker: &Asker,
    wait_ms: u32,
) -> Result<Ended> {
    let begun_ms = cx.mono_ms();
    let mut wait_ms = u64::from(wait_ms);
    let mut waited = false;
    let mut my_turn = false;
    loop {
        // The wait runs from here on, also while the reads are under way.
        let spent_ms = cx.mono_ms().saturating_sub(begun_ms);
        let pause = pause(config, wait_ms, spent_ms);
        // Registered before anything is sent, so that no fill after it goes unnoticed.
        let wake = cx.wait_key(key, pause);
        let unchanged = if my_turn { peek(cx, key).await? } else { None };
        let attempt = match unchanged {
            Some(attempt) => Ok(attempt),
            None => attempt(cx, config, key, asker).await,
        };
        let attempt = match attempt {
            // It has grown since it was looked at; what was taken is given back, and all begins anew.
            Err(error) if error.kind == ErrorKind::TooLarge => {
                cx.notify(key, notice::FILLED);
                cx.call(lease::release(key, &asker.token)).await?;
                return compete_for_large(cx, config, key, Life::Stale).await.map(Ended::other);
            }
            attempt => attempt?,
        };
        if let Some(ended) = settle(cx, config, key, asker, &attempt)? {
            if my_turn {
                tell(cx, key, &attempt);
            }
            return Ok(ended);
        }
        if !waited {
            waited = true;
            stats::count(cx, config, Count::Wait);
        }
        let woken = if attempt.holder.as_deref() == Some(asker.token.as_bytes()) {
            // The leader's own connection: its fill may stand behind this very read.
            wait_ms = wait_ms.min(u64::from(config.wait_behind.ms()));
            let left_ms = narrow(wait_ms.saturating_sub(spent_ms).max(1));
            match first(wake, cx.sleep(pause.timeout_ms.min(left_ms))).await {
                First::Left(woken) => woken?,
                First::Right(slept) => slept.map(|()| Woken::Timeout)?,
            }
        } else {
            wake.await?
        };
        my_turn = woken == Woken::Turn;
        match woken {
            Woken::Notice(bytes) => match notice::read(&bytes) {
                Notice::Value(value) => return Ok(Ended::fresh(Reply::Bulk(value))),
                Notice::Filled => match look(cx, config, key).await? {
                    Look { found: Found::Here(value), life: Life::Fresh, .. } => {
                        return Ok(Ended::fresh(value));
                    }
                    Look { found: Found::Large, life, .. } => {
                        let large = compete_for_large(cx, config, key, life).await;
                        return large.map(Ended::other);
                    }
                    Look { found: Found::Here(_), life: Life::Missing | Life::Stale, .. } => {}
                },
                Notice::Gone => {}
            },
            Woken::Turn => {}
            Woken::Timeout | Woken::Behind => return give_up(cx, config).map(Ended::other),
        }
    }
}

/// A look for a fill or an end of the lease through another gateway: `None` when there is one to compete for.
async fn peek(cx: &Cx, key: &[u8]) -> Result<Option<Attempt>> {
    let read = (cmd("GET").arg(key).result(), lease::holder(key));
    let (value, holder) = cx.pipeline(read).await?;
    if value.as_ref().is_err_and(|error| error.kind == ErrorKind::TooLarge) {
        return Ok(None);
    }
    let value = value?;
    let holder = holder.and_then(|lease| lease::holder_of(lease, cx.now_ms()));
    let unchanged = value.is_null() && holder.is_some();
    Ok(unchanged.then_some(Attempt { holder, value, life: Life::Missing, pttl: -2 }))
}

/// Those who wait too learn what was found at one's turn.
fn tell(cx: &Cx, key: &[u8], found: &Attempt) {
    match (found.life, found.value.bytes()) {
        (Life::Fresh, Some(value)) => cx.notify(key, &notice::filled(value)),
        (Life::Stale, _) => cx.notify(key, notice::FILLED),
        (Life::Fresh | Life::Missing, _) => {}
    }
}

/// What a try for the lease found.
pub struct Attempt {
    /// Nothing when the lease is now ours, else whose it is.
    holder: Option<Vec<u8>>,
    value: Reply,
    life: Life,
    pttl: i64,
}

/// Tries to take the lease and reads the value, in one transaction.
pub async fn attempt(cx: &Cx, config: &Config, key: &[u8], asker: &Asker) -> Result<Attempt> {
    asker.watch(cx, key)?;
    let read = (lease::take(key, asker, config), cmd("GET").arg(key), pttl(key));
    let (holder, value, pttl) = cx.transaction(read).await?;
    let life = ttl::life_of(&value, pttl, config.grace_ms());
    Ok(Attempt { holder, value, life, pttl })
}

/// What an attempt allows at once; `None`: there is no value and another computes it.
pub fn settle(
    cx: &Cx,
    config: &Config,
    key: &[u8],
    asker: &Asker,
    attempt: &Attempt,
) -> Result<Option<Ended>> {
    let won = attempt.holder.is_none();
    if won && attempt.life != Life::Fresh {
        leads(cx, config, key, asker)?;
        let value = attempt.value.clone();
        return Ok(Some(Ended { value, is_fresh: false, leads: true }));
    }
    // A session that leads already goes on watching for that.
    if attempt.holder.as_deref() != Some(asker.token.as_bytes()) {
        asker.unwatch(cx, key)?;
    }
    match attempt.life {
        Life::Fresh => {
            if won {
                cx.send(lease::release(key, &asker.token));
            }
            stats::count(cx, config, Count::Hit);
            Ok(Some(Ended::fresh(attempt.value.clone())))
        }
        Life::Stale => {
            stats::count(cx, config, Count::Stale);
            Ok(Some(Ended::other(attempt.value.clone())))
        }
        Life::Missing => Ok(None),
    }
}

/// This caller computes from here on.
pub fn leads(cx: &Cx, config: &Config, key: &[u8], asker: &Asker) -> Result<()> {
    // Again: another read of this session, which lost, may have ended the watch meanwhile.
    asker.watch(cx, key)?;
    asker.remember(cx, config, key);
    early::begin(cx, config, key);
    stats::count(cx, config, Count::Leader);
    Ok(())
}

/// How long to wait for the next notice or turn.
fn pause(config: &Config, wait_ms: u64, spent_ms: u64) -> Wait {
    let left_ms = wait_ms.saturating_sub(spent_ms).max(1);
    let behind_ms = u64::from(config.wait_behind.ms()).saturating_sub(spent_ms);
    Wait {
        timeout_ms: narrow(left_ms),
        behind_ms: Some(narrow(behind_ms)),
        poll_ms: Some(config.poll.ms()),
    }
}

fn narrow(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX - 1)
}

/// What a reader gets whose wait is over.
pub fn give_up(cx: &Cx, config: &Config) -> Result<Reply> {
    stats::count(cx, config, Count::WaitTimeout);
    match config.on_wait_timeout {
        OnWaitTimeout::Miss => Ok(Reply::Null),
        OnWaitTimeout::Error => Err(Error::new("cache: the value is still being computed")),
    }
}

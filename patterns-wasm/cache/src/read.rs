//! Reading: GET, GETEX, TTL and their relatives.
//!
//! ```text
//! GET+PTTL -- fresh --> the value
//!     |
//!     v    one batch: WAIT-KEY, WATCH-SESSION, TX(take the lease, GET, PTTL)
//!  won:  not fresh -> nil, this client computes      fresh -> the value, lease given back
//!  lost: stale -> the stale value at once            missing -> wait for a notice, or for one's turn to look
//! ```
//!
//! Of those who wait on a worker one at a time looks whether another gateway has filled, and tells the others.
//! A wait never outlasts `wait`, and hardly `wait_behind` when its connection has other commands to carry or is the
//! leader's own. Inside MULTI one script does the same without waiting.
//! A value that is too large to come here is judged by its TTL alone, and its GET goes on as it came.

use std::rc::Rc;

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::commands::pttl;
use sluicegate_plugin::cx::{Cx, Kind, Wait, Woken};
use sluicegate_plugin::error::{Error, ErrorKind, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::wait::{First, first};

use crate::config::{Config, OnWaitTimeout};
use crate::lease;
use crate::notice::{self, Notice};
use crate::stats::{self, Count};
use crate::ttl::{self, Expiry, Life};

/// `GET key`
pub async fn get(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    if cx.kind() == Kind::InMulti {
        return get_in_multi(&cx, &config, args.key(), Expiry::None).await;
    }
    match look(&cx, &config, args.key()).await? {
        (Found::Large, life) => compete_for_large(&cx, &config, args.key(), life).await,
        (Found::Here(value), Life::Fresh) => {
            stats::count(&cx, &config, Count::Hit);
            Ok(value)
        }
        (Found::Here(_), Life::Missing | Life::Stale) => {
            Ok(compete(&cx, &config, args.key()).await?.value)
        }
    }
}

/// `GETEX key [option]`: a stale value is not made fresh by it, as an expired one could not be; one that was waited for is
/// given its end.
pub async fn getex(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let (key, now_ms) = (args.key(), cx.now_ms());
    let Some(expiry) = ttl::read_getex(&args) else {
        return cx.pass();
    };
    let Some(command) = ttl::getex(key, expiry, config.grace_ms(), now_ms) else {
        return cx.pass();
    };
    if cx.kind() == Kind::InMulti {
        return get_in_multi(&cx, &config, key, expiry).await;
    }
    let (found, life) = look(&cx, &config, key).await?;
    let ended = match (found, life) {
        (Found::Here(value), Life::Fresh) => {
            stats::count(&cx, &config, Count::Hit);
            Ended::fresh(value)
        }
        (Found::Here(_), Life::Missing | Life::Stale) => match compete(&cx, &config, key).await {
            Err(error) if error.kind == ErrorKind::Pass && expiry != Expiry::None => {
                return Err(too_large());
            }
            ended => ended?,
        },
        (Found::Large, _) if expiry == Expiry::None => {
            return compete_for_large(&cx, &config, key, life).await;
        }
        // Its time could be moved here, but the value not be given.
        (Found::Large, _) => return Err(too_large()),
    };
    if ended.is_fresh && expiry != Expiry::None {
        return cx.call(command).await;
    }
    Ok(ended.value)
}

/// TTL, PTTL.
pub async fn ttl(cx: Cx, args: Args) -> Result<i64> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let stored = cx.single(pttl(args.key())).await?;
    Ok(ttl::soft_ttl(stored, config.grace_ms(), args.is(0, "TTL")))
}

/// EXPIRETIME, PEXPIRETIME.
pub async fn expiretime(cx: Cx, args: Args) -> Result<i64> {
    if args.len() != 2 {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let stored = cx.single(cmd("PEXPIRETIME").arg(args.key()).typed()).await?;
    Ok(ttl::soft_expiretime(stored, config.grace_ms(), args.is(0, "EXPIRETIME")))
}

/// A stored value, as far as it may come here.
enum Found {
    /// The value, or null.
    Here(Reply),
    /// There is one, larger than the plugin may be given.
    Large,
}

async fn look(cx: &Cx, config: &Config, key: &[u8]) -> Result<(Found, Life)> {
    let read = (cmd("GET").arg(key).result(), pttl(key));
    let (value, pttl) = cx.pipeline(read).await?;
    let value = match value {
        Err(error) if error.kind == ErrorKind::TooLarge => None,
        value => Some(value?),
    };
    Ok(match value {
        Some(value) => {
            let life = ttl::life_of(&value, pttl, config.grace_ms());
            (Found::Here(value), life)
        }
        None => (Found::Large, ttl::life_of_pttl(pttl, config.grace_ms())),
    })
}

fn too_large() -> Error {
    Error::new("cache: the value is larger than the plugin's limits.reply; read it with GET")
}

/// A large value: fresh and stale ones go to the client past this plugin, and one reader per lease computes.
async fn compete_for_large(cx: &Cx, config: &Rc<Config>, key: &[u8], life: Life) -> Result<Reply> {
    let token = lease::token(cx, config);
    if life != Life::Fresh {
        let take = (lease::take(key, &token, config), pttl(key));
        let (holder, pttl) = cx.transaction(take).await?;
        let life = ttl::life_of_pttl(pttl, config.grace_ms());
        if holder.is_none() && life != Life::Fresh {
            lease::watch(cx, key)?;
            stats::count(cx, config, Count::Leader);
            return Ok(Reply::Null);
        }
        if holder.is_none() {
            cx.call(lease::release(key, &token)).await?;
        } else if life == Life::Stale {
            stats::count(cx, config, Count::Stale);
            return cx.pass();
        }
    }
    stats::count(cx, config, Count::Hit);
    cx.pass()
}

async fn get_in_multi(cx: &Cx, config: &Rc<Config>, key: &[u8], expiry: Expiry) -> Result<Reply> {
    let token = lease::token(cx, config);
    let read = lease::read(key, &token, config);
    let Some(read) = expiry.append(read, config.grace_ms(), cx.now_ms()) else {
        return cx.pass();
    };
    let (value, won): (Reply, bool) = cx.single(read.typed()).await?;
    if won {
        stats::count(cx, config, Count::Leader);
        lease::watch(cx, key)?;
    } else if !value.is_null() {
        stats::count(cx, config, Count::Hit);
    }
    Ok(value)
}

/// What a reader gets in the end.
struct Ended {
    value: Reply,
    is_fresh: bool,
}

impl Ended {
    fn fresh(value: Reply) -> Self {
        Self { value, is_fresh: true }
    }

    fn other(value: Reply) -> Self {
        Self { value, is_fresh: false }
    }
}

/// The value is not fresh: become the leader, take the stale value, or wait.
async fn compete(cx: &Cx, config: &Rc<Config>, key: &[u8]) -> Result<Ended> {
    let token = lease::token(cx, config);
    let begun_ms = cx.mono_ms();
    let mut wait_ms = u64::from(config.wait.ms());
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
            None => attempt(cx, config, key, &token).await,
        };
        let attempt = match attempt {
            // It has grown since it was looked at; what was taken is given back, and all begins anew.
            Err(error) if error.kind == ErrorKind::TooLarge => {
                cx.notify(key, notice::FILLED);
                cx.call(lease::release(key, &token)).await?;
                return compete_for_large(cx, config, key, Life::Stale).await.map(Ended::other);
            }
            attempt => attempt?,
        };
        if let Some(value) = settle(cx, config, key, &token, &attempt)? {
            if my_turn {
                tell(cx, key, &attempt);
            }
            return Ok(Ended { value, is_fresh: attempt.life == Life::Fresh });
        }
        if !waited {
            waited = true;
            stats::count(cx, config, Count::Wait);
        }
        let woken = if attempt.holder.as_deref() == Some(token.as_bytes()) {
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
                    (Found::Here(value), Life::Fresh) => return Ok(Ended::fresh(value)),
                    (Found::Large, life) => {
                        let large = compete_for_large(cx, config, key, life).await;
                        return large.map(Ended::other);
                    }
                    (Found::Here(_), Life::Missing | Life::Stale) => {}
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
    let unchanged = value.is_null() && holder.is_some();
    Ok(unchanged.then_some(Attempt { holder, value, life: Life::Missing }))
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
struct Attempt {
    /// Nothing when the lease is now ours, else whose it is.
    holder: Option<Vec<u8>>,
    value: Reply,
    life: Life,
}

/// Tries to take the lease and reads the value, in one transaction.
async fn attempt(cx: &Cx, config: &Config, key: &[u8], token: &str) -> Result<Attempt> {
    lease::watch(cx, key)?;
    let read = (lease::take(key, token, config), cmd("GET").arg(key), pttl(key));
    let (holder, value, pttl) = cx.transaction(read).await?;
    let life = ttl::life_of(&value, pttl, config.grace_ms());
    Ok(Attempt { holder, value, life })
}

/// The reply that an attempt allows at once; `None`: there is no value and another computes it.
fn settle(
    cx: &Cx,
    config: &Config,
    key: &[u8],
    token: &str,
    attempt: &Attempt,
) -> Result<Option<Reply>> {
    let won = attempt.holder.is_none();
    if won && attempt.life != Life::Fresh {
        // Again: another read of this session, which lost, may have ended the watch meanwhile.
        lease::watch(cx, key)?;
        stats::count(cx, config, Count::Leader);
        return Ok(Some(Reply::Null));
    }
    // A session that leads already goes on watching for that.
    if attempt.holder.as_deref() != Some(token.as_bytes()) {
        lease::unwatch(cx, key)?;
    }
    match attempt.life {
        Life::Fresh => {
            if won {
                cx.send(lease::release(key, token));
            }
            stats::count(cx, config, Count::Hit);
            Ok(Some(attempt.value.clone()))
        }
        Life::Stale => {
            stats::count(cx, config, Count::Stale);
            Ok(Some(attempt.value.clone()))
        }
        Life::Missing => Ok(None),
    }
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

fn give_up(cx: &Cx, config: &Config) -> Result<Reply> {
    stats::count(cx, config, Count::WaitTimeout);
    match config.on_wait_timeout {
        OnWaitTimeout::Miss => Ok(Reply::Null),
        OnWaitTimeout::Error => Err(Error::new("cache: the value is still being computed")),
    }
}

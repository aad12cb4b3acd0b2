//! Several keys at once: MGET, MSET, DEL, UNLINK.
//!
//! Each key of an MGET is treated as by a GET of its own: fresh and stale values at once, nil to one reader per lease. A missing
//! key that another computes is waited for; but who leads one of its keys waits for the others only `wait_behind`, since
//! others wait for it. A value that may not come here lets the whole MGET go on as it came.

use std::rc::Rc;

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::{Cx, Kind};
use sluicegate_plugin::error::{Error, ErrorKind, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;
use sluicegate_plugin::wait::join_all;

use crate::compete::{Found, Look, attempt, compete, give_up, refresh_early, settle};
use crate::config::{Config, LeaseMode};
use crate::dirty::{self, Note};
use crate::lease::{self, Asker};
use crate::notice;
use crate::stats::{self, Count};
use crate::ttl::{Expiry, Life};
use crate::write::{ended, fill, gone, is_fill};

/// Keys of one batch: each is up to two operations of at most 128.
const PIECE: usize = 50;
/// Keys that are competed for at once: each is up to three operations, and those of the piece before may still be unsent.
const ATTEMPTS: usize = 25;
/// Most keys that one MGET waits for in turn: a call has 1,000 steps.
const TURNS_MAX: usize = 40;
/// Most keys of an MGET or a DEL inside MULTI.
const KEYS_IN_MULTI: usize = 500;

/// `MGET key...`
pub async fn mget(cx: Cx, args: Args) -> Result<Reply> {
    // A lease is a write, and a transaction that writes has one shard: inside MULTI it answers what is stored.
    if args.len() < 2 || cx.kind() == Kind::InMulti {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let asker = Asker::session(&cx, &config);
    let keys: Vec<&[u8]> = args.from(1).collect();
    let mut values = Vec::with_capacity(keys.len());
    let mut others = Vec::new();
    for piece in keys.chunks(PIECE) {
        for (key, look) in piece.iter().zip(look(&cx, &config, piece).await?) {
            let Look { found, life, pttl } = look;
            let Found::Here(value) = found else {
                return cx.pass();
            };
            if life != Life::Fresh {
                others.push((values.len(), *key));
            } else if config.early_refresh > 0.0
                && let Some(ended) = refresh_early(&cx, &config, key, &asker, pttl).await?
            {
                values.push(ended.told());
                continue;
            } else {
                stats::count(&cx, &config, Count::Hit);
            }
            values.push(value);
        }
    }
    let (missing, leads) = lead(&cx, &config, &asker, &others, &mut values).await?;
    wait(&cx, &config, &asker, (missing, leads), &mut values).await?;
    Ok(Reply::Array(values))
}

/// What is stored under each key; what is no string is null, as MGET has it.
async fn look(cx: &Cx, config: &Config, keys: &[&[u8]]) -> Result<Vec<Look>> {
    let reads =
        keys.iter().flat_map(|key| ["GET", "PTTL"].map(|name| cmd(name).arg(*key).result()));
    let mut rows = cx.pipeline(reads.collect::<Vec<_>>()).await?.into_iter();
    let mut looks = Vec::with_capacity(keys.len());
    while let (Some(value), Some(pttl)) = (rows.next(), rows.next()) {
        looks.push(match value {
            Err(error) if error.text.starts_with("WRONGTYPE") => {
                Look { found: Found::Here(Reply::Null), life: Life::Fresh, pttl: -1 }
            }
            value => Look::of(value, pttl?.int().unwrap_or(-2), config)?,
        });
    }
    Ok(looks)
}

/// Competes for each key that is not fresh: those that nobody has and another computes are left, and whether this reader leads any.
async fn lead<'a>(
    cx: &Cx,
    config: &Rc<Config>,
    asker: &Asker,
    others: &[(usize, &'a [u8])],
    values: &mut [Reply],
) -> Result<(Vec<(usize, &'a [u8])>, bool)> {
    let (mut missing, mut leads) = (Vec::new(), false);
    for piece in others.chunks(ATTEMPTS) {
        let attempts = piece.iter().map(|(_, key)| attempt(cx, config, key, asker));
        for ((place, key), attempt) in piece.iter().zip(join_all(attempts).await) {
            let attempt = match attempt {
                Err(error) if error.kind == ErrorKind::TooLarge => {
                    cx.call(lease::release(key, &asker.token)).await?;
                    return cx.pass();
                }
                attempt => attempt?,
            };
            match settle(cx, config, key, asker, &attempt)? {
                Some(ended) => {
                    leads |= ended.leads;
                    if let Some(value) = values.get_mut(*place) {
                        *value = ended.told();
                    }
                }
                None => missing.push((*place, *key)),
            }
        }
    }
    Ok((missing, leads))
}

/// Waits for the missing ones in turn, within one time for all of them; those that were filled meanwhile are taken with each turn.
async fn wait(
    cx: &Cx,
    config: &Rc<Config>,
    asker: &Asker,
    (mut missing, mut leads): (Vec<(usize, &[u8])>, bool),
    values: &mut [Reply],
) -> Result<()> {
    let begun_ms = cx.mono_ms();
    let mut turns = 0;
    while let Some((place, key)) = missing.pop() {
        let wait_ms = if leads { config.wait_behind.ms() } else { config.wait.ms() };
        let spent_ms = cx.mono_ms().saturating_sub(begun_ms);
        let left_ms = u64::from(wait_ms).saturating_sub(spent_ms);
        let told = match u32::try_from(left_ms) {
            Ok(left_ms) if left_ms > 0 && turns < TURNS_MAX => {
                let ended = compete(cx, config, key, asker, left_ms).await?;
                leads |= ended.leads;
                ended.told()
            }
            _ => give_up(cx, config)?,
        };
        if let Some(value) = values.get_mut(place) {
            *value = told;
        }
        if turns < TURNS_MAX {
            take_filled(cx, config, &mut missing, values).await?;
        }
        turns += 1;
    }
    Ok(())
}

/// Takes the keys out that have a fresh value now.
async fn take_filled(
    cx: &Cx,
    config: &Config,
    missing: &mut Vec<(usize, &[u8])>,
    values: &mut [Reply],
) -> Result<()> {
    let mut left = Vec::with_capacity(missing.len());
    for piece in missing.chunks(PIECE) {
        let keys: Vec<&[u8]> = piece.iter().map(|(_, key)| *key).collect();
        for ((place, key), look) in piece.iter().zip(look(cx, config, &keys).await?) {
            match (look.found, values.get_mut(*place)) {
                (Found::Here(found), Some(value)) if look.life == Life::Fresh => *value = found,
                _ => left.push((*place, *key)),
            }
        }
    }
    *missing = left;
    Ok(())
}

/// `MSET key value...`: each pair is stored as by a SET of its own.
pub async fn mset(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return cx.pass();
    }
    let config = cx.config::<Config>()?;
    let pairs: Vec<(&[u8], &[u8])> =
        (1..args.len()).step_by(2).map(|at| (args.bytes(at), args.bytes(at + 1))).collect();
    let store = |(key, value): &(&[u8], &[u8])| -> [Typed<Reply>; 2] {
        if config.dirty {
            let end = config.cap_ms(value).map_or(Expiry::None, |ms| Expiry::In(i64::from(ms)));
            let end = end.words(config.grace_ms(), 0).unwrap_or_default();
            let words = [&b"SET"[..], value].into_iter().chain(end.iter().map(Vec::as_slice));
            let write = dirty::write(&cx, &config, key, Note::Value(value), "any", words);
            return [write.typed(), lease::void(key).typed()];
        }
        let set = cmd("SET").arg(*key).arg(*value);
        let set = match config.cap_ms(value) {
            Some(ms) => set.arg("PX").arg(i64::from(ms) + i64::from(config.grace_ms())),
            None => set,
        };
        [set.typed(), lease::void(key).typed()]
    };
    if cx.kind() == Kind::InMulti {
        few(&pairs)?;
        cx.transaction(pairs.iter().flat_map(store).collect::<Vec<_>>()).await?;
        for (key, value) in &pairs {
            ended(&cx, &config, key, &notice::filled(value), Reply::ok())?;
        }
        return Ok(Reply::ok());
    }
    for piece in pairs.chunks(ATTEMPTS) {
        let sets = piece.iter().map(|(key, value)| store_one(&cx, &config, key, value, store));
        for stored in join_all(sets).await {
            stored?;
        }
    }
    Ok(Reply::ok())
}

async fn store_one(
    cx: &Cx,
    config: &Config,
    key: &[u8],
    value: &[u8],
    store: impl Fn(&(&[u8], &[u8])) -> [Typed<Reply>; 2],
) -> Result<Reply> {
    let notice = notice::filled(value);
    if is_fill(cx, config, key) {
        let end = config.cap_ms(value).map_or(Vec::new(), |ms| {
            vec![b"PX".to_vec(), (u64::from(ms) + u64::from(config.grace_ms())).to_string().into()]
        });
        return fill(cx, config, key, value, &end, &notice).await;
    }
    let commands = store(&(key, value));
    if config.lease_mode == LeaseMode::Key {
        cx.pipeline(commands).await?;
    } else {
        cx.transaction(commands).await?;
    }
    ended(cx, config, key, &notice, Reply::ok())
}

/// `DEL key...`, `UNLINK key...`: the leases go with the values, so that no fill from before them is taken (`conn`, `token`).
pub async fn del(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() < 2 {
        return cx.pass();
    }
    let name = if args.is(0, "UNLINK") { "UNLINK" } else { "DEL" };
    let keys: Vec<&[u8]> = args.from(1).collect();
    let config = cx.config::<Config>()?;
    let deletes = |key: &&[u8]| -> [Typed<i64>; 2] {
        if config.dirty {
            let write = dirty::write(&cx, &config, key, Note::Gone, "any", [name.as_bytes()]);
            return [lease::void(key).typed(), write.typed()];
        }
        // The lease first: a fill between the two would stay.
        [lease::void(key).typed(), cmd(name).arg(*key).typed()]
    };
    let mut deleted = 0;
    if cx.kind() == Kind::InMulti {
        few(&keys)?;
        let replies = cx.transaction(keys.iter().flat_map(deletes).collect::<Vec<_>>()).await?;
        deleted += replies.iter().skip(1).step_by(2).sum::<i64>();
    } else {
        for piece in keys.chunks(PIECE) {
            let replies = cx.pipeline(piece.iter().flat_map(deletes).collect::<Vec<_>>()).await?;
            deleted += replies.iter().skip(1).step_by(2).sum::<i64>();
        }
    }
    for key in keys {
        lease::forget(&cx, &config, key);
        gone(&cx, key, Reply::Null)?;
    }
    Ok(Reply::Int(deleted))
}

fn few<T>(keys: &[T]) -> Result<()> {
    if keys.len() > KEYS_IN_MULTI {
        return Err(Error::new("cache: at most 500 keys of one command inside MULTI"));
    }
    Ok(())
}

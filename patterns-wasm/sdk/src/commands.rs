//! Typed constructors for the common commands: `cx.call(get(key)).await?` is an `Option<Vec<u8>>`.
//!
//! A modest set. Each gives a `Typed<T>` that takes further arguments by `arg`; any other command is
//! `cmd("NAME").arg(..).typed::<T>()`. A plugin may send only what its manifest lists and the operator grants.
//!
//! Where it says `Arg`, bytes, texts, integers and `beside(key, name)` will do.

use crate::command::{Arg, cmd};
use crate::request::Typed;

// Strings.

/// The value of `key`.
///
/// ```
/// # use sluicegate_plugin::{commands::get, request::Typed};
/// let typed: Typed<Option<Vec<u8>>> = get("k");
/// ```
pub fn get<'a>(key: impl Into<Arg<'a>>) -> Typed<Option<Vec<u8>>> {
    cmd("GET").arg(key).typed()
}

/// Stores `value`. With `NX` or `XX` behind it, take its reply as a `bool` by `typed`.
///
/// ```
/// # use sluicegate_plugin::{commands::set, request::Typed};
/// let typed: Typed<()> = set("k", "v");
/// ```
pub fn set<'a>(key: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>) -> Typed<()> {
    cmd("SET").arg(key).arg(value).typed()
}

/// Stores `value` if there is none; whether it did.
///
/// ```
/// # use sluicegate_plugin::{commands::set_nx, request::Typed};
/// let typed: Typed<bool> = set_nx("k", "v");
/// ```
pub fn set_nx<'a>(key: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("SET").arg(key).arg(value).arg("NX").typed()
}

/// Stores `value` for `ms` milliseconds.
///
/// ```
/// # use sluicegate_plugin::{commands::set_px, request::Typed};
/// let typed: Typed<()> = set_px("k", "v", 1_000);
/// ```
pub fn set_px<'a>(key: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>, ms: i64) -> Typed<()> {
    cmd("SET").arg(key).arg(value).arg("PX").arg(ms).typed()
}

/// Takes the value out.
///
/// ```
/// # use sluicegate_plugin::{commands::getdel, request::Typed};
/// let typed: Typed<Option<Vec<u8>>> = getdel("k");
/// ```
pub fn getdel<'a>(key: impl Into<Arg<'a>>) -> Typed<Option<Vec<u8>>> {
    cmd("GETDEL").arg(key).typed()
}

/// Adds `by`; the sum.
///
/// ```
/// # use sluicegate_plugin::{commands::incr_by, request::Typed};
/// let typed: Typed<i64> = incr_by("k", 2);
/// ```
pub fn incr_by<'a>(key: impl Into<Arg<'a>>, by: i64) -> Typed<i64> {
    cmd("INCRBY").arg(key).arg(by).typed()
}

/// Appends to the value; its length.
///
/// ```
/// # use sluicegate_plugin::{commands::append, request::Typed};
/// let typed: Typed<i64> = append("k", "v");
/// ```
pub fn append<'a>(key: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("APPEND").arg(key).arg(value).typed()
}

/// The length of the value, 0 when there is none.
///
/// ```
/// # use sluicegate_plugin::{commands::strlen, request::Typed};
/// let typed: Typed<i64> = strlen("k");
/// ```
pub fn strlen<'a>(key: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("STRLEN").arg(key).typed()
}

// Keys.

/// Removes `key`; whether it was there.
///
/// ```
/// # use sluicegate_plugin::{commands::del, request::Typed};
/// let typed: Typed<bool> = del("k");
/// ```
pub fn del<'a>(key: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("DEL").arg(key).typed()
}

/// Whether `key` is there.
///
/// ```
/// # use sluicegate_plugin::{commands::exists, request::Typed};
/// let typed: Typed<bool> = exists("k");
/// ```
pub fn exists<'a>(key: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("EXISTS").arg(key).typed()
}

/// How long `key` lives on, milliseconds: -1 for ever, -2 not there.
///
/// ```
/// # use sluicegate_plugin::{commands::pttl, request::Typed};
/// let typed: Typed<i64> = pttl("k");
/// ```
pub fn pttl<'a>(key: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("PTTL").arg(key).typed()
}

/// Lets `key` live for `ms` milliseconds; whether it is there.
///
/// ```
/// # use sluicegate_plugin::{commands::pexpire, request::Typed};
/// let typed: Typed<bool> = pexpire("k", 1_000);
/// ```
pub fn pexpire<'a>(key: impl Into<Arg<'a>>, ms: i64) -> Typed<bool> {
    cmd("PEXPIRE").arg(key).arg(ms).typed()
}

/// Lets `key` live for ever; whether it had an end.
///
/// ```
/// # use sluicegate_plugin::{commands::persist, request::Typed};
/// let typed: Typed<bool> = persist("k");
/// ```
pub fn persist<'a>(key: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("PERSIST").arg(key).typed()
}

// Hashes.

/// The value of a field.
///
/// ```
/// # use sluicegate_plugin::{commands::hget, request::Typed};
/// let typed: Typed<Option<Vec<u8>>> = hget("k", "f");
/// ```
pub fn hget<'a>(key: impl Into<Arg<'a>>, field: impl Into<Arg<'a>>) -> Typed<Option<Vec<u8>>> {
    cmd("HGET").arg(key).arg(field).typed()
}

/// Sets a field; whether it is new.
///
/// ```
/// # use sluicegate_plugin::{commands::hset, request::Typed};
/// let typed: Typed<bool> = hset("k", "f", "v");
/// ```
pub fn hset<'a>(
    key: impl Into<Arg<'a>>,
    field: impl Into<Arg<'a>>,
    value: impl Into<Arg<'a>>,
) -> Typed<bool> {
    cmd("HSET").arg(key).arg(field).arg(value).typed()
}

/// Removes a field; whether it was there.
///
/// ```
/// # use sluicegate_plugin::{commands::hdel, request::Typed};
/// let typed: Typed<bool> = hdel("k", "f");
/// ```
pub fn hdel<'a>(key: impl Into<Arg<'a>>, field: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("HDEL").arg(key).arg(field).typed()
}

/// All fields and values.
///
/// ```
/// # use sluicegate_plugin::{commands::hgetall, request::Typed};
/// let typed: Typed<Vec<(Vec<u8>, Vec<u8>)>> = hgetall("k");
/// ```
pub fn hgetall<'a>(key: impl Into<Arg<'a>>) -> Typed<Vec<(Vec<u8>, Vec<u8>)>> {
    cmd("HGETALL").arg(key).typed()
}

/// Adds `by` to a field; the sum.
///
/// ```
/// # use sluicegate_plugin::{commands::hincr_by, request::Typed};
/// let typed: Typed<i64> = hincr_by("k", "f", 2);
/// ```
pub fn hincr_by<'a>(key: impl Into<Arg<'a>>, field: impl Into<Arg<'a>>, by: i64) -> Typed<i64> {
    cmd("HINCRBY").arg(key).arg(field).arg(by).typed()
}

/// The number of fields.
///
/// ```
/// # use sluicegate_plugin::{commands::hlen, request::Typed};
/// let typed: Typed<i64> = hlen("k");
/// ```
pub fn hlen<'a>(key: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("HLEN").arg(key).typed()
}

// Sorted sets.

/// Sets the score of a member; whether it is new.
///
/// ```
/// # use sluicegate_plugin::{commands::zadd, request::Typed};
/// let typed: Typed<bool> = zadd("k", "1.5", "m");
/// ```
pub fn zadd<'a>(
    key: impl Into<Arg<'a>>,
    score: impl Into<Arg<'a>>,
    member: impl Into<Arg<'a>>,
) -> Typed<bool> {
    cmd("ZADD").arg(key).arg(score).arg(member).typed()
}

/// Adds to the score of a member; the sum.
///
/// ```
/// # use sluicegate_plugin::{commands::zincr_by, request::Typed};
/// let typed: Typed<f64> = zincr_by("k", "0.5", "m");
/// ```
pub fn zincr_by<'a>(
    key: impl Into<Arg<'a>>,
    by: impl Into<Arg<'a>>,
    member: impl Into<Arg<'a>>,
) -> Typed<f64> {
    cmd("ZINCRBY").arg(key).arg(by).arg(member).typed()
}

/// The score of a member.
///
/// ```
/// # use sluicegate_plugin::{commands::zscore, request::Typed};
/// let typed: Typed<Option<f64>> = zscore("k", "m");
/// ```
pub fn zscore<'a>(key: impl Into<Arg<'a>>, member: impl Into<Arg<'a>>) -> Typed<Option<f64>> {
    cmd("ZSCORE").arg(key).arg(member).typed()
}

/// Removes a member; whether it was there.
///
/// ```
/// # use sluicegate_plugin::{commands::zrem, request::Typed};
/// let typed: Typed<bool> = zrem("k", "m");
/// ```
pub fn zrem<'a>(key: impl Into<Arg<'a>>, member: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("ZREM").arg(key).arg(member).typed()
}

/// The number of members.
///
/// ```
/// # use sluicegate_plugin::{commands::zcard, request::Typed};
/// let typed: Typed<i64> = zcard("k");
/// ```
pub fn zcard<'a>(key: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("ZCARD").arg(key).typed()
}

/// The members from place `first` to `last`, lowest score first; add `REV` for the highest first.
///
/// ```
/// # use sluicegate_plugin::{commands::zrange, request::Typed};
/// let typed: Typed<Vec<Vec<u8>>> = zrange("k", 0, -1);
/// ```
pub fn zrange<'a>(key: impl Into<Arg<'a>>, first: i64, last: i64) -> Typed<Vec<Vec<u8>>> {
    cmd("ZRANGE").arg(key).arg(first).arg(last).typed()
}

/// The same with their scores.
///
/// ```
/// # use sluicegate_plugin::{commands::zrange_with_scores, request::Typed};
/// let typed: Typed<Vec<(Vec<u8>, f64)>> = zrange_with_scores("k", 0, -1);
/// ```
pub fn zrange_with_scores<'a>(
    key: impl Into<Arg<'a>>,
    first: i64,
    last: i64,
) -> Typed<Vec<(Vec<u8>, f64)>> {
    cmd("ZRANGE").arg(key).arg(first).arg(last).arg("WITHSCORES").typed()
}

// Sets.

/// Adds a member; whether it is new.
///
/// ```
/// # use sluicegate_plugin::{commands::sadd, request::Typed};
/// let typed: Typed<bool> = sadd("k", "m");
/// ```
pub fn sadd<'a>(key: impl Into<Arg<'a>>, member: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("SADD").arg(key).arg(member).typed()
}

/// Removes a member; whether it was there.
///
/// ```
/// # use sluicegate_plugin::{commands::srem, request::Typed};
/// let typed: Typed<bool> = srem("k", "m");
/// ```
pub fn srem<'a>(key: impl Into<Arg<'a>>, member: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("SREM").arg(key).arg(member).typed()
}

/// Whether it is a member.
///
/// ```
/// # use sluicegate_plugin::{commands::sismember, request::Typed};
/// let typed: Typed<bool> = sismember("k", "m");
/// ```
pub fn sismember<'a>(key: impl Into<Arg<'a>>, member: impl Into<Arg<'a>>) -> Typed<bool> {
    cmd("SISMEMBER").arg(key).arg(member).typed()
}

/// The number of members.
///
/// ```
/// # use sluicegate_plugin::{commands::scard, request::Typed};
/// let typed: Typed<i64> = scard("k");
/// ```
pub fn scard<'a>(key: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("SCARD").arg(key).typed()
}

/// All members.
///
/// ```
/// # use sluicegate_plugin::{commands::smembers, request::Typed};
/// let typed: Typed<Vec<Vec<u8>>> = smembers("k");
/// ```
pub fn smembers<'a>(key: impl Into<Arg<'a>>) -> Typed<Vec<Vec<u8>>> {
    cmd("SMEMBERS").arg(key).typed()
}

// Lists.

/// Puts a value before the first; the length.
///
/// ```
/// # use sluicegate_plugin::{commands::lpush, request::Typed};
/// let typed: Typed<i64> = lpush("k", "v");
/// ```
pub fn lpush<'a>(key: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("LPUSH").arg(key).arg(value).typed()
}

/// Puts a value behind the last; the length.
///
/// ```
/// # use sluicegate_plugin::{commands::rpush, request::Typed};
/// let typed: Typed<i64> = rpush("k", "v");
/// ```
pub fn rpush<'a>(key: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("RPUSH").arg(key).arg(value).typed()
}

/// Takes the first value out.
///
/// ```
/// # use sluicegate_plugin::{commands::lpop, request::Typed};
/// let typed: Typed<Option<Vec<u8>>> = lpop("k");
/// ```
pub fn lpop<'a>(key: impl Into<Arg<'a>>) -> Typed<Option<Vec<u8>>> {
    cmd("LPOP").arg(key).typed()
}

/// Takes the last value out.
///
/// ```
/// # use sluicegate_plugin::{commands::rpop, request::Typed};
/// let typed: Typed<Option<Vec<u8>>> = rpop("k");
/// ```
pub fn rpop<'a>(key: impl Into<Arg<'a>>) -> Typed<Option<Vec<u8>>> {
    cmd("RPOP").arg(key).typed()
}

/// The length.
///
/// ```
/// # use sluicegate_plugin::{commands::llen, request::Typed};
/// let typed: Typed<i64> = llen("k");
/// ```
pub fn llen<'a>(key: impl Into<Arg<'a>>) -> Typed<i64> {
    cmd("LLEN").arg(key).typed()
}

/// The values from place `first` to `last`, -1 being the last.
///
/// ```
/// # use sluicegate_plugin::{commands::lrange, request::Typed};
/// let typed: Typed<Vec<Vec<u8>>> = lrange("k", 0, -1);
/// ```
pub fn lrange<'a>(key: impl Into<Arg<'a>>, first: i64, last: i64) -> Typed<Vec<Vec<u8>>> {
    cmd("LRANGE").arg(key).arg(first).arg(last).typed()
}

// Scripts.

/// Runs a script on `keys`; arguments follow by `arg`. All keys must live on one shard.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// let compare_and_delete = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";
/// let typed: Typed<bool> = eval(compare_and_delete, ["k"]).arg("mine").typed();
/// ```
pub fn eval<'a, K: Into<Arg<'a>>, const N: usize>(
    script: &str,
    keys: [K; N],
) -> Typed<crate::reply::Reply> {
    let count = i64::try_from(N).unwrap_or(i64::MAX);
    let start = cmd("EVAL").arg(script).arg(count);
    keys.into_iter().fold(start, crate::command::Command::arg).typed()
}

//! The lease: who computes a value. It lives beside the value's key, so it holds over all gateways.
//!
//! Its token names this worker and the client's session, so that a session's leases can be given back when it closes,
//! and a reader sees whether its own session is the leader. It is taken by `SET NX GET PX` and given back only by the
//! script that compares. A lease that nobody gives back ends with its time.

use sluicegate_plugin::command::{Command, beside, cmd};
use sluicegate_plugin::commands;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::request::Typed;

use crate::config::Config;

/// Name of the lease beside its key.
const LEASE: &str = "lease";
/// Where a worker keeps its part of the token.
const IDENT: &[u8] = b"ident";

/// Gives a lease back if it is still the token's.
pub const RELEASE: &str =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";

/// GET or GETEX inside MULTI: `{value, 1 if the caller is now the leader}`. Takes the lease only when the value is not
/// fresh; gives a fresh one the end that GETEX says.
pub const READ: &str = "local v=redis.call('GET',KEYS[1]) local p=redis.call('PTTL',KEYS[1]) \
if v and (p==-1 or p>tonumber(ARGV[1])) then \
if #ARGV>3 then redis.call('GETEX',KEYS[1],unpack(ARGV,4)) end return {v,0} end \
if redis.call('SET',KEYS[2],ARGV[2],'NX','PX',ARGV[3]) then return {false,1} end return {v,0}";

/// The token of this call's session.
pub fn token(cx: &Cx, config: &Config) -> String {
    let ident = *config.ident.get_or_init(|| {
        let known =
            cx.shared_get(IDENT).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        known.unwrap_or_else(|| {
            let fresh = cx.random();
            cx.shared_set(IDENT, &fresh.to_le_bytes(), 0);
            fresh
        })
    });
    let mut token = hex(ident);
    token.push('-');
    token.push_str(&hex(cx.session_id()));
    token
}

/// Takes the lease of `key` if it is free; answers nothing, or the token of who has it.
pub fn take(key: &[u8], token: &str, config: &Config) -> Typed<Option<Vec<u8>>> {
    cmd("SET")
        .to_key(key)
        .arg(beside(key, LEASE))
        .arg(token)
        .arg("NX")
        .arg("GET")
        .arg("PX")
        .arg(i64::from(config.lease.ms()))
        .typed()
}

/// Reads who has the lease of `key`.
pub fn holder(key: &[u8]) -> Typed<Option<Vec<u8>>> {
    commands::get(beside(key, LEASE))
}

/// Gives the lease of `key` back if it is the token's; answers whether it was.
pub fn release(key: &[u8], token: &str) -> Typed<bool> {
    commands::eval(RELEASE, [beside(key, LEASE)]).arg(token).typed()
}

/// Ends the lease of `key`, whoever has it; answers whether somebody had.
pub fn void(key: &[u8]) -> Typed<bool> {
    commands::del(beside(key, LEASE))
}

/// The read of `key` that may make the caller the leader, in one command; GETEX's option may follow.
pub fn read(key: &[u8], token: &str, config: &Config) -> Command {
    cmd("EVAL")
        .arg(READ)
        .arg("2")
        .arg(key)
        .arg(beside(key, LEASE))
        .arg(i64::from(config.grace_ms()))
        .arg(token)
        .arg(i64::from(config.lease.ms()))
}

/// Lets the lease go if this session closes before it fills the value.
pub fn watch(cx: &Cx, key: &[u8]) -> Result<()> {
    cx.watch_session("release", key)
}

/// Ends `watch`.
pub fn unwatch(cx: &Cx, key: &[u8]) -> Result<()> {
    cx.unwatch_session("release", key)
}

fn hex(value: u64) -> String {
    let bytes = value.to_be_bytes();
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0')).collect()
}

//! The lease: who computes a value. It lives beside the value's key, so it holds over all gateways.
//!
//! Its token names this worker and the client's session, so that a session's leases can be given back when it closes, and a reader
//! sees whether its own session is the leader; a token that is handed out (CACHE.GET) is drawn by lot. In mode `key` the
//! lease is taken by `SET NX GET PX` and ends with its time. In the modes `conn` and `token` it is `token@deadline` and
//! outlives its deadline until somebody else leads: a fill is taken as long as nobody else leads or has written or
//! deleted (leases as in "Scaling Memcache at Facebook", NSDI 2013).

use sluicegate_plugin::command::{Arg, Command, beside, cmd};
use sluicegate_plugin::commands;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::request::Typed;

use crate::config::{Config, LeaseMode};

/// Name of the lease beside its key.
const LEASE: &str = "lease";
/// Where a worker keeps its part of the token.
const IDENT: &[u8] = b"ident";
/// How many times its length a lease can still fill, while nobody else leads.
const KEPT: u32 = 10;

/// Who has the lease `k`, by the shard's clock: `holder` is its token, or false when it is free.
macro_rules! holder {
    () => {
        "local function now() local t=redis.call('TIME') return t[1]*1000+math.floor(t[2]/1000) end \
local function token(c) local at=c:find('@',1,true) if at then return c:sub(1,at-1),tonumber(c:sub(at+1)) end return c end \
local function holder(k) local c=redis.call('GET',k) if not c then return false end \
local t,d=token(c) if d and d<=now() then return false end return t end \
local function take(k,t,ms,kept) if holder(k) then return false end \
if kept=='0' then return redis.call('SET',k,t,'PX',ms) end \
return redis.call('SET',k,t..'@'..string.format('%.0f',now()+ms),'PX',kept) end "
    };
}

/// Takes the lease `KEYS[1]` for `ARGV[1]`, `ARGV[2]` ms long and `ARGV[3]` ms kept: nothing, or the token of who has it.
pub const TAKE: &str = concat!(
    holder!(),
    "local h=holder(KEYS[1]) if h then return h end take(KEYS[1],ARGV[1],ARGV[2],ARGV[3]) return false"
);

/// Gives a lease back if it is still the token's.
pub const RELEASE: &str = "local c=redis.call('GET',KEYS[1]) local t=ARGV[1] \
if c==t or (c and c:sub(1,#t+1)==t..'@') then return redis.call('DEL',KEYS[1]) end return 0";

/// GET or GETEX inside MULTI: `{value, 1 if the caller is now the leader}`. Takes the lease only when the value is not
/// fresh; gives a fresh one the end that GETEX says.
pub const READ: &str = concat!(
    holder!(),
    "local v=redis.call('GET',KEYS[1]) local p=redis.call('PTTL',KEYS[1]) \
if v and (p==-1 or p>tonumber(ARGV[1])) then \
if #ARGV>4 then redis.call('GETEX',KEYS[1],unpack(ARGV,5)) end return {v,0} end \
if take(KEYS[2],ARGV[2],ARGV[3],ARGV[4]) then return {false,1} end return {v,0}"
);

/// A fill by whom the lease was given to: 1 if the token `ARGV[1]` still has it, else nothing is written. `ARGV[2]` and following
/// are the command, without its key `KEYS[1]`. Ends the lease `KEYS[2]`.
pub const FILL: &str = "local c=redis.call('GET',KEYS[2]) local t=ARGV[1] \
if not c or (c~=t and c:sub(1,#t+1)~=t..'@') then return 0 end \
local r=redis.pcall(ARGV[2],KEYS[1],unpack(ARGV,3)) if not r then return 0 end if type(r)=='table' and r.err then return r end \
redis.call('DEL',KEYS[2]) return 1";

/// Who asks for a lease.
pub struct Asker {
    /// What the lease will hold.
    pub token: String,
    /// Whether the lease goes when this session closes.
    of_session: bool,
}

impl Asker {
    /// This call's session.
    pub fn session(cx: &Cx, config: &Config) -> Self {
        Self { token: token(cx, config), of_session: true }
    }

    /// Whoever will show this token.
    pub fn bearer(cx: &Cx) -> Self {
        Self { token: [hex(cx.random()), hex(cx.random())].concat(), of_session: false }
    }

    /// Lets the lease go if this session closes before it fills the value.
    pub fn watch(&self, cx: &Cx, key: &[u8]) -> Result<()> {
        if self.of_session { cx.watch_session("release", key) } else { Ok(()) }
    }

    /// Ends `watch`.
    pub fn unwatch(&self, cx: &Cx, key: &[u8]) -> Result<()> {
        if self.of_session { unwatch(cx, key) } else { Ok(()) }
    }

    /// In mode `conn`: the next write of this session to this key is a fill.
    pub fn remember(&self, cx: &Cx, config: &Config, key: &[u8]) {
        if self.of_session && config.lease_mode == LeaseMode::Conn {
            let kept_ms = config.lease.ms().saturating_mul(KEPT);
            if !cx.shared_set(&led(cx, key), b"1", kept_ms) {
                cx.log(3, "cache: shared_bytes is full; a fill is taken as a write");
            }
        }
    }
}

/// The key of the lease of `key`.
pub fn beside_key(key: &[u8]) -> Arg<'_> {
    beside(key, LEASE)
}

/// Ends the watch for this session's close.
pub fn unwatch(cx: &Cx, key: &[u8]) -> Result<()> {
    cx.unwatch_session("release", key)
}

/// Whether this session was told to compute `key`, and has not yet written it.
pub fn has_led(cx: &Cx, config: &Config, key: &[u8]) -> bool {
    config.lease_mode == LeaseMode::Conn && cx.shared_get(&led(cx, key)).is_some()
}

/// Ends `has_led`.
pub fn forget(cx: &Cx, config: &Config, key: &[u8]) {
    if config.lease_mode == LeaseMode::Conn {
        cx.shared_set(&led(cx, key), b"", 0);
    }
}

/// Where this session's being the leader of `key` is kept.
fn led(cx: &Cx, key: &[u8]) -> Vec<u8> {
    [b"led:".as_slice(), &cx.session_id().to_le_bytes(), key].concat()
}

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
pub fn take(key: &[u8], asker: &Asker, config: &Config) -> Typed<Option<Vec<u8>>> {
    let lease_ms = i64::from(config.lease.ms());
    if config.lease_mode != LeaseMode::Key {
        let take = cmd("EVAL").to_key(key).arg(TAKE).arg(1).arg(beside(key, LEASE));
        return take.arg(&asker.token).arg(lease_ms).arg(kept_ms(config)).typed();
    }
    let take = cmd("SET").to_key(key).arg(beside(key, LEASE)).arg(&asker.token);
    take.arg("NX").arg("GET").arg("PX").arg(lease_ms).typed()
}

/// How long a lease is stored; 0: as long as it is.
fn kept_ms(config: &Config) -> i64 {
    match config.lease_mode {
        LeaseMode::Key => 0,
        LeaseMode::Conn | LeaseMode::Token => i64::from(config.lease.ms()) * i64::from(KEPT),
    }
}

/// Reads the lease of `key`: see `holder_of`.
pub fn holder(key: &[u8]) -> Typed<Option<Vec<u8>>> {
    commands::get(beside(key, LEASE))
}

/// The token of a lease as it is stored; nothing when its deadline is over. Only for a look that another will confirm: the
/// clock is the gateway's.
pub fn holder_of(mut lease: Vec<u8>, now_ms: u64) -> Option<Vec<u8>> {
    let Some(at) = lease.iter().position(|byte| *byte == b'@') else {
        return Some(lease);
    };
    let deadline = lease.get(at + 1..).and_then(sluicegate_plugin::args::parse_int);
    let is_over = deadline.and_then(|ms| u64::try_from(ms).ok()).is_none_or(|ms| ms <= now_ms);
    lease.truncate(at);
    (!is_over).then_some(lease)
}

/// Gives the lease of `key` back if it is the token's; answers whether it was.
pub fn release(key: &[u8], token: &str) -> Typed<bool> {
    commands::eval(RELEASE, [beside(key, LEASE)]).arg(token).typed()
}

/// Ends the lease of `key`, whoever has it; answers whether somebody had.
pub fn void(key: &[u8]) -> Typed<bool> {
    commands::del(beside(key, LEASE))
}

/// The write of a leader, `words` without its key: whether the token still had the lease, and the value was stored.
pub fn fill<'a>(
    key: &[u8],
    token: &[u8],
    words: impl IntoIterator<Item = &'a [u8]>,
) -> Typed<bool> {
    let fill = cmd("EVAL").arg(FILL).arg(2).arg(key).arg(beside(key, LEASE)).arg(token);
    fill.args(words).typed()
}

/// The read of `key` that may make the caller the leader, in one command; GETEX's option may follow.
pub fn read(key: &[u8], asker: &Asker, config: &Config) -> Command {
    let read = cmd("EVAL").arg(READ).arg(2).arg(key).arg(beside(key, LEASE));
    let read = read.arg(i64::from(config.grace_ms())).arg(&asker.token);
    read.arg(i64::from(config.lease.ms())).arg(kept_ms(config))
}

fn hex(value: u64) -> String {
    let bytes = value.to_be_bytes();
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0')).collect()
}

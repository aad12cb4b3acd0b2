//! The scripts: each is one step on one counter, whole or not at all.
//!
//! All begin by making `KEYS[1]` a counter: a string that holds an integer is turned into one whose base is that integer, with
//! its end; anything else that is none is Redis's error, and stays. Values are handed on as text, because Lua's
//! numbers are doubles. A version begins at the shard's time in microseconds, so that a counter that was lost and begins anew
//! is above what a backup has of it. `tests/support.rs` says the same in Rust; the end-to-end tests run these on real servers.

/// Makes `k` a counter, or ends with Redis's error. `INCRBY k 0` is Redis's own test for an integer.
macro_rules! open {
    () => {
        "local function now() local t=redis.call('TIME') return string.format('%.0f',t[1]*1000000+t[2]) end \
local k=KEYS[1] local t=redis.call('TYPE',k).ok \
if t=='hash' then if redis.call('HEXISTS',k,'v')==0 then \
return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value') end \
elseif t~='none' then \
local e=redis.pcall('INCRBY',k,0) if type(e)=='table' then return e end \
local s,p=redis.call('GET',k),redis.call('PTTL',k) redis.call('DEL',k) \
redis.call('HSET',k,'n',s,'b',s,'v',now()) if p>0 then redis.call('PEXPIRE',k,p) end end "
    };
}

/// Gives `k` its end: `ARGV[2]` the ttl in milliseconds or 0, `ARGV[3]` `fixed` or `sliding`; or `at`, and when that is.
macro_rules! expire {
    () => {
        "if ARGV[3]=='at' then if redis.call('PTTL',k)<0 then redis.call('PEXPIREAT',k,ARGV[2]) end \
elseif ARGV[2]~='0' and (ARGV[3]=='sliding' or redis.call('PTTL',k)<0) then \
redis.call('PEXPIRE',k,ARGV[2]) end "
    };
}

/// Sets `w` to 1 when `k` has no base and nobody loads it: takes the lease `KEYS[2]` for the token `ARGV[4]`, `ARGV[5]` ms.
macro_rules! lease {
    () => {
        "local w=0 if KEYS[2] and redis.call('HEXISTS',k,'b')==0 and \
redis.call('SET',KEYS[2],ARGV[4],'NX','PX',ARGV[5]) then w=1 end "
    };
}

/// `k` has changed: the next version, or its first.
macro_rules! change {
    () => {
        "if t=='none' then redis.call('HSET',k,'v',now()) else redis.call('HINCRBY',k,'v',1) end "
    };
}

/// Notes `k` as changed since its last backup in the shard's registry, a sorted set by the time of its first such change.
macro_rules! note {
    ($registry:literal) => {
        concat!("if ", $registry, "~='' then redis.call('ZADD',", $registry, ",'NX',now(),k) end ")
    };
}

/// `ARGV[1]` is added: `{value, 1 if the caller has now the lease}`. `KEYS[2]`, the lease, may be missing.
/// `ARGV[6]` is the registry, or empty: a counter without a base would overwrite a larger backup, and is not noted.
pub const ADD: &str = concat!(
    open!(),
    "local e=redis.pcall('HINCRBY',k,'n',ARGV[1]) if type(e)=='table' then return e end ",
    change!(),
    expire!(),
    lease!(),
    "if redis.call('HEXISTS',k,'b')==1 then ",
    note!("ARGV[6]"),
    "end return {redis.call('HGET',k,'n'),w}"
);

/// `{value or null, 1 if the caller has now the lease}`; changes nothing but the lease. `ARGV[1]` to `[3]` are not used.
pub const READ: &str = concat!(
    "local k=KEYS[1] local t=redis.call('TYPE',k).ok \
if t~='hash' and t~='none' then local s=redis.pcall('GET',k) \
if type(s)=='table' then return s end return {s,0} end \
if t=='hash' and redis.call('HEXISTS',k,'v')==0 then \
return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value') end ",
    lease!(),
    "return {redis.call('HGET',k,'n'),w}"
);

/// Adds the base `ARGV[1]` of version `ARGV[4]` if none is there, and ends the lease `KEYS[2]`: `{value, 1 if it was added}`.
/// What was counted before it is not in the backup: noted in the registry `ARGV[5]`, if that is not empty.
pub const RESTORE: &str = concat!(
    open!(),
    "local w=0 if redis.call('HEXISTS',k,'b')==0 then \
local e=redis.pcall('HINCRBY',k,'n',ARGV[1]) if type(e)=='table' then return e end \
redis.call('HSET',k,'b',ARGV[1]) w=1 \
if t=='none' then redis.call('HSET',k,'v',ARGV[4]) else \
if tonumber(redis.call('HGET',k,'v'))<=tonumber(ARGV[4]) then \
redis.call('HSET',k,'v',string.format('%.0f',ARGV[4]+1)) end ",
    note!("ARGV[5]"),
    "end ",
    expire!(),
    "end redis.call('DEL',KEYS[2]) return {redis.call('HGET',k,'n'),w}"
);

/// Sets the value to `ARGV[1]`, its own base: `{1 if it was set, the old value or null}`. `ARGV[4]` `NX`, `XX` or empty; `ARGV[5]`
/// and `[6]` the end, as `PX ms`, `PXAT ms`, `KEEPTTL` or empty, which is the binding's ttl. `KEYS[2]` the lease, `ARGV[7]` the registry or empty.
pub const SET: &str = concat!(
    open!(),
    "local o=redis.call('HGET',k,'n') \
if (ARGV[4]=='NX' and o) or (ARGV[4]=='XX' and not o) then return {0,o} end \
redis.call('HSET',k,'n',ARGV[1],'b',ARGV[1]) ",
    change!(),
    "if ARGV[5]=='PX' then redis.call('PEXPIRE',k,ARGV[6]) \
elseif ARGV[5]=='PXAT' then redis.call('PEXPIREAT',k,ARGV[6]) \
elseif ARGV[5]~='KEEPTTL' then redis.call('PERSIST',k) end \
if ARGV[5]=='' then ",
    expire!(),
    "end ",
    note!("ARGV[7]"),
    "redis.call('DEL',KEYS[2]) return {1,o}"
);

/// Takes the counter away: its value or null.
pub const TAKE: &str =
    concat!(open!(), "local o=redis.call('HGET',k,'n') redis.call('DEL',k) return o");

/// The backup has version `ARGV[1]` of a counter: 1 and out of the registry `ARGV[2]` if it has not changed since. A counter that
/// is gone is taken out too, and answers 0.
pub const ACK: &str = "local k=KEYS[1] local t=redis.call('TYPE',k).ok \
local v=t=='hash' and redis.call('HGET',k,'v') \
if t=='none' or v==ARGV[1] then redis.call('ZREM',ARGV[2],k) end return v==ARGV[1] and 1 or 0";

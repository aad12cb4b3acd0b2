//! The scripts: each is one step on one key, whole or not at all, and leaves it in one of its two places.
//!
//! `KEYS[1]` is the bucket, which decides the shard; `ARGV[1]` the key, whose plain form lies there too; `ARGV[2]` its field.
//! `tests/mod.rs` says the same in Rust; the end-to-end tests run these on real servers.

/// The value, from wherever it is.
pub const GET: &str = "local v=redis.call('HGET',KEYS[1],ARGV[2]) if v then return v end return redis.call('GET',ARGV[1])";

/// What a reading command `ARGV[3]` answers, by name: of a packed key what is known of it, of a plain one the server's.
pub const READ: &str = "local v=redis.call('HGET',KEYS[1],ARGV[2]) local c=ARGV[3] \
if not v then return redis.call(c,ARGV[1]) end \
if c=='STRLEN' then return #v end if c=='TYPE' then return {ok='string'} end \
if c=='EXISTS' or c=='TOUCH' then return 1 end return -1";

/// Stores the value `ARGV[3]` without an end.
pub const STORE: &str =
    "redis.call('HSET',KEYS[1],ARGV[2],ARGV[3]) redis.call('DEL',ARGV[1]) return {ok='OK'}";

/// Takes the key away: 1 if it was there.
pub const DELETE: &str =
    "local n=redis.call('HDEL',KEYS[1],ARGV[2])+redis.call('DEL',ARGV[1]) return n>0 and 1 or 0";

/// Runs the command `ARGV[3]` with the arguments behind it on the key, made plain for that; what has no end then is packed again.
pub const RUN: &str = "local b,k,f=KEYS[1],ARGV[1],ARGV[2] local v=redis.call('HGET',b,f) \
if v then redis.call('SET',k,v) end \
local r=redis.pcall(ARGV[3],k,unpack(ARGV,4)) \
local w=redis.call('GET',k) local p=redis.call('PTTL',k) \
if w and p==-1 then if w~=v then redis.call('HSET',b,f,w) end redis.call('DEL',k) \
elseif v then redis.call('HDEL',b,f) end return r";

/// Locks the key for one that adopts it, by the token `ARGV[4]` under `ARGV[3]`, and packs a plain key that lies on the bucket's
/// shard: -1 when another has the lock, 1 if the key is there now, else 0.
pub const SETTLE: &str = "local b,k,f=KEYS[1],ARGV[1],ARGV[2] \
if not redis.call('SET',ARGV[3],ARGV[4],'NX','PX',5000) then return -1 end \
if redis.call('HEXISTS',b,f)==1 then return 1 end \
if redis.call('TYPE',k).ok~='string' then return 0 end \
if redis.call('PTTL',k)==-1 then redis.call('HSET',b,f,redis.call('GET',k)) redis.call('DEL',k) end return 1";

/// On the key's own shard: its value and PTTL, or nothing when that is the bucket's shard, or it holds no string. `ARGV[1]` and
/// `ARGV[2]` are where the token is and what it is.
pub const LOOK: &str = "if redis.call('GET',ARGV[1])==ARGV[2] or redis.call('TYPE',KEYS[1]).ok~='string' then return false end \
return {redis.call('GET',KEYS[1]),redis.call('PTTL',KEYS[1])}";

/// Stores a value that came from elsewhere, `ARGV[3]` with the PTTL `ARGV[4]`, unless the key is there by now, or the lock
/// `ARGV[5]` is no longer the token `ARGV[6]`: then somebody may have deleted the key meanwhile.
pub const ADOPT: &str = "local b,k,f=KEYS[1],ARGV[1],ARGV[2] if redis.call('GET',ARGV[5])~=ARGV[6] then return 0 end \
if redis.call('HEXISTS',b,f)==1 or redis.call('EXISTS',k)==1 then return 0 end \
if ARGV[4]=='-1' then redis.call('HSET',b,f,ARGV[3]) else redis.call('SET',k,ARGV[3],'PX',ARGV[4]) end return 1";

/// Ends what was adopted, on the key's own shard, if it is still the value `ARGV[1]`.
pub const LEAVE: &str =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";

/// Ends the lock `ARGV[3]` of the token `ARGV[4]`.
pub const UNLOCK: &str =
    "if redis.call('GET',ARGV[3])==ARGV[4] then return redis.call('DEL',ARGV[3]) end return 0";

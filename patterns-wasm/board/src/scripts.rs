//! The scripts: each is one step on one part, whole or not at all.
//!
//! Lua compares strings by the server's locale and Redis members by their bytes: `less` does as Redis. `tests/support.rs` says
//! the same in Rust; the end-to-end tests run these on real servers.

/// A write to the part `KEYS[1]` that may create it: `ARGV[2]` the command, then its arguments behind the key. A part without an
/// end gets the board's: of the window, `ARGV[1]`, or what EXPIRE has left in `KEYS[2]` for parts that were not there.
pub const WRITE: &str = "local k=KEYS[1] local r=redis.pcall(ARGV[2],k,unpack(ARGV,3)) \
if type(r)=='table' and r.err then return r end \
local e=ARGV[1] if e=='' then e=redis.call('GET',KEYS[2]) end \
if e and redis.call('PTTL',k)==-1 then redis.call('PEXPIREAT',k,e) end return r";

/// Gives the part `KEYS[1]` its end, and notes it in `KEYS[2]`: 1 if the part is there and took it. `ARGV[1]` `in` or `at`, `ARGV[2]`
/// milliseconds, `ARGV[3]` NX, XX, GT, LT or empty; `ARGV[4]` is 1 when a part that is not there is no board.
pub const EXPIRE: &str = "local t=redis.call('TIME') \
local now,at=t[1]*1000+math.floor(t[2]/1000),tonumber(ARGV[2]) if ARGV[1]=='in' then at=at+now end \
local has,c,f=redis.call('EXISTS',KEYS[1]),tonumber(redis.call('GET',KEYS[2]) or ''),ARGV[3] \
if has==0 and ARGV[4]=='1' then return 0 end \
if (f=='NX' and c) or (f=='XX' and not c) or (f=='GT' and (not c or at<=c)) or (f=='LT' and c and at>=c) then return 0 end \
if at<=now then redis.call('DEL',KEYS[1],KEYS[2]) return has end \
local s=string.format('%.0f',at) redis.call('SET',KEYS[2],s,'PXAT',s) \
if has==1 then redis.call('PEXPIREAT',KEYS[1],s) end return has";

/// `{place, score}` of the member `ARGV[1]` in its own part, by `ARGV[2]`: ZRANK or ZREVRANK; null when it is not there.
pub const RANK: &str = "local s=redis.call('ZSCORE',KEYS[1],ARGV[1]) if not s then return false end \
return {redis.call(ARGV[2],KEYS[1],ARGV[1]),s}";

/// How many members of the part come before the score `ARGV[1]` and the member `ARGV[2]`, which is in another part. `ARGV[3]` is `1`
/// from the highest on. Ties are in the order of their bytes, and searched by halves.
pub const PLACE: &str = "local k,s,m,b=KEYS[1],ARGV[1],ARGV[2],ARGV[3]=='1' \
local function less(x,y) for i=1,math.min(#x,#y) do local p,q=x:byte(i),y:byte(i) if p~=q then return p<q end end return #x<#y end \
local a=b and redis.call('ZCOUNT',k,'('..s,'+inf') or redis.call('ZCOUNT',k,'-inf','('..s) \
local z,c=a+redis.call('ZCOUNT',k,s,s),b and 'ZREVRANGE' or 'ZRANGE' \
while a<z do local h=math.floor((a+z)/2) local o=redis.call(c,k,h,h)[1] \
if (b and less(m,o)) or (not b and less(o,m)) then a=h+1 else z=h end end return a";

/// The first `ARGV[2]` + 1 members with scores of the windows `KEYS[2]` and following together, by `ARGV[3]`: SUM, MIN or MAX. Kept in
/// `KEYS[1]` for `ARGV[1]` milliseconds.
pub const ROLL_UP: &str = "local r=KEYS[1] if redis.call('EXISTS',r)==0 then \
local a={'ZUNIONSTORE',r,#KEYS-1} for i=2,#KEYS do a[#a+1]=KEYS[i] end a[#a+1]='AGGREGATE' a[#a+1]=ARGV[3] \
redis.call(unpack(a)) redis.call('PEXPIRE',r,ARGV[1]) end \
return redis.call('ZREVRANGE',r,0,ARGV[2],'WITHSCORES')";

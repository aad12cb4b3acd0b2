//! Values that must reach a database: `dirty: true`.
//!
//! Every write and deletion that is no leader's fill is noted on the key's shard, in the step that carries it out: the value with a
//! version beside it, so that neither its end nor an eviction loses it. CACHE.DIRTY hands out what is noted, CACHE.ACK takes it
//! off the list if nothing newer has come. A value is handed out at least once, as it is, and never an older behind a newer.

use std::rc::Rc;

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::{Arg, Command, beside, cmd};
use sluicegate_plugin::commands::eval;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use crate::config::Config;
use crate::lease;

/// Names of a shard's registry beside `backup`: keys by the time of their first change, and versions with values.
const ORDER: &str = "dirty";
const NOTES: &str = "values";

const COUNT: i64 = 100;
/// Most values of one CACHE.DIRTY: their bytes are one reply.
const COUNT_MAX: i64 = 1_000;
/// Commands of one piece.
const PIECE: usize = 100;

/// A write of `KEYS[1]` whose lease is `KEYS[2]`: `ARGV[7]` is the command, then its arguments behind the key. Noted in `ARGV[1]` and
/// `ARGV[2]`, with the value `ARGV[5]`, or as a deletion where `ARGV[4]` is `del`, unless the token `ARGV[3]` has the lease: that
/// is a fill, whose value comes from the database. `ARGV[6]` says how a reply tells that it was stored: `any`, `null`, `reply`, `one`.
pub const WRITE: &str = "local k,c,t=KEYS[1],redis.call('GET',KEYS[2]),ARGV[3] \
local fill=c and (c==t or c:sub(1,#t+1)==t..'@') \
local r=redis.pcall(ARGV[7],k,unpack(ARGV,8)) if type(r)=='table' and r.err then return r end \
if ARGV[6]=='one' and r~=1 then return r end \
if (ARGV[6]=='null' or ARGV[6]=='reply') and (ARGV[6]=='null')~=(r==false) then return r end \
redis.call('DEL',KEYS[2]) if fill and ARGV[4]~='del' then return r end \
local n=redis.call('TIME') local v=n[1]*1000000+n[2] \
local o=redis.call('HGET',ARGV[2],k) if o then local p=tonumber(o:match('^%d+')) if p>=v then v=p+1 end end \
v=string.format('%.0f',v) \
redis.call('HSET',ARGV[2],k,v..(ARGV[4]=='del' and '-' or ':')..ARGV[5]) redis.call('ZADD',ARGV[1],'NX',v,k) return r";

/// The database has the version `ARGV[1]` of `KEYS[1]`: 1 and off the list `ARGV[2]`, `ARGV[3]` if that still stands.
pub const ACK: &str = "local o=redis.call('HGET',ARGV[3],KEYS[1]) \
if not o or o:match('^%d+')~=ARGV[1] then return 0 end \
redis.call('HDEL',ARGV[3],KEYS[1]) redis.call('ZREM',ARGV[2],KEYS[1]) return 1";

/// What is noted of a write.
#[derive(Debug, Clone, Copy)]
pub enum Note<'a> {
    /// The new value.
    Value(&'a [u8]),
    /// The key is gone.
    Gone,
}

/// The write as the script that notes it. `told` says how its reply tells that it was stored.
pub fn write<'a>(
    cx: &Cx,
    config: &Config,
    key: &[u8],
    note: Note<'_>,
    told: &str,
    words: impl IntoIterator<Item = &'a [u8]>,
) -> Command {
    let write = cmd("EVAL").arg(WRITE).arg(2).arg(key).arg(lease::beside_key(key));
    let write = write.arg(&name(config, ORDER)).arg(&name(config, NOTES));
    let write = write.arg(&lease::token(cx, config));
    let write = match note {
        Note::Value(value) => write.arg("set").arg(value),
        Note::Gone => write.arg("del").arg(""),
    };
    write.arg(told).args(words)
}

/// The name that a script gives a registry: as the gateway writes keys beside `backup`.
fn name(config: &Config, name: &str) -> String {
    ["{", &config.backup, "}:sg:", name].concat()
}

fn registry<'a>(config: &'a Config, name: &'static str) -> Arg<'a> {
    beside(config.backup.as_bytes(), name)
}

/// `CACHE.DIRTY [count]`: key, value or nil for a deleted one, and version, those first that have waited longest.
pub async fn dirty(cx: Cx, args: Args) -> Result<Reply> {
    let config = with_dirty(&cx)?;
    let count = match args.len() {
        1 => COUNT,
        2 => args.get(1)?,
        _ => return Err(Error::arity("cache.dirty")),
    };
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(Error::new("cache: CACHE.DIRTY count must be from 1 to 1000"));
    }
    let shards = i64::from(cx.shards()).max(1);
    // The same part of each; who asks again until nothing comes gets all.
    let last = (count + shards - 1) / shards - 1;
    let (mut triples, mut fault, mut answered) = (Vec::new(), None, false);
    for shard in 0..cx.shards() {
        let oldest = cmd("ZRANGE").arg(registry(&config, ORDER)).arg(0).arg(last);
        let keys = match cx.call(oldest.to_shard(shard).typed::<Vec<Vec<u8>>>()).await {
            Ok(keys) => keys,
            // A shard that is down does not keep the others from their database.
            Err(error) => {
                fault = Some(error);
                continue;
            }
        };
        answered = true;
        for piece in keys.chunks(PIECE) {
            let notes = cmd("HMGET").arg(registry(&config, NOTES));
            let notes = notes.args(piece.iter().map(Vec::as_slice)).to_shard(shard);
            let notes: Vec<Option<Vec<u8>>> = cx.call(notes.typed()).await?;
            for (key, note) in piece.iter().zip(notes) {
                if let Some((version, value)) = note.as_deref().and_then(read) {
                    triples.extend([Reply::bulk(key.as_slice()), value, Reply::Int(version)]);
                }
            }
        }
    }
    match (answered, fault) {
        (false, Some(error)) => Err(error),
        _ => Ok(Reply::Array(triples)),
    }
}

/// A version, and the value or nothing.
fn read(note: &[u8]) -> Option<(i64, Reply)> {
    let at = note.iter().position(|byte| !byte.is_ascii_digit())?;
    let version = sluicegate_plugin::args::parse_int(note.get(..at)?)?;
    let value = note.get(at + 1..).unwrap_or_default();
    Some((version, if note.get(at) == Some(&b'-') { Reply::Null } else { Reply::bulk(value) }))
}

/// `CACHE.ACK key version`: 1 if that version still stands, and is now off the list.
pub async fn ack(cx: Cx, args: Args) -> Result<bool> {
    let config = with_dirty(&cx)?;
    let version: i64 = args.get(2)?;
    let ack = eval(ACK, [args.key()]).arg(version);
    cx.call(ack.arg(&name(&config, ORDER)).arg(&name(&config, NOTES)).typed()).await
}

fn with_dirty(cx: &Cx) -> Result<Rc<Config>> {
    let config = cx.config::<Config>()?;
    if !config.dirty {
        return Err(Error::new(
            "cache: set 'dirty: true' and 'backup' in the config of this binding",
        ));
    }
    Ok(config)
}

/// What would change a value past the notes.
pub async fn refuse(cx: Cx, args: Args) -> Result<Reply> {
    if !cx.config::<Config>()?.dirty {
        return cx.pass();
    }
    let name = String::from_utf8_lossy(args.name()).to_ascii_lowercase();
    let text = "' would not reach the database; with 'dirty: true' use SET, SETEX, MSET and DEL";
    Err(Error::new(["cache: '", &name, text].concat()))
}

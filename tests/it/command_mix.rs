//! Random commands of every data type, as a table of templates filled with seeded choices.
//!
//! Comes in: a `Rng`. Goes out: the arguments of one command and how its reply may be compared. Only commands whose
//! outcome does not depend on chance or the clock are here, or whose reply can be compared in a weaker way by name.
//! Keys of all types are few and shared, so that commands meet values, empty places and values of the wrong type.
//! To cover a further command add a row; a placeholder is a word in braces that `fill` knows.

use sluicegate_tests::rng::Rng;

/// How two replies to the same command are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Byte by byte.
    Bytes,
    /// As values whose order is free.
    AnyOrder,
    /// As fields and values in any order.
    AnyPairOrder,
    /// Two integers that may differ by this much: a clock ticked between the two servers.
    Within(i64),
    /// Only that both answer, and with the same kind of reply.
    Kind,
}

use Compare::{AnyOrder, AnyPairOrder, Bytes, Kind, Within};

/// One command to send.
#[derive(Debug, Clone)]
pub struct Sample {
    pub args: Vec<Vec<u8>>,
    pub compare: Compare,
}

type Row = (&'static str, Compare);

/// Commands on one key. `{s}` is a key that mostly holds a string, `{l}` a list, and so on; see `fill`.
const SINGLE: &[Row] = &[
    // Strings.
    ("SET {s} {v}", Bytes), ("SET {s} {int}", Bytes), ("SET {s} {v} NX", Bytes), ("SET {s} {v} XX", Bytes),
    ("SET {s} {v} GET", Bytes), ("SET {s} {v} EX 1000", Bytes), ("SET {s} {v} PX 900000 XX GET", Bytes),
    ("SET {s} {v} KEEPTTL", Bytes), ("SET {s} {v} EXAT 33177117420", Bytes), ("SETNX {s} {v}", Bytes),
    ("SETEX {s} 1000 {v}", Bytes), ("PSETEX {s} 900000 {v}", Bytes), ("GET {s}", Bytes), ("GET {s}", Bytes),
    ("GETSET {s} {v}", Bytes), ("GETDEL {s}", Bytes), ("GETEX {s}", Bytes), ("GETEX {s} EX 1000", Bytes),
    ("GETEX {s} PERSIST", Bytes), ("GETRANGE {s} {i} {i}", Bytes), ("SUBSTR {s} {i} {i}", Bytes),
    ("SETRANGE {s} {n} {v}", Bytes), ("APPEND {s} {v}", Bytes), ("STRLEN {s}", Bytes), ("INCR {s}", Bytes),
    ("DECR {s}", Bytes), ("INCRBY {s} {int}", Bytes), ("DECRBY {s} {int}", Bytes),
    ("INCRBYFLOAT {s} {float}", Bytes), ("LCS {s} {s-same}", Bytes),
    // Bitmaps.
    ("SETBIT {b} {n} 1", Bytes), ("SETBIT {b} {n} 0", Bytes), ("GETBIT {b} {n}", Bytes), ("BITCOUNT {b}", Bytes),
    ("BITCOUNT {b} {i} {i}", Bytes), ("BITCOUNT {b} {n} {n} BIT", Bytes), ("BITPOS {b} 1", Bytes),
    ("BITPOS {b} 0 {n}", Bytes), ("BITFIELD {b} SET u8 {n} {n} GET i5 {n} INCRBY u4 {n} {i}", Bytes),
    ("BITFIELD {b} OVERFLOW FAIL INCRBY i4 0 {i}", Bytes), ("BITFIELD_RO {b} GET u16 {n}", Bytes),
    // Lists.
    ("LPUSH {l} {vs}", Bytes), ("RPUSH {l} {vs}", Bytes), ("LPUSHX {l} {v}", Bytes), ("RPUSHX {l} {v}", Bytes),
    ("LPOP {l}", Bytes), ("RPOP {l}", Bytes), ("LPOP {l} {n}", Bytes), ("RPOP {l} {n}", Bytes), ("LLEN {l}", Bytes),
    ("LRANGE {l} {i} {i}", Bytes), ("LRANGE {l} 0 -1", Bytes), ("LINDEX {l} {i}", Bytes), ("LSET {l} {i} {v}", Bytes),
    ("LINSERT {l} BEFORE {m} {v}", Bytes), ("LINSERT {l} AFTER {m} {v}", Bytes), ("LREM {l} {i} {m}", Bytes),
    ("LTRIM {l} 0 20", Bytes), ("LPOS {l} {m} COUNT 0", Bytes), ("LPOS {l} {m} RANK -1", Bytes),
    ("LMOVE {l} {l-same} LEFT RIGHT", Bytes), ("RPOPLPUSH {l} {l-same}", Bytes), ("LMPOP 1 {l} LEFT COUNT 2", Bytes),
    ("SORT {l} ALPHA", Bytes), ("SORT {l} ALPHA DESC LIMIT 0 5", Bytes), ("SORT_RO {l} ALPHA", Bytes),
    // Hashes.
    ("HSET {h} {fvs}", Bytes), ("HMSET {h} {fvs}", Bytes), ("HSETNX {h} {m} {v}", Bytes), ("HGET {h} {m}", Bytes),
    ("HMGET {h} {ms}", Bytes), ("HDEL {h} {ms}", Bytes), ("HLEN {h}", Bytes), ("HEXISTS {h} {m}", Bytes),
    ("HSTRLEN {h} {m}", Bytes), ("HINCRBY {h} {m} {int}", Bytes), ("HINCRBYFLOAT {h} {m} {float}", Bytes),
    ("HGETALL {h}", AnyPairOrder), ("HKEYS {h}", AnyOrder), ("HVALS {h}", AnyOrder),
    ("HSCAN {h} 0 COUNT 1000", AnyOrder), ("HRANDFIELD {h} 1000", AnyOrder),
    // Sets.
    ("SADD {S} {ms}", Bytes), ("SADD {S} {ints}", Bytes), ("SREM {S} {ms}", Bytes), ("SCARD {S}", Bytes),
    ("SISMEMBER {S} {m}", Bytes), ("SMISMEMBER {S} {ms}", Bytes), ("SMEMBERS {S}", AnyOrder),
    ("SSCAN {S} 0 COUNT 1000", AnyOrder), ("SINTER {S}", AnyOrder), ("SUNION {S} {S-same}", AnyOrder),
    ("SDIFF {S}", AnyOrder), ("SINTERCARD 1 {S} LIMIT 3", Bytes), ("SRANDMEMBER {S} 1000", AnyOrder),
    ("SMOVE {S} {S-same} {m}", Bytes),
    // Sorted sets.
    ("ZADD {z} {sms}", Bytes), ("ZADD {z} NX {sms}", Bytes), ("ZADD {z} XX CH {sms}", Bytes),
    ("ZADD {z} GT {sms}", Bytes), ("ZADD {z} LT CH {sms}", Bytes), ("ZADD {z} INCR {float} {m}", Bytes),
    ("ZINCRBY {z} {float} {m}", Bytes), ("ZREM {z} {ms}", Bytes), ("ZCARD {z}", Bytes), ("ZSCORE {z} {m}", Bytes),
    ("ZMSCORE {z} {ms}", Bytes), ("ZRANK {z} {m}", Bytes), ("ZREVRANK {z} {m}", Bytes),
    ("ZRANGE {z} {i} {i} WITHSCORES", Bytes), ("ZRANGE {z} 0 -1", Bytes), ("ZREVRANGE {z} 0 {n} WITHSCORES", Bytes),
    ("ZRANGE {z} -inf +inf BYSCORE LIMIT 0 3", Bytes), ("ZRANGE {z} [m ({m} BYLEX", Bytes),
    ("ZRANGEBYSCORE {z} (0 {n} WITHSCORES", Bytes), ("ZREVRANGEBYSCORE {z} +inf -inf", Bytes),
    ("ZRANGEBYLEX {z} - +", Bytes), ("ZREVRANGEBYLEX {z} + -", Bytes), ("ZCOUNT {z} -1 {n}", Bytes),
    ("ZLEXCOUNT {z} - [m5", Bytes), ("ZPOPMIN {z}", Bytes), ("ZPOPMAX {z} {n}", Bytes),
    ("ZREMRANGEBYRANK {z} 5 -1", Bytes), ("ZREMRANGEBYSCORE {z} 8 9", Bytes), ("ZREMRANGEBYLEX {z} [m8 [m9", Bytes),
    ("ZMPOP 1 {z} MIN COUNT 2", Bytes), ("ZUNION 1 {z} WITHSCORES", Bytes), ("ZINTER 1 {z}", Bytes),
    ("ZDIFF 1 {z}", Bytes), ("ZINTERCARD 1 {z}", Bytes), ("ZSCAN {z} 0 COUNT 1000", AnyOrder),
    ("ZRANGESTORE {z} {z-same} 0 5", Bytes), ("ZRANDMEMBER {z} 1000", AnyOrder),
    // Streams.
    ("XADD {x} {id} {fvs}", Bytes), ("XADD {x} {id} {fvs}", Bytes), ("XADD {x} MAXLEN 8 {id} {fvs}", Bytes),
    ("XADD {x} NOMKSTREAM {id} f {v}", Bytes), ("XADD {x} 0-0 f v", Bytes), ("XLEN {x}", Bytes),
    ("XRANGE {x} - +", Bytes), ("XRANGE {x} - + COUNT {n}", Bytes), ("XREVRANGE {x} + - COUNT 2", Bytes),
    ("XDEL {x} {id}", Bytes), ("XTRIM {x} MAXLEN 5", Bytes), ("XREAD COUNT 3 STREAMS {x} 0", Bytes),
    ("XGROUP CREATE {x} g{n} 0", Bytes), ("XGROUP CREATE {x} g0 $ MKSTREAM", Bytes), ("XGROUP DESTROY {x} g5", Bytes),
    ("XGROUP CREATECONSUMER {x} g0 c1", Bytes), ("XGROUP DELCONSUMER {x} g0 c1", Bytes),
    ("XREADGROUP GROUP g0 c0 COUNT 2 STREAMS {x} >", Bytes), ("XREADGROUP GROUP g0 c0 STREAMS {x} 0", Bytes),
    ("XACK {x} g0 {id}", Bytes), ("XPENDING {x} g0", Bytes), ("XAUTOCLAIM {x} g0 c2 0 0 COUNT 2", Bytes),
    ("XINFO GROUPS {x}", Bytes), ("XINFO STREAM {x}", Bytes), ("XSETID {x} {id}", Bytes),
    // Counting and places.
    ("PFADD {p} {ms}", Bytes), ("PFADD {p}", Bytes), ("PFCOUNT {p}", Bytes),
    ("GEOADD {g} {lon} {lat} {m}", Bytes), ("GEOADD {g} NX CH {lon} {lat} {m}", Bytes), ("GEOPOS {g} {ms}", Bytes),
    ("GEODIST {g} {m} {m} km", Bytes), ("GEOHASH {g} {ms}", Bytes),
    ("GEOSEARCH {g} FROMLONLAT {lon} {lat} BYRADIUS 900 km ASC WITHDIST", Bytes),
    ("GEORADIUS_RO {g} {lon} {lat} 900 km DESC", Bytes), ("GEORADIUSBYMEMBER_RO {g} {m} 500 km ASC", Bytes),
    ("GEOSEARCHSTORE {g} {g-same} FROMMEMBER {m} BYBOX 500 500 km ASC COUNT 2", Bytes),
    // Any key.
    ("TYPE {k}", Bytes), ("EXISTS {k}", Bytes), ("DEL {k}", Bytes), ("UNLINK {k}", Bytes), ("TOUCH {k}", Bytes),
    ("PERSIST {k}", Bytes), ("EXPIRE {k} 1000", Bytes), ("EXPIRE {k} 2000 NX", Bytes), ("EXPIRE {k} 500 GT", Bytes),
    ("EXPIRE {k} 0", Bytes), ("PEXPIRE {k} 900000 XX", Bytes), ("PEXPIRE {k} -5", Bytes),
    ("EXPIREAT {k} 33177117420", Bytes), ("PEXPIREAT {k} 33177117420000 LT", Bytes), ("TTL {k}", Within(3)),
    ("PTTL {k}", Within(3000)), ("EXPIRETIME {k}", Within(3)), ("PEXPIRETIME {k}", Within(3000)),
    ("OBJECT REFCOUNT {l}", Bytes), ("RENAME {k} {k-same}", Bytes),
    ("RENAMENX {k} {k-same}", Bytes), ("COPY {k} {k-same}", Bytes), ("COPY {k} {k-same} REPLACE", Bytes),
];

/// Commands on many keys, whose parts go to several shards.
const SPLIT: &[Row] = &[
    ("MGET {ks}", Bytes), ("MGET {ks}", Bytes), ("MSET {kvs}", Bytes), ("MSET {kvs}", Bytes), ("DEL {ks}", Bytes),
    ("UNLINK {ks}", Bytes), ("EXISTS {ks}", Bytes), ("TOUCH {ks}", Bytes), ("MGET {ss}", Bytes), ("MSET {kvs} {k}", Bytes),
];

/// Several keys with one hash tag: one shard owns them, so the command passes whole.
const TAGGED: &[Row] = &[
    ("MSETNX {{t}}a {v} {{t}}b {v}", Bytes), ("RENAME {{t}}a {{t}}b", Bytes), ("COPY {{t}}a {{t}}c REPLACE", Bytes),
    ("SADD {{t}}s1 {ms}", Bytes), ("SADD {{t}}s2 {ms}", Bytes), ("SINTER {{t}}s1 {{t}}s2", AnyOrder),
    ("SUNIONSTORE {{t}}s3 {{t}}s1 {{t}}s2", Bytes), ("SDIFF {{t}}s1 {{t}}s2", AnyOrder),
    ("SINTERCARD 2 {{t}}s1 {{t}}s2", Bytes), ("ZADD {{t}}z1 {sms}", Bytes), ("ZADD {{t}}z2 {sms}", Bytes),
    ("ZUNIONSTORE {{t}}z3 2 {{t}}z1 {{t}}z2 WEIGHTS 2 3", Bytes), ("ZINTER 2 {{t}}z1 {{t}}z2 WITHSCORES", Bytes),
    ("SET {{t}}a {v}", Bytes), ("SET {{t}}b {v}", Bytes), ("BITOP XOR {{t}}c {{t}}a {{t}}b", Bytes),
    ("LCS {{t}}a {{t}}b LEN", Bytes), ("PFADD {{t}}p1 {ms}", Bytes), ("PFMERGE {{t}}p2 {{t}}p1", Bytes),
    ("PFCOUNT {{t}}p1 {{t}}p2", Bytes), ("LPUSH {{t}}l1 {vs}", Bytes), ("LMOVE {{t}}l1 {{t}}l2 LEFT LEFT", Bytes),
    ("MGET {{t}}a {{t}}b {{t}}c", Bytes), ("DEL {{t}}a {{t}}s3 {{t}}l1", Bytes),
];

/// Commands that the gateway answers itself, and commands that nobody knows.
const HERE: &[Row] = &[
    ("PING", Bytes), ("PING {v}", Bytes), ("ECHO {v}", Bytes), ("SELECT 0", Bytes), ("SELECT abc", Bytes),
    ("TIME", Kind), ("NOSUCH", Bytes), ("NOSUCH {v} {m}", Bytes), ("NO\rSUCH {m}", Bytes), ("GETT {k}", Bytes),
    ("OBJECT NOSUCH {k}", Bytes), ("XINFO NOSUCH {x}", Bytes), ("PING a b", Bytes), ("ECHO", Bytes), ("GET", Bytes),
    ("MGET", Bytes), ("MSET", Bytes), ("MSET {k}", Bytes), ("DEL", Bytes), ("OBJECT", Bytes), ("EXEC", Bytes),
    ("DISCARD", Bytes), ("SELECT", Bytes), ("HELLO 9", Bytes), ("HELLO x", Bytes), ("AUTH a b c", Bytes),
];

/// What takes the place of an argument to make a command wrong. No small number: it could become a short expiry.
const GARBAGE: &[&[u8]] =
    &[b"", b"abc", b"-1", b"9223372036854775807", b"1.5", b"nan", b"\xff\x00\r\n", b"WITHSCORES"];

/// Keys of each type, and how many.
const TYPES: &[u8] = b"sblhSzxpg";
const KEYS_PER_TYPE: usize = 7;

/// Makes commands; holds what later ones depend on.
#[derive(Debug)]
pub struct Mix {
    stream_id: u64,
}

impl Mix {
    /// A mix from its start.
    pub fn new() -> Mix {
        Mix { stream_id: 0 }
    }

    /// One command: mostly on one key, some split, some tagged, some answered by the gateway, some made wrong.
    pub fn command(&mut self, rng: &mut Rng) -> Sample {
        let (table, may_break) = match rng.below(100) {
            0..70 => (SINGLE, true),
            70..88 => (SPLIT, true),
            88..95 => (TAGGED, false),
            _ => (HERE, false),
        };
        let mut sample = self.fill(rng, table[rng_row(rng, table)]);
        if may_break && sample.compare == Bytes && rng.one_in(25) {
            spoil(rng, &mut sample.args);
        }
        sample
    }

    /// The commands of one MULTI..EXEC on one key, without the frame.
    pub fn transaction(&mut self, rng: &mut Rng) -> Vec<Sample> {
        let kind = TYPES[rng.below(TYPES.len())];
        let row_kind = format!("{{{}}}", char::from(kind));
        let same_key = |row: &Row| row.0.contains(&row_kind) && row.1 == Bytes && !row.0.contains("-same");
        let rows: Vec<Row> = SINGLE.iter().copied().filter(same_key).collect();
        let key = home_key(kind, rng.below(KEYS_PER_TYPE));
        (0..rng.below(8)).map(|_| self.fill_with(rng, rows[rng_row(rng, &rows)], Some(&key))).collect()
    }

    fn fill(&mut self, rng: &mut Rng, row: Row) -> Sample {
        self.fill_with(rng, row, None)
    }

    fn fill_with(&mut self, rng: &mut Rng, (template, compare): Row, key: Option<&[u8]>) -> Sample {
        let mut args: Vec<Vec<u8>> = Vec::new();
        let tag = rng.below(4);
        let mut last_key = Vec::new();
        for word in template.split(' ') {
            match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                Some(name) if name.ends_with("-same") => args.push(last_key.clone()),
                Some(name) if name.len() == 1 && (name == "k" || TYPES.contains(&name.as_bytes()[0])) => {
                    last_key = key.map_or_else(|| a_key(rng, name.as_bytes()[0]), <[u8]>::to_vec);
                    args.push(last_key.clone());
                }
                Some(name) => self.fill_word(rng, name, &mut args),
                None => {
                    let text = word.replace("{{t}}", &format!("{{tag{tag}}}"));
                    args.push(text.replace("{n}", &rng.below(6).to_string()).replace("{m}", &member(rng)).into_bytes());
                }
            }
        }
        if rng.one_in(3) {
            args[0] = args[0].iter().map(|b| if rng.one_in(2) { b.to_ascii_lowercase() } else { *b }).collect();
        }
        Sample { args, compare }
    }

    /// The arguments that a placeholder stands for.
    fn fill_word(&mut self, rng: &mut Rng, name: &str, args: &mut Vec<Vec<u8>>) {
        let count = 1 + rng.below(4);
        match name {
            "v" => args.push(value(rng)),
            "vs" => args.extend((0..count).map(|_| if rng.one_in(2) { member(rng).into_bytes() } else { value(rng) })),
            "n" => args.push(rng.below(12).to_string().into_bytes()),
            "i" => args.push(rng.between(-6, 6).to_string().into_bytes()),
            "int" => args.push(rng.between(-1000, 1000).to_string().into_bytes()),
            "ints" => args.extend((0..count).map(|_| rng.between(0, 20).to_string().into_bytes())),
            "float" => args.push(format!("{}.{}", rng.between(-9, 9), rng.below(100)).into_bytes()),
            "m" => args.push(member(rng).into_bytes()),
            "ms" => args.extend((0..count).map(|_| member(rng).into_bytes())),
            "fvs" => (0..count).for_each(|_| args.extend([member(rng).into_bytes(), value(rng)])),
            "sms" => (0..count).for_each(|_| {
                args.extend([rng.between(-9, 9).to_string().into_bytes(), member(rng).into_bytes()]);
            }),
            "lon" => args.push(format!("{}.5", rng.between(0, 9)).into_bytes()),
            "lat" => args.push(format!("{}.25", rng.between(40, 49)).into_bytes()),
            "id" => {
                self.stream_id += u64::from(!rng.one_in(5));
                args.push(format!("{}-1", self.stream_id).into_bytes());
            }
            "ks" => (0..1 + rng.below(20)).for_each(|_| args.push(a_key(rng, b'k'))),
            "ss" => (0..1 + rng.below(60)).for_each(|_| args.push(a_key(rng, b's'))),
            "kvs" => (0..1 + rng.below(8)).for_each(|_| args.extend([a_key(rng, b's'), value(rng)])),
            other => panic!("no such placeholder: {other}"),
        }
    }
}

fn rng_row(rng: &mut Rng, table: &[Row]) -> usize {
    rng.below(table.len())
}

/// A key for commands of the type `kind`: mostly one that holds it, sometimes any.
fn a_key(rng: &mut Rng, kind: u8) -> Vec<u8> {
    let kind = if kind == b'k' || rng.one_in(12) { TYPES[rng.below(TYPES.len())] } else { kind };
    home_key(kind, rng.below(KEYS_PER_TYPE))
}

/// Keys are plain, tagged, with bytes of any value, and empty.
fn home_key(kind: u8, index: usize) -> Vec<u8> {
    match index {
        0 => [b"\xff\x00\r\n ", &[kind][..]].concat(),
        1 => [b"{user:7}:", &[kind][..]].concat(),
        2 if kind == b's' => Vec::new(),
        _ => format!("{}:{index}", char::from(kind)).into_bytes(),
    }
}

fn member(rng: &mut Rng) -> String {
    format!("m{}", rng.below(10))
}

fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(40) {
        0 => Vec::new(),
        1 => {
            let len = rng.below(70_000);
            rng.bytes(len)
        }
        2..12 => rng.between(-50, 50).to_string().into_bytes(),
        _ => {
            let len = rng.below(40);
            rng.bytes(len)
        }
    }
}

/// Drops, adds or replaces an argument after the first key.
fn spoil(rng: &mut Rng, args: &mut Vec<Vec<u8>>) {
    let garbage = rng.pick(GARBAGE).to_vec();
    let chance = rng.below(3);
    if chance == 0 && args.len() > 1 {
        args.pop();
    } else if chance == 1 {
        args.push(garbage);
    } else if args.len() > 2 {
        let at = 2 + rng.below(args.len() - 2);
        args[at] = garbage;
    }
}

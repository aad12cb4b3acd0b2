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
    /// Byte by byte, unless the gateway says that the values are too long to be compared over two shards.
    OrTooLong,
    /// Byte by byte; where versions may differ, numbers by their value.
    Scores,
    /// Only that both answer, and with the same kind of reply.
    Kind,
}

use Compare::{AnyOrder, AnyPairOrder, Bytes, Kind, OrTooLong, Scores, Within};

/// One command to send.
#[derive(Debug, Clone)]
pub struct Sample {
    pub args: Vec<Vec<u8>>,
    pub compare: Compare,
}

/// A template and how its replies are compared.
#[derive(Debug, Clone, Copy)]
struct Row {
    template: &'static str,
    compare: Compare,
}

/// Commands on one key. `{s}` is a key that mostly holds a string, `{l}` a list, and so on; see `fill`.
const SINGLE: &str = "
SET {s} {v} | SET {s} {int} | SET {s} {v} NX | SET {s} {v} XX | SET {s} {v} GET | SET {s} {v} EX 1000
SET {s} {v} PX 900000 XX GET | SET {s} {v} KEEPTTL | SET {s} {v} EXAT 33177117420 | SETNX {s} {v}
SETEX {s} 1000 {v} | PSETEX {s} 900000 {v} | GET {s} | GET {s} | GETSET {s} {v} | GETDEL {s} | GETEX {s}
GETEX {s} EX 1000 | GETEX {s} PERSIST | GETRANGE {s} {i} {i} | SUBSTR {s} {i} {i} | SETRANGE {s} {n} {v}
APPEND {s} {v} | STRLEN {s} | INCR {s} | DECR {s} | INCRBY {s} {int} | DECRBY {s} {int}
INCRBYFLOAT {s} {float} | LCS {y} {y-same}
SETBIT {b} {n} 1 | SETBIT {b} {n} 0 | GETBIT {b} {n} | BITCOUNT {b} | BITCOUNT {b} {i} {i}
BITCOUNT {b} {n} {n} BIT | BITPOS {b} 1 | BITPOS {b} 0 {n}
BITFIELD {b} SET u8 {n} {n} GET i5 {n} INCRBY u4 {n} {i} | BITFIELD {b} OVERFLOW FAIL INCRBY i4 0 {i}
BITFIELD_RO {b} GET u16 {n}
LPUSH {l} {vs} | RPUSH {l} {vs} | LPUSHX {l} {v} | RPUSHX {l} {v} | LPOP {l} | RPOP {l} | LPOP {l} {n}
RPOP {l} {n} | LLEN {l} | LRANGE {l} {i} {i} | LRANGE {l} 0 -1 | LINDEX {l} {i} | LSET {l} {i} {v}
LINSERT {l} BEFORE {m} {v} | LINSERT {l} AFTER {m} {v} | LREM {l} {i} {m} | LTRIM {l} 0 20
LPOS {l} {m} COUNT 0 | LPOS {l} {m} RANK -1 | LMOVE {l} {l-same} LEFT RIGHT | RPOPLPUSH {l} {l-same}
LMPOP 1 {l} LEFT COUNT 2 | SORT {l} ALPHA | SORT {l} ALPHA DESC LIMIT 0 5 | SORT_RO {l} ALPHA
HSET {h} {fvs} | HMSET {h} {fvs} | HSETNX {h} {m} {v} | HGET {h} {m} | HMGET {h} {ms} | HDEL {h} {ms}
HLEN {h} | HEXISTS {h} {m} | HSTRLEN {h} {m} | HINCRBY {h} {m} {int} | HINCRBYFLOAT {h} {m} {float}
any-pair-order HGETALL {h} | any-order HKEYS {h} | any-order HVALS {h}
any-order HSCAN {h} 0 COUNT 1000 | any-order HRANDFIELD {h} 1000
SADD {S} {ms} | SADD {S} {ints} | SREM {S} {ms} | SCARD {S} | SISMEMBER {S} {m} | SMISMEMBER {S} {ms}
any-order SMEMBERS {S} | any-order SSCAN {S} 0 COUNT 1000 | any-order SINTER {S}
any-order SUNION {S} {S-same} | any-order SDIFF {S} | SINTERCARD 1 {S} LIMIT 3
any-order SRANDMEMBER {S} 1000 | SMOVE {S} {S-same} {m}
ZADD {z} {sms} | ZADD {z} NX {sms} | ZADD {z} XX CH {sms} | ZADD {z} GT {sms} | ZADD {z} LT CH {sms}
ZADD {z} INCR {float} {m} | ZINCRBY {z} {float} {m} | ZREM {z} {ms} | ZCARD {z} | ZSCORE {z} {m}
ZMSCORE {z} {ms} | ZRANK {z} {m} | ZREVRANK {z} {m} | ZRANGE {z} {i} {i} WITHSCORES | ZRANGE {z} 0 -1
ZREVRANGE {z} 0 {n} WITHSCORES | ZRANGE {z} -inf +inf BYSCORE LIMIT 0 3 | ZRANGE {z} [m ({m} BYLEX
ZRANGEBYSCORE {z} (0 {n} WITHSCORES | ZREVRANGEBYSCORE {z} +inf -inf | ZRANGEBYLEX {z} - +
ZREVRANGEBYLEX {z} + - | ZCOUNT {z} -1 {n} | ZLEXCOUNT {z} - [m5 | ZPOPMIN {z} | ZPOPMAX {z} {n}
ZREMRANGEBYRANK {z} 5 -1 | ZREMRANGEBYSCORE {z} 8 9 | ZREMRANGEBYLEX {z} [m8 [m9
ZMPOP 1 {z} MIN COUNT 2 | ZUNION 1 {z} WITHSCORES | ZINTER 1 {z} | ZDIFF 1 {z} | ZINTERCARD 1 {z}
any-order ZSCAN {z} 0 COUNT 1000 | ZRANGESTORE {z} {z-same} 0 5 | any-order ZRANDMEMBER {z} 1000
XADD {x} {id} {fvs} | XADD {x} {id} {fvs} | XADD {x} MAXLEN 8 {id} {fvs}
XADD {x} NOMKSTREAM {id} f {v} | XADD {x} 0-0 f v | XLEN {x} | XRANGE {x} - + | XRANGE {x} - + COUNT {n}
XREVRANGE {x} + - COUNT 2 | XDEL {x} {id} | XTRIM {x} MAXLEN 5 | XREAD COUNT 3 STREAMS {x} 0
XGROUP CREATE {x} g{n} 0 | XGROUP CREATE {x} g0 $ MKSTREAM | XGROUP DESTROY {x} g5
XGROUP CREATECONSUMER {x} g0 c1 | XGROUP DELCONSUMER {x} g0 c1
XREADGROUP GROUP g0 c0 COUNT 2 STREAMS {x} > | XREADGROUP GROUP g0 c0 STREAMS {x} 0 | XACK {x} g0 {id}
XPENDING {x} g0 | XAUTOCLAIM {x} g0 c2 0 0 COUNT 2 | XINFO GROUPS {x} | XINFO STREAM {x}
XSETID {x} {id}
PFADD {p} {ms} | PFADD {p} | PFCOUNT {p} | GEOADD {g} {lon} {lat} {m} | GEOADD {g} NX CH {lon} {lat} {m}
GEOPOS {g} {ms} | GEODIST {g} {m} {m} km | GEOHASH {g} {ms}
GEOSEARCH {g} FROMLONLAT {lon} {lat} BYRADIUS 900 km ASC WITHDIST
GEORADIUS_RO {g} {lon} {lat} 900 km DESC | GEORADIUSBYMEMBER_RO {g} {m} 500 km ASC
GEOSEARCHSTORE {g} {g-same} FROMMEMBER {m} BYBOX 500 500 km ASC COUNT 2
SET {y} {ab} | SET {y} {ab} | APPEND {y} {m} | GET {y}
TYPE {k} | EXISTS {k} | DEL {k} | UNLINK {k} | TOUCH {k} | PERSIST {k} | EXPIRE {k} 1000
EXPIRE {k} 2000 NX | EXPIRE {k} 500 GT | EXPIRE {k} 0 | PEXPIRE {k} 900000 XX | PEXPIRE {k} -5
EXPIREAT {k} 33177117420 | PEXPIREAT {k} 33177117420000 LT | within-3 TTL {k} | within-3000 PTTL {k}
within-3 EXPIRETIME {k} | within-3000 PEXPIRETIME {k} | OBJECT REFCOUNT {l} | RENAME {k} {k-same}
RENAMENX {k} {k-same} | COPY {k} {k-same} | COPY {k} {k-same} REPLACE
";

/// Commands on many keys, whose parts go to several shards.
const SPLIT: &str = "
MGET {ks} | MGET {ks} | MSET {kvs} | MSET {kvs} | DEL {ks} | UNLINK {ks} | EXISTS {ks} | TOUCH {ks}
MGET {ss} | MSET {kvs} {k}
";

/// Several keys with one hash tag: one shard owns them, so the command passes whole.
const TAGGED: &str = "
MSETNX {{t}}a {v} {{t}}b {v} | RENAME {{t}}a {{t}}b | COPY {{t}}a {{t}}c REPLACE | SADD {{t}}s1 {ms}
SADD {{t}}s2 {ms} | any-order SINTER {{t}}s1 {{t}}s2 | SUNIONSTORE {{t}}s3 {{t}}s1 {{t}}s2
any-order SDIFF {{t}}s1 {{t}}s2 | SINTERCARD 2 {{t}}s1 {{t}}s2 | ZADD {{t}}z1 {sms} | ZADD {{t}}z2 {sms}
ZUNIONSTORE {{t}}z3 2 {{t}}z1 {{t}}z2 WEIGHTS 2 3 | ZINTER 2 {{t}}z1 {{t}}z2 WITHSCORES | SET {{t}}a {v}
SET {{t}}b {v} | BITOP XOR {{t}}c {{t}}a {{t}}b | SET {{t}}y1 {ab} | SET {{t}}y2 {ab} | LCS {{t}}y1 {{t}}y2 LEN | PFADD {{t}}p1 {ms}
PFMERGE {{t}}p2 {{t}}p1 | PFCOUNT {{t}}p1 {{t}}p2 | LPUSH {{t}}l1 {vs} | LMOVE {{t}}l1 {{t}}l2 LEFT LEFT
MGET {{t}}a {{t}}b {{t}}c | DEL {{t}}a {{t}}s3 {{t}}l1
";

/// Commands that only read, over keys of any shards: the gateway joins what the shards say.
const JOINED: &str = "
any-order SUNION {S} {S} | any-order SUNION {k} {S} {S} {S} | any-order SINTER {S} {S}
any-order SINTER {S} {S} {S} | any-order SINTER {S} {k} | any-order SDIFF {S} {S}
any-order SDIFF {S} {S} {S} {S} | any-order SDIFF {S} {S} {S-same} | any-order SINTER {Ss}
any-order SUNION {Ss} | any-order SDIFF {Ss}
SINTERCARD 2 {S} {S} | SINTERCARD 3 {S} {S} {S} LIMIT {n} | SINTERCARD 2 {S} {k} limit {i}
SINTERCARD 2 {S} {S} LIMIT 1 LIMIT {n}
scores ZUNION 2 {z} {z} | scores ZUNION 2 {z} {z} WITHSCORES | scores ZUNION 3 {z} {S} {z} WITHSCORES
scores ZUNION 4 {z} {z} {z} {S} WEIGHTS {w} {w} {w} {w} WITHSCORES | scores ZUNION 2 {z} {k} AGGREGATE MAX
scores ZUNION 3 {z} {z} {z} WEIGHTS {w} {w} {w} AGGREGATE {agg} WITHSCORES
scores ZUNION 2 {z} {z} WEIGHTS {w} {w} WEIGHTS {w} {w} withscores
scores ZUNION 3 {z} {z} {z-same} AGGREGATE {agg} WITHSCORES | scores ZUNION 2 {z} {z} WITHSCORES LIMIT 1
scores ZUNION 2 {z} {z} WEIGHTS {w} {w} AGGREGATE {agg} AGGREGATE {agg} WITHSCORES WITHSCORES
scores ZINTER 2 {z} {z} WITHSCORES | scores ZINTER 2 {z} {S} WEIGHTS {w} {w} AGGREGATE {agg} WITHSCORES
scores ZINTER 3 {z} {z} {z} WEIGHTS {w} {w} {w} WITHSCORES | scores ZINTER 2 {S} {k}
scores ZINTER 2 {z} {z} AGGREGATE {agg} WITHSCORES | scores ZINTER 2 {z} {z} WEIGHTS {w} {w} WITHSCORES
ZDIFF 2 {z} {z} WITHSCORES | ZDIFF 3 {z} {S} {z} | ZDIFF 3 {S} {z} {k} WITHSCORES
ZDIFF 4 {z} {z} {z} {z} WITHSCORES | ZDIFF 2 {z} {z} WEIGHTS 1 1
ZINTERCARD 2 {z} {z} | ZINTERCARD 3 {z} {S} {z} LIMIT {n} | ZINTERCARD 2 {z} {k} LIMIT {i}
LCS {y} {y} | LCS {y} {y} LEN | LCS {y} {y} IDX
or-too-long LCS {y} {s} IDX WITHMATCHLEN | LCS {b} {y} IDX MINMATCHLEN {i}
or-too-long LCS {y} {k} LEN IDX | LCS {y} {y} MINMATCHLEN {v} IDX | LCS {y} {y} MINMATCHLEN 2
PFCOUNT {p} {p} | PFCOUNT {p} {p} {p} {p} | PFCOUNT {p} {k} | PFCOUNT {s} {p}
XREAD STREAMS {x} {x} 0 0 | XREAD COUNT {n} STREAMS {x} {x} {x} 0 {id} 0
XREAD COUNT {i} STREAMS {x} {x} 0-0 $ | XREAD STREAMS {x} {k} 3 {id} | XREAD STREAMS {x} {x} $ $
XREAD COUNT 2 STREAMS {k} {k} {x} 0 {v} 0 | XREAD STREAMS {x} {x} > 0 | XREAD STREAMS {x} {x} 0
";

/// Commands that the gateway answers itself, and commands that nobody knows.
const HERE: &str = "
PING | PING {v} | ECHO {v} | SELECT 0 | SELECT abc | kind TIME | NOSUCH | NOSUCH {v} {m} | NO\rSUCH {m}
GETT {k} | OBJECT NOSUCH {k} | XINFO NOSUCH {x} | PING a b | ECHO | GET | MGET | MSET | MSET {k} | DEL
OBJECT | EXEC | DISCARD | SELECT | HELLO 9 | HELLO x | AUTH a b c
";

/// Commands over the whole key space. Pages of a SCAN differ; whole walks are compared by `same_as_redis`.
const SPACE: &str = "
DBSIZE | DBSIZE | DBSIZE | any-order KEYS * | any-order KEYS {s} | any-order KEYS [lz]:* | kind RANDOMKEY
kind LASTSAVE | kind SCAN 0 | SCAN abc | SCAN 0 COUNT 0 | SCAN 0 COUNT x | SCAN 0 MATCH | SCAN | KEYS | DBSIZE x
RANDOMKEY x | FLUSHALL NOW | FLUSHDB ASYNC SYNC | FLUSHDB | FLUSHALL ASYNC | SLOWLOG GET -2
kind SLOWLOG LEN | LATENCY HISTORY | LATENCY RESET none | CONFIG GET maxmemory-policy | CONFIG SET no x
";

/// The rows of a table: parted by `|`, each with the way to compare before it where that is not by bytes.
fn rows(table: &'static str) -> Vec<Row> {
    let row = |text: &'static str| {
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        let compare = match first {
            "any-order" => AnyOrder,
            "any-pair-order" => AnyPairOrder,
            "within-3" => Within(3),
            "within-3000" => Within(3000),
            "or-too-long" => OrTooLong,
            "scores" => Scores,
            "kind" => Kind,
            _ => {
                return Row { template: text, compare: Bytes };
            }
        };
        Row { template: rest, compare }
    };
    table.trim().split(['|', '\n']).map(str::trim).map(row).collect()
}

/// What takes the place of an argument to make a command wrong. No small number: it could become a short expiry.
const GARBAGE: &[&[u8]] =
    &[b"", b"abc", b"-1", b"9223372036854775807", b"1.5", b"nan", b"\xff\x00\r\n", b"WITHSCORES"];

/// Weights of sorted sets.
const WEIGHTS: &[&str] = &["1", "2", "-1", "0.5", "0.1", "1e3", "0", "-0", "inf", "-inf", "-3.7"];

/// Keys of each type, and how many.
const TYPES: &[u8] = b"sblhSzxpgy";
const KEYS_PER_TYPE: usize = 7;

/// Makes commands; holds what later ones depend on.
#[derive(Debug)]
pub struct Mix {
    /// Whether commands are made wrong now and then: servers of different versions see some mistakes in another order.
    pub spoils: bool,
    stream_id: u64,
    single: Vec<Row>,
    split: Vec<Row>,
    tagged: Vec<Row>,
    joined: Vec<Row>,
    here: Vec<Row>,
    space: Vec<Row>,
}

impl Mix {
    /// A mix from its start.
    pub fn new() -> Mix {
        Mix {
            spoils: true,
            stream_id: 0,
            single: rows(SINGLE),
            split: rows(SPLIT),
            tagged: rows(TAGGED),
            joined: rows(JOINED),
            here: rows(HERE),
            space: rows(SPACE),
        }
    }

    /// One command: mostly on one key, some split, tagged or joined, some answered by the gateway, some made wrong.
    pub fn command(&mut self, rng: &mut Rng) -> Sample {
        let (table, may_break) = match rng.below(100) {
            0..60 => (&self.single, true),
            60..75 => (&self.split, true),
            75..80 => (&self.tagged, false),
            80..94 => return self.joined(rng),
            94..97 => (&self.space, false),
            _ => (&self.here, false),
        };
        let row = table[rng.below(table.len())];
        let mut sample = self.fill(rng, row);
        // A further key would be on another shard, where a plain server has no such border.
        let one_key = !row.template.contains("-same") && !row.template.starts_with("PFCOUNT");
        if self.spoils && may_break && one_key && sample.compare == Bytes && rng.one_in(25) {
            spoil(rng, &mut sample.args);
        }
        sample
    }

    /// A command over keys of any shards; now and then made wrong, for a further key is no border to it.
    fn joined(&mut self, rng: &mut Rng) -> Sample {
        let row = self.joined[rng.below(self.joined.len())];
        let mut sample = self.fill(rng, row);
        if self.spoils && rng.one_in(10) {
            spoil(rng, &mut sample.args);
        }
        sample
    }

    /// The commands of one MULTI..EXEC on one key, without the frame.
    pub fn transaction(&mut self, rng: &mut Rng) -> Vec<Sample> {
        let kind = TYPES[rng.below(TYPES.len())];
        let row_kind = format!("{{{}}}", char::from(kind));
        let fits = |row: &Row| {
            let plain = row.compare == Bytes && !row.template.contains("-same");
            plain && row.template.contains(&row_kind)
        };
        let rows: Vec<Row> = self.single.iter().copied().filter(fits).collect();
        let key = home_key(kind, rng.below(KEYS_PER_TYPE));
        let count = rng.below(8);
        let mut fill = |_| {
            let row = rows[rng.below(rows.len())];
            self.fill_with(rng, row, Some(&key))
        };
        (0..count).map(&mut fill).collect()
    }

    fn fill(&mut self, rng: &mut Rng, row: Row) -> Sample {
        self.fill_with(rng, row, None)
    }

    fn fill_with(&mut self, rng: &mut Rng, row: Row, key: Option<&[u8]>) -> Sample {
        let mut args: Vec<Vec<u8>> = Vec::new();
        let tag = rng.below(4);
        let mut last_key = Vec::new();
        for word in row.template.split(' ') {
            match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                Some(name) if name.ends_with("-same") => args.push(last_key.clone()),
                Some(name)
                    if name.len() == 1 && (name == "k" || TYPES.contains(&name.as_bytes()[0])) =>
                {
                    last_key = key.map_or_else(|| a_key(rng, name.as_bytes()[0]), <[u8]>::to_vec);
                    args.push(last_key.clone());
                }
                Some(name) => self.fill_word(rng, name, &mut args),
                None => {
                    let text = word.replace("{{t}}", &format!("{{tag{tag}}}"));
                    args.push(
                        text.replace("{n}", &rng.below(6).to_string())
                            .replace("{m}", &member(rng))
                            .into_bytes(),
                    );
                }
            }
        }
        if rng.one_in(3) {
            args[0] = args[0]
                .iter()
                .map(|b| if rng.one_in(2) { b.to_ascii_lowercase() } else { *b })
                .collect();
        }
        Sample { args, compare: row.compare }
    }

    /// The arguments that a placeholder stands for.
    fn fill_word(&mut self, rng: &mut Rng, name: &str, args: &mut Vec<Vec<u8>>) {
        let count = 1 + rng.below(4);
        match name {
            "v" => args.push(value(rng)),
            "vs" => args.extend(
                (0..count)
                    .map(|_| if rng.one_in(2) { member(rng).into_bytes() } else { value(rng) }),
            ),
            "n" => args.push(rng.below(12).to_string().into_bytes()),
            "i" => args.push(rng.between(-6, 6).to_string().into_bytes()),
            "int" => args.push(rng.between(-1000, 1000).to_string().into_bytes()),
            "ints" => args.extend((0..count).map(|_| rng.between(0, 20).to_string().into_bytes())),
            "float" => args.push(format!("{}.{}", rng.between(-9, 9), rng.below(100)).into_bytes()),
            "m" => args.push(member(rng).into_bytes()),
            "ms" => args.extend((0..count).map(|_| member(rng).into_bytes())),
            "fvs" => (0..count).for_each(|_| args.extend([member(rng).into_bytes(), value(rng)])),
            "sms" => (0..count).for_each(|_| {
                args.extend([score(rng).into_bytes(), member(rng).into_bytes()]);
            }),
            "ab" => {
                let len = rng.below(200);
                args.push((0..len).map(|_| b"abcd"[rng.below(4)]).collect());
            }
            "w" => args.push(rng.pick(WEIGHTS).as_bytes().to_vec()),
            "agg" => args.push(rng.pick(&["SUM", "min", "MAX"]).as_bytes().to_vec()),
            "Ss" => (0..1 + rng.below(6)).for_each(|_| args.push(a_key(rng, b'S'))),
            "lon" => args.push(format!("{}.5", rng.between(0, 9)).into_bytes()),
            "lat" => args.push(format!("{}.25", rng.between(40, 49)).into_bytes()),
            "id" => {
                self.stream_id += u64::from(!rng.one_in(5));
                args.push(format!("{}-1", self.stream_id).into_bytes());
            }
            "ks" => (0..1 + rng.below(20)).for_each(|_| args.push(a_key(rng, b'k'))),
            "ss" => (0..1 + rng.below(60)).for_each(|_| args.push(a_key(rng, b's'))),
            "kvs" => {
                (0..1 + rng.below(8)).for_each(|_| args.extend([a_key(rng, b's'), value(rng)]))
            }
            other => panic!("no such placeholder: {other}"),
        }
    }
}

/// A key for commands of the type `kind`: mostly one that holds it, sometimes any.
pub fn a_key(rng: &mut Rng, kind: u8) -> Vec<u8> {
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

/// Mostly a small number, sometimes one with a fraction, seldom an infinite one.
fn score(rng: &mut Rng) -> String {
    match rng.below(12) {
        0..8 => rng.between(-9, 9).to_string(),
        11 if rng.one_in(4) => rng.pick(&["inf", "-inf", "-0", "1e17"]).to_string(),
        _ => format!("{}.{}", rng.between(-9, 9), rng.below(100)),
    }
}

pub fn value(rng: &mut Rng) -> Vec<u8> {
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

//! Soft and hard time to live: what a stored TTL means, and what a client's options become when stored.
//!
//! Stored (hard) TTL = soft TTL + grace. Everything here is pure: arguments and clocks come in, commands go out. `None`
//! from a parser means "not ours to judge": the command goes on as it came, and the shard answers its own error.

use sluicegate_plugin::args::{Args, parse_int};
use sluicegate_plugin::command::{Command, cmd};
use sluicegate_plugin::reply::Reply;

use crate::lease;

/// Runs a command on `KEYS[1]`; on a stale value it answers 0, as for one that has expired.
pub const UNLESS_STALE: &str = "local p=redis.call('PTTL',KEYS[1]) \
if p>=0 and p<=tonumber(ARGV[1]) then return 0 end \
return redis.pcall(ARGV[2],KEYS[1],unpack(ARGV,3))";

/// SET under a condition, for which a stale value is as good as gone; ends the lease `KEYS[2]` if it stores. `ARGV[2]` says what
/// becomes of a stale value: `fill` leaves it to XX, which a leader may say, `XX` refuses, else it goes first. `ARGV[3]` is
/// `null` where null says that the value was stored, `any` where it always is.
pub const SET_IF: &str = "local p=redis.call('PTTL',KEYS[1]) \
if ARGV[2]~='fill' and p>=0 and p<=tonumber(ARGV[1]) then \
if ARGV[2]=='XX' then return false end redis.call('DEL',KEYS[1]) end \
local r=redis.pcall('SET',KEYS[1],unpack(ARGV,4)) if type(r)=='table' and r.err then return r end \
if ARGV[3]=='any' or (ARGV[3]=='null')==(r==false) then redis.call('DEL',KEYS[2]) end return r";

/// Longest time that is stored, milliseconds: Redis adds the present time and the grace to it.
pub const MOST_MS: i64 = i64::MAX / 2;

fn unless_stale(key: &[u8], grace_ms: u32, name: &str) -> Command {
    let script = cmd("EVAL").arg(UNLESS_STALE).arg(1).arg(key);
    script.arg(i64::from(grace_ms)).arg(name)
}

/// What a value is to its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// There is none.
    Missing,
    /// Without TTL, or before its soft TTL.
    Fresh,
    /// After its soft TTL, within the grace.
    Stale,
}

/// What PTTL's answer means.
pub fn life_of_pttl(pttl: i64, grace_ms: u32) -> Life {
    match pttl {
        -1 => Life::Fresh,
        p if p < 0 => Life::Missing,
        p if p > i64::from(grace_ms) => Life::Fresh,
        _ => Life::Stale,
    }
}

/// What a value and PTTL's answer mean together.
pub fn life_of(value: &Reply, pttl: i64, grace_ms: u32) -> Life {
    if value.is_null() { Life::Missing } else { life_of_pttl(pttl, grace_ms) }
}

/// The answer to TTL or PTTL, from the stored PTTL.
pub fn soft_ttl(pttl: i64, grace_ms: u32, in_seconds: bool) -> i64 {
    if pttl < 0 {
        return pttl;
    }
    let soft = (pttl - i64::from(grace_ms)).max(0);
    if in_seconds { (soft + 500) / 1000 } else { soft }
}

/// The answer to EXPIRETIME or PEXPIRETIME, from the stored PEXPIRETIME.
pub fn soft_expiretime(at_ms: i64, grace_ms: u32, in_seconds: bool) -> i64 {
    if at_ms < 0 {
        return at_ms;
    }
    let soft = (at_ms - i64::from(grace_ms)).max(0);
    if in_seconds { (soft + 500) / 1000 } else { soft }
}

/// When a value is to expire, as the client said it: soft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing said.
    None,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// After so many milliseconds.
    In(i64),
    /// At this wall time in milliseconds.
    At(i64),
}

impl Expiry {
    /// From an option's name and its number; `None` when Redis would refuse it.
    fn of(option: &[u8], number: Option<i64>) -> Option<Self> {
        let number = number.filter(|n| *n > 0)?;
        match option.to_ascii_uppercase().as_slice() {
            b"EX" => Some(Self::In(number.checked_mul(1000)?)),
            b"PX" => Some(Self::In(number)),
            b"EXAT" => Some(Self::At(number.checked_mul(1000)?)),
            b"PXAT" => Some(Self::At(number)),
            _ => None,
        }
    }

    /// Whether it is over already.
    pub fn is_past(self, now_ms: u64) -> bool {
        match self {
            Self::At(at) => u64::try_from(at).unwrap_or(0) <= now_ms,
            Self::None | Self::Keep | Self::Persist | Self::In(_) => false,
        }
    }

    /// At most `cap_ms` from `now_ms` on, if that is said.
    fn capped(self, cap_ms: Option<u32>, now_ms: u64) -> Self {
        let Some(cap_ms) = cap_ms.map(i64::from) else {
            return self;
        };
        match self {
            Self::None | Self::Keep | Self::Persist => Self::In(cap_ms),
            Self::In(ms) => Self::In(ms.min(cap_ms)),
            Self::At(at) => {
                Self::At(at.min(i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(cap_ms)))
            }
        }
    }

    /// This as SET's and GETEX's own words, shifted by the grace unless it is past. `None`: beyond 64 bits.
    pub fn words(self, grace_ms: u32, now_ms: u64) -> Option<Vec<Vec<u8>>> {
        let shift = i64::from(grace_ms);
        let timed = |name: &str, ms: i64| vec![name.into(), ms.to_string().into_bytes()];
        Some(match self {
            Self::None => Vec::new(),
            Self::Keep => vec![b"KEEPTTL".to_vec()],
            Self::Persist => vec![b"PERSIST".to_vec()],
            Self::In(ms) => timed("PX", ms.checked_add(shift)?),
            Self::At(at) if self.is_past(now_ms) => timed("PXAT", at),
            Self::At(at) => timed("PXAT", at.checked_add(shift)?),
        })
    }

    /// Adds these words to a command.
    pub fn append(self, command: Command, grace_ms: u32, now_ms: u64) -> Option<Command> {
        Some(command.args(self.words(grace_ms, now_ms)?.iter().map(Vec::as_slice)))
    }
}

/// A SET as it will be stored.
#[derive(Debug, Clone)]
pub struct Set {
    /// The command with its grace.
    pub command: Command,
    /// When it softly expires.
    pub expiry: Expiry,
    /// NX or XX stood there, so it may not be stored.
    pub condition: Condition,
    /// GET stood there, so its reply is the old value.
    pub gives_old: bool,
    /// It is stored whatever is there; else it is a script, which ends the lease itself.
    pub is_plain: bool,
    /// The command's words behind its key.
    pub words: Vec<Vec<u8>>,
    /// How its reply tells that it was stored: `any`, `null` or `reply`.
    pub told: &'static str,
}

/// When a SET is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    Always,
    /// Only if there is no value.
    Absent,
    /// Only if there is one.
    Present,
}

impl Set {
    /// Whether it neither looks at what is stored nor answers it: what a leader may fill with.
    pub fn may_fill(&self) -> bool {
        !self.gives_old && self.condition != Condition::Absent && self.expiry != Expiry::Keep
    }

    /// Whether this reply says that the value was stored.
    pub fn was_stored(&self, reply: &Reply) -> bool {
        match (self.gives_old, self.condition) {
            (_, Condition::Always) => true,
            (true, Condition::Absent) => reply.is_null(),
            (false, _) | (true, Condition::Present) => !reply.is_null(),
        }
    }
}

/// Reads `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT t | PXAT t | KEEPTTL]`. `cap_ms`: how long it may be fresh at most.
pub fn read_set(args: &Args, grace_ms: u32, now_ms: u64, cap_ms: Option<u32>) -> Option<Set> {
    let (mut expiry, mut condition, mut gives_old) = (Expiry::None, Condition::Always, false);
    if args.len() < 3 {
        return None;
    }
    let mut at = 3;
    while at < args.len() {
        if args.is(at, "NX") && condition == Condition::Always {
            condition = Condition::Absent;
        } else if args.is(at, "XX") && condition == Condition::Always {
            condition = Condition::Present;
        } else if args.is(at, "GET") {
            gives_old = true;
        } else if expiry != Expiry::None {
            return None;
        } else if args.is(at, "KEEPTTL") {
            expiry = Expiry::Keep;
        } else {
            expiry = Expiry::of(args.bytes(at), parse_int(args.bytes(at + 1)))?;
            at += 1;
        }
        at += 1;
    }
    let expiry = expiry.capped(cap_ms, now_ms);
    let keeps = expiry == Expiry::Keep;
    let is_plain = condition == Condition::Always && !keeps;
    let told = match (condition, gives_old) {
        (Condition::Always, _) => "any",
        (Condition::Absent, true) => "null",
        (Condition::Absent | Condition::Present, _) => "reply",
    };
    let mut words = vec![args.bytes(2).to_vec()];
    match condition {
        Condition::Always => {}
        Condition::Absent => words.push(b"NX".to_vec()),
        Condition::Present => words.push(b"XX".to_vec()),
    }
    if gives_old {
        words.push(b"GET".to_vec());
    }
    words.extend(expiry.words(grace_ms, now_ms)?);
    let start = if is_plain {
        cmd("SET").arg(args.key())
    } else {
        let stale = match condition {
            Condition::Present if keeps => "XX",
            // An ordinary XX fills a stale value: it is what a leader may send.
            Condition::Present => "fill",
            Condition::Always | Condition::Absent => "",
        };
        let script = cmd("EVAL").arg(SET_IF).arg(2).arg(args.key());
        let script = script.arg(lease::beside_key(args.key()));
        script.arg(i64::from(grace_ms)).arg(stale).arg(told)
    };
    let command = start.args(words.iter().map(Vec::as_slice));
    Some(Set { command, expiry, condition, gives_old, is_plain, words, told })
}

/// The stored time of `SETEX key s value` or `PSETEX key ms value`, milliseconds.
pub fn read_setex(args: &Args, grace_ms: u32, cap_ms: Option<u32>) -> Option<i64> {
    if args.len() != 4 {
        return None;
    }
    let option: &[u8] = if args.is(0, "PSETEX") { b"PX" } else { b"EX" };
    let Expiry::In(soft) = Expiry::of(option, args.int(2))?.capped(cap_ms, 0) else {
        return None;
    };
    soft.checked_add(i64::from(grace_ms))
}

/// Reads the option of `GETEX key [EX s | PX ms | EXAT t | PXAT t | PERSIST]`.
pub fn read_getex(args: &Args) -> Option<Expiry> {
    match args.len() {
        2 => Some(Expiry::None),
        3 if args.is(2, "PERSIST") => Some(Expiry::Persist),
        4 => Expiry::of(args.bytes(2), args.int(3)),
        _ => None,
    }
}

/// The GETEX that stores `expiry` with its grace.
pub fn getex(key: &[u8], expiry: Expiry, grace_ms: u32, now_ms: u64) -> Option<Command> {
    expiry.append(cmd("GETEX").arg(key), grace_ms, now_ms)
}

/// What an EXPIRE, PEXPIRE, EXPIREAT or PEXPIREAT comes to.
#[derive(Debug, Clone)]
pub enum Expire {
    /// The time is over: the key goes at once, as the command came.
    Delete,
    /// The command with its grace; it leaves a stale value alone.
    Shifted(Command),
}

/// Reads `EXPIRE key s [NX | XX | GT | LT]` and its three relatives.
pub fn read_expire(args: &Args, grace_ms: u32, now_ms: u64) -> Option<Expire> {
    if args.len() < 3 {
        return None;
    }
    let number = args.int(2)?;
    let (name, in_seconds) = match args.name().to_ascii_uppercase().as_slice() {
        b"EXPIRE" => ("PEXPIRE", true),
        b"PEXPIRE" => ("PEXPIRE", false),
        b"EXPIREAT" => ("PEXPIREAT", true),
        b"PEXPIREAT" => ("PEXPIREAT", false),
        _ => return None,
    };
    let soft = if in_seconds { number.checked_mul(1000)? } else { number };
    let past =
        if name == "PEXPIRE" { soft <= 0 } else { u64::try_from(soft).unwrap_or(0) <= now_ms };
    if past {
        return Some(Expire::Delete);
    }
    let hard = soft.checked_add(i64::from(grace_ms))?;
    let start = unless_stale(args.key(), grace_ms, name);
    Some(Expire::Shifted(start.arg(hard).args(args.from(3))))
}

/// `PERSIST key`
pub fn persist(key: &[u8], grace_ms: u32) -> Command {
    unless_stale(key, grace_ms, "PERSIST")
}

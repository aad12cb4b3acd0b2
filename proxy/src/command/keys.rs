//! Where the keys of a request are.
//!
//! In: a command's spec and the request's arguments. Out: the indices of the arguments that are keys, in their order,
//! or a `KeysError` that writes itself as the server would word it. `CommandSpec::single_key` answers most commands
//! without coming here. Four commands have a parser of their own: the servers' specifications do not cover SORT, and
//! those of GEORADIUS and XREAD miss what the servers' own parsers do.
//! Nothing is routed here; a key that a script builds itself cannot be seen.

use super::CommandSpec;
use super::flags::key::{ACCESS, NOT_KEY, OW, RO, RW, UPDATE, VARIABLE};
use super::row::{Begin, Find, KeySpec};
use crate::resp::args::Args;
use crate::resp::request::parse_number;
use crate::resp::write;

/// Why the keys of a request cannot be told. Such a request is never sent: a shard would refuse it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("the number of keys is not a number")]
    CountNotInteger,
    #[error("the number of keys is too small")]
    CountTooSmall,
    #[error("there are fewer arguments than keys")]
    CountTooLarge,
    #[error("streams and ids do not match")]
    Unbalanced,
    #[error("a word is missing where the keys are")]
    Syntax,
}

/// Finds keys where the servers' specifications do not.
pub(super) type Parser = fn(&Args<'_>, &mut Vec<u32>) -> Result<(), KeysError>;

const PARSERS: &[(&str, Parser)] = &[
    ("georadius", georadius),
    ("georadiusbymember", georadius),
    ("sort", sort),
    ("sort_ro", sort_ro),
    ("xread", streams),
    ("xreadgroup", streams),
];

const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
const SYNTAX: &str = "ERR syntax error";
const TOO_MANY: &str = "ERR Number of keys can't be greater than number of args";
const NEGATIVE: &str = "ERR Number of keys can't be negative";
const NOT_POSITIVE: &str = "ERR numkeys should be greater than 0";

/// How commands with a number of keys word its faults: not a number, too small, too large. The sorted-set commands
/// are the rest: their second text names the command.
const COUNT_FAULTS: &[(&[&str], [&str; 3])] = &[
    (
        &["eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"],
        [NOT_INTEGER, NEGATIVE, TOO_MANY],
    ),
    (&["blmpop", "bzmpop", "lmpop", "zmpop"], [NOT_POSITIVE, NOT_POSITIVE, SYNTAX]),
    (&["sintercard"], [NOT_POSITIVE, NOT_POSITIVE, TOO_MANY]),
    (&["msetex"], [SYNTAX, SYNTAX, SYNTAX]),
];

impl KeysError {
    /// The error reply, as Redis 7.0 words it for this command.
    pub fn write(self, spec: &CommandSpec, out: &mut Vec<u8>) {
        let faults = COUNT_FAULTS
            .iter()
            .find(|(names, _)| names.contains(&spec.name.as_str()))
            .map(|(_, faults)| *faults);
        let needed = format!("ERR at least 1 input key is needed for '{}' command", spec.name);
        let [not_integer, too_small, too_large] = faults.unwrap_or([NOT_INTEGER, &needed, SYNTAX]);
        let text = match self {
            KeysError::CountNotInteger => not_integer,
            KeysError::CountTooSmall => too_small,
            KeysError::CountTooLarge => too_large,
            KeysError::Unbalanced => {
                "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
            }
            KeysError::Syntax => SYNTAX,
        };
        write::error(out, text);
    }
}

/// The parser of the command's own, if it has one.
pub(super) fn parser_of(name: &str) -> Option<Parser> {
    let (_, parser) = PARSERS.iter().find(|(known, _)| *known == name)?;
    Some(*parser)
}

/// Appends the argument indices of all keys to `out`. The arity must have been checked.
pub fn keys(spec: &CommandSpec, args: &Args<'_>, out: &mut Vec<u32>) -> Result<(), KeysError> {
    if let Some(index) = spec.single_key {
        return push(out, usize::from(index));
    }
    if let Some(parser) = spec.parser {
        return parser(args, out);
    }
    for key_spec in spec.row.keys {
        if key_spec.flags & NOT_KEY == 0 {
            by_specification(key_spec, spec, args, out)?;
        }
    }
    Ok(())
}

/// Whether the command has keys at all: channels are none.
pub fn has_keys(spec: &CommandSpec) -> bool {
    spec.row.keys.iter().any(|key_spec| key_spec.flags & NOT_KEY == 0)
}

/// The argument indices of all keys, each with the bits of `flags::key` that say what this request does with it, as
/// COMMAND GETKEYSANDFLAGS tells them. A group of keys that ought to be there and is empty is a fault here.
pub fn keys_and_flags(spec: &CommandSpec, args: &Args<'_>) -> Result<Vec<(u32, u16)>, KeysError> {
    let mut found = Vec::new();
    if let Some(parser) = spec.parser {
        parser(args, &mut found)?;
        // A source, or streams; what a parser finds behind the source of the others is written to.
        let reads = spec.name.starts_with("xread");
        let flags = |place: usize| if place == 0 || reads { RO | ACCESS } else { OW | UPDATE };
        return Ok(found.into_iter().enumerate().map(|(place, at)| (at, flags(place))).collect());
    }
    let mut with_flags = Vec::new();
    for key_spec in spec.row.keys.iter().filter(|key_spec| key_spec.flags & NOT_KEY == 0) {
        if matches!(key_spec.begin, Begin::Index(at) if usize::from(at) >= args.len()) {
            return Err(KeysError::Syntax);
        }
        by_specification(key_spec, spec, args, &mut found)?;
        let flags = match key_spec.flags & VARIABLE {
            0 => key_spec.flags,
            _ => variable_flags(spec, args),
        };
        with_flags.extend(found.drain(..).map(|at| (at, flags)));
    }
    Ok(with_flags)
}

/// What SET and BITFIELD do with their key is up to their options.
fn variable_flags(spec: &CommandSpec, args: &Args<'_>) -> u16 {
    let (reads, writes) = match spec.name.as_str() {
        "set" => (args.from(3).any(|arg| is_word(arg, "get")), true),
        _ => (true, !bitfield_only_reads(args)),
    };
    match (reads, writes) {
        (true, true) => RW | ACCESS | UPDATE,
        (true, false) => RO | ACCESS,
        (false, _) => OW | UPDATE,
    }
}

/// Whether BITFIELD has no step but GET.
fn bitfield_only_reads(args: &Args<'_>) -> bool {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        at += match word {
            _ if is_word(word, "get") && at + 2 < args.len() => 3,
            _ if is_word(word, "overflow") && at + 1 < args.len() => 2,
            _ => return false,
        };
    }
    true
}

/// Where keys are in a request of `count` arguments, by their first, last (negative: from the end) and step.
pub fn places((first, last, step): (i16, i16, i16), count: usize) -> impl Iterator<Item = usize> {
    let first = usize::try_from(first).unwrap_or(0);
    let last = match usize::try_from(last) {
        Ok(last) => last.min(count.saturating_sub(1)),
        Err(_) => count.saturating_sub(usize::from(last.unsigned_abs())),
    };
    let step = usize::try_from(step).unwrap_or(0).max(1);
    let begin = if first == 0 { usize::MAX } else { first };
    (begin..=last).step_by(step)
}

/// Whether SORT reads other keys than it names.
pub fn has_sort_patterns(args: &Args<'_>) -> bool {
    let mut found = Vec::new();
    sort_patterns(args, &mut found);
    !found.is_empty()
}

/// Appends the indices of the BY and GET patterns of SORT that name keys of other values.
pub fn sort_patterns(args: &Args<'_>, out: &mut Vec<u32>) {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        if is_word(word, "limit") {
            at += 2;
        } else if is_word(word, "by") || is_word(word, "get") {
            at += 1;
            let pattern = args.get(at).unwrap_or_default();
            if pattern.contains(&b'*')
                && let Ok(index) = u32::try_from(at)
            {
                out.push(index);
            }
        }
        at += 1;
    }
}

/// The time that XREAD or XREADGROUP is asked to wait, if it is: the last BLOCK counts.
pub fn stream_read_block<'a>(args: &Args<'a>) -> Option<&'a [u8]> {
    let mut time = None;
    let mut at = 1;
    while let Some(word) = args.get(at) {
        if is_word(word, "block") {
            time = Some(args.get(at + 1).unwrap_or_default());
        }
        match stream_option_len(word) {
            Some(len) => at += len,
            None => break,
        }
    }
    time
}

fn by_specification(
    key_spec: &KeySpec,
    spec: &CommandSpec,
    args: &Args<'_>,
    out: &mut Vec<u32>,
) -> Result<(), KeysError> {
    let begin = match key_spec.begin {
        Begin::Index(index) => usize::from(index),
        Begin::Keyword { word, from } => match keyword(args, word, from) {
            Some(begin) => begin,
            None => return Ok(()),
        },
        Begin::Unknown => return Err(KeysError::Syntax),
    };
    match key_spec.find {
        Find::Range { last, step, .. } => {
            let back = usize::from(last.unsigned_abs());
            let end =
                if last < 0 { (args.len() + 1).saturating_sub(back) } else { begin + back + 1 };
            for at in (begin..end.min(args.len())).step_by(usize::from(step.max(1))) {
                push(out, at)?;
            }
            Ok(())
        }
        Find::Count { count_at, first, step } => {
            let scripts = spec.has(super::flags::NO_MANDATORY_KEYS);
            let count = count(args, begin + usize::from(count_at), i64::from(!scripts))?;
            let first = begin + usize::from(first);
            let step = usize::from(step.max(1));
            if count > args.len().saturating_sub(first) / step {
                return Err(KeysError::CountTooLarge);
            }
            (0..count).try_for_each(|number| push(out, first + number * step))
        }
        Find::Unknown => Err(KeysError::Syntax),
    }
}

/// The argument behind `word`, searched from argument `from` on, or backwards from the end.
fn keyword(args: &Args<'_>, word: &str, from: i8) -> Option<usize> {
    let start = usize::from(from.unsigned_abs());
    let matches = |at: &usize| args.get(*at).is_some_and(|arg| is_word(arg, word));
    let found = if from >= 0 {
        (start..args.len()).find(matches)
    } else {
        (1..=args.len().checked_sub(start)?).rev().find(matches)
    }?;
    Some(found + 1)
}

fn count(args: &Args<'_>, at: usize, least: i64) -> Result<usize, KeysError> {
    let bytes = args.get(at).ok_or(KeysError::Syntax)?;
    let count = parse_number(bytes).ok_or(KeysError::CountNotInteger)?;
    if count < least {
        return Err(KeysError::CountTooSmall);
    }
    usize::try_from(count).map_err(|_| KeysError::CountTooLarge)
}

/// SORT key ... STORE destination: the last STORE counts, and words behind LIMIT, GET and BY are no options.
fn sort(args: &Args<'_>, out: &mut Vec<u32>) -> Result<(), KeysError> {
    push(out, 1)?;
    let mut destination = None;
    let mut at = 2;
    while let Some(word) = args.get(at) {
        if is_word(word, "limit") {
            at += 2;
        } else if is_word(word, "get") || is_word(word, "by") {
            at += 1;
        } else if is_word(word, "store") && at + 1 < args.len() {
            destination = Some(at + 1);
            at += 1;
        }
        at += 1;
    }
    destination.map_or(Ok(()), |at| push(out, at))
}

fn sort_ro(_: &Args<'_>, out: &mut Vec<u32>) -> Result<(), KeysError> {
    push(out, 1)
}

/// GEORADIUS and GEORADIUSBYMEMBER: the source, and every STORE or STOREDIST behind argument 4. A server stores at the
/// last one only; the specifications see only the first STORE.
fn georadius(args: &Args<'_>, out: &mut Vec<u32>) -> Result<(), KeysError> {
    push(out, 1)?;
    let mut at = 5;
    while let Some(word) = args.get(at) {
        if (is_word(word, "store") || is_word(word, "storedist")) && at + 1 < args.len() {
            at += 1;
            push(out, at)?;
        }
        at += 1;
    }
    Ok(())
}

/// XREAD and XREADGROUP: the first half of what follows STREAMS.
fn streams(args: &Args<'_>, out: &mut Vec<u32>) -> Result<(), KeysError> {
    let first = streams_at(args).ok_or(KeysError::Syntax)? + 1;
    let listed = args.len().saturating_sub(first);
    if listed == 0 {
        return Err(KeysError::Syntax);
    }
    if listed % 2 != 0 {
        return Err(KeysError::Unbalanced);
    }
    (first..first + listed / 2).try_for_each(|at| push(out, at))
}

/// The index of the word STREAMS, options and their values skipped.
fn streams_at(args: &Args<'_>) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = args.get(at) {
        if is_word(word, "streams") {
            return Some(at);
        }
        at += stream_option_len(word)?;
    }
    None
}

/// Arguments that an option of XREAD or XREADGROUP takes, itself included; `None` when it is no option.
fn stream_option_len(word: &[u8]) -> Option<usize> {
    const OPTIONS: [(&str, usize); 5] =
        [("block", 2), ("count", 2), ("claim", 2), ("group", 3), ("noack", 1)];
    OPTIONS.iter().find(|(name, _)| is_word(word, name)).map(|(_, len)| *len)
}

fn is_word(bytes: &[u8], word: &str) -> bool {
    bytes.eq_ignore_ascii_case(word.as_bytes())
}

/// Argument indices fit in `u32`: a request has at most `limits::ARGUMENTS_MAX` arguments.
fn push(out: &mut Vec<u32>, at: usize) -> Result<(), KeysError> {
    out.push(u32::try_from(at).map_err(|_| KeysError::Syntax)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::resolve::resolve;
    use crate::resp::sample::Request;

    /// Where we differ on purpose from what `COMMAND GETKEYS` says, and what we say.
    const DIFFERENCES: &[(&str, &str)] = &[
        // GETKEYS refuses the empty list of sources, but the command itself is valid.
        ("PFMERGE d", "d"),
        // GETKEYS hides the fault; such a script is never sent.
        ("EVAL script 3 a b", "error"),
    ];

    fn with_args<T>(request: &str, read: impl FnOnce(&Args<'_>) -> T) -> T {
        read(&Request::words(request).args())
    }

    fn keys_of(request: &str) -> String {
        with_args(request, |args| {
            let spec = resolve(args).unwrap_or_else(|error| panic!("{request}: {error}"));
            let mut found = Vec::new();
            if keys(spec, args, &mut found).is_err() {
                return "error".to_owned();
            }
            let words: Vec<&str> = found
                .iter()
                .map(|at| std::str::from_utf8(args.get(*at as usize).unwrap()).unwrap())
                .collect();
            words.join(" ")
        })
    }

    #[test]
    fn keys_are_those_that_live_servers_find() {
        let recorded = include_str!("getkeys.txt");
        let mut checked = 0;
        for line in recorded.lines().filter(|line| !line.starts_with('#')) {
            let (request, keys) = line.split_once(" =>").unwrap();
            let wanted = DIFFERENCES
                .iter()
                .find(|(known, _)| *known == request)
                .map_or(keys.trim_start(), |(_, ours)| ours);
            assert_eq!(keys_of(request), wanted, "{request}");
            checked += 1;
        }
        assert!(checked > 70, "only {checked} requests were read");
    }

    #[test]
    fn hand_rows_find_their_keys() {
        for (request, wanted) in [
            ("JSON.GET doc $", "doc"),
            ("JSON.MGET a b $", "a b"),
            ("JSON.MSET a $ 1 b $ 2", "a b"),
            ("VADD set VALUES 1 0.5 e", "set"),
            ("CMS.MERGE d 2 a b WEIGHTS 1 2", "d a b"),
            ("TS.MADD a 1 1 b 2 2", "a b"),
            ("TS.CREATERULE a b AGGREGATION avg 10", "a b"),
            ("XREADGROUP GROUP g c CLAIM 5 STREAMS a >", "a"),
        ] {
            assert_eq!(keys_of(request), wanted, "{request}");
        }
    }

    /// The words of redis-server 7.0.15.
    #[test]
    fn faults_are_worded_as_the_server_words_them() {
        for (request, text) in [
            ("EVAL s x a b", "ERR value is not an integer or out of range"),
            ("EVAL s -1 a b", "ERR Number of keys can't be negative"),
            ("EVAL s 5 a b", "ERR Number of keys can't be greater than number of args"),
            ("LMPOP x a LEFT", "ERR numkeys should be greater than 0"),
            ("LMPOP 0 a LEFT", "ERR numkeys should be greater than 0"),
            ("LMPOP 9 a LEFT", "ERR syntax error"),
            ("SINTERCARD 5 a b", "ERR Number of keys can't be greater than number of args"),
            ("ZUNION x a b", "ERR value is not an integer or out of range"),
            ("ZUNION 0 a b", "ERR at least 1 input key is needed for 'zunion' command"),
            ("ZUNIONSTORE d 5 a b", "ERR syntax error"),
            ("XREAD a b c", "ERR syntax error"),
            (
                "XREAD STREAMS a b 0",
                "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
            ),
        ] {
            let reply = with_args(request, |args| {
                let spec = resolve(args).unwrap();
                let mut out = Vec::new();
                keys(spec, args, &mut Vec::new()).expect_err(request).write(spec, &mut out);
                String::from_utf8(out).unwrap()
            });
            assert_eq!(reply, format!("-{text}\r\n"), "{request}");
        }
    }

    #[test]
    fn sort_patterns_are_those_that_name_other_keys() {
        for (request, wanted) in [
            ("SORT a", ""),
            ("SORT a BY nosort GET #", ""),
            ("SORT a BY w_* LIMIT 0 1 GET # GET o_*->f STORE d_*", "w_* o_*->f"),
            ("SORT a LIMIT BY x*", ""),
            ("SORT a BY", ""),
        ] {
            let found = with_args(request, |args| {
                let mut found = Vec::new();
                sort_patterns(args, &mut found);
                let words: Vec<String> = found
                    .iter()
                    .map(|at| String::from_utf8_lossy(args.get(*at as usize).unwrap()).into_owned())
                    .collect();
                words.join(" ")
            });
            assert_eq!(found, wanted, "{request}");
        }
    }

    #[test]
    fn only_the_option_block_makes_a_stream_read_wait() {
        for (request, waits) in [
            ("XREAD BLOCK 0 STREAMS a 0", true),
            ("XREAD count 1 block 0 STREAMS a 0", true),
            ("XREADGROUP GROUP block block STREAMS block block", false),
            ("XREAD COUNT block STREAMS a 0", false),
        ] {
            let blocks = with_args(request, |args| stream_read_block(args).is_some());
            assert_eq!(blocks, waits, "{request}");
        }
    }

    #[test]
    fn places_by_first_last_and_step_are_those_of_redis() {
        let cases = [
            ((0, 0, 0), 3, vec![]),
            ((1, 1, 1), 3, vec![1]),
            ((1, -1, 1), 4, vec![1, 2, 3]),
            ((1, -2, 1), 4, vec![1, 2]),
            ((2, -1, 2), 6, vec![2, 4]),
            ((1, 9, 1), 3, vec![1, 2]),
            ((3, 3, 1), 2, vec![]),
        ];
        for (keys, count, wanted) in cases {
            assert_eq!(places(keys, count).collect::<Vec<_>>(), wanted, "{keys:?} of {count}");
        }
    }
}

//! What a plugin may do in one binding, and whether an operation is within it.
//!
//! The manifest asks, the operator's YAML grants, and `Granted` is what both agree on. An operation outside is not
//! carried out: its result says `denied` and why. Commands are known by a function that the caller gives, so that this
//! file knows no command table. Pure; on the hot path one look-up per command and one match per key.

use super::batch::{Arg, ArgList, Batch, Op, Target};
use super::glob::Pattern;
use super::limits::{ARGUMENT_BYTES, KEPT_BYTES_MAX};
use super::manifest::Manifest;
use crate::resp::args::{Args, Span};

/// What the operator grants a plugin. `None` grants what the manifest asks for, on the keys of the binding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Redis commands, upper case.
    pub commands: Option<Vec<String>>,
    /// Patterns of keys.
    pub keys: Option<Vec<Vec<u8>>>,
    /// WAIT-KEY and SLEEP.
    pub wait: Option<bool>,
    /// DONE+BACKGROUND that goes on, SPAWN, WATCH-SESSION.
    pub background: Option<bool>,
    /// Timers of its manifest.
    pub timers: Option<bool>,
    /// Shared memory per worker and binding, bytes.
    pub shared_bytes: Option<u32>,
}

/// Why an operation is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The command is not granted.
    Command,
    /// A key is not granted.
    Key,
    /// It is not known which keys the command touches.
    UnknownKeys,
    /// The command looks at all keys of a shard, and the operator has not named it.
    WholeShard,
    /// The command would change or hold up a connection that all clients share.
    SharedConnection,
    /// The guard of a transaction is no read.
    GuardWrites,
    /// Waiting is not granted.
    Wait,
    /// Background work is not granted.
    Background,
    /// The call has no session that could be watched.
    NoSession,
    /// The name of a key beside another has a colon: it might be taken for that of another owner's.
    BesideName,
    /// What is waited for, watched or spawned with is longer than is kept.
    TooLong,
}

impl Denied {
    /// The text of the result.
    pub fn text(self) -> &'static str {
        match self {
            Self::Command => "the command is not granted",
            Self::Key => "a key is outside the granted patterns",
            Self::UnknownKeys => "it is not known which keys the command touches",
            Self::WholeShard => {
                "the command looks at all keys of a shard: it must be named in grant.commands"
            }
            Self::SharedConnection => {
                "the command would change or hold up a connection that clients share"
            }
            Self::GuardWrites => "the guard of a transaction must be a read",
            Self::Wait => "wait is not granted",
            Self::Background => "background is not granted",
            Self::NoSession => "this call has no session to watch",
            Self::BesideName => "the name of a key beside another may have no colon",
            Self::TooLong => {
                "the key that is waited for or watched, or a task's arguments, are longer than 64 KiB"
            }
        }
    }
}

/// What is known of a command with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandFacts {
    /// Whether it changes nothing.
    pub readonly: bool,
    /// Whether it names no key and looks at all of a shard's.
    pub whole_shard: bool,
}

/// A command of which its name tells all: one key, always at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Whether it changes nothing.
    pub readonly: bool,
    /// Which argument is its key.
    pub key: u8,
    /// As in Redis's COMMAND: so many arguments, or at least so many when negative.
    pub arity: i16,
}

impl SimpleCommand {
    fn accepts(&self, count: u32) -> bool {
        let wanted = u32::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }
}

/// Tells whether a command is a simple one. Asked once for each granted command: most are, and are checked without more.
pub type FindSimple = fn(&[u8]) -> Option<SimpleCommand>;

/// Tells what is known of a command and appends the places of its keys, or why no plugin may send it.
pub type FindFacts = fn(&Args<'_>, &mut Vec<u32>) -> Result<CommandFacts, Denied>;

/// What a plugin may do in one binding.
#[derive(Debug, Clone)]
pub struct Granted {
    commands: Vec<GrantedCommand>,
    keys: Vec<Pattern>,
    /// Commands are those that the operator has named.
    named: bool,
    wait: bool,
    background: bool,
    timers: bool,
    /// Shared memory, bytes.
    pub shared_bytes: usize,
}

#[derive(Debug, Clone)]
struct GrantedCommand {
    name: Vec<u8>,
    simple: Option<SimpleCommand>,
}

impl Granted {
    /// What `asked` and `grants` agree on, for a binding on `keys`. Also: what was asked and is not granted.
    pub fn agree(
        manifest: &Manifest,
        grants: &Grants,
        keys: &[Vec<u8>],
        find_simple: FindSimple,
    ) -> (Self, Vec<String>) {
        let asked = &manifest.capabilities;
        let mut refused = Vec::new();
        let mut commands = Vec::new();
        for name in &asked.commands {
            let granted = grants
                .commands
                .as_ref()
                .is_none_or(|list| list.iter().any(|known| known.eq_ignore_ascii_case(name)));
            if granted {
                let simple = find_simple(name.as_bytes());
                commands.push(GrantedCommand { name: name.as_bytes().to_vec(), simple });
            } else {
                refused.push(format!("command {name}"));
            }
        }
        let mut agree = |asked: bool, granted: Option<bool>, word: &str| {
            let both = asked && granted.unwrap_or(true);
            if asked && !both {
                refused.push(word.to_owned());
            }
            both
        };
        let wait = agree(asked.wait, grants.wait, "wait");
        let background = agree(asked.background, grants.background, "background");
        let timers = agree(!manifest.timers.is_empty(), grants.timers, "timers");
        let shared = asked.shared_bytes.min(grants.shared_bytes.unwrap_or(u32::MAX));
        if shared < asked.shared_bytes {
            refused.push(format!("shared memory: {} of {} bytes", shared, asked.shared_bytes));
        }
        let patterns = grants.keys.as_deref().unwrap_or(keys);
        let granted = Self {
            commands,
            keys: patterns.iter().map(|text| Pattern::new(text)).collect(),
            named: grants.commands.is_some(),
            wait,
            background,
            timers,
            shared_bytes: shared as usize,
        };
        (granted, refused)
    }

    /// Whether the timers of its manifest run.
    pub fn timers(&self) -> bool {
        self.timers
    }

    /// Whether background work is granted.
    pub(super) fn background(&self) -> bool {
        self.background
    }

    fn key_allowed(&self, key: &[u8]) -> bool {
        self.keys.iter().any(|pattern| pattern.matches(key))
    }

    fn command(&self, name: &[u8]) -> Option<&GrantedCommand> {
        self.commands.iter().find(|command| command.name.eq_ignore_ascii_case(name))
    }
}

/// Scratch room for checking, kept between calls.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    spans: Vec<Span>,
    keys: Vec<u32>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) denied: Option<Denied>,
    /// Whether the operation changes nothing anywhere.
    pub(super) readonly: bool,
}

/// Whether `op` of `batch` is granted. `has_session`: whether the call belongs to one.
pub(super) fn check(
    granted: &Granted,
    facts: FindFacts,
    scratch: &mut Scratch,
    batch: &Batch,
    op: &Op,
    has_session: bool,
) -> Verdict {
    let verdict = |denied: Option<Denied>| Verdict { denied, readonly: denied.is_some() };
    match op {
        Op::Command { target, args, hooked, .. } => {
            let target_key = target_key(batch, *target);
            let verdict = check_command(granted, facts, scratch, batch, *args, target_key);
            // What a later binding makes of it is not known.
            Verdict { readonly: verdict.readonly && !*hooked, ..verdict }
        }
        Op::Transaction { target, guard, commands } => {
            let key = target_key(batch, *target);
            let mut check = |args| check_command(granted, facts, scratch, batch, args, key);
            let read = guard.as_ref().map(|guard| check(guard.args));
            let guarded = read.and_then(|read| match read.denied {
                None if !read.readonly => Some(Denied::GuardWrites),
                denied => denied,
            });
            let denied = || batch.commands(*commands).find_map(|args| check(args).denied);
            verdict(guarded.or_else(denied))
        }
        Op::WaitKey { key, .. } if key.len > KEPT_BYTES_MAX => verdict(Some(Denied::TooLong)),
        Op::WatchSession { key, .. } if key.len > KEPT_BYTES_MAX => verdict(Some(Denied::TooLong)),
        Op::Spawn { args, .. } if spawned_bytes(batch, *args) > KEPT_BYTES_MAX as usize => {
            verdict(Some(Denied::TooLong))
        }
        Op::Sleep { .. } | Op::WaitKey { .. } => {
            Verdict { denied: (!granted.wait).then_some(Denied::Wait), readonly: true }
        }
        Op::Notify { .. } => verdict(None),
        Op::UnwatchSession { .. } => verdict((!granted.background).then_some(Denied::Background)),
        Op::WatchSession { .. } if !has_session => verdict(Some(Denied::NoSession)),
        Op::WatchSession { .. } | Op::Spawn { .. } => {
            verdict((!granted.background).then_some(Denied::Background))
        }
    }
}

/// Why a plugin may not name this key; one beside another counts as its owner.
fn key_denied(granted: &Granted, key: Arg<'_>) -> Option<Denied> {
    match key {
        Arg::Beside { name, .. } if name.contains(&b':') => Some(Denied::BesideName),
        key => (!granted.key_allowed(checked_as(key))).then_some(Denied::Key),
    }
}

/// Bytes of the arguments of a task.
fn spawned_bytes(batch: &Batch, args: ArgList) -> usize {
    let len = |arg: Arg<'_>| match arg {
        Arg::Plain(bytes) => bytes.len(),
        Arg::Beside { owner, name } => owner.len() + name.len(),
    };
    batch.args(args).map(|arg| ARGUMENT_BYTES + len(arg)).sum()
}

fn target_key(batch: &Batch, target: Target) -> Option<&[u8]> {
    match target {
        Target::Key(key) => Some(batch.slice(key)),
        Target::OwnKeys | Target::Shard(_) => None,
    }
}

fn check_command(
    granted: &Granted,
    facts: FindFacts,
    scratch: &mut Scratch,
    batch: &Batch,
    list: ArgList,
    target_key: Option<&[u8]>,
) -> Verdict {
    let denied = |why: Denied| Verdict { denied: Some(why), readonly: true };
    let mut words = batch.args(list).map(checked_as);
    let Some(command) = granted.command(words.next().unwrap_or_default()) else {
        return denied(Denied::Command);
    };
    if target_key.is_some_and(|key| !granted.key_allowed(key)) {
        return denied(Denied::Key);
    }
    if let Some(simple) = command.simple {
        if !simple.accepts(list.count) {
            return denied(Denied::UnknownKeys);
        }
        let key = batch.args(list).nth(usize::from(simple.key)).unwrap_or(Arg::Plain(b""));
        return match key_denied(granted, key) {
            None => Verdict { denied: None, readonly: simple.readonly },
            Some(why) => denied(why),
        };
    }
    scratch.spans.clear();
    scratch.spans.extend(batch.args(list).map(|arg| span_of(&batch.bytes, checked_as(arg))));
    let args = Args::new(&batch.bytes, &scratch.spans);
    scratch.keys.clear();
    let facts = match facts(&args, &mut scratch.keys) {
        Ok(facts) => facts,
        Err(why) => return denied(why),
    };
    let mut keys = scratch.keys.iter().map(|place| batch.args(list).nth(*place as usize));
    if let Some(why) =
        keys.find_map(|key| key.map_or(Some(Denied::Key), |key| key_denied(granted, key)))
    {
        return denied(why);
    }
    if facts.whole_shard && !granted.named {
        return denied(Denied::WholeShard);
    }
    Verdict { denied: None, readonly: facts.readonly }
}

/// A key beside another counts as its owner: whoever may touch the owner may touch it.
fn checked_as(arg: Arg<'_>) -> &[u8] {
    match arg {
        Arg::Plain(bytes) => bytes,
        Arg::Beside { owner, .. } => owner,
    }
}

/// Where `part`, which lies in `whole`, lies there.
fn span_of(whole: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    Span {
        start: u32::try_from(start).unwrap_or(u32::MAX),
        len: u32::try_from(part.len()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Denied, Granted, Grants, Scratch, check};
    use crate::plugin::batch::Batch;
    use crate::plugin::frame::{OutFrame, OutRules, read_out};
    use crate::plugin::manifest::{Capabilities, Manifest, TaskTimer};
    use crate::plugin::test_support::{facts, simple};

    fn asked() -> Manifest {
        let capabilities = Capabilities {
            commands: ["GET", "SET", "DEL", "ODD"].map(String::from).to_vec(),
            wait: true,
            background: true,
            shared_bytes: 100,
        };
        let timer = TaskTimer { task: "t".into(), every_ms: 100, jitter_ms: 0 };
        Manifest { capabilities, timers: vec![timer], ..Manifest::default() }
    }

    fn keys() -> Vec<Vec<u8>> {
        vec![b"cache:*".to_vec()]
    }

    /// A CMD with plain words, or with the second word beside its owner.
    fn command(target: Option<&str>, words: &[&str], beside: bool) -> Vec<u8> {
        let len = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let mut out = vec![0, 0, 1, 0, 1, 0];
        match target {
            None => out.push(0),
            Some(key) => {
                out.push(1);
                out.extend_from_slice(&len(key.len()));
                out.extend_from_slice(key.as_bytes());
            }
        }
        out.extend_from_slice(&len(words.len()));
        for (place, word) in words.iter().enumerate() {
            if beside && place == 1 {
                let body = [&len(word.len())[..], word.as_bytes(), b"lease"].concat();
                let marked = u32::try_from(body.len()).unwrap() | 1 << 31;
                out.extend_from_slice(&marked.to_le_bytes());
                out.extend_from_slice(&body);
            } else {
                out.extend_from_slice(&len(word.len()));
                out.extend_from_slice(word.as_bytes());
            }
        }
        out
    }

    fn verdict(granted: &Granted, frame: &[u8]) -> (Option<Denied>, bool) {
        let rules = OutRules {
            resp: 2,
            silent: false,
            ops_max: 8,
            request_max: 1_000,
            reply_max: 100,
            tasks: 0..9,
            next_op: 0,
        };
        let Ok(OutFrame::Pending(batch)) = read_out(frame, &rules, &mut Batch::default()) else {
            panic!("no batch: {frame:?}");
        };
        let mut scratch = Scratch::default();
        let found = check(granted, facts, &mut scratch, &batch, &batch.ops[0].op, false);
        (found.denied, found.readonly)
    }

    #[test]
    fn command_is_granted_by_name_and_keys() {
        let agreed = [|_: &[u8]| None, simple].map(|simple: super::FindSimple| {
            Granted::agree(&asked(), &Grants::default(), &keys(), simple)
        });
        type Case<'a> = (Option<&'a str>, &'a [&'a str], bool, Option<Denied>, bool);
        let cases: &[Case<'_>] = &[
            (None, &["GET", "cache:1"], false, None, true),
            (None, &["get", "cache:1"], false, None, true),
            (None, &["SET", "cache:1", "v"], false, None, false),
            (None, &["DEL", "cache:1"], true, None, false),
            (None, &["GET", "user:1"], false, Some(Denied::Key), true),
            (None, &["DEL", "user:1"], true, Some(Denied::Key), true),
            (Some("user:1"), &["GET", "cache:1"], false, Some(Denied::Key), true),
            (Some("cache:2"), &["GET", "cache:1"], false, None, true),
            (None, &["FLUSHALL"], false, Some(Denied::Command), true),
            (None, &["INCR", "cache:1"], false, Some(Denied::Command), true),
            (None, &["ODD", "cache:1"], false, Some(Denied::UnknownKeys), true),
            (None, &["AVERYLONGCOMMANDNAMETHATISNONEATALL"], false, Some(Denied::Command), true),
        ];
        for (granted, refused) in agreed {
            assert!(refused.is_empty());
            for (target, words, beside, denied, readonly) in cases {
                let found = verdict(&granted, &command(*target, words, *beside));
                assert_eq!(found, (*denied, *readonly), "{words:?} to {target:?}");
            }
            // Too few arguments: the key is not there. Only the table of simple commands tells here.
            let short = verdict(&granted, &command(None, &["GET"], false));
            assert!(short.0.is_some(), "{short:?}");
        }
    }

    #[test]
    fn operator_grants_less_and_that_is_said() {
        let grants = Grants {
            commands: Some(vec!["get".into(), "FLUSHALL".into()]),
            keys: Some(vec![b"*".to_vec()]),
            wait: Some(false),
            background: Some(false),
            timers: Some(false),
            shared_bytes: Some(10),
        };
        let (granted, refused) = Granted::agree(&asked(), &grants, &keys(), simple);
        let wanted = ["command SET", "command DEL", "command ODD", "wait", "background", "timers"];
        assert_eq!(refused[..6], wanted);
        assert_eq!(refused[6..], ["shared memory: 10 of 100 bytes"]);
        assert!(!granted.timers());
        assert_eq!(granted.shared_bytes, 10);
        let sleep = [0, 0, 1, 0, 3, 1, 0, 0, 0];
        assert_eq!(verdict(&granted, &sleep).0, Some(Denied::Wait));
        let watch = [0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];
        assert_eq!(verdict(&granted, &watch).0, Some(Denied::NoSession));
        let spawn = [0, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0];
        assert_eq!(verdict(&granted, &spawn).0, Some(Denied::Background));
        let flushall = command(None, &["FLUSHALL"], false);
        assert_eq!(verdict(&granted, &flushall).0, Some(Denied::Command), "nobody asked for it");
        let get = command(None, &["GET", "anything"], false);
        assert_eq!(verdict(&granted, &get).0, None);
    }
}

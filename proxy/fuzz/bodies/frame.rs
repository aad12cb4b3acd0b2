//! Frames: what a guest answers, read, walked, checked against grants, and written again.
//!
//! Comes in: a mode byte (bit 0 RESP3, bit 1 nobody waits for a reply, bit 2 no session), then an out-frame. What must
//! hold: a frame that is taken gives its own bytes back when what was read of it is written by the writer here, so every
//! length was read right and nothing lies outside; cut or with a byte more it is refused; an operation that the grants
//! let through touches granted commands and keys only. Start and resume frames made from it read back the same.
//! Written after patterns-wasm/sdk/wit/plugin.wit.

use crate::plugin::abi::Abi;
use crate::plugin::batch::{Arg, ArgList, Batch, Op, Target};
use crate::plugin::beside;
use crate::plugin::frame::{OutFrame, OutRules, read_out};
use crate::plugin::given::{Kind, OpResult, StartHead, Status, write_resume, write_start};
use crate::plugin::grants::{
    CommandFacts, Denied, Granted, Grants, Scratch, SimpleCommand, check as granted,
};
use crate::plugin::limits::{SMALL_RESULT_BYTES, TRANSACTION_COMMANDS_MAX};
use crate::plugin::manifest::{Capabilities, Manifest};
use crate::plugin::reply_check::is_one_reply;
use crate::resp::args::Args;

pub(crate) fn check(input: &[u8]) {
    let Some((mode, frame)) = input.split_first() else {
        return;
    };
    let rules = OutRules {
        resp: 2 + (mode & 1),
        silent: mode & 2 != 0,
        ops_max: 64,
        request_max: 4_096,
        reply_max: 1_024,
        tasks: 3..5,
        next_op: u32::MAX - 1,
    };
    let Ok(out) = read_out(frame, &rules, &mut Batch::default()) else {
        return;
    };
    // A simple text or an error may end nowhere else; every other frame has one end too.
    for end in 0..frame.len() {
        assert!(read_out(&frame[..end], &rules, &mut Batch::default()).is_err(), "cut at {end}");
    }
    assert!(
        read_out(&[frame, b"\0"].concat(), &rules, &mut Batch::default()).is_err(),
        "a byte more"
    );
    let (mut again, reply, batch) = match &out {
        OutFrame::Done(reply) => ([&[1], reply.as_slice()].concat(), Some(reply), None),
        OutFrame::Pass => (vec![2], None, None),
        OutFrame::Background { reply, batch } => {
            let mut out = vec![3];
            put(&mut out, reply);
            (out, Some(reply), Some(batch))
        }
        OutFrame::Pending(batch) => (vec![0], None, Some(batch)),
    };
    if let Some(reply) = reply {
        let good = if rules.silent { reply.is_empty() } else { is_one_reply(reply, rules.resp) };
        assert!(good && reply.len() <= rules.reply_max);
    }
    if let Some(batch) = batch {
        write_batch(batch, &mut again);
        assert!(batch.ops.len() <= usize::from(rules.ops_max));
        assert!(batch.bytes.len() < frame.len(), "a batch takes no more than its frame");
        for (index, numbered) in (0_u32..).zip(&batch.ops) {
            assert_eq!(numbered.number, rules.next_op.wrapping_add(index));
            assert_eq!(numbered.denied, None);
        }
        check_grants(batch, mode & 4 == 0);
        check_to_guest(batch);
    }
    assert_eq!(again, frame, "what was read is not what was written");
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend_from_slice(bytes);
}

fn write_batch(batch: &Batch, out: &mut Vec<u8>) {
    out.push(u8::from(batch.first) | u8::from(batch.last) << 1);
    out.extend_from_slice(&u16::try_from(batch.ops.len()).unwrap().to_le_bytes());
    for numbered in &batch.ops {
        let op = &numbered.op;
        match op {
            Op::Command { reply_wanted, hooked, target, args } => {
                out.extend_from_slice(&[1, u8::from(!reply_wanted) | u8::from(*hooked) << 1]);
                write_target(batch, *target, out);
                write_args(batch, *args, out);
                assert_eq!(op.gives_result(), *reply_wanted);
            }
            Op::Transaction { target, guard, commands } => {
                out.push(2);
                write_target(batch, *target, out);
                out.push(u8::from(guard.is_some()));
                if let Some(guard) = guard {
                    write_args(batch, guard.args, out);
                    put(out, batch.slice(guard.expected));
                }
                let lists: Vec<ArgList> = batch.commands(*commands).collect();
                assert!((1..=usize::from(TRANSACTION_COMMANDS_MAX)).contains(&lists.len()));
                out.extend_from_slice(&u16::try_from(lists.len()).unwrap().to_le_bytes());
                for list in lists {
                    write_args(batch, list, out);
                }
            }
            Op::Sleep { ms } => {
                out.push(3);
                out.extend_from_slice(&ms.to_le_bytes());
            }
            Op::WaitKey { timeout_ms, behind_ms, poll_ms, key } => {
                out.push(4);
                for ms in [*timeout_ms, behind_ms.unwrap_or(u32::MAX), poll_ms.unwrap_or(u32::MAX)]
                {
                    out.extend_from_slice(&ms.to_le_bytes());
                }
                put(out, batch.slice(*key));
            }
            Op::Notify { key, bytes } => {
                out.push(5);
                put(out, batch.slice(*key));
                put(out, batch.slice(*bytes));
            }
            Op::WatchSession { handler, key } | Op::UnwatchSession { handler, key } => {
                out.push(if matches!(op, Op::WatchSession { .. }) { 6 } else { 7 });
                assert!((3..5).contains(handler), "a task");
                out.extend_from_slice(&handler.to_le_bytes());
                put(out, batch.slice(*key));
            }
            Op::Spawn { handler, args } => {
                out.push(8);
                assert!((3..5).contains(handler), "a task");
                out.extend_from_slice(&handler.to_le_bytes());
                write_args(batch, *args, out);
                assert!(batch.args(*args).all(|arg| matches!(arg, Arg::Plain(_))));
            }
        }
        let named = matches!(op, Op::Command { .. } | Op::Transaction { .. });
        assert!(named || batch.name_of(op).is_empty());
    }
}

fn write_target(batch: &Batch, target: Target, out: &mut Vec<u8>) {
    match target {
        Target::OwnKeys => out.push(0),
        Target::Key(key) => {
            out.push(1);
            put(out, batch.slice(key));
        }
        Target::Shard(index) => {
            out.push(2);
            out.extend_from_slice(&index.to_le_bytes());
        }
    }
}

fn write_args(batch: &Batch, list: ArgList, out: &mut Vec<u8>) {
    let args: Vec<Arg<'_>> = batch.args(list).collect();
    assert_eq!(args.len(), batch.args(list).len(), "as many arguments as were counted");
    out.extend_from_slice(&u32::try_from(args.len()).unwrap().to_le_bytes());
    for arg in args {
        match arg {
            Arg::Plain(bytes) => put(out, bytes),
            Arg::Beside { owner, name } => {
                let len = u32::try_from(4 + owner.len() + name.len()).unwrap();
                out.extend_from_slice(&(len | 1 << 31).to_le_bytes());
                put(out, owner);
                out.extend_from_slice(name);
                check_beside(owner, name);
            }
        }
    }
}

fn check_beside(owner: &[u8], name: &[u8]) {
    for hashed in [owner, &owner[..owner.len() / 2]] {
        let mut key = Vec::new();
        beside::write_name(owner, hashed, name, &mut key);
        assert_eq!(key.len(), beside::name_len(owner, hashed, name));
        assert!(beside::is_beside(&key));
        let tag = [b"{", hashed, b"}"].concat();
        assert!(key.starts_with(&tag));
    }
}

/// Commands that the grants below name, and one (SCAN) that looks at all keys.
fn facts(args: &Args<'_>, keys: &mut Vec<u32>) -> Result<CommandFacts, Denied> {
    let name = args.name().to_ascii_uppercase();
    match name.as_slice() {
        b"GET" | b"SET" => keys.push(1),
        b"MGET" => keys.extend(1..u32::try_from(args.len()).unwrap()),
        b"SCAN" => {}
        _ => return Err(Denied::UnknownKeys),
    }
    let readonly = name != b"SET";
    Ok(CommandFacts { readonly, whole_shard: name == b"SCAN" })
}

/// GET takes the short way here, SET the long one.
fn simple(name: &[u8]) -> Option<SimpleCommand> {
    (name == b"GET").then_some(SimpleCommand { readonly: true, key: 1, arity: -2 })
}

fn check_grants(batch: &Batch, has_session: bool) {
    let commands = ["GET", "SET", "MGET", "SCAN", "ODD"].map(String::from).to_vec();
    let capabilities = Capabilities { commands, wait: true, ..Capabilities::default() };
    let manifest = Manifest { capabilities, ..Manifest::default() };
    let keys = [b"k:*".to_vec(), b"exact".to_vec()];
    let (grants, _) = Granted::agree(&manifest, &Grants::default(), &keys, simple);
    let may_touch = |key: &[u8]| key.starts_with(b"k:") || key == b"exact";
    let may_run = |args: ArgList| {
        let args: Vec<&[u8]> = batch
            .args(args)
            .map(|arg| match arg {
                Arg::Plain(bytes) => bytes,
                Arg::Beside { owner, .. } => owner,
            })
            .collect();
        let keys = &args[1..];
        match args[0].to_ascii_uppercase().as_slice() {
            b"GET" | b"SET" => keys.first().is_some_and(|key| may_touch(key)),
            b"MGET" => keys.iter().all(|key| may_touch(key)),
            _ => false,
        }
    };
    let may_go = |target: Target| match target {
        Target::Key(key) => may_touch(batch.slice(key)),
        Target::OwnKeys | Target::Shard(_) => true,
    };
    let is_read = |args: ArgList| match batch.args(args).next() {
        Some(Arg::Plain(name)) => !name.eq_ignore_ascii_case(b"SET"),
        Some(Arg::Beside { .. }) | None => false,
    };
    let mut scratch = Scratch::default();
    for numbered in &batch.ops {
        let op = &numbered.op;
        let verdict = granted(&grants, facts, &mut scratch, batch, op, has_session);
        let (due, writes) = match op {
            Op::Command { target, args, hooked, .. } => {
                (may_go(*target) && may_run(*args), *hooked || !is_read(*args))
            }
            Op::Transaction { target, guard, commands } => {
                let guard = guard.is_none_or(|guard| may_run(guard.args) && is_read(guard.args));
                (may_go(*target) && guard && batch.commands(*commands).all(may_run), true)
            }
            Op::Sleep { .. } | Op::WaitKey { .. } => (true, false),
            Op::Notify { .. } => (true, true),
            // Background work is not granted.
            Op::WatchSession { .. } | Op::UnwatchSession { .. } | Op::Spawn { .. } => {
                (false, false)
            }
        };
        assert_eq!(verdict.denied.is_none(), due, "{op:?}: {:?}", verdict.denied);
        assert!(!due || verdict.readonly != writes, "{op:?}: readonly {}", verdict.readonly);
    }
}

/// A cursor over a frame for a guest, as a guest has it.
struct Guest<'a>(&'a [u8]);

impl<'a> Guest<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = self.word();
        self.take(len as usize)
    }
}

/// The words of the batch go to a guest as arguments and as results, and are read there as they are.
fn check_to_guest(batch: &Batch) {
    let lists = batch.ops.iter().filter_map(|numbered| match numbered.op {
        Op::Command { args, .. } | Op::Spawn { args, .. } => Some(args),
        Op::Transaction { guard, .. } => guard.map(|guard| guard.args),
        Op::Sleep { .. }
        | Op::WaitKey { .. }
        | Op::Notify { .. }
        | Op::WatchSession { .. }
        | Op::UnwatchSession { .. } => None,
    });
    let words: Vec<&[u8]> = lists
        .flat_map(|list| batch.args(list))
        .map(|arg| match arg {
            Arg::Plain(bytes) => bytes,
            Arg::Beside { name, .. } => name,
        })
        .collect();
    let (kind, resp) = (Kind::Hook, 3);
    let head = StartHead { kind, resp, db: 1, handler: 2, binding: 3, shards: 4, session: 5 };
    let mut frame = Vec::new();
    for abi in [Abi::V1, Abi::V2] {
        write_start(&mut frame, abi, &head, 6, words.iter().copied());
        let mut guest = Guest(&frame);
        let fixed = guest.take(4);
        let skipped = match abi {
            Abi::V1 => 20,
            Abi::V2 => usize::from(fixed[3]),
        };
        guest.take(skipped - 4);
        assert_eq!(guest.word() as usize, words.len());
        for word in &words {
            assert_eq!(&guest.bytes(), word);
        }
        assert!(guest.0.is_empty(), "{abi:?}");
    }
    let room = 2_000;
    let result = |bytes| OpResult { number: 7, status: Status::Event, bytes };
    write_resume(&mut frame, words.iter().map(|word| result(*word)), room);
    let mut guest = Guest(&frame);
    assert_eq!(guest.word() as usize, words.len());
    let mut large = 0;
    for word in &words {
        assert_eq!(guest.word(), 7);
        let status = guest.take(1);
        let bytes = guest.bytes();
        match status {
            [3] => assert_eq!(&bytes, word),
            [5] => assert!(bytes.is_empty() && word.len() > SMALL_RESULT_BYTES),
            other => panic!("status {other:?}"),
        }
        large += if bytes.len() > SMALL_RESULT_BYTES { bytes.len() } else { 0 };
    }
    assert!(guest.0.is_empty() && large <= room);
}

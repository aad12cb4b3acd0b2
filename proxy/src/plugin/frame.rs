//! What a guest answers: checking out-frames, host side. What it is given is written by `given`.
//!
//! `patterns-wasm/sdk/wit/plugin.wit` is the layout. What comes from a guest is hostile: every length is checked against
//! what is there and against the plugin's limits, and the answer for anything else is `BadFrame`, never a panic and
//! never an allocation that the guest's numbers choose. Grants are not checked here.

use super::batch::{ArgList, Batch, CommandList, Guard, Numbered, Op, Slice, Target, split_arg};
use super::fault::FaultKind;
use super::limits::{BATCH_EXTRA_BYTES, TRANSACTION_COMMANDS_MAX};
use super::reply_check::is_one_reply;

/// What a guest answered, checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OutFrame {
    Done(Vec<u8>),
    Pass,
    Background { reply: Vec<u8>, batch: Batch },
    Pending(Batch),
}

/// What is wrong with an out-frame, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadFrame {
    #[error("the frame ends too early")]
    Short,
    #[error("bytes follow the end of the frame")]
    Long,
    #[error("unknown kind, flag, target or guard byte {0}")]
    Unknown(u8),
    #[error("the reply is not exactly one value of the session's protocol")]
    Reply,
    #[error("the reply is longer than the limit")]
    LongReply,
    #[error("more operations in one batch than the limit")]
    Operations,
    #[error("more bytes in one batch than the limit")]
    Bytes,
    #[error("a command without a name, or an empty transaction")]
    EmptyCommand,
    #[error("an operation names a handler that is no task")]
    Handler,
    #[error("not allowed for this kind of call at this point")]
    OutOfPlace,
    #[error("nothing is outstanding")]
    NothingOutstanding,
}

impl BadFrame {
    /// What it is to the call. A frame that is only too long ends its own call; any other tells that the guest is in
    /// an unknown state.
    pub(super) fn fault(self, rules: &OutRules) -> FaultKind {
        match self {
            Self::LongReply => FaultKind::ReplyTooLarge(rules.reply_max),
            Self::Bytes => FaultKind::BatchTooLarge(rules.request_max),
            Self::Short
            | Self::Long
            | Self::Unknown(_)
            | Self::Reply
            | Self::Operations
            | Self::EmptyCommand
            | Self::Handler
            | Self::OutOfPlace
            | Self::NothingOutstanding => FaultKind::BadReply,
        }
    }
}

/// What an out-frame is checked against.
#[derive(Debug, Clone)]
pub(super) struct OutRules {
    /// Protocol of the session.
    pub(super) resp: u8,
    /// Whether the reply must be empty because nobody waits for one.
    pub(super) silent: bool,
    pub(super) ops_max: u16,
    pub(super) request_max: usize,
    pub(super) reply_max: usize,
    /// Numbers of the handlers that are tasks.
    pub(super) tasks: std::ops::Range<u16>,
    /// Number of the next operation.
    pub(super) next_op: u32,
}

/// Checks an out-frame. A batch takes the room of `spare`, whose contents are of no account.
pub(super) fn read_out(
    frame: &[u8],
    rules: &OutRules,
    spare: &mut Batch,
) -> Result<OutFrame, BadFrame> {
    let (kind, rest) = frame.split_first().ok_or(BadFrame::Short)?;
    match kind {
        0 => {
            let batch = read_body(rest, rules, spare)?;
            if batch.last {
                return Err(BadFrame::OutOfPlace);
            }
            Ok(OutFrame::Pending(batch))
        }
        1 => {
            check_reply(rest, rules)?;
            Ok(OutFrame::Done(rest.to_vec()))
        }
        2 if rest.is_empty() => Ok(OutFrame::Pass),
        2 => Err(BadFrame::Long),
        3 => {
            let (len, rest) = super::batch::split_u32(rest).ok_or(BadFrame::Short)?;
            let (reply, body) = rest.split_at_checked(len as usize).ok_or(BadFrame::Short)?;
            check_reply(reply, rules)?;
            let batch = read_body(body, rules, spare)?;
            Ok(OutFrame::Background { reply: reply.to_vec(), batch })
        }
        other => Err(BadFrame::Unknown(*other)),
    }
}

fn check_reply(reply: &[u8], rules: &OutRules) -> Result<(), BadFrame> {
    if reply.len() > rules.reply_max {
        return Err(BadFrame::LongReply);
    }
    let good = if rules.silent { reply.is_empty() } else { is_one_reply(reply, rules.resp) };
    if good { Ok(()) } else { Err(BadFrame::Reply) }
}

fn read_body(body: &[u8], rules: &OutRules, spare: &mut Batch) -> Result<Batch, BadFrame> {
    if body.len() > rules.request_max.saturating_add(BATCH_EXTRA_BYTES) {
        return Err(BadFrame::Bytes);
    }
    let mut reader = Reader { bytes: body, at: 0 };
    let flags = reader.u8()?;
    if flags > 3 {
        return Err(BadFrame::Unknown(flags));
    }
    let count = reader.u16()?;
    if count > rules.ops_max {
        return Err(BadFrame::Operations);
    }
    let Batch { mut ops, mut bytes, .. } = std::mem::take(spare);
    ops.clear();
    ops.reserve_exact(usize::from(count));
    let mut in_transactions = 0_u16;
    for index in 0..u32::from(count) {
        let op = read_op(&mut reader, rules)?;
        if let Op::Transaction { commands, .. } = &op {
            in_transactions = in_transactions.saturating_add(commands.count);
        }
        ops.push(Numbered { number: rules.next_op.wrapping_add(index), denied: None, op });
    }
    if in_transactions > TRANSACTION_COMMANDS_MAX {
        return Err(BadFrame::Operations);
    }
    if reader.at != body.len() {
        return Err(BadFrame::Long);
    }
    bytes.clear();
    bytes.extend_from_slice(body);
    Ok(Batch { first: flags & 1 != 0, last: flags & 2 != 0, ops, bytes })
}

fn read_op(reader: &mut Reader<'_>, rules: &OutRules) -> Result<Op, BadFrame> {
    match reader.u8()? {
        1 => {
            let flags = reader.u8()?;
            if flags > 3 {
                return Err(BadFrame::Unknown(flags));
            }
            Ok(Op::Command {
                reply_wanted: flags & 1 == 0,
                hooked: flags & 2 != 0,
                target: read_target(reader)?,
                args: reader.command()?,
            })
        }
        2 => read_transaction(reader),
        3 => Ok(Op::Sleep { ms: reader.u32()? }),
        4 => Ok(Op::WaitKey {
            timeout_ms: reader.u32()?,
            behind_ms: Some(reader.u32()?).filter(|ms| *ms != u32::MAX),
            poll_ms: Some(reader.u32()?).filter(|ms| *ms != u32::MAX),
            key: reader.slice()?,
        }),
        5 => Ok(Op::Notify { key: reader.slice()?, bytes: reader.slice()? }),
        6 => Ok(Op::WatchSession { handler: read_task(reader, rules)?, key: reader.slice()? }),
        7 => Ok(Op::UnwatchSession { handler: read_task(reader, rules)?, key: reader.slice()? }),
        8 => Ok(Op::Spawn { handler: read_task(reader, rules)?, args: reader.plain_args()? }),
        other => Err(BadFrame::Unknown(other)),
    }
}

fn read_transaction(reader: &mut Reader<'_>) -> Result<Op, BadFrame> {
    let target = read_target(reader)?;
    let guard = match reader.u8()? {
        0 => None,
        1 => Some(Guard { args: reader.command()?, expected: reader.slice()? }),
        other => return Err(BadFrame::Unknown(other)),
    };
    let count = reader.u16()?;
    if count == 0 {
        return Err(BadFrame::EmptyCommand);
    }
    if count > TRANSACTION_COMMANDS_MAX {
        return Err(BadFrame::Operations);
    }
    let start = reader.offset()?;
    for _ in 0..count {
        reader.command()?;
    }
    Ok(Op::Transaction { target, guard, commands: CommandList { start, count } })
}

fn read_target(reader: &mut Reader<'_>) -> Result<Target, BadFrame> {
    match reader.u8()? {
        0 => Ok(Target::OwnKeys),
        1 => Ok(Target::Key(reader.slice()?)),
        2 => Ok(Target::Shard(reader.u16()?)),
        other => Err(BadFrame::Unknown(other)),
    }
}

fn read_task(reader: &mut Reader<'_>, rules: &OutRules) -> Result<u16, BadFrame> {
    let handler = reader.u16()?;
    if rules.tasks.contains(&handler) { Ok(handler) } else { Err(BadFrame::Handler) }
}

/// A cursor over the body of an out-frame.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadFrame> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let head = rest.first_chunk::<N>().ok_or(BadFrame::Short)?;
        self.at += N;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, BadFrame> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, BadFrame> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, BadFrame> {
        self.array().map(u32::from_le_bytes)
    }

    fn offset(&self) -> Result<u32, BadFrame> {
        u32::try_from(self.at).map_err(|_| BadFrame::Bytes)
    }

    /// `u32 len, bytes`
    fn slice(&mut self) -> Result<Slice, BadFrame> {
        let len = self.u32()?;
        let start = self.offset()?;
        let end = self.at.checked_add(len as usize).ok_or(BadFrame::Short)?;
        if end > self.bytes.len() {
            return Err(BadFrame::Short);
        }
        self.at = end;
        Ok(Slice { start, len })
    }

    /// `u32 argc, args` with at least a name, which is no key.
    fn command(&mut self) -> Result<ArgList, BadFrame> {
        let list = self.args(true)?;
        if list.count == 0 {
            return Err(BadFrame::EmptyCommand);
        }
        Ok(list)
    }

    fn plain_args(&mut self) -> Result<ArgList, BadFrame> {
        self.args(false)
    }

    fn args(&mut self, beside_allowed: bool) -> Result<ArgList, BadFrame> {
        let count = self.u32()?;
        let start = self.offset()?;
        for index in 0..count {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let (arg, rest) = split_arg(rest).ok_or(BadFrame::Short)?;
            let is_beside = matches!(arg, super::batch::Arg::Beside { .. });
            if is_beside && (index == 0 || !beside_allowed) {
                return Err(BadFrame::OutOfPlace);
            }
            self.at = self.bytes.len() - rest.len();
        }
        Ok(ArgList { start, count })
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH_EXTRA_BYTES, BadFrame, Batch, FaultKind, OutFrame, OutRules, read_out};
    use crate::plugin::batch::{Arg, Op, Target};
    use crate::plugin::host::next_random;

    fn read(frame: &[u8], rules: &OutRules) -> Result<OutFrame, BadFrame> {
        read_out(frame, rules, &mut Batch::default())
    }

    fn rules() -> OutRules {
        OutRules {
            resp: 2,
            silent: false,
            ops_max: 8,
            request_max: 1_000,
            reply_max: 100,
            tasks: 3..5,
            next_op: 7,
        }
    }

    fn word(out: &mut Vec<u8>, bytes: &[u8]) {
        out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        out.extend_from_slice(bytes);
    }

    /// Every operation once, with a beside argument, a guard and all targets.
    fn every_op() -> Vec<u8> {
        let mut out = vec![0, 1, 8, 0];
        out.extend_from_slice(&[1, 2, 1]);
        word(&mut out, b"owner");
        out.extend_from_slice(&2_u32.to_le_bytes());
        word(&mut out, b"GET");
        out.extend_from_slice(&(0x8000_0000_u32 | 10).to_le_bytes());
        word(&mut out, b"ab");
        out.extend_from_slice(b"name");
        out.extend_from_slice(&[2, 2, 9, 0, 1]);
        out.extend_from_slice(&1_u32.to_le_bytes());
        word(&mut out, b"GET");
        word(&mut out, b"$-1\r\n");
        out.extend_from_slice(&[2, 0]);
        for name in [b"SET", b"DEL"] {
            out.extend_from_slice(&1_u32.to_le_bytes());
            word(&mut out, name);
        }
        out.extend_from_slice(&[3, 5, 0, 0, 0]);
        out.extend_from_slice(&[4, 50, 0, 0, 0, 255, 255, 255, 255, 9, 0, 0, 0]);
        word(&mut out, b"k");
        out.push(5);
        word(&mut out, b"k");
        word(&mut out, b"v");
        out.extend_from_slice(&[6, 3, 0]);
        word(&mut out, b"k");
        out.extend_from_slice(&[7, 4, 0]);
        word(&mut out, b"k");
        out.extend_from_slice(&[8, 4, 0]);
        out.extend_from_slice(&1_u32.to_le_bytes());
        word(&mut out, b"arg");
        out
    }

    #[test]
    fn every_operation_is_read_and_can_be_walked() {
        let Ok(OutFrame::Pending(batch)) = read(&every_op(), &rules()) else {
            panic!("not pending");
        };
        assert!(batch.first && !batch.last);
        let numbers: Vec<u32> = batch.ops.iter().map(|op| op.number).collect();
        assert_eq!(numbers, (7..15).collect::<Vec<u32>>());
        let Op::Command { reply_wanted: true, hooked: true, target: Target::Key(key), args } =
            batch.ops[0].op
        else {
            panic!("{:?}", batch.ops[0]);
        };
        assert_eq!(batch.slice(key), b"owner");
        let args: Vec<Arg<'_>> = batch.args(args).collect();
        let beside = Arg::Beside { owner: b"ab", name: b"name" };
        assert_eq!(args, [Arg::Plain(b"GET"), beside]);
        let Op::Transaction { target: Target::Shard(9), guard: Some(guard), commands } =
            batch.ops[1].op
        else {
            panic!("{:?}", batch.ops[1]);
        };
        assert_eq!(batch.slice(guard.expected), b"$-1\r\n");
        let names: Vec<Vec<Arg<'_>>> =
            batch.commands(commands).map(|list| batch.args(list).collect()).collect();
        assert_eq!(names, [[Arg::Plain(b"SET")], [Arg::Plain(b"DEL")]]);
        let Op::WaitKey { timeout_ms: 50, behind_ms: None, poll_ms: Some(9), key } =
            batch.ops[3].op
        else {
            panic!("{:?}", batch.ops[3]);
        };
        assert_eq!(batch.slice(key), b"k");
        let results: Vec<bool> = batch.ops.iter().map(|op| op.op.gives_result()).collect();
        assert_eq!(results, [true, true, true, true, false, false, false, false]);
    }

    #[test]
    fn frame_cut_or_extended_anywhere_is_bad() {
        let whole = every_op();
        for end in 0..whole.len() {
            assert!(read(&whole[..end], &rules()).is_err(), "cut at {end}");
        }
        assert_eq!(read(&[whole, vec![0]].concat(), &rules()), Err(BadFrame::Long));
        assert_eq!(read(&[2, 0], &rules()), Err(BadFrame::Long));
    }

    #[test]
    fn frame_with_random_bytes_changed_never_panics_and_never_reads_outside() {
        let whole = every_op();
        let mut seed = 11;
        for _ in 0..50_000 {
            let mut frame = whole.clone();
            for _ in 0..=next_random(&mut seed) % 3 {
                let place = usize::try_from(next_random(&mut seed)).unwrap() % frame.len();
                frame[place] = next_random(&mut seed).to_le_bytes()[0];
            }
            let Ok(OutFrame::Pending(batch)) = read(&frame, &rules()) else {
                continue;
            };
            for numbered in &batch.ops {
                match numbered.op {
                    Op::Command { args, .. } | Op::Spawn { args, .. } => {
                        assert_eq!(batch.args(args).count(), args.count as usize);
                    }
                    Op::Transaction { commands, .. } => {
                        let lists: Vec<_> = batch.commands(commands).collect();
                        assert_eq!(lists.len(), usize::from(commands.count));
                        assert!(lists.iter().all(|list| batch.args(*list).count() > 0));
                    }
                    Op::Sleep { .. }
                    | Op::WaitKey { .. }
                    | Op::Notify { .. }
                    | Op::WatchSession { .. }
                    | Op::UnwatchSession { .. } => {}
                }
            }
        }
    }

    #[test]
    fn frame_over_a_limit_or_out_of_rule_is_bad() {
        let few = OutRules { ops_max: 7, ..rules() };
        assert_eq!(read(&every_op(), &few), Err(BadFrame::Operations));
        let mut long = every_op();
        long.resize(1_000 + BATCH_EXTRA_BYTES + 2, 0);
        assert_eq!(read(&long, &rules()), Err(BadFrame::Bytes));
        assert_eq!(BadFrame::Bytes.fault(&rules()), FaultKind::BatchTooLarge(1_000));
        assert_eq!(BadFrame::LongReply.fault(&rules()), FaultKind::ReplyTooLarge(100));
        let other_tasks = OutRules { tasks: 4..5, ..rules() };
        assert_eq!(read(&every_op(), &other_tasks), Err(BadFrame::Handler));
        let long = [&[1][..], b"+", &[b'x'; 98], b"\r\n"].concat();
        assert_eq!(read(&long, &rules()), Err(BadFrame::LongReply));
        let silent = OutRules { silent: true, ..rules() };
        assert_eq!(read(b"\x01+OK\r\n", &silent), Err(BadFrame::Reply));
        assert_eq!(read(b"\x01", &silent), Ok(OutFrame::Done(vec![])));
        assert_eq!(read(b"\x01", &rules()), Err(BadFrame::Reply));
        assert_eq!(read(&[0, 2, 0, 0], &rules()), Err(BadFrame::OutOfPlace));
    }
}

//! A batch of operations that a plugin asks for, as offsets into one buffer.
//!
//! `frame` checks every length once and makes a `Batch`; the host then walks it without a copy and without a check
//! that can fail. Owns the bytes of the batch. Nothing here knows how an operation is carried out.

use super::grants::Denied;

/// A piece of a batch's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// The arguments of one command, read by `Batch::args`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgList {
    pub(super) start: u32,
    pub(super) count: u32,
}

/// The commands of one transaction, read by `Batch::commands`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandList {
    pub(super) start: u32,
    pub(super) count: u16,
}

/// One argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// A key on the shard of `owner`; `beside::write_name` makes its name.
    Beside {
        /// The key that decides the shard.
        owner: &'a [u8],
        /// Which of the keys beside it.
        name: &'a [u8],
    },
}

/// Which shard an operation goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// That of the command's own keys; of a transaction: of the keys of its first command.
    OwnKeys,
    /// That of this key.
    Key(Slice),
    /// The shard with this index in its pool.
    Shard(u16),
}

/// A read whose reply must be as expected for a transaction to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The read command.
    pub args: ArgList,
    /// The RESP reply that it must give.
    pub expected: Slice,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A Redis command.
    Command {
        /// Whether a result is wanted.
        reply_wanted: bool,
        /// Whether later bindings see it.
        hooked: bool,
        /// Where it goes.
        target: Target,
        /// The command, its name first.
        args: ArgList,
    },
    /// Commands that run as MULTI..EXEC on one shard; the result is EXEC's array.
    Transaction {
        /// Where they go.
        target: Target,
        /// What must hold.
        guard: Option<Guard>,
        /// The commands.
        commands: CommandList,
    },
    /// A pause.
    Sleep {
        /// How long.
        ms: u32,
    },
    /// Waits for a NOTIFY of this binding.
    WaitKey {
        /// At most this long.
        timeout_ms: u32,
        /// At most this long once other commands stand behind in the session's queue.
        behind_ms: Option<u32>,
        /// How often one of those who wait for the key has its turn to look for itself.
        poll_ms: Option<u32>,
        /// What is waited for.
        key: Slice,
    },
    /// Wakes the waiters of this binding on every worker.
    Notify {
        /// What they wait for.
        key: Slice,
        /// What they are told.
        bytes: Slice,
    },
    /// A call of `Kind::SessionClosed` when the session closes.
    WatchSession {
        /// The handler that runs then.
        handler: u16,
        /// The argument it gets.
        key: Slice,
    },
    /// Ends a `WatchSession` of the same session.
    UnwatchSession {
        /// The handler named there.
        handler: u16,
        /// The argument named there.
        key: Slice,
    },
    /// A new call of `Kind::Spawned`.
    Spawn {
        /// Its handler.
        handler: u16,
        /// Its arguments.
        args: ArgList,
    },
}

impl Op {
    /// Whether the call waits for a result of this operation, when it is granted.
    pub fn gives_result(&self) -> bool {
        match self {
            Self::Command { reply_wanted, .. } => *reply_wanted,
            Self::Transaction { .. } | Self::Sleep { .. } | Self::WaitKey { .. } => true,
            Self::Notify { .. }
            | Self::WatchSession { .. }
            | Self::UnwatchSession { .. }
            | Self::Spawn { .. } => false,
        }
    }
}

/// An operation, its running number in its call, and whether it may be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The number that its result carries.
    pub number: u32,
    /// Set: do not carry it out; its result is `Status::Denied` with `Denied::text`, also where none would come.
    pub denied: Option<Denied>,
    /// What is asked for.
    pub op: Op,
}

/// The operations of one step, in the order in which they go out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Resume at the first finished operation; else when all outstanding ones of the call have finished.
    pub first: bool,
    /// The call has ended: carry these out, give no results, and drop what is outstanding.
    pub last: bool,
    /// The operations.
    pub ops: Vec<Numbered>,
    pub(super) bytes: Vec<u8>,
}

impl Batch {
    /// The name of the command that an operation is, or of the first in a transaction; else nothing.
    pub fn name_of(&self, op: &Op) -> &[u8] {
        let args = match op {
            Op::Command { args, .. } => Some(*args),
            Op::Transaction { commands, .. } => self.commands(*commands).next(),
            Op::Sleep { .. }
            | Op::WaitKey { .. }
            | Op::Notify { .. }
            | Op::WatchSession { .. }
            | Op::UnwatchSession { .. }
            | Op::Spawn { .. } => None,
        };
        match args.and_then(|args| self.args(args).next()) {
            Some(Arg::Plain(name)) => name,
            Some(Arg::Beside { .. }) | None => b"",
        }
    }

    /// The bytes of a slice of this batch.
    pub fn slice(&self, slice: Slice) -> &[u8] {
        let start = slice.start as usize;
        self.bytes.get(start..start + slice.len as usize).unwrap_or_default()
    }

    /// The arguments of a command of this batch.
    pub fn args(&self, list: ArgList) -> ArgIter<'_> {
        ArgIter {
            bytes: self.bytes.get(list.start as usize..).unwrap_or_default(),
            left: list.count,
        }
    }

    /// The commands of a transaction of this batch.
    pub fn commands(&self, list: CommandList) -> CommandIter<'_> {
        CommandIter { bytes: &self.bytes, at: list.start as usize, left: list.count }
    }
}

/// Walks the arguments of a command.
#[derive(Debug, Clone)]
pub struct ArgIter<'a> {
    bytes: &'a [u8],
    left: u32,
}

impl<'a> ArgIter<'a> {
    /// The bytes after the last argument that was walked.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for ArgIter<'a> {
    type Item = Arg<'a>;

    fn next(&mut self) -> Option<Arg<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (arg, rest) = split_arg(self.bytes)?;
        self.bytes = rest;
        Some(arg)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for ArgIter<'_> {}

/// Walks the commands of a transaction.
#[derive(Debug, Clone)]
pub struct CommandIter<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u16,
}

impl Iterator for CommandIter<'_> {
    type Item = ArgList;

    fn next(&mut self) -> Option<ArgList> {
        self.left = self.left.checked_sub(1)?;
        let (count, rest) = split_u32(self.bytes.get(self.at..)?)?;
        let list = ArgList { start: u32::try_from(self.at + 4).ok()?, count };
        let mut args = ArgIter { bytes: rest, left: count };
        if args.by_ref().count() != count as usize {
            return None;
        }
        self.at = self.bytes.len() - args.rest().len();
        Some(list)
    }
}

/// Marks an argument as a key beside its owner.
const BESIDE_BIT: u32 = 1 << 31;

pub(super) fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head), rest))
}

fn split_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = split_u32(bytes)?;
    rest.split_at_checked(len as usize)
}

/// The first argument of `bytes`, and what follows it.
pub(super) fn split_arg(bytes: &[u8]) -> Option<(Arg<'_>, &[u8])> {
    let (word, rest) = split_u32(bytes)?;
    let (body, rest) = rest.split_at_checked((word & !BESIDE_BIT) as usize)?;
    if word & BESIDE_BIT == 0 {
        return Some((Arg::Plain(body), rest));
    }
    let (owner, name) = split_bytes(body)?;
    Some((Arg::Beside { owner, name }, rest))
}

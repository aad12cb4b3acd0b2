//! Out-frames read back, for tests: the host's side of the contract in its plainest form.
//!
//! Owns copies of everything, for easy comparison; keys beside others appear under the name that a gateway gives them.
//! Panics on a frame that breaks the contract: a test should fail then. The gateway has its own, hostile reader.
//! Only the harness uses it; no guest holds it.

use crate::frame::{BESIDE_BIT, Reader};

/// A frame that an instance answered. See [`Instance`](super::instance::Instance).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// The reply.
    Done(Vec<u8>),
    /// The command goes on.
    Pass,
    /// The reply, and operations behind it.
    Background {
        /// The reply.
        reply: Vec<u8>,
        /// The operations.
        body: Body,
    },
    /// Operations.
    Pending(Body),
}

/// Operations of one step. See [`Instance`](super::instance::Instance).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Resume at the first finished one.
    pub first: bool,
    /// The call ends here.
    pub last: bool,
    /// The operations.
    pub ops: Vec<Op>,
}

/// A command's arguments, with the names of keys beside others written out.
pub type Words = Vec<Vec<u8>>;

/// One operation. See [`Instance`](super::instance::Instance).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// CMD
    Command {
        /// No reply is wanted.
        silent: bool,
        /// Later bindings see it.
        hooked: bool,
        /// The command.
        words: Words,
    },
    /// TX
    Transaction {
        /// The guard and the reply it must give.
        guard: Option<(Words, Vec<u8>)>,
        /// The commands.
        commands: Vec<Words>,
    },
    /// SLEEP
    Sleep {
        /// How long.
        ms: u32,
    },
    /// WAIT-KEY
    WaitKey {
        /// At most this long.
        timeout_ms: u32,
        /// At most this long with commands behind.
        behind_ms: u32,
        /// How often somebody has its turn.
        poll_ms: u32,
        /// What for.
        key: Vec<u8>,
    },
    /// NOTIFY
    Notify {
        /// Whom.
        key: Vec<u8>,
        /// What.
        bytes: Vec<u8>,
    },
    /// WATCH-SESSION
    Watch {
        /// The handler.
        handler: u16,
        /// Its argument.
        key: Vec<u8>,
    },
    /// UNWATCH-SESSION
    Unwatch {
        /// The handler.
        handler: u16,
        /// Its argument.
        key: Vec<u8>,
    },
    /// SPAWN
    Spawn {
        /// The handler.
        handler: u16,
        /// Its arguments.
        words: Words,
    },
}

impl Op {
    /// Whether a result is waited for.
    pub fn gives_result(&self) -> bool {
        match self {
            Self::Command { silent, .. } => !silent,
            Self::Transaction { .. } | Self::Sleep { .. } | Self::WaitKey { .. } => true,
            Self::Notify { .. }
            | Self::Watch { .. }
            | Self::Unwatch { .. }
            | Self::Spawn { .. } => false,
        }
    }
}

/// The name that the gateway would give a key beside `owner`, when the whole owner is hashed.
///
/// ```
/// # use sluicegate_plugin::harness::frames::beside_name;
/// assert_eq!(beside_name(b"k", b"lease"), b"{k}:sg:lease");
/// ```
pub fn beside_name(owner: &[u8], name: &[u8]) -> Vec<u8> {
    [b"{", owner, b"}:sg:", name].concat()
}

/// Reads an out-frame.
///
/// ```
/// # use sluicegate_plugin::harness::frames::{Out, read};
/// assert_eq!(read(b"\x01+OK\r\n"), Out::Done(b"+OK\r\n".to_vec()));
/// ```
pub fn read(frame: &[u8]) -> Out {
    let mut cursor = Cursor(Reader::new(frame));
    match cursor.u8() {
        0 => Out::Pending(cursor.body()),
        1 => Out::Done(frame.get(1..).unwrap_or_default().to_vec()),
        2 => Out::Pass,
        3 => {
            let reply = cursor.bytes();
            Out::Background { reply, body: cursor.body() }
        }
        other => broken(&format!("kind {other}")),
    }
}

#[allow(clippy::panic, reason = "only tests come here, and a broken frame must fail them")]
fn broken(what: &str) -> ! {
    panic!("broken out-frame: {what}")
}

struct Cursor<'a>(Reader<'a>);

impl Cursor<'_> {
    fn u8(&mut self) -> u8 {
        self.0.u8().unwrap_or_else(|| broken("short"))
    }

    fn u16(&mut self) -> u16 {
        self.0.u16().unwrap_or_else(|| broken("short"))
    }

    fn u32(&mut self) -> u32 {
        self.0.u32().unwrap_or_else(|| broken("short"))
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.0.bytes().unwrap_or_else(|| broken("short")).to_vec()
    }

    fn body(&mut self) -> Body {
        let flags = self.u8();
        let count = self.u16();
        Body {
            first: flags & 1 != 0,
            last: flags & 2 != 0,
            ops: (0..count).map(|_| self.op()).collect(),
        }
    }

    fn op(&mut self) -> Op {
        match self.u8() {
            1 => {
                let flags = self.u8();
                self.target();
                Op::Command { silent: flags & 1 != 0, hooked: flags & 2 != 0, words: self.words() }
            }
            2 => {
                self.target();
                let guard = (self.u8() == 1).then(|| (self.words(), self.bytes()));
                let count = self.u16();
                Op::Transaction { guard, commands: (0..count).map(|_| self.words()).collect() }
            }
            3 => Op::Sleep { ms: self.u32() },
            4 => Op::WaitKey {
                timeout_ms: self.u32(),
                behind_ms: self.u32(),
                poll_ms: self.u32(),
                key: self.bytes(),
            },
            5 => Op::Notify { key: self.bytes(), bytes: self.bytes() },
            6 => Op::Watch { handler: self.u16(), key: self.bytes() },
            7 => Op::Unwatch { handler: self.u16(), key: self.bytes() },
            8 => Op::Spawn { handler: self.u16(), words: self.words() },
            other => broken(&format!("operation {other}")),
        }
    }

    /// There is one shard here, so the target is read and forgotten.
    fn target(&mut self) {
        match self.u8() {
            0 => {}
            1 => drop(self.bytes()),
            2 => drop(self.u16()),
            other => broken(&format!("target {other}")),
        }
    }

    fn words(&mut self) -> Words {
        (0..self.u32()).map(|_| self.word()).collect()
    }

    fn word(&mut self) -> Vec<u8> {
        let len = self.u32();
        let is_beside = len & BESIDE_BIT != 0;
        let body: Vec<u8> = (0..len & !BESIDE_BIT).map(|_| self.u8()).collect();
        if !is_beside {
            return body;
        }
        let mut inner = Cursor(Reader::new(&body));
        let owner = inner.bytes();
        beside_name(&owner, body.get(4 + owner.len()..).unwrap_or_default())
    }
}

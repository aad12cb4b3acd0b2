//! Redis commands as a handler builds them: `cmd("SET").arg(key).arg(value).arg("PX").arg(2000)`.
//!
//! A `Command` is already encoded as the arguments of a CMD or TX operation, so that handing it to the gateway is one
//! copy. A key *beside* another is named by `beside(owner, name)`: the gateway chooses a name on the owner's shard.

use crate::frame::{BESIDE_BIT, put_bytes, put_raw, put_u32};
use crate::reply::put_decimal;
use crate::request::Typed;

/// Which shard an operation goes to.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// /// The keys of all shards.
/// async fn size(cx: Cx, _args: Args) -> Result<i64> {
///     let each = (0..cx.shards()).map(|shard| cmd("DBSIZE").to_shard(shard).typed::<i64>());
///     Ok(cx.pipeline(each.collect::<Vec<_>>()).await?.into_iter().sum())
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["SIZE" => size],
/// #     capabilities: { commands: ["DBSIZE"] },
/// # }
/// # fn main() {
/// # let mut world = World::new(&PLUGIN, "", 1, 1);
/// # world.expect("DBSIZE").reply(5);
/// # assert_eq!(world.ask(0, 1, &["SIZE"]), Some(Reply::Int(5)));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// That of the command's own keys.
    OwnKeys,
    /// That of this key.
    Key(Vec<u8>),
    /// The shard with this index in its pool.
    Shard(u16),
}

/// What stands before the operations of an out-frame of kind PENDING: kind, flags, number of operations.
pub(crate) const FRAME_HEAD: usize = 4;
/// What stands before the arguments of a command to its own keys: operation, flags, target, number of arguments.
const COMMAND_HEAD: usize = 7;
/// Room for both, so that a command alone in its batch is its out-frame as it stands.
const HEADS: usize = FRAME_HEAD + COMMAND_HEAD;
/// Room for most commands.
const COMMAND_BYTES: usize = 128;

const OP_COMMAND: u8 = 1;
/// No result is wanted.
pub(crate) const NO_REPLY: u8 = 1;
const HOOKED: u8 = 2;

impl Target {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::OwnKeys => out.push(0),
            Self::Key(key) => {
                out.push(1);
                put_bytes(out, key);
            }
            Self::Shard(index) => {
                out.push(2);
                out.extend_from_slice(&index.to_le_bytes());
            }
        }
    }
}

/// One argument: bytes, a text, an integer, or a key beside another. Numbers with a fraction are given as text.
///
/// ```
/// # use sluicegate_plugin::command::{Arg, cmd};
/// let command = cmd("SET").arg("key").arg(b"value").arg("PX").arg(2_000).arg(Arg::Int(1));
/// ```
#[derive(Debug, Clone, Copy)]
pub enum Arg<'a> {
    /// As it is.
    Bytes(&'a [u8]),
    /// A number in decimal.
    Int(i64),
    /// A key on the shard of `owner`, named by the gateway.
    Beside {
        /// The key that decides the shard.
        owner: &'a [u8],
        /// Which of the keys beside it.
        name: &'a str,
    },
}

/// The key called `name` beside `owner`: always on the owner's shard, and no client's key.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// async fn seen(cx: Cx, args: Args) -> Result<i64> {
///     cx.call(incr_by(beside(args.key(), "seen"), 1)).await
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["SEEN" => seen],
/// #     capabilities: { commands: ["INCRBY"] },
/// # }
/// # fn main() {
/// let mut world = World::new(&PLUGIN, "", 1, 1);
/// assert_eq!(world.ask(0, 1, &["SEEN", "k"]), Some(Reply::Int(1)));
/// assert_eq!(world.redis.run(&["GET", "{k}:sg:seen"]), Reply::bulk("1"));
/// # }
/// ```
pub fn beside<'a>(owner: &'a [u8], name: &'a str) -> Arg<'a> {
    Arg::Beside { owner, name }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Arg<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Arg<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(text: &'a String) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

/// A command with its arguments. Its reply is untyped: [`Typed`] and [`commands`](crate::commands) have the others.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// async fn old(cx: Cx, args: Args) -> Result<Reply> {
///     let swap: Command = cmd("SET").arg(args.key()).arg("new").arg("GET");
///     cx.call(swap).await
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["OLD" => old],
/// #     capabilities: { commands: ["SET"] },
/// # }
/// # fn main() {
/// # let mut world = World::new(&PLUGIN, "", 1, 1);
/// # assert_eq!(world.ask(0, 1, &["OLD", "k"]), Some(Reply::Null));
/// # assert_eq!(world.ask(0, 1, &["OLD", "k"]), Some(Reply::bulk("new")));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Command {
    pub(crate) target: Target,
    pub(crate) hooked: bool,
    count: usize,
    /// `HEADS` bytes to fill in, and the arguments.
    encoded: Vec<u8>,
}

/// A command that starts with its name.
///
/// ```
/// # use sluicegate_plugin::command::cmd;
/// let command = cmd("HSET").arg("key").arg("field").arg(1);
/// ```
#[inline(always)]
pub fn cmd(name: &str) -> Command {
    // Inlined: of a name that is known when this is compiled, a few stores are left.
    let mut encoded = Vec::with_capacity(COMMAND_BYTES);
    encoded.extend_from_slice(&[0; HEADS]);
    encoded.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
    encoded.extend_from_slice(name.as_bytes());
    Command { target: Target::OwnKeys, hooked: false, count: 1, encoded }
}

impl Command {
    /// Adds an argument.
    #[must_use]
    pub fn arg<'a>(mut self, arg: impl Into<Arg<'a>>) -> Self {
        self.count += 1;
        match arg.into() {
            Arg::Bytes(bytes) => put_bytes(&mut self.encoded, bytes),
            Arg::Int(value) => {
                let mut digits = Vec::with_capacity(20);
                put_decimal(&mut digits, value);
                put_bytes(&mut self.encoded, &digits);
            }
            Arg::Beside { owner, name } => {
                let len = u32::try_from(4 + owner.len() + name.len()).unwrap_or(u32::MAX);
                self.encoded.extend_from_slice(&(len | BESIDE_BIT).to_le_bytes());
                put_bytes(&mut self.encoded, owner);
                self.encoded.extend_from_slice(name.as_bytes());
            }
        }
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<'a>(self, args: impl IntoIterator<Item = &'a [u8]>) -> Self {
        args.into_iter().fold(self, |command, arg| command.arg(arg))
    }

    /// Sends it to the shard of `key` instead of that of its own keys.
    #[must_use]
    pub fn to_key(mut self, key: &[u8]) -> Self {
        self.target = Target::Key(key.to_vec());
        self
    }

    /// Sends it to shard `index`, from 0 to below `Cx::shards`.
    #[must_use]
    pub fn to_shard(mut self, index: u16) -> Self {
        self.target = Target::Shard(index);
        self
    }

    /// Lets later bindings see it, as if a client had sent it.
    #[must_use]
    pub fn hooked(mut self) -> Self {
        self.hooked = true;
        self
    }

    /// The same with its reply read as a `T`.
    #[must_use]
    pub fn typed<T>(self) -> Typed<T> {
        Typed::new(self)
    }

    /// The same with its error as a value, so that in a batch it does not hide the others' replies.
    #[must_use]
    pub fn result(self) -> Typed<crate::error::Result<crate::reply::Reply>> {
        Typed::new(self)
    }

    /// Appends `u32 argc, args`.
    pub(crate) fn write_args(&self, out: &mut Vec<u8>) {
        put_u32(out, self.count);
        put_raw(out, self.encoded.get(HEADS..).unwrap_or_default());
    }

    /// Whether it goes to the shard of its own keys.
    pub(crate) fn is_plain(&self) -> bool {
        self.target == Target::OwnKeys
    }

    /// Appends the operation.
    pub(crate) fn write(&self, flags: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&[OP_COMMAND, self.flags(flags)]);
        self.target.write(out);
        self.write_args(out);
    }

    /// The out-frame of a batch that begins with this command, which is plain; its first `FRAME_HEAD` bytes are open.
    pub(crate) fn into_frame(mut self, flags: u8) -> Vec<u8> {
        let flags = self.flags(flags);
        let [a, b, c, d] = u32::try_from(self.count).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(head) = self.encoded.first_chunk_mut::<HEADS>() {
            *head = [0, 0, 0, 0, OP_COMMAND, flags, 0, a, b, c, d];
        }
        self.encoded
    }

    fn flags(&self, flags: u8) -> u8 {
        flags | if self.hooked { HOOKED } else { 0 }
    }
}

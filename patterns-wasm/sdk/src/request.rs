//! What can be sent: one command, untyped or typed, and several at once.
//!
//! A `Typed<T>` is a command that knows what its reply is read as. `Request` is either kind, `Batch` is a tuple, an array
//! or a `Vec` of requests. Nothing here sends; `Cx` does.

use std::marker::PhantomData;

use crate::command::{Arg, Command};
use crate::convert::FromReply;
use crate::error::{Error, Result};
use crate::reply::Reply;

/// A command and the type of its reply. The constructors are in [`commands`](crate::commands); [`Command::typed`] makes
/// one of any command.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// /// A SET that tells whether it stored, with an option that no constructor has.
/// async fn keep(cx: Cx, args: Args) -> Result<bool> {
///     let stored: Typed<bool> = cmd("SET").arg(args.key()).arg(args.bytes(2)).typed();
///     cx.call(stored.arg("NX").arg("KEEPTTL")).await
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["KEEP" => keep],
/// #     capabilities: { commands: ["SET"] },
/// # }
/// # fn main() {
/// # let mut world = World::new(&PLUGIN, "", 1, 1);
/// # assert_eq!(world.ask(0, 1, &["KEEP", "k", "v"]), Some(Reply::Int(1)));
/// # assert_eq!(world.ask(0, 1, &["KEEP", "k", "w"]), Some(Reply::Int(0)));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Typed<T> {
    command: Command,
    reply: PhantomData<fn() -> T>,
}

impl<T> Typed<T> {
    pub(crate) fn new(command: Command) -> Self {
        Self { command, reply: PhantomData }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg<'a>(self, arg: impl Into<Arg<'a>>) -> Self {
        Self::new(self.command.arg(arg))
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<'a>(self, args: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::new(self.command.args(args))
    }

    /// Sends it to the shard of `key` instead of that of its own keys.
    #[must_use]
    pub fn to_key(self, key: &[u8]) -> Self {
        Self::new(self.command.to_key(key))
    }

    /// Sends it to shard `index`, from 0 to below `Cx::shards`.
    #[must_use]
    pub fn to_shard(self, index: u16) -> Self {
        Self::new(self.command.to_shard(index))
    }

    /// Lets later bindings see it, as if a client had sent it.
    #[must_use]
    pub fn hooked(self) -> Self {
        Self::new(self.command.hooked())
    }

    /// The same with its error as a value, so that in a batch it does not hide the others' replies.
    #[must_use]
    pub fn result(self) -> Typed<Result<T>> {
        Typed::new(self.command)
    }

    /// The same with its reply read as another type.
    #[must_use]
    pub fn typed<U>(self) -> Typed<U> {
        Typed::new(self.command)
    }
}

impl<T> From<Typed<T>> for Command {
    fn from(typed: Typed<T>) -> Self {
        typed.command
    }
}

/// One command, untyped or typed: what [`Cx::call`](crate::cx::Cx::call) takes.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// fn takes(_request: impl Request) {}
/// takes(get("k"));            // Option<Vec<u8>>
/// takes(cmd("GET").arg("k")); // Reply
/// ```
pub trait Request {
    /// What its reply is read as.
    type Reply: FromReply;

    /// The command itself.
    fn into_command(self) -> Command;
}

impl Request for Command {
    type Reply = Reply;

    fn into_command(self) -> Command {
        self
    }
}

impl<T: FromReply> Request for Typed<T> {
    type Reply = T;

    fn into_command(self) -> Command {
        self.command
    }
}

/// The results of a batch, in its order.
pub(crate) type Results<'a> = &'a mut dyn Iterator<Item = Result<Reply>>;

/// Several commands that are sent at once: a tuple of up to eight, an array, or a `Vec` of at most 128.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// async fn both(cx: Cx, args: Args) -> Result<(Option<String>, i64)> {
///     let (value, left_ms) = cx.pipeline((get(args.key()), pttl(args.key()))).await?;
///     Ok((value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()), left_ms))
/// }
/// async fn many(cx: Cx, args: Args) -> Result<Vec<Option<Vec<u8>>>> {
///     cx.pipeline(args.from(1).map(get).collect::<Vec<_>>()).await
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["BOTH" => both, "MANY" => many],
/// #     capabilities: { commands: ["GET", "PTTL"] },
/// # }
/// # fn main() {
/// # let mut world = World::new(&PLUGIN, "", 1, 1);
/// # world.redis.run(&["SET", "k", "v", "PX", "700"]);
/// # let both = Reply::Array(vec![Reply::bulk("v"), Reply::Int(700)]);
/// # assert_eq!(world.ask(0, 1, &["BOTH", "k"]), Some(both));
/// # let many = Reply::Array(vec![Reply::bulk("v"), Reply::Null]);
/// # assert_eq!(world.ask(0, 1, &["MANY", "k", "none"]), Some(many));
/// # }
/// ```
pub trait Batch {
    /// What the replies are read as.
    type Replies;

    /// Hands out the commands in their order.
    fn each(self, take: &mut dyn FnMut(Command));

    /// Reads the results, one for each command; the first error is the batch's, but for commands with
    /// [`result`](Typed::result).
    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies>;
}

fn next<R: FromReply>(results: Results<'_>) -> Result<R> {
    R::from_result(results.next().unwrap_or_else(|| Err(Error::new("the gateway gave no result"))))
}

impl<R: Request, const N: usize> Batch for [R; N] {
    type Replies = [R::Reply; N];

    fn each(self, take: &mut dyn FnMut(Command)) {
        for request in self {
            take(request.into_command());
        }
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        let read: Vec<R::Reply> = results.map(R::Reply::from_result).collect::<Result<_>>()?;
        read.try_into().map_err(|_| Error::new("the gateway gave no result"))
    }
}

impl<R: Request> Batch for Vec<R> {
    type Replies = Vec<R::Reply>;

    fn each(self, take: &mut dyn FnMut(Command)) {
        for request in self {
            take(request.into_command());
        }
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        results.map(R::Reply::from_result).collect()
    }
}

impl<A: Request> Batch for (A,) {
    type Replies = (A::Reply,);

    fn each(self, take: &mut dyn FnMut(Command)) {
        take(self.0.into_command());
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        Ok((next(results)?,))
    }
}

impl<A: Request, B: Request> Batch for (A, B) {
    type Replies = (A::Reply, B::Reply);

    fn each(self, take: &mut dyn FnMut(Command)) {
        take(self.0.into_command());
        take(self.1.into_command());
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        Ok((next(results)?, next(results)?))
    }
}

impl<A: Request, B: Request, C: Request> Batch for (A, B, C) {
    type Replies = (A::Reply, B::Reply, C::Reply);

    fn each(self, take: &mut dyn FnMut(Command)) {
        take(self.0.into_command());
        take(self.1.into_command());
        take(self.2.into_command());
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        Ok((next(results)?, next(results)?, next(results)?))
    }
}

impl<A: Request, B: Request, C: Request, D: Request> Batch for (A, B, C, D) {
    type Replies = (A::Reply, B::Reply, C::Reply, D::Reply);

    fn each(self, take: &mut dyn FnMut(Command)) {
        take(self.0.into_command());
        take(self.1.into_command());
        take(self.2.into_command());
        take(self.3.into_command());
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        Ok((next(results)?, next(results)?, next(results)?, next(results)?))
    }
}

impl<A: Request, B: Request, C: Request, D: Request, E: Request> Batch for (A, B, C, D, E) {
    type Replies = (A::Reply, B::Reply, C::Reply, D::Reply, E::Reply);

    fn each(self, take: &mut dyn FnMut(Command)) {
        take(self.0.into_command());
        take(self.1.into_command());
        take(self.2.into_command());
        take(self.3.into_command());
        take(self.4.into_command());
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        Ok((next(results)?, next(results)?, next(results)?, next(results)?, next(results)?))
    }
}

impl<A: Request, B: Request, C: Request, D: Request, E: Request, F: Request> Batch
    for (A, B, C, D, E, F)
{
    type Replies = (A::Reply, B::Reply, C::Reply, D::Reply, E::Reply, F::Reply);

    fn each(self, take: &mut dyn FnMut(Command)) {
        take(self.0.into_command());
        take(self.1.into_command());
        take(self.2.into_command());
        take(self.3.into_command());
        take(self.4.into_command());
        take(self.5.into_command());
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        Ok((
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
        ))
    }
}

impl<A: Request, B: Request, C: Request, D: Request, E: Request, F: Request, G: Request> Batch
    for (A, B, C, D, E, F, G)
{
    type Replies = (A::Reply, B::Reply, C::Reply, D::Reply, E::Reply, F::Reply, G::Reply);

    fn each(self, take: &mut dyn FnMut(Command)) {
        take(self.0.into_command());
        take(self.1.into_command());
        take(self.2.into_command());
        take(self.3.into_command());
        take(self.4.into_command());
        take(self.5.into_command());
        take(self.6.into_command());
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        Ok((
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
        ))
    }
}

impl<A: Request, B: Request, C: Request, D: Request, E: Request, F: Request, G: Request, H: Request>
    Batch for (A, B, C, D, E, F, G, H)
{
    type Replies = (A::Reply, B::Reply, C::Reply, D::Reply, E::Reply, F::Reply, G::Reply, H::Reply);

    fn each(self, take: &mut dyn FnMut(Command)) {
        take(self.0.into_command());
        take(self.1.into_command());
        take(self.2.into_command());
        take(self.3.into_command());
        take(self.4.into_command());
        take(self.5.into_command());
        take(self.6.into_command());
        take(self.7.into_command());
    }

    fn read(results: &mut dyn Iterator<Item = Result<Reply>>) -> Result<Self::Replies> {
        Ok((
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
            next(results)?,
        ))
    }
}

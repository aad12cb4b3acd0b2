//! Transactions: a batch that runs as a whole on one shard, and one that runs only if a read answers as expected.
//!
//! They leave like any operation when the handler next waits. A row of EXEC's array that is an error is that command's
//! result, so `?` gives it to the client unless the command has `result()`.

use std::future::Future;

use crate::command::{Command, Target};
use crate::convert::FromReply;
use crate::cx::{Cx, Kind};
use crate::error::{Error, Result};
use crate::frame::put_bytes;
use crate::operations::{One, Operations, STATUS_EVENT};
use crate::reply::Reply;
use crate::request::{Batch, Typed};

const OP_TRANSACTION: u8 = 2;

/// What a guarded transaction came to. See [`Cx::guarded`](crate::cx::Cx::guarded).
#[derive(Debug, Clone, PartialEq)]
pub enum Guarded<T> {
    /// The guard held, and these are the replies.
    Done(T),
    /// The guard did not hold: what its read answered, or null when the key changed afterwards.
    Changed(Reply),
}

impl Cx {
    /// Runs a batch of 1 to 1024 commands as MULTI..EXEC on the shard that the first one goes to.
    ///
    /// ```
    /// # use sluicegate_plugin::prelude::*;
    /// # use sluicegate_plugin::harness::world::World;
    /// async fn take(cx: Cx, args: Args) -> Result<Option<Vec<u8>>> {
    ///     let (value, _) = cx.transaction((get(args.key()), del(args.key()))).await?;
    ///     Ok(value)
    /// }
    /// # sluicegate_plugin::plugin! {
    /// #     name: "x", version: "1.0.0", commands: ["TAKE" => take],
    /// #     capabilities: { commands: ["GET", "DEL"] },
    /// # }
    /// # fn main() {
    /// # let mut world = World::new(&PLUGIN, "", 1, 1);
    /// # world.redis.run(&["SET", "k", "v"]);
    /// # assert_eq!(world.ask(0, 1, &["TAKE", "k"]), Some(Reply::bulk("v")));
    /// # assert_eq!(world.redis.run(&["EXISTS", "k"]), Reply::Int(0));
    /// # }
    /// ```
    pub fn transaction<B: Batch>(
        &self,
        batch: B,
    ) -> impl Future<Output = Result<B::Replies>> + use<B> {
        let operations = self.transact(None, batch);
        async move { exec_rows::<B>(operations.await?.reply()?) }
    }

    /// Runs one command; inside MULTI it takes the place of the client's command, as a transaction of one.
    ///
    /// ```
    /// # use sluicegate_plugin::prelude::*;
    /// # use sluicegate_plugin::harness::world::World;
    /// async fn length(cx: Cx, args: Args) -> Result<i64> {
    ///     cx.single(strlen(args.key())).await
    /// }
    /// # sluicegate_plugin::plugin! {
    /// #     name: "x", version: "1.0.0", hooks: ["GET" => length],
    /// #     capabilities: { commands: ["STRLEN"] },
    /// # }
    /// # fn main() {
    /// # let mut world = World::new(&PLUGIN, "", 1, 1);
    /// # world.redis.run(&["SET", "k", "abc"]);
    /// # assert_eq!(world.ask(0, 1, &["GET", "k"]), Some(Reply::Int(3)));
    /// let ticket = world.multi(0, 1, &[&["GET", "k"]]);
    /// world.run();
    /// assert_eq!(world.reply(ticket), Some(&Reply::Array(vec![Reply::Int(3)])));
    /// # }
    /// ```
    pub async fn single<T: FromReply>(&self, request: Typed<T>) -> Result<T> {
        if self.kind() == Kind::InMulti {
            return self.transaction((request,)).await.map(|(reply,)| reply);
        }
        self.call(request).await
    }

    /// Runs a batch as MULTI..EXEC only if `guard` answers `expected` and its key does not change before EXEC.
    ///
    /// ```
    /// # use sluicegate_plugin::prelude::*;
    /// /// `CAS key expected new`: whether it was stored.
    /// async fn cas(cx: Cx, args: Args) -> Result<bool> {
    ///     let (key, new) = (args.key(), args.bytes(3));
    ///     let expected = Reply::bulk(args.bytes(2));
    ///     match cx.guarded(get(key), &expected, [set(key, new)]).await? {
    ///         Guarded::Done(_) => Ok(true),
    ///         Guarded::Changed(_) => Ok(false),
    ///     }
    /// }
    /// # sluicegate_plugin::plugin! {
    /// #     name: "x", version: "1.0.0", commands: ["CAS" => cas],
    /// #     capabilities: { commands: ["GET", "SET"] },
    /// # }
    /// # fn main() {
    /// # let mut world = sluicegate_plugin::harness::world::World::new(&PLUGIN, "", 1, 1);
    /// # world.redis.run(&["SET", "k", "a"]);
    /// # assert_eq!(world.ask(0, 1, &["CAS", "k", "b", "c"]), Some(Reply::Int(0)));
    /// # assert_eq!(world.ask(0, 1, &["CAS", "k", "a", "c"]), Some(Reply::Int(1)));
    /// # }
    /// ```
    pub fn guarded<G: Into<Command>, B: Batch>(
        &self,
        guard: G,
        expected: &Reply,
        batch: B,
    ) -> impl Future<Output = Result<Guarded<B::Replies>>> + use<G, B> {
        let mut wanted = Vec::new();
        expected.write(2, &mut wanted);
        let operations = self.transact(Some((guard.into(), wanted)), batch);
        async move {
            let outcome = operations.await?;
            if outcome.status == STATUS_EVENT {
                return Ok(Guarded::Changed(Reply::parse(outcome.bytes()).unwrap_or(Reply::Null)));
            }
            exec_rows::<B>(outcome.reply()?).map(Guarded::Done)
        }
    }

    fn transact<B: Batch>(&self, guard: Option<(Command, Vec<u8>)>, batch: B) -> One {
        if guard.is_some() && self.kind() == Kind::InMulti {
            let text = "a guarded transaction inside MULTI: its guard cannot be read there";
            self.call.state.borrow_mut().misuse = Some(text);
        }
        let mut commands = Vec::with_capacity(4);
        batch.each(&mut |command| commands.push(command));
        if commands.is_empty() {
            return Operations::refused(&self.call, "a transaction of no commands");
        }
        if !self.call.state.borrow_mut().has_room_for(commands.len()) {
            let text = "more than 1024 commands in the transactions of one batch";
            return Operations::refused(&self.call, text);
        }
        self.put_transaction(guard.as_ref(), &commands)
    }

    fn put_transaction(&self, guard: Option<&(Command, Vec<u8>)>, commands: &[Command]) -> One {
        let write = |out: &mut Vec<u8>| {
            out.push(OP_TRANSACTION);
            // With a guard: where its key is, which is what must not change.
            let first = guard.map(|(read, _)| read).or(commands.first());
            match first.map(|command| &command.target) {
                None | Some(Target::OwnKeys) => Target::OwnKeys.write(out),
                Some(target) => target.write(out),
            }
            match guard {
                None => out.push(0),
                Some((read, expected)) => {
                    out.push(1);
                    read.write_args(out);
                    put_bytes(out, expected);
                }
            }
            let count = u16::try_from(commands.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&count.to_le_bytes());
            for command in commands {
                command.write_args(out);
            }
        };
        Operations::queue(&self.call, write)
    }
}

/// Reads EXEC's array; a row that is an error is that command's result.
fn exec_rows<B: Batch>(reply: Reply) -> Result<B::Replies> {
    match reply {
        Reply::Array(rows) => B::read(&mut rows.into_iter().map(Ok)),
        _ => Err(Error::new("the transaction did not run")),
    }
}

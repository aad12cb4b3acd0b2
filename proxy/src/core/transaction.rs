//! MULTI, EXEC and DISCARD.
//!
//! ```text
//!   client: MULTI  SET k 1  GET k  EXEC          shard: MULTI SET k 1 GET k EXEC   (one contiguous write)
//!   here:   +OK    +QUEUED  +QUEUED  [array] ◄── skipped: +OK +QUEUED +QUEUED;  EXEC's array passes
//! ```
//! Commands are queued here, so a shared lane never stays in MULTI between two turns. What cannot be queued is
//! answered at once and makes EXEC answer EXECABORT, as a server does. All keys must be on one shard; otherwise EXEC
//! answers CROSSSHARD and nothing is carried out.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::rule::{Rule, TransactionStep};
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::ids::SessionId;
use crate::core::lane::Owner;
use crate::core::request::Request;
use crate::limits;
use crate::resp::write;
use crate::route::{self, Queued};
use crate::topology::ShardIndex;

const CROSS_SHARD: &str = "CROSSSHARD the keys of a transaction must live on one shard; give them one hash tag, as in \
     {x}:a and {x}:b, or use a pipeline without MULTI (in redis-py: pipeline(transaction=False))";

/// An open MULTI of one session.
#[derive(Debug, Default)]
pub struct Transaction {
    commands: Vec<QueuedCommand>,
    bytes: usize,
    /// Commands that a plugin takes.
    hooked: usize,
    shard: Option<ShardIndex>,
    crosses_shards: bool,
    failed: bool,
}

/// A command between MULTI and EXEC.
#[derive(Debug)]
pub(crate) struct QueuedCommand {
    pub(crate) spec: &'static CommandSpec,
    pub(crate) request: Vec<u8>,
}

impl Transaction {
    /// Bytes queued.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of commands queued.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// What is queued: each command and its request.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&'static CommandSpec, &[u8])> {
        self.commands.iter().map(|queued| (queued.spec, queued.request.as_slice()))
    }

    /// Whether a queued command may change data.
    pub(crate) fn may_replicate(&self) -> bool {
        self.commands.iter().any(|queued| queued.spec.may_replicate())
    }

    fn add(&mut self, spec: &'static CommandSpec, request: &[u8], shard: Option<ShardIndex>) {
        self.bytes += request.len();
        self.commands.push(QueuedCommand { spec, request: request.to_vec() });
        match (self.shard, shard) {
            (_, None) => {}
            (None, some) => self.shard = some,
            (Some(known), Some(shard)) => self.crosses_shards |= known != shard,
        }
    }

    fn is_full(&self) -> bool {
        self.commands.len() >= limits::TRANSACTION_COMMANDS_MAX
            || self.bytes >= limits::TRANSACTION_BYTES_MAX
    }
}

impl Core {
    /// A step of a transaction, in or out of MULTI.
    pub(crate) fn transaction_step(&mut self, id: SessionId, step: TransactionStep) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let open = session.transaction.is_some();
        match (step, open) {
            (TransactionStep::Multi, false) => {
                session.transaction = Some(Box::default());
                self.answer_next(id, b"+OK\r\n");
            }
            (TransactionStep::Multi, true) => {
                self.refuse_next(id, "ERR MULTI calls can not be nested");
            }
            (TransactionStep::Exec, true) => self.execute(id),
            (TransactionStep::Exec, false) => self.refuse_next(id, "ERR EXEC without MULTI"),
            (TransactionStep::Discard, true) => {
                session.transaction = None;
                self.answer_next(id, b"+OK\r\n");
            }
            (TransactionStep::Discard, false) => {
                self.refuse_next(id, "ERR DISCARD without MULTI");
            }
            (TransactionStep::Watch, true) => {
                self.refuse_next(id, "ERR WATCH inside MULTI is not allowed");
            }
            (TransactionStep::Watch, false) => self.refuse_next(
                id,
                "ERR 'watch' is not supported by this gateway yet: use a script, or a command that does both steps",
            ),
            // Nothing can be watched.
            (TransactionStep::Unwatch, _) => self.answer_next(id, b"+OK\r\n"),
        }
    }

    /// A request between MULTI and EXEC. Gives it back if it is to be carried out at once.
    pub(crate) fn queue_command(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        request: Request<'_>,
    ) -> Option<crate::command::rule::LocalCommand> {
        if let Rule::Transaction(step) = spec.rule
            && step != TransactionStep::Unwatch
        {
            self.transaction_step(id, step);
            return None;
        }
        let is_hooked = self.hook_for(id, spec, &request.args).is_some();
        let session = self.sessions.get_mut(id)?;
        let pool = self.pools.get(usize::from(session.pool))?;
        let transaction = session.transaction.as_mut()?;
        if transaction.is_full() {
            transaction.failed = true;
            self.refuse_next(id, "ERR transaction too large; run it in smaller pieces");
            return None;
        }
        transaction.hooked += usize::from(is_hooked);
        if transaction.hooked > limits::TRANSACTION_HOOKED_MAX {
            transaction.failed = true;
            let most = limits::TRANSACTION_HOOKED_MAX;
            let text = format!(
                "ERR transaction too large: plugins take more than {most} of its commands; run it in smaller pieces"
            );
            self.refuse_next(id, &text);
            return None;
        }
        let raw = request.args.raw();
        match route::queued(spec, &request.args, &pool.topology, &mut self.scratch) {
            Queued::Shard(shard) => transaction.add(spec, raw, Some(shard)),
            Queued::AnyShard => transaction.add(spec, raw, None),
            Queued::AtOnce(command) => return Some(command),
            Queued::Refuse(reply) => {
                transaction.failed = true;
                self.answer_next(id, &reply);
                return None;
            }
        }
        self.answer_next(id, b"+QUEUED\r\n");
        None
    }

    /// Notes that a command between MULTI and EXEC was wrong.
    pub(crate) fn fail_transaction(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(transaction) = &mut session.transaction
        {
            transaction.failed = true;
        }
    }

    fn execute(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(transaction) = session.transaction.take() else {
            return;
        };
        let target = session.target(transaction.shard.unwrap_or(0));
        if transaction.failed {
            return self
                .refuse_next(id, "EXECABORT Transaction discarded because of previous errors.");
        }
        if transaction.crosses_shards {
            return self.refuse_next(id, CROSS_SHARD);
        }
        if transaction.commands.is_empty() {
            return self.answer_next(id, b"*0\r\n");
        }
        if self.has_hooked(target.pool, &transaction.commands) {
            return self.execute_hooked(id, target, transaction.commands);
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let place = session.pending.push();
        let requests: Vec<Vec<u8>> =
            transaction.commands.into_iter().map(|queued| queued.request).collect();
        self.forward_group(target, &requests, Owner::Session(id, place));
    }

    fn has_hooked(&self, pool: u16, commands: &[QueuedCommand]) -> bool {
        let plugins = self.pools.get(usize::from(pool)).and_then(|pool| pool.plugins.as_ref());
        plugins.is_some_and(|plugins| {
            commands.iter().any(|queued| plugins.bindings.hooked(queued.spec.index))
        })
    }

    /// Sends `commands` as MULTI..EXEC in one piece; `owner` gets EXEC's reply.
    pub(crate) fn forward_group(&mut self, target: Target, commands: &[Vec<u8>], owner: Owner) {
        if self.multi_refused(target) {
            let name = self.shard_name(target);
            let text = format!("ERR shard {name} does not allow MULTI; not sent");
            return self.fail(owner, &text);
        }
        let mut group = self.spare.take();
        write::request(&mut group, [b"MULTI".as_slice()].into_iter());
        for command in commands {
            group.extend_from_slice(command);
        }
        write::request(&mut group, [b"EXEC".as_slice()].into_iter());
        self.forward_many(target, Piece::borrowed(&group), commands.len() + 1, owner);
        self.spare.give(group);
    }
}

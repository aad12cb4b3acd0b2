//! MULTI, EXEC and DISCARD: the session's side of a transaction.
//!
//! ```text
//!   client: MULTI  SET k 1  GET k  EXEC          shard: MULTI SET k 1 GET k EXEC   (one contiguous write)
//!   here:   +OK    +QUEUED  +QUEUED  [array] ◄── skipped: +OK +QUEUED +QUEUED;  EXEC's array passes
//! ```
//! Commands are queued here, so a shared lane never stays in MULTI between two turns. What cannot be queued is
//! answered at once and makes EXEC answer EXECABORT, as a server does; so is misuse, in Redis 7.0's own words. A
//! transaction whose commands all go to one shard as they are is sent from here; `exec` carries out every other.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::resolve::resolve;
use crate::command::rule::{LocalCommand, Rule, TransactionStep};
use crate::core::Core;
use crate::core::exec::with_args;
use crate::core::forward::Target;
use crate::core::ids::{LaneId, SessionId};
use crate::core::lane::Owner;
use crate::core::request::Request;
use crate::core::script_texts::parse_digest;
use crate::limits;
use crate::resp::args::Args;
use crate::resp::write;
use crate::route::{self, Queued, Way};
use crate::topology::ShardIndex;

/// Where a script's name stands: behind the head of an array of up to ten digits, and that of a bulk string.
const SCRIPT_HEAD_BYTES: usize = 32;
const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";

/// Why a shard takes no transaction: its user may not use MULTI, so the commands would run one by one.
pub(crate) const NO_MULTI: &str = "does not allow MULTI";

/// An open MULTI of one session.
#[derive(Debug, Default)]
pub struct Transaction {
    commands: Vec<QueuedCommand>,
    bytes: usize,
    /// Commands that a plugin takes.
    hooked: usize,
    failed: bool,
}

/// A command between MULTI and EXEC.
#[derive(Debug)]
pub(crate) struct QueuedCommand {
    pub(crate) spec: &'static CommandSpec,
    pub(crate) request: Vec<u8>,
    pub(crate) way: Way,
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

    fn add(&mut self, spec: &'static CommandSpec, request: &[u8], way: Way) {
        self.bytes += request.len();
        self.commands.push(QueuedCommand { spec, request: request.to_vec(), way });
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        self.commands.len() < limits::TRANSACTION_COMMANDS_MAX
            && self.bytes + bytes <= limits::TRANSACTION_BYTES_MAX
    }

    /// Lets what any shard may answer go where the others go, or the watched keys are.
    fn place_free(&mut self, watched: Option<ShardIndex>) {
        let placed = self.commands.iter().find_map(|queued| match queued.way {
            Way::Shard(shard) => Some(shard),
            Way::AnyShard(_) | Way::Split(_) | Way::Answer(_) | Way::ClientInfo | Way::Said(_) => {
                None
            }
        });
        let common = watched.or(placed);
        for queued in &mut self.commands {
            if let Way::AnyShard(shard) = queued.way {
                queued.way = Way::Shard(common.unwrap_or(shard));
            }
        }
    }

    /// The one shard that answers every command, if there is one.
    fn only_shard(&self) -> Option<ShardIndex> {
        let shard_of = |queued: &QueuedCommand| match queued.way {
            Way::Shard(shard) | Way::AnyShard(shard) => Some(shard),
            Way::Split(_) | Way::Answer(_) | Way::ClientInfo | Way::Said(_) => None,
        };
        let first = shard_of(self.commands.first()?)?;
        self.commands.iter().all(|queued| shard_of(queued) == Some(first)).then_some(first)
    }
}

impl Core {
    /// A step of a transaction, in or out of MULTI.
    pub(crate) fn transaction_step(
        &mut self,
        id: SessionId,
        step: TransactionStep,
        (spec, request): (&'static CommandSpec, Request<'_>),
    ) {
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
                self.discard(id);
                self.answer_next(id, b"+OK\r\n");
            }
            (TransactionStep::Discard, false) => {
                self.refuse_next(id, "ERR DISCARD without MULTI");
            }
            (TransactionStep::Watch, true) => {
                self.refuse_next(id, "ERR WATCH inside MULTI is not allowed");
            }
            (TransactionStep::Watch, false) => self.watch_keys(id, spec, &request.args),
            (TransactionStep::Unwatch, _) => self.unwatch_keys(id),
        }
    }

    /// A request between MULTI and EXEC. Gives it back if it is to be carried out at once.
    pub(crate) fn queue_command(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        request: Request<'_>,
    ) -> Option<LocalCommand> {
        if let Rule::Transaction(step) = spec.rule
            && step != TransactionStep::Unwatch
        {
            self.transaction_step(id, step, (spec, request));
            return None;
        }
        let is_hooked = self.hook_for(id, spec, &request.args).is_some();
        let session = self.sessions.get_mut(id)?;
        let pool = self.pools.get(usize::from(session.pool))?;
        let transaction = session.transaction.as_mut()?;
        let raw = request.args.raw();
        if !transaction.has_room_for(raw.len()) {
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
        match route::queued(spec, &request.args, &pool.topology, &mut self.scratch) {
            Queued::Queue(way) => transaction.add(spec, raw, way),
            Queued::AtOnce(command) => return Some(command),
            Queued::Refuse(reply) => {
                transaction.failed = true;
                self.stats.requests_refused += 1;
                self.answer_next(id, &reply);
                return None;
            }
        }
        self.answer_next(id, b"+QUEUED\r\n");
        None
    }

    /// Notes that a request, between MULTI and EXEC or not, was no command. Whether it was EXEC, which is then answered.
    pub(crate) fn misused_in_multi(&mut self, id: SessionId, args: &Args<'_>) -> bool {
        self.fail_transaction(id);
        let is_exec = args.name().eq_ignore_ascii_case(b"EXEC");
        if is_exec {
            self.discard(id);
            let text = "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
            self.refuse_next(id, text);
        }
        is_exec
    }

    /// Notes that a command between MULTI and EXEC was wrong.
    pub(crate) fn fail_transaction(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(transaction) = &mut session.transaction
        {
            transaction.failed = true;
        }
    }

    /// Ends MULTI and the watch, if there are any.
    pub(crate) fn discard(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.transaction = None;
        }
        self.release_watch(id);
    }

    fn execute(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let Some(mut transaction) = session.transaction.take() else {
            return;
        };
        if transaction.failed {
            self.release_watch(id);
            return self.refuse_next(id, ABORTED);
        }
        let watching = session.watching.take();
        if watching.is_none() && transaction.commands.is_empty() {
            return self.answer_next(id, b"*0\r\n");
        }
        let pool = session.pool;
        transaction.place_free(watching.as_ref().map(|watching| watching.shard));
        for queued in &transaction.commands {
            match &queued.way {
                Way::Shard(shard) | Way::AnyShard(shard) => {
                    self.note_write(id, queued.spec, *shard);
                }
                Way::Split(split) => {
                    split
                        .parts
                        .iter()
                        .for_each(|part| self.note_write(id, queued.spec, part.shard));
                }
                Way::Answer(_) | Way::ClientInfo | Way::Said(_) => {}
            }
        }
        match transaction.only_shard() {
            Some(shard) if watching.is_none() && !self.has_hooked(pool, &transaction.commands) => {
                self.execute_plain(id, shard, *transaction);
            }
            _ => {
                let queued = (transaction.commands, transaction.bytes);
                self.execute_parts(id, queued, watching);
            }
        }
    }

    /// All commands go to one shard as they are: EXEC's reply is the shard's.
    fn execute_plain(&mut self, id: SessionId, shard: ShardIndex, transaction: Transaction) {
        let is_large = self.is_large(id, transaction.bytes);
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let target = session.target(shard);
        let place = session.pending.push();
        let owner = Owner::Session(id, place);
        let requests: Vec<Vec<u8>> =
            transaction.commands.into_iter().map(|queued| queued.request).collect();
        if !is_large {
            return self.forward_group(target, &requests, owner);
        }
        session.alone_place = Some(place);
        match self.private_lane(target) {
            Some(lane) => self.forward_group_on(lane, target, &requests, owner),
            None => self.refuse_private(target, owner),
        }
    }

    fn has_hooked(&self, pool: u16, commands: &[QueuedCommand]) -> bool {
        commands.iter().any(|queued| self.is_hooked(pool, queued.spec))
    }

    /// Whether a plugin of the pool takes this command on some keys.
    pub(crate) fn is_hooked(&self, pool: u16, spec: &CommandSpec) -> bool {
        let plugins = self.pools.get(usize::from(pool)).and_then(|pool| pool.plugins.as_ref());
        plugins.is_some_and(|plugins| plugins.bindings.hooked(spec.index))
    }

    /// Sends `commands` as MULTI..EXEC in one piece over the shared lane; `owner` gets EXEC's reply.
    pub(crate) fn forward_group(&mut self, target: Target, commands: &[Vec<u8>], owner: Owner) {
        match self.lane_of(target) {
            Some(lane) => self.forward_group_on(lane, target, commands, owner),
            None => self.refuse_unreachable(target, owner),
        }
    }

    /// The same over this lane.
    pub(crate) fn forward_group_on(
        &mut self,
        lane: LaneId,
        target: Target,
        commands: &[Vec<u8>],
        owner: Owner,
    ) {
        if self.lanes.get(lane).is_some_and(|lane| !lane.multi_allowed) {
            return self.refuse_multi(target, owner);
        }
        commands.iter().for_each(|command| self.prepare_script(lane, target, command));
        let mut group = self.spare.take();
        write::request(&mut group, [b"MULTI".as_slice()].into_iter());
        for command in commands {
            group.extend_from_slice(command);
        }
        write::request(&mut group, [b"EXEC".as_slice()].into_iter());
        let piece = (Piece::borrowed(&group), commands.len() + 1);
        self.forward_on(lane, target, piece, owner);
        self.spare.give(group);
    }

    /// If a queued command runs a script by a digest whose text is known, has the lane load it before MULTI.
    fn prepare_script(&mut self, lane: LaneId, target: Target, command: &[u8]) {
        // Few commands are scripts: the others are not scanned.
        let head = command.get(..SCRIPT_HEAD_BYTES).unwrap_or(command);
        if !head.windows(4).any(|word| word.eq_ignore_ascii_case(b"EVAL")) {
            return;
        }
        with_args(command, |args| {
            let named = args.get(1).unwrap_or_default();
            match resolve(args).map(|spec| spec.name.as_str()) {
                Ok("eval" | "eval_ro") => self.learn_script(named),
                Ok("evalsha" | "evalsha_ro") => {
                    if let Some(digest) = parse_digest(named) {
                        self.load_script(lane, target, digest);
                    }
                }
                Ok(_) | Err(_) => {}
            }
        });
    }

    /// Says that the shard's user may not use MULTI: its commands would run one by one.
    pub(crate) fn refuse_multi(&mut self, target: Target, owner: Owner) {
        let name = self.shard_name(target);
        self.fail(owner, &format!("ERR shard {name} {NO_MULTI}; not sent"));
    }
}

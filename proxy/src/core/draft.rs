//! EXEC of a transaction that is more than one shard's commands as they came: what is sent.
//!
//! ```text
//!   queued:   GET a        PING      MGET a b      GET c:1 (a plugin's)     keys on shards 1 and 2
//!   shard 1:  MULTI GET a            MGET a                        EXEC     each shard's part is one write
//!   shard 2:  MULTI                  MGET b        SET.. DEL..     EXEC
//! ```
//! A transaction becomes *parts*, one per shard, and *elements*, one per command, from which `exec` writes the reply.
//! Several shards may only be read, unless the pool allows `per_shard`. All parts are sent, or none with the reason.
//! The session's next request waits for the reply where its order or its state demands it.
//! A SELECT is sent to the shards that need it and taken back before EXEC, so that each lane stays in its database.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::rule::LocalCommand;
use crate::config::Transactions;
use crate::core::Core;
use crate::core::exec::{ActiveExec, Element, Sent, with_args};
use crate::core::forward::Target;
use crate::core::ids::{LaneId, SessionId};
use crate::core::lane::{LaneState, Owner};
use crate::core::transaction::{NO_MULTI, QueuedCommand};
use crate::core::watch::Watching;
use crate::join::Join;
use crate::local;
use crate::pending::Place;
use crate::resp::write;
use crate::route::Way;
use crate::route::split::Split;
use crate::topology::ShardIndex;

const CROSS_SHARD: &str = "CROSSSHARD the keys of a transaction that writes must live on one shard; give them one hash \
     tag, as in {x}:a and {x}:b, or use a pipeline without MULTI (in redis-py: pipeline(transaction=False))";
const CROSS_WATCH: &str = "CROSSSHARD the keys of a transaction must live on the shard of the watched keys; give them \
     one hash tag, as in {x}:a and {x}:b";

/// A transaction that is being put together.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) elements: Vec<Element>,
    parts: Vec<Part>,
    /// The database of the next command, and the session's.
    pub(crate) database: u16,
    first_database: u16,
    writes: bool,
    /// Whether its session owes no reply, so that large parts may go over private lanes.
    is_large: bool,
}

/// What one shard is to carry out.
#[derive(Debug)]
struct Part {
    shard: ShardIndex,
    requests: Vec<Vec<u8>>,
    database: u16,
    selects: bool,
}

impl Draft {
    fn new(database: u16, is_large: bool) -> Self {
        Self {
            elements: Vec::new(),
            parts: Vec::new(),
            database,
            first_database: database,
            writes: false,
            is_large,
        }
    }

    /// Puts a command to a shard's part, which it gives.
    pub(crate) fn push(&mut self, shard: ShardIndex, request: Vec<u8>, reads: bool) -> usize {
        self.writes |= !reads;
        let number = self.part(shard);
        self.select(number, self.database);
        if let Some(part) = self.parts.get_mut(number) {
            part.requests.push(request);
        }
        number
    }

    fn part(&mut self, shard: ShardIndex) -> usize {
        if let Some(number) = self.parts.iter().position(|part| part.shard == shard) {
            return number;
        }
        let (requests, database) = (Vec::new(), self.first_database);
        self.parts.push(Part { shard, requests, database, selects: false });
        self.parts.len() - 1
    }

    /// Lets a part go on in this database.
    fn select(&mut self, number: usize, database: u16) {
        let Some(part) = self.parts.get_mut(number).filter(|part| part.database != database) else {
            return;
        };
        let mut request = Vec::new();
        let text = database.to_string();
        write::request(&mut request, [b"SELECT".as_slice(), text.as_bytes()].into_iter());
        part.requests.push(request);
        part.database = database;
        part.selects = true;
        self.elements.push(Element::Skipped(number));
    }

    /// Brings every part back to the session's database.
    fn end(&mut self) {
        for number in 0..self.parts.len() {
            self.select(number, self.first_database);
        }
    }
}

impl Core {
    /// Carries out a transaction's commands, over the lane that watches its keys if one does.
    pub(crate) fn execute_parts(
        &mut self,
        id: SessionId,
        (commands, bytes): (Vec<QueuedCommand>, usize),
        watching: Option<Watching>,
    ) {
        let is_large = self.is_large(id, bytes);
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (protocol, database) = (session.identity.protocol, session.identity.database);
        let protocol_index = session.protocol_index();
        let place = session.pending.push();
        if let Some(watching) = watching
            && !self.still_watches(watching, protocol_index)
        {
            self.end_watch(watching);
            let mut reply = Vec::new();
            write::null_array(&mut reply, protocol);
            return self.answer(id, place, Piece::borrowed(&reply));
        }
        let mut draft = Draft::new(database, is_large);
        if let Some(watching) = watching {
            // EXEC goes there also when it carries out nothing.
            draft.part(watching.shard);
        }
        let drafted = self.draft(id, commands, &mut draft);
        draft.end();
        let sent = drafted.and_then(|()| self.send_draft(id, place, &mut draft, watching));
        if let Err(text) = sent {
            self.cancel_calls(&draft.elements);
            if let Some(watching) = watching {
                self.end_watch(watching);
            }
            self.fail(Owner::Session(id, place), &text);
        }
    }

    /// Makes parts and elements of a transaction's commands; the error is the text of EXEC's.
    fn draft(
        &mut self,
        id: SessionId,
        commands: Vec<QueuedCommand>,
        draft: &mut Draft,
    ) -> Result<(), String> {
        let Some(session) = self.sessions.get(id) else {
            return Ok(());
        };
        let (pool, first) = (session.pool, session.target(0));
        let databases = self.pools.get(usize::from(pool)).map_or(1, |pool| pool.config.databases);
        for queued in commands {
            match queued.way {
                Way::Shard(shard) if self.is_hooked(pool, queued.spec) => {
                    let target = Target { shard, database: draft.database, ..first };
                    let element = self.start_in_multi(id, target, queued, draft);
                    draft.elements.push(element.map_err(|why| discarded(&why))?);
                }
                Way::Shard(shard) | Way::AnyShard(shard) => {
                    let reads = queued.spec.is_readonly();
                    let part = draft.push(shard, queued.request, reads);
                    draft.elements.push(Element::Part(part));
                }
                Way::Split(split) => self.draft_split(id, queued.spec, *split, draft)?,
                Way::Answer(command) => {
                    if command == LocalCommand::Select {
                        let found =
                            with_args(&queued.request, |args| local::selected(args, databases));
                        draft.database = found.flatten().unwrap_or(draft.database);
                    }
                    draft.elements.push(Element::Local(command, queued.request));
                }
                Way::ClientInfo => draft.elements.push(Element::ClientInfo),
                Way::Said(reply) => draft.elements.push(Element::Said(reply)),
            }
        }
        Ok(())
    }

    /// Draws up a command that was cut by shard. Each piece is hooked like a command of its own.
    fn draft_split(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        split: Split,
        draft: &mut Draft,
    ) -> Result<(), String> {
        let Some(session) = self.sessions.get(id) else {
            return Ok(());
        };
        let (pool, first) = (session.pool, session.target(0));
        let positions: Vec<Vec<u32>> =
            split.parts.iter().map(|part| part.positions.clone()).collect();
        let join = Join::new(split.rule, split.is_write, split.keys, positions.into_iter());
        let is_hooked = self.is_hooked(pool, spec);
        let (mut elements, mut fault) = (Vec::new(), None);
        for part in split.parts {
            if !is_hooked {
                elements.push(Element::Part(draft.push(part.shard, part.request, !split.is_write)));
                continue;
            }
            let target = Target { shard: part.shard, database: draft.database, ..first };
            let queued = QueuedCommand { spec, request: part.request, way: Way::Shard(part.shard) };
            match self.start_in_multi(id, target, queued, draft) {
                Ok(element) => elements.push(element),
                Err(why) => {
                    fault = Some(discarded(&why));
                    break;
                }
            }
        }
        // With a fault too: the calls that were begun are cancelled with the draft.
        draft.elements.push(Element::Joined(join, elements));
        fault.map_or(Ok(()), Err)
    }

    /// Sends a transaction's parts, or says why not: then none is sent.
    fn send_draft(
        &mut self,
        id: SessionId,
        place: Place,
        draft: &mut Draft,
        watching: Option<Watching>,
    ) -> Result<(), String> {
        let Some(session) = self.sessions.get(id) else {
            return Ok(());
        };
        let (pool, first) = (session.pool, session.target(0));
        let protocol = session.identity.protocol;
        self.check_shards(pool, draft, watching)?;
        let lanes = self.lanes_for(id, first, draft, watching)?;
        let has_local = draft.elements.iter().any(|it| matches!(it, Element::Local(..)));
        let is_private = lanes.iter().any(|id| self.lanes.get(*id).is_some_and(|l| l.is_private));
        if (has_local || is_private)
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.alone_place = Some(place);
        }
        let parts = std::mem::take(&mut draft.parts);
        let sent = |part: &Part| Sent { commands: part.requests.len(), reply: Vec::new() };
        let exec = self.execs.insert(ActiveExec {
            session: id,
            place,
            protocol,
            elements: std::mem::take(&mut draft.elements),
            parts: parts.iter().map(sent).collect(),
            missing: parts.len(),
            kept_bytes: 0,
            writes: draft.writes,
            watch: watching.map(|watching| watching.lane),
        });
        if parts.is_empty() {
            self.end_exec(exec);
            return Ok(());
        }
        for (number, (part, lane)) in (0..).zip(parts.iter().zip(lanes)) {
            let target = Target { shard: part.shard, ..first };
            if part.selects {
                self.try_selects(lane, target);
            }
            self.forward_group_on(lane, target, &part.requests, Owner::Exec(exec, number));
        }
        if let Some(watching) = watching {
            // EXEC ends the watch.
            self.return_lane(watching.lane);
        }
        Ok(())
    }

    /// Whether a transaction may go to the shards of its parts.
    fn check_shards(
        &self,
        pool: u16,
        draft: &Draft,
        watching: Option<Watching>,
    ) -> Result<(), String> {
        if let Some(watching) = watching
            && draft.parts.iter().any(|part| part.shard != watching.shard)
        {
            return Err(CROSS_WATCH.to_owned());
        }
        let may_write = self
            .pools
            .get(usize::from(pool))
            .is_some_and(|pool| pool.config.transactions == Transactions::PerShard);
        if draft.parts.len() > 1 && draft.writes && !may_write {
            return Err(CROSS_SHARD.to_owned());
        }
        Ok(())
    }

    /// A lane for each part, each of which takes it now; or why there is none.
    fn lanes_for(
        &mut self,
        id: SessionId,
        first: Target,
        draft: &Draft,
        watching: Option<Watching>,
    ) -> Result<Vec<LaneId>, String> {
        let mut lanes = Vec::with_capacity(draft.parts.len());
        for part in &draft.parts {
            let target = Target { shard: part.shard, ..first };
            let bytes = part.requests.iter().map(Vec::len).sum();
            let is_large = draft.is_large && self.is_large(id, bytes);
            let lane = match watching {
                Some(watching) => Some(watching.lane),
                None if is_large => self.private_lane(target),
                None => self.lane_of(target),
            };
            lanes.extend(lane);
            let taken = lane.ok_or_else(|| "overloaded".to_owned());
            if let Err(fault) = taken.and_then(|lane| self.takes_part(lane, part, first.pool)) {
                lanes.iter().for_each(|lane| self.rest_lane(*lane));
                return Err(format!("ERR shard {} {fault}; not sent", self.shard_name(target)));
            }
        }
        Ok(lanes)
    }

    /// Whether a lane takes a part now, or why not.
    fn takes_part(&mut self, id: LaneId, part: &Part, pool: u16) -> Result<(), String> {
        let is_usable = self.usable_lane(id);
        let is_full = self.lane_is_full(id, pool);
        let Some(lane) = self.lanes.get(id) else {
            return Ok(());
        };
        if !is_usable {
            return Err(lane.last_fault.clone());
        }
        if is_full {
            self.stats.overloads += 1;
            return Err("overloaded".to_owned());
        }
        if !lane.multi_allowed {
            return Err(NO_MULTI.to_owned());
        }
        if part.selects && !lane.selects_databases {
            return Err(self.select_fault(pool));
        }
        Ok(())
    }

    /// Lets the set-up of a connection that is not ready know that a part will select databases.
    fn try_selects(&mut self, id: LaneId, target: Target) {
        let timeout_ms = self.pools.get(usize::from(target.pool)).map_or(0, |pool| pool.timeout_ms);
        let deadline_ms = self.clock.now_ms.saturating_add(timeout_ms);
        if let Some(lane) = self.lanes.get_mut(id).filter(|lane| lane.state != LaneState::Ready) {
            lane.select(target.database, deadline_ms, &mut self.spare);
        }
    }
}

/// EXEC's error when a plugin cannot say what to do.
fn discarded(why: &str) -> String {
    format!("EXECABORT Transaction discarded because of a plugin: {why}")
}

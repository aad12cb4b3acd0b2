//! What clients ask for: from bytes to requests, and from each request to its place, its plan and its way.
//!
//! ```text
//!   bytes ─ scan ─► Args ─ resolve ─► spec ─┬─ inside MULTI ─► transaction
//!                                           ├─ one key ──────► forward            (the hot path)
//!                                           └─ plan ─► local answer | forward | split | refusal
//! ```
//! A turn looks at no more than `TURN_REQUESTS_MAX` requests of one client. What is not looked at stays in the
//! session's input and the session is woken again. Every request takes one place and gets one reply; the exceptions
//! are Redis's own (an empty array or line is no request).

use bytes::{Buf, Bytes, BytesMut};

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::resolve::resolve;
use crate::command::rule::{Rule, TransactionStep};
use crate::command::waiting::waits;
use crate::core::hot::Run;
use crate::core::ids::SessionId;
use crate::core::lane::Owner;
use crate::core::session::Closing;
use crate::core::{Core, wake_lane, wake_session};
use crate::limits;
use crate::resp::args::Args;
use crate::resp::inline;
use crate::resp::request::{ProtocolError, RequestLimits, RequestScan, Scanned};
use crate::route::{self, Plan};
use crate::topology::ShardIndex;

/// A whole request: its arguments, and its bytes in a form that can be kept without a copy if it is large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) args: Args<'a>,
    pub(crate) piece: Piece<'a>,
}

/// How far a turn got.
enum Progress {
    /// So many bytes were whole requests; behind them is the beginning of one, or nothing.
    Beginning(usize),
    /// So many bytes were whole requests; behind them may be more.
    More(usize),
}

impl Core {
    /// Takes in what a client sent while its session had no unfinished input.
    pub fn client_input(&mut self, id: SessionId, bytes: &[u8]) {
        let now_ms = self.clock.now_ms;
        if let Some(session) = self.sessions.get_mut(id) {
            session.last_active_ms = now_ms;
        }
        let mut scan = std::mem::take(&mut self.scan);
        let progress = self.run_requests(id, bytes, &mut scan);
        let rest = match progress {
            Progress::Beginning(used) | Progress::More(used) => {
                bytes.get(used..).unwrap_or_default()
            }
        };
        if !rest.is_empty()
            && let Some(session) = self.sessions.get_mut(id)
        {
            session.input.extend_from_slice(rest);
        }
        self.keep_scan(id, scan, matches!(progress, Progress::More(_)));
        self.run_ready_tasks();
    }

    /// Goes on with a session's own input: after a read into it, or when something that held it back has changed.
    pub fn client_input_grown(&mut self, id: SessionId, by_read: bool) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if session.input.is_empty() || !(by_read || session.input_ready) {
            return;
        }
        if by_read {
            session.last_active_ms = self.clock.now_ms;
        }
        let mut scan = match session.scan.take() {
            Some(scan) => *scan,
            None => std::mem::take(&mut self.scan),
        };
        let mut input = std::mem::take(&mut session.input);
        let more = self.run_input(id, &mut input, &mut scan);
        if let Some(session) = self.sessions.get_mut(id)
            && !input.is_empty()
        {
            session.input = input;
        }
        self.keep_scan(id, scan, more);
        self.run_ready_tasks();
    }

    /// Runs the requests in `input` and takes them off it; whether there may be more.
    fn run_input(&mut self, id: SessionId, input: &mut BytesMut, scan: &mut RequestScan) -> bool {
        // A large request is shared, not copied: so it is looked for alone.
        if input.len() >= limits::SHARED_PIECE_BYTES_MIN
            && let Some(limits) = self.request_limits(id)
            && let Scanned::Complete { len } = scan.scan(input, &limits)
            && len >= limits::SHARED_PIECE_BYTES_MIN
        {
            if !self.may_run(id, &Args::new(input, scan.spans())) {
                scan.reset();
                return true;
            }
            let shared: Bytes = input.split_to(len.min(input.len())).freeze();
            let args = Args::new(&shared, scan.spans());
            self.request(id, Request { args, piece: Piece::shared(&shared) });
            scan.reset();
            return true;
        }
        match self.run_requests(id, input, scan) {
            Progress::Beginning(used) => {
                input.advance(used.min(input.len()));
                false
            }
            Progress::More(used) => {
                input.advance(used.min(input.len()));
                true
            }
        }
    }

    /// Puts the scan where it belongs: with the session if a request has begun, else back with the worker.
    fn keep_scan(&mut self, id: SessionId, mut scan: RequestScan, more: bool) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.input_ready = more && !session.input.is_empty();
            let waits = session.held
                || session.read_stopped
                || session.pending.len() >= limits::SESSION_PENDING_MAX;
            if session.input_ready && !waits {
                wake_session(session, id, &mut self.wake);
            }
            if scan.in_progress() {
                session.scan = Some(Box::new(scan));
                return;
            }
        }
        scan.reset();
        scan.shrink();
        self.scan = scan;
    }

    fn run_requests(&mut self, id: SessionId, bytes: &[u8], scan: &mut RequestScan) -> Progress {
        let mut run = Run { used: 0, left: limits::TURN_REQUESTS_MAX };
        while run.left > 0 {
            let seen = self.run_plain(id, bytes, scan, &mut run);
            if run.left == 0 {
                break;
            }
            run.left -= 1;
            let rest = bytes.get(run.used..).unwrap_or_default();
            let verdict = match seen {
                Some(verdict) => verdict,
                None => match self.request_limits(id) {
                    Some(limits) => scan.scan(rest, &limits),
                    None => return Progress::Beginning(run.used),
                },
            };
            match verdict {
                Scanned::Complete { len } => {
                    let raw = rest.get(..len).unwrap_or_default();
                    let args = Args::new(raw, scan.spans());
                    if !self.may_run(id, &args) {
                        scan.reset();
                        return Progress::More(run.used);
                    }
                    self.request(id, Request { args, piece: Piece::borrowed(raw) });
                    scan.reset();
                    run.used += len;
                }
                Scanned::Inline { len } => {
                    if !self.inline_request(id, rest.get(..len).unwrap_or_default()) {
                        return Progress::More(run.used);
                    }
                    run.used += len;
                }
                Scanned::Incomplete => return Progress::Beginning(run.used),
                Scanned::Broken(error) => {
                    self.protocol_error(id, &error);
                    scan.reset();
                    return Progress::Beginning(bytes.len());
                }
            }
        }
        Progress::More(run.used)
    }

    /// The bounds for the next request; `None` when the session reads no more.
    fn request_limits(&self, id: SessionId) -> Option<RequestLimits> {
        let session = self.sessions.get(id)?;
        if session.closing > Closing::AfterRead {
            return None;
        }
        Some(if session.identity.authenticated {
            RequestLimits::OPEN
        } else {
            RequestLimits::BEFORE_AUTH
        })
    }

    /// Whether the next request may be carried out now; if not, the session is looked at again when it may.
    fn may_run(&mut self, id: SessionId, args: &Args<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        session.held = false;
        let is_full = session.pending.len() >= limits::SESSION_PENDING_MAX;
        let has_much = session.output_held() > limits::CLIENT_OUTPUT_WATCHED_BYTES;
        if !session.tasks.is_empty() {
            self.hurry_session(id);
        }
        if is_full {
            return false;
        }
        if has_much && self.output_is_full(id) {
            return false;
        }
        let held = self.must_hold(id, args);
        if let Some(session) = self.sessions.get_mut(id) {
            session.held = held;
        }
        !held
    }

    /// Whether half of what a client may leave untaken is there already; then its next request waits until it has taken
    /// some, since replies that are still to come need the other half.
    fn output_is_full(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else {
            return false;
        };
        let (pool, held) = (session.pool, session.output_held());
        let is_full = held > self.output_bound(pool) / 2;
        if let Some(session) = self.sessions.get_mut(id) {
            session.read_stopped |= is_full;
        }
        is_full
    }

    /// What a client of this pool may leave untaken, bytes; little when the worker's memory budget is used up.
    fn output_bound(&self, pool: u16) -> usize {
        let pool = self.pools.get(usize::from(pool));
        let bound = pool.map_or(0, |pool| pool.config.client_output_bytes);
        if self.bytes_held > self.bytes_max { bound.min(limits::TURN_BYTES_MAX) } else { bound }
    }

    /// Carries out an inline line; `false` when it must wait.
    fn inline_request(&mut self, id: SessionId, line: &[u8]) -> bool {
        match inline::encode(line) {
            Ok(None) => {}
            Ok(Some(raw)) => {
                let mut scan = RequestScan::default();
                if let Scanned::Complete { .. } = scan.scan(&raw, &RequestLimits::OPEN) {
                    let args = Args::new(&raw, scan.spans());
                    if !self.may_run(id, &args) {
                        return false;
                    }
                    self.request(id, Request { args, piece: Piece::borrowed(&raw) });
                }
            }
            Err(error) => self.protocol_error(id, &error),
        }
        true
    }

    fn protocol_error(&mut self, id: SessionId, error: &ProtocolError) {
        self.refuse_next(id, &format!("ERR Protocol error: {error}"));
        self.end_session(id, Closing::AfterReplies);
    }

    /// The client will send no more. What it asked for is still answered, but a command that waits at a shard is
    /// cancelled, as by Redis: it would take an element for somebody who may be gone.
    pub fn client_eof(&mut self, id: SessionId) {
        self.cancel_blocked(id);
        self.end_session(id, Closing::AfterReplies);
        self.hurry_session(id);
    }

    /// Whether more may be read from a client now. If not, `output_taken` wakes the session when it may again.
    pub fn may_read(&mut self, id: SessionId) -> bool {
        let bytes_max = self.bytes_max;
        let over_budget = self.bytes_held > bytes_max;
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        if session.closing > Closing::AfterRead {
            return false;
        }
        if session.paused && session.held {
            // Nothing is run, but a client that leaves must be seen: as in Redis, what it asked for goes with it.
            return !over_budget && session.input.len() < limits::TURN_BYTES_MAX;
        }
        if session.blocked.is_some() {
            // Nothing is run, but the end of the stream must be seen, behind whatever the client has sent meanwhile.
            return !over_budget && session.input.len() < limits::BLOCKED_INPUT_BYTES_MAX;
        }
        if over_budget && session.input.len() > limits::TURN_BYTES_MAX {
            // Waiting could not help: what fills the budget may be unfinished requests such as this one.
            self.stats.budget_refusals += 1;
            let text = format!(
                "ERR the gateway's memory budget of {bytes_max} bytes is used up; request not carried out"
            );
            self.refuse_next(id, &text);
            self.end_session(id, Closing::AfterReplies);
            return false;
        }
        let (pool, held) = (session.pool, session.output_held());
        let is_stopped = held > self.output_bound(pool);
        let Some(session) = self.sessions.get_mut(id) else {
            return false;
        };
        session.read_stopped |= is_stopped;
        !session.input_ready
            && !session.read_stopped
            && session.pending.len() < limits::SESSION_PENDING_MAX
    }

    /// To be called when a client may have taken output: goes on with what was stopped for its sake.
    pub fn output_taken(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if !session.read_stopped && session.paused_lane.is_none() {
            return;
        }
        let (pool, held) = (session.pool, session.output_held());
        if held > self.output_bound(pool) / 2 {
            return;
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if session.read_stopped {
            session.read_stopped = false;
            wake_session(session, id, &mut self.wake);
        }
        if let Some(lane_id) = session.paused_lane.take()
            && let Some(lane) = self.lanes.get_mut(lane_id)
        {
            lane.paused_until_ms = 0;
            wake_lane(lane, lane_id, &mut self.wake);
        }
    }

    /// Carries out one request.
    fn request(&mut self, id: SessionId, request: Request<'_>) {
        if request.args.is_empty() {
            return;
        }
        self.stats.requests += 1;
        self.stats.input_bytes += request.args.raw().len() as u64;
        if let Some(session) = self.sessions.get_mut(id) {
            session.pending.begin_request();
        }
        match resolve(&request.args) {
            Ok(spec) if self.refuse_subscriber(id, spec) => {}
            Ok(spec) => self.carry_out(id, spec, request),
            Err(_) if self.start_own_command(id, request) => self.show(id, None, &request.args),
            Err(_) if self.misused_in_multi(id, &request.args) => {}
            Err(error) => {
                let mut reply = self.spare.take();
                error.write(&request.args, &mut reply);
                self.answer_next(id, &reply);
                self.spare.give(reply);
            }
        }
    }

    fn carry_out(&mut self, id: SessionId, spec: &'static CommandSpec, request: Request<'_>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if !session.identity.authenticated && !spec.is_allowed_unauthenticated() {
            return self.refuse_next(id, "NOAUTH Authentication required.");
        }
        session.last_command = Some(spec);
        if session.monitor.is_some() && spec.is_about_data() {
            // A server counts its monitors among its replicas.
            self.fail_transaction(id);
            return self.refuse_next(id, "ERR Replica can't interact with the keyspace");
        }
        let pool = self.pools.get(usize::from(session.pool));
        if !pool.is_some_and(|pool| pool.monitored) {
            return self.carry_out_allowed(id, spec, request);
        }
        // What EXEC carries out is shown before it; else a line comes behind the reply, if that is there at once.
        let is_exec = spec.rule == Rule::Transaction(TransactionStep::Exec);
        if is_exec {
            self.show(id, Some(spec), &request.args);
        }
        self.carry_out_allowed(id, spec, request);
        if !is_exec {
            self.show(id, Some(spec), &request.args);
        }
    }

    /// Carries out a command that its session may send.
    fn carry_out_allowed(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        request: Request<'_>,
    ) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if session.transaction.is_some() {
            if let Some(command) = self.queue_command(id, spec, request) {
                self.answer_locally(id, command, request);
            }
            return;
        }
        if self.start_hooked(id, spec, request) {
            return;
        }
        self.carry_out_unhooked(id, spec, request);
    }

    /// Carries out a command that no plugin takes.
    pub(crate) fn carry_out_unhooked(
        &mut self,
        id: SessionId,
        spec: &'static CommandSpec,
        request: Request<'_>,
    ) {
        if spec.rule == Rule::Key {
            let position = usize::from(spec.single_key.unwrap_or(1));
            let key = request.args.get(position).unwrap_or_default();
            return self.forward_by_key(id, spec, key, request.piece);
        }
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let Some(pool) = self.pools.get(usize::from(session.pool)) else {
            return;
        };
        match route::plan(spec, &request.args, &pool.topology, &mut self.scratch) {
            Plan::Answer(command) => self.answer_locally(id, command, request),
            Plan::Clients(command) => self.clients_command(id, command, request),
            Plan::Plugins => self.plugins_command(id, &request.args),
            Plan::One(shard) => {
                self.note_write(id, spec, shard);
                self.forward_to_shard(id, shard, request.piece);
            }
            Plan::Script(shard) => {
                self.note_write(id, spec, shard);
                self.run_script(id, spec, shard, request);
            }
            Plan::Blocking(shard) => {
                self.note_write(id, spec, shard);
                self.forward_blocking(id, shard, waits(spec, &request.args), request.piece);
            }
            Plan::Wait(command) => self.wait_for_shards(id, spec, command, &request.args),
            Plan::Split(split) => {
                let is_large = self.is_large(id, request.args.raw().len());
                split.parts.iter().for_each(|part| self.note_write(id, spec, part.shard));
                self.send_parts(id, *split, is_large);
            }
            Plan::Joined(command) => self.join_keys(id, command, &request.args),
            Plan::Shards(command) => self.ask_shards(id, command, &request.args),
            Plan::Pubsub(command) => self.pubsub_command(id, command, request),
            Plan::Transaction(step) => self.transaction_step(id, step, (spec, request)),
            Plan::Refuse(reply) => {
                self.stats.requests_refused += 1;
                self.answer_next(id, &reply);
            }
        }
    }

    /// The hot path: one key, one shard.
    fn forward_by_key(&mut self, id: SessionId, spec: &CommandSpec, key: &[u8], piece: Piece<'_>) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let Some(pool) = self.pools.get(usize::from(session.pool)) else {
            return;
        };
        let shard = pool.topology.shard_of(key);
        self.note_write(id, spec, shard);
        self.forward_to_shard(id, shard, piece);
    }

    pub(crate) fn forward_to_shard(&mut self, id: SessionId, shard: ShardIndex, piece: Piece<'_>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let target = session.target(shard);
        if self.is_large(id, piece.bytes().len()) {
            return self.forward_large(id, target, piece);
        }
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let place = session.pending.push();
        self.forward(target, piece, Owner::Session(id, place));
    }
}

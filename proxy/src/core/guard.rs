//! Guarded transactions: commands that run only if a read answers as expected and its keys do not change meanwhile.
//!
//! ```text
//!            private lane                              the task's operation
//!  begin ──► WATCH keys, READ    (one write)
//!            +OK         │
//!            reply ──────┴─ not as expected ─► UNWATCH ──► event: what the read answered
//!               │ as expected
//!               └─► MULTI, commands, EXEC (one write)
//!                   array ───────────────────────────────► reply
//!                   null: a key changed after the read ──► event: the null
//!  the connection breaks, or time is over: closed ───────► error, `outcome unknown` only once EXEC may have gone
//! ```
//! WATCH is a state of the connection, so this needs one that serves nobody else meanwhile: a private lane. It goes
//! back without a watch (EXEC and UNWATCH end it) or is closed. These lanes speak RESP2, so the expected reply does too.

use crate::buffer::Piece;
use crate::command::keys;
use crate::command::resolve::resolve;
use crate::core::Core;
use crate::core::forward::Target;
use crate::core::ids::{GuardId, LaneId, TaskId};
use crate::core::lane::Owner;
use crate::core::task::Awaiting;
use crate::plugin::batch::{self, Batch, CommandList, Guard};
use crate::plugin::given::Status;
use crate::resp::args::Args;
use crate::resp::request::{RequestLimits, RequestScan, Scanned};
use crate::resp::write;
use crate::topology::ShardIndex;

/// EXEC's answer when a watched key has changed.
const NULL: &[u8] = b"*-1\r\n";
const CROSS_SHARD: &[u8] =
    b"-CROSSSHARD the keys of a plugin's guarded transaction must live on one shard\r\n";

/// A guarded transaction under way.
#[derive(Debug)]
pub(crate) struct ActiveGuard {
    task: TaskId,
    number: u32,
    lane: LaneId,
    target: Target,
    expected: Vec<u8>,
    commands: Vec<Vec<u8>>,
    stage: Stage,
}

/// What the next reply is to.
#[derive(Debug)]
enum Stage {
    Watch,
    Read,
    /// To the read, which counts for nothing: WATCH was refused with this reply.
    Refused(Vec<u8>),
    Exec,
}

/// What a guarded transaction sends.
struct Requests {
    shard: ShardIndex,
    watch: Vec<u8>,
    read: Vec<u8>,
    commands: Vec<Vec<u8>>,
}

impl Core {
    /// Begins a guarded transaction of a task.
    pub(crate) fn begin_guard(
        &mut self,
        id: TaskId,
        batch: &Batch,
        number: u32,
        (target, guard, commands): (batch::Target, Guard, CommandList),
    ) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let (pool, database) = (task.pool, task.head.db);
        task.open.push((number, Awaiting::Shard));
        let requests = match self.guard_requests(pool, batch, (target, guard, commands)) {
            Ok(requests) => requests,
            Err(reply) => return self.settle(Owner::Task(id, number), Piece::borrowed(&reply)),
        };
        let expected = batch.slice(guard.expected).to_vec();
        self.send_guard((id, number), (pool, database), expected, requests);
    }

    fn send_guard(
        &mut self,
        (id, number): (TaskId, u32),
        (pool, database): (u16, u16),
        expected: Vec<u8>,
        requests: Requests,
    ) {
        let target = Target { pool, shard: requests.shard, protocol_index: 0, database };
        let Some(lane) = self.lend_lane(target) else {
            return self.refuse_private(target, Owner::Task(id, number));
        };
        let owner = Owner::Guard(self.guards.insert(ActiveGuard {
            task: id,
            number,
            lane,
            target,
            expected,
            commands: requests.commands,
            stage: Stage::Watch,
        }));
        self.forward_on(lane, target, (Piece::borrowed(&requests.watch), 0), owner);
        self.forward_on(lane, target, (Piece::borrowed(&requests.read), 0), owner);
    }

    /// The requests, if all their keys live on one shard.
    fn guard_requests(
        &mut self,
        pool: u16,
        batch: &Batch,
        (target, guard, commands): (batch::Target, Guard, CommandList),
    ) -> Result<Requests, Vec<u8>> {
        let (shard, requests) = self.encode_transaction(pool, batch, target, commands)?;
        let read = self.encode(pool, batch, guard.args);
        let read_shard = self.shard_for(pool, batch, target, guard.args, &read)?;
        let all = batch.commands(commands).zip(&requests).chain([(guard.args, &read)]);
        let mut together = read_shard == shard;
        for (args, request) in all {
            together &= self.lives_on(pool, shard, batch, (target, args, request));
        }
        if !together {
            return Err(CROSS_SHARD.to_vec());
        }
        let watch = watch_request(&read)
            .ok_or_else(|| b"-ERR the guard's read names no key\r\n".to_vec())?;
        Ok(Requests { shard, watch, read, commands: requests })
    }

    /// Takes the next reply of a guard's connection.
    pub(crate) fn settle_guard(&mut self, id: GuardId, reply: Piece<'_>) {
        let Some(guard) = self.guards.get_mut(id) else {
            return;
        };
        match std::mem::replace(&mut guard.stage, Stage::Read) {
            Stage::Watch if reply.bytes() == b"+OK\r\n" => {}
            Stage::Watch => guard.stage = Stage::Refused(reply.bytes().to_vec()),
            Stage::Refused(why) => self.end_guard(id, true, (Status::Reply, &why)),
            Stage::Read if reply.bytes() == guard.expected => self.execute_guard(id),
            Stage::Read => self.end_guard(id, true, (Status::Event, reply.bytes())),
            Stage::Exec if reply.bytes() == NULL => {
                self.end_guard(id, false, (Status::Event, NULL));
            }
            Stage::Exec => self.end_guard(id, false, (Status::Reply, reply.bytes())),
        }
    }

    /// The read has answered as expected: the commands go out behind it.
    fn execute_guard(&mut self, id: GuardId) {
        let Some(guard) = self.guards.get_mut(id) else {
            return;
        };
        let (lane, target) = (guard.lane, guard.target);
        if self.lanes.get(lane).is_none_or(|lane| !lane.multi_allowed) {
            let text =
                format!("ERR shard {} does not allow MULTI; not sent", self.shard_name(target));
            return self.end_guard(id, true, (Status::BackendError, text.as_bytes()));
        }
        guard.stage = Stage::Exec;
        let commands = std::mem::take(&mut guard.commands);
        let mut group = self.spare.take();
        write::request(&mut group, [b"MULTI".as_slice()].into_iter());
        for command in &commands {
            group.extend_from_slice(command);
        }
        write::request(&mut group, [b"EXEC".as_slice()].into_iter());
        let piece = (Piece::borrowed(&group), commands.len() + 1);
        self.forward_on(lane, target, piece, Owner::Guard(id));
        self.spare.give(group);
    }

    /// Ends a guard with its operation's result; `watches`: the connection still watches.
    fn end_guard(&mut self, id: GuardId, watches: bool, (status, bytes): (Status, &[u8])) {
        let Some(guard) = self.guards.remove(id) else {
            return;
        };
        if watches {
            let mut unwatch = self.spare.take();
            write::request(&mut unwatch, [b"UNWATCH".as_slice()].into_iter());
            let piece = (Piece::borrowed(&unwatch), 0);
            self.forward_on(guard.lane, guard.target, piece, Owner::Nobody);
            self.spare.give(unwatch);
        }
        self.return_lane(guard.lane);
        self.settle_task(guard.task, guard.number, status, bytes);
    }

    /// The connection of a guard is over, or too late: it is closed, so that nobody gets it while it watches.
    pub(crate) fn fail_guard(&mut self, id: GuardId, text: &str) {
        let Some(guard) = self.guards.remove(id) else {
            return;
        };
        self.close_lane(guard.lane, "kept a guarded transaction waiting");
        // Before EXEC nothing has gone out that changes anything.
        let text = match guard.stage {
            Stage::Exec => text.to_owned(),
            Stage::Watch | Stage::Read | Stage::Refused(_) => {
                text.replace("; outcome unknown", "; not carried out")
            }
        };
        self.settle_task(guard.task, guard.number, Status::BackendError, text.as_bytes());
    }
}

/// WATCH of the keys that a read names; `None` when it names none.
fn watch_request(read: &[u8]) -> Option<Vec<u8>> {
    let mut scan = RequestScan::default();
    let Scanned::Complete { .. } = scan.scan(read, &RequestLimits::OPEN) else {
        return None;
    };
    let args = Args::new(read, scan.spans());
    let mut places = Vec::new();
    keys::keys(resolve(&args).ok()?, &args, &mut places).ok()?;
    if places.is_empty() {
        return None;
    }
    let keys = places.iter().map(|place| args.get(*place as usize).unwrap_or_default());
    let words: Vec<&[u8]> = [b"WATCH".as_slice()].into_iter().chain(keys).collect();
    let mut request = Vec::new();
    write::request(&mut request, words.into_iter());
    Some(request)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Requests, watch_request};
    use crate::config::{Address, Listen, PoolConfig, ShardConfig};
    use crate::core::ids::{LaneId, TaskId};
    use crate::core::lane::Owner;
    use crate::core::task::{Awaiting, Caller, NewTask};
    use crate::core::{Clock, Core, Pool, PoolSetup};
    use crate::plugin::bindings::Taken;
    use crate::plugin::given::{Kind, Status};
    use crate::resp::sample::Request;
    use crate::resp::write::Protocol;
    use crate::topology::Topology;

    /// A core with one shard and a task whose operation 0 is a guarded transaction under way.
    struct World {
        core: Core,
        task: TaskId,
    }

    impl World {
        fn new() -> Self {
            let address = Address::Tcp { host: "fake".into(), port: 1 };
            let listen = Listen::Tcp { host: "127.0.0.1".into(), port: 0 };
            let shards = vec![ShardConfig::named("a", address)];
            let config = PoolConfig::with_defaults("main", listen, shards);
            let topology = Topology::from_pool(&config);
            let setup = PoolSetup { config: Arc::new(config), topology, bindings: Vec::new() };
            let mut core = Core::new(vec![Pool::new(setup, 1)], 0, 1, 1 << 30);
            let task = core.new_task(NewTask {
                pool: 0,
                taken: Taken { binding: 0, handler: 0 },
                kind: Kind::OwnCommand,
                owner: Owner::Nobody,
                session: None,
                caller: Some(Caller { number: 1, protocol: Protocol::Resp2, database: 0 }),
                spec: None,
                args: Request::new(&[b"X"]).args(),
                key: b"k",
                keys: (0, 0, 0),
            });
            // The second operation never ends, so the results stay to be looked at.
            core.tasks[task].open = vec![(0, Awaiting::Shard), (1, Awaiting::Timer)];
            let request = |words: &[&[u8]]| Request::new(words).args().raw().to_vec();
            let requests = Requests {
                shard: 0,
                watch: request(&[b"WATCH", b"k"]),
                read: request(&[b"GET", b"k"]),
                commands: vec![request(&[b"SET", b"k", b"2"])],
            };
            core.send_guard((task, 0), (0, 0), b"$1\r\n1\r\n".to_vec(), requests);
            Self { core, task }
        }

        fn lane(&self) -> LaneId {
            self.core.lanes.keys().next().expect("a private lane")
        }

        /// Connects; the shard's answers to the set-up come at once.
        fn connect(&mut self, multi: &[u8]) {
            let lane = self.lane();
            self.core.lane_connected(lane);
            self.sent();
            self.core.lane_input(lane, multi).expect("a set-up");
        }

        /// The names of the commands that went out since the last time.
        fn sent(&mut self) -> String {
            let lane = self.lane();
            let (lane, spare) = self.core.lane_and_spare(lane).expect("a lane");
            let mut text = String::new();
            if let Some((out, written)) = lane.writing() {
                while !out.is_empty() {
                    let len = out.front().len();
                    text.push_str(&String::from_utf8_lossy(out.front()));
                    out.advance(len, spare);
                    *written += len as u64;
                }
            }
            let is_name = |word: &&str| word.len() > 2 && word.chars().all(char::is_alphabetic);
            text.split("\r\n").filter(is_name).collect::<Vec<_>>().join(" ")
        }

        fn answer(&mut self, bytes: &[u8]) {
            let lane = self.lane();
            self.core.lane_input(lane, bytes).expect("replies");
        }

        fn result(&self) -> Option<(Status, String)> {
            let held = self.core.tasks[self.task].results.first()?;
            Some((held.status, String::from_utf8_lossy(&held.bytes).into_owned()))
        }

        /// Whether another guarded transaction may have the connection.
        fn is_lent_on(&mut self) -> bool {
            let lane = &self.core.lanes[self.lane()];
            lane.awaited() == 0 && lane.to_close.is_none()
        }
    }

    const READY: &[u8] = b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n:7\r\n";

    #[test]
    fn guard_that_holds_executes_and_one_that_does_not_unwatches() {
        // What WATCH and the read answer, what goes out then, its replies, the result.
        type Case<'a> = (&'a [u8], &'a str, &'a [u8], Status, &'a str);
        let cases: &[Case<'_>] = &[
            (
                b"+OK\r\n$1\r\n1\r\n",
                "MULTI SET EXEC",
                b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n",
                Status::Reply,
                "*1\r\n+OK\r\n",
            ),
            (
                b"+OK\r\n$1\r\n1\r\n",
                "MULTI SET EXEC",
                b"+OK\r\n+QUEUED\r\n*-1\r\n",
                Status::Event,
                "*-1\r\n",
            ),
            (b"+OK\r\n$1\r\n7\r\n", "UNWATCH", b"+OK\r\n", Status::Event, "$1\r\n7\r\n"),
            (b"+OK\r\n-LOADING\r\n", "UNWATCH", b"+OK\r\n", Status::Event, "-LOADING\r\n"),
            (b"-NOPERM\r\n$1\r\n1\r\n", "UNWATCH", b"-NO\r\n", Status::Reply, "-NOPERM\r\n"),
        ];
        for (found, sent, replies, status, text) in cases {
            let mut world = World::new();
            world.connect(READY);
            assert_eq!(world.sent(), "WATCH GET");
            world.answer(found);
            assert_eq!(world.sent(), *sent);
            assert!(!world.is_lent_on(), "{text}: it may still watch");
            world.answer(replies);
            assert_eq!(world.result(), Some((*status, (*text).to_owned())));
            assert!(world.is_lent_on(), "{text}");
            assert!(world.core.guards.is_empty());
        }
    }

    #[test]
    fn guard_without_multi_or_with_a_connection_that_breaks_says_what_is_known() {
        let mut world = World::new();
        world.connect(b"-NOPERM no multi\r\n-ERR\r\n+OK\r\n+OK\r\n-NOPERM\r\n");
        world.sent();
        world.answer(b"+OK\r\n$1\r\n1\r\n");
        let (status, text) = world.result().expect("a result");
        assert_eq!(status, Status::BackendError);
        assert!(text.ends_with("does not allow MULTI; not sent"), "{text}");
        for (found, outcome) in
            [(&b""[..], "not carried out"), (b"+OK\r\n$1\r\n1\r\n", "outcome unknown")]
        {
            let mut world = World::new();
            world.connect(READY);
            world.sent();
            world.answer(found);
            world.sent();
            let lane = world.lane();
            world.core.lane_closed(lane, "closed the connection");
            let (_, text) = world.result().expect("a result");
            assert!(text.ends_with(outcome), "{text}");
            assert!(world.core.lanes.is_empty() && world.core.guards.is_empty());
        }
        // Late: the connection is closed and not lent on, since it watches.
        let mut world = World::new();
        world.connect(READY);
        world.sent();
        world.core.set_clock(Clock { now_ms: 6_000, unix_ms: 0 });
        world.core.on_time();
        assert!(world.result().expect("a result").1.ends_with("not carried out"));
        assert!(!world.is_lent_on());
    }

    #[test]
    fn watch_names_every_key_of_the_read_and_a_read_without_keys_has_none() {
        let watch = |words: &[&[u8]]| watch_request(Request::new(words).args().raw());
        let wanted = Request::new(&[b"WATCH", b"a", b"b"]);
        assert_eq!(watch(&[b"MGET", b"a", b"b"]).unwrap(), wanted.args().raw());
        let wanted = Request::new(&[b"WATCH", b"k"]);
        assert_eq!(watch(&[b"GET", b"k"]).unwrap(), wanted.args().raw());
        assert_eq!(watch(&[b"TIME"]), None);
        assert_eq!(watch(&[b"GET"]), None);
    }
}

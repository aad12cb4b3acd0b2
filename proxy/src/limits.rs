//! Every bound of the gateway on one page: default, unit, reason.
//!
//! Nothing in the gateway grows without a bound named here. Values that an operator may change are defaults that
//! `config` copies into its checked form; the others are fixed because a change would break a promise.
//! No code lives here; only `Duration` is imported.

use std::time::Duration;

/// Longest bulk string in a request, bytes. Redis's own `proto-max-bulk-len`.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Most arguments in one request, as in Redis (`1024 * 1024`).
pub const ARGUMENTS_MAX: usize = 1024 * 1024;
/// Longest inline request line, bytes. Redis's `PROTO_INLINE_MAX_SIZE`.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Before AUTH: most arguments of one request, as in Redis.
pub const UNAUTHENTICATED_ARGUMENTS_MAX: usize = 10;
/// Before AUTH: longest bulk string, bytes, as in Redis.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16 * 1024;
/// Most elements that one aggregate of a reply may announce; a larger number is no honest reply.
pub const REPLY_ELEMENTS_MAX: u64 = 1 << 32;
/// Largest buffer that a worker keeps as spare memory, bytes.
pub const SPARE_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Most spare buffers that a worker keeps.
pub const SPARE_BUFFERS_MAX: usize = 1024;
/// Longest list of an ended plugin call whose memory is kept for the next one, entries.
pub const SPARE_LIST_ENTRIES_MAX: usize = 64;
/// Output is kept in chunks of at most this many bytes, unless one piece is longer.
pub const OUT_CHUNK_BYTES: usize = SPARE_BUFFER_BYTES_MAX;
/// The first memory that output takes, bytes: room for the replies of a short pipeline.
pub const OUT_CHUNK_BYTES_MIN: usize = 512;
/// Pieces of output that one write gives to the kernel.
pub const WRITE_SLICES_MAX: usize = 16;
/// Memory that early replies already given out may still take in one session, bytes, beside as much as the live ones.
pub const EARLY_HOLES_BYTES_MAX: usize = 64 * 1024;
/// Output of one session that is not accounted at once, bytes: the worker's budget is exact to this much per client.
pub const OUTPUT_ACCOUNTED_BYTES: usize = 128 * 1024;
/// Longest time that a lane waits for a client that does not take its replies, milliseconds.
pub const LANE_PAUSE_MS: u64 = 50;
/// How long the offset of the worker's clock to the system's is taken for right, milliseconds.
pub const UNIX_CLOCK_MS: u64 = 100;
/// Entries of an emptied queue whose memory is kept.
pub const QUEUE_KEPT_ENTRIES: usize = 4096;
/// Requests of one session that are looked at in one turn of its worker.
pub const TURN_REQUESTS_MAX: usize = 128;
/// Bytes that are read from one socket in one turn.
pub const TURN_BYTES_MAX: usize = 64 * 1024;
/// A request or reply of this many bytes is shared instead of copied.
pub const SHARED_PIECE_BYTES_MIN: usize = 32 * 1024;
/// A reply of this many bytes is shared with the buffer it came in until its client's next write; what is not written
/// then is copied, so that a client that takes nothing does not keep other clients' bytes.
pub const TURN_SHARE_BYTES_MIN: usize = 2 * 1024;
/// Requests of one session without a reply; more are not read until some are answered. So many may stand before
/// another client's request in the queue of a shard: enough to keep a shard busy that is a millisecond away, and few
/// enough to cost the other no more than about that.
pub const SESSION_PENDING_MAX: usize = 1024;
/// How long a client whose unsent output is above its bound may take nothing, milliseconds.
pub const CLIENT_STALL_MS: u64 = 10_000;
/// A shared lane without requests is closed after this time, milliseconds.
pub const LANE_IDLE_MS: u64 = 60_000;
/// First wait before a shard is tried again, milliseconds; doubles up to `RECONNECT_WAIT_MS_MAX`, with jitter.
pub const RECONNECT_WAIT_MS: u64 = 50;
/// Longest wait before a shard is tried again, milliseconds.
pub const RECONNECT_WAIT_MS_MAX: u64 = 2_000;
/// How many turns of the event loop a session's output may wait for the rest of its pipeline.
pub const FLUSH_HOLD_TURNS: u32 = 1;
/// Most commands of one MULTI.
pub const TRANSACTION_COMMANDS_MAX: usize = 10_000;
/// Commands of one transaction that plugins take: each is a call until EXEC's reply is here.
pub const TRANSACTION_HOOKED_MAX: usize = 1_000;
/// Most bytes queued in one MULTI.
pub const TRANSACTION_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Output above this is written at once, whether its pipeline is answered or not, bytes.
pub const FLUSH_HOLD_BYTES: usize = 16 * 1024;
/// Bytes that are read from one shard in one turn.
pub const LANE_TURN_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting of a reply that is scanned.
pub const REPLY_DEPTH_MAX: usize = 32;

// Defaults and bounds of the configuration (`config` copies the defaults into its checked form).

/// Longest configuration file that is read, bytes.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// Most faults that one check reports; the rest is counted.
pub const CONFIG_FAULTS_MAX: usize = 100;
/// Most worker threads.
pub const WORKERS_MAX: u16 = 256;
/// Most pools in one file.
pub const POOLS_MAX: usize = 64;
/// Most shards in one pool: a SCAN cursor carries the shard in 12 bits.
pub const SHARDS_MAX: usize = 4096;
/// Most ring points of one shard per unit of weight.
pub const POINTS_PER_WEIGHT: usize = 160;
/// Most points of a `ring`: the crate inserts one by one, and this many take about a second.
pub const RING_POINTS_MAX: usize = 64 * 1024;
/// Most slots of a `modula` table (one per unit of weight).
pub const MODULA_SLOTS_MAX: u64 = 1024 * 1024;
/// Longest name of a pool, shard or plugin, bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest time-out that can be asked for: a day.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Time for a request to be answered by its shard.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Time to open a connection to a shard.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time that requests under way are given after SIGTERM.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Script texts that a worker knows, as many as a service could have, and their bytes; a larger text is not kept, and the
/// oldest go first.
pub const SCRIPTS_MAX: usize = 4096;
pub const SCRIPTS_BYTES_MAX: usize = 16 << 20;
pub const SCRIPT_BYTES_MAX: usize = 1 << 20;
/// Databases that clients may select from, as Redis's own `databases`.
pub const DATABASES: u16 = 16;
/// Clients of one pool, as Redis's own `maxclients`.
pub const CLIENTS: u32 = 10_000;
/// Connections that may wait for `accept`.
pub const BACKLOG: u32 = 1024;
/// A client's unsent output, bytes.
pub const CLIENT_OUTPUT_BYTES: usize = 64 * 1024 * 1024;
/// Everything that one worker holds for requests and replies, bytes.
pub const MEMORY_BUDGET_BYTES: usize = 1024 * 1024 * 1024;
/// Longest time that INFO waits for the shards' numbers, milliseconds: clients ask for it when they connect.
pub const INFO_WAIT_MS: u64 = 1000;
/// Requests that wait for one shard, per worker.
pub const SHARD_QUEUE_REQUESTS: usize = 64 * 1024;
/// Bytes of requests that wait for one shard, per worker.
pub const SHARD_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// A request above this goes over a connection of its own, bytes.
pub const LARGE_REQUEST_BYTES: usize = 1024 * 1024;
/// Plugin: thread CPU time of one step.
pub const PLUGIN_CPU_PER_STEP: Duration = Duration::from_millis(2);
/// Plugin: time from a call's start to its reply.
pub const PLUGIN_CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Plugin: linear memory of one cell, bytes.
pub const PLUGIN_MEMORY_BYTES: usize = 16 * 1024 * 1024;
/// Plugin: most linear memory of one cell that can be asked for, bytes (the size of a pooled slot).
pub const PLUGIN_MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Plugin: calls under way in one cell.
pub const PLUGIN_CALLS_PER_CELL: usize = 32;
/// Plugin: cells of one binding on one worker.
pub const PLUGIN_CELLS: usize = 320;
/// Plugin: operations in one batch.
pub const PLUGIN_OPERATIONS: usize = 128;
/// Plugin: steps of one call.
pub const PLUGIN_STEPS: usize = 1000;
/// Plugin: longest command that it is given, bytes.
pub const PLUGIN_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Plugin: copies of one request or reply that the memory of a cell must hold.
pub const PLUGIN_COPIES: usize = 4;
/// Plugin: longest reply, bytes.
pub const PLUGIN_REPLY_BYTES: usize = 1024 * 1024;
/// Plugin: calls of one cell, after which it is replaced.
pub const PLUGIN_CELL_CALLS: usize = 1_000_000;
/// Plugin: how long an empty cell is kept.
pub const PLUGIN_CELL_IDLE: Duration = Duration::from_secs(10);
/// Plugin: how long calls of the old generation may go on after a swap.
pub const PLUGIN_SWAP_GRACE: Duration = Duration::from_secs(30);
/// Plugin: how long it runs one call per cell after a trap.
pub const PLUGIN_QUARANTINE: Duration = Duration::from_secs(60);
/// Plugin: traps within `PLUGIN_BREAKER_WITHIN` after which its calls are refused for a while.
pub const PLUGIN_BREAKER_TRAPS: usize = 5;
/// Plugin: see `PLUGIN_BREAKER_TRAPS`.
pub const PLUGIN_BREAKER_WITHIN: Duration = Duration::from_secs(60);
/// Plugin: how long calls are refused at first; each failed trial doubles it.
pub const PLUGIN_BREAKER_OPEN: Duration = Duration::from_secs(10);
/// Plugin: how long calls are refused at most.
pub const PLUGIN_BREAKER_OPEN_MAX: Duration = Duration::from_secs(300);
/// Plugins: native stack of a guest, bytes.
pub const PLUGIN_STACK_BYTES: usize = 64 * 1024;
/// Plugins: elements of a guest's table (its function pointers).
pub const PLUGIN_TABLE_ELEMENTS: usize = 2_000;
/// Messages that wait in a worker's inbox.
pub const INBOX_MESSAGES_MAX: usize = 1024;
/// Unsent output of one client above which it is watched for progress, bytes.
pub const CLIENT_OUTPUT_WATCHED_BYTES: usize = 1024 * 1024;

// Bounds of commands.

/// Most keys in one part of a split command: a longer part would hold up the other clients of its shard.
pub const SPLIT_PART_KEYS_MAX: usize = 512;
/// Most bytes of arguments in one part of a split command; a single larger value is a part by itself.
pub const SPLIT_PART_BYTES_MAX: usize = 256 * 1024;
/// Time for the other workers to answer a question, milliseconds; then the client is told that they did not.
pub const ASK_MS: u64 = 5_000;
/// Time for plugin files to be loaded on a client's order, milliseconds: what waits before it counts too.
pub const PLUGIN_RELOAD_MS: u64 = 120_000;
/// Orders to load plugin files that wait; one more is refused.
pub const PLUGIN_RELOADS_WAITING_MAX: usize = 64;
/// Longest line that MONITOR shows, bytes; what is longer is cut and says by how much.
pub const MONITOR_LINE_BYTES_MAX: usize = 16 * 1024;
/// Lines that wait for a client that monitors, bytes; beyond that lines are lost and counted.
pub const MONITOR_BYTES_MAX: usize = 512 * 1024;
/// How often it is looked whether a client that monitors can be told what it lost, milliseconds.
pub const MONITOR_LOST_MS: u64 = 100;
/// Longest name, library name or library version that a client may give its connection, bytes.
pub const CLIENT_TEXT_BYTES_MAX: usize = 1024;
/// Plugin: most cells of all plugins and workers together.
pub const PLUGIN_INSTANCES_MAX: usize = 2000;
/// Plugin: cells beyond those, for trying a new file and for old generations that finish.
pub const PLUGIN_INSTANCES_SPARE: usize = 64;
/// Plugin: how often the files are looked at.
pub const PLUGIN_WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// Private connections to one shard, over all workers, each of which may open an equal share: for clients that wait or
/// watch, and for large requests. A server's own bound is 10,000 connections.
pub const PRIVATE_LANES_MAX: usize = 4_000;
/// Smallest bound that `large_request` may be set to, bytes: below it nothing is looked up.
pub const LARGE_REQUEST_BYTES_MIN: usize = 16 * 1024;
/// Time between two connections to one shard, over all workers, beyond the first `CONNECT_BURST`.
pub const CONNECT_INTERVAL: Duration = Duration::from_millis(2);
/// Connections to one shard that may be opened at once: clients that begin to wait should not queue up, and a server's
/// own backlog is 511.
pub const CONNECT_BURST: u32 = 128;
/// What is read of a client whose command waits at a shard, bytes, so that its going away is seen behind it.
pub const BLOCKED_INPUT_BYTES_MAX: usize = 1024 * 1024;
/// A connection to a shard is silent for this long before the system asks whether the other side is there.
pub const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
/// Time between two such questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Questions without an answer after which the connection counts as broken.
pub const KEEPALIVE_RETRIES: u32 = 3;
/// Keys of one session that plugins may watch; beyond that the oldest is forgotten.
pub const SESSION_WATCHES_MAX: usize = 1024;
/// Plugin: steps of ready calls in one pass; the others come after a rest.
pub const PLUGIN_STEPS_PER_PASS: usize = 4096;
/// Plugin: time that one pass of steps may take before others get their turn, milliseconds.
pub const PLUGIN_PASS_MS: u64 = 4;
/// Plugin: lines about crashes that the log gets per binding, worker and second; more are counted.
pub const PLUGIN_CRASH_NOTES_MAX: usize = 20;
/// Plugin: calls in flight that other calls have started (SPAWN), per worker and binding; more are not started.
pub const PLUGIN_SPAWNED_MAX: usize = 1024;
/// Most elements of the answers that one command over several shards joins: more would keep a worker from its other
/// clients for longer than a tenth of a second.
pub const JOINED_ELEMENTS_MAX: i64 = 500_000;
/// LCS over two shards: largest product of the values' lengths, which is what it costs in steps and in bytes.
pub const LCS_CELLS_MAX: usize = 16 * 1024 * 1024;
/// LCS over two shards: longest value that is fetched, bytes.
pub const LCS_VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Channels and patterns that one connection may subscribe to: far more than clients use, since each costs memory in
/// every worker and a request to every shard when that comes back.
pub const SESSION_SUBSCRIPTIONS_MAX: usize = 64 * 1024;
/// Subscriptions of all connections of a pool on one worker, for the same reason.
pub const WORKER_SUBSCRIPTIONS_MAX: usize = 1024 * 1024;

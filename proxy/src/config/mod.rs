//! What the operator asked for, checked and typed.
//!
//! `load` reads a YAML file, either our own format or a twemproxy `nutcracker.yml`, and gives a `Config` in which
//! every setting has its value: defaults are filled in, units are resolved, names refer to things that exist. An
//! `Option` is left only where absence means something (no password, no time-out). Otherwise it gives every fault
//! at once, each with its path, what was found, what is allowed and the line. Nothing is checked later.
//!
//! The way: `tree` (YAML with lines) -> `file` (the exact shape, `ConfigFile`) -> `check` (meaning, `Config`);
//! `nutcracker` goes from the tree to `Config` by twemproxy's rules. Only `load` touches the file system.

mod address;
mod check;
pub mod fault;
mod file;
mod nutcracker;
mod plugin_file;
mod read;
mod rules;
mod tree;
mod units;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::hashing::HashKind;
use crate::limits;
use check::Surroundings;
use fault::{Fault, Findings};
use file::ConfigFile;
use read::Item;
use tree::Tree;

/// The whole checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Number of worker threads.
    pub workers: Workers,
    /// Time that requests under way are given after SIGTERM.
    pub drain_timeout: Duration,
    /// Everything that one worker holds for requests and replies, bytes.
    pub memory_budget_bytes: usize,
    /// Where the compiled code of plugins is kept.
    pub plugin_cache: PluginCache,
    /// What all plugins share.
    pub plugin_engine: PluginEngine,
    /// The plugin files, in the order of the file.
    pub plugins: Vec<PluginConfig>,
    /// The pools, in the order of the file; at least one.
    pub pools: Vec<PoolConfig>,
}

impl Config {
    /// `pools` with every other setting at its default.
    pub fn with_defaults(pools: Vec<PoolConfig>) -> Self {
        Self {
            workers: Workers::Auto,
            drain_timeout: limits::DRAIN_TIMEOUT,
            memory_budget_bytes: limits::MEMORY_BUDGET_BYTES,
            plugin_cache: PluginCache::OfUser,
            plugin_engine: PluginEngine::default(),
            plugins: Vec::new(),
            pools,
        }
    }
}

/// How many worker threads to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One per CPU that the process may use.
    Auto,
    /// Exactly this many.
    Count(u16),
}

/// A listen address, its shards and its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    pub name: String,
    pub listen: Listen,
    /// Connections that may wait for `accept` (TCP only).
    pub backlog: u32,
    pub distribution: Distribution,
    /// Unused by `random`.
    pub hash: HashKind,
    /// The two characters around the part of a key that is hashed; `None`: always the whole key.
    pub hash_tag: Option<[u8; 2]>,
    /// At least one; names are unique.
    pub shards: Vec<ShardConfig>,
    /// Time for a shard to answer a request; `None`: wait for ever.
    pub timeout: Option<Duration>,
    pub connect_timeout: Duration,
    /// A client that is silent for so long is disconnected; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// What clients must AUTH with; `None`: no password.
    pub client_password: Option<Secret>,
    /// The user of AUTH towards shards; `None`: AUTH with the password alone.
    pub shard_user: Option<String>,
    /// The password of AUTH towards shards; `None`: no AUTH.
    pub shard_password: Option<Secret>,
    /// Where a script goes that names no key.
    pub keyless_scripts: KeylessScripts,
    /// How many databases clients may select from, counted from 0.
    pub databases: u16,
    /// The one that a client begins in.
    pub database: u16,
    pub max_clients: u32,
    /// A client's unsent output, bytes.
    pub client_output_bytes: usize,
    /// What may wait for one shard, per worker.
    pub shard_queue: ShardQueue,
    /// A request above this goes over a connection of its own, bytes.
    pub large_request_bytes: usize,
    /// What MULTI..EXEC may do with keys of several shards.
    pub transactions: Transactions,
    /// Connect to every shard at start instead of on first use.
    pub preconnect: bool,
    /// Plugins on this pool, in the order in which they are tried.
    pub bindings: Vec<BindingConfig>,
}

impl PoolConfig {
    /// A pool of our own format with every other setting at its default.
    pub fn with_defaults(name: &str, listen: Listen, shards: Vec<ShardConfig>) -> Self {
        Self {
            name: name.to_owned(),
            listen,
            backlog: limits::BACKLOG,
            distribution: Distribution::Ring,
            hash: HashKind::Xxh3,
            hash_tag: Some(*b"{}"),
            shards,
            timeout: Some(limits::TIMEOUT),
            connect_timeout: limits::CONNECT_TIMEOUT,
            idle_timeout: None,
            client_password: None,
            shard_user: None,
            shard_password: None,
            keyless_scripts: KeylessScripts::FirstArg,
            databases: limits::DATABASES,
            database: 0,
            max_clients: limits::CLIENTS,
            client_output_bytes: limits::CLIENT_OUTPUT_BYTES,
            shard_queue: ShardQueue {
                requests: limits::SHARD_QUEUE_REQUESTS,
                bytes: limits::SHARD_QUEUE_BYTES,
            },
            large_request_bytes: limits::LARGE_REQUEST_BYTES,
            transactions: Transactions::OneShard,
            preconnect: false,
            bindings: Vec::new(),
        }
    }
}

/// Where a pool listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Tcp { host: String, port: u16 },
    Unix { path: PathBuf, mode: Option<u32> },
}

/// One place in the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// What placement hashes: the given name, else made from the address as written.
    pub name: String,
    pub address: Address,
    pub weight: u32,
    /// Whether the file gives the name; if not, a new address moves keys.
    pub named: bool,
}

impl ShardConfig {
    /// A shard with a name of its own and weight 1.
    pub fn named(name: &str, address: Address) -> Self {
        Self { name: name.to_owned(), address, weight: 1, named: true }
    }
}

/// Where a shard's server is. Host names are resolved at each connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix { path: PathBuf },
}

/// As written in a file.
/// A host and a port as one text: an IPv6 address stands in brackets.
pub fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => formatter.write_str(&with_port(host, *port)),
            Self::Unix { path } => write!(formatter, "{}", path.display()),
        }
    }
}

/// How keys are spread over shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// The `consistent_hash_ring` crate: the default of our own format.
    Ring,
    /// twemproxy's ring, byte for byte.
    Ketama,
    /// Hash modulo total weight.
    Modula,
    /// Any shard, drawn anew for each request: for pools whose shards hold the same data.
    Random,
}

/// Where a script goes that names no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeylessScripts {
    /// To the shard that owns its first argument as if that were a key: mostly it is one.
    FirstArg,
    /// To the first shard of the pool.
    FirstShard,
    /// Nowhere: an error.
    Refuse,
}

/// What MULTI..EXEC may do with keys of several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transactions {
    /// Only read: what writes has its keys on one shard.
    OneShard,
    /// Write too: each shard's part is a transaction of its own.
    PerShard,
}

/// What may wait for one shard, per worker; beyond it requests are refused at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardQueue {
    pub requests: usize,
    pub bytes: usize,
}

/// Where the compiled code of plugins is kept, so that a restart does not compile again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginCache {
    /// In the cache folder of the user that runs the gateway, if there is one.
    OfUser,
    /// Here; resolved against the folder of the YAML file.
    Folder(PathBuf),
    /// Nowhere.
    Off,
}

/// A plugin file, its limits and what it may do.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfig {
    pub name: String,
    /// Resolved against the folder of the YAML file.
    pub file: PathBuf,
    /// False only for an `optional` plugin whose file does not exist: its bindings are skipped.
    pub present: bool,
    /// Whether the gateway goes on without the plugin when its file does not exist.
    pub optional: bool,
    /// The file must have this SHA-256.
    pub sha256: Option<[u8; 32]>,
    pub limits: PluginLimits,
    pub grant: Grant,
}

/// What all plugins share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginEngine {
    /// Native stack of a guest, bytes.
    pub stack_bytes: usize,
    /// Elements of a guest's table (its function pointers).
    pub table_elements: usize,
}

impl Default for PluginEngine {
    fn default() -> Self {
        Self {
            stack_bytes: limits::PLUGIN_STACK_BYTES,
            table_elements: limits::PLUGIN_TABLE_ELEMENTS,
        }
    }
}

/// What one plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Thread CPU time of one step.
    pub cpu_per_step: Duration,
    /// Time from a call's start to its reply.
    pub call_timeout: Duration,
    /// Linear memory of one cell, bytes.
    pub memory_bytes: usize,
    pub calls_per_cell: usize,
    /// Cells of one binding on one worker.
    pub cells: usize,
    /// Operations in one batch.
    pub operations: usize,
    /// Steps of one call.
    pub steps: usize,
    /// Longest command that the plugin is given, bytes.
    pub request_bytes: usize,
    /// Longest reply, and most of the shards' replies that one step is given, bytes.
    pub reply_bytes: usize,
    /// Calls of one cell, after which it is replaced.
    pub cell_calls: usize,
    /// How long an empty cell is kept.
    pub cell_idle: Duration,
    /// How long calls of the old generation may go on after a swap.
    pub swap_grace: Duration,
    /// How long it runs one call per cell after a trap.
    pub quarantine: Duration,
    /// Traps within `breaker_within` after which its calls are refused for `breaker_open`.
    pub breaker_traps: usize,
    pub breaker_within: Duration,
    pub breaker_open: Duration,
    /// Each failed trial doubles `breaker_open` up to this.
    pub breaker_open_max: Duration,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            cpu_per_step: limits::PLUGIN_CPU_PER_STEP,
            call_timeout: limits::PLUGIN_CALL_TIMEOUT,
            memory_bytes: limits::PLUGIN_MEMORY_BYTES,
            calls_per_cell: limits::PLUGIN_CALLS_PER_CELL,
            cells: limits::PLUGIN_CELLS,
            operations: limits::PLUGIN_OPERATIONS,
            steps: limits::PLUGIN_STEPS,
            request_bytes: limits::PLUGIN_REQUEST_BYTES,
            reply_bytes: limits::PLUGIN_REPLY_BYTES,
            cell_calls: limits::PLUGIN_CELL_CALLS,
            cell_idle: limits::PLUGIN_CELL_IDLE,
            swap_grace: limits::PLUGIN_SWAP_GRACE,
            quarantine: limits::PLUGIN_QUARANTINE,
            breaker_traps: limits::PLUGIN_BREAKER_TRAPS,
            breaker_within: limits::PLUGIN_BREAKER_WITHIN,
            breaker_open: limits::PLUGIN_BREAKER_OPEN,
            breaker_open_max: limits::PLUGIN_BREAKER_OPEN_MAX,
        }
    }
}

/// What the operator lets a plugin do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// No `grant` in the file: what the plugin's manifest asks for.
    AsAsked,
    /// Only this.
    Listed(GrantList),
}

/// A written-out grant; what is not in it is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantList {
    /// Redis commands, upper case.
    pub commands: Vec<String>,
    /// Key patterns that those commands may touch; `None`: those of each binding.
    pub keys: Option<Vec<Vec<u8>>>,
    /// Whether calls may wait for keys.
    pub wait: bool,
    /// Whether calls may go on after their reply.
    pub background: bool,
    /// Whether the timers of its manifest run.
    pub timers: bool,
    /// Bytes of shared state per worker and binding.
    pub shared_bytes: usize,
}

/// A plugin on the keys of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingConfig {
    /// Index into `Config::plugins`.
    pub plugin: usize,
    /// Key patterns; at least one.
    pub keys: Vec<Vec<u8>>,
    /// Patterns of further keys that the plugin's own commands may touch here.
    pub may_touch: Vec<Vec<u8>>,
    /// The binding's `config`, as JSON text (`{}` when absent).
    pub config_json: Vec<u8>,
    /// Whether a hooked command whose call fails goes on as it came, if the call has written nothing.
    pub fail_passes: bool,
}

/// A password: never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the password's bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The password itself, for AUTH.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// A configuration that can serve, and what the operator should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Fault>,
}

/// Reads and checks a file, `nutcracker.yml` or our own format. Also checks that plugin files exist.
pub fn load(path: &Path) -> Result<Loaded, Vec<Fault>> {
    let text = read_text(path)
        .map_err(|problem| vec![Fault { path: String::new(), line: None, problem }])?;
    parse_with(&text, path, Path::is_file)
}

/// Checks the text of a file called `name`; plugin files are taken to exist.
pub fn parse(text: &str, name: &Path) -> Result<Loaded, Vec<Fault>> {
    parse_with(text, name, |_| true)
}

fn read_text(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if bytes.len() > limits::CONFIG_BYTES_MAX {
        let most = limits::CONFIG_BYTES_MAX;
        return Err(format!("{shown} has {} bytes, allowed: at most {most}", bytes.len()));
    }
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text"))
}

fn parse_with(text: &str, name: &Path, exists: fn(&Path) -> bool) -> Result<Loaded, Vec<Fault>> {
    let tree = Tree::parse(text).map_err(|fault| vec![fault])?;
    let mut findings = Findings::default();
    let root = Item::root(&tree);
    let config = if nutcracker::recognises(&tree.root) {
        Some(nutcracker::config(&root, &mut findings))
    } else {
        let around = Surroundings { folder: name.parent().unwrap_or(Path::new("")), exists };
        let file = ConfigFile::read(&root, &mut findings);
        file.map(|file| check::config(file, around, &mut findings))
    };
    match config {
        Some(config) if !findings.has_faults() => {
            Ok(Loaded { config, warnings: findings.into_warnings(&tree) })
        }
        _ => Err(findings.into_faults(&tree)),
    }
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod nutcracker_tests;
#[cfg(test)]
mod tests;

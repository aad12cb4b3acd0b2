//! `ConfigFile`: our own YAML format exactly as it is written.
//!
//! In: the tree. Out: every setting that is given, with its place; an absent one stays absent. Unknown keys, wrong
//! types, unknown words and numbers out of range are reported here; what settings mean together is `check`'s
//! business. The tables of keys are what `config/reference.yaml` must show (a test compares them).
//!
//! No default is known here.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::address;
use super::fault::{Findings, Place};
use super::plugin_file::{self, BindingFile, EngineFile, PluginFile};
use super::read::{self, Found, Item, Section, Setting};
use super::{Address, Distribution, KeylessScripts, Listen, Transactions, Workers};
use crate::hashing::{HASH_NAMES, HashKind};
use crate::limits;

/// Keys of the file itself.
pub(super) const TOP_KEYS: [&str; 7] = [
    "workers",
    "drain_timeout",
    "memory_budget",
    "plugin_cache",
    "plugin_engine",
    "plugins",
    "pools",
];

/// Keys of a pool.
pub(super) const POOL_KEYS: [&str; 23] = [
    "listen",
    "backlog",
    "distribution",
    "hash",
    "hash_tag",
    "shards",
    "timeout",
    "connect_timeout",
    "idle_timeout",
    "redis_auth",
    "client_password",
    "shard_user",
    "shard_password",
    "keyless_scripts",
    "databases",
    "database",
    "max_clients",
    "client_output",
    "shard_queue",
    "large_request",
    "transactions",
    "preconnect",
    "plugins",
];

/// Keys of a shard in its long form.
pub(super) const SHARD_KEYS: [&str; 3] = ["name", "address", "weight"];

/// Keys of `shard_queue`.
pub(super) const QUEUE_KEYS: [&str; 2] = ["requests", "bytes"];

const SHARD_ADDRESS: &str = "host:port or /path/to/socket";
const LISTEN_ADDRESS: &str =
    "host:port or /path/to/socket, the latter with permissions such as 0660 if wanted";
const DISTRIBUTIONS: [(&str, Distribution); 4] = [
    ("ring", Distribution::Ring),
    ("ketama", Distribution::Ketama),
    ("modula", Distribution::Modula),
    ("random", Distribution::Random),
];
const TRANSACTIONS: [(&str, Transactions); 2] =
    [("one_shard", Transactions::OneShard), ("per_shard", Transactions::PerShard)];

pub(super) const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=limits::DURATION_MAX;
const DRAIN_TIMES: RangeInclusive<Duration> = Duration::ZERO..=limits::DURATION_MAX;
const BUDGETS: RangeInclusive<usize> = 1024 * 1024..=1024 * 1024 * 1024 * 1024;
const BUFFERS: RangeInclusive<usize> = 64 * 1024..=64 * 1024 * 1024 * 1024;
const LARGE_REQUESTS: RangeInclusive<usize> =
    limits::LARGE_REQUEST_BYTES_MIN..=limits::BULK_BYTES_MAX;

/// The file.
#[derive(Debug)]
pub(super) struct ConfigFile {
    pub(super) place: Place,
    pub(super) workers: Setting<Workers>,
    pub(super) drain_timeout: Setting<Duration>,
    pub(super) memory_budget: Setting<usize>,
    pub(super) plugin_cache: Setting<String>,
    pub(super) plugin_engine: Option<EngineFile>,
    pub(super) plugins: Vec<PluginFile>,
    pub(super) pools: Vec<PoolFile>,
}

/// One pool.
#[derive(Debug)]
pub(super) struct PoolFile {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) listen: Setting<Listen>,
    pub(super) listen_given: bool,
    pub(super) backlog: Setting<u32>,
    pub(super) distribution: Setting<Distribution>,
    pub(super) distribution_given: bool,
    pub(super) hash: Setting<HashKind>,
    pub(super) hash_tag: Setting<Option<[u8; 2]>>,
    /// The list of shards, with its own place; faulty shards are left out.
    pub(super) shards: Setting<Vec<ShardFile>>,
    pub(super) shards_given: usize,
    pub(super) timeout: Setting<Option<Duration>>,
    pub(super) connect_timeout: Setting<Duration>,
    pub(super) idle_timeout: Setting<Option<Duration>>,
    pub(super) redis_auth: Setting<String>,
    pub(super) client_password: Setting<String>,
    pub(super) shard_user: Setting<String>,
    pub(super) shard_password: Setting<String>,
    pub(super) keyless_scripts: Setting<KeylessScripts>,
    pub(super) databases: Setting<u16>,
    pub(super) database: Setting<u16>,
    pub(super) max_clients: Setting<u32>,
    pub(super) client_output: Setting<usize>,
    pub(super) queue_requests: Setting<usize>,
    pub(super) queue_bytes: Setting<usize>,
    pub(super) large_request: Setting<usize>,
    pub(super) transactions: Setting<Transactions>,
    pub(super) preconnect: Setting<bool>,
    pub(super) bindings: Vec<BindingFile>,
}

/// One shard, in the short form (an address) or the long one.
#[derive(Debug)]
pub(super) struct ShardFile {
    pub(super) place: Place,
    pub(super) name: Setting<String>,
    pub(super) address: Address,
    /// The address as written.
    pub(super) written: String,
    pub(super) weight: Setting<u32>,
}

impl ConfigFile {
    /// Reads the whole file.
    pub(super) fn read(root: &Item<'_>, findings: &mut Findings) -> Option<Self> {
        let top = Section::open(root, &TOP_KEYS, findings)?;
        let drain =
            |item: &Item<'_>, findings: &mut Findings| read::duration(item, findings, DRAIN_TIMES);
        let budget = |item: &Item<'_>, findings: &mut Findings| read::size(item, findings, BUDGETS);
        Some(Self {
            place: top.place.clone(),
            workers: top.read("workers", findings, workers),
            drain_timeout: top.read("drain_timeout", findings, drain),
            memory_budget: top.read("memory_budget", findings, budget),
            plugin_cache: top.read("plugin_cache", findings, read::text),
            plugin_engine: top
                .get("plugin_engine")
                .and_then(|item| EngineFile::read(item, findings)),
            plugins: named(&top, "plugins", findings, PluginFile::read),
            pools: named(&top, "pools", findings, PoolFile::read),
        })
    }
}

/// The entries of a mapping of names, through the reader of one; a bad name is reported.
fn named<'t, T>(
    section: &Section<'t>,
    key: &str,
    findings: &mut Findings,
    reader: impl Fn(&str, &Item<'t>, &mut Findings) -> Option<T>,
) -> Vec<T> {
    let entries = section.get(key).and_then(|item| item.entries(findings));
    let mut list = Vec::new();
    for (name, item) in entries.unwrap_or_default() {
        if !is_name(name) {
            let problem =
                "not a name, allowed: letters, digits and _ . - up to 255 bytes".to_owned();
            findings.fault(&item.place, problem);
        }
        list.extend(reader(name, &item, findings));
    }
    list
}

/// Whether `name` can name a pool or a plugin: it appears in paths and error texts.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !name.is_empty() && name.len() <= limits::NAME_BYTES_MAX && name.bytes().all(allowed)
}

impl PoolFile {
    fn read(name: &str, item: &Item<'_>, findings: &mut Findings) -> Option<Self> {
        let pool = Section::open(item, &POOL_KEYS, findings)?;
        let time = |item: &Item<'_>, f: &mut Findings| read::duration_or_off(item, f, TIMES);
        let queue =
            pool.get("shard_queue").and_then(|item| Section::open(item, &QUEUE_KEYS, findings));
        let buffer = |item: &Item<'_>, f: &mut Findings| read::size(item, f, BUFFERS);
        let (shards, shards_given) = shards(&pool, findings);
        Some(Self {
            name: name.to_owned(),
            place: pool.place.clone(),
            listen_given: pool.get("listen").is_some(),
            listen: pool.read("listen", findings, |item, f| {
                read::parsed(item, f, address::listen, LISTEN_ADDRESS)
            }),
            backlog: pool.read("backlog", findings, |item, f| read::whole(item, f, 1..=65_535)),
            distribution_given: pool.get("distribution").is_some(),
            distribution: pool.read("distribution", findings, distribution),
            hash: pool.read("hash", findings, |item, f| read::choice(item, f, &HASH_NAMES)),
            hash_tag: pool.read("hash_tag", findings, hash_tag),
            shards,
            shards_given,
            timeout: pool.read("timeout", findings, time),
            connect_timeout: pool
                .read("connect_timeout", findings, |item, f| read::duration(item, f, TIMES)),
            idle_timeout: pool.read("idle_timeout", findings, time),
            redis_auth: pool.read("redis_auth", findings, read::text),
            client_password: pool.read("client_password", findings, read::text),
            shard_user: pool.read("shard_user", findings, read::text),
            shard_password: pool.read("shard_password", findings, read::text),
            keyless_scripts: pool.read("keyless_scripts", findings, keyless_scripts),
            databases: pool.read("databases", findings, |item, f| read::whole(item, f, 1..=16384)),
            database: pool.read("database", findings, |item, f| read::whole(item, f, 0..=16383)),
            max_clients: pool
                .read("max_clients", findings, |item, f| read::whole(item, f, 1..=10_000_000)),
            client_output: pool.read("client_output", findings, buffer),
            queue_requests: queue.as_ref().and_then(|queue| {
                queue.read("requests", findings, |item, f| read::whole(item, f, 1..=16_777_216))
            }),
            queue_bytes: queue.as_ref().and_then(|queue| queue.read("bytes", findings, buffer)),
            large_request: pool
                .read("large_request", findings, |item, f| read::size(item, f, LARGE_REQUESTS)),
            transactions: pool
                .read("transactions", findings, |item, f| read::choice(item, f, &TRANSACTIONS)),
            preconnect: pool.read("preconnect", findings, read::flag),
            bindings: plugin_file::bindings(&pool, findings),
        })
    }
}

fn workers(item: &Item<'_>, findings: &mut Findings) -> Option<Workers> {
    let count = |text: &str| match text {
        "auto" => Some(Workers::Auto),
        _ => {
            let count = text.parse::<u16>().ok()?;
            (1..=limits::WORKERS_MAX).contains(&count).then_some(Workers::Count(count))
        }
    };
    let allowed = format!("auto or a whole number from 1 to {}", limits::WORKERS_MAX);
    read::parsed(item, findings, count, &allowed)
}

fn keyless_scripts(item: &Item<'_>, findings: &mut Findings) -> Option<KeylessScripts> {
    let parse = |text: &str| match text {
        "first_arg" => Some(KeylessScripts::FirstArg),
        "first_shard" => Some(KeylessScripts::FirstShard),
        "refuse" => Some(KeylessScripts::Refuse),
        _ => None,
    };
    read::parsed(item, findings, parse, "first_arg, first_shard or refuse")
}

fn distribution(item: &Item<'_>, findings: &mut Findings) -> Option<Distribution> {
    if item.scalar().as_deref() == Some("slots") {
        let problem = "found \"slots\", allowed: ring, ketama, modula, random (slots needs Redis Cluster \
                       backends, which this version does not support: list plain servers as shards)";
        findings.fault(&item.place, problem);
        return None;
    }
    read::choice(item, findings, &DISTRIBUTIONS)
}

/// Two bytes, or the empty text for none.
fn hash_tag(item: &Item<'_>, findings: &mut Findings) -> Option<Option<[u8; 2]>> {
    let parse = |text: &str| {
        if text.is_empty() {
            return Some(None);
        }
        <[u8; 2]>::try_from(text.as_bytes()).ok().map(Some)
    };
    let allowed = "two characters in quotes such as \"{}\", or \"\" for none";
    read::parsed(item, findings, parse, allowed)
}

/// The shards that could be read, and how many are given.
fn shards(pool: &Section<'_>, findings: &mut Findings) -> (Setting<Vec<ShardFile>>, usize) {
    let Some(item) = pool.get("shards") else {
        return (None, 0);
    };
    let Some(elements) = item.elements(findings) else {
        return (None, 1);
    };
    let read = elements.iter().filter_map(|element| ShardFile::read(element, findings));
    let found = Found { value: read.collect(), place: item.place.clone() };
    (Some(found), elements.len())
}

impl ShardFile {
    fn read(item: &Item<'_>, findings: &mut Findings) -> Option<Self> {
        if item.scalar().is_some() {
            return Self::new(item.place.clone(), item, findings);
        }
        let shard = Section::open(item, &SHARD_KEYS, findings)?;
        let name = shard.read("name", findings, |item, f| {
            let allowed = "a name without white space, up to 255 bytes";
            read::parsed(item, f, shard_name, allowed)
        });
        let weight =
            shard.read("weight", findings, |item, f| read::whole(item, f, 1..=2_147_483_647));
        let Some(address) = shard.get("address") else {
            let problem = format!("address is missing, allowed: {SHARD_ADDRESS}");
            findings.fault(&shard.place, problem);
            return None;
        };
        Some(Self { name, weight, ..Self::new(shard.place.clone(), address, findings)? })
    }

    /// A shard of which only the address is known.
    fn new(place: Place, address: &Item<'_>, findings: &mut Findings) -> Option<Self> {
        let parsed = read::parsed(address, findings, address::address, SHARD_ADDRESS)?;
        Some(Self { place, name: None, address: parsed, written: address.scalar()?, weight: None })
    }
}

fn shard_name(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= limits::NAME_BYTES_MAX && address::is_plain(text);
    fits.then(|| text.to_owned())
}

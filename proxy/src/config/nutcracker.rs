//! twemproxy's `nutcracker.yml`, read as it is.
//!
//! In: the tree. Out: a `Config` under twemproxy's rules and defaults (hash fnv1a_64, distribution ketama, no hash
//! tag, no time-out), so that every key lands on the server that holds it today. twemproxy takes every scalar as it is
//! written, hence so does this. What twemproxy refuses is refused; what its users stumble over is a warning.
//!
//! Only Redis pools: `redis: false`, twemproxy's default, means memcached.

use std::time::Duration;

use super::address;
use super::fault::{Findings, Place};
use super::read::{self, Found, Item, Section, Setting};
use super::rules::{self, PoolPlaces};
use super::tree::{Node, Value};
use super::{Address, Config, Distribution, Listen, PoolConfig, Secret, ShardConfig};
use crate::hashing::{HASH_NAMES, HashKind};

/// Every key that twemproxy knows.
const KEYS: [&str; 18] = [
    "listen",
    "hash",
    "hash_tag",
    "distribution",
    "timeout",
    "backlog",
    "client_connections",
    "tcpkeepalive",
    "reuseport",
    "preconnect",
    "redis",
    "redis_auth",
    "redis_db",
    "server_connections",
    "auto_eject_hosts",
    "server_retry_timeout",
    "server_failure_limit",
    "servers",
];

const DISTRIBUTIONS: [(&str, Distribution); 3] = [
    ("ketama", Distribution::Ketama),
    ("modula", Distribution::Modula),
    ("random", Distribution::Random),
];

const SERVER: &str = "host:port:weight [name] or /path/to/socket:weight [name]";

/// Connections waiting for `accept` where the file says nothing.
const BACKLOG_DEFAULT: u32 = 512;

/// Whether a document is a `nutcracker.yml`: pool names at the top, with servers, or at least an address, inside.
pub(super) fn recognises(root: &Node) -> bool {
    let Value::Map(entries) = &root.value else {
        return false;
    };
    let scalar_or_list = |node: &Node| !matches!(node.value, Value::Map(_));
    let has = |node: &Node, key| node.get(key).is_some_and(scalar_or_list);
    let servers = entries.iter().any(|entry| has(&entry.value, "servers"));
    let addresses = entries.iter().all(|entry| has(&entry.value, "listen"));
    servers || (addresses && !entries.is_empty())
}

/// The meaning of the file; to be used only if `findings` has no fault afterwards.
pub(super) fn config(root: &Item<'_>, findings: &mut Findings) -> Config {
    let mut pools = Vec::new();
    for (name, item) in root.entries(findings).unwrap_or_default() {
        pools.extend(pool(name, &item, findings));
    }
    rules::check_pools(&pools, &root.place, findings);
    Config::with_defaults(pools.into_iter().map(|(pool, _)| pool).collect())
}

/// One pool.
fn pool(name: &str, item: &Item<'_>, findings: &mut Findings) -> Option<(PoolConfig, PoolPlaces)> {
    let section = Section::open(item, &KEYS, findings)?;
    protocol(&section, findings);
    let distribution =
        section.read("distribution", findings, |item, f| read::choice(item, f, &DISTRIBUTIONS));
    let distribution = distribution.map_or(Distribution::Ketama, |found| found.value);
    let listen = section.read("listen", findings, listen);
    if section.get("listen").is_none() {
        let problem = "listen is missing, allowed: host:port or /path/to/socket";
        findings.fault(&section.place, problem);
    }
    let servers = servers(&section, findings);
    let hash = section.read("hash", findings, |item, f| {
        let (names, _) = HASH_NAMES.split_at(HASH_NAMES.len() - 1);
        read::choice(item, f, names)
    });
    let settings = Settings::read(&section, findings);
    warn_traps(&section, &servers, &settings, findings);
    let place = |place: Option<&Place>| place.unwrap_or(&section.place).clone();
    let places = PoolPlaces {
        listen: place(listen.as_ref().map(|found| &found.place)),
        hash: place(hash.as_ref().map(|found| &found.place)),
        shards: place(section.get("servers").map(|item| &item.place)),
        each_shard: servers.iter().map(|server| server.place.clone()).collect(),
    };
    let shards = servers.into_iter().map(|server| server.value);
    let shards = shards.map(Server::shard).collect();
    let mut pool = PoolConfig::with_defaults(name, rules::listen_or_any(listen), shards);
    pool.distribution = distribution;
    pool.hash = hash.map_or(HashKind::Fnv1a64, |found| found.value);
    settings.apply(&mut pool);
    Some((pool, places))
}

/// memcached's protocol is not spoken here.
fn protocol(section: &Section<'_>, findings: &mut Findings) {
    let redis = section.read("redis", findings, truth);
    let given = section.get("redis").is_some();
    if redis.as_ref().is_some_and(|found| !found.value) || !given {
        let place = redis.map_or(section.place.clone(), |found| found.place);
        let problem = "a memcached pool (redis: false, twemproxy's default), allowed: redis: true";
        findings.fault(&place, problem);
    }
}

/// Settings that are plain values.
#[derive(Debug)]
struct Settings {
    timeout: Setting<u32>,
    backlog: Setting<u32>,
    preconnect: Setting<bool>,
    redis_auth: Setting<String>,
    redis_db: Setting<u16>,
    hash_tag: Setting<[u8; 2]>,
    server_connections: Setting<u32>,
    auto_eject_hosts: Setting<bool>,
}

impl Settings {
    fn read(section: &Section<'_>, findings: &mut Findings) -> Self {
        for key in ["client_connections", "server_retry_timeout", "server_failure_limit"] {
            section.read(key, findings, number);
        }
        for key in ["tcpkeepalive", "reuseport"] {
            section.read(key, findings, truth);
        }
        Self {
            timeout: section.read("timeout", findings, number),
            backlog: section.read("backlog", findings, number),
            preconnect: section.read("preconnect", findings, truth),
            redis_auth: section.read("redis_auth", findings, read::text),
            redis_db: section.read("redis_db", findings, |item, f| {
                let parse = |text: &str| {
                    let index = whole(text).filter(|index| *index < 16384);
                    index.and_then(|index| u16::try_from(index).ok())
                };
                read::parsed(item, f, parse, "a whole number from 0 to 16383")
            }),
            hash_tag: section.read("hash_tag", findings, |item, f| {
                let parse = |text: &str| text.as_bytes().try_into().ok();
                read::parsed(item, f, parse, "two characters in quotes such as \"{}\"")
            }),
            server_connections: section.read("server_connections", findings, |item, f| {
                let parse = |text: &str| whole(text).filter(|count| *count > 0);
                read::parsed(item, f, parse, "a whole number from 1")
            }),
            auto_eject_hosts: section.read("auto_eject_hosts", findings, truth),
        }
    }

    /// Sets what the file gives, and twemproxy's defaults for the rest.
    fn apply(self, pool: &mut PoolConfig) {
        let timeout = self.timeout.map(|found| u64::from(found.value));
        pool.timeout = timeout.filter(|time| *time > 0).map(Duration::from_millis);
        // twemproxy's time-out is for the connection too; without one it would wait for the kernel's.
        pool.connect_timeout = pool.timeout.unwrap_or(pool.connect_timeout);
        pool.backlog = self.backlog.map_or(BACKLOG_DEFAULT, |found| found.value);
        pool.preconnect = self.preconnect.is_some_and(|found| found.value);
        pool.database = self.redis_db.map_or(0, |found| found.value);
        pool.databases = pool.databases.max(pool.database.saturating_add(1));
        pool.hash_tag = self.hash_tag.map(|found| found.value);
        let password = self.redis_auth.map(|found| Secret::new(found.value.into_bytes()));
        pool.client_password = password.clone();
        pool.shard_password = password;
    }
}

/// What works in twemproxy otherwise than its users think, and what is otherwise here.
fn warn_traps(
    section: &Section<'_>,
    servers: &[Found<Server>],
    settings: &Settings,
    findings: &mut Findings,
) {
    if let Some(item) = section.get("client_connections") {
        let problem =
            "never had an effect in twemproxy, which overwrites it; max_clients is the limit here";
        findings.warn(&item.place, problem);
    }
    if section.get("timeout").is_none() {
        let problem = "no timeout: as in twemproxy, a request waits for its server for ever";
        findings.warn(&section.place, problem);
    }
    if let Some(count) = &settings.server_connections
        && count.value > 1
    {
        let problem = "has no effect here: in twemproxy more than one connection lets the requests of a \
                       pipeline overtake each other; here a client's requests keep their order";
        findings.warn(&count.place, problem);
    }
    if let Some(eject) = &settings.auto_eject_hosts
        && eject.value
    {
        let problem = "has no effect here: a server that fails keeps its keys and its requests get an error, \
                       since moving keys away and back serves old data";
        findings.warn(&eject.place, problem);
    }
    for key in ["server_retry_timeout", "server_failure_limit", "tcpkeepalive", "reuseport"] {
        if let Some(item) = section.get(key) {
            findings.warn(&item.place, "has no effect here");
        }
    }
    let uneven = |server: &&Found<Server>| {
        let first = servers.first().map(|first| first.value.weight);
        server.value.name.is_some() && Some(server.value.weight) != first
    };
    if let Some(server) = servers.iter().find(uneven) {
        let problem = "a weight together with a name counts: twemproxy's notes say that it is ignored, but its \
                       ring uses it, and so does this one";
        findings.warn(&server.place, problem);
    }
}

/// One line of `servers`.
#[derive(Debug)]
struct Server {
    address: Address,
    /// The address as written, without the weight.
    written: String,
    weight: u32,
    name: Option<String>,
}

impl Server {
    /// Reads from the end, as twemproxy does.
    fn parse(text: &str) -> Option<Self> {
        let (place, name) = match text.rsplit_once(' ') {
            Some((place, name)) => (place, Some(name)),
            None => (text, None),
        };
        let (written, weight) = place.rsplit_once(':')?;
        let named_well = name.is_none_or(|name| !name.is_empty() && address::is_plain(name));
        let colons_well = !(written.starts_with('/') && written.contains(':'));
        if !named_well || !colons_well {
            return None;
        }
        Some(Self {
            address: address::address(written)?,
            written: written.to_owned(),
            weight: whole(weight).filter(|weight| *weight > 0)?,
            name: name.map(str::to_owned),
        })
    }

    fn shard(self) -> ShardConfig {
        let named = self.name.is_some();
        let default_name =
            || address::default_name(&self.written, &self.address, Distribution::Ketama);
        ShardConfig {
            name: self.name.clone().unwrap_or_else(default_name),
            address: self.address,
            weight: self.weight,
            named,
        }
    }
}

/// The servers that could be read.
fn servers(section: &Section<'_>, findings: &mut Findings) -> Vec<Found<Server>> {
    let Some(item) = section.get("servers") else {
        let problem = format!("servers is missing, allowed: a list of {SERVER}");
        findings.fault(&section.place, problem);
        return Vec::new();
    };
    // twemproxy takes a single server without a list, too.
    let elements = match item.node.value {
        Value::Text(_) => vec![item.clone()],
        _ => item.elements(findings).unwrap_or_default(),
    };
    if elements.is_empty() && !matches!(item.node.value, Value::Map(_)) {
        let problem = format!("no servers, allowed: at least one {SERVER}");
        findings.fault(&item.place, problem);
    }
    let mut servers = Vec::new();
    for element in &elements {
        if let Some(value) = read::parsed(element, findings, Server::parse, SERVER) {
            let place = element.place.clone();
            servers.push(Found { value, place });
        }
    }
    servers
}

/// Port 0 is not twemproxy's.
fn listen(item: &Item<'_>, findings: &mut Findings) -> Option<Listen> {
    let parse = |text: &str| {
        address::listen(text).filter(|listen| !matches!(listen, Listen::Tcp { port: 0, .. }))
    };
    let allowed =
        "host:port or /path/to/socket, the latter with permissions such as 0660 if wanted";
    read::parsed(item, findings, parse, allowed)
}

/// twemproxy knows only these two words.
fn truth(item: &Item<'_>, findings: &mut Findings) -> Option<bool> {
    read::choice(item, findings, &[("true", true), ("false", false)])
}

fn number(item: &Item<'_>, findings: &mut Findings) -> Option<u32> {
    read::parsed(item, findings, whole, "a whole number")
}

/// Digits only, within C's `int`.
fn whole(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| *number <= 2_147_483_647);
    number.filter(|_| digits)
}

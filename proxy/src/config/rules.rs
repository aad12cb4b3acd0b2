//! Rules about pools that hold in both formats, our own and `nutcracker.yml`.
//!
//! In: checked pools and the places of their settings. Out: faults (two pools on one address, two shards of one name,
//! a hash that the distribution cannot use, a ring too large) and warnings for what works but surprises.
//!
//! Changes nothing in a pool. Which server gets how many keys is `topology`'s business; `sluicegate check` tells it.

use super::fault::{Findings, Place};
use super::read::Setting;
use super::{Distribution, Listen, PoolConfig};
use crate::hashing::HashKind;
use crate::limits;

/// Where a pool's settings stand; the pool's own place for those that are absent.
#[derive(Debug)]
pub(super) struct PoolPlaces {
    pub(super) listen: Place,
    pub(super) hash: Place,
    pub(super) shards: Place,
    pub(super) each_shard: Vec<Place>,
}

/// The address to listen on; any, where its absence or fault is reported already.
pub(super) fn listen_or_any(listen: Setting<Listen>) -> Listen {
    let any = Listen::Tcp { host: String::new(), port: 0 };
    listen.map_or(any, |found| found.value)
}

/// All rules for all pools; `file` is the place of the file itself.
pub(super) fn check_pools(
    pools: &[(PoolConfig, PoolPlaces)],
    file: &Place,
    findings: &mut Findings,
) {
    if pools.is_empty() && !findings.has_faults() {
        findings.fault(file, "no pools, allowed: at least one under pools");
    }
    if pools.len() > limits::POOLS_MAX {
        let problem = format!("{} pools, allowed: at most {}", pools.len(), limits::POOLS_MAX);
        findings.fault(file, problem);
    }
    for (index, (pool, places)) in pools.iter().enumerate() {
        let earlier = pools.iter().take(index).map(|(pool, _)| pool);
        listen_is_free(pool, earlier, places, findings);
        names_are_unique(pool, places, findings);
        hash_fits(pool, places, findings);
        ring_is_bounded(pool, places, findings);
        warn_unnamed(pool, places, findings);
        warn_open(pool, places, findings);
    }
}

/// Two pools cannot have one address (port 0 is a new one each time).
fn listen_is_free<'p>(
    pool: &PoolConfig,
    mut earlier: impl Iterator<Item = &'p PoolConfig>,
    places: &PoolPlaces,
    findings: &mut Findings,
) {
    let same = |other: &&PoolConfig| match (&pool.listen, &other.listen) {
        (Listen::Tcp { port: 0, .. }, _) => false,
        (Listen::Unix { path, .. }, Listen::Unix { path: other, .. }) => path == other,
        (mine, other) => mine == other,
    };
    if let Some(other) = earlier.find(same) {
        let problem = format!("pool {} listens on this address already", other.name);
        findings.fault(&places.listen, problem);
    }
}

fn names_are_unique(pool: &PoolConfig, places: &PoolPlaces, findings: &mut Findings) {
    let mut seen = std::collections::HashMap::new();
    for (shard, place) in pool.shards.iter().zip(&places.each_shard) {
        let first: &Place = seen.entry(&shard.name).or_insert(place);
        if first != place {
            let problem = format!(
                "shard name {:?} is taken by {}, allowed: names that differ (an unnamed shard is called by its \
                 address)",
                shard.name, first.path
            );
            findings.fault(place, problem);
        }
    }
}

fn hash_fits(pool: &PoolConfig, places: &PoolPlaces, findings: &mut Findings) {
    let name = pool.hash.name();
    match pool.distribution {
        Distribution::Ketama if !pool.hash.is_twemproxy() => {
            let problem = format!(
                "found {name}, allowed with distribution ketama: twemproxy's hashes such as fnv1a_64, since \
                 its ring has 32 bits"
            );
            findings.fault(&places.hash, problem);
        }
        Distribution::Ring if pool.hash != HashKind::Xxh3 => {
            let problem = format!(
                "found {name}, allowed with distribution ring: xxh3_64 (for twemproxy's placement set \
                 distribution: ketama)"
            );
            findings.fault(&places.hash, problem);
        }
        Distribution::Ketama if pool.hash == HashKind::Crc32 && pool.shards.len() > 1 => {
            let problem = "crc32 with ketama puts nearly every key on one shard: its hashes have 15 of the ring's \
                           32 bits (kept as it is, as twemproxy does the same)";
            findings.warn(&places.hash, problem);
        }
        Distribution::Ketama if pool.hash == HashKind::Crc16 && pool.shards.len() > 1 => {
            let problem = "crc16 with ketama spreads keys of one or two bytes badly: their hashes have 16 bits";
            findings.warn(&places.hash, problem);
        }
        Distribution::Ketama | Distribution::Ring | Distribution::Modula | Distribution::Random => {
        }
    }
}

fn ring_is_bounded(pool: &PoolConfig, places: &PoolPlaces, findings: &mut Findings) {
    if pool.shards.len() > limits::SHARDS_MAX {
        let count = pool.shards.len();
        let problem = format!("{count} shards, allowed: at most {}", limits::SHARDS_MAX);
        findings.fault(&places.shards, problem);
    }
    let weight: u64 = pool.shards.iter().map(|shard| u64::from(shard.weight)).sum();
    let most = match pool.distribution {
        Distribution::Ring => (limits::RING_POINTS_MAX / limits::POINTS_PER_WEIGHT) as u64,
        Distribution::Modula => limits::MODULA_SLOTS_MAX,
        Distribution::Ketama => u64::from(u32::MAX),
        Distribution::Random => u64::MAX,
    };
    if weight > most {
        let problem = format!(
            "the weights add up to {weight}, allowed with this distribution: at most {most} (only their ratio \
             counts)"
        );
        findings.fault(&places.shards, problem);
    }
}

/// The name is what placement hashes: without one, moving a server to another address moves keys.
fn warn_unnamed(pool: &PoolConfig, places: &PoolPlaces, findings: &mut Findings) {
    let by_name = matches!(pool.distribution, Distribution::Ketama | Distribution::Ring);
    let unnamed = pool.shards.iter().filter(|shard| !shard.named).count();
    if unnamed == 0 || !by_name || pool.shards.len() == 1 {
        return;
    }
    let problem = format!(
        "{unnamed} of {} shards have no name: placement uses their addresses as written, so a changed address \
         moves keys",
        pool.shards.len()
    );
    findings.warn(&places.shards, problem);
}

/// An address that others can reach, without a password.
fn warn_open(pool: &PoolConfig, places: &PoolPlaces, findings: &mut Findings) {
    let Listen::Tcp { host, .. } = &pool.listen else {
        return;
    };
    let everywhere = host == "0.0.0.0" || host == "::";
    if everywhere && pool.client_password.is_none() {
        let problem = "listens on every network interface without client_password: whoever reaches the port \
                       can read and write all shards";
        findings.warn(&places.listen, problem);
    }
}

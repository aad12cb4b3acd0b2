//! From what is written to what is meant: `ConfigFile` to `Config`.
//!
//! Fills in defaults, resolves names and paths, and reports what is wrong between settings of our own format: a
//! required setting that is absent, a binding to no plugin, a plugin file that is not there. The rules that hold for
//! `nutcracker.yml` too are in `rules`.
//!
//! Whether a file exists is asked through a function, so that this stays pure.

use std::path::Path;

use super::address;
use super::fault::{Findings, Place, nearest};
use super::file::{ConfigFile, PoolFile, ShardFile};
use super::plugin_file::{BindingFile, GrantFile, LimitsFile, PluginFile};
use super::read::Setting;
use super::rules::{self, PoolPlaces};
use super::{
    BindingConfig, Config, Distribution, Grant, GrantList, PluginCache, PluginConfig, PluginLimits,
    PoolConfig, Secret, ShardConfig,
};
use crate::hashing::HashKind;
use crate::limits;

/// What is known of the surroundings of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// The folder of the YAML file.
    pub(super) folder: &'a Path,
    /// Whether a file exists.
    pub(super) exists: fn(&Path) -> bool,
}

/// The meaning of `file`; to be used only if `findings` has no fault afterwards.
pub(super) fn config(
    file: ConfigFile,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> Config {
    let plugins: Vec<PluginConfig> =
        file.plugins.into_iter().map(|plugin| plugin_config(plugin, around, findings)).collect();
    let pools: Vec<(PoolConfig, PoolPlaces)> =
        file.pools.into_iter().map(|pool| pool_config(pool, &plugins, findings)).collect();
    rules::check_pools(&pools, &file.place, findings);
    let mut config = Config::with_defaults(pools.into_iter().map(|(pool, _)| pool).collect());
    config.plugins = plugins;
    if let Some(engine) = file.plugin_engine {
        set(&mut config.plugin_engine.stack_bytes, engine.stack);
        set(&mut config.plugin_engine.table_elements, engine.table_elements);
    }
    set(&mut config.workers, file.workers);
    set(&mut config.drain_timeout, file.drain_timeout);
    set(&mut config.memory_budget_bytes, file.memory_budget);
    if let Some(given) = file.plugin_cache {
        config.plugin_cache = match given.value.as_str() {
            "off" => PluginCache::Off,
            folder => PluginCache::Folder(around.folder.join(folder)),
        };
    }
    config
}

/// Replaces a default by what is given.
fn set<T>(target: &mut T, given: Setting<T>) {
    if let Some(found) = given {
        *target = found.value;
    }
}

fn plugin_config(
    plugin: PluginFile,
    around: Surroundings<'_>,
    findings: &mut Findings,
) -> PluginConfig {
    let optional = plugin.optional.is_some_and(|found| found.value);
    let mut file = around.folder.to_path_buf();
    let mut present = true;
    if let Some(given) = plugin.file {
        file.push(&given.value);
        present = (around.exists)(&file);
        let shown = file.display();
        if !present && optional {
            findings.warn(&given.place, format!("no file {shown}; the plugin is left out"));
        } else if !present {
            let problem = format!("no file {shown}, allowed: a .wasm file, or optional: true");
            findings.fault(&given.place, problem);
        }
    }
    PluginConfig {
        name: plugin.name,
        file,
        present,
        optional,
        sha256: plugin.sha256.map(|found| found.value),
        limits: plugin_limits(plugin.limits, findings),
        grant: plugin.grant.map_or(Grant::AsAsked, |given| grant(given, findings)),
    }
}

fn plugin_limits(given: LimitsFile, findings: &mut Findings) -> PluginLimits {
    let mut all = PluginLimits::default();
    set(&mut all.cpu_per_step, given.cpu_per_step);
    set(&mut all.call_timeout, given.call_timeout);
    set(&mut all.memory_bytes, given.memory);
    set(&mut all.calls_per_cell, given.calls_per_cell);
    set(&mut all.cells, given.cells);
    set(&mut all.operations, given.operations);
    set(&mut all.steps, given.steps);
    set(&mut all.cell_calls, given.cell_calls);
    set(&mut all.cell_idle, given.cell_idle);
    set(&mut all.swap_grace, given.swap_grace);
    set(&mut all.quarantine, given.quarantine);
    set(&mut all.breaker_traps, given.breaker_traps);
    set(&mut all.breaker_within, given.breaker_within);
    set(&mut all.breaker_open, given.breaker_open);
    set(&mut all.breaker_open_max, given.breaker_open_max);
    carried(&mut all.request_bytes, given.request, all.memory_bytes, findings);
    carried(&mut all.reply_bytes, given.reply, all.memory_bytes, findings);
    all
}

/// Bytes of a request or a reply: a guest holds some copies of it in its memory.
fn carried(
    target: &mut usize,
    given: Setting<usize>,
    memory_bytes: usize,
    findings: &mut Findings,
) {
    let most = memory_bytes / limits::PLUGIN_COPIES;
    *target = (*target).min(most);
    if let Some(found) = given {
        if found.value > most {
            let problem = format!(
                "found {} bytes, allowed: at most {most}, a quarter of the plugin's memory",
                found.value
            );
            findings.fault(&found.place, problem);
        }
        *target = found.value;
    }
}

fn grant(given: GrantFile, findings: &mut Findings) -> Grant {
    let mut list = GrantList::default();
    if let Some(commands) = given.commands {
        for command in &commands.value {
            if !address::is_plain(command) {
                let problem = format!("found {command:?}, allowed: names of Redis commands");
                findings.fault(&commands.place, problem);
            }
        }
        let upper = commands.value.iter().map(|name| name.to_ascii_uppercase());
        list.commands = upper.collect();
    }
    list.keys = given.keys.map(|keys| keys.value.into_iter().map(String::into_bytes).collect());
    set(&mut list.wait, given.wait);
    set(&mut list.background, given.background);
    set(&mut list.timers, given.timers);
    set(&mut list.shared_bytes, given.shared_bytes);
    Grant::Listed(list)
}

/// One pool with the places that later checks refer to.
fn pool_config(
    file: PoolFile,
    plugins: &[PluginConfig],
    findings: &mut Findings,
) -> (PoolConfig, PoolPlaces) {
    required(&file, findings);
    passwords_agree(&file, findings);
    let places = PoolPlaces {
        listen: place_of(&file.listen, &file),
        hash: place_of(&file.hash, &file),
        shards: place_of(&file.shards, &file),
        each_shard: shard_places(&file),
    };
    let bindings = bindings(file.bindings, plugins, findings);
    let distribution = match (&file.distribution, file.distribution_given) {
        (Some(found), _) => found.value,
        (None, false) => Distribution::Ring,
        // Reported already; `random` has no rules that would add a second fault for the same mistake.
        (None, true) => Distribution::Random,
    };
    let shards = file.shards.map_or(Vec::new(), |found| found.value);
    let shards = shards.into_iter().map(|shard| shard_config(shard, distribution)).collect();
    let mut pool = PoolConfig::with_defaults(&file.name, rules::listen_or_any(file.listen), shards);
    pool.distribution = distribution;
    pool.hash = match distribution {
        Distribution::Ketama | Distribution::Modula => HashKind::Fnv1a64,
        Distribution::Ring | Distribution::Random => HashKind::Xxh3,
    };
    if distribution == Distribution::Random && file.hash.is_some() {
        findings.warn(&places.hash, "has no effect: distribution random hashes nothing");
    }
    pool.bindings = bindings;
    set(&mut pool.hash, file.hash);
    set(&mut pool.hash_tag, file.hash_tag);
    set(&mut pool.backlog, file.backlog);
    set(&mut pool.timeout, file.timeout);
    set(&mut pool.connect_timeout, file.connect_timeout);
    set(&mut pool.idle_timeout, file.idle_timeout);
    set(&mut pool.keyless_scripts, file.keyless_scripts);
    set(&mut pool.databases, file.databases);
    if let Some(first) = file.database {
        if first.value >= pool.databases {
            let problem = format!(
                "database: found {}, allowed: below `databases`, which is {}",
                first.value, pool.databases
            );
            findings.fault(&first.place, problem);
        }
        pool.database = first.value;
    }
    set(&mut pool.max_clients, file.max_clients);
    set(&mut pool.client_output_bytes, file.client_output);
    set(&mut pool.shard_queue.requests, file.queue_requests);
    set(&mut pool.shard_queue.bytes, file.queue_bytes);
    set(&mut pool.large_request_bytes, file.large_request);
    set(&mut pool.transactions, file.transactions);
    set(&mut pool.preconnect, file.preconnect);
    let secret = |given: &Setting<String>| {
        let given = given.as_ref()?;
        Some(Secret::new(given.value.clone().into_bytes()))
    };
    let both = secret(&file.redis_auth);
    pool.client_password = both.clone().or_else(|| secret(&file.client_password));
    pool.shard_password = both.or_else(|| secret(&file.shard_password));
    pool.shard_user = file.shard_user.map(|found| found.value);
    (pool, places)
}

/// The place of a setting, or its pool's.
fn place_of<T>(setting: &Setting<T>, file: &PoolFile) -> Place {
    let place = setting.as_ref().map(|found| &found.place);
    place.unwrap_or(&file.place).clone()
}

fn shard_places(file: &PoolFile) -> Vec<Place> {
    let shards = file.shards.as_ref().map(|found| found.value.iter());
    let shards = shards.into_iter().flatten();
    shards.map(|shard| shard.place.clone()).collect()
}

/// Settings without a default.
fn required(file: &PoolFile, findings: &mut Findings) {
    if !file.listen_given {
        let problem = "listen is missing, allowed: host:port or /path/to/socket";
        findings.fault(&file.place, problem);
    }
    if file.shards_given == 0 {
        let problem = "no shards, allowed: at least one under shards";
        findings.fault(&place_of(&file.shards, file), problem);
    }
}

/// `redis_auth` is both directions at once.
fn passwords_agree(file: &PoolFile, findings: &mut Findings) {
    let others = [
        ("client_password", &file.client_password),
        ("shard_user", &file.shard_user),
        ("shard_password", &file.shard_password),
    ];
    for (key, setting) in others {
        if let (Some(found), Some(_)) = (setting, &file.redis_auth) {
            let problem = format!(
                "{key} together with redis_auth, allowed: redis_auth alone (one password for clients and \
                 shards) or the others without it"
            );
            findings.fault(&found.place, problem);
        }
    }
    if let (Some(user), None, None) = (&file.shard_user, &file.shard_password, &file.redis_auth) {
        let problem = "a user without shard_password, allowed: both or neither";
        findings.fault(&user.place, problem);
    }
}

fn shard_config(shard: ShardFile, distribution: Distribution) -> ShardConfig {
    let named = shard.name.is_some();
    let default_name = || address::default_name(&shard.written, &shard.address, distribution);
    ShardConfig {
        name: shard.name.map_or_else(default_name, |found| found.value),
        address: shard.address,
        weight: shard.weight.map_or(1, |found| found.value),
        named,
    }
}

fn bindings(
    files: Vec<BindingFile>,
    plugins: &[PluginConfig],
    findings: &mut Findings,
) -> Vec<BindingConfig> {
    let mut bindings = Vec::new();
    for file in files {
        if !file.plugin_given {
            findings.fault(&file.place, "use is missing, allowed: the name of a plugin");
        }
        let none = file.keys.as_ref().is_some_and(|found| found.value.is_empty());
        if none || !file.keys_given {
            let problem = "no keys, allowed: a list of key patterns such as [\"cache:*\"]";
            findings.fault(&file.place, problem);
        }
        let keys = file.keys.map_or(Vec::new(), |found| found.value);
        let may_touch = file.may_touch.map_or(Vec::new(), |found| found.value);
        let Some(plugin) = file.plugin else {
            continue;
        };
        let Some(index) = plugins.iter().position(|known| known.name == plugin.value) else {
            findings.fault(&plugin.place, unknown_plugin(&plugin.value, plugins));
            continue;
        };
        let config = file.config.map(|found| found.value.to_string());
        bindings.push(BindingConfig {
            plugin: index,
            keys: keys.into_iter().map(String::into_bytes).collect(),
            may_touch: may_touch.into_iter().map(String::into_bytes).collect(),
            config_json: config.unwrap_or_else(|| "{}".to_owned()).into_bytes(),
            fail_passes: file.fail_passes.is_some_and(|found| found.value),
        });
    }
    bindings
}

fn unknown_plugin(name: &str, plugins: &[PluginConfig]) -> String {
    let names: Vec<&str> = plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    if let Some(meant) = nearest(name, &names) {
        return format!("no plugin {name:?}; did you mean {meant}?");
    }
    if names.is_empty() {
        return format!("no plugin {name:?}: the file has none under plugins");
    }
    format!("no plugin {name:?}, allowed: {}", names.join(", "))
}

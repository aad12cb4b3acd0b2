//! Plugin files: loaded at start, watched, and swapped while the gateway runs.
//!
//! ```text
//!   file changes ──► read ──► compile, check, init (on this thread) ──┬─► every worker: new calls run it
//!                                                                     └─► refused: the old one stays; log and INFO say why
//! ```
//! One thread, so compiling never stops a worker. A change is seen by the file's inode, times and size, twice the same
//! in a row, so that a file that is still being written is not taken; what counts is its SHA-256. The thread also looks
//! after the engine's ticker.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::command;
use crate::config::{Config, Grant, PluginCache, PluginConfig, PoolConfig};
use crate::core::catalog::{KnownBinding, KnownPlugin};
use crate::core::hook_keys::may_be_hooked;
use crate::core::plugins::PluginBinding;
use crate::core::plugins_command::Reload;
use crate::io::command_facts::{command_facts, simple_command};
use crate::io::worker::Message;
use crate::limits;
use crate::plugin::engine::{Engine, EngineSetup, sha256};
use crate::plugin::fault::LoadError;
use crate::plugin::generation::{BindingSetup, Generation, hex};
use crate::plugin::grants::Grants;
use crate::plugin::host::LogLine;
use crate::plugin::limits::{HealthLimits, PluginLimits};
use crate::plugin::precompiled::CompiledCache;

/// A plugin as its watcher sees it.
pub(super) struct Watched {
    pub(super) config: PluginConfig,
    bindings: Vec<BindingSetup>,
    /// Where each binding stands in the configuration: `pools.main.plugins[0]`.
    places: Vec<String>,
    sha256: [u8; 32],
    /// The last file was not taken.
    refused: bool,
    seen: Option<Stamp>,
    changed: Option<Stamp>,
}

/// What tells that a file is another one, or has other bytes. Its times alone do not: they are those of the kernel's last
/// tick, so a file that is moved into the place of one of the same size, some milliseconds old, may have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    len: u64,
}

/// The plugins of a gateway.
pub struct Plugins {
    engine: Engine,
    pub(super) watched: Vec<Option<Watched>>,
    pub(super) generations: Vec<Option<Arc<Generation>>>,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Plugins").field("loaded", &self.generations).finish()
    }
}

impl Plugins {
    /// Loads every plugin that the configuration names; `None` when it names none. All faults at once.
    pub fn load(config: &Config, workers: u16) -> Result<Option<Self>, Vec<String>> {
        if config.plugins.is_empty() {
            return Ok(None);
        }
        let bindings: usize = config.pools.iter().map(|pool| pool.bindings.len()).sum();
        let cells = config.plugins.iter().map(|plugin| plugin.limits.cells).max().unwrap_or(0);
        let wanted = bindings.max(1) * usize::from(workers) * cells;
        let instances = wanted.min(limits::PLUGIN_INSTANCES_MAX);
        if wanted > instances {
            tracing::info!(
                "plugins share {instances} cells: workers x bindings x limits.cells allow {wanted}"
            );
        }
        let setup = EngineSetup {
            instances_max: u32::try_from(instances + limits::PLUGIN_INSTANCES_SPARE)
                .unwrap_or(u32::MAX),
            stack_bytes: config.plugin_engine.stack_bytes,
            table_elements: config.plugin_engine.table_elements,
            facts: command_facts,
            simple: simple_command,
        };
        let mut engine = Engine::new(setup).map_err(|error| vec![error.to_string()])?;
        if let Some(cache) = compiled_cache(&config.plugin_cache) {
            engine.keep_compiled(cache);
        }
        let mut plugins = Self { engine, watched: Vec::new(), generations: Vec::new() };
        let mut faults = Vec::new();
        for (number, plugin) in config.plugins.iter().enumerate() {
            plugins.load_first(config, number, plugin, &mut faults);
        }
        if faults.is_empty() { Ok(Some(plugins)) } else { Err(faults) }
    }

    fn load_first(
        &mut self,
        config: &Config,
        number: usize,
        plugin: &PluginConfig,
        faults: &mut Vec<String>,
    ) {
        if !plugin.present || (plugin.optional && !plugin.file.exists()) {
            tracing::warn!(plugin = plugin.name, file = %plugin.file.display(), "optional plugin file does not exist; its bindings are skipped");
            self.watched.push(None);
            self.generations.push(None);
            return;
        }
        let mut watched = Watched {
            config: plugin.clone(),
            bindings: bindings_of(config, number),
            places: places_of(config, number),
            sha256: [0; 32],
            refused: false,
            seen: stamp(&plugin.file),
            changed: None,
        };
        match load_file(&self.engine, &watched) {
            Ok(generation) => {
                watched.sha256 = generation.sha256;
                tracing::info!(
                    plugin = plugin.name,
                    sha256 = generation.sha256_hex(),
                    code = generation.code(),
                    "plugin loaded"
                );
                for hook in useless_hooks(&generation) {
                    tracing::warn!(
                        plugin = plugin.name,
                        "hooks {hook}, which no client's command ever is: it cannot be hooked"
                    );
                }
                for refused in &generation.refused {
                    tracing::warn!(
                        plugin = plugin.name,
                        "asks for more than it is granted: {refused}"
                    );
                }
                self.generations.push(Some(generation));
                self.watched.push(Some(watched));
            }
            Err(fault) if plugin.optional => {
                tracing::error!(
                    plugin = plugin.name,
                    fault,
                    "the optional plugin is not taken; its bindings are skipped until the next start"
                );
                self.watched.push(None);
                self.generations.push(None);
            }
            Err(fault) => faults.push(fault),
        }
    }

    /// What the configuration names, with what is loaded now.
    pub fn catalog(&self, config: &Config) -> Vec<KnownPlugin> {
        let known = |(number, plugin): (usize, &PluginConfig)| {
            let places = places_of(config, number).into_iter();
            let bindings = places.zip(bindings_of(config, number));
            KnownPlugin {
                name: plugin.name.clone(),
                file: plugin.file.display().to_string(),
                bindings: bindings
                    .map(|(place, binding)| KnownBinding { place, keys: binding.keys })
                    .collect(),
                generation: self.generations.get(number).cloned().flatten(),
                last_fault: None,
            }
        };
        config.plugins.iter().enumerate().map(known).collect()
    }

    /// The bindings of pool `pool` with the generations that are loaded now.
    pub fn bindings(&self, config: &Config, pool: usize) -> Vec<PluginBinding> {
        let mut counts = vec![0_usize; config.plugins.len()];
        let mut found = Vec::new();
        for (index, pool_config) in config.pools.iter().enumerate() {
            for binding in &pool_config.bindings {
                let Some(number) = counts.get_mut(binding.plugin) else {
                    continue;
                };
                let generation = self.generations.get(binding.plugin).cloned().flatten();
                if let Some(generation) = generation
                    && index == pool
                {
                    found.push(PluginBinding {
                        plugin: binding.plugin,
                        number: *number,
                        keys: binding.keys.clone(),
                        fail_passes: binding.fail_passes,
                        generation,
                    });
                }
                *number += 1;
            }
        }
        found
    }

    /// Looks at the files again and again, and at once when it is ordered to, until `stop` says so.
    pub async fn watch(
        mut self,
        workers: Vec<mpsc::Sender<Message>>,
        mut orders: mpsc::Receiver<Reload>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut interval = tokio::time::interval(limits::PLUGIN_WATCH_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                Some(order) = orders.recv() => {
                    self.reload(order, &workers).await;
                    continue;
                }
                _ = stop.wait_for(|stop| *stop) => return,
            }
            match self.engine.supervise() {
                Ok(false) => {}
                Ok(true) => tracing::error!(
                    "the ticker that ends endless loops had stopped; started it again"
                ),
                Err(error) => {
                    tracing::error!(%error, "the ticker that ends endless loops cannot be started")
                }
            }
            for plugin in 0..self.watched.len() {
                if let Some(news) = self.look(plugin) {
                    tell(&workers, &news).await;
                }
            }
        }
    }

    /// Loads a plugin again if its file has changed and is at rest.
    fn look(&mut self, plugin: usize) -> Option<PluginNews> {
        let watched = self.watched.get_mut(plugin)?.as_mut()?;
        let now = stamp(&watched.config.file);
        if now.is_none() || now == watched.seen {
            return None;
        }
        if watched.changed != now {
            watched.changed = now;
            return None;
        }
        self.read_now(plugin)
    }

    /// Loads a plugin again if its file is another one; what the workers are to know of it.
    pub(super) fn read_now(&mut self, plugin: usize) -> Option<PluginNews> {
        let watched = self.watched.get_mut(plugin)?.as_mut()?;
        (watched.seen, watched.changed) = (stamp(&watched.config.file), None);
        let name = watched.config.name.clone();
        match load_changed(&self.engine, watched) {
            Ok(None) => {
                let mended = std::mem::take(&mut watched.refused);
                mended.then_some(PluginNews::Mended { plugin })
            }
            Ok(Some(generation)) => {
                watched.sha256 = generation.sha256;
                watched.refused = false;
                tracing::info!(
                    plugin = name,
                    generation = generation.number,
                    sha256 = generation.sha256_hex(),
                    "plugin swapped"
                );
                if let Some(present) = self.generations.get_mut(plugin) {
                    *present = Some(Arc::clone(&generation));
                }
                Some(PluginNews::Swapped { plugin, generation })
            }
            Err(fault) => {
                watched.refused = true;
                tracing::error!(
                    plugin = name,
                    fault,
                    "the new plugin file is not taken; the old one stays"
                );
                Some(PluginNews::Refused { plugin, fault })
            }
        }
    }
}

/// What the workers are told of a plugin.
#[derive(Debug, Clone)]
pub enum PluginNews {
    /// New calls run this generation.
    Swapped {
        /// Index of the plugin in the configuration.
        plugin: usize,
        /// What to run.
        generation: Arc<Generation>,
    },
    /// The file that runs is back after others that were not taken.
    Mended {
        /// Index of the plugin in the configuration.
        plugin: usize,
    },
    /// A new file was not taken.
    Refused {
        /// Index of the plugin in the configuration.
        plugin: usize,
        /// Why.
        fault: String,
    },
}

/// Hooks that never run: of commands that are none, or that do not pass through plugins.
fn useless_hooks(generation: &Generation) -> Vec<&str> {
    let hooks = generation.manifest.hooks.iter().map(String::as_str);
    let is_useless = |name: &&str| !command::find(name.as_bytes()).is_some_and(may_be_hooked);
    hooks.filter(is_useless).collect()
}

/// Tells every worker, and waits until each has taken it up; whether they all did in time.
pub(super) async fn tell(workers: &[mpsc::Sender<Message>], news: &PluginNews) -> bool {
    // Nothing is ever sent: it closes when the last worker has let go of its end.
    let (heard, mut all_heard) = mpsc::channel(1);
    for worker in workers {
        let message = Message::Plugin(news.clone(), Heard(heard.clone()));
        let _worker_ended = worker.send(message).await;
    }
    drop(heard);
    let limit = Duration::from_millis(limits::ASK_MS);
    tokio::time::timeout(limit, all_heard.recv()).await.is_ok()
}

/// Dropped by a worker that has taken up some news.
#[derive(Debug)]
pub struct Heard(#[expect(dead_code, reason = "only that it is dropped counts")] mpsc::Sender<()>);

pub(super) fn bindings_of(config: &Config, plugin: usize) -> Vec<BindingSetup> {
    let all = config.pools.iter().flat_map(|pool| &pool.bindings);
    all.filter(|binding| binding.plugin == plugin)
        .map(|binding| BindingSetup {
            keys: [&binding.keys[..], &binding.may_touch].concat(),
            config_json: binding.config_json.clone(),
        })
        .collect()
}

pub(super) fn places_of(config: &Config, plugin: usize) -> Vec<String> {
    let in_pool = |pool: &PoolConfig| {
        let numbered = pool.bindings.iter().enumerate();
        let ours = numbered.filter(|(_, binding)| binding.plugin == plugin);
        ours.map(|(index, _)| format!("pools.{}.plugins[{index}]", pool.name)).collect::<Vec<_>>()
    };
    config.pools.iter().flat_map(in_pool).collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    let facts = std::fs::metadata(file).ok()?;
    Some(Stamp {
        inode: (facts.dev(), facts.ino()),
        modified: (facts.mtime(), facts.mtime_nsec()),
        changed: (facts.ctime(), facts.ctime_nsec()),
        len: facts.len(),
    })
}

/// The generation of the file as it is now.
fn load_file(engine: &Engine, watched: &Watched) -> Result<Arc<Generation>, String> {
    let (wasm, _) = read_file(&watched.config)?;
    load_bytes(engine, watched, &wasm)
}

/// The same; `None` when it is the file that runs already.
fn load_changed(engine: &Engine, watched: &Watched) -> Result<Option<Arc<Generation>>, String> {
    let (wasm, sha256) = read_file(&watched.config)?;
    if sha256 == watched.sha256 {
        return Ok(None);
    }
    load_bytes(engine, watched, &wasm).map(Some)
}

/// A plugin's bytes and their SHA-256. One that is pinned is compared before any of them is looked at or run.
fn read_file(config: &PluginConfig) -> Result<(Vec<u8>, [u8; 32]), String> {
    let (name, path) = (&config.name, config.file.display());
    let wasm = std::fs::read(&config.file)
        .map_err(|error| format!("plugins.{name}.file: cannot read {path}: {error}"))?;
    let found = sha256(&wasm);
    match config.sha256 {
        Some(pinned) if pinned != found => Err(format!(
            "plugins.{name}.sha256: {path} has {}, not the one that is pinned here",
            hex(&found)
        )),
        _ => Ok((wasm, found)),
    }
}

fn load_bytes(engine: &Engine, watched: &Watched, wasm: &[u8]) -> Result<Arc<Generation>, String> {
    let config = &watched.config;
    let limits = plugin_limits(config);
    engine
        .load(&config.name, wasm, &limits, &grants(&config.grant), &watched.bindings)
        .map_err(|error| load_error(config, &watched.places, &error))
}

/// What an operator is told of a file that is not taken.
pub(super) fn load_error(config: &PluginConfig, places: &[String], error: &LoadError) -> String {
    match error {
        LoadError::Config { binding, detail, .. } => {
            let place = places.get(*binding).map_or("", String::as_str);
            format!("{place}.config: {detail}")
        }
        _ => format!("plugins.{}.file: {}: {error}", config.name, config.file.display()),
    }
}

/// Where compiled code is kept. That it cannot be is no reason not to start.
fn compiled_cache(setting: &PluginCache) -> Option<CompiledCache> {
    let folder = match setting {
        PluginCache::Off => return None,
        PluginCache::Folder(folder) => folder.clone(),
        PluginCache::OfUser => {
            let given =
                |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
            let home = || given("HOME").map(|home| home.join(".cache"));
            given("XDG_CACHE_HOME").or_else(home)?.join("sluicegate")
        }
    };
    let cache = CompiledCache::open(&folder);
    if cache.is_none() {
        tracing::warn!(
            folder = %folder.display(),
            "compiled plugins are not kept: the folder cannot be made, or is not this user's alone (0700)"
        );
    }
    cache
}

/// Writes what guests have logged.
pub fn log_lines(lines: &[(String, LogLine)]) {
    for (plugin, LogLine { level, text }) in lines {
        // One line each: a guest writes no others.
        let text = text.replace(['\r', '\n'], " ");
        match level {
            0 => tracing::trace!(plugin, "{text}"),
            1 => tracing::debug!(plugin, "{text}"),
            2 => tracing::info!(plugin, "{text}"),
            3 => tracing::warn!(plugin, "{text}"),
            _ => tracing::error!(plugin, "{text}"),
        }
    }
}

pub(super) fn plugin_limits(config: &PluginConfig) -> PluginLimits {
    let limits = &config.limits;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    PluginLimits {
        step_cpu_us: u64::try_from(limits.cpu_per_step.as_micros()).unwrap_or(u64::MAX),
        call_ms: millis(limits.call_timeout),
        memory_bytes: limits.memory_bytes,
        calls_per_cell: u16::try_from(limits.calls_per_cell).unwrap_or(u16::MAX),
        cells_max: u16::try_from(limits.cells).unwrap_or(u16::MAX),
        ops_per_batch: u16::try_from(limits.operations).unwrap_or(u16::MAX),
        steps_per_call: u32::try_from(limits.steps).unwrap_or(u32::MAX),
        request_bytes: limits.request_bytes,
        reply_bytes: limits.reply_bytes,
        cell_calls: limits.cell_calls as u64,
        cell_idle_ms: millis(limits.cell_idle),
        swap_grace_ms: millis(limits.swap_grace),
        health: HealthLimits {
            quarantine_ms: millis(limits.quarantine),
            breaker_traps: limits.breaker_traps,
            breaker_within_ms: millis(limits.breaker_within),
            breaker_open_ms: millis(limits.breaker_open),
            breaker_open_max_ms: millis(limits.breaker_open_max),
        },
    }
}

pub(super) fn grants(grant: &Grant) -> Grants {
    match grant {
        Grant::AsAsked => Grants::default(),
        Grant::Listed(list) => Grants {
            commands: Some(list.commands.clone()),
            keys: list.keys.clone(),
            wait: Some(list.wait),
            background: Some(list.background),
            timers: Some(list.timers),
            shared_bytes: Some(u32::try_from(list.shared_bytes).unwrap_or(u32::MAX)),
        },
    }
}

//! The plugins of a pool as one worker holds them: which commands they take, and the cells they run in.
//!
//! Made from generations that the server loaded; a swap replaces the generation of every binding of one plugin and
//! makes the table of hooks anew, while calls in flight finish where they began. Nothing here runs a guest: `task`
//! does. What the last load of a plugin said, when it failed, is kept for INFO.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::command;
use crate::core::timer::Timer;
use crate::core::{Core, Pool};
use crate::limits;
use crate::local::OwnCommand;
use crate::plugin::bindings::{BindingSpec, Bindings};
use crate::plugin::cells::{CallId, Cells};
use crate::plugin::fault::{Fault, FaultKind};
use crate::plugin::generation::Generation;
use crate::plugin::grants::Denied;
use crate::plugin::health::Health;
use crate::plugin::host::{Clock, LogLine};
use crate::plugin::manifest::{Manifest, MetricKind};

/// The handler of a call that the present version of its plugin does not have.
pub(crate) const GONE: u16 = u16::MAX;

/// A binding of a pool with the generation that it starts with.
#[derive(Debug, Clone)]
pub struct PluginBinding {
    /// Index of the plugin in the configuration.
    pub plugin: usize,
    /// Number of this binding among all bindings of its plugin.
    pub number: usize,
    /// Patterns of its keys.
    pub keys: Vec<Vec<u8>>,
    /// Whether a hooked command whose call fails goes on as it came, if the call has written nothing.
    pub fail_passes: bool,
    /// What it runs.
    pub generation: Arc<Generation>,
}

/// The plugins of one pool on one worker.
pub struct PoolPlugins {
    /// Which commands are taken.
    pub(crate) bindings: Bindings,
    pub(crate) slots: Vec<Slot>,
}

/// A binding with its cells and what is known of them.
pub(crate) struct Slot {
    pub(crate) binding: PluginBinding,
    pub(crate) cells: Cells,
    last_fault: Option<String>,
    /// Calls that did not end well, by `FaultKind::NAMES`.
    faults: [u64; FaultKind::NAMES.len()],
    /// Operations that were not granted.
    denied: u64,
    /// Hooked commands that went on as they came because their call failed.
    failed_passes: u64,
    /// Calls in flight that other calls have started.
    spawned: usize,
    /// Notes for the log that were held back.
    held_notes: u64,
    /// The second of the last note, on the worker's clock.
    noted_s: Option<u64>,
    /// Notes of crashes in that second.
    crash_notes: usize,
}

impl PoolPlugins {
    /// Plugins for these bindings, in the order in which they are tried; `None` when there is none.
    pub fn new(bindings: Vec<PluginBinding>, seed: u64) -> Option<Self> {
        if bindings.is_empty() {
            return None;
        }
        let slots: Vec<Slot> = (0_u64..)
            .zip(bindings)
            .map(|(number, binding)| Slot {
                cells: Cells::new(
                    Arc::clone(&binding.generation),
                    binding.number,
                    seed.wrapping_add(number),
                ),
                binding,
                last_fault: None,
                faults: [0; FaultKind::NAMES.len()],
                denied: 0,
                failed_passes: 0,
                spawned: 0,
                held_notes: 0,
                noted_s: None,
                crash_notes: 0,
            })
            .collect();
        Some(Self { bindings: table(&slots), slots })
    }

    /// The cells of a binding.
    pub(crate) fn cells(&mut self, binding: u16) -> Option<&mut Cells> {
        self.slots.get_mut(usize::from(binding)).map(|slot| &mut slot.cells)
    }

    /// The version of a plugin's bindings, when `binding` is one of them.
    fn version(&self, plugin: usize, binding: u16) -> Option<&Manifest> {
        let slot = self.slots.get(usize::from(binding))?;
        (slot.binding.plugin == plugin).then_some(&slot.binding.generation.manifest)
    }

    /// New calls of this plugin run `generation` from now on.
    fn swap(&mut self, clock: Clock, plugin: usize, generation: &Arc<Generation>) {
        for slot in self.slots.iter_mut().filter(|slot| slot.binding.plugin == plugin) {
            slot.binding.generation = Arc::clone(generation);
            slot.cells.swap(clock, Arc::clone(generation), slot.binding.number);
            slot.last_fault = None;
        }
        self.bindings = table(&self.slots);
    }

    /// The plugins' own commands, in the order of their names.
    pub(crate) fn own_commands(&self) -> Vec<OwnCommand<'_>> {
        let mut own: Vec<OwnCommand<'_>> = self
            .bindings
            .own_commands()
            .filter_map(|own| {
                let slot =
                    self.slots.get(usize::from(self.bindings.take_own(own, None)?.binding))?;
                Some(OwnCommand {
                    name: own.command.name.to_lowercase(),
                    plugin: &slot.binding.generation.name,
                    arity: own.command.arity,
                    keys: own.command.keys,
                    flags: &own.command.flags,
                })
            })
            .collect();
        own.sort_by(|a, b| a.name.cmp(&b.name));
        own
    }

    /// What INFO shows: one line per binding.
    pub(crate) fn report(&self, pool: &str, now_ms: u64, out: &mut String) {
        for (number, slot) in self.slots.iter().enumerate() {
            let generation = slot.cells.generation();
            let keys: Vec<_> =
                slot.binding.keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
            let _infallible = write!(
                out,
                "plugin_{pool}_{number}:name={},version={},abi={},generation={},sha256={},code={},keys={}",
                generation.name,
                generation.manifest.version,
                generation.abi.version(),
                generation.number,
                generation.sha256_hex(),
                generation.code(),
                keys.join(" "),
            );
            for (name, value) in slot.numbers() {
                let _infallible = write!(out, ",{name}={value}");
            }
            let _infallible = write!(out, ",state={}", state(slot.cells.health(), now_ms));
            if let Some(fault) = &slot.last_fault {
                let _infallible = write!(out, ",last_load_failed={fault}");
            }
            out.push_str("\r\n");
        }
    }
}

impl Slot {
    /// What is counted of it, by the names that INFO uses.
    pub(crate) fn numbers(&self) -> Vec<(String, i64)> {
        let stats = self.cells.stats();
        let counts = [
            ("calls", stats.started),
            ("crashes", stats.crashed),
            ("refused", stats.refused),
            ("denied", self.denied),
            ("passed", self.failed_passes),
            ("live", stats.live),
            ("cells", stats.cells),
            ("memory", stats.memory_bytes),
        ];
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let mut numbers: Vec<(String, i64)> =
            counts.iter().map(|(name, count)| ((*name).to_owned(), number(*count))).collect();
        let faults = FaultKind::NAMES.iter().zip(self.faults).filter(|(_, count)| *count > 0);
        numbers.extend(faults.map(|(name, count)| (format!("fault_{name}"), number(count))));
        let metrics = &self.cells.generation().manifest.metrics;
        for (metric, value) in metrics.iter().zip(self.cells.metrics()) {
            let name = &metric.name;
            match value.kind {
                MetricKind::Counter | MetricKind::Gauge => {
                    numbers.push((format!("metric_{name}"), value.sum));
                }
                MetricKind::Histogram => {
                    numbers.push((format!("metric_{name}_count"), number(value.count)));
                    numbers.push((format!("metric_{name}_sum"), value.sum));
                }
            }
        }
        numbers
    }
}

impl std::fmt::Debug for PoolPlugins {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PoolPlugins").field("slots", &self.slots.len()).finish()
    }
}

/// How calls are taken: all as usual, one per cell after a trap, or none.
pub(crate) fn state(health: &Health, now_ms: u64) -> &'static str {
    if health.is_down(now_ms) {
        "down"
    } else if health.is_quarantined(now_ms) {
        "quarantined"
    } else {
        "up"
    }
}

fn table(slots: &[Slot]) -> Bindings {
    let specs: Vec<BindingSpec<'_>> = slots
        .iter()
        .map(|slot| BindingSpec {
            manifest: &slot.binding.generation.manifest,
            keys: &slot.binding.keys,
        })
        .collect();
    Bindings::new(&specs, |name| command::find(name.as_bytes()).map(|spec| spec.index))
}

/// The cells of a binding of a pool.
pub(crate) fn cells_of(pools: &mut [Pool], pool: u16, binding: u16) -> Option<&mut Cells> {
    pools.get_mut(usize::from(pool))?.plugins.as_mut()?.cells(binding)
}

impl Core {
    /// New calls of a plugin run this generation; those in flight finish in the old one.
    pub fn swap_plugin(&mut self, plugin: usize, generation: &Arc<Generation>) {
        self.catalog_loaded(plugin, Some(generation));
        self.renumber(plugin, &generation.manifest);
        self.end_soon(plugin);
        let clock = self.plugin_clock();
        for pool in &mut self.pools {
            if let Some(plugins) = &mut pool.plugins {
                plugins.swap(clock, plugin, generation);
            }
        }
        self.arm_plugin_timers(Some(plugin));
    }

    /// Calls of a plugin that is being swapped have `swap_grace` to end, if they have not less.
    fn end_soon(&mut self, plugin: usize) {
        for (id, task) in &mut self.tasks {
            let plugins = self.pools.get(usize::from(task.pool)).and_then(|p| p.plugins.as_ref());
            let slot = plugins.and_then(|plugins| plugins.slots.get(usize::from(task.binding)));
            let Some(slot) = slot.filter(|slot| slot.binding.plugin == plugin) else {
                continue;
            };
            let grace_ms = slot.binding.generation.limits.swap_grace_ms;
            let end_ms = self.clock.now_ms.saturating_add(grace_ms);
            if task.call.is_some() && end_ms < task.deadline_ms {
                task.deadline_ms = end_ms;
                self.timers.set(end_ms, Timer::TaskDeadline(id));
            }
        }
    }

    /// Whether a hooked command of this binding goes on as it came when its call fails; counts it.
    pub(crate) fn passes_on_failure(&mut self, pool: u16, binding: u16) -> bool {
        match self.slot(pool, binding) {
            Some(slot) if slot.binding.fail_passes => {
                slot.failed_passes += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Counts an operation that was not granted, and notes it for the log.
    pub(crate) fn denied(&mut self, pool: u16, binding: u16, why: Denied, command: &[u8]) {
        let Some(slot) = self.slot(pool, binding) else {
            return;
        };
        slot.denied += 1;
        let name = &slot.cells.generation().name;
        let command = String::from_utf8_lossy(command.get(..64).unwrap_or(command)).into_owned();
        let what = if command.is_empty() { String::new() } else { format!("{command}: ") };
        let text = format!("plugin {name}: an operation was denied: {what}{}", why.text());
        self.note_plugin(pool, binding, text);
    }

    /// The file of a plugin is again the one that runs.
    pub fn plugin_mended(&mut self, plugin: usize) {
        self.catalog_loaded(plugin, None);
        for pool in &mut self.pools {
            let slots = pool.plugins.iter_mut().flat_map(|plugins| &mut plugins.slots);
            for slot in slots.filter(|slot| slot.binding.plugin == plugin) {
                slot.last_fault = None;
            }
        }
    }

    /// Handlers that are still to be started are those of the same name in the new version. A watch whose task is gone
    /// goes too; a call is told when it would start.
    fn renumber(&mut self, plugin: usize, new: &Manifest) {
        let pools = &self.pools;
        let old = |pool: u16, binding: u16| {
            pools.get(usize::from(pool))?.plugins.as_ref()?.version(plugin, binding)
        };
        for task in self.tasks.values_mut() {
            if let Some(old) = old(task.pool, task.binding) {
                task.head.handler = old.number_in(task.head.handler, new).unwrap_or(GONE);
            }
        }
        for session in self.sessions.values_mut() {
            let pool = session.pool;
            session.watched.retain_mut(|watched| match old(pool, watched.binding) {
                None => true,
                Some(old) => old
                    .number_in(watched.handler, new)
                    .inspect(|number| watched.handler = *number)
                    .is_some(),
            });
        }
    }

    /// The task that a call means by `handler`, as the present version of its plugin numbers it. A call of an older
    /// version counts otherwise.
    pub(crate) fn present_task(
        &mut self,
        (pool, binding): (u16, u16),
        call: Option<CallId>,
        handler: u16,
    ) -> Option<u16> {
        let cells = cells_of(&mut self.pools, pool, binding)?;
        let present = cells.generation();
        let found = match call.and_then(|call| cells.generation_of(call)) {
            Some(own) if !Arc::ptr_eq(own, present) => {
                own.manifest.number_in(handler, &present.manifest)
            }
            _ => Some(handler),
        };
        if found.is_none() {
            let name = &present.name;
            self.notes.push(format!(
                "plugin {name}: a call of the old version names a task that the new one has not"
            ));
        }
        found
    }

    /// Notes why a new file of a plugin was not taken; INFO shows it.
    pub fn plugin_load_failed(&mut self, plugin: usize, fault: &str) {
        self.catalog_refused(plugin, fault);
        for pool in &mut self.pools {
            let slots = pool.plugins.iter_mut().flat_map(|plugins| &mut plugins.slots);
            for slot in slots.filter(|slot| slot.binding.plugin == plugin) {
                slot.last_fault = Some(fault.replace(['\r', '\n'], " "));
            }
        }
    }

    /// Counts a call that another one starts; `false` when there are too many.
    pub(crate) fn spawned_begins(&mut self, pool: u16, binding: u16) -> bool {
        let Some(slot) = self.slot(pool, binding) else {
            return false;
        };
        if slot.spawned >= limits::PLUGIN_SPAWNED_MAX {
            let name = slot.cells.generation().name.clone();
            let text = format!("plugin {name}: too many calls spawned; one is not started");
            self.note_plugin(pool, binding, text);
            return false;
        }
        slot.spawned += 1;
        true
    }

    /// A call that another one had started has ended.
    pub(crate) fn spawned_ended(&mut self, pool: u16, binding: u16) {
        if let Some(slot) = self.slot(pool, binding) {
            slot.spawned = slot.spawned.saturating_sub(1);
        }
    }

    /// Notes a call that did not end well, under the id that its client sees. Crashes are kept apart from what only
    /// says that the plugin is busy or down, so that a panic's message is there to be found.
    pub(crate) fn note_failure(&mut self, pool: u16, binding: u16, fault: &Fault) {
        self.count_fault(pool, binding, fault.kind);
        let text = format!("{}: {}", fault.client_text(), fault.detail);
        let now_s = self.clock.now_ms / 1000;
        match self.slot(pool, binding) {
            Some(slot) if fault.is_crash() => {
                if slot.noted_s != Some(now_s) {
                    (slot.noted_s, slot.crash_notes) = (Some(now_s), 0);
                }
                slot.crash_notes += 1;
                if slot.crash_notes > limits::PLUGIN_CRASH_NOTES_MAX {
                    slot.held_notes += 1;
                    return;
                }
                self.notes.push(text);
            }
            Some(_) | None => self.note_plugin(pool, binding, text),
        }
    }

    /// Counts a call that did not end well.
    pub(crate) fn count_fault(&mut self, pool: u16, binding: u16, kind: FaultKind) {
        self.stats.plugin_faults += 1;
        let count = self.slot(pool, binding).and_then(|slot| slot.faults.get_mut(kind.place()));
        if let Some(count) = count {
            *count += 1;
        }
    }

    /// Notes something of a plugin for the log: one line per binding and second, the others are counted.
    pub(crate) fn note_plugin(&mut self, pool: u16, binding: u16, text: String) {
        let now_s = self.clock.now_ms / 1000;
        match self.slot(pool, binding) {
            Some(slot) if slot.noted_s == Some(now_s) => slot.held_notes += 1,
            Some(slot) => {
                (slot.noted_s, slot.crash_notes) = (Some(now_s), 0);
                self.notes.push(text);
            }
            None => self.notes.push(text),
        }
    }

    /// About once a second: gives cells back that a burst has left, forgets the timers of calls that are over, counts
    /// the notes that were held back, and gives what guests have logged, with their plugins' names.
    pub fn tidy_plugins(&mut self) -> Vec<(String, LogLine)> {
        let tasks = &self.tasks;
        self.timers.sweep(|timer| match timer {
            Timer::TaskDeadline(id) | Timer::TaskOperation(id, _) => !tasks.contains_key(*id),
            Timer::LaneHead(_)
            | Timer::LaneIdle(_)
            | Timer::LanePaused(_)
            | Timer::SubscriberRetry(_)
            | Timer::SessionStalled(..)
            | Timer::GatherPatience(_)
            | Timer::SessionIdle(_)
            | Timer::KeyPoll(_)
            | Timer::Ask(_)
            | Timer::PauseOver(_)
            | Timer::MonitorLost(_)
            | Timer::Plugin(_)
            | Timer::ReadyTasks => false,
        });
        let clock = self.plugin_clock();
        let mut logged = Vec::new();
        let slots = self.pools.iter_mut().filter_map(|pool| pool.plugins.as_mut());
        for slot in slots.flat_map(|plugins| &mut plugins.slots) {
            slot.cells.tidy(clock);
            let name = &slot.cells.generation().name;
            if slot.held_notes > 0 {
                self.notes.push(format!("plugin {name}: {} more like it", slot.held_notes));
                slot.held_notes = 0;
            }
            if slot.cells.has_logs() {
                let name = name.clone();
                logged.extend(slot.cells.take_logs().into_iter().map(|line| (name.clone(), line)));
            }
        }
        logged
    }

    fn slot(&mut self, pool: u16, binding: u16) -> Option<&mut Slot> {
        let plugins = self.pools.get_mut(usize::from(pool))?.plugins.as_mut()?;
        plugins.slots.get_mut(usize::from(binding))
    }

    /// The plugins' part of INFO.
    pub(crate) fn plugin_report(&self) -> String {
        let mut report = String::new();
        for pool in &self.pools {
            if let Some(plugins) = &pool.plugins {
                plugins.report(&pool.config.name, self.clock.now_ms, &mut report);
            }
        }
        report
    }

    /// The time as plugins see it.
    pub(crate) fn plugin_clock(&self) -> Clock {
        Clock { now_ms: self.clock.unix_ms, mono_ms: self.clock.now_ms }
    }
}

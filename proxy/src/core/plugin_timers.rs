//! Timers of plugins: tasks that the gateway calls again and again, as their manifests say.
//!
//! ```text
//!   start, swap ─► arm ─► (every_ms + a random part of jitter_ms) ─► due ─► a call of kind Timer
//!                                   ▲                                 │
//!                                   └─────────────────────────────────┘
//! ```
//! They run on the gateway's first worker only, once for each binding. A timer names the generation that it was armed
//! for, so those of an older one do nothing. A call that is not over when the next is due: that one is left out.

use crate::core::Core;
use crate::core::lane::Owner;
use crate::core::plugins::PoolPlugins;
use crate::core::task::{NewTask, Task};
use crate::core::timer::Timer;
use crate::plugin::bindings::Taken;
use crate::plugin::given::Kind;
use crate::resp::args::Args;

/// The worker that runs the timers.
const TIMER_WORKER: u64 = 0;

/// One timer of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginTimer {
    pool: u16,
    binding: u16,
    /// Place in the manifest's list.
    place: u16,
    /// The generation that it belongs to.
    generation: u64,
    /// When it would be due without its jitter, milliseconds.
    base_ms: u64,
}

impl Core {
    /// Sets the timers of all plugins, or of one that has a new generation. Once, when the clock is known.
    pub fn arm_plugin_timers(&mut self, plugin: Option<usize>) {
        if self.worker != TIMER_WORKER {
            return;
        }
        let mut found = Vec::new();
        for (pool, plugins) in (0..).zip(self.pools.iter().map(|pool| &pool.plugins)) {
            let timers = plugins.iter().flat_map(|plugins| plugins.timers(plugin));
            found.extend(timers.map(|(binding, place, generation)| PluginTimer {
                pool,
                binding,
                place,
                generation,
                base_ms: self.clock.now_ms,
            }));
        }
        found.into_iter().for_each(|timer| self.set_plugin_timer(timer));
    }

    /// Sets the next time of a timer.
    fn set_plugin_timer(&mut self, timer: PluginTimer) {
        let Some(plugins) =
            self.pools.get(usize::from(timer.pool)).and_then(|p| p.plugins.as_ref())
        else {
            return;
        };
        let Some((every_ms, jitter_ms)) = plugins.timer_times(timer) else {
            return;
        };
        let later_ms = self.random() % (jitter_ms + 1);
        // A worker that was held up does not make up for what it has missed.
        let base_ms = (timer.base_ms + every_ms).max(self.clock.now_ms);
        let next = PluginTimer { base_ms, ..timer };
        self.timers.set(base_ms + later_ms, Timer::Plugin(next));
    }

    /// A timer is due.
    pub(crate) fn plugin_timer(&mut self, timer: PluginTimer) {
        let plugins = self.pools.get(usize::from(timer.pool)).and_then(|p| p.plugins.as_ref());
        let Some(handler) = plugins.and_then(|plugins| plugins.timer_task(timer)) else {
            return;
        };
        self.set_plugin_timer(timer);
        let is_the_last = |task: &Task| {
            let Task { pool, binding, head, .. } = task;
            (*pool, *binding, head.kind, head.handler)
                == (timer.pool, timer.binding, Kind::Timer, handler)
        };
        if self.draining || self.tasks.values().any(is_the_last) {
            return;
        }
        let id = self.new_task(NewTask {
            pool: timer.pool,
            taken: Taken { binding: timer.binding, handler },
            kind: Kind::Timer,
            owner: Owner::Nobody,
            session: None,
            caller: None,
            spec: None,
            args: Args::new(&[], &[]),
            key: &[],
            keys: (0, 0, 0),
        });
        self.make_ready(id);
    }
}

impl PoolPlugins {
    /// The granted timers of one plugin or of all: binding, place in the manifest, generation.
    fn timers(&self, plugin: Option<usize>) -> impl Iterator<Item = (u16, u16, u64)> {
        let slots = (0_u16..).zip(self.slots.iter());
        let ours = slots.filter(move |(_, slot)| plugin.is_none_or(|p| slot.binding.plugin == p));
        ours.flat_map(|(binding, slot)| {
            let generation = &slot.binding.generation;
            let granted =
                generation.granted(slot.binding.number).is_some_and(|granted| granted.timers());
            let count = if granted { generation.manifest.timers.len() } else { 0 };
            (0_u16..).take(count).map(move |place| (binding, place, generation.number))
        })
    }

    /// How often a timer is due and by how much later at most, milliseconds; `None` when it is of an old generation.
    fn timer_times(&self, timer: PluginTimer) -> Option<(u64, u64)> {
        let slot = self.slots.get(usize::from(timer.binding))?;
        let generation = &slot.binding.generation;
        let known = generation.manifest.timers.get(usize::from(timer.place))?;
        (generation.number == timer.generation).then_some((known.every_ms, known.jitter_ms))
    }

    /// The handler of a timer.
    fn timer_task(&self, timer: PluginTimer) -> Option<u16> {
        self.timer_times(timer)?;
        let manifest = &self.slots.get(usize::from(timer.binding))?.binding.generation.manifest;
        manifest.task_number(&manifest.timers.get(usize::from(timer.place))?.task)
    }
}

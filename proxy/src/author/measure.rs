//! The measuring core of `plugin bench`, and of the project's own bench: what plugin calls cost, as ratios in one run.
//!
//! In: a loaded plugin and how much effort to spend. Out: the medians of several repetitions, by the CPU time of this
//! thread: nanoseconds per step and against one `getppid`, calls per CPU-second against the same flow in native Rust, and
//! memory per waiting call. Only ratios mean something elsewhere. No socket, no file.
//!
//! ```ignore
//! let loaded = alone::load("probe", &wasm, &measure::limits(), &Grants::default(), &[binding])?;
//! let measured = measure::measure(&loaded.generation, &Effort::default(), Some("PROBE.TWO"))?;
//! let crowd = &measured.flows[0].crowds[1];      // 1,000 in flight
//! assert!(crowd.native / crowd.plugin <= 3.5);
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::crowd::{Subject, calls_per_cpu_second, memory_per_call};
use super::flow::{Flow, Script, flows};
use crate::plugin::cells::Cells;
use crate::plugin::generation::Generation;
use crate::plugin::limits::PluginLimits;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Of each number; the median counts.
    pub repetitions: usize,
    /// Calls of one repetition.
    pub calls: usize,
    /// How many are in flight at once, one measurement each.
    pub in_flight: Vec<usize>,
}

impl Default for Effort {
    fn default() -> Self {
        Self { repetitions: 9, calls: 20_000, in_flight: vec![1, 1_000, 10_000] }
    }
}

impl Effort {
    /// Enough to see that it works.
    pub fn quick() -> Self {
        Self { repetitions: 3, calls: 4_000, ..Self::default() }
    }
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Measured {
    /// One `getppid`, nanoseconds of CPU time.
    pub syscall_ns: f64,
    /// By hook and command of its own.
    pub flows: Vec<FlowCost>,
}

/// What one hook or command costs.
#[derive(Debug, Clone)]
pub struct FlowCost {
    /// The command's name.
    pub name: String,
    /// Entries into the plugin for one call: 1 when it waits for nothing.
    pub steps: usize,
    /// Nanoseconds of CPU time for one of them.
    pub step_ns: f64,
    /// The same in `getppid`s, each measured beside its own.
    pub step_syscalls: f64,
    /// With many calls in flight; empty when it waits for nothing.
    pub crowds: Vec<CrowdCost>,
}

/// Calls in flight.
#[derive(Debug, Clone)]
pub struct CrowdCost {
    /// How many.
    pub in_flight: usize,
    /// Calls of the plugin per CPU-second.
    pub plugin: f64,
    /// Of the same flow in Rust.
    pub native: f64,
    /// `native / plugin`: how many times as much CPU the plugin takes. The median of the ratios of each repetition.
    pub ratio: f64,
    /// Resident bytes per waiting call, of the plugin and of Rust, where the most are in flight; `None` elsewhere, and where
    /// the system does not tell. Of the second flow of one run Rust's is too low: it uses again what the first gave back.
    pub memory: Option<[f64; 2]>,
}

/// The limits under which a plugin is measured: the defaults, with room for 10,000 calls and no hurry.
pub fn limits() -> PluginLimits {
    PluginLimits {
        cells_max: 400,
        call_ms: 600_000,
        step_cpu_us: 1_000_000,
        ..PluginLimits::default()
    }
}

/// CPU time of this thread, nanoseconds.
pub(super) fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Measures a plugin: all its hooks and commands, or the one called `only`.
pub fn measure(
    generation: &Arc<Generation>,
    effort: &Effort,
    only: Option<&str>,
) -> Result<Measured, String> {
    let syscall_ns = median((0..effort.repetitions).map(|_| syscall_ns()).collect());
    let wanted = |flow: &Flow| only.is_none_or(|name| flow.name.eq_ignore_ascii_case(name));
    let flows: Vec<Flow> = flows(generation).into_iter().filter(wanted).collect();
    if flows.is_empty() {
        return Err(match only {
            Some(name) => format!("the plugin has no hook and no command {name}"),
            None => "the plugin has no hook and no command of its own: nothing to measure".into(),
        });
    }
    let mut costs = Vec::new();
    for flow in flows {
        let cost = cost_of(generation, flow, effort);
        costs.push(cost?);
    }
    Ok(Measured { syscall_ns, flows: costs })
}

fn cost_of(generation: &Arc<Generation>, flow: Flow, effort: &Effort) -> Result<FlowCost, String> {
    let name = flow.name.clone();
    let failed = |text: String| format!("{name}: {text}");
    let mut cells = Cells::new(Arc::clone(generation), 0, 7);
    let script = flow.script(&mut cells).map_err(|fault| failed(fault.client_text()))?;
    let steps = script.steps.len() + 1;
    let (mut samples, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..effort.repetitions {
        let one = step_ns(&flow, &script, &mut cells, effort.calls).map_err(failed)?;
        samples.push(one);
        // Beside each other: a machine is not always equally fast.
        ratios.push(one / syscall_ns());
    }
    let (step_ns, step_syscalls) = (median(samples), median(ratios));
    let mut crowds = Vec::new();
    if steps > 1 {
        let (flow, script) = (Rc::new(flow), Rc::new(script));
        let native = Subject::Native(Rc::clone(&flow), script);
        // The most come first: memory that an earlier crowd has given back would hide what these take.
        let mut counts = effort.in_flight.clone();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        for in_flight in counts {
            let cells = Cells::new(Arc::clone(generation), 0, 7);
            let plugin = Subject::Plugin(Rc::new(RefCell::new(cells)), Rc::clone(&flow));
            let most = crowds.is_empty();
            let crowd = crowd_of(&plugin, &native, (in_flight, most), effort).map_err(failed)?;
            crowds.push(crowd);
        }
        crowds.reverse();
    }
    Ok(FlowCost { name, steps, step_ns, step_syscalls, crowds })
}

/// The plugin and Rust by turns, so that a change of the machine's speed meets both.
fn crowd_of(
    plugin: &Subject,
    native: &Subject,
    (in_flight, with_memory): (usize, bool),
    effort: &Effort,
) -> Result<CrowdCost, String> {
    let memory = if with_memory { memory_per_call([plugin, native], in_flight)? } else { None };
    let mut found = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..effort.repetitions {
        let of_plugin = calls_per_cpu_second(plugin, in_flight, effort.calls)?;
        let of_native = calls_per_cpu_second(native, in_flight, effort.calls)?;
        for (samples, one) in found.iter_mut().zip([of_plugin, of_native, of_native / of_plugin]) {
            samples.push(one);
        }
    }
    let [plugin, native, ratio] = found.map(median);
    Ok(CrowdCost { in_flight, plugin, native, ratio, memory })
}

/// CPU time of one step, nanoseconds, calls one after the other.
fn step_ns(flow: &Flow, script: &Script, cells: &mut Cells, calls: usize) -> Result<f64, String> {
    let begin_ns = cpu_ns();
    let steps_before = cells.stats().steps;
    for _ in 0..calls {
        flow.replay(script, cells).map_err(|fault| fault.client_text())?;
    }
    let spent = cpu_ns().saturating_sub(begin_ns);
    let steps = cells.stats().steps.saturating_sub(steps_before).max(1);
    Ok(spent as f64 / steps as f64)
}

/// CPU time of one `getppid`, nanoseconds.
fn syscall_ns() -> f64 {
    const CALLS: u32 = 200_000;
    let begin_ns = cpu_ns();
    for _ in 0..CALLS {
        std::hint::black_box(rustix::process::getppid());
    }
    cpu_ns().saturating_sub(begin_ns) as f64 / f64::from(CALLS)
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

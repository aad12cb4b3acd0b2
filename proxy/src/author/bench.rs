//! `sluicegate plugin bench FILE.wasm`: what a plugin's calls cost, as a table or as JSON.
//!
//! In: a file, and a binding's config. Out: per hook and command nanoseconds per step, the same in `getppid`s, and calls per
//! CPU-second against the same flow in native Rust. `measure` does the measuring.

use std::fmt::Write as _;
use std::path::Path;

use super::check::{config_json, name_of, read};
use super::measure::{Effort, Measured, limits, measure};
use crate::cli::Outcome;
use crate::io::alone;

/// Measures the file.
pub fn bench(
    file: &Path,
    config: Option<&str>,
    only: Option<&str>,
    (json, quick): (bool, bool),
) -> Result<Outcome, String> {
    let wasm = read(file)?;
    let alone = alone::load(&name_of(file), &wasm, &limits(), &config_json(config)?)?;
    let effort = if quick { Effort::quick() } else { Effort::default() };
    let measured = measure(&alone.generation, &effort, only)?;
    let text = if json { as_json(&measured) } else { as_table(&measured, &effort) };
    Ok(Outcome { text, exit_code: 0 })
}

fn as_table(measured: &Measured, effort: &Effort) -> String {
    let mut text = format!(
        "medians of {} repetitions, CPU time; one getppid: {:.0} ns\n",
        effort.repetitions, measured.syscall_ns
    );
    if cfg!(debug_assertions) {
        text.push_str("note: this is a debug build of sluicegate; measure with a release build\n");
    }
    for flow in &measured.flows {
        let _ = writeln!(
            text,
            "\n{}: {} step(s) a call, {:.0} ns a step = {:.2} getppid",
            flow.name, flow.steps, flow.step_ns, flow.step_syscalls
        );
        if flow.crowds.is_empty() {
            continue;
        }
        text.push_str("  in flight   plugin calls/CPU-s   native calls/CPU-s   native/plugin   bytes per call, plugin - native\n");
        for crowd in &flow.crowds {
            let memory = match crowd.memory {
                Some([plugin, native]) => format!("{plugin:.0} - {native:.0}"),
                None => "-".to_owned(),
            };
            let _ = writeln!(
                text,
                "  {:>9}   {:>18.0}   {:>18.0}   {:>13.2}   {memory}",
                crowd.in_flight, crowd.plugin, crowd.native, crowd.ratio
            );
        }
    }
    text
}

fn as_json(measured: &Measured) -> String {
    let flows = measured.flows.iter().map(|flow| {
        let crowds = flow.crowds.iter().map(|crowd| {
            serde_json::json!({
                "in_flight": crowd.in_flight,
                "plugin_calls_per_cpu_second": crowd.plugin,
                "native_calls_per_cpu_second": crowd.native,
                "ratio": crowd.ratio,
                "plugin_bytes_per_call": crowd.memory.map(|memory| memory[0]),
                "native_bytes_per_call": crowd.memory.map(|memory| memory[1]),
            })
        });
        serde_json::json!({
            "name": flow.name,
            "steps": flow.steps,
            "step_ns": flow.step_ns,
            "step_getppid": flow.step_syscalls,
            "crowds": crowds.collect::<Vec<_>>(),
        })
    });
    let all = serde_json::json!({
        "getppid_ns": measured.syscall_ns,
        "debug_build": cfg!(debug_assertions),
        "flows": flows.collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

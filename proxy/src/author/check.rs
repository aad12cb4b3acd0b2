//! `sluicegate plugin check FILE.wasm`: would a gateway take it, and what is it?
//!
//! In: a file, and the config of a binding or a gateway's whole configuration. Out: what the plugin says of itself and
//! `ok`, or one line that says what to do. It is loaded as `run` loads it: imports, exports, ABI, manifest, limits, and
//! `init` with the config. Nothing listens.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cli::Outcome;
use crate::config;
use crate::io::alone::{self, Alone};
use crate::plugin::generation::Generation;
use crate::plugin::limits::PluginLimits;
use crate::plugin::manifest::{Manifest, MetricKind};

/// A plugin above this is worth a word, bytes.
const SIZE_WARNED_BYTES: usize = 64 * 1024;

/// With what it is loaded.
#[derive(Debug)]
pub enum Setting {
    /// The config of one binding, as text or a file; `None`: empty.
    Config(Option<String>),
    /// As the plugin of this name in a gateway's configuration.
    Gateway(PathBuf, String),
}

/// Checks the file.
pub fn check(file: &Path, setting: &Setting) -> Result<Outcome, String> {
    let wasm = read(file)?;
    let started = Instant::now();
    let alone = match setting {
        Setting::Config(text) => {
            let config = config_json(text.as_deref())?;
            alone::load(&name_of(file), &wasm, &PluginLimits::default(), &config)?
        }
        Setting::Gateway(path, name) => load_in(path, name, &wasm)?,
    };
    let load_ms = started.elapsed().as_millis();
    let mut text = describe(&alone.generation);
    let size = wasm.len();
    let _ = writeln!(text, "  size       {:.1} KiB", size as f64 / 1024.0);
    if size > SIZE_WARNED_BYTES {
        text.push_str(
            "  warning    above 64 KiB: is it built with the profile `plugin`, and without formatting of floats?\n",
        );
    }
    let _ = writeln!(text, "  loaded     in {load_ms} ms, compiling included");
    text.push_str("ok\n");
    Ok(Outcome { text, exit_code: 0 })
}

/// The bytes of a plugin file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// What a plugin is called that stands in no configuration: its file's name.
pub(super) fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The JSON of a binding's config, given as JSON, as YAML in one line, or as a file.
pub(super) fn config_json(given: Option<&str>) -> Result<Vec<u8>, String> {
    let Some(given) = given else {
        return Ok(b"{}".to_vec());
    };
    let text = if Path::new(given).is_file() {
        std::fs::read_to_string(given).map_err(|error| format!("cannot read {given}: {error}"))?
    } else {
        given.to_owned()
    };
    let value: serde_json::Value = serde_yaml::from_str(&text)
        .map_err(|error| format!("--config is no file and no JSON or YAML: {error}"))?;
    if !value.is_object() {
        return Err("--config is no file and no map: give {\"name\": value} or a file".to_owned());
    }
    Ok(value.to_string().into_bytes())
}

fn load_in(path: &Path, name: &str, wasm: &[u8]) -> Result<Alone, String> {
    let loaded = config::load(path).map_err(|_| crate::cli::check::check(path).text)?;
    let known = &loaded.config.plugins;
    let number = known.iter().position(|plugin| plugin.name == name).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|plugin| plugin.name.as_str()).collect();
        format!("{} has no plugin '{name}', but: {}", path.display(), names.join(" "))
    })?;
    alone::load_in(&loaded.config, number, wasm)
}

fn describe(generation: &Generation) -> String {
    let Manifest { name, version, hooks, commands, tasks, timers, capabilities, metrics, .. } =
        &generation.manifest;
    let mut text = format!("{name} {version}, ABI {}\n", generation.abi.version());
    let mut line = |what: &str, words: Vec<String>| {
        if !words.is_empty() {
            let _ = writeln!(text, "  {what:<10} {}", words.join(", "));
        }
    };
    line("hooks", hooks.clone());
    let command = |own: &crate::plugin::manifest::OwnCommand| {
        let keys = match own.keys {
            (0, _, _) => "no keys".to_owned(),
            (first, last, step) => format!("keys {first} to {last} step {step}"),
        };
        format!("{} (arity {}, {keys})", own.name, own.arity)
    };
    line("commands", commands.iter().map(command).collect());
    line("tasks", tasks.clone());
    let timer = |timer: &crate::plugin::manifest::TaskTimer| {
        format!("{} every {} ms", timer.task, timer.every_ms)
    };
    line("timers", timers.iter().map(timer).collect());
    let mut asks = capabilities.commands.clone();
    asks.extend(capabilities.wait.then(|| "to wait".to_owned()));
    asks.extend(capabilities.background.then(|| "to work in the background".to_owned()));
    if capabilities.shared_bytes > 0 {
        asks.push(format!("{} bytes of shared memory", capabilities.shared_bytes));
    }
    line("asks for", asks);
    line("refused", generation.refused.clone());
    let metric = |metric: &crate::plugin::manifest::Metric| {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        format!("{} ({kind})", metric.name)
    };
    line("metrics", metrics.iter().map(metric).collect());
    line("config", vec![generation.manifest.config.clone()]);
    text
}

//! The parts of `ConfigFile` about plugins: the top-level `plugins` and the bindings of a pool.
//!
//! In: the tree. Out: what is given, with places, as in `file`. A binding's `config` is free YAML: it is turned into
//! JSON here, as it is handed to the plugin, which alone knows what it means.
//!
//! No default is known here, and no file is looked at.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Findings, Place};
use super::read::{self, Item, Section, Setting};
use super::tree::Value;
use crate::limits;

/// Keys of a plugin.
pub(super) const PLUGIN_KEYS: [&str; 5] = ["file", "optional", "sha256", "limits", "grant"];

/// Keys of a plugin's `limits`.
pub(super) const LIMIT_KEYS: [&str; 17] = [
    "cpu_per_step",
    "call_timeout",
    "memory",
    "calls_per_cell",
    "cells",
    "operations",
    "steps",
    "request",
    "reply",
    "cell_calls",
    "cell_idle",
    "swap_grace",
    "quarantine",
    "breaker_traps",
    "breaker_within",
    "breaker_open",
    "breaker_open_max",
];

/// Keys of the top-level `plugin_engine`.
pub(super) const ENGINE_KEYS: [&str; 2] = ["stack", "table_elements"];

/// Keys of a plugin's `grant`.
pub(super) const GRANT_KEYS: [&str; 6] =
    ["commands", "keys", "wait", "background", "timers", "shared_bytes"];

/// Keys of a binding.
pub(super) const BINDING_KEYS: [&str; 5] = ["use", "keys", "may_touch", "config", "fail"];

const CPU_TIMES: RangeInclusive<Duration> =
    Duration::from_micros(100)..=Duration::from_millis(1000);
const CALL_TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
/// How long something is kept, or somebody waits.
const SPANS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
const STACK: RangeInclusive<usize> = 16 * 1024..=1024 * 1024;
const MEMORY: RangeInclusive<usize> = 64 * 1024..=limits::PLUGIN_MEMORY_BYTES_MAX;
/// Bytes of a request or a reply; a guest's memory holds some copies of it.
const CARRIED: RangeInclusive<usize> =
    1024..=limits::PLUGIN_MEMORY_BYTES_MAX / limits::PLUGIN_COPIES;
const SHARED: RangeInclusive<usize> = 0..=1024 * 1024 * 1024;

/// One entry of the top-level `plugins`.
#[derive(Debug)]
pub(super) struct PluginFile {
    pub(super) name: String,
    pub(super) file: Setting<String>,
    pub(super) optional: Setting<bool>,
    pub(super) sha256: Setting<[u8; 32]>,
    pub(super) limits: LimitsFile,
    pub(super) grant: Option<GrantFile>,
}

/// A plugin's `limits`.
#[derive(Debug, Default)]
pub(super) struct LimitsFile {
    pub(super) cpu_per_step: Setting<Duration>,
    pub(super) call_timeout: Setting<Duration>,
    pub(super) memory: Setting<usize>,
    pub(super) calls_per_cell: Setting<usize>,
    pub(super) cells: Setting<usize>,
    pub(super) operations: Setting<usize>,
    pub(super) steps: Setting<usize>,
    pub(super) request: Setting<usize>,
    pub(super) reply: Setting<usize>,
    pub(super) cell_calls: Setting<usize>,
    pub(super) cell_idle: Setting<Duration>,
    pub(super) swap_grace: Setting<Duration>,
    pub(super) quarantine: Setting<Duration>,
    pub(super) breaker_traps: Setting<usize>,
    pub(super) breaker_within: Setting<Duration>,
    pub(super) breaker_open: Setting<Duration>,
    pub(super) breaker_open_max: Setting<Duration>,
}

/// The top-level `plugin_engine`.
#[derive(Debug, Default)]
pub(super) struct EngineFile {
    pub(super) stack: Setting<usize>,
    pub(super) table_elements: Setting<usize>,
}

impl EngineFile {
    pub(super) fn read(item: &Item<'_>, findings: &mut Findings) -> Option<Self> {
        let section = Section::open(item, &ENGINE_KEYS, findings)?;
        Some(Self {
            stack: section.read("stack", findings, |item, f| read::size(item, f, STACK)),
            table_elements: section
                .read("table_elements", findings, |item, f| read::whole(item, f, 16..=1_000_000)),
        })
    }
}

/// A plugin's `grant`.
#[derive(Debug)]
pub(super) struct GrantFile {
    pub(super) commands: Setting<Vec<String>>,
    pub(super) keys: Setting<Vec<String>>,
    pub(super) wait: Setting<bool>,
    pub(super) background: Setting<bool>,
    pub(super) timers: Setting<bool>,
    pub(super) shared_bytes: Setting<usize>,
}

/// One binding of a pool.
#[derive(Debug)]
pub(super) struct BindingFile {
    pub(super) place: Place,
    pub(super) plugin: Setting<String>,
    pub(super) plugin_given: bool,
    pub(super) keys: Setting<Vec<String>>,
    pub(super) keys_given: bool,
    pub(super) may_touch: Setting<Vec<String>>,
    pub(super) config: Setting<serde_json::Value>,
    /// `pass`, not `error`.
    pub(super) fail_passes: Setting<bool>,
}

impl PluginFile {
    pub(super) fn read(name: &str, item: &Item<'_>, findings: &mut Findings) -> Option<Self> {
        let plugin = Section::open(item, &PLUGIN_KEYS, findings)?;
        if plugin.get("file").is_none() {
            let problem = "file is missing, allowed: the path of a .wasm file";
            findings.fault(&plugin.place, problem);
        }
        let limits = plugin
            .get("limits")
            .and_then(|item| Section::open(item, &LIMIT_KEYS, findings))
            .map(|section| LimitsFile::read(&section, findings));
        let grant = plugin
            .get("grant")
            .and_then(|item| Section::open(item, &GRANT_KEYS, findings))
            .map(|section| GrantFile::read(&section, findings));
        Some(Self {
            name: name.to_owned(),
            file: plugin.read("file", findings, read::text),
            optional: plugin.read("optional", findings, read::flag),
            sha256: plugin.read("sha256", findings, |item, f| {
                read::parsed(item, f, sha256, "64 hexadecimal digits")
            }),
            limits: limits.unwrap_or_default(),
            grant,
        })
    }
}

impl LimitsFile {
    fn read(section: &Section<'_>, findings: &mut Findings) -> Self {
        let mut time =
            |key, range| section.read(key, findings, |item, f| read::duration(item, f, range));
        let cpu_per_step = time("cpu_per_step", CPU_TIMES);
        let call_timeout = time("call_timeout", CALL_TIMES);
        let [cell_idle, swap_grace, quarantine, breaker_within, breaker_open, breaker_open_max] = [
            "cell_idle",
            "swap_grace",
            "quarantine",
            "breaker_within",
            "breaker_open",
            "breaker_open_max",
        ]
        .map(|key| time(key, SPANS));
        let mut size =
            |key, range| section.read(key, findings, |item, f| read::size(item, f, range));
        let memory = size("memory", MEMORY);
        let request = size("request", CARRIED);
        let reply = size("reply", CARRIED);
        let mut whole =
            |key, range| section.read(key, findings, |item, f| read::whole(item, f, range));
        Self {
            cpu_per_step,
            call_timeout,
            memory,
            calls_per_cell: whole("calls_per_cell", 1..=1024),
            cells: whole("cells", 1..=4096),
            // What the SDK puts into one batch.
            operations: whole("operations", limits::PLUGIN_OPERATIONS as u64..=4096),
            steps: whole("steps", 1..=1_000_000),
            request,
            reply,
            cell_calls: whole("cell_calls", 1..=1_000_000_000),
            cell_idle,
            swap_grace,
            quarantine,
            breaker_traps: whole("breaker_traps", 1..=1_000_000),
            breaker_within,
            breaker_open,
            breaker_open_max,
        }
    }
}

impl GrantFile {
    fn read(section: &Section<'_>, findings: &mut Findings) -> Self {
        Self {
            commands: section.read("commands", findings, read::texts),
            keys: section.read("keys", findings, read::texts),
            wait: section.read("wait", findings, read::flag),
            background: section.read("background", findings, read::flag),
            timers: section.read("timers", findings, read::flag),
            shared_bytes: section
                .read("shared_bytes", findings, |item, f| read::size(item, f, SHARED)),
        }
    }
}

/// The bindings of a pool.
pub(super) fn bindings(pool: &Section<'_>, findings: &mut Findings) -> Vec<BindingFile> {
    let elements = pool.get("plugins").and_then(|item| item.elements(findings)).unwrap_or_default();
    elements.iter().filter_map(|element| BindingFile::read(element, findings)).collect()
}

impl BindingFile {
    fn read(item: &Item<'_>, findings: &mut Findings) -> Option<Self> {
        let binding = Section::open(item, &BINDING_KEYS, findings)?;
        Some(Self {
            place: binding.place.clone(),
            plugin_given: binding.get("use").is_some(),
            plugin: binding.read("use", findings, read::text),
            keys_given: binding.get("keys").is_some(),
            keys: binding.read("keys", findings, read::texts),
            may_touch: binding.read("may_touch", findings, read::texts),
            config: binding.read("config", findings, json_map),
            fail_passes: binding.read("fail", findings, |item, f| {
                read::parsed(item, f, fail_mode, "error or pass")
            }),
        })
    }
}

/// A mapping as JSON.
fn json_map(item: &Item<'_>, findings: &mut Findings) -> Option<serde_json::Value> {
    let mut map = serde_json::Map::new();
    for (key, item) in item.entries(findings)? {
        map.insert(key.to_owned(), json(&item, findings)?);
    }
    Some(map.into())
}

/// Any value as JSON.
fn json(item: &Item<'_>, findings: &mut Findings) -> Option<serde_json::Value> {
    let value = match &item.node.value {
        Value::Empty => Some(serde_json::Value::Null),
        Value::Flag(flag) => Some((*flag).into()),
        Value::Text(text) => Some(text.as_str().into()),
        Value::Whole(number) => whole_json(*number),
        Value::Fraction(number) => serde_json::Number::from_f64(*number).map(Into::into),
        Value::List(_) => {
            let elements = item.elements(findings)?;
            let list = elements.iter().map(|element| json(element, findings));
            return list.collect::<Option<Vec<_>>>().map(Into::into);
        }
        Value::Map(_) => return json_map(item, findings),
    };
    if value.is_none() {
        item.refuse(findings, "a number that JSON can hold");
    }
    value
}

fn whole_json(number: i128) -> Option<serde_json::Value> {
    let signed = i64::try_from(number).ok().map(Into::into);
    signed.or_else(|| u64::try_from(number).ok().map(Into::into))
}

fn fail_mode(text: &str) -> Option<bool> {
    match text {
        "error" => Some(false),
        "pass" => Some(true),
        _ => None,
    }
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

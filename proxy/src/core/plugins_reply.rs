//! The replies of SLUICEGATE PLUGIN LIST and INFO: maps in RESP3, flat arrays in RESP2.
//!
//! In: what the configuration names, and numbers that all workers have added up, by `plugin.binding.name`. Out: bytes.
//! Pure; `plugins_command` collects what is written here.

use std::collections::BTreeMap;

use crate::core::catalog::KnownPlugin;
use crate::plugin::generation::Generation;
use crate::resp::write::{self, Protocol};

/// Numbers by name, to be added up over workers.
pub(crate) type Numbers = BTreeMap<String, i64>;

/// States in the order in which one hides another.
const STATES: [&str; 3] = ["down", "quarantined", "up"];

/// The reply to LIST.
pub(crate) fn list(
    catalog: &[KnownPlugin],
    numbers: &Numbers,
    protocol: Protocol,
    out: &mut Vec<u8>,
) {
    write::array_header(out, catalog.len());
    for (number, known) in catalog.iter().enumerate() {
        let mut pairs = Pairs::new(protocol);
        pairs.about(known, worst_state(known, number, numbers));
        pairs.texts("bindings", known.bindings.iter().map(|binding| binding.place.as_bytes()));
        pairs.write(out);
    }
}

/// The reply to INFO.
pub(crate) fn write_info(
    known: &KnownPlugin,
    number: usize,
    numbers: &Numbers,
    protocol: Protocol,
    out: &mut Vec<u8>,
) {
    let mut pairs = Pairs::new(protocol);
    pairs.about(known, worst_state(known, number, numbers));
    pairs.text("last_load_failed", known.last_fault.as_deref().unwrap_or_default());
    if let Some(generation) = known.generation.as_deref() {
        let manifest = &generation.manifest;
        pairs.text("code", generation.code());
        pairs.texts("hooks", manifest.hooks.iter().map(String::as_bytes));
        pairs.texts("commands", manifest.commands.iter().map(|own| own.name.as_bytes()));
        pairs.texts("tasks", manifest.tasks.iter().map(String::as_bytes));
        pairs.numbers("limits", generation.limits.named());
        pairs.map("asks", asks(generation, protocol));
        pairs.texts("refused_grants", generation.refused.iter().map(String::as_bytes));
    }
    let mut sums = Numbers::new();
    for (name, value) in of(numbers, &format!("{number}.")) {
        if let Some((_, name)) = name.split_once('.').filter(|(_, name)| !STATES.contains(name)) {
            *sums.entry(name.to_owned()).or_default() += value;
        }
    }
    let is_metric = |name: &str| name.starts_with(METRIC);
    let (metrics, counts): (Vec<_>, Vec<_>) =
        sums.into_iter().partition(|(name, _)| is_metric(name));
    pairs.numbers("counts", counts);
    let named = |(name, value): (String, i64)| {
        (name.strip_prefix(METRIC).unwrap_or(&name).to_owned(), value)
    };
    pairs.numbers("metrics", metrics.into_iter().map(named).collect());
    pairs.name("bindings");
    write::array_header(&mut pairs.bytes, known.bindings.len());
    for (place, binding) in known.bindings.iter().enumerate() {
        let mut inner = Pairs::new(protocol);
        inner.text("place", &binding.place);
        inner.texts("keys", binding.keys.iter().map(Vec::as_slice));
        let own: Numbers = of(numbers, &format!("{number}.{place}."))
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        inner.text("state", state_of(&own).unwrap_or("absent"));
        let counts = own.into_iter().filter(|(name, _)| !STATES.contains(&name.as_str()));
        inner.numbers("counts", counts.filter(|(name, _)| !is_metric(name)).collect());
        inner.write(&mut pairs.bytes);
    }
    pairs.write(out);
}

/// What the manifest asks to be allowed.
fn asks(generation: &Generation, protocol: Protocol) -> Pairs {
    let asked = &generation.manifest.capabilities;
    let mut pairs = Pairs::new(protocol);
    pairs.texts("commands", asked.commands.iter().map(String::as_bytes));
    let timers = i64::try_from(generation.manifest.timers.len()).unwrap_or(i64::MAX);
    for (name, value) in [
        ("wait", i64::from(asked.wait)),
        ("background", i64::from(asked.background)),
        ("timers", timers),
        ("shared_bytes", i64::from(asked.shared_bytes)),
    ] {
        pairs.number(name, value);
    }
    pairs
}

/// How the names of a plugin's own metrics begin.
const METRIC: &str = "metric_";

/// Those numbers whose names begin so, without that beginning.
fn of<'a>(numbers: &'a Numbers, prefix: &str) -> impl Iterator<Item = (&'a str, i64)> {
    let found = numbers.range(prefix.to_owned()..);
    let prefix = prefix.to_owned();
    found.map_while(move |(name, value)| Some((name.strip_prefix(prefix.as_str())?, *value)))
}

fn state_of(numbers: &Numbers) -> Option<&'static str> {
    STATES.into_iter().find(|state| numbers.get(*state).is_some_and(|count| *count > 0))
}

/// The worst state over all bindings and workers.
fn worst_state(known: &KnownPlugin, number: usize, numbers: &Numbers) -> &'static str {
    if known.generation.is_none() {
        return "absent";
    }
    let mut states = Numbers::new();
    for (name, value) in of(numbers, &format!("{number}.")) {
        if let Some((_, name)) = name.split_once('.') {
            *states.entry(name.to_owned()).or_default() += value;
        }
    }
    state_of(&states).unwrap_or("unbound")
}

/// A map that is being written: in RESP2 a flat array.
struct Pairs {
    protocol: Protocol,
    count: usize,
    bytes: Vec<u8>,
}

impl Pairs {
    fn new(protocol: Protocol) -> Self {
        Self { protocol, count: 0, bytes: Vec::new() }
    }

    fn write(self, out: &mut Vec<u8>) {
        write::map_header(out, self.protocol, self.count);
        out.extend_from_slice(&self.bytes);
    }

    fn name(&mut self, name: &str) {
        self.count += 1;
        write::bulk(&mut self.bytes, name.as_bytes());
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        write::bulk(&mut self.bytes, text.as_bytes());
    }

    fn number(&mut self, name: &str, value: i64) {
        self.name(name);
        write::integer(&mut self.bytes, value);
    }

    fn texts<'a>(&mut self, name: &str, texts: impl Iterator<Item = &'a [u8]>) {
        self.name(name);
        let texts: Vec<&[u8]> = texts.collect();
        write::array_header(&mut self.bytes, texts.len());
        texts.into_iter().for_each(|text| write::bulk(&mut self.bytes, text));
    }

    fn map(&mut self, name: &str, inner: Pairs) {
        self.name(name);
        inner.write(&mut self.bytes);
    }

    fn numbers<N: AsRef<str>>(&mut self, name: &str, numbers: Vec<(N, i64)>) {
        let mut inner = Pairs::new(self.protocol);
        numbers.iter().for_each(|(name, value)| inner.number(name.as_ref(), *value));
        self.map(name, inner);
    }

    /// What LIST and INFO begin with.
    fn about(&mut self, known: &KnownPlugin, state: &str) {
        let generation = known.generation.as_deref();
        self.text("name", &known.name);
        self.text("version", generation.map_or("", |it| it.manifest.version.as_str()));
        self.text("abi", generation.map_or("", |it| it.abi.version()));
        let number = generation.map_or(0, |it| i64::try_from(it.number).unwrap_or(i64::MAX));
        self.number("generation", number);
        self.text("sha256", &generation.map_or(String::new(), Generation::sha256_hex));
        self.text("file", &known.file);
        self.text("state", state);
    }
}

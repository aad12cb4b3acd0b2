//! Plugins for scenarios: their built files, files that can be replaced under a running gateway, and what INFO says.
//!
//! Comes in: the name of a plugin that `scripts/build-plugins` has built. Goes out: its path, copies of it in a folder
//! that ends with its owner, YAML that binds it, and the rows of INFO PLUGINS as values.
//! A plugin that is not built fails the test with what to run. A replaced file is moved into its place whole, so no
//! reader ever sees half of it. Nothing here knows what a plugin does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::Client;
use crate::gateway::yaml_over;
use crate::real_server::RealServer;
use crate::tools::repository;
use crate::value::Value;
use crate::wait::eventually_seen;

/// Limits that no busy machine breaks: what a test wants to see must not depend on how fast it runs.
pub const PATIENT: &str = "{cpu_per_step: 50ms, call_timeout: 60s, cells: 64}";

/// Where `scripts/build-plugins` puts its files.
pub fn plugin_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), |given| repository().join(given));
    target.join("plugins")
}

/// The built file of a plugin: `cache`, `pass`, `misbehaving/misbehaving`.
pub fn built(name: &str) -> PathBuf {
    let path = plugin_folder().join(format!("{name}.wasm"));
    assert!(path.is_file(), "there is no {}: run scripts/build-plugins", path.display());
    path
}

/// A plugin file of its own that a test may replace.
#[derive(Debug)]
pub struct PluginFile {
    folder: PathBuf,
    path: PathBuf,
}

impl PluginFile {
    /// A copy of a built plugin.
    pub fn copy_of(name: &str) -> PluginFile {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("sluicegate-plugin-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for a plugin");
        let file = PluginFile { path: folder.join("plugin.wasm"), folder };
        file.replace(&std::fs::read(built(name)).expect("read a plugin"));
        file
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts other bytes in its place, in one step.
    pub fn replace(&self, bytes: &[u8]) {
        let new = self.folder.join("new");
        std::fs::write(&new, bytes).expect("write a plugin");
        std::fs::rename(&new, &self.path).expect("put a plugin in its place");
    }
}

impl Drop for PluginFile {
    fn drop(&mut self) {
        // A folder that is left behind in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The same module with a custom section more: another SHA-256, the same behaviour.
pub fn variant(wasm: &[u8], mark: &str) -> Vec<u8> {
    let name = b"sluicegate-test";
    let len = u8::try_from(1 + name.len() + mark.len()).expect("a short mark");
    assert!(len < 128, "one byte holds the section's length");
    let name_len = u8::try_from(name.len()).expect("a short name");
    let section = [&[0, len, name_len][..], name, mark.as_bytes()].concat();
    [wasm, &section].concat()
}

/// The guest `misbehaving` without its hook, so that its handlers are numbered otherwise.
pub fn renumbered(wasm: &[u8]) -> Vec<u8> {
    with_words(wasm, r#""hooks":["GET"]"#, r#""hooks":[     ]"#)
}

/// The same module with other words of the same length in the place of some of its own.
pub fn with_words(wasm: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "{old} and {new}");
    let mut bytes = wasm.to_vec();
    let is_there = |at: &usize| wasm[*at..].starts_with(old.as_bytes());
    let places: Vec<usize> = (0..bytes.len()).filter(is_there).collect();
    assert!(!places.is_empty(), "the guest has no {old}");
    for at in places {
        bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    }
    bytes
}

/// A plugin's entry in the configuration.
#[derive(Debug)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub file: &'a Path,
    /// Further settings in YAML's flow form, such as `grant: {wait: false}`. Without `limits`, they are `PATIENT`.
    pub settings: &'a [&'a str],
}

/// YAML of one pool over `servers` with `plugins` and their `bindings`, each as `{use: cache, keys: ["cache:*"]}`.
pub fn yaml_with(servers: &[RealServer], plugins: &[Entry<'_>], bindings: &[&str]) -> String {
    let mut lines = vec!["plugins:".to_owned()];
    lines.extend(bindings.iter().map(|binding| format!("  - {binding}")));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    plugins_yaml(plugins) + &yaml_over(servers, &lines)
}

/// The part of the YAML that names the plugins.
pub fn plugins_yaml(plugins: &[Entry<'_>]) -> String {
    // Compiled once for all tests of this checkout.
    let cache = plugin_folder().join("compiled");
    let mut text = format!("plugin_cache: {}\nplugins:\n", cache.display());
    for Entry { name, file, settings } in plugins {
        let mut settings = settings.to_vec();
        let limits = format!("limits: {PATIENT}");
        if !settings.iter().any(|line| line.starts_with("limits:")) {
            settings.push(&limits);
        }
        let file = file.display();
        let settings = settings.join(", ");
        writeln!(text, "  {name}: {{file: \"{file}\", {settings}}}").expect("write to a string");
    }
    text
}

/// One connection to each of the gateway's workers, in their order; clients that came too many are let go.
pub fn client_of_each_worker(address: SocketAddr, workers: usize) -> Vec<Client> {
    let mut of_worker: Vec<Option<Client>> = (0..workers).map(|_| None).collect();
    // A new client goes to the worker with the fewest, so those in excess stay until every worker has had one.
    let mut in_excess = Vec::new();
    while of_worker.iter().any(Option::is_none) {
        assert!(in_excess.len() < 2_000, "some worker gets no client");
        let mut client = Client::connect(address);
        let worker = worker_of(&mut client);
        match of_worker.get_mut(worker) {
            Some(place @ None) => *place = Some(client),
            Some(Some(_)) => in_excess.push(client),
            None => panic!("a client of worker {worker}, but there are {workers}"),
        }
    }
    of_worker.into_iter().flatten().collect()
}

/// The number of the worker that serves a client: it stands in the low bits of CLIENT ID.
pub fn worker_of(client: &mut Client) -> usize {
    match client.line("CLIENT ID") {
        Value::Integer(id) => usize::try_from(id & 0xff).expect("a small number"),
        other => panic!("CLIENT ID: {other:?}"),
    }
}

/// What INFO says of one binding.
#[derive(Debug, Clone)]
pub struct BindingRow {
    pub fields: BTreeMap<String, String>,
    /// Why the last new file was not taken.
    pub last_load_failed: Option<String>,
}

impl BindingRow {
    /// A field that is a number.
    pub fn number(&self, name: &str) -> u64 {
        let text = &self.fields[name];
        text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}"))
    }
}

/// The bindings of pool `main` as this client's worker has them.
pub fn binding_rows(client: &mut Client) -> Vec<BindingRow> {
    let info = client.line("INFO plugins").text();
    let rows = info.lines().filter_map(|line| line.strip_prefix("plugin_main_"));
    rows.map(|row| {
        let (_, row) = row.split_once(':').expect("a row has a name");
        let (facts, fault) = match row.split_once(",last_load_failed=") {
            Some((facts, fault)) => (facts, Some(fault.to_owned())),
            None => (row, None),
        };
        let fields = facts.split(',').filter_map(|fact| fact.split_once('='));
        BindingRow {
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            last_load_failed: fault,
        }
    })
    .collect()
}

/// Waits until binding `binding` on every worker is as `wanted` says; gives what INFO then says on the first.
pub fn await_binding(
    watchers: &mut [Client],
    binding: usize,
    what: &str,
    wanted: impl Fn(&BindingRow) -> bool,
) -> BindingRow {
    let mut rows = watchers.iter_mut().map(|watcher| {
        eventually_seen(what, || binding_rows(watcher).swap_remove(binding), &wanted)
    });
    let first = rows.next().expect("a gateway has a worker");
    rows.for_each(drop);
    first
}

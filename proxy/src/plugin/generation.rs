//! One loaded version of a plugin: compiled, linked, checked, and tried with every binding's config.
//!
//! Immutable and shared by all workers; each makes its own instances from it. A new file becomes a new generation with
//! a higher number, and cells of the old one finish their calls. Made only by `Engine::load`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{Engine, InstancePre};

use super::abi::Abi;
use super::grants::{FindFacts, Granted};
use super::host::HostState;
use super::limits::PluginLimits;
use super::manifest::Manifest;

/// What a generation is made with for each binding, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingSetup {
    /// Patterns of the keys that its plugin may touch.
    pub keys: Vec<Vec<u8>>,
    /// Its config as JSON; empty counts as `{}`.
    pub config_json: Vec<u8>,
}

/// One loaded version of a plugin.
pub struct Generation {
    /// Name in the configuration.
    pub name: String,
    /// Counts the loads of this engine.
    pub number: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// The version of the contract that it is built for.
    pub abi: Abi,
    /// What the plugin says about itself.
    pub manifest: Manifest,
    /// Its bounds.
    pub limits: PluginLimits,
    /// What it asks for and does not get, for the log.
    pub refused: Vec<String>,
    pub(super) granted: Vec<Granted>,
    pub(super) configs: Vec<Vec<u8>>,
    pub(super) facts: FindFacts,
    pub(super) engine: Engine,
    pub(super) ticks: Arc<AtomicU64>,
    pub(super) pre: InstancePre<HostState>,
    pub(super) from_cache: bool,
}

impl Generation {
    /// The SHA-256 in hexadecimal.
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }

    /// Where its machine code is from: `cached` or `compiled`.
    pub fn code(&self) -> &'static str {
        if self.from_cache { "cached" } else { "compiled" }
    }

    /// Milliseconds that the engine's ticker has counted: how long a pass of steps has taken by now.
    pub fn ticks(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Number of bindings that it was made for.
    pub fn binding_count(&self) -> usize {
        self.configs.len()
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn instance_pre(&self) -> &InstancePre<HostState> {
        &self.pre
    }

    pub(super) fn config(&self, binding: usize) -> &[u8] {
        self.configs.get(binding).map_or(b"", Vec::as_slice)
    }

    /// What it may do in one of its bindings.
    pub fn granted(&self, binding: usize) -> Option<&Granted> {
        self.granted.get(binding)
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("name", &self.name)
            .field("number", &self.number)
            .field("version", &self.manifest.version)
            .finish_non_exhaustive()
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

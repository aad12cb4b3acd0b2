//! The WebAssembly engine of the process: its configuration, its ticker, and the way from a file to a generation.
//!
//! One engine serves all workers. Loading is slow (tens of milliseconds of compiling) and never runs on a worker. A
//! file is refused with one sentence that says what to do; only then does anything change. The ticker is a thread that
//! advances the epoch each millisecond, which is what ends an endless loop; it is started again if it ever ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::{
    Config, ExternType, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig,
};

use super::abi::{Abi, HOST_OF_ANY, SPOKEN, spoken};
use super::cell::{Cell, OpenError};
use super::fault::LoadError;
use super::generation::{BindingSetup, Generation};
use super::grants::{FindFacts, FindSimple, Granted, Grants};
use super::host::{Clock, HostState, Kept, add_imports};
use super::limits::{MEMORY_SLOT_BYTES, MODULE_BYTES_MAX, PluginLimits};
use super::manifest::Manifest;
use super::precompiled::CompiledCache;
use super::shared::Shared;

/// How often the epoch advances.
const TICK: Duration = Duration::from_millis(1);

/// Address space of each instance, bytes. All that a 32-bit guest can name, so that its code needs no checks of its own:
/// a third of its time. It is reserved, never used: `max_memory_size` bounds what is.
const MEMORY_RESERVED_BYTES: u64 = 4 << 30;

/// What an engine is made with.
#[derive(Debug, Clone, Copy)]
pub struct EngineSetup {
    /// Instances in the process at once: workers x bindings x cells, and a few for trying new files.
    pub instances_max: u32,
    /// Native stack of a guest, bytes.
    pub stack_bytes: usize,
    /// Elements of a guest's table (its function pointers).
    pub table_elements: usize,
    /// Tells the keys of a command.
    pub facts: FindFacts,
    /// Which of them are simple.
    pub simple: FindSimple,
}

/// The engine of the process.
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<HostState>,
    facts: FindFacts,
    simple: FindSimple,
    compiled: Option<CompiledCache>,
    next_number: AtomicU64,
    ticker: Ticker,
}

impl Engine {
    /// An engine with its ticker running.
    pub fn new(setup: EngineSetup) -> Result<Self, EngineError> {
        let engine = wasmtime::Engine::new(&config(&setup, MEMORY_RESERVED_BYTES))
            // Where address space is bounded (ulimit -v), a guest's code checks each access by itself.
            .or_else(|_| wasmtime::Engine::new(&config(&setup, MEMORY_SLOT_BYTES as u64)))
            .map_err(|error| EngineError::Config(error.to_string()))?;
        let mut linker = Linker::new(&engine);
        for abi in SPOKEN {
            add_imports(&mut linker, abi)
                .map_err(|error| EngineError::Config(error.to_string()))?;
        }
        let ticker = Ticker::start(engine.clone(), Arc::default())?;
        Ok(Self {
            engine,
            linker,
            facts: setup.facts,
            simple: setup.simple,
            compiled: None,
            next_number: AtomicU64::new(1),
            ticker,
        })
    }

    /// Keeps compiled code from now on, so that a restart does not compile again.
    pub fn keep_compiled(&mut self, cache: CompiledCache) {
        self.compiled = Some(cache);
    }

    /// Starts the ticker again if its thread has ended; answers whether it had to. Without a ticker nothing ends an
    /// endless loop, so the host calls this about once a second.
    pub fn supervise(&mut self) -> Result<bool, EngineError> {
        if self.ticker.is_running() {
            return Ok(false);
        }
        self.ticker = Ticker::start(self.engine.clone(), Arc::clone(&self.ticker.ticks))?;
        Ok(true)
    }

    /// Makes a generation of plugin `name` from the bytes of its file. `bindings` are all that use it, in order.
    pub fn load(
        &self,
        name: &str,
        wasm: &[u8],
        limits: &PluginLimits,
        grants: &Grants,
        bindings: &[BindingSetup],
    ) -> Result<Arc<Generation>, LoadError> {
        let plugin = || name.to_owned();
        check_bytes(name, wasm)?;
        let sha256 = sha256(wasm);
        let (module, from_cache) = self.module(wasm, &sha256).map_err(|error| {
            LoadError::Compile { plugin: plugin(), detail: error.root_cause().to_string() }
        })?;
        let abi = abi_of(name, &module)?;
        check_imports(name, abi, &module, &self.linker, &self.engine)?;
        check_exports(name, abi, &module)?;
        let manifest = Manifest::read(wasm)
            .map_err(|detail| LoadError::Manifest { plugin: plugin(), detail })?;
        if manifest.abi != abi.version() {
            let detail = format!(
                "its manifest says ABI {}, its exports {}: build both with one SDK",
                manifest.abi,
                abi.version()
            );
            return Err(LoadError::Manifest { plugin: plugin(), detail });
        }
        let pre = self.linker.instantiate_pre(&module).map_err(|error| LoadError::Compile {
            plugin: plugin(),
            detail: error.root_cause().to_string(),
        })?;
        let agreed = bindings
            .iter()
            .map(|binding| Granted::agree(&manifest, grants, &binding.keys, self.simple));
        let (granted, refused): (Vec<Granted>, Vec<Vec<String>>) = agreed.unzip();
        let generation = Generation {
            name: plugin(),
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            sha256,
            abi,
            manifest,
            limits: *limits,
            refused: refused.into_iter().next().unwrap_or_default(),
            granted,
            configs: bindings.iter().map(|binding| binding.config_json.clone()).collect(),
            facts: self.facts,
            engine: self.engine.clone(),
            ticks: Arc::clone(&self.ticker.ticks),
            pre,
            from_cache,
        };
        try_out(&generation)?;
        Ok(Arc::new(generation))
    }

    /// The module, and whether its machine code was there already.
    fn module(&self, wasm: &[u8], sha256: &[u8; 32]) -> wasmtime::Result<(Module, bool)> {
        match &self.compiled {
            Some(cache) => cache.module(&self.engine, wasm, sha256),
            None => Ok((Module::from_binary(&self.engine, wasm)?, false)),
        }
    }
}

/// The SHA-256 by which a plugin's file is known.
pub fn sha256(wasm: &[u8]) -> [u8; 32] {
    Sha256::digest(wasm).into()
}

/// What can be said of a file without compiling it.
fn check_bytes(plugin: &str, wasm: &[u8]) -> Result<(), LoadError> {
    let plugin = plugin.to_owned();
    if wasm.len() > MODULE_BYTES_MAX {
        return Err(LoadError::TooLarge { plugin, found: wasm.len(), allowed: MODULE_BYTES_MAX });
    }
    // Only WebAssembly: compiled code of wasmtime begins otherwise and is never taken from a user.
    if !wasm.starts_with(b"\0asm") {
        return Err(LoadError::Compile {
            plugin,
            detail: "the file does not begin with \\0asm".to_owned(),
        });
    }
    if wasm.get(4..8) == Some(b"\x0d\0\x01\0") {
        return Err(LoadError::Component { plugin });
    }
    Ok(())
}

/// Why there is no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The configuration does not fit this machine.
    #[error("the WebAssembly engine does not start: {0}")]
    Config(String),
    /// The ticker's thread did not start.
    #[error("the thread that interrupts plugins does not start: {0}")]
    Ticker(String),
}

/// Every change here changes the compiled code: see `Engine::precompile_compatibility_hash` in wasmtime.
fn config(setup: &EngineSetup, reserved_bytes: u64) -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(setup.instances_max)
        .total_memories(setup.instances_max)
        .total_tables(setup.instances_max)
        .max_memories_per_module(1)
        .max_tables_per_module(1)
        .max_memory_size(MEMORY_SLOT_BYTES)
        .table_elements(setup.table_elements)
        .max_unused_warm_slots(64);
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .max_wasm_stack(setup.stack_bytes)
        .memory_reservation(reserved_bytes)
        .memory_guard_size(64 << 10)
        .wasm_backtrace_max_frames(None)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// The version of the contract that a module is built for.
fn abi_of(plugin: &str, module: &Module) -> Result<Abi, LoadError> {
    let refused = |found| match found {
        Some(found) => LoadError::Abi { plugin: plugin.to_owned(), found, spoken: spoken() },
        None => LoadError::Export {
            plugin: plugin.to_owned(),
            name: format!("{}describe", Abi::V2.handler()),
        },
    };
    Abi::of(module.exports().map(|export| export.name())).map_err(refused)
}

fn check_imports(
    plugin: &str,
    abi: Abi,
    module: &Module,
    linker: &Linker<HostState>,
    engine: &wasmtime::Engine,
) -> Result<(), LoadError> {
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let wasi = from.starts_with("wasi");
        let other_abi = from.strip_prefix(HOST_OF_ANY);
        let owned = || (plugin.to_owned(), from.to_owned(), name.to_owned());
        if wasi {
            let (plugin, module, name) = owned();
            return Err(LoadError::Wasi { plugin, module, name });
        }
        if from != abi.host()
            && let Some(found) = other_abi
        {
            let (plugin, found) = (plugin.to_owned(), found.to_owned());
            return Err(LoadError::Abi { plugin, found, spoken: spoken() });
        }
        let same_type = match (import.ty(), offered(linker, engine, from, name)) {
            (ExternType::Func(wanted), Some(ExternType::Func(offered))) => wanted.matches(&offered),
            _ => false,
        };
        if !same_type {
            let (plugin, module, name) = owned();
            let offered = abi.host();
            return Err(LoadError::Import { plugin, module, name, offered });
        }
    }
    Ok(())
}

fn offered(
    linker: &Linker<HostState>,
    engine: &wasmtime::Engine,
    module: &str,
    name: &str,
) -> Option<ExternType> {
    let kept = Rc::new(RefCell::new(Kept::default()));
    let mut store = wasmtime::Store::new(engine, HostState::new(kept, 0, 0, 0));
    let found = linker.get(&mut store, module, name).ok()?;
    Some(found.ty(&store))
}

fn check_exports(plugin: &str, abi: Abi, module: &Module) -> Result<(), LoadError> {
    let handler = abi.handler();
    let wanted: [(&str, usize, usize); 5] =
        [("describe", 0, 1), ("init", 2, 1), ("start", 3, 1), ("resume", 3, 1), ("cancel", 1, 0)];
    let functions = wanted
        .iter()
        .map(|(name, params, results)| (format!("{handler}{name}"), *params, *results))
        .chain([("cabi_realloc".to_owned(), 4, 1)]);
    for (name, params, results) in functions {
        let good = match module.get_export(&name) {
            Some(ExternType::Func(ty)) => {
                let all_i32 = ty.params().chain(ty.results()).all(|ty| ty.is_i32());
                ty.params().len() == params && ty.results().len() == results && all_i32
            }
            _ => false,
        };
        if !good {
            return Err(LoadError::Export { plugin: plugin.to_owned(), name });
        }
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(_)) => Ok(()),
        _ => Err(LoadError::Export { plugin: plugin.to_owned(), name: "memory".to_owned() }),
    }
}

/// Runs `init` with each binding's real config on a scratch instance.
fn try_out(generation: &Generation) -> Result<(), LoadError> {
    let plugin = || generation.name.clone();
    for binding in 0..generation.binding_count() {
        let kept = Rc::new(RefCell::new(Kept {
            memory: Shared::new(generation.granted(binding).map_or(0, |g| g.shared_bytes)),
            metrics: Vec::new(),
        }));
        match Cell::open(generation, binding, Clock::default(), kept, 1) {
            Ok(_) => {}
            Err(OpenError::Refused(detail)) => {
                return Err(LoadError::Config { plugin: plugin(), binding, detail });
            }
            Err(OpenError::Full) => {
                return Err(LoadError::Start {
                    plugin: plugin(),
                    detail: "no room for another instance; lower limits.cells".to_owned(),
                });
            }
            Err(OpenError::Trapped(error)) => {
                return Err(LoadError::Start { plugin: plugin(), detail: error.detail });
            }
        }
    }
    Ok(())
}

/// The thread that advances the epoch.
struct Ticker {
    stop: Arc<AtomicBool>,
    /// Counts the epochs.
    ticks: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine, ticks: Arc<AtomicU64>) -> Result<Self, EngineError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let counted = Arc::clone(&ticks);
        let thread = std::thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::park_timeout(TICK);
                    engine.increment_epoch();
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .map_err(|error| EngineError::Ticker(error.to_string()))?;
        Ok(Self { stop, ticks, thread: Some(thread) })
    }

    fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|t| !t.is_finished())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic, and there is nothing to do about it if it did.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{Engine, EngineSetup};
    use crate::limits;
    use crate::plugin::cells::Cells;
    use crate::plugin::fault::FaultKind;
    use crate::plugin::grants::Grants;
    use crate::plugin::limits::PluginLimits;
    use crate::plugin::test_support::{facts, guest, misbehave, setup, simple};

    #[test]
    fn ticker_whose_thread_has_ended_is_started_again_and_ends_an_endless_loop() {
        let mut engine = Engine::new(EngineSetup {
            instances_max: 4,
            stack_bytes: limits::PLUGIN_STACK_BYTES,
            table_elements: limits::PLUGIN_TABLE_ELEMENTS,
            facts,
            simple,
        })
        .unwrap();
        assert!(!engine.supervise().unwrap(), "it runs: nothing to do");
        engine.ticker.stop.store(true, Ordering::Relaxed);
        while engine.ticker.is_running() {
            std::thread::yield_now();
        }
        let ticks = engine.ticker.ticks.load(Ordering::Relaxed);
        assert!(engine.supervise().unwrap(), "it had ended");
        assert!(!engine.supervise().unwrap(), "it runs again");
        let (wasm, limits) = (guest("misbehaving/misbehaving.wasm"), PluginLimits::default());
        let loaded = engine.load("t", &wasm, &limits, &Grants::default(), &setup("*", ""));
        let mut cells = Cells::new(loaded.unwrap(), 0, 7);
        let fault = misbehave(&mut cells, &["loop"]).unwrap_err();
        assert_eq!(fault.kind, FaultKind::CpuLimit);
        assert!(engine.ticker.ticks.load(Ordering::Relaxed) > ticks, "it goes on counting");
    }
}

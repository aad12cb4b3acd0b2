//! One plugin without a gateway: loaded as a gateway would load it, for those who check and measure it.
//!
//! In: the bytes of a file and what a configuration says of its plugin. Out: a generation with the engine that it runs
//! in, or the sentence that a gateway would log.

use std::sync::Arc;

use crate::config::Config;
use crate::io::command_facts::{command_facts, simple_command};
use crate::io::plugins::{bindings_of, grants, load_error, places_of, plugin_limits};
use crate::limits;
use crate::plugin::engine::{Engine, EngineSetup};
use crate::plugin::fault::LoadError;
use crate::plugin::generation::{BindingSetup, Generation};
use crate::plugin::grants::Grants;
use crate::plugin::limits::PluginLimits;

/// A plugin that is loaded, and the engine that runs it: it must live as long.
pub struct Alone {
    /// Its ticker ends endless loops.
    pub engine: Engine,
    /// The plugin.
    pub generation: Arc<Generation>,
}

impl std::fmt::Debug for Alone {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Alone")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// An engine for one plugin at a time, with room for the cells that `limits` allow.
fn engine(
    limits: &PluginLimits,
    stack_bytes: usize,
    table_elements: usize,
) -> Result<Engine, String> {
    let instances = usize::from(limits.cells_max).min(limits::PLUGIN_INSTANCES_MAX);
    let setup = EngineSetup {
        instances_max: u32::try_from(instances + limits::PLUGIN_INSTANCES_SPARE)
            .unwrap_or(u32::MAX),
        stack_bytes,
        table_elements,
        facts: command_facts,
        simple: simple_command,
    };
    Engine::new(setup).map_err(|error| error.to_string())
}

/// Loads a plugin that has one binding, with this config (JSON), on all keys, and is granted what it asks for.
pub fn load(
    name: &str,
    wasm: &[u8],
    limits: &PluginLimits,
    config_json: &[u8],
) -> Result<Alone, String> {
    let engine = engine(limits, limits::PLUGIN_STACK_BYTES, limits::PLUGIN_TABLE_ELEMENTS)?;
    let binding = BindingSetup { keys: vec![b"*".to_vec()], config_json: config_json.to_vec() };
    let loaded = engine.load(name, wasm, limits, &Grants::default(), &[binding]);
    let generation = loaded.map_err(|error| match &error {
        LoadError::Config { detail, .. } => format!("config: {detail}"),
        _ => error.to_string(),
    })?;
    Ok(Alone { engine, generation })
}

/// Loads a plugin with the limits, grants and bindings that a configuration has for its plugin number `plugin`.
pub fn load_in(config: &Config, plugin: usize, wasm: &[u8]) -> Result<Alone, String> {
    let Some(known) = config.plugins.get(plugin) else {
        return Err("the configuration has no such plugin".to_owned());
    };
    let limits = plugin_limits(known);
    let of_engine = &config.plugin_engine;
    let engine = engine(&limits, of_engine.stack_bytes, of_engine.table_elements)?;
    let bindings = bindings_of(config, plugin);
    let loaded = engine.load(&known.name, wasm, &limits, &grants(&known.grant), &bindings);
    let generation =
        loaded.map_err(|error| load_error(known, &places_of(config, plugin), &error))?;
    Ok(Alone { engine, generation })
}

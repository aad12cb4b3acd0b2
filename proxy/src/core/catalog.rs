//! What a worker knows of the plugins of the whole gateway: those without a binding, or without a file, too.
//!
//! In: what the configuration names, told once, then what each load of a file gave. Out: facts for SLUICEGATE PLUGIN.
//! `plugins` has the cells behind it; a plugin's number here is its place in the configuration.

use std::sync::Arc;

use crate::core::Core;
use crate::plugin::generation::Generation;

/// A plugin of the configuration.
#[derive(Debug, Clone)]
pub struct KnownPlugin {
    /// Its name there.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its bindings, in order.
    pub bindings: Vec<KnownBinding>,
    /// What runs; `None` when the file was not there, or not right, and need not be.
    pub generation: Option<Arc<Generation>>,
    /// Why the newest file was not taken.
    pub last_fault: Option<String>,
}

/// A use of a plugin in a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBinding {
    /// Where it stands: `pools.main.plugins[0]`.
    pub place: String,
    /// Patterns of its keys.
    pub keys: Vec<Vec<u8>>,
}

impl Core {
    /// Tells the core which plugins the configuration names.
    pub fn set_catalog(&mut self, catalog: Vec<KnownPlugin>) {
        self.catalog = catalog;
    }

    /// A plugin runs another file; `None`: the same one again.
    pub(crate) fn catalog_loaded(&mut self, plugin: usize, generation: Option<&Arc<Generation>>) {
        if let Some(known) = self.catalog.get_mut(plugin) {
            known.last_fault = None;
            if let Some(generation) = generation {
                known.generation = Some(Arc::clone(generation));
            }
        }
    }

    /// A new file of a plugin was not taken.
    pub(crate) fn catalog_refused(&mut self, plugin: usize, fault: &str) {
        if let Some(known) = self.catalog.get_mut(plugin) {
            known.last_fault = Some(fault.to_owned());
        }
    }
}

//! Which binding of a pool takes a command: one table look-up for commands that none hooks.
//!
//! Built once per configuration from what each binding hooks and on which keys. Bindings are tried in the order of the
//! YAML, from a given place on, so that PASS hands a command to the next. Own commands are found by name. Pure.

use std::collections::HashMap;

use super::glob::Pattern;
use super::manifest::{Manifest, OwnCommand};

/// What a binding is made from.
#[derive(Debug, Clone, Copy)]
pub struct BindingSpec<'a> {
    /// The manifest of its plugin.
    pub manifest: &'a Manifest,
    /// Patterns of its keys.
    pub keys: &'a [Vec<u8>],
}

/// A handler of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Place of the binding in its pool.
    pub binding: u16,
    /// Number of the handler.
    pub handler: u16,
}

/// A plugin's own command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTaken {
    /// Where it runs: the bindings of its plugin, in order; never empty.
    taken: Vec<Taken>,
    /// Arity, key places and flags.
    pub command: OwnCommand,
}

/// The bindings of one pool.
#[derive(Debug, Default)]
pub struct Bindings {
    /// By command index: the bindings that hook it, in order. Commands that none hooks have an empty list.
    hooks: Vec<Vec<Taken>>,
    keys: Vec<Vec<Pattern>>,
    own: HashMap<Vec<u8>, OwnTaken>,
}

impl Bindings {
    /// The bindings of a pool, in the order of the YAML. `index_of` gives the index of a command by its name. Of two
    /// plugins with the same own command the first has it.
    pub fn new(specs: &[BindingSpec<'_>], index_of: impl Fn(&str) -> Option<u16>) -> Self {
        let mut bindings = Self::default();
        for (place, spec) in (0_u16..).zip(specs) {
            bindings.keys.push(spec.keys.iter().map(|text| Pattern::new(text)).collect());
            for (hook, handler) in spec.manifest.hooks.iter().zip(0_u16..) {
                let Some(index) = index_of(hook).map(usize::from) else {
                    continue;
                };
                if bindings.hooks.len() <= index {
                    bindings.hooks.resize(index + 1, Vec::new());
                }
                if let Some(list) = bindings.hooks.get_mut(index) {
                    list.push(Taken { binding: place, handler });
                }
            }
            let first = u16::try_from(spec.manifest.hooks.len()).unwrap_or(u16::MAX);
            for (command, handler) in spec.manifest.commands.iter().zip(first..) {
                let name = command.name.as_bytes().to_vec();
                let none = || OwnTaken { taken: Vec::new(), command: command.clone() };
                let own = bindings.own.entry(name).or_insert_with(none);
                if own.command == *command {
                    own.taken.push(Taken { binding: place, handler });
                }
            }
        }
        bindings
    }

    /// Whether any binding hooks this command.
    pub fn hooked(&self, command: u16) -> bool {
        self.hooks.get(usize::from(command)).is_some_and(|list| !list.is_empty())
    }

    /// The first binding from place `from` on that hooks `command` and has `key` among its keys. A command without a
    /// key (`None`) is taken only by bindings on `*`.
    pub fn take(&self, command: u16, key: Option<&[u8]>, from: u16) -> Option<Taken> {
        let list = self.hooks.get(usize::from(command))?;
        list.iter().copied().find(|taken| taken.binding >= from && self.has_key(taken.binding, key))
    }

    fn has_key(&self, binding: u16, key: Option<&[u8]>) -> bool {
        let patterns = self.keys.get(usize::from(binding));
        patterns.is_some_and(|patterns| {
            patterns.iter().any(|pattern| match key {
                Some(key) => pattern.matches(key),
                None => pattern.is_all(),
            })
        })
    }

    /// The own command of this name, in any case.
    pub fn own_command(&self, name: &[u8]) -> Option<&OwnTaken> {
        if self.own.is_empty() {
            return None;
        }
        self.own.get(&name.to_ascii_uppercase())
    }

    /// Where an own command runs: in the first binding that has `key` among its keys. One that no binding has is for the
    /// first, whose grant refuses it by name.
    pub fn take_own(&self, own: &OwnTaken, key: Option<&[u8]>) -> Option<Taken> {
        let has_key = |taken: &&Taken| key.is_some() && self.has_key(taken.binding, key);
        own.taken.iter().find(has_key).or(own.taken.first()).copied()
    }

    /// All own commands, for COMMAND.
    pub fn own_commands(&self) -> impl Iterator<Item = &OwnTaken> {
        self.own.values()
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{BindingSpec, Bindings, Taken};
    use crate::plugin::manifest::{Capabilities, Manifest, OwnCommand};

    fn manifest(hooks: &[&str], own: &[&str]) -> Manifest {
        Manifest {
            name: "x".into(),
            version: "1".into(),
            abi: "1.0.0".into(),
            hooks: hooks.iter().map(|name| (*name).to_owned()).collect(),
            commands: own
                .iter()
                .map(|name| OwnCommand {
                    name: (*name).to_owned(),
                    arity: 1,
                    keys: (0, 0, 0),
                    flags: vec![],
                })
                .collect(),
            tasks: vec![],
            capabilities: Capabilities::default(),
            timers: vec![],
            metrics: vec![],
            config: String::new(),
        }
    }

    fn index_of(name: &str) -> Option<u16> {
        ["GET", "SET", "PING", "DEL"]
            .iter()
            .position(|known| *known == name)
            .and_then(|place| u16::try_from(place).ok())
    }

    #[test]
    fn bindings_are_tried_in_order_and_pass_goes_to_the_next() {
        let cache = manifest(&["GET", "SET", "UNKNOWN"], &["CACHE.STATS"]);
        let guard = manifest(&["PING", "GET"], &["GUARD.X", "CACHE.STATS"]);
        let keys = [vec![b"cache:*".to_vec(), b"page".to_vec()], vec![b"*".to_vec()]];
        let bindings = Bindings::new(
            &[
                BindingSpec { manifest: &cache, keys: &keys[0] },
                BindingSpec { manifest: &guard, keys: &keys[1] },
            ],
            index_of,
        );
        let taken = |binding, handler| Some(Taken { binding, handler });
        let cases: &[(u16, Option<&str>, u16, Option<Taken>)] = &[
            (0, Some("cache:1"), 0, taken(0, 0)),
            (0, Some("page"), 0, taken(0, 0)),
            (0, Some("cache:1"), 1, taken(1, 1)),
            (0, Some("cache:1"), 2, None),
            (0, Some("user:1"), 0, taken(1, 1)),
            (1, Some("cache:1"), 0, taken(0, 1)),
            (1, Some("user:1"), 0, None),
            (2, None, 0, taken(1, 0)),
            (0, None, 0, taken(1, 1)),
            (3, Some("cache:1"), 0, None),
            (99, Some("cache:1"), 0, None),
        ];
        for (command, key, from, wanted) in cases {
            let found = bindings.take(*command, key.map(str::as_bytes), *from);
            assert_eq!(found, *wanted, "command {command} key {key:?} from {from}");
        }
        assert!(bindings.hooked(0) && !bindings.hooked(3) && !bindings.hooked(99));
        let own = |name: &[u8], key: Option<&str>| {
            let own = bindings.own_command(name).unwrap();
            bindings.take_own(own, key.map(str::as_bytes))
        };
        assert_eq!(own(b"cache.stats", None), taken(0, 3));
        assert_eq!(own(b"cache.stats", Some("page")), taken(0, 3));
        assert_eq!(
            own(b"cache.stats", Some("user:1")),
            taken(1, 3),
            "the binding that has the key"
        );
        assert_eq!(own(b"GUARD.X", Some("page")), taken(1, 2));
        assert_eq!(bindings.own_command(b"nope"), None);
        assert!(Bindings::default().own_command(b"x").is_none());
    }
}

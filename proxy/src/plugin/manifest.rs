//! What a plugin says about itself: the JSON in the custom section `sluicegate-manifest`.
//!
//! Read from the file without running it, with a section walker of a few lines. In come the module's bytes, out comes a
//! checked `Manifest` or a sentence for the operator. Handlers are numbered: hooks, then commands, then tasks.

use serde::Deserialize;

use super::limits::{GRANTED_COMMANDS_MAX, HANDLERS_MAX, MANIFEST_BYTES_MAX, TIMER_EVERY_MS};

const SECTION: &[u8] = b"sluicegate-manifest";

/// The manifest as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Manifest {
    /// The plugin's own name.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// Version of the contract.
    pub abi: String,
    /// Commands that it may take, upper case.
    #[serde(default)]
    pub hooks: Vec<String>,
    /// Commands of its own.
    #[serde(default)]
    pub commands: Vec<OwnCommand>,
    /// Handlers for spawned calls, closed sessions and timers.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// When the gateway calls tasks by itself.
    #[serde(default)]
    pub timers: Vec<TaskTimer>,
    /// What it wants to be allowed.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// What it counts.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// A paragraph on its config.
    #[serde(default)]
    pub config: String,
}

/// A command of a plugin's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OwnCommand {
    /// Upper case.
    pub name: String,
    /// As in Redis: negative means at least.
    pub arity: i16,
    /// First, last, step, as in Redis.
    #[serde(default)]
    pub keys: (i16, i16, i16),
    /// As in Redis: `readonly`, `write`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// A task that the gateway calls again and again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskTimer {
    /// Which of `tasks`.
    pub task: String,
    /// From one call to the next, milliseconds.
    pub every_ms: u64,
    /// Each call comes later by a random part of this, milliseconds.
    #[serde(default)]
    pub jitter_ms: u64,
}

/// What a plugin wants to be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Capabilities {
    /// Redis commands, upper case.
    #[serde(default)]
    pub commands: Vec<String>,
    /// WAIT-KEY and SLEEP.
    #[serde(default)]
    pub wait: bool,
    /// DONE+BACKGROUND that goes on, SPAWN, WATCH-SESSION.
    #[serde(default)]
    pub background: bool,
    /// Shared memory per worker and binding, bytes.
    #[serde(default)]
    pub shared_bytes: u32,
}

/// Something that a plugin counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// How it is read.
    pub kind: MetricKind,
}

/// How a metric is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Manifest {
    /// Reads and checks the manifest of a module.
    pub fn read(module: &[u8]) -> Result<Self, String> {
        let text = section(module)
            .ok_or("it has no custom section 'sluicegate-manifest': is this a plugin?")?;
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(format!(
                "its manifest has {} bytes; at most {MANIFEST_BYTES_MAX} are allowed",
                text.len()
            ));
        }
        let manifest: Self = serde_json::from_slice(text)
            .map_err(|error| format!("its manifest cannot be read: {error}"))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.handler_count() > HANDLERS_MAX {
            return Err(format!("more than {HANDLERS_MAX} handlers in its manifest"));
        }
        let own = self.commands.iter().map(|command| &command.name);
        let names: Vec<&String> = self.hooks.iter().chain(own).collect();
        for name in names.iter().copied().chain(&self.capabilities.commands) {
            if !is_command_name(name) {
                return Err(format!("'{name}' in its manifest is no command name"));
            }
        }
        if self.capabilities.commands.len() > GRANTED_COMMANDS_MAX {
            return Err(format!("its manifest asks for more than {GRANTED_COMMANDS_MAX} commands"));
        }
        let of_timers = self.timers.iter().map(|timer| &timer.task).collect();
        let asked_for = self.capabilities.commands.iter().collect();
        if let Some(name) = [names, asked_for, of_timers].into_iter().find_map(twice) {
            return Err(format!("'{name}' stands twice in its manifest"));
        }
        let of_metrics = self.metrics.iter().map(|metric| &metric.name);
        if let Some(text) = of_metrics.chain([&self.version]).find(|text| !is_plain(text)) {
            return Err(format!(
                "'{}' in its manifest: a version or a metric's name is 1 to 64 letters, digits, '.', '_', '-', '+'",
                text.escape_debug()
            ));
        }
        for command in &self.commands {
            let (first, last, step) = command.keys;
            let keyless = first == 0 && last == 0 && step == 0;
            if command.arity == 0
                || !(keyless || (first > 0 && step > 0 && (last < 0 || last >= first)))
            {
                return Err(format!(
                    "the command '{}' in its manifest has an impossible arity or key places",
                    command.name
                ));
            }
        }
        self.timers.iter().try_for_each(|timer| self.check_timer(timer))
    }

    fn check_timer(&self, timer: &TaskTimer) -> Result<(), String> {
        let TaskTimer { task, every_ms, jitter_ms } = timer;
        if !self.tasks.contains(task) {
            return Err(format!("the timer '{task}' in its manifest names no task of it"));
        }
        if !TIMER_EVERY_MS.contains(every_ms) || jitter_ms > every_ms {
            return Err(format!(
                "the timer '{task}' in its manifest: every_ms {every_ms}, jitter_ms {jitter_ms}; allowed: \
                 every_ms from {} to {}, jitter_ms at most every_ms",
                TIMER_EVERY_MS.start(),
                TIMER_EVERY_MS.end()
            ));
        }
        Ok(())
    }

    /// The number of a task's handler.
    pub fn task_number(&self, task: &str) -> Option<u16> {
        let place = self.tasks.iter().position(|known| known == task)?;
        u16::try_from(place).ok()?.checked_add(self.task_numbers().start)
    }

    /// Handlers in all.
    pub fn handler_count(&self) -> usize {
        self.hooks.len() + self.commands.len() + self.tasks.len()
    }

    /// The number that `other` gives to what this manifest numbers `handler`; `None` when it has no such handler.
    pub fn number_in(&self, handler: u16, other: &Self) -> Option<u16> {
        fn names(manifest: &Manifest) -> impl Iterator<Item = (u8, &str)> {
            let hooks = manifest.hooks.iter().map(|name| (0, name.as_str()));
            let commands = manifest.commands.iter().map(|command| (1, command.name.as_str()));
            let tasks = manifest.tasks.iter().map(|name| (2, name.as_str()));
            hooks.chain(commands).chain(tasks)
        }
        let name = names(self).nth(usize::from(handler))?;
        names(other).position(|known| known == name).and_then(|place| u16::try_from(place).ok())
    }

    /// Numbers of the handlers that are tasks.
    pub fn task_numbers(&self) -> std::ops::Range<u16> {
        let first = self.hooks.len() + self.commands.len();
        let number = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        number(first)..number(self.handler_count())
    }
}

fn is_command_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| {
            b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        })
}

/// A name that stands in the list twice.
fn twice(mut names: Vec<&String>) -> Option<&String> {
    names.sort_unstable();
    names.iter().zip(names.iter().skip(1)).find_map(|(a, b)| (a == b).then_some(*a))
}

/// Whether a text may stand in INFO as it is.
fn is_plain(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// The bytes of the custom section, of the first one if there are several.
fn section(module: &[u8]) -> Option<&[u8]> {
    let mut rest = module.get(8..)?;
    while let Some((id, after)) = rest.split_first() {
        let (len, after) = leb128(after)?;
        let (body, after) = after.split_at_checked(len as usize)?;
        if *id == 0 {
            let (name_len, named) = leb128(body)?;
            let (name, text) = named.split_at_checked(name_len as usize)?;
            if name == SECTION {
                return Some(text);
            }
        }
        rest = after;
    }
    None
}

/// An unsigned number in the WebAssembly encoding, at most 32 bits.
fn leb128(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u32;
    let mut rest = bytes;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, after) = rest.split_first()?;
        rest = after;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    fn module_with(text: &str) -> Vec<u8> {
        let mut body = vec![19];
        body.extend_from_slice(b"sluicegate-manifest");
        body.extend_from_slice(text.as_bytes());
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend_from_slice(&[1, 1, 0]);
        module.push(0);
        let mut len = body.len();
        while len >= 0x80 {
            module.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
            len >>= 7;
        }
        module.push(u8::try_from(len).unwrap());
        module.extend_from_slice(&body);
        module
    }

    #[test]
    fn manifest_is_found_and_numbers_its_handlers() {
        let text = r#"{"name":"cache","version":"1.0.0","abi":"1.0.0","hooks":["GET","SET"],
            "commands":[{"name":"CACHE.STATS","arity":1,"keys":[0,0,0],"flags":["readonly"]}],"tasks":["release"]}"#;
        let manifest = Manifest::read(&module_with(text)).unwrap();
        assert_eq!(manifest.hooks, ["GET", "SET"]);
        assert_eq!(manifest.task_numbers(), 3..4);
    }

    #[test]
    fn handler_is_found_by_name_in_another_version() {
        let read = |lists: &str| {
            let text = format!(r#"{{"name":"x","version":"1","abi":"1.0.0",{lists}}}"#);
            Manifest::read(&module_with(&text)).unwrap()
        };
        let command = r#""commands":[{"name":"X.A","arity":1}]"#;
        let old = read(&format!(r#""hooks":["GET","SET"],{command},"tasks":["GET","b"]"#));
        let new = read(&format!(r#""hooks":["TTL","SET"],{command},"tasks":["b","c","GET"]"#));
        let found: Vec<Option<u16>> = (0..6).map(|handler| old.number_in(handler, &new)).collect();
        assert_eq!(found, [None, Some(1), Some(2), Some(5), Some(3), None]);
    }

    #[test]
    fn manifest_that_is_wrong_is_refused_with_a_reason() {
        let base = r#"{"name":"x","version":"1","abi":"1.0.0""#;
        let cases = [
            (format!("{base},\"hooks\":[\"get\"]}}"), "'get' in its manifest is no command name"),
            (format!("{base},\"hooks\":[\"GET\",\"GET\"]}}"), "'GET' stands twice in its manifest"),
            (
                format!(
                    "{base},\"commands\":[{{\"name\":\"X.A\",\"arity\":2,\"keys\":[1,0,0]}}]}}"
                ),
                "the command 'X.A' in its manifest has an impossible arity or key places",
            ),
            (
                format!(
                    "{base},\"tasks\":[\"a\"],\"timers\":[{{\"task\":\"b\",\"every_ms\":50}}]}}"
                ),
                "the timer 'b' in its manifest names no task of it",
            ),
            (
                format!(
                    "{base},\"tasks\":[\"a\"],\"timers\":[{{\"task\":\"a\",\"every_ms\":9}}]}}"
                ),
                "the timer 'a' in its manifest: every_ms 9, jitter_ms 0; allowed: \
                 every_ms from 10 to 86400000, jitter_ms at most every_ms",
            ),
            (
                format!(
                    "{base},\"tasks\":[\"a\"],\"timers\":[{{\"task\":\"a\",\"every_ms\":50}},{{\"task\":\"a\",\"every_ms\":90}}]}}"
                ),
                "'a' stands twice in its manifest",
            ),
            (
                format!("{base},\"capabilities\":{{\"commands\":[\"GET\",\"SET\",\"GET\"]}}}}"),
                "'GET' stands twice in its manifest",
            ),
            (
                format!("{base},\"metrics\":[{{\"name\":\"a b\",\"kind\":\"counter\"}}]}}"),
                "'a b' in its manifest: a version or a metric's name is 1 to 64 letters, digits, '.', '_', '-', '+'",
            ),
            (
                r#"{"name":"x","version":"1\r\nrole:x","abi":"1.0.0"}"#.to_owned(),
                "'1\\r\\nrole:x' in its manifest: a version or a metric's name is 1 to 64 letters, digits, '.', '_', '-', '+'",
            ),
            (
                "{".to_owned(),
                "its manifest cannot be read: EOF while parsing an object at line 1 column 1",
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(Manifest::read(&module_with(&text)), Err(wanted.to_owned()));
        }
        let none = "it has no custom section 'sluicegate-manifest': is this a plugin?";
        for module in [
            &b""[..],
            b"\0asm\x01\0\0\0",
            b"\0asm\x01\0\0\0\x00\xff\xff\xff\xff\xff\xff",
            b"not a module",
        ] {
            assert_eq!(Manifest::read(module), Err(none.to_owned()));
        }
        let whole = module_with(base);
        for end in 0..whole.len() {
            assert!(Manifest::read(&whole[..end]).is_err(), "cut at {end}");
        }
    }
}

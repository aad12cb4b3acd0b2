//! Everything that can go wrong with a plugin, as types with their stable texts.
//!
//! `Fault` is one call that did not end well: it knows the client's text, the operator's detail and which other calls
//! it took with it. `LoadError` is a file that does not become a generation. Nothing is logged here: the host logs
//! `Fault::detail` under the same id that the client saw.

use super::cells::CallId;

/// What happened to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The guest trapped; the text names the trap.
    Trap(&'static str),
    /// A step used more CPU time than its limit.
    CpuLimit,
    /// The guest wanted more memory than its limit.
    MemoryLimit,
    /// The guest answered a frame or a reply that is none.
    BadReply,
    /// The call took more steps than its limit.
    StepLimit,
    /// The command is larger than the plugin may be given: so many bytes.
    RequestTooLarge(usize),
    /// The plugin's reply is larger than this many bytes.
    ReplyTooLarge(usize),
    /// What the plugin wanted to send is larger than a request of this many bytes and what goes with it.
    BatchTooLarge(usize),
    /// All cells of this binding are full.
    Busy,
    /// The breaker is open.
    Down,
    /// The host ended the call after `PluginLimits::call_ms`.
    Timeout,
    /// Another call's trap took this one with it after it had written.
    Aborted,
}

impl FaultKind {
    /// All kinds, as they are counted.
    pub const NAMES: [&str; 9] = [
        "trap",
        "cpu_limit",
        "memory_limit",
        "bad_reply",
        "other_limit",
        "busy",
        "down",
        "timeout",
        "aborted",
    ];

    /// Its place in `NAMES`.
    pub fn place(self) -> usize {
        match self {
            FaultKind::Trap(_) => 0,
            FaultKind::CpuLimit => 1,
            FaultKind::MemoryLimit => 2,
            FaultKind::BadReply => 3,
            FaultKind::StepLimit
            | FaultKind::RequestTooLarge(_)
            | FaultKind::ReplyTooLarge(_)
            | FaultKind::BatchTooLarge(_) => 4,
            FaultKind::Busy => 5,
            FaultKind::Down => 6,
            FaultKind::Timeout => 7,
            FaultKind::Aborted => 8,
        }
    }

    /// Whether the guest is in an unknown state after it.
    pub fn is_crash(self) -> bool {
        match self {
            FaultKind::Trap(_)
            | FaultKind::CpuLimit
            | FaultKind::MemoryLimit
            | FaultKind::BadReply => true,
            FaultKind::StepLimit
            | FaultKind::RequestTooLarge(_)
            | FaultKind::ReplyTooLarge(_)
            | FaultKind::BatchTooLarge(_)
            | FaultKind::Busy
            | FaultKind::Down
            | FaultKind::Timeout
            | FaultKind::Aborted => false,
        }
    }
}

/// A call that was lost because its cell was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostCall {
    /// Which call.
    pub id: CallId,
    /// So far it has only read, and its client has no reply: it may be started again from its first frame.
    pub replayable: bool,
    /// It has sent commands that change something.
    pub wrote: bool,
}

/// A call that did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// The plugin.
    pub plugin: String,
    /// Ties the client's text to the log line.
    pub id: u32,
    /// The call had sent commands that change something: they may have run.
    pub wrote: bool,
    /// For the log: the trap's own text, the panic's message, what was wrong with the frame.
    pub detail: String,
    /// Calls in the same cell, which is gone.
    pub lost: Vec<LostCall>,
}

impl Fault {
    /// The error for the client, without `-` and line end. Stable: people search for it.
    pub fn client_text(&self) -> String {
        let text = client_text(self.kind, &self.plugin, self.id);
        if self.wrote { text + OUTCOME_UNKNOWN } else { text }
    }

    /// A call for a binding that is not there.
    pub fn missing() -> Self {
        Self {
            kind: FaultKind::Down,
            plugin: String::new(),
            id: 0,
            wrote: false,
            detail: "no such binding".to_owned(),
            lost: Vec::new(),
        }
    }

    /// Whether the plugin is to blame: its cell is dropped, and the breaker counts it.
    pub fn is_crash(&self) -> bool {
        self.kind.is_crash()
    }
}

/// Behind the error of a call that had sent commands which change something.
pub const OUTCOME_UNKNOWN: &str = "; outcome unknown";

/// The error for the client of a call of `plugin` to which `kind` happened.
pub fn client_text(kind: FaultKind, plugin: &str, id: u32) -> String {
    match kind {
        FaultKind::Trap(trap) => format!("PLUGINERR {plugin}: trap {trap} (id {id:08x})"),
        FaultKind::CpuLimit => format!("PLUGINERR {plugin}: cpu limit"),
        FaultKind::MemoryLimit => format!("PLUGINERR {plugin}: memory limit"),
        FaultKind::BadReply => format!("PLUGINERR {plugin}: bad reply"),
        FaultKind::StepLimit => format!("PLUGINERR {plugin}: step limit"),
        FaultKind::RequestTooLarge(bytes) => {
            format!("PLUGINERR {plugin}: request larger than limits.request ({bytes} bytes)")
        }
        FaultKind::ReplyTooLarge(bytes) => {
            format!("PLUGINERR {plugin}: reply larger than limits.reply ({bytes} bytes)")
        }
        FaultKind::BatchTooLarge(bytes) => {
            format!("PLUGINERR {plugin}: batch larger than limits.request ({bytes} bytes)")
        }
        FaultKind::Aborted => format!("PLUGINERR {plugin}: aborted, outcome unknown"),
        FaultKind::Busy => format!("PLUGINBUSY {plugin}: all cells are full"),
        FaultKind::Down => format!("PLUGINDOWN {plugin}: stopped after repeated traps"),
        FaultKind::Timeout => format!("PLUGINTIMEOUT {plugin}: the call took too long"),
    }
}

/// Why a file did not become a generation of a plugin. The one before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Larger than any plugin may be.
    #[error("plugin '{plugin}': the file has {found} bytes; a plugin has at most {allowed}")]
    TooLarge {
        /// Its name in the configuration.
        plugin: String,
        /// Its size.
        found: usize,
        /// The limit.
        allowed: usize,
    },
    /// Not a module that can be compiled.
    #[error("plugin '{plugin}': not a WebAssembly module this gateway can run: {detail}")]
    Compile {
        /// Its name in the configuration.
        plugin: String,
        /// The compiler's words.
        detail: String,
    },
    /// A component instead of a core module.
    #[error(
        "plugin '{plugin}': this is a component; build a core module: cargo build --target wasm32-unknown-unknown"
    )]
    Component {
        /// Its name in the configuration.
        plugin: String,
    },
    /// It wants WASI.
    #[error(
        "plugin '{plugin}': it imports {module}.{name} (WASI), which plugins do not have; build it with --target wasm32-unknown-unknown"
    )]
    Wasi {
        /// Its name in the configuration.
        plugin: String,
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// It wants something else that is not offered.
    #[error(
        "plugin '{plugin}': it imports {module}.{name}, which the gateway does not offer; it offers what {offered} lists in patterns-wasm/sdk/wit/plugin.wit"
    )]
    Import {
        /// Its name in the configuration.
        plugin: String,
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
        /// The module that the gateway offers to it.
        offered: &'static str,
    },
    /// Built for another version of the contract.
    #[error(
        "plugin '{plugin}': it is built for ABI {found}; this gateway speaks ABI {spoken}: rebuild it with the matching SDK"
    )]
    Abi {
        /// Its name in the configuration.
        plugin: String,
        /// The version in the file.
        found: String,
        /// Those that the gateway speaks.
        spoken: String,
    },
    /// An export of the contract is missing or has another type.
    #[error(
        "plugin '{plugin}': the export {name} is missing or has another type: is this a plugin?"
    )]
    Export {
        /// Its name in the configuration.
        plugin: String,
        /// The export.
        name: String,
    },
    /// The manifest is missing or wrong.
    #[error("plugin '{plugin}': {detail}")]
    Manifest {
        /// Its name in the configuration.
        plugin: String,
        /// What is wrong with it.
        detail: String,
    },
    /// It does not start within its limits.
    #[error("plugin '{plugin}': it does not start: {detail}")]
    Start {
        /// Its name in the configuration.
        plugin: String,
        /// Why.
        detail: String,
    },
    /// Its `init` refuses the config of a binding.
    #[error("plugin '{plugin}': config of binding {binding}: {detail}")]
    Config {
        /// Its name in the configuration.
        plugin: String,
        /// Which of its bindings, from 0.
        binding: usize,
        /// The plugin's own words.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, client_text};

    #[test]
    fn client_texts_are_stable() {
        let cases = [
            (FaultKind::Trap("unreachable"), "PLUGINERR cache: trap unreachable (id 0000beef)"),
            (FaultKind::CpuLimit, "PLUGINERR cache: cpu limit"),
            (FaultKind::MemoryLimit, "PLUGINERR cache: memory limit"),
            (FaultKind::BadReply, "PLUGINERR cache: bad reply"),
            (FaultKind::StepLimit, "PLUGINERR cache: step limit"),
            (FaultKind::Aborted, "PLUGINERR cache: aborted, outcome unknown"),
            (
                FaultKind::RequestTooLarge(9),
                "PLUGINERR cache: request larger than limits.request (9 bytes)",
            ),
            (
                FaultKind::ReplyTooLarge(9),
                "PLUGINERR cache: reply larger than limits.reply (9 bytes)",
            ),
            (
                FaultKind::BatchTooLarge(9),
                "PLUGINERR cache: batch larger than limits.request (9 bytes)",
            ),
            (FaultKind::Busy, "PLUGINBUSY cache: all cells are full"),
            (FaultKind::Down, "PLUGINDOWN cache: stopped after repeated traps"),
            (FaultKind::Timeout, "PLUGINTIMEOUT cache: the call took too long"),
        ];
        for (kind, wanted) in cases {
            assert_eq!(client_text(kind, "cache", 0xbeef), wanted);
        }
    }
}

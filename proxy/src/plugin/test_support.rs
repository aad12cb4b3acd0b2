//! What the tests of the engine share: the real guests, a small table of commands, short ways to run calls.
//!
//! Guests are built by `scripts/build-plugins` the first time a test asks for one; a failing build fails the test. The
//! engine is one per test process, as in the gateway.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Once, OnceLock};

use super::cells::{CallId, Cells};
use super::engine::{Engine, EngineSetup};
use super::fault::{Fault, LoadError};
use super::generation::{BindingSetup, Generation};
use super::given::{Kind, OpResult, StartHead, Status};
use super::grants::{CommandFacts, Denied, Grants, SimpleCommand};
use super::host::Clock;
use super::limits::PluginLimits;
use super::room::Step;
use crate::limits;
use crate::resp::args::Args;

pub(super) const CLOCK: Clock = Clock { now_ms: 1_700_000_000_000, mono_ms: 1_000 };

/// The bytes of a built plugin, by its path under `target/plugins`.
pub(super) fn guest(name: &str) -> Vec<u8> {
    static BUILT: Once = Once::new();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    BUILT.call_once(|| {
        let status = Command::new(root.join("scripts/build-plugins"))
            .status()
            .expect("scripts/build-plugins starts");
        assert!(status.success(), "scripts/build-plugins failed: {status}");
    });
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let path = target.join("plugins").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let setup = EngineSetup {
            instances_max: 600,
            stack_bytes: limits::PLUGIN_STACK_BYTES,
            table_elements: limits::PLUGIN_TABLE_ELEMENTS,
            facts,
            simple,
        };
        Engine::new(setup).expect("the engine starts")
    })
}

/// A handful of commands whose key is their first argument.
pub(super) fn facts(args: &Args<'_>, keys: &mut Vec<u32>) -> Result<CommandFacts, Denied> {
    let name = args.name().to_ascii_uppercase();
    let readonly = matches!(name.as_slice(), b"GET" | b"PTTL");
    if !(readonly || matches!(name.as_slice(), b"SET" | b"DEL" | b"INCR")) {
        return Err(Denied::UnknownKeys);
    }
    keys.push(1);
    Ok(CommandFacts { readonly, whole_shard: false })
}

/// Of those the ones that this says are simple.
pub(super) fn simple(name: &[u8]) -> Option<SimpleCommand> {
    let arity = match name {
        b"GET" | b"PTTL" | b"INCR" => 2,
        b"SET" => -3,
        _ => return None,
    };
    let readonly = matches!(name, b"GET" | b"PTTL");
    Some(SimpleCommand { readonly, key: 1, arity })
}

pub(super) fn setup(keys: &str, config: &str) -> Vec<BindingSetup> {
    vec![BindingSetup {
        keys: vec![keys.as_bytes().to_vec()],
        config_json: config.as_bytes().to_vec(),
    }]
}

pub(super) fn load(
    file: &str,
    limits: &PluginLimits,
    config: &str,
) -> Result<Arc<Generation>, LoadError> {
    let grants = Grants::default();
    engine().load("t", &guest(file), limits, &grants, &setup("*", config))
}

pub(super) fn cells(file: &str, limits: &PluginLimits) -> Cells {
    Cells::new(load(file, limits, "").expect("the guest loads"), 0, 7)
}

pub(super) fn misbehaving() -> Cells {
    static LOADED: OnceLock<Arc<Generation>> = OnceLock::new();
    let limits = PluginLimits::default();
    let generation = LOADED.get_or_init(|| {
        load("misbehaving/misbehaving.wasm", &limits, "").expect("the guest loads")
    });
    Cells::new(Arc::clone(generation), 0, 7)
}

/// The head of an ordinary call of handler `handler`.
pub(super) fn head(kind: Kind, handler: u16) -> StartHead {
    StartHead { kind, resp: 2, db: 0, handler, binding: 0, shards: 3, session: 9 }
}

pub(super) fn start_at(
    cells: &mut Cells,
    clock: Clock,
    head: &StartHead,
    args: &[&str],
) -> Result<(CallId, Step), Fault> {
    cells.start(clock, head, args.iter().map(|arg| arg.as_bytes()))
}

/// `MISBEHAVE <words>`.
pub(super) fn misbehave(cells: &mut Cells, words: &[&str]) -> Result<(CallId, Step), Fault> {
    let args = [&["MISBEHAVE"], words].concat();
    start_at(cells, CLOCK, &head(Kind::OwnCommand, 1), &args)
}

/// Ends the sleep of a call.
pub(super) fn wake(cells: &mut Cells, id: CallId) -> Result<Step, Fault> {
    let result = OpResult { number: 0, status: Status::Timeout, bytes: b"" };
    cells.resume(CLOCK, id, [result].into_iter())
}

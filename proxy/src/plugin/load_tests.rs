//! Loading with real files, and the cache plugin on the real engine.
//!
//! What must hold: a file that is no plugin is refused with one sentence that says what to do; a config is tried before
//! it is used; what a plugin keeps in the host outlives its instances. Faults while running are `guest_tests`.

use super::batch::Op;
use super::cells::Cells;
use super::given::{Kind, OpResult, Status};
use super::grants::Grants;
use super::limits::PluginLimits;
use super::room::Step;
use super::test_support::{CLOCK, cells, engine, guest, head, load, setup, start_at};

#[test]
fn load_of_a_file_that_is_no_plugin_says_what_to_do() {
    let limits = PluginLimits::default();
    let cases: &[(&str, &str)] = &[
        ("misbehaving/wasi_import.wasm", "it imports wasi_snapshot_preview1.fd_write (WASI)"),
        ("misbehaving/foreign_import.wasm", "it imports sluicegate:plugin/host@1.0.0.open-socket"),
        (
            "misbehaving/other_abi.wasm",
            "it is built for ABI 9.0.0; this gateway speaks ABI 2.0.0 and 1.0.0",
        ),
        (
            "misbehaving/no_plugin.wasm",
            "the export sluicegate:plugin/handler@2.0.0#describe is missing",
        ),
    ];
    for (file, wanted) in cases {
        let error = load(file, &limits, "").expect_err(file).to_string();
        assert!(error.starts_with("plugin 't': ") && error.contains(wanted), "{error}");
    }
    let load_bytes = |bytes: &[u8]| {
        engine()
            .load("t", bytes, &limits, &Grants::default(), &setup("*", ""))
            .expect_err("no plugin")
            .to_string()
    };
    let pass = guest("pass.wasm");
    // Even right compiled code is no plugin: only the gateway's own cache is trusted.
    let code = wasmtime::Engine::default().precompile_module(&pass).expect("it compiles");
    for (bytes, wanted) in [
        (&code[..], "does not begin with"),
        (b"#!/bin/sh\n", "does not begin with"),
        (b"\0asm\x0d\0\x01\0", "this is a component"),
        (&pass[..pass.len() / 2], "not a WebAssembly module"),
        (&vec![0; 9 * 1024 * 1024], "at most 8388608"),
    ] {
        let error = load_bytes(bytes);
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn load_tries_the_real_config_and_gives_the_plugins_own_words() {
    let limits = PluginLimits::default();
    let cases = [
        ("init-refuse", "config of binding 0: this config is refused"),
        ("init-panic", "init said no"),
        ("init-loop", "it does not start"),
        ("init-garbage", "it does not start"),
        ("frame-buffer-outside", "sluicegate_frame_buffer answered a place outside of memory"),
    ];
    for (fault, wanted) in cases {
        let config = format!("{{\"fault\":\"{fault}\"}}");
        let error = load("misbehaving/misbehaving.wasm", &limits, &config).expect_err(fault);
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let error = load("pass.wasm", &limits, "{\"grace\": 1}").expect_err("unknown key");
    assert!(error.to_string().contains("unknown key 'grace'"), "{error}");
    let small = PluginLimits { memory_bytes: 64 * 1024, ..limits };
    let error = load("pass.wasm", &small, "").expect_err("needs more memory");
    assert!(error.to_string().contains("it does not start"), "{error}");
}

#[test]
fn cache_guest_reads_fresh_values_in_two_steps_and_asks_only_for_what_it_is_granted() {
    let mut cells = cells("cache.wasm", &PluginLimits::default());
    assert!(cells.generation().refused.is_empty());
    let get = head(Kind::Hook, 0);
    let reply = |number, bytes| OpResult { number, status: Status::Reply, bytes };
    let (id, step) = start_at(&mut cells, CLOCK, &get, &["GET", "k"]).unwrap();
    let Step::Pending(batch) = step else {
        panic!("not pending: {step:?}");
    };
    assert!(!batch.first, "both replies are needed");
    assert_eq!(batch.ops.len(), 2);
    let fresh = [reply(0, b"$1\r\nv\r\n"), reply(1, b":30000\r\n")];
    let step = cells.resume(CLOCK, id, fresh.into_iter()).unwrap();
    assert_eq!(step, Step::Done(b"$1\r\nv\r\n".to_vec()));
    let (id, _) = start_at(&mut cells, CLOCK, &get, &["GET", "k"]).unwrap();
    let missing = [reply(0, b"$-1\r\n"), reply(1, b":-2\r\n")];
    let Step::Pending(batch) = cells.resume(CLOCK, id, missing.into_iter()).unwrap() else {
        panic!("not pending");
    };
    assert!(batch.first, "a notice may come before the reply");
    assert!(batch.ops.iter().all(|op| op.denied.is_none()), "{:?}", batch.ops);
    let numbers: Vec<u32> = batch.ops.iter().map(|op| op.number).collect();
    assert_eq!(numbers, [2, 3, 4], "wait, watch, transaction");
    let won = [reply(4, b"*3\r\n$-1\r\n$-1\r\n:-2\r\n")];
    let step = cells.resume(CLOCK, id, won.into_iter()).unwrap();
    let Step::DoneBackground { reply, batch } = step else {
        panic!("no reply: {step:?}");
    };
    assert_eq!(reply, b"$-1\r\n");
    assert!(batch.last && matches!(batch.ops[0].op, Op::WatchSession { .. }), "{batch:?}");
    assert_eq!(cells.stats().live, 0);
    let leaders = cells.metrics()[2];
    assert_eq!((leaders.sum, leaders.count), (1, 1));
}

/// Makes a call the leader of a missing key.
fn lead(cells: &mut Cells) {
    let reply = |number, bytes| OpResult { number, status: Status::Reply, bytes };
    let (id, _) = start_at(cells, CLOCK, &head(Kind::Hook, 0), &["GET", "k"]).unwrap();
    cells.resume(CLOCK, id, [reply(0, b"$-1\r\n"), reply(1, b":-2\r\n")].into_iter()).unwrap();
    let won = [reply(4, b"*3\r\n$-1\r\n$-1\r\n:-2\r\n")];
    let step = cells.resume(CLOCK, id, won.into_iter()).unwrap();
    assert!(step.ends_call());
}

fn assert_leaders(cells: &mut Cells, count: u32) {
    // Its first own command, behind the hooks.
    let hooks = load("cache.wasm", &PluginLimits::default(), "").unwrap().manifest.hooks.len();
    let stats = head(Kind::OwnCommand, u16::try_from(hooks).unwrap());
    let (_, step) = start_at(cells, CLOCK, &stats, &["CACHE.STATS"]).unwrap();
    let Step::Done(rows) = step else {
        panic!("not done: {step:?}");
    };
    let text = String::from_utf8_lossy(&rows).into_owned();
    assert!(text.contains(&format!("leaders\r\n:{count}\r\n")), "{text}");
}

#[test]
fn shared_memory_outlives_a_trap_and_a_swap() {
    // A result of 40 MB does not fit into the guest's memory.
    let limits = PluginLimits { reply_bytes: 64 << 20, ..PluginLimits::default() };
    let mut cells = cells("cache.wasm", &limits);
    lead(&mut cells);
    let (id, _) = start_at(&mut cells, CLOCK, &head(Kind::Hook, 0), &["GET", "k"]).unwrap();
    let mut large = b"$40000000\r\n".to_vec();
    large.resize(large.len() + 40_000_000, b'x');
    large.extend_from_slice(b"\r\n");
    let large = OpResult { number: 0, status: Status::Reply, bytes: &large };
    let fault = cells.resume(CLOCK, id, [large].into_iter()).expect_err("no room for it");
    assert!(fault.is_crash(), "{fault:?}");
    assert_eq!((cells.stats().crashed, cells.stats().cells), (1, 0));
    assert_leaders(&mut cells, 1);
    lead(&mut cells);
    cells.swap(CLOCK, load("cache.wasm", &limits, "").unwrap(), 0);
    assert_leaders(&mut cells, 2);
}

#[test]
fn cache_without_shared_memory_is_refused_with_what_to_grant() {
    let grants = Grants { shared_bytes: Some(100), ..Grants::default() };
    let limits = PluginLimits::default();
    let error = engine()
        .load("t", &guest("cache.wasm"), &limits, &grants, &setup("*", ""))
        .expect_err("it cannot work")
        .to_string();
    assert!(error.contains("grant shared_bytes: 64KiB"), "{error}");
    let less = Grants { shared_bytes: Some(4096), ..Grants::default() };
    let loaded = engine().load("t", &guest("cache.wasm"), &limits, &less, &setup("*", "")).unwrap();
    assert_eq!(loaded.refused, ["shared memory: 4096 of 262144 bytes"]);
}

//! The misbehaving set: guests that break every rule, while other clients ask the same plugin, another one, and none.
//!
//! The guest `misbehaving` does on demand what no plugin may, from a hook, from a command of its own, and after a wait.
//! Each culprit is told what the contract says; of the others no request may fail, whatever cell it shares with whom.
//! The bounds that stop a plugin altogether (`plugin_faults` has them) are set so that they never do: here the
//! plugin must be borne, call by call. Memory is that of a gateway process.

use std::net::SocketAddr;
use std::path::Path;

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::frames::{To, command, pending};
use sluicegate_tests::gateway::{InProcess, Process};
use sluicegate_tests::load::{Load, ask, ask_elsewhere};
use sluicegate_tests::plugins::{
    Entry, PluginFile, await_binding, binding_rows, built, client_of_each_worker, with_words,
    yaml_with,
};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::rng::Rng;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const WORKERS: usize = 2;
/// What the config of the guest says; as long as the name of any fault in `init`.
const NO_FAULT: &str = "no-fault-yet";

/// Each fault and what its caller is told; "" for one that is answered all the same.
const FAULTS: [(&str, &str); 25] = [
    ("loop", "PLUGINERR bad: cpu limit"),
    ("bomb", "PLUGINERR bad: memory limit"),
    ("leak", ""),
    ("recurse", "PLUGINERR bad: trap stack overflow"),
    ("out-of-bounds", "PLUGINERR bad: trap out of bounds"),
    ("panic", "PLUGINERR bad: trap unreachable"),
    ("garbage", "PLUGINERR bad: bad reply"),
    ("empty", "PLUGINERR bad: bad reply"),
    ("lying-length", "PLUGINERR bad: bad reply"),
    ("lying-pointer", "PLUGINERR bad: bad reply"),
    ("lying-count", "PLUGINERR bad: bad reply"),
    ("lying-arg", "PLUGINERR bad: bad reply"),
    ("huge", "PLUGINERR bad: memory limit"),
    ("long", "PLUGINERR bad: reply larger than limits.reply (1048576 bytes)"),
    ("long-batch", "PLUGINERR bad: batch larger than limits.request"),
    ("many-operations", "PLUGINERR bad: bad reply"),
    ("no-ops", "PLUGINERR bad: bad reply"),
    ("endless-pending", "PLUGINERR bad: step limit"),
    ("broken-resp", "PLUGINERR bad: bad reply"),
    ("two-replies", "PLUGINERR bad: bad reply"),
    ("resp3", "PLUGINERR bad: bad reply"),
    ("deep", "PLUGINERR bad: bad reply"),
    ("bad-import-pointer", "PLUGINERR bad: trap out of bounds"),
    ("kept-flood", ""),
    ("log-flood", ""),
];
/// Faults that take their call milliseconds: one in so many bad calls is of these, so that ten thousand take seconds.
const SLOW: [&str; 7] =
    ["loop", "huge", "long", "long-batch", "endless-pending", "kept-flood", "log-flood"];
const SLOW_ONE_IN: usize = 200;
/// Clients that make them.
const CULPRITS: usize = 8;
/// Bad calls before memory is looked at, and between the two looks.
const WARM_UP: usize = 2_000;
const BAD_CALLS: usize = 10_000;
/// What the gateway's process may have more after `BAD_CALLS`: less than 1 KiB each.
const GROWTH_MAX_KIB: u64 = 4 * 1024;

/// What must not stop a plugin that breaks for ever. A long reply takes a few milliseconds to make; a call without an
/// end has one soon.
fn limits(quarantine: &str) -> String {
    format!(
        "limits: {{cpu_per_step: 20ms, call_timeout: 60s, steps: 100, request: 512KiB, quarantine: {quarantine}, \
         cell_idle: 100ms, breaker_traps: 1000000, breaker_within: 1s}}"
    )
}

/// The guest on its keys, `pass` on others.
fn yaml(shards: &[RealServer], file: &Path, limits: &str, binding: &str) -> String {
    let (pass, limits) = (built("pass"), [limits]);
    let plugins = [
        Entry { name: "bad", file, settings: &limits },
        Entry { name: "pass", file: &pass, settings: &[] },
    ];
    let faults = FAULTS.map(|(fault, _)| fault).join(", ");
    let bad = format!("{{use: bad, keys: [fine, bad-realloc, \"raw:*\", {faults}], {binding}}}");
    yaml_with(shards, &plugins, &[&bad, "{use: pass, keys: [\"pass:*\"]}"])
}

/// What they ask of the same plugin; `later` shares its cell with calls that break.
fn ask_same_plugin(client: &mut Client, user: usize, round: usize, writes: bool) {
    let asked: [(&[&str], Value); 3] = [
        (&["GET", "fine"], Value::ok()),
        (&["MISBEHAVE", "fine", "later"], Value::ok()),
        (&["GET", "fine"], Value::ok()),
    ];
    ask(client, &asked);
    let (raw, value) = (format!("raw:{user}"), format!("{user}-{round}"));
    if writes {
        through_plugin(client, &format!("SET {raw} {value}"), "+OK\r\n");
        through_plugin(client, &format!("GET {raw}"), &format!("${}\r\n{value}\r\n", value.len()));
    } else {
        through_plugin(client, &format!("GET {raw}"), "$-1\r\n");
    }
}

/// Lets the guest send a command, and checks what it was told.
fn through_plugin(client: &mut Client, line: &str, told: &str) {
    let frame = pending(false, &[command(0, To::OwnKeys, line)]);
    let reply = client.command(&[&b"RAW"[..], &frame]);
    let Value::Bulk(results) = &reply else { panic!("{line}: {reply:?}") };
    assert!(results.ends_with(told.as_bytes()), "{line}: {}", results.escape_ascii());
}

/// Clients that do nothing wrong, on both workers.
fn innocents(
    address: SocketAddr,
    of_the_plugin: impl Fn(&mut Client, usize, usize) + Send + Sync + 'static,
) -> Load {
    let clients = (0..6).map(|_| Client::connect(address)).collect();
    Load::start(clients, move |client: &mut Client, user, round| {
        of_the_plugin(client, user, round);
        ask_elsewhere(client, user, round);
    })
}

fn check(fault: &str, told: &str, reply: &Value) {
    let expected = if told.is_empty() { *reply == Value::ok() } else { reply.is_error(told) };
    assert!(expected, "{fault}: {reply:?}");
}

/// Every fault in every way, in an order of its own.
fn do_all_faults(culprit: &mut Client, seed: u64) {
    let mut rng = Rng::from_env(seed);
    let mut left = FAULTS.to_vec();
    while !left.is_empty() {
        let (fault, told) = left.swap_remove(rng.below(left.len()));
        let calls: [&[&str]; 3] =
            [&["GET", fault], &["MISBEHAVE", fault], &["MISBEHAVE", fault, "later"]];
        for call in calls {
            let reply = culprit.command(call);
            check(&format!("{call:?}"), told, &reply);
            assert_eq!(culprit.line("PING").text(), "PONG");
        }
    }
}

fn crashes(watchers: &mut [Client]) -> u64 {
    watchers.iter_mut().map(|watcher| binding_rows(watcher)[0].number("crashes")).sum()
}

/// A call that breaks when its client is gone.
fn break_in_cancel(address: SocketAddr, watchers: &mut [Client], fault: &str) {
    let before = crashes(watchers);
    eventually_true("a call to break while it is cancelled", || {
        let mut doomed = Client::connect(address);
        let Value::Integer(id) = doomed.line("CLIENT ID") else { panic!("CLIENT ID") };
        doomed.send_raw(&[request(&["PING"]), request(&["MISBEHAVE", fault, "asleep"])].concat());
        assert_eq!(doomed.reply().text(), "PONG");
        watchers[0].line(&format!("CLIENT KILL ID {id}"));
        crashes(watchers) > before
    });
}

/// Files that are refused at load, and why.
fn refuse_files(file: &PluginFile, watchers: &mut [Client], load: &Load) {
    let good = std::fs::read(built("misbehaving/misbehaving")).expect("a guest");
    let guest = |name: &str| std::fs::read(built(&format!("misbehaving/{name}"))).expect("a guest");
    let init = |fault: &str| with_words(&good, fault, &NO_FAULT[..fault.len()]);
    let refused = [
        (guest("foreign_import"), "does not offer"),
        (guest("wasi_import"), "WASI"),
        (init("init-refuse"), "pools.main.plugins[0].config: this config is refused"),
        (init("init-panic"), "init said no"),
        (init("init-loop"), "interrupt"),
        (init("init-garbage"), "no result"),
        (good[..good.len() / 2].to_vec(), "not a WebAssembly module"),
    ];
    for (bytes, why) in refused {
        file.replace(&bytes);
        await_binding(watchers, 0, why, |row| {
            row.last_load_failed.as_ref().is_some_and(|fault| fault.contains(why))
        });
        load.await_round();
    }
}

#[test]
fn no_request_of_an_innocent_client_fails_beside_any_fault() {
    // In quarantine calls have cells of their own, so that also those that write are safe.
    for (quarantine, writes) in [("60s", true), ("0s", false)] {
        let shards = RealServer::start_many(2);
        let file = PluginFile::copy_of("misbehaving/misbehaving");
        let binding = format!("config: {{fault: {NO_FAULT}}}");
        let yaml = yaml(&shards, file.path(), &limits(quarantine), &binding);
        let gateway = InProcess::start(&yaml);
        let address = gateway.address();
        let mut watchers = client_of_each_worker(address, WORKERS);
        for watcher in &mut watchers {
            assert!(watcher.line("GET panic").is_error("PLUGINERR"));
        }
        let load = innocents(address, move |client, user, round| {
            ask_same_plugin(client, user, round, writes);
        });
        std::thread::scope(|scope| {
            for (seed, mut culprit) in (0_u64..).zip(client_of_each_worker(address, WORKERS)) {
                scope.spawn(move || do_all_faults(&mut culprit, seed));
            }
        });
        for fault in ["loop-cancel", "panic-cancel"] {
            break_in_cancel(address, &mut watchers, fault);
            load.await_round();
        }
        refuse_files(&file, &mut watchers, &load);
        load.finish();
    }
}

#[test]
fn hooks_of_a_plugin_that_passes_when_it_fails_are_answered_whatever_it_does() {
    // With the default bounds it is soon stopped; an `init` that fails for all instances but the first; and one that is
    // borne for ever, with an allocator that lies.
    let kinds = [
        ("limits: {call_timeout: 60s}", NO_FAULT),
        ("limits: {call_timeout: 60s}", "init-panic-later"),
        (&limits("60s"), "init-loop-later"),
        (&limits("0s"), NO_FAULT),
    ];
    for (limits, fault) in kinds {
        let shards = RealServer::start_many(1);
        let mut shard = shards[0].client();
        let binding = format!("config: {{fault: {fault}}}, fail: pass");
        let file = built("misbehaving/misbehaving");
        let gateway = InProcess::start(&yaml(&shards, &file, limits, &binding));
        let faults = FAULTS.map(|(fault, _)| fault);
        for key in faults.iter().chain(&["fine", "bad-realloc"]) {
            shard.command(&["SET", key, "as it came"]);
        }
        let is_answered = |reply: &Value| [Value::ok(), Value::bulk("as it came")].contains(reply);
        let load = innocents(gateway.address(), move |client, _, _| {
            let reply = client.line("GET fine");
            assert!(is_answered(&reply), "GET fine: {reply:?}");
        });
        let mut culprits = client_of_each_worker(gateway.address(), WORKERS);
        for culprit in &mut culprits {
            for fault in faults.iter().chain(&["bad-realloc", "panic", "loop"]) {
                let reply = culprit.command(&["GET", fault]);
                assert!(is_answered(&reply), "{fault}: {reply:?}");
            }
            load.await_round();
            let row = binding_rows(culprit).swap_remove(0);
            assert!(row.number("passed") > 0, "{row:?}");
            let is_down = row.fields["state"] == "down";
            assert_eq!(is_down, !limits.contains("breaker"), "{fault}: {row:?}");
        }
        load.finish();
    }
}

/// Resident memory of the gateway when it has tidied up and its last cells are new, KiB.
fn resident_at_rest_kib(gateway: &Process, watchers: &mut [Client]) -> u64 {
    await_binding(watchers, 0, "cells to be given back", |row| row.number("cells") <= 1);
    for watcher in watchers {
        assert!(watcher.line("GET panic").is_error("PLUGINERR"));
        assert_eq!(watcher.line("GET fine"), Value::ok());
    }
    let status = format!("/proc/{}/status", gateway.pid());
    let text = std::fs::read_to_string(status).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// So many bad calls of all kinds, from several clients at once.
fn do_bad_calls(address: SocketAddr, count: usize) {
    std::thread::scope(|scope| {
        for seed in 0..CULPRITS {
            scope.spawn(move || do_one_clients_bad_calls(address, seed, count / CULPRITS));
        }
    });
}

fn do_one_clients_bad_calls(address: SocketAddr, seed: usize, count: usize) {
    let (mut culprit, mut rng) = (Client::connect(address), Rng::from_env(seed as u64));
    let (slow, quick): (Vec<_>, Vec<_>) =
        FAULTS.into_iter().partition(|(fault, _)| SLOW.contains(fault));
    for _ in 0..count {
        let faults = if rng.one_in(SLOW_ONE_IN) { &slow } else { &quick };
        let (fault, told) = faults[rng.below(faults.len())];
        let when = ["at once", "later"][rng.below(2)];
        let reply = culprit.command(&["MISBEHAVE", fault, when]);
        check(&format!("{fault} {when}"), told, &reply);
    }
}

#[test]
fn memory_of_the_gateway_does_not_grow_with_ten_thousand_bad_calls() {
    let shards = RealServer::start_many(1);
    let file = built("misbehaving/misbehaving");
    let listen = format!("127.0.0.1:{}", free_port());
    let yaml = yaml(&shards, &file, &limits("0s"), &format!("config: {{fault: {NO_FAULT}}}"));
    let yaml = yaml.replace("127.0.0.1:0", &listen);
    let gateway = Process::start(&yaml, listen.parse().expect("an address"));
    let mut watchers = client_of_each_worker(gateway.address(), WORKERS);
    do_bad_calls(gateway.address(), WARM_UP);
    let before_kib = resident_at_rest_kib(&gateway, &mut watchers);
    let crashed = crashes(&mut watchers);
    do_bad_calls(gateway.address(), BAD_CALLS);
    let after_kib = resident_at_rest_kib(&gateway, &mut watchers);
    let crashed = crashes(&mut watchers) - crashed;
    assert!(crashed > BAD_CALLS as u64 / 2, "only {crashed} of them broke their cell");
    assert!(
        after_kib < before_kib + GROWTH_MAX_KIB,
        "{before_kib} KiB before {BAD_CALLS} bad calls, {after_kib} KiB behind them"
    );
}

//! Questions between workers, without sockets: two cores, and the test carries what they say to each other, or does not.
//!
//! What a client asks about all clients has one reply, in its place, whether the other worker answers, answers late or
//! never. `client_commands` holds the same commands against real servers.

use std::path::Path;
use std::sync::Arc;

use sluicegate::config;
use sluicegate::core::answer::GatewayFacts;
use sluicegate::core::catalog::KnownPlugin;
use sluicegate::core::ids::SessionId;
use sluicegate::core::{Clock, Core, Pool, PoolSetup};
use sluicegate::topology::Topology;
use sluicegate_tests::client::request;

fn bytes_of(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| request(&line.split(' ').collect::<Vec<_>>())).collect()
}

/// Cores of two workers, each with one client, joined by nothing.
fn two_cores() -> [(Core, SessionId); 2] {
    let yaml = "pools: {p: {listen: \"127.0.0.1:1\", shards: [\"127.0.0.1:2\"]}}";
    let config = config::parse(yaml, Path::new("test.yaml")).expect("a configuration");
    [0, 1].map(|worker| {
        let pool = config.config.pools[0].clone();
        let topology = Topology::from_pool(&pool);
        let setup = PoolSetup { config: Arc::new(pool), topology, bindings: Vec::new() };
        let mut core = Core::new(vec![Pool::new(setup, 1)], worker, 1, 1 << 30);
        core.set_facts(GatewayFacts { workers: 2, ..GatewayFacts::default() });
        let session = core.open_session(0, format!("client:{worker}"), String::new());
        (core, session)
    })
}

fn output(core: &mut Core, session: SessionId) -> String {
    let session = core.session(session).expect("the session");
    String::from_utf8_lossy(session.out.front()).into_owned()
}

#[test]
fn reply_waits_for_the_other_worker_and_earlier_ones_come_first() {
    let [(mut core, session), (mut other, _)] = two_cores();
    core.client_input(session, &bytes_of(&["PING", "CLIENT LIST", "ECHO x"]));
    assert_eq!(output(&mut core, session), "+PONG\r\n");
    let ask = core.wake.asks.pop().expect("a question");
    other.asked(&ask);
    core.answered(other.wake.answers.pop().expect("an answer"));
    let all = output(&mut core, session);
    assert!(all.contains("addr=client:0") && all.contains("addr=client:1"), "{all}");
    assert!(all.ends_with("\r\n$1\r\nx\r\n"), "{all}");
}

#[test]
fn worker_that_does_not_answer_makes_the_reply_an_error_and_its_late_answer_nothing() {
    for line in [
        "CLIENT LIST",
        "CLIENT KILL ID 99 SKIPME no",
        "CLIENT PAUSE 1",
        "MONITOR",
        "CLIENT UNBLOCK 257",
    ] {
        let [(mut core, session), (mut other, _)] = two_cores();
        core.client_input(session, &bytes_of(&[line]));
        let ask = core.wake.asks.pop().expect("a question");
        other.asked(&ask);
        core.set_clock(Clock { now_ms: 4_999, unix_ms: 0 });
        core.on_time();
        assert_eq!(output(&mut core, session), "", "{line}");
        core.set_clock(Clock { now_ms: 5_000, unix_ms: 0 });
        core.on_time();
        let told = output(&mut core, session);
        let due = "-ERR 1 of the gateway's 2 workers did not answer within 5000 ms: ";
        assert!(told.starts_with(due), "{line}: {told}");
        core.answered(other.wake.answers.pop().expect("an answer"));
        assert_eq!(output(&mut core, session), told, "{line}");
    }
}

#[test]
fn worker_that_nobody_listens_to_stops_showing() {
    let [(mut core, session), (mut other, its_session)] = two_cores();
    core.client_input(session, &bytes_of(&["MONITOR"]));
    assert_eq!(core.wake.monitors, [(0, 1)], "counted before the others are asked");
    other.asked(&core.wake.asks.pop().expect("a question"));
    other.client_input(its_session, &bytes_of(&["PING"]));
    assert_eq!(other.wake.shown.pop().expect("lines").count, 1);
    other.shown_to_nobody(0);
    other.client_input(its_session, &bytes_of(&["PING"]));
    assert!(other.wake.shown.is_empty());
}

#[test]
fn reload_that_is_refused_or_never_answered_has_one_reply_in_its_place() {
    let reload = || {
        let [(mut core, session), _] = two_cores();
        let known = KnownPlugin {
            name: "p".into(),
            file: "p.wasm".into(),
            bindings: Vec::new(),
            generation: None,
            last_fault: None,
        };
        core.set_catalog(vec![known]);
        core.client_input(session, &bytes_of(&["PING", "SLUICEGATE PLUGIN RELOAD", "ECHO x"]));
        let order = core.wake.reloads.pop().expect("an order");
        assert_eq!((order.from, order.plugin), (0, None));
        assert_eq!(output(&mut core, session), "+PONG\r\n");
        (core, session, order)
    };
    let (mut core, session, order) = reload();
    core.reload_refused(order);
    let told = output(&mut core, session);
    assert!(told.contains("-ERR no more than 64 reloads may wait"), "{told}");
    assert!(told.ends_with("\r\n$1\r\nx\r\n"), "{told}");

    let (mut core, session, order) = reload();
    core.set_clock(Clock { now_ms: 120_000, unix_ms: 0 });
    core.on_time();
    let told = output(&mut core, session);
    assert!(told.contains("-ERR not loaded within 120000 ms; outcome unknown"), "{told}");
    core.reload_refused(order);
    assert_eq!(output(&mut core, session), told, "a late answer is nothing");

    let (mut core, session, _) = reload();
    core.drain();
    let told = output(&mut core, session);
    assert!(told.contains("-ERR the gateway stops; outcome unknown"), "{told}");

    let (mut core, session, order) = reload();
    core.close_session(session);
    core.reload_refused(order);
}

//! Guests that break again and again: when the gateway stops them, and what its log says of them.
//!
//! The guest `misbehaving` does on demand what no plugin may. Here the default bounds hold; `misbehaving` has every fault
//! and those who share a gateway with it.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, Process};
use sluicegate_tests::load::ask;
use sluicegate_tests::plugins::{
    Entry, PluginFile, await_binding, binding_rows, built, client_of_each_worker, variant,
    yaml_with,
};
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

const WORKERS: usize = 2;

#[test]
fn plugin_that_breaks_again_and_again_is_stopped_on_its_worker_until_its_file_is_replaced() {
    let shards = RealServer::start_many(1);
    let file = PluginFile::copy_of("misbehaving/misbehaving");
    let pass = built("pass");
    let plugins = [("bad", file.path()), ("pass", &pass)].map(|(name, file)| Entry {
        name,
        file,
        settings: &[],
    });
    let bindings = ["{use: bad, keys: [fine, panic]}", "{use: pass, keys: [\"pass:*\"]}"];
    let gateway = InProcess::start(&yaml_with(&shards, &plugins, &bindings));
    let mut workers = client_of_each_worker(gateway.address(), WORKERS);
    let state = |client: &mut Client| binding_rows(client)[0].fields["state"].clone();
    assert_eq!(state(&mut workers[0]), "up");
    for trap in 0..5 {
        let reply = workers[0].line("GET panic");
        assert!(reply.is_error("PLUGINERR bad: trap unreachable"), "{reply:?}");
        let expected = if trap < 4 { "quarantined" } else { "down" };
        assert_eq!(state(&mut workers[0]), expected, "after trap {trap}");
    }
    for request in ["GET panic", "GET fine", "MISBEHAVE fine"] {
        let reply = workers[0].line(request);
        assert!(reply.is_error("PLUGINDOWN bad:"), "{request}: {reply:?}");
    }
    let others: [(&[&str], Value); 3] = [
        (&["SET", "pass:1", "v"], Value::ok()),
        (&["PASS.ECHO", "pass:1"], Value::bulk("v")),
        (&["SET", "plain:1", "v"], Value::ok()),
    ];
    ask(&mut workers[0], &others);
    assert_eq!(workers[1].line("GET fine"), Value::ok());
    assert_eq!(state(&mut workers[1]), "up");
    let crashes = |client: &mut Client| binding_rows(client)[0].number("crashes");
    assert_eq!([0, 1].map(|place: usize| crashes(&mut workers[place])), [5, 0]);

    let old = binding_rows(&mut workers[0]).swap_remove(0);
    let good = std::fs::read(built("misbehaving/misbehaving")).expect("read a guest");
    file.replace(&variant(&good, "mended"));
    await_binding(&mut workers, 0, "the new file to be taken", |row| {
        row.number("generation") > old.number("generation")
    });
    assert_eq!(workers[0].line("GET fine"), Value::ok());
    assert_eq!(state(&mut workers[0]), "up");
}

#[test]
fn log_tells_what_guests_say_and_counts_what_fails_again_and_again() {
    let shards = RealServer::start_many(1);
    let bad = built("misbehaving/misbehaving");
    let entry = Entry { name: "bad", file: &bad, settings: &[] };
    let yaml = yaml_with(&shards, &[entry], &["{use: bad, keys: [\"*\"]}"]);
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let yaml = yaml.replace("127.0.0.1:0", &listen).replace("workers: 2", "workers: 1");
    let gateway = Process::start(&yaml, listen.parse().expect("an address"));
    let mut client = Client::connect(gateway.address());
    assert_eq!(client.line("MISBEHAVE log-flood"), Value::ok());
    eventually_true("what the guest said", || gateway.log().contains(&"x".repeat(512)));
    (0..5).for_each(|_| assert!(client.line("GET panic").is_error("PLUGINERR")));
    (0..2_000).for_each(|_| assert!(client.line("GET fine").is_error("PLUGINDOWN")));
    eventually_true("the others to be counted", || gateway.log().contains("more like it"));
    let lines = gateway.log().matches("PLUGINDOWN").count();
    assert!(lines < 20, "{lines} lines");
}

//! Two hundred swaps of a plugin under load: no request fails, and every swap is one generation.
//!
//! `SLUICEGATE PLUGIN RELOAD` takes a new file as fast as it can be given; clients on both workers use its hooks, its own
//! command and calls that wait, another plugin, and keys without one. The files are a few variants whose code is
//! compiled already, so that the swaps follow each other closely. `plugins` swaps by watching files.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::load::{Load, ask, ask_elsewhere};
use sluicegate_tests::plugins::{
    Entry, PluginFile, binding_rows, built, client_of_each_worker, variant, yaml_with,
};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

const WORKERS: usize = 2;
const SWAPS: u64 = 200;
const VARIANTS: u64 = 4;

/// What each client does meanwhile; `PROBE.WORK` is a call of several waits, which spans swaps.
fn ask_all_ways(client: &mut Client, user: usize, round: usize) {
    let value = format!("{user}-{round}");
    let probed = format!("probe:{user}");
    let asked: [(&[&str], Value); 3] = [
        (&["SET", &probed, &value], Value::ok()),
        (&["GET", &probed], Value::bulk(format!("{value}+"))),
        (&["PROBE.WORK", &probed, "10", "0"], Value::Integer(10)),
    ];
    ask(client, &asked);
    ask_elsewhere(client, user, round);
}

#[test]
fn two_hundred_swaps_under_load_fail_no_request() {
    let shards = RealServer::start_many(2);
    let (file, pass) = (PluginFile::copy_of("probe"), built("pass"));
    let plugins = [("probe", file.path()), ("pass", &pass)].map(|(name, file)| Entry {
        name,
        file,
        settings: &[],
    });
    let bindings = ["{use: probe, keys: [\"probe:*\"]}", "{use: pass, keys: [\"pass:*\"]}"];
    let gateway = InProcess::start(&yaml_with(&shards, &plugins, &bindings));
    let mut watchers = client_of_each_worker(gateway.address(), WORKERS);
    let generation = |client: &mut Client| binding_rows(client)[0].number("generation");
    // Generations of all plugins are counted together.
    let rows = binding_rows(&mut watchers[0]);
    let first = rows.iter().map(|row| row.number("generation")).max().expect("a binding");
    let good = std::fs::read(built("probe")).expect("a plugin");
    let variants = (0..VARIANTS).map(|number| variant(&good, &format!("variant {number}")));
    let variants: Vec<Vec<u8>> = variants.collect();
    let load = Load::start((0..8).map(|_| gateway.client()).collect(), ask_all_ways);
    for swap in 0..SWAPS {
        file.replace(&variants[usize::try_from(swap % VARIANTS).expect("a small number")]);
        let reply = watchers[0].line("SLUICEGATE PLUGIN RELOAD probe");
        let wanted = first + swap + 1;
        assert!(reply.text().contains(&format!("generation {wanted},")), "{swap}: {reply:?}");
        // The answer means that every worker runs it.
        for watcher in &mut watchers {
            assert_eq!(generation(watcher), wanted);
        }
    }
    load.await_round();
    load.finish();
    for watcher in &mut watchers {
        let row = binding_rows(watcher).swap_remove(0);
        assert_eq!(row.number("crashes"), 0, "{row:?}");
        assert_eq!(row.last_load_failed, None);
    }
}

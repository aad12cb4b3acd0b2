//! SELECT: clients in different databases share the connections to the shards, and none sees another's keys.
//!
//! Three shards with their default 16 databases, or with fewer. A plain server says what is right where it has words for
//! it; what only a gateway can meet, a shard with fewer databases than the pool, is told by name.

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

fn select(client: &mut Client, database: usize) {
    assert_eq!(client.command(&["SELECT", &database.to_string()]), Value::ok());
}

#[test]
fn clients_in_different_databases_share_lanes_and_keep_their_keys_apart() {
    let shards = RealServer::start_many(3);
    // One worker: all clients share its lanes.
    let yaml = yaml_over(&shards, &[]).replace("workers: 2", "workers: 1");
    let gateway = InProcess::start(&yaml);
    let mut clients: Vec<Client> = (0..16).map(|_| gateway.client()).collect();
    for (database, client) in clients.iter_mut().enumerate() {
        select(client, database);
    }
    let keys: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    for key in &keys {
        // All at once, so that requests of different databases stand side by side on each lane.
        for (database, client) in clients.iter_mut().enumerate() {
            client.send(&["SET", key, &format!("{key}@{database}")]);
            client.send(&["GET", key]);
        }
        for (database, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.reply(), Value::ok());
            assert_eq!(client.reply(), Value::bulk(format!("{key}@{database}")));
        }
    }
    for (database, client) in clients.iter_mut().enumerate() {
        let mget: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
        let wanted = keys.iter().map(|key| Value::bulk(format!("{key}@{database}"))).collect();
        assert_eq!(client.command(&mget), Value::Array(wanted));
        assert_eq!(client.line("MULTI"), Value::ok());
        client.command(&["GET", "k7"]);
        let wanted = vec![Value::bulk(format!("k7@{database}"))];
        assert_eq!(client.line("EXEC"), Value::Array(wanted));
        assert_eq!(client.line("DBSIZE"), Value::Integer(40));
        assert!(client.line("CLIENT INFO").text().contains(&format!(" db={database} ")));
        assert_eq!(client.line("RESET").text(), "RESET");
        assert_eq!(client.line("GET k7"), Value::bulk("k7@0"), "RESET goes back to database 0");
    }
    let used = |database: usize| {
        let size = |shard: &RealServer| {
            let mut client = shard.client();
            select(&mut client, database);
            client.line("DBSIZE")
        };
        shards.iter().map(size).collect::<Vec<_>>()
    };
    assert!(used(15).iter().all(|size| *size > Value::Integer(0)), "{:?}", used(15));
}

#[test]
fn keys_go_from_one_database_to_another() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let plain = RealServer::start();
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    for line in [
        "SET {t}a 1",
        "COPY {t}a {t}b DB 3",
        "MOVE {t}a 3",
        "EXISTS {t}a {t}b",
        "SELECT 3",
        "GET {t}a",
        "GET {t}b",
        "MOVE {t}a 3",
        "MOVE {t}a 99",
        "MOVE {t}a x",
        "COPY {t}a {t}b DB 99",
        "MOVE none 0",
    ] {
        assert_eq!(ours.line(line), theirs.line(line), "{line}");
    }
}

#[test]
fn select_is_worded_as_a_plain_server_does() {
    let shards = RealServer::start_many(1);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let plain = RealServer::start();
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    for line in
        ["SELECT 15", "SELECT 16", "SELECT -1", "SELECT x", "SELECT 1 2", "SELECT", "SELECT 00"]
    {
        assert_eq!(ours.line(line), theirs.line(line), "{line}");
    }
    assert_eq!(ours.line("CONFIG GET databases"), theirs.line("CONFIG GET databases"));
}

#[test]
fn shard_with_fewer_databases_serves_database_0_and_names_itself_for_others() {
    let shards = vec![RealServer::start_with(&["--databases", "2"])];
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut client = gateway.client();
    assert_eq!(client.line("SET k 0"), Value::ok());
    select(&mut client, 1);
    let said = client.line("GET k").text();
    assert!(said.contains("shard 'shard-0'") && said.ends_with("not sent"), "{said}");
    assert!(said.contains("databases: 16"), "{said}");
    select(&mut client, 0);
    assert_eq!(client.line("GET k"), Value::bulk("0"));
    // The pool that says how many there are may use them.
    let gateway = InProcess::start(&yaml_over(&shards, &["databases: 2", "database: 1"]));
    let mut client = gateway.client();
    assert_eq!(client.line("GET k"), Value::Null);
    assert_eq!(client.line("SET k 1"), Value::ok());
    select(&mut client, 0);
    assert_eq!(client.line("GET k"), Value::bulk("0"));
    assert_eq!(client.line("SELECT 2").text(), "ERR DB index is out of range");
}

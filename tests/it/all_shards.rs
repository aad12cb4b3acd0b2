//! What servers tell of themselves, asked through the gateway: INFO, CONFIG, SLOWLOG, LATENCY and MODULE LIST over shards.
//!
//! What the gateway says is held against what the shards say when they are asked directly. Shards are killed and frozen
//! to see that a handshake goes on. Each test has servers and a gateway of its own.

use std::collections::BTreeMap;

use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

/// Three shards, one of them a Valkey where this machine has one.
fn start(extra: &[&str]) -> (Vec<RealServer>, InProcess) {
    let mut shards = RealServer::start_many(2);
    shards.push(RealServer::start_valkey().unwrap_or_else(RealServer::start));
    let gateway = InProcess::start(&yaml_over(&shards, extra));
    (shards, gateway)
}

/// The lines of an INFO.
fn info(client: &mut Client, line: &str) -> BTreeMap<String, String> {
    let text = client.line(line).text();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn number(info: &BTreeMap<String, String>, name: &str) -> i64 {
    let value = info.get(name).unwrap_or_else(|| panic!("no {name} in {info:?}"));
    value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}"))
}

fn pairs(value: &Value) -> BTreeMap<String, String> {
    match value {
        Value::Array(items) => {
            items.chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
        }
        Value::Map(items) => {
            items.iter().map(|(name, value)| (name.text(), value.text())).collect()
        }
        other => panic!("no pairs: {other:?}"),
    }
}

#[test]
fn info_adds_up_what_the_shards_say() {
    let (shards, gateway) = start(&[]);
    let mut client = gateway.client();
    for number in 0..60 {
        let key = format!("k:{number}");
        client.command(&["SET", &key, "v"]);
        if number % 3 == 0 {
            client.command(&["EXPIRE", &key, "1000"]);
        }
        client.command(&["GET", &key]);
        client.command(&["GET", &format!("none:{number}")]);
    }
    let mut direct: Vec<Client> = shards.iter().map(RealServer::client).collect();
    let sum = |of: &mut dyn FnMut(&mut Client) -> i64, direct: &mut Vec<Client>| -> i64 {
        direct.iter_mut().map(of).sum()
    };
    let keyspace = info(&mut client, "INFO keyspace");
    assert!(keyspace["db0"].starts_with("keys=60,expires=20,avg_ttl="), "{keyspace:?}");
    for (section, name) in [
        ("stats", "keyspace_hits"),
        ("stats", "keyspace_misses"),
        ("memory", "used_memory_startup"),
        ("persistence", "rdb_changes_since_last_save"),
        ("replication", "connected_slaves"),
    ] {
        let line = format!("INFO {section}");
        let due = sum(&mut |shard| number(&info(shard, &line), name), &mut direct);
        assert_eq!(number(&info(&mut client, &line), name), due, "{name}");
    }
    assert_eq!(number(&info(&mut client, "INFO stats"), "keyspace_hits"), 60);
    let memory = info(&mut client, "INFO memory");
    assert_eq!(memory["maxmemory_policy"], "noeviction");
    assert!(memory["used_memory_human"].ends_with('M'), "{memory:?}");
    let commands = client.line("INFO commandstats").text();
    assert!(commands.contains("cmdstat_expire:calls=20,usec="), "{commands}");
    let replication = client.line("INFO replication").text();
    for line in [
        "role:master\r\n",
        "shard0:name=shard-0,role=master,connected_slaves=0,",
        "shard2:name=shard-2,",
    ] {
        assert!(replication.contains(line), "{line} is missing in {replication}");
    }
    let everything = client.line("INFO everything").text();
    for title in ["Server", "Memory", "Commandstats", "Errorstats", "Keyspace", "Gateway"] {
        assert!(everything.contains(&format!("# {title}\r\n")), "{title}");
    }
    // One shard's own, whole.
    let own = info(&mut client, "INFO shard shard-1 server");
    assert_eq!(own["process_id"], info(&mut direct[1], "INFO server")["process_id"]);
    let refused = client.line("INFO shard nope");
    let due = "ERR there is no shard 'nope'; the shards are shard-0, shard-1, shard-2";
    assert_eq!(refused, Value::Error(due.into()));
}

#[test]
fn handshakes_go_on_when_shards_are_down_or_frozen() {
    let (mut shards, gateway) = start(&[]);
    let mut client = gateway.client();
    client.line("SET a 1");
    shards[0].kill();
    shards[1].pause();
    for line in ["INFO", "INFO persistence", "INFO memory keyspace"] {
        let found = info(&mut client, line);
        assert_eq!(found["shards_missing"], "shard-0,shard-1", "{line}");
    }
    let found = info(&mut client, "INFO");
    assert_eq!((found["loading"].as_str(), found["role"].as_str()), ("0", "master"));
    assert!(found.contains_key("redis_version") && number(&found, "used_memory") > 0);
    // The gateway's own need no shard, and other settings the first shard that answers.
    assert!(!info(&mut client, "INFO server clients").contains_key("shards_missing"));
    assert_eq!(pairs(&client.line("CONFIG GET databases"))["databases"], "16");
    shards[1].resume();
    eventually_true("the frozen shard to answer again", || {
        info(&mut client, "INFO memory")["shards_missing"] == "shard-0"
    });
    assert_eq!(pairs(&client.line("CONFIG GET save"))["save"], "");
    assert_eq!(pairs(&client.line("CONFIG GET appendonly"))["appendonly"], "no");
}

#[test]
fn settings_are_set_everywhere_and_read_of_one() {
    let (mut shards, gateway) = start(&[]);
    let mut client = gateway.client();
    // What Spring Session does at its start.
    assert_eq!(
        pairs(&client.line("CONFIG GET notify-keyspace-events"))["notify-keyspace-events"],
        ""
    );
    assert_eq!(client.line("CONFIG SET notify-keyspace-events Egx"), Value::ok());
    for shard in &shards {
        let found = pairs(&shard.client().line("CONFIG GET notify-keyspace-events"));
        assert_eq!(found["notify-keyspace-events"].len(), 3);
    }
    assert_eq!(
        pairs(&client.line("CONFIG GET notify-keyspace-events"))["notify-keyspace-events"].len(),
        3
    );
    for shard in &shards {
        shard.client().line("CONFIG SET masterauth secret");
    }
    let all = pairs(&client.line("CONFIG GET *"));
    assert!(all.len() > 100 && all["databases"] == "16" && all["maxmemory"] == "0");
    assert!(!all.values().any(|value| value == "secret") && !all.contains_key("requirepass"));
    let mut plain = shards[0].client();
    for line in [
        "CONFIG SET foo bar",
        "CONFIG SET maxmemory",
        "CONFIG SET maxmemory xx",
        "CONFIG SET maxmemory 0 foo",
        "CONFIG GET",
    ] {
        assert_eq!(client.line(line), plain.line(line), "{line}");
    }
    for line in ["CONFIG SET requirepass x", "CONFIG SET maxmemory 0 maxclients 5"] {
        let reply = client.line(line);
        assert!(
            reply.is_error("ERR CONFIG SET of '") && reply.text().contains("gateway"),
            "{reply:?}"
        );
    }
    client.line("HELLO 3");
    assert!(matches!(client.line("CONFIG GET maxmemory*"), Value::Map(_)));
    shards[2].kill();
    eventually_true("the gateway to see that the shard is gone", || {
        client.line("CONFIG SET maxmemory 0").is_error(
            "ERR CONFIG SET done on 'shard-0', 'shard-1'; not on 'shard-2': shard 'shard-2' (",
        )
    });
}

#[test]
fn slow_logs_and_latencies_are_one() {
    let (shards, gateway) = start(&[]);
    let mut client = gateway.client();
    assert_eq!(client.line("CONFIG SET slowlog-log-slower-than 0"), Value::ok());
    assert_eq!(client.line("SLOWLOG RESET"), Value::ok());
    for number in 0..30 {
        client.command(&["SET", &format!("k:{number}"), "v"]);
    }
    let due: Vec<Value> = shards.iter().map(|shard| shard.client().line("SLOWLOG LEN")).collect();
    assert_eq!(client.line("CONFIG SET slowlog-log-slower-than -1"), Value::ok());
    assert!(client.line("SLOWLOG LEN") >= Value::Integer(30), "{due:?}");
    let Value::Array(entries) = client.line("SLOWLOG GET -1") else { panic!("entries") };
    let mut numbers = Vec::new();
    let mut times = Vec::new();
    let mut by_shard: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &entries {
        let Value::Array(fields) = entry else { panic!("an entry: {entry:?}") };
        numbers.push(fields[0].clone());
        times.push(fields[1].clone());
        let is_set = matches!(&fields[3], Value::Array(words) if words[0] == Value::bulk("SET"));
        *by_shard.entry(fields[5].text()).or_default() += usize::from(is_set);
    }
    assert!(times.is_sorted_by(|a, b| a >= b), "the newest first");
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), entries.len(), "each has a number of its own");
    assert_eq!(by_shard.values().sum::<usize>(), 30);
    assert!(by_shard.keys().eq(["shard-0", "shard-1", "shard-2"]), "{by_shard:?}");
    for (line, count) in [("SLOWLOG GET", 10), ("SLOWLOG GET 3", 3)] {
        assert!(matches!(client.line(line), Value::Array(some) if some.len() == count), "{line}");
    }
    let mut plain = shards[0].client();
    for line in ["SLOWLOG GET -2", "SLOWLOG GET x", "LATENCY HISTORY", "LATENCY GRAPH none"] {
        assert_eq!(client.line(line), plain.line(line), "{line}");
    }
    // A Redis 7.0 shard knows no COMMANDLOG.
    assert!(client.line("COMMANDLOG LEN slow").is_error("ERR "));

    let histogram = client.line("LATENCY HISTOGRAM set");
    let Value::Array(fields) = &histogram else { panic!("{histogram:?}") };
    assert_eq!(fields[0], Value::bulk("set"));
    let Value::Array(of_set) = &fields[1] else { panic!("{histogram:?}") };
    assert_eq!(of_set[1], Value::Integer(30), "calls");
    let Value::Array(buckets) = &of_set[3] else { panic!("{histogram:?}") };
    assert_eq!(buckets.last(), Some(&Value::Integer(30)), "all calls are below the last bound");
    assert_eq!(client.line("LATENCY LATEST"), Value::Array(vec![]));
    let doctor = client.line("LATENCY DOCTOR").text();
    assert!(doctor.contains("# shard 'shard-2'") || doctor.contains("Dave"), "{doctor}");
    assert_eq!(client.line("MODULE LIST"), Value::Array(vec![]), "what all shards have");
    assert!(client.line("MEMORY STATS").is_error("ERR 'memory|stats' is not supported"));
}

#[test]
fn one_shard_speaks_for_itself() {
    let shards = RealServer::start_many(1);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let (mut client, mut plain) = (gateway.client(), shards[0].client());
    client.line("CONFIG SET slowlog-log-slower-than 0");
    client.line("SET a 1");
    client.line("CONFIG SET slowlog-log-slower-than -1");
    client.line("RPUSH l 1 2 3");
    for line in [
        "SLOWLOG GET 2",
        "SLOWLOG LEN",
        "LATENCY HISTOGRAM set",
        "LATENCY LATEST",
        "MODULE LIST",
        "MEMORY DOCTOR",
        "SCAN 0 COUNT 100",
        "SCAN -1",
        "LASTSAVE",
        "CONFIG GET maxmemory*",
    ] {
        assert_eq!(client.line(line), plain.line(line), "{line}");
    }
    client.line("MULTI");
    for line in ["DBSIZE", "SCAN 0 COUNT 100", "FLUSHALL"] {
        assert_eq!(client.line(line), Value::Simple(b"QUEUED".to_vec()), "{line}");
    }
    assert!(
        matches!(client.line("EXEC"), Value::Array(replies) if replies[0] == Value::Integer(2))
    );
    client.line("MULTI");
    assert!(client.line("CONFIG SET requirepass x").is_error("ERR 'config|set' is not supported"));
    assert!(client.line("EXEC").is_error("EXECABORT"));
}

//! Keys lie where twemproxy would put them: the same nutcracker.yml, a running nutcracker, real servers.
//!
//! For each pool of a table, 10,000 keys are written through nutcracker, each server's keys are listed, the servers
//! are emptied, the gateway starts from the same file, the same keys are written through it, and the lists must be
//! equal. Without nutcracker (Debian package of that name) the test says so, and fails where `CI=true`.

use std::collections::HashSet;
use std::fmt::Write;
use std::net::SocketAddr;

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::InProcess;
use sluicegate_tests::nutcracker::Nutcracker;
use sluicegate_tests::real_server::{RealServer, free_port};
use sluicegate_tests::rng::Rng;
use sluicegate_tests::tools::find_or_skip;
use sluicegate_tests::value::Value;

const KEYS: usize = 10_000;

/// One nutcracker.yml: its settings, and weight and name per server.
struct Pool {
    settings: &'static [&'static str],
    servers: usize,
    weight: fn(usize) -> usize,
    name: Option<fn(usize) -> String>,
}

const EQUAL: fn(usize) -> usize = |_| 1;
const GROWING: fn(usize) -> usize = |index| 1 + index * 3;

const POOLS: &[Pool] = &[
    Pool { settings: &[], servers: 3, weight: EQUAL, name: None },
    Pool { settings: &[], servers: 25, weight: EQUAL, name: None },
    Pool {
        settings: &["hash: fnv1a_64", "distribution: ketama"],
        servers: 25,
        weight: GROWING,
        name: Some(plain_name),
    },
    Pool {
        settings: &["hash: murmur", "hash_tag: \"{}\""],
        servers: 3,
        weight: GROWING,
        name: Some(high_name),
    },
    Pool {
        settings: &["hash: hsieh", "hash_tag: \"$$\""],
        servers: 25,
        weight: EQUAL,
        name: Some(plain_name),
    },
    Pool {
        settings: &["hash: one_at_a_time", "distribution: modula"],
        servers: 3,
        weight: GROWING,
        name: None,
    },
    Pool {
        settings: &["hash: jenkins", "distribution: modula"],
        servers: 25,
        weight: GROWING,
        name: Some(plain_name),
    },
    Pool { settings: &["hash: md5"], servers: 3, weight: EQUAL, name: None },
    Pool { settings: &["hash: fnv1_64"], servers: 3, weight: GROWING, name: None },
    Pool { settings: &["hash: fnv1_32"], servers: 25, weight: EQUAL, name: None },
    Pool { settings: &["hash: fnv1a_32"], servers: 3, weight: GROWING, name: None },
    Pool { settings: &["hash: crc16"], servers: 3, weight: EQUAL, name: Some(plain_name) },
    Pool { settings: &["hash: crc32a"], servers: 25, weight: GROWING, name: None },
    Pool {
        settings: &["hash: crc32", "distribution: modula"],
        servers: 3,
        weight: EQUAL,
        name: None,
    },
];

/// Names of several lengths in no order: nutcracker sorts its servers by length of name, then name, before it
/// gives out the slots of `modula`.
fn plain_name(index: usize) -> String {
    format!("cache-{}", (index * 7 + 3) % 25 * 9)
}

/// A name with bytes above 0x7f: they go through the same signed loops as keys.
fn high_name(index: usize) -> String {
    format!("sk\u{e4}rva-\u{448}\u{430}\u{440}\u{434}-{index}")
}

impl Pool {
    fn yaml(&self, listen: SocketAddr, servers: &[RealServer]) -> String {
        let mut text = format!("alpha:\n  listen: {listen}\n  redis: true\n");
        for setting in self.settings {
            writeln!(text, "  {setting}").expect("write to a string");
        }
        text.push_str("  servers:\n");
        for (index, server) in servers.iter().take(self.servers).enumerate() {
            let name = self.name.map(|name| format!(" {}", name(index))).unwrap_or_default();
            writeln!(text, "   - {}:{}{name}", server.address(), (self.weight)(index))
                .expect("write to a string");
        }
        text
    }
}

/// Keys as people have them, tagged ones, and bytes of any value.
fn keys(rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = (0..KEYS)
        .map(|index| match index % 5 {
            0 => format!("user:{index}").into_bytes(),
            1 => format!("{{group{}}}:member:{index}", rng.below(500)).into_bytes(),
            2 => format!("${}$ item {index}", rng.below(500)).into_bytes(),
            3 => format!("\u{43a}\u{43b}\u{44e}\u{447}-{index}").into_bytes(),
            _ => {
                let len = 1 + rng.below(40);
                rng.bytes(len)
            }
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Writes every key through `address`, 500 in flight.
fn write_keys(address: SocketAddr, keys: &[Vec<u8>]) {
    let mut client = Client::connect(address);
    for group in keys.chunks(500) {
        let requests: Vec<u8> =
            group.iter().flat_map(|key| request(&[b"SET", &key[..], b"v"])).collect();
        client.send_raw(&requests);
        for key in group {
            assert_eq!(client.reply(), Value::ok(), "SET of {}", key.escape_ascii());
        }
    }
}

/// The keys on each server; empties the servers.
fn take_keys(servers: &[RealServer]) -> Vec<Value> {
    let take = |server: &RealServer| {
        let mut client = server.client();
        let keys = client.command(&["KEYS", "*"]).sorted();
        assert_eq!(client.line("FLUSHALL"), Value::ok());
        keys
    };
    servers.iter().map(take).collect()
}

/// The keys that are in `ours` only. When no server has any, all servers have equal keys.
fn strangers<'a>(ours: &'a Value, theirs: &Value) -> Vec<&'a Value> {
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            let theirs: HashSet<&Value> = theirs.iter().collect();
            ours.iter().filter(|key| !theirs.contains(key)).collect()
        }
        other => panic!("no lists of keys: {other:?}"),
    }
}

#[test]
fn keys_lie_on_the_servers_that_nutcracker_chose() {
    let Some(program) = find_or_skip("nutcracker", "placement beside nutcracker") else {
        return;
    };
    let servers = RealServer::start_many(25);
    let mut rng = Rng::from_env(11);
    let keys = keys(&mut rng);
    assert!(keys.len() > KEYS * 9 / 10, "the keys differ");
    for pool in POOLS {
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let yaml = pool.yaml(listen, &servers);
        let nutcracker = Nutcracker::start(&program, &yaml, listen);
        write_keys(listen, &keys);
        let theirs = take_keys(&servers);
        drop(nutcracker);
        let gateway = InProcess::start(&yaml);
        assert_eq!(gateway.address(), listen);
        write_keys(listen, &keys);
        drop(gateway);
        for (index, (ours, theirs)) in take_keys(&servers).iter().zip(&theirs).enumerate() {
            let strangers = strangers(ours, theirs);
            assert!(
                strangers.is_empty(),
                "{} keys on server {index} that nutcracker put elsewhere, such as {:?}, with\n{yaml}",
                strangers.len(),
                strangers[0],
            );
        }
        let used = theirs.iter().filter(|keys| **keys != Value::Array(Vec::new())).count();
        assert!(used > 1, "nutcracker used {used} servers: this pool compares nothing\n{yaml}");
    }
}

//! `nutcracker.yml`: what twemproxy accepts and refuses, its defaults, and a warning per trap.
//!
//! `BASE` is a file that twemproxy 0.5.0 takes; a case adds a line to its pool. The placement of its keys is tested in
//! `topology`, and against a running nutcracker in the scenario tests.

use std::path::Path;
use std::time::Duration;

use super::fault::Fault;
use super::tree::Tree;
use super::{Address, Distribution, Listen, Loaded, PathBuf, Secret, nutcracker, parse};
use crate::hashing::HashKind;

/// A pool named `alpha` whose `servers` stand in lines 5 to 7; a case's line becomes line 8.
const BASE: &str = "alpha:\n  listen: 127.0.0.1:22121\n  redis: true\n  servers:\n   - 127.0.0.1:6379:1 one\n   - 127.0.0.1:6380:1 two\n   - 127.0.0.1:6381:1 three\n";

fn base_with(line: &str) -> String {
    format!("{BASE}  {line}\n")
}

fn faults(text: &str) -> Vec<String> {
    let result = parse(text, Path::new("nutcracker.yml"));
    let faults = result.map(|loaded| loaded.config).unwrap_err();
    faults.iter().map(Fault::to_string).collect()
}

fn loaded(text: &str) -> Loaded {
    parse(text, Path::new("nutcracker.yml")).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"))
}

fn warnings(text: &str) -> Vec<String> {
    loaded(text).warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn plain_file_gets_twemproxys_defaults() {
    let config = loaded(BASE).config;
    let pool = &config.pools[0];
    assert_eq!(pool.name, "alpha");
    let host = "127.0.0.1".to_owned();
    assert_eq!(pool.listen, Listen::Tcp { host, port: 22121 });
    assert_eq!(pool.distribution, Distribution::Ketama);
    assert_eq!(pool.hash, HashKind::Fnv1a64);
    assert_eq!((pool.hash_tag, pool.timeout, pool.idle_timeout), (None, None, None));
    assert_eq!((pool.backlog, pool.preconnect), (512, false));
    assert_eq!(pool.client_password, None);
    let names: Vec<_> = pool.shards.iter().map(|shard| shard.name.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"]);
    assert!(pool.shards.iter().all(|shard| shard.named && shard.weight == 1));
}

#[test]
fn every_setting_is_taken_as_twemproxy_means_it() {
    let text = "a b:\n  listen: /tmp/gate.sock 666\n  hash: murmur\n  hash_tag: $$\n  distribution: modula\n  timeout: 400\n  backlog: 1024\n  preconnect: true\n  redis: true\n  redis_auth: 0123\n  redis_db: 0\n  server_connections: 1\n  auto_eject_hosts: false\n  servers: 10.0.0.1:11211:3\n";
    let config = loaded(text).config;
    let pool = &config.pools[0];
    let path = PathBuf::from("/tmp/gate.sock");
    let mode = Some(0o666);
    assert_eq!(pool.listen, Listen::Unix { path, mode });
    assert_eq!((pool.hash, pool.distribution), (HashKind::Murmur, Distribution::Modula));
    assert_eq!(pool.hash_tag, Some(*b"$$"));
    assert_eq!(pool.timeout, Some(Duration::from_millis(400)));
    assert_eq!(pool.connect_timeout, Duration::from_millis(400));
    assert_eq!((pool.backlog, pool.preconnect), (1024, true));
    let password = Some(Secret::new(b"0123".to_vec()));
    assert_eq!((&pool.client_password, &pool.shard_password), (&password, &password));
    assert_eq!((pool.shards[0].name.as_str(), pool.shards[0].weight), ("10.0.0.1", 3));
}

#[test]
fn servers_are_read_from_the_end_and_named_as_twemproxy_names_them() {
    let tcp = |host: &str, port| {
        let host = host.to_owned();
        Some(Address::Tcp { host, port })
    };
    let unix = |path: &str| {
        let path = PathBuf::from(path);
        Some(Address::Unix { path })
    };
    let cases = [
        ("10.0.0.1:6379:1", "10.0.0.1:6379", tcp("10.0.0.1", 6379)),
        ("10.0.0.1:11211:2", "10.0.0.1", tcp("10.0.0.1", 11211)),
        ("10.0.0.1:11211:2 x", "x", tcp("10.0.0.1", 11211)),
        ("redis.local:6379:1 a:b", "a:b", tcp("redis.local", 6379)),
        ("::1:6379:1", "::1:6379", tcp("::1", 6379)),
        ("/tmp/r.sock:1", "/tmp/r.sock:", unix("/tmp/r.sock")),
        ("/tmp/r.sock:1 r", "r", unix("/tmp/r.sock")),
        ("10.0.0.1:6379", "", None),
        ("10.0.0.1:6379:", "", None),
        ("10.0.0.1:6379:0", "", None),
        ("10.0.0.1:6379:+1", "", None),
        ("10.0.0.1:6379:2147483648", "", None),
        ("10.0.0.1:0:1", "", None),
        ("10.0.0.1:6379:1  two-spaces", "", None),
        ("/tmp/r:s.sock:1", "", None),
        ("/tmp/r.sock", "", None),
    ];
    for (server, name, address) in cases {
        let text = format!("p:\n  listen: h:1\n  redis: true\n  servers:\n    - '{server}'\n");
        match address {
            Some(address) => {
                let shard = &loaded(&text).config.pools[0].shards[0];
                assert_eq!((shard.name.as_str(), &shard.address), (name, &address), "{server}");
            }
            None => {
                let expected = format!(
                    "line 5: p.servers[0]: found {server:?}, allowed: host:port:weight [name] or /path/to/socket:weight [name]"
                );
                assert_eq!(faults(&text), [expected]);
            }
        }
    }
}

#[test]
fn faulty_setting_is_reported_with_path_line_and_what_is_allowed() {
    let truth = "allowed: true, false";
    let cases = [
        ("sentinels: x", "sentinels: unknown key, allowed: listen, hash, hash_tag, distribution, timeout, backlog, client_connections, tcpkeepalive, reuseport, preconnect, redis, redis_auth, redis_db, server_connections, auto_eject_hosts, server_retry_timeout, server_failure_limit, servers".to_owned()),
        ("hash-tag: '{}'", "hash-tag: unknown key; did you mean hash_tag?".to_owned()),
        ("listen: h:2", "listen: this key is given twice".to_owned()),
        ("hash: xxh3_64", "hash: found \"xxh3_64\", allowed: one_at_a_time, md5, crc16, crc32, crc32a, fnv1_64, fnv1a_64, fnv1_32, fnv1a_32, hsieh, murmur, jenkins".to_owned()),
        ("hash_tag: '{'", "hash_tag: found \"{\", allowed: two characters in quotes such as \"{}\"".to_owned()),
        ("hash_tag: ''", "hash_tag: found \"\", allowed: two characters in quotes such as \"{}\"".to_owned()),
        ("distribution: ring", "distribution: found \"ring\", allowed: ketama, modula, random".to_owned()),
        ("timeout: 1s", "timeout: found \"1s\", allowed: a whole number".to_owned()),
        ("timeout: -1", "timeout: found -1, allowed: a whole number".to_owned()),
        ("timeout:", "timeout: found nothing, allowed: a whole number".to_owned()),
        ("backlog: 1.5", "backlog: found 1.5, allowed: a whole number".to_owned()),
        ("client_connections: x", "client_connections: found \"x\", allowed: a whole number".to_owned()),
        ("server_retry_timeout: x", "server_retry_timeout: found \"x\", allowed: a whole number".to_owned()),
        ("server_failure_limit: x", "server_failure_limit: found \"x\", allowed: a whole number".to_owned()),
        ("tcpkeepalive: yes", format!("tcpkeepalive: found \"yes\", {truth}")),
        ("reuseport: 1", format!("reuseport: found 1, {truth}")),
        ("preconnect: True", format!("preconnect: found True, {truth} (did you mean true?)")),
        ("auto_eject_hosts: on", format!("auto_eject_hosts: found \"on\", {truth}")),
        ("redis_auth: ''", "redis_auth: found \"\", allowed: a text".to_owned()),
        ("redis_db: 20000", "redis_db: found 20000, allowed: a whole number from 0 to 16383".to_owned()),
        ("server_connections: 0", "server_connections: found 0, allowed: a whole number from 1".to_owned()),
    ];
    for (line, expected) in cases {
        let expected = format!("line 8: alpha.{expected}");
        assert_eq!(faults(&base_with(line)), [expected], "{line}");
    }
}

#[test]
fn faulty_pool_is_reported() {
    let memcached = "a memcached pool (redis: false, twemproxy's default), allowed: redis: true";
    let server = "host:port:weight [name] or /path/to/socket:weight [name]";
    let listen = "host:port or /path/to/socket";
    let modes = "host:port or /path/to/socket, the latter with permissions such as 0660 if wanted";
    let cases = [
        ("p:\n  listen: h:1\n  servers: [h:2:1]\n", format!("line 1: p: {memcached}")),
        ("p:\n  listen: h:1\n  redis: false\n  servers: [h:2:1]\n", format!("line 3: p.redis: {memcached}")),
        ("p:\n  redis: true\n  servers: [h:2:1]\n", format!("line 1: p: listen is missing, allowed: {listen}")),
        ("p:\n  listen: h:1\n  redis: true\n", format!("line 1: p: servers is missing, allowed: a list of {server}")),
        ("p:\n  listen: h:1\n  redis: true\n  servers:\n", format!("line 4: p.servers: no servers, allowed: at least one {server}")),
        ("p:\n  listen: h:0\n  redis: true\n  servers: [h:2:1]\n", format!("line 2: p.listen: found \"h:0\", allowed: {modes}")),
        ("p:\n  listen: h:1\n  redis: true\n  servers: [h:2:1 a, h:3:1 a]\n", "line 4: p.servers[1]: shard name \"a\" is taken by p.servers[0], allowed: names that differ (an unnamed shard is called by its address)".to_owned()),
        ("p:\n  listen: h:1\n  redis: true\n  servers: [h:2:1]\nq: 1\n", "line 5: q: found 1, allowed: a mapping (key: value)".to_owned()),
        ("p:\n  listen: h:1\n  redis: true\n  servers: [h:2:1]\nq:\n  listen: h:1\n  redis: true\n  servers: [h:2:1]\n", "line 6: q.listen: pool p listens on this address already".to_owned()),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(text), [expected], "{text}");
    }
}

/// A line of the pool (line 8 of the file), and the warning about it.
#[rustfmt::skip]
const TRAPS: [(&str, &str); 10] = [
    ("client_connections: 10", "client_connections: never had an effect in twemproxy, which overwrites it; max_clients is the limit here"),
    ("server_connections: 2", "server_connections: has no effect here: in twemproxy more than one connection lets the requests of a pipeline overtake each other; here a client's requests keep their order"),
    ("auto_eject_hosts: true", "auto_eject_hosts: has no effect here: a server that fails keeps its keys and its requests get an error, since moving keys away and back serves old data"),
    ("server_retry_timeout: 1", "server_retry_timeout: has no effect here"),
    ("server_failure_limit: 1", "server_failure_limit: has no effect here"),
    ("tcpkeepalive: true", "tcpkeepalive: has no effect here"),
    ("reuseport: true", "reuseport: has no effect here"),
    ("hash: crc32", "hash: crc32 with ketama puts nearly every key on one shard: its hashes have 15 of the ring's 32 bits (kept as it is, as twemproxy does the same)"),
    ("hash: crc16", "hash: crc16 with ketama spreads keys of one or two bytes badly: their hashes have 16 bits"),
    (" - 127.0.0.1:6382:5 four", "servers[3]: a weight together with a name counts: twemproxy's notes say that it is ignored, but its ring uses it, and so does this one"),
];

#[test]
fn traps_are_warned_of() {
    let none =
        "line 1: alpha: no timeout: as in twemproxy, a request waits for its server for ever";
    assert_eq!(warnings(BASE), [none]);
    assert!(warnings(&base_with("timeout: 400")).is_empty());
    for (line, expected) in TRAPS {
        let expected = format!("line 8: alpha.{expected}");
        assert_eq!(warnings(&base_with(line)), [none, &expected], "{line}");
    }
}

#[test]
fn open_address_and_unnamed_servers_are_warned_of() {
    let text = "p:\n  listen: 0.0.0.0:1\n  timeout: 1\n  redis: true\n  servers: [h:2:1, h:3:1]\n";
    let expected = [
        "line 2: p.listen: listens on every network interface without client_password: whoever reaches the port can read and write all shards",
        "line 5: p.servers: 2 of 2 shards have no name: placement uses their addresses as written, so a changed address moves keys",
    ];
    assert_eq!(warnings(text), expected);
}

#[test]
fn our_own_format_is_told_apart() {
    let cases = [
        (BASE, true),
        ("p:\n  listen: h:1\n", true),
        ("p:\n  servers: [a]\n", true),
        ("pools:\n  listen: h:1\n  servers: [a]\n", true),
        ("pools:\n  servers: {listen: 'h:1', shards: ['h:2']}\n", false),
        ("pools:\n  p: {listen: 'h:1', servers: ['h:2']}\n", false),
        ("workers: 1\n", false),
        ("", false),
        ("- a\n", false),
    ];
    for (text, expected) in cases {
        let tree = Tree::parse(text).unwrap();
        assert_eq!(nutcracker::recognises(&tree.root), expected, "{text}");
    }
}

/// The example that twemproxy ships in its README, its memcached pools left out.
#[test]
fn examples_of_twemproxys_documents_are_read() {
    let readme = "alpha:\n  listen: 127.0.0.1:22121\n  hash: fnv1a_64\n  distribution: ketama\n  auto_eject_hosts: true\n  redis: true\n  server_retry_timeout: 2000\n  server_failure_limit: 1\n  servers:\n   - 127.0.0.1:6379:1\n\nbeta:\n  listen: 127.0.0.1:22122\n  hash: fnv1a_64\n  hash_tag: \"{}\"\n  distribution: ketama\n  auto_eject_hosts: false\n  timeout: 400\n  redis: true\n  servers:\n   - 127.0.0.1:6380:1 server1\n   - 127.0.0.1:6381:1 server2\n   - 127.0.0.1:6382:1 server3\n   - 127.0.0.1:6383:1 server4\n\nomega:\n  listen: /tmp/omega 0666\n  hash: hsieh\n  distribution: ketama\n  auto_eject_hosts: false\n  redis: true\n  servers:\n   - 127.0.0.1:11214:100000\n   - 127.0.0.1:11215:1\n";
    let config = loaded(readme).config;
    let names: Vec<_> = config.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["alpha", "beta", "omega"]);
    assert_eq!(config.pools[1].hash_tag, Some(*b"{}"));
    assert_eq!(config.pools[2].shards[0].weight, 100_000);
}

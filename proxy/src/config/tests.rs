//! Our own format: what a good file means. Every default, every setting, every warning.
//!
//! `pool_with` makes a file of one pool with more lines. The faults of a bad file are in `fault_tests`, the tests of
//! `nutcracker.yml` in `nutcracker_tests`.
//! Nothing here opens a socket; only the shipped examples are read from the file system.

use super::fault_tests::faults;
use super::tree::{Node, Value};
use super::*;

fn loaded(text: &str) -> Loaded {
    parse(text, Path::new("dir/gate.yaml")).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"))
}

/// A file with one pool, whose first more line is line 5.
pub(super) fn pool_with(lines: &str) -> String {
    let mut text = String::from(
        "pools:\n  main:\n    listen: 127.0.0.1:6380\n    shards: [{name: a, address: 'h:1'}]\n",
    );
    for line in lines.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

#[test]
fn passwords_go_one_way_each_or_both_ways_together() {
    let both = loaded(&pool_with("redis_auth: s3cret")).config;
    let secret = |text: &str| Some(Secret::new(text.as_bytes().to_vec()));
    assert_eq!(both.pools[0].client_password, secret("s3cret"));
    assert_eq!(both.pools[0].shard_password, secret("s3cret"));
    let each =
        loaded(&pool_with("client_password: 007\nshard_user: gate\nshard_password: yes")).config;
    assert_eq!(each.pools[0].client_password, secret("007"));
    assert_eq!(each.pools[0].shard_password, secret("yes"));
    assert_eq!(each.pools[0].shard_user.as_deref(), Some("gate"));
    assert!(!format!("{each:?}").contains("007"));
    let mixed =
        faults(&pool_with("redis_auth: a\nclient_password: b\nshard_user: c\nshard_password: d"));
    let keys = ["client_password", "shard_user", "shard_password"];
    for (line, (fault, key)) in (6..).zip(mixed.iter().zip(keys)) {
        let expected = format!(
            "line {line}: pools.main.{key}: {key} together with redis_auth, allowed: redis_auth alone (one password for clients and shards) or the others without it"
        );
        assert_eq!(*fault, expected);
    }
    assert_eq!(mixed.len(), 3);
}

#[test]
fn ketama_refuses_the_64_bit_hash_and_defaults_to_twemproxys() {
    let found = faults(&pool_with("distribution: ketama\nhash: xxh3_64"));
    let problem = "found xxh3_64, allowed with distribution ketama: twemproxy's hashes such as fnv1a_64, since its ring has 32 bits";
    assert_eq!(found, [format!("line 6: pools.main.hash: {problem}")]);
    for (distribution, hash) in [
        ("ketama", HashKind::Fnv1a64),
        ("modula", HashKind::Fnv1a64),
        ("ring", HashKind::Xxh3),
        ("random", HashKind::Xxh3),
    ] {
        let config = loaded(&pool_with(&format!("distribution: {distribution}"))).config;
        assert_eq!(config.pools[0].hash, hash, "{distribution}");
    }
}

#[test]
fn minimal_file_gets_every_default() {
    let loaded = loaded(&pool_with(""));
    let address = Address::Tcp { host: "h".to_owned(), port: 1 };
    let listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port: 6380 };
    let pool = PoolConfig::with_defaults("main", listen, vec![ShardConfig::named("a", address)]);
    assert_eq!(loaded.config, Config::with_defaults(vec![pool]));
    assert_eq!(loaded.warnings, []);
}

#[test]
fn every_setting_reaches_the_checked_form() {
    let text = "workers: 3\ndrain_timeout: 1m\nmemory_budget: 3GiB\nplugin_cache: code\nplugin_engine: {stack: 128KiB, table_elements: 3000}\nplugins:\n  p:\n    file: sub/p.wasm\n    sha256: 00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff\n    limits: {cpu_per_step: 3ms, call_timeout: 4s, memory: 1MiB, calls_per_cell: 5, cells: 6, operations: 256, steps: 8, request: 10KiB, reply: 9KiB, cell_calls: 11, cell_idle: 1s, swap_grace: 2s, quarantine: 3s, breaker_traps: 4, breaker_within: 5s, breaker_open: 6s, breaker_open_max: 7s}\n    grant: {commands: [get, Set], keys: ['a:*'], wait: true, background: true, timers: true, shared_bytes: 1KiB}\npools:\n  m:\n    listen: /run/g.sock 0600\n    backlog: 9\n    hash_tag: \"\"\n    shards: [/run/r.sock, {address: 'h:1', weight: 4}]\n    distribution: modula\n    hash: crc16\n    timeout: 0\n    connect_timeout: 2s\n    idle_timeout: 5m\n    max_clients: 11\n    client_output: 1MiB\n    shard_queue: {requests: 12, bytes: 2MiB}\n    large_request: 64KiB\n    transactions: per_shard\n    preconnect: true\n    plugins:\n      - {use: p, keys: ['a:*', 5], may_touch: ['b'], fail: pass, config: {grace: 20s, n: 1, f: 0.5, list: [true, null], big: 18446744073709551615}}\n";
    let config = loaded(text).config;
    assert_eq!(config.workers, Workers::Count(3));
    assert_eq!(config.drain_timeout, Duration::from_secs(60));
    assert_eq!(config.memory_budget_bytes, 3 << 30);
    assert_eq!(config.plugin_cache, PluginCache::Folder(Path::new("dir/code").into()));
    assert_eq!(
        loaded(&text.replace("plugin_cache: code", "plugin_cache: off")).config.plugin_cache,
        PluginCache::Off
    );
    let engine = PluginEngine { stack_bytes: 128 << 10, table_elements: 3_000 };
    assert_eq!(config.plugin_engine, engine);
    assert!(config.pools[0].bindings[0].fail_passes);
    assert_eq!(config.pools[0].bindings[0].may_touch, [b"b"]);
    let plugin = &config.plugins[0];
    assert_eq!(plugin.file, Path::new("dir/sub/p.wasm"));
    assert!(plugin.present);
    assert_eq!(plugin.sha256.unwrap()[..3], [0, 0xff, 0]);
    let limits = PluginLimits {
        cpu_per_step: Duration::from_millis(3),
        call_timeout: Duration::from_secs(4),
        memory_bytes: 1 << 20,
        calls_per_cell: 5,
        cells: 6,
        operations: 256,
        steps: 8,
        request_bytes: 10 << 10,
        reply_bytes: 9 << 10,
        cell_calls: 11,
        cell_idle: Duration::from_secs(1),
        swap_grace: Duration::from_secs(2),
        quarantine: Duration::from_secs(3),
        breaker_traps: 4,
        breaker_within: Duration::from_secs(5),
        breaker_open: Duration::from_secs(6),
        breaker_open_max: Duration::from_secs(7),
    };
    assert_eq!(plugin.limits, limits);
    let grant = GrantList {
        commands: vec!["GET".to_owned(), "SET".to_owned()],
        keys: Some(vec![b"a:*".to_vec()]),
        wait: true,
        background: true,
        timers: true,
        shared_bytes: 1024,
    };
    assert_eq!(plugin.grant, Grant::Listed(grant));
    check_pool_settings(&config.pools[0]);
}

fn check_pool_settings(pool: &PoolConfig) {
    let path = PathBuf::from("/run/g.sock");
    let mode = Some(0o600);
    assert_eq!(pool.listen, Listen::Unix { path, mode });
    assert_eq!((pool.backlog, pool.max_clients), (9, 11));
    assert_eq!(pool.hash_tag, None);
    assert_eq!(pool.distribution, Distribution::Modula);
    assert_eq!(pool.hash, HashKind::Crc16);
    assert_eq!(pool.timeout, None);
    assert_eq!(pool.connect_timeout, Duration::from_secs(2));
    assert_eq!(pool.idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!(pool.client_output_bytes, 1 << 20);
    let queue = ShardQueue { requests: 12, bytes: 2 << 20 };
    assert_eq!(pool.shard_queue, queue);
    assert_eq!(pool.large_request_bytes, 64 << 10);
    assert_eq!(pool.transactions, Transactions::PerShard);
    assert!(pool.preconnect);
    let path = PathBuf::from("/run/r.sock");
    assert_eq!(pool.shards[0].address, Address::Unix { path });
    let names: Vec<_> = pool.shards.iter().map(|s| (s.name.as_str(), s.weight, s.named)).collect();
    assert_eq!(names, [("/run/r.sock", 1, false), ("h:1", 4, false)]);
    let binding = &pool.bindings[0];
    assert_eq!(binding.plugin, 0);
    assert_eq!(binding.keys, [b"a:*".to_vec(), b"5".to_vec()]);
    let json: serde_json::Value = serde_json::from_slice(&binding.config_json).unwrap();
    let expected = serde_json::json!({"grace": "20s", "n": 1, "f": 0.5, "list": [true, null], "big": u64::MAX});
    assert_eq!(json, expected);
}

#[test]
fn missing_plugin_file_is_a_fault_unless_optional() {
    let text = |extra: &str| format!("{}plugins: {{c: {{file: c.wasm{extra}}}}}\n", pool_with(""));
    let name = Path::new("dir/gate.yaml");
    let missing = parse_with(&text(""), name, |_| false).unwrap_err();
    assert_eq!(
        missing[0].to_string(),
        "line 5: plugins.c.file: no file dir/c.wasm, allowed: a .wasm file, or optional: true"
    );
    let optional = parse_with(&text(", optional: true"), name, |_| false).unwrap();
    assert!(!optional.config.plugins[0].present);
    assert_eq!(
        optional.warnings[0].to_string(),
        "line 5: plugins.c.file: no file dir/c.wasm; the plugin is left out"
    );
}

#[test]
fn surprising_settings_are_warned_of() {
    let two = "pools:\n  a:\n    shards: [h:1, h:2]\n    listen: ";
    let cases = [
        (
            "127.0.0.1:1\n",
            "line 3: pools.a.shards: 2 of 2 shards have no name: placement uses their addresses as written, so a changed address moves keys",
        ),
        ("127.0.0.1:1\n    distribution: modula\n", ""),
        (
            "0.0.0.0:1\n    distribution: modula\n",
            "line 4: pools.a.listen: listens on every network interface without client_password: whoever reaches the port can read and write all shards",
        ),
        ("0.0.0.0:1\n    distribution: modula\n    client_password: x\n", ""),
        (
            "h:1\n    distribution: random\n    hash: md5\n",
            "line 6: pools.a.hash: has no effect: distribution random hashes nothing",
        ),
    ];
    for (rest, expected) in cases {
        let warnings = loaded(&format!("{two}{rest}")).warnings;
        let shown: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join("\n"), expected, "{rest}");
    }
}

#[test]
fn pools_on_any_free_port_do_not_clash() {
    let pool = "{listen: 'h:0', shards: ['h:2']}";
    let config = loaded(&format!("pools: {{a: {pool}, b: {pool}}}\n")).config;
    assert_eq!(config.pools.len(), 2);
}

/// A file of the folder of examples.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

#[test]
fn every_shipped_file_loads() {
    let folder = std::fs::read_dir(example("")).unwrap();
    let mut count = 0;
    for entry in folder {
        let path = entry.unwrap().path();
        let loaded = load(&path).unwrap_or_else(|faults| panic!("{path:?}: {faults:?}"));
        assert!(!loaded.config.pools.is_empty(), "{path:?}");
        count += 1;
    }
    assert!(count >= 5, "{count} files");
}

#[test]
fn reference_gives_the_defaults() {
    let config = load(&example("reference.yaml")).unwrap().config;
    let pool = config.pools[0].clone();
    let mut expected = PoolConfig::with_defaults("main", pool.listen, pool.shards);
    expected.bindings = pool.bindings;
    assert_eq!(config.pools, [expected]);
    assert_eq!(config.plugins.len(), 1);
    assert_eq!(config.plugins[0].limits, PluginLimits::default());
    assert_eq!(config.plugins[0].grant, Grant::AsAsked);
    let mut rest = Config::with_defaults(config.pools.clone());
    rest.plugins = config.plugins.clone();
    assert_eq!(config, rest);
}

#[test]
fn reference_shows_every_key() {
    let text = std::fs::read_to_string(example("reference.yaml")).unwrap();
    let shown: Vec<_> = text.lines().map(with_example).collect();
    let shown = shown.join("\n");
    let tree = Tree::parse(&shown).unwrap();
    let at = |path: &[&str]| path.iter().fold(&tree.root, |node, key| node.get(key).unwrap());
    let first = |path: &[&str]| match &at(path).value {
        Value::List(list) => &list[0],
        other => panic!("{other:?}"),
    };
    let pool = ["pools", "main"];
    let plugin = ["plugins", "cache"];
    let within = |path: &[&'static str; 2], key| [path[0], path[1], key];
    let sections: [(&[&str], &Node); 8] = [
        (&file::TOP_KEYS, &tree.root),
        (&file::POOL_KEYS, at(&pool)),
        (&file::SHARD_KEYS, first(&within(&pool, "shards"))),
        (&plugin_file::BINDING_KEYS, first(&within(&pool, "plugins"))),
        (&file::QUEUE_KEYS, at(&within(&pool, "shard_queue"))),
        (&plugin_file::PLUGIN_KEYS, at(&plugin)),
        (&plugin_file::LIMIT_KEYS, at(&within(&plugin, "limits"))),
        (&plugin_file::GRANT_KEYS, at(&within(&plugin, "grant"))),
    ];
    for (keys, node) in sections {
        for key in keys {
            assert!(node.get(key).is_some(), "{key} is not in reference.yaml");
        }
    }
    let together = faults(&shown);
    assert_eq!(together.len(), 3, "{together:?}");
    assert!(together.iter().all(|fault| fault.contains("together with redis_auth")));
}

/// A line whose setting is commented out, with the setting.
fn with_example(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let (indent, rest) = line.split_at(indent);
    match rest.strip_prefix('#') {
        Some(setting) if setting.starts_with(|letter: char| letter.is_ascii_lowercase()) => {
            format!("{indent}{setting}")
        }
        _ => line.to_owned(),
    }
}

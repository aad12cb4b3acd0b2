//! Our own format: every fault by its line, path and text.
//!
//! A case is a piece of a pool or of a file; `faults` gives what `parse` reports for it as `line N: path: problem`.
//! Where the same text is asserted in full, a change of wording is a change of what users see.
//! The faults of `nutcracker.yml` are in `nutcracker_tests`.

use std::path::Path;

use super::fault::Fault;
use super::tests::pool_with;
use super::{load, parse};
use crate::limits;

/// What `parse` reports, one line per fault.
pub(super) fn faults(text: &str) -> Vec<String> {
    let result = parse(text, Path::new("dir/gate.yaml"));
    let faults = result.map(|loaded| loaded.config).unwrap_err();
    faults.iter().map(Fault::to_string).collect()
}

/// A line of a pool (line 5 of the file), and its fault.
#[rustfmt::skip]
const POOL_FAULTS: [(&str, &str); 32] = [
    ("lisen: x", "lisen: unknown key; did you mean listen?"),
    ("backlog: 0", "backlog: found 0, allowed: a whole number from 1 to 65535"),
    ("backlog: many", "backlog: found \"many\", allowed: a whole number from 1 to 65535"),
    ("distribution: rings", "distribution: found \"rings\", allowed: ring, ketama, modula, random (did you mean ring?)"),
    ("distribution: slots", "distribution: found \"slots\", allowed: ring, ketama, modula, random (slots needs Redis Cluster backends, which this version does not support: list plain servers as shards)"),
    ("hash: sha1", "hash: found \"sha1\", allowed: one_at_a_time, md5, crc16, crc32, crc32a, fnv1_64, fnv1a_64, fnv1_32, fnv1a_32, hsieh, murmur, jenkins, xxh3_64"),
    ("hash: murmur", "hash: found murmur, allowed with distribution ring: xxh3_64 (for twemproxy's placement set distribution: ketama)"),
    ("hash_tag: {}", "hash_tag: found a mapping, allowed: two characters in quotes such as \"{}\", or \"\" for none"),
    ("hash_tag: abc", "hash_tag: found \"abc\", allowed: two characters in quotes such as \"{}\", or \"\" for none"),
    ("timeout: 20", "timeout: found 20, allowed: a time with its unit (us, ms, s, m, h) from 1ms to 24h, or 0 for none"),
    ("timeout: 2d", "timeout: found \"2d\", allowed: a time with its unit (us, ms, s, m, h) from 1ms to 24h, or 0 for none"),
    ("connect_timeout: 0", "connect_timeout: found 0, allowed: a time with its unit (us, ms, s, m, h) from 1ms to 24h"),
    ("connect_timeout: 25h", "connect_timeout: found \"25h\", allowed: a time with its unit (us, ms, s, m, h) from 1ms to 24h"),
    ("idle_timeout: [1s]", "idle_timeout: found a list, allowed: a time with its unit (us, ms, s, m, h) from 1ms to 24h, or 0 for none"),
    ("client_password: ''", "client_password: found \"\", allowed: a text"),
    ("redis_auth:", "redis_auth: found nothing, allowed: a text"),
    ("shard_user: bob", "shard_user: a user without shard_password, allowed: both or neither"),
    ("max_clients: 0", "max_clients: found 0, allowed: a whole number from 1 to 10000000"),
    ("max_clients: -1", "max_clients: found -1, allowed: a whole number from 1 to 10000000"),
    ("max_clients: 1.5", "max_clients: found 1.5, allowed: a whole number from 1 to 10000000"),
    ("client_output: 64MB", "client_output: found \"64MB\", allowed: a size (bytes, or with KiB, MiB, GiB) from 64KiB to 64GiB"),
    ("client_output: 1", "client_output: found 1, allowed: a size (bytes, or with KiB, MiB, GiB) from 64KiB to 64GiB"),
    ("shard_queue: 100", "shard_queue: found 100, allowed: a mapping (key: value)"),
    ("shard_queue: {requests: 0}", "shard_queue.requests: found 0, allowed: a whole number from 1 to 16777216"),
    ("shard_queue: {bytes: x}", "shard_queue.bytes: found \"x\", allowed: a size (bytes, or with KiB, MiB, GiB) from 64KiB to 64GiB"),
    ("shard_queue: {size: 1}", "shard_queue.size: unknown key, allowed: requests, bytes"),
    ("large_request: 1GiB", "large_request: found \"1GiB\", allowed: a size (bytes, or with KiB, MiB, GiB) from 16KiB to 512MiB"),
    ("preconnect: yes", "preconnect: found \"yes\", allowed: true or false"),
    ("plugins: cache", "plugins: found \"cache\", allowed: a list (lines that start with -)"),
    ("plugins: [{keys: [a]}]", "plugins[0]: use is missing, allowed: the name of a plugin"),
    ("plugins: [{use: cache, keys: [a]}]", "plugins[0].use: no plugin \"cache\": the file has none under plugins"),
    ("listen: 127.0.0.1:1", "listen: this key is given twice"),
];

#[test]
fn faulty_pool_setting_is_reported_with_path_line_and_what_is_allowed() {
    for (line, expected) in POOL_FAULTS {
        let expected = vec![format!("line 5: pools.main.{expected}")];
        assert_eq!(faults(&pool_with(line)), expected, "{line}");
    }
}

#[test]
fn faulty_shard_is_reported_with_its_index_and_line() {
    let weight = "a whole number from 1 to 2147483647";
    let address = "host:port or /path/to/socket";
    let cases = [
        ("- {address: 'h:1', weight: 0}", format!("[1].weight: found 0, allowed: {weight}")),
        ("- {address: 'h:1', weight: heavy}", format!("[1].weight: found \"heavy\", allowed: {weight}")),
        ("- {address: 'h:70000'}", format!("[1].address: found \"h:70000\", allowed: {address}")),
        ("- h:0", format!("[1]: found \"h:0\", allowed: {address}")),
        ("- 6379", format!("[1]: found 6379, allowed: {address}")),
        ("- {name: b}", format!("[1]: address is missing, allowed: {address}")),
        ("- {name: 'b c', address: 'h:1'}", "[1].name: found \"b c\", allowed: a name without white space, up to 255 bytes".to_owned()),
        ("- {adress: 'h:1', address: 'h:1'}", "[1].adress: unknown key; did you mean address?".to_owned()),
        ("- [h:1]", "[1]: found a list, allowed: a mapping (key: value)".to_owned()),
        ("- {name: a, address: 'h:1'}", "[1]: shard name \"a\" is taken by pools.main.shards[0], allowed: names that differ (an unnamed shard is called by its address)".to_owned()),
    ];
    for (line, expected) in cases {
        let text = format!(
            "pools:\n  main:\n    listen: h:1\n    shards:\n      - {{name: a, address: 'h:9'}}\n      {line}\n"
        );
        let expected = vec![format!("line 6: pools.main.shards{expected}")];
        assert_eq!(faults(&text), expected, "{line}");
    }
}

#[test]
fn faulty_file_is_reported_as_a_whole() {
    let pool = "{listen: 'h:1', shards: ['h:2']}";
    let cases = [
        (String::new(), "no pools, allowed: at least one under pools".to_owned()),
        ("pools:\n".to_owned(), "line 1: no pools, allowed: at least one under pools".to_owned()),
        ("- a\n".to_owned(), "line 1: found a list, allowed: a mapping (key: value)".to_owned()),
        ("pools: [a]\n".to_owned(), "line 1: pools: found a list, allowed: a mapping (key: value)".to_owned()),
        (format!("pools: {{a b: {pool}}}\n"), "line 1: pools.a b: not a name, allowed: letters, digits and _ . - up to 255 bytes".to_owned()),
        (format!("pools: {{a: {pool}}}\npool: 1\n"), "line 2: pool: unknown key; did you mean pools?".to_owned()),
        (format!("pools: {{a: {pool}}}\nworkers: 0\n"), "line 2: workers: found 0, allowed: auto or a whole number from 1 to 256".to_owned()),
        (format!("pools: {{a: {pool}}}\ndrain_timeout: 5\n"), "line 2: drain_timeout: found 5, allowed: a time with its unit (us, ms, s, m, h) from 0 to 24h".to_owned()),
        (format!("pools: {{a: {pool}}}\nmemory_budget: 1KiB\n"), "line 2: memory_budget: found \"1KiB\", allowed: a size (bytes, or with KiB, MiB, GiB) from 1MiB to 1024GiB".to_owned()),
        (format!("pools: {{a: {pool}}}\nmemory_budget: all\n"), "line 2: memory_budget: found \"all\", allowed: a size (bytes, or with KiB, MiB, GiB) from 1MiB to 1024GiB".to_owned()),
        (format!("pools:\n  a: {pool}\n  b: {pool}\n"), "line 3: pools.b.listen: pool a listens on this address already".to_owned()),
        ("pools:\n  a:\n    listen: h:1\n".to_owned(), "line 2: pools.a: no shards, allowed: at least one under shards".to_owned()),
        ("pools:\n  a:\n    shards: []\n    listen: h:1\n".to_owned(), "line 3: pools.a.shards: no shards, allowed: at least one under shards".to_owned()),
        ("pools:\n  a:\n    shards: [h:1]\n".to_owned(), "line 2: pools.a: listen is missing, allowed: host:port or /path/to/socket".to_owned()),
        ("pools:\n  a:\n    listen: 6380\n    shards: [h:1]\n".to_owned(), "line 3: pools.a.listen: found 6380, allowed: host:port or /path/to/socket, the latter with permissions such as 0660 if wanted".to_owned()),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(&text), [expected], "{text}");
    }
}

#[test]
fn second_shard_of_a_name_is_told_where_the_first_one_stands() {
    let text = "pools:\n  main:\n    listen: h:1\n    shards: [7, 'h:2', 'h:3', 'h:2', 'h:2']\n";
    let told: Vec<String> = faults(text)
        .iter()
        .filter_map(|fault| Some(fault.split_once(", allowed")?.0.to_owned()))
        .collect();
    let taken = "shard name \"h:2\" is taken by pools.main.shards[1]";
    let expected = [
        "line 4: pools.main.shards[0]: found 7".to_owned(),
        format!("line 4: pools.main.shards[3]: {taken}"),
        format!("line 4: pools.main.shards[4]: {taken}"),
    ];
    assert_eq!(told, expected);
}

/// A plugin (line 6 of the file), and its fault.
#[rustfmt::skip]
const PLUGIN_FAULTS: [(&str, &str); 17] = [
    ("{}", ": file is missing, allowed: the path of a .wasm file"),
    ("{file: c.wasm, sha256: abc}", ".sha256: found \"abc\", allowed: 64 hexadecimal digits"),
    ("{file: c.wasm, optional: 1}", ".optional: found 1, allowed: true or false"),
    ("{file: c.wasm, limit: {}}", ".limit: unknown key; did you mean limits?"),
    ("{file: c.wasm, limits: {cpu_per_step: 5s}}", ".limits.cpu_per_step: found \"5s\", allowed: a time with its unit (us, ms, s, m, h) from 100us to 1s"),
    ("{file: c.wasm, limits: {call_timeout: 2h}}", ".limits.call_timeout: found \"2h\", allowed: a time with its unit (us, ms, s, m, h) from 1ms to 1h"),
    ("{file: c.wasm, limits: {memory: 1GiB}}", ".limits.memory: found \"1GiB\", allowed: a size (bytes, or with KiB, MiB, GiB) from 64KiB to 32MiB"),
    ("{file: c.wasm, limits: {calls_per_cell: 0}}", ".limits.calls_per_cell: found 0, allowed: a whole number from 1 to 1024"),
    ("{file: c.wasm, limits: {cells: 0}}", ".limits.cells: found 0, allowed: a whole number from 1 to 4096"),
    ("{file: c.wasm, limits: {operations: 127}}", ".limits.operations: found 127, allowed: a whole number from 128 to 4096"),
    ("{file: c.wasm, limits: {steps: 0}}", ".limits.steps: found 0, allowed: a whole number from 1 to 1000000"),
    ("{file: c.wasm, limits: {reply: 1GiB}}", ".limits.reply: found \"1GiB\", allowed: a size (bytes, or with KiB, MiB, GiB) from 1KiB to 8MiB"),
    ("{file: c.wasm, grant: {commands: GET}}", ".grant.commands: found \"GET\", allowed: a list (lines that start with -)"),
    ("{file: c.wasm, grant: {commands: [G T]}}", ".grant.commands: found \"G T\", allowed: names of Redis commands"),
    ("{file: c.wasm, grant: {keys: [[]]}}", ".grant.keys[0]: found a list, allowed: a text"),
    ("{file: c.wasm, grant: {wait: 1}}", ".grant.wait: found 1, allowed: true or false"),
    ("{file: c.wasm, grant: {shared_bytes: 2GiB}}", ".grant.shared_bytes: found \"2GiB\", allowed: a size (bytes, or with KiB, MiB, GiB) from 0 to 1GiB"),
];

#[test]
fn faulty_plugin_is_reported_with_its_path() {
    for (plugin, expected) in PLUGIN_FAULTS {
        let text = format!("{}plugins:\n  cache: {plugin}\n", pool_with(""));
        let expected = format!("line 6: plugins.cache{expected}");
        assert_eq!(faults(&text), [expected], "{plugin}");
    }
}

#[test]
fn faulty_binding_is_reported_with_its_index() {
    let cases = [
        ("{use: cach, keys: [a]}", ".use: no plugin \"cach\"; did you mean cache?"),
        ("{use: board, keys: [a]}", ".use: no plugin \"board\", allowed: cache"),
        ("{use: cache}", ": no keys, allowed: a list of key patterns such as [\"cache:*\"]"),
        (
            "{use: cache, keys: []}",
            ": no keys, allowed: a list of key patterns such as [\"cache:*\"]",
        ),
        (
            "{use: cache, keys: [a], may_touch: b}",
            ".may_touch: found \"b\", allowed: a list (lines that start with -)",
        ),
        ("{use: cache, keys: ['']}", ".keys[0]: found \"\", allowed: a text"),
        ("{use: cache, keys: [a], config: 1}", ".config: found 1, allowed: a mapping (key: value)"),
        (
            "{use: cache, keys: [a], config: {x: {y: .nan}}}",
            ".config.x.y: found .nan, allowed: a number that JSON can hold",
        ),
        ("{use: cache, keys: [a], config: {x: 1, x: 2}}", ".config.x: this key is given twice"),
    ];
    for (binding, expected) in cases {
        let mut text = pool_with(&format!("plugins:\n  - {binding}"));
        text.push_str("plugins: {cache: {file: c.wasm}}\n");
        let expected = format!("line 6: pools.main.plugins[0]{expected}");
        let found = faults(&text);
        assert_eq!(found, [expected], "{binding}");
    }
}

#[test]
fn all_faults_of_a_file_are_reported_at_once_in_its_order() {
    let text = "workers: none\npools:\n  a:\n    listen: nowhere\n    distribution: slots\n    hash: sha\n    shards:\n      - {address: x, weight: 0}\n      - h:1\n      - h:1\n  b:\n    timout: 1s\n";
    let expected = [
        ("line 1: workers: "),
        ("line 4: pools.a.listen: "),
        ("line 5: pools.a.distribution: "),
        ("line 6: pools.a.hash: "),
        ("line 8: pools.a.shards[0].address: "),
        ("line 8: pools.a.shards[0].weight: "),
        ("line 10: pools.a.shards[2]: "),
        ("line 11: pools.b: "),
        ("line 11: pools.b: "),
        ("line 12: pools.b.timout: "),
    ];
    let mut found = faults(text);
    found.sort_by_key(|fault| {
        let number = fault.trim_start_matches("line ").split(':').next().unwrap();
        (number.parse::<u32>().unwrap(), fault.clone())
    });
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (fault, start) in found.iter().zip(expected) {
        assert!(fault.starts_with(start), "{fault}");
    }
}

#[test]
fn faults_beyond_the_limit_are_counted() {
    let lines: String = (0..150).map(|i| format!("unknown{i}: 1\n")).collect();
    let found = faults(&lines);
    assert_eq!(found.len(), limits::CONFIG_FAULTS_MAX + 1);
    assert_eq!(found.last().unwrap(), "50 more are not shown");
}

#[test]
fn weights_are_bounded_by_what_the_distribution_can_hold() {
    let shards = "shards: [{address: 'h:2', weight: 409}, {name: b, address: 'h:1', weight: 1}]";
    let text = format!("pools:\n  a:\n    listen: h:1\n    {shards}\n");
    let problem = "the weights add up to 410, allowed with this distribution: at most 409 (only their ratio counts)";
    assert_eq!(faults(&text), [format!("line 4: pools.a.shards: {problem}")]);
    let ketama = format!("{text}    distribution: ketama\n");
    assert!(parse(&ketama, Path::new("gate.yaml")).is_ok());
}

#[test]
fn unreadable_file_is_one_fault() {
    let missing = load(Path::new("no/such/file.yaml")).unwrap_err();
    assert!(missing[0].problem.starts_with("cannot read no/such/file.yaml: "));
}

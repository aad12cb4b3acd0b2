//! What is planned for each kind of command, over a pool whose placement is known.
//!
//! The pool has three shards and places by the hash tag `{}`; the tests first ask it where their keys are, so they
//! state what must follow from the placement and not the placement itself. Texts that users read are compared whole.
//! A request is written as words; the plan it gets is compared with the plan that is due.

use super::*;
use crate::command::resolve::resolve;
use crate::config::{Address, Listen, PoolConfig, ShardConfig};
use crate::limits::{SPLIT_PART_BYTES_MAX, SPLIT_PART_KEYS_MAX};
use crate::resp::sample::Request;

fn topology(shards: usize) -> Topology {
    let address = || Address::Tcp { host: "127.0.0.1".to_owned(), port: 1 };
    let shards =
        (0..shards).map(|number| ShardConfig::named(&format!("s{number}"), address())).collect();
    let listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port: 1 };
    Topology::from_pool(&PoolConfig::with_defaults("main", listen, shards))
}

fn plan_of(request: &Request, topology: &Topology) -> Plan {
    let args = request.args();
    let spec = resolve(&args).unwrap();
    plan(spec, &args, topology, &mut Scratch::default())
}

fn check(request: &str, expected: Plan) {
    assert_eq!(plan_of(&Request::words(request), &topology(3)), expected, "{request}");
}

fn check_refused(request: &str, text: &str) {
    check(request, Plan::Refuse(error_reply(text)));
}

/// Keys of distinct shards, in the order of the shards.
fn keys_by_shard(topology: &Topology) -> Vec<String> {
    (0..topology.len())
        .map(|shard| {
            (0..)
                .map(|number| format!("key:{number}"))
                .find(|key| usize::from(topology.shard_of(key.as_bytes())) == shard)
                .unwrap()
        })
        .collect()
}

#[test]
fn a_command_with_one_key_goes_to_its_shard() {
    let topology = topology(3);
    for key in keys_by_shard(&topology) {
        let shard = topology.shard_of(key.as_bytes());
        for request in
            ["GET @", "SETEX @ 10 v", "OBJECT ENCODING @", "XGROUP CREATE @ g $", "JSON.GET @ $"]
        {
            check(&request.replace('@', &key), Plan::One(shard));
        }
    }
}

#[test]
fn several_keys_on_one_shard_pass_whole() {
    let shard = topology(3).shard_of(b"x");
    for request in [
        "MGET {x}a {x}b",
        "MSET {x}a 1 {x}b 2",
        "DEL {x}a {x}a",
        "SINTERSTORE {x}d {x}a {x}b",
        "RENAME {x}a {x}b",
        "XREAD COUNT 1 STREAMS {x}a {x}b 0 0",
        "SORT {x}a BY nosort GET # STORE {x}d",
        "SORT {x}a BY {x}w:* GET {x}o:*->f",
        "MGET x",
    ] {
        check(request, Plan::One(shard));
    }
    check("EVAL script 2 {x}a {x}b arg", Plan::Script(shard));
}

#[test]
fn a_script_goes_to_the_shard_of_its_keys_or_of_its_first_argument() {
    let shard = topology(3).shard_of(b"x");
    check("EVAL script 2 {x}a {x}b arg", Plan::Script(shard));
    check("FCALL f 0 {x}a b", Plan::Script(shard));
    check("EVAL script 0", Plan::Script(0));
    let keys = keys_by_shard(&topology(3));
    check_refused(&format!("EVAL script 2 {} {}", keys[0], keys[1]), CROSS_SHARD);
}

#[test]
fn several_keys_on_several_shards_are_refused_unless_the_command_can_be_split() {
    let keys = keys_by_shard(&topology(3));
    let (a, b) = (&keys[0], &keys[1]);
    for request in [
        format!("RENAME {a} {b}"),
        format!("MSETNX {a} 1 {b} 2"),
        format!("RENAMENX {a} {b}"),
        format!("COPY {a} {b} REPLACE"),
        format!("SMOVE {a} {b} m"),
        format!("LMOVE {a} {b} LEFT LEFT"),
        format!("RPOPLPUSH {a} {b}"),
        format!("LMPOP 2 {a} {b} LEFT"),
        format!("ZMPOP 2 {a} {b} MIN"),
        format!("BITOP AND {a} {a} {b}"),
        format!("PFMERGE {a} {b}"),
        format!("SINTERSTORE {a} {b}"),
        format!("SUNIONSTORE {a} {a} {b}"),
        format!("SDIFFSTORE {a} {b} {b}"),
        format!("ZUNIONSTORE {a} 1 {b}"),
        format!("ZINTERSTORE {a} 2 {a} {b}"),
        format!("ZDIFFSTORE {a} 1 {b}"),
        format!("ZRANGESTORE {a} {b} 0 -1"),
        format!("GEOSEARCHSTORE {a} {b} FROMMEMBER m BYRADIUS 1 km"),
        format!("GEORADIUS {a} 1 1 1 km STOREDIST {b}"),
        format!("GEORADIUSBYMEMBER {a} m 1 km STORE {b}"),
        format!("SORT {a} STORE {b}"),
        format!("SORT {a} LIMIT 0 1 GET # STORE {a} STORE {b}"),
        format!("XREADGROUP GROUP g c STREAMS {a} {b} > >"),
        format!("JSON.MSET {a} $ 1 {b} $ 2"),
        format!("TS.MADD {a} 1 1 {b} 1 1"),
    ] {
        check_refused(&request, CROSS_SHARD);
        let shard = plan_of(&Request::words(&request.replace(b, a)), &topology(3));
        assert!(
            matches!(shard, Plan::One(_) | Plan::Script(_)),
            "{request} with one key twice: {shard:?}"
        );
        assert_eq!(plan_of(&Request::words(&request), &topology(1)), Plan::One(0), "{request}");
    }
}

#[test]
fn reads_of_keys_on_several_shards_are_joined() {
    let keys = keys_by_shard(&topology(3));
    let (a, b) = (&keys[0], &keys[1]);
    for (request, command) in [
        (format!("SUNION {a} {b}"), JoinedCommand::Sunion),
        (format!("ZINTER 2 {a} {b} WITHSCORES"), JoinedCommand::Zinter),
        (format!("SINTERCARD 2 {a} {b} LIMIT 1"), JoinedCommand::Sintercard),
        (format!("XREAD COUNT 1 STREAMS {a} {b} 0 0"), JoinedCommand::Xread),
        (format!("JSON.MGET {a} {b} $"), JoinedCommand::JsonMget),
        (format!("LCS {a} {b} IDX"), JoinedCommand::Lcs),
    ] {
        check(&request, Plan::Joined(command));
        let same = request.replace(b, a);
        check(&same, Plan::One(topology(3).shard_of(a.as_bytes())));
    }
}

#[test]
fn sort_by_patterns_needs_the_tag_of_its_key_or_a_single_shard() {
    for request in [
        "SORT {x}a BY w:*",
        "SORT {x}a BY {y}w:*",
        "SORT {x}a BY w:*{x}",
        "SORT a BY a*",
        "SORT_RO {x}a GET # GET o:*",
    ] {
        check_refused(request, CROSS_SHARD_SORT);
        assert_eq!(plan_of(&Request::words(request), &topology(1)), Plan::One(0));
    }
}

#[test]
fn a_split_command_has_one_part_per_shard_in_the_order_of_its_keys() {
    let topology = topology(3);
    let keys = keys_by_shard(&topology);
    let (a, b) = (&keys[0], &keys[1]);
    let request = Request::words(&format!("mget {b} {a} {b} {a}"));
    let Plan::Split(split) = plan_of(&request, &topology) else {
        panic!("not split");
    };
    let part = |shard, key: &str, positions: &[u32]| {
        let mut request = Vec::new();
        let words = [b"mget".as_slice(), key.as_bytes(), key.as_bytes()];
        write::request(&mut request, words.into_iter());
        split::Part { shard, request, positions: positions.to_vec() }
    };
    assert_eq!(
        *split,
        Split {
            rule: JoinRule::Elements,
            is_write: false,
            keys: 4,
            parts: vec![part(1, b, &[0, 2]), part(0, a, &[1, 3])],
        }
    );
}

#[test]
fn mset_sends_each_value_with_its_key() {
    let topology = topology(3);
    let keys = keys_by_shard(&topology);
    let (a, b) = (&keys[0], &keys[1]);
    let request = Request::words(&format!("MSET {a} 1 {b} 2 {a} 3"));
    let Plan::Split(split) = plan_of(&request, &topology) else {
        panic!("not split");
    };
    let texts: Vec<String> =
        split.parts.iter().map(|part| String::from_utf8(part.request.clone()).unwrap()).collect();
    assert!(split.is_write);
    assert_eq!(
        texts,
        [
            format!("*5\r\n$4\r\nMSET\r\n$5\r\n{a}\r\n$1\r\n1\r\n$5\r\n{a}\r\n$1\r\n3\r\n"),
            format!("*3\r\n$4\r\nMSET\r\n$5\r\n{b}\r\n$1\r\n2\r\n"),
        ]
    );
}

#[test]
fn a_key_of_mset_without_value_is_refused_before_anything_is_sent() {
    let text = "ERR wrong number of arguments for 'mset' command";
    check_refused("MSET a 1 b", text);
    check_refused("MSET {x}a 1 {x}b", text);
}

#[test]
fn large_splits_are_cut_into_bounded_parts_that_hold_every_key_once() {
    let topology = topology(3);
    let keys: Vec<String> =
        (0..3 * SPLIT_PART_KEYS_MAX * 2).map(|number| format!("key:{number}")).collect();
    let value = vec![b'v'; SPLIT_PART_BYTES_MAX / 10];
    let huge = vec![b'v'; SPLIT_PART_BYTES_MAX + 1];
    let mut words: Vec<&[u8]> = vec![b"MSET"];
    for (number, key) in keys.iter().enumerate() {
        words.push(key.as_bytes());
        words.push(match number {
            7 => &huge,
            0..100 => &value,
            _ => b"v",
        });
    }
    let Plan::Split(split) = plan_of(&Request::new(&words), &topology) else {
        panic!("not split");
    };
    assert_eq!(split.keys, keys.len());
    let mut seen: Vec<u32> = Vec::new();
    for part in &split.parts {
        assert!(part.positions.len() <= SPLIT_PART_KEYS_MAX);
        assert!(part.positions.is_sorted());
        if part.positions.len() > 1 {
            let heads = 32 * part.positions.len() + 32;
            assert!(part.request.len() <= SPLIT_PART_BYTES_MAX + heads);
        }
        for position in &part.positions {
            let key = keys[*position as usize].as_bytes();
            assert_eq!(topology.shard_of(key), part.shard);
        }
        seen.extend(&part.positions);
    }
    seen.sort_unstable();
    assert!(seen.into_iter().map(|at| at as usize).eq(0..keys.len()));
}

#[test]
fn commands_of_the_connection_are_answered_here() {
    check("PING", Plan::Answer(LocalCommand::Ping));
    check("client id", Plan::Answer(LocalCommand::ClientId));
    check("COMMAND", Plan::Answer(LocalCommand::Command));
    check("MULTI", Plan::Transaction(TransactionStep::Multi));
    check("WATCH a b c", Plan::Transaction(TransactionStep::Watch));
}

#[test]
fn what_cannot_be_done_says_so_and_what_to_do_instead() {
    for (request, text) in [
        (
            "MIGRATE h 1 a 0 1",
            "ERR 'migrate' is not supported by this gateway: it would move a key away from the shard that owns it",
        ),
        (
            "ACL SETUSER a",
            "ERR 'acl|setuser' is not supported by this gateway: the gateway keeps no ACL users; change them at each \
             shard",
        ),
        ("ZUNION 0 a", "ERR at least 1 input key is needed for 'zunion' command"),
        (
            "XREAD STREAMS a b 0",
            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        ),
    ] {
        check_refused(request, text);
    }
}

#[test]
fn command_that_may_wait_goes_alone_to_the_shard_of_all_its_keys() {
    let topology = topology(3);
    let shard = topology.shard_of(b"x");
    for request in
        ["BLPOP {x}a {x}b 0", "BLMPOP 0 2 {x}a {x}b LEFT", "XREAD BLOCK 1 STREAMS {x}a 0"]
    {
        check(request, Plan::Blocking(shard));
    }
    check("XREAD STREAMS {x}a 0", Plan::One(shard));
    check("WAIT 1 0", Plan::Wait(WaitCommand::Replicas));
    let keys = keys_by_shard(&topology);
    check_refused(&format!("BLPOP {} {} 0", keys[0], keys[1]), CROSS_SHARD);
    check_refused("BLMPOP 0 x a LEFT", "ERR numkeys should be greater than 0");
}

#[test]
fn no_command_without_a_key_reaches_a_shard() {
    let topology = topology(3);
    for spec in crate::command::all() {
        for spec in std::iter::once(spec).chain(&spec.subcommands) {
            if !spec.row.keys.is_empty() {
                continue;
            }
            let count = usize::from(spec.arity.unsigned_abs()).max(6);
            let words = vec![b"1".as_slice(); count];
            let request = Request::new(&words);
            let plan = plan(spec, &request.args(), &topology, &mut Scratch::default());
            let stays = !matches!(plan, Plan::One(_) | Plan::Blocking(_) | Plan::Split(_));
            assert!(stays, "{} is sent to a shard", spec.name);
        }
    }
}

#[test]
fn a_key_keeps_its_shard_in_every_database() {
    let shard = topology(3).shard_of(b"x");
    for request in
        ["COPY {x}a {x}b", "copy {x}a {x}b replace db 15", "COPY {x}a {x}b DB x", "MOVE {x}a 1"]
    {
        check(request, Plan::One(shard));
    }
}

#[test]
fn a_transaction_takes_what_one_shard_can_do() {
    let topology = topology(3);
    let shard = topology.shard_of(b"x");
    let keys = keys_by_shard(&topology);
    let queued_for = |shard| Queued::Queue(Way::Shard(shard));
    let refused = |text: &str| Queued::Refuse(error_reply(text));
    let not_in_multi = "ERR Command not allowed inside a transaction";
    let arity = "ERR wrong number of arguments for 'mset' command";
    let cases = [
        ("GET {x}a".to_owned(), queued_for(shard)),
        ("MGET {x}a {x}b".to_owned(), queued_for(shard)),
        ("BLPOP {x}a {x}b 0".to_owned(), queued_for(shard)),
        ("XREAD BLOCK 0 STREAMS {x}a 0".to_owned(), queued_for(shard)),
        ("PING".to_owned(), Queued::Queue(Way::Answer(LocalCommand::Ping))),
        ("CLIENT ID".to_owned(), Queued::Queue(Way::Answer(LocalCommand::ClientId))),
        ("SELECT 1".to_owned(), Queued::Queue(Way::Answer(LocalCommand::Select))),
        ("UNWATCH".to_owned(), Queued::Queue(Way::Said(b"+OK\r\n".to_vec()))),
        // Servers see these faults when they carry the command out.
        ("MSET a 1 b".to_owned(), Queued::Queue(Way::Said(error_reply(arity)))),
        (
            "ZUNION x a".to_owned(),
            Queued::Queue(Way::Said(error_reply("ERR value is not an integer or out of range"))),
        ),
        ("RESET".to_owned(), Queued::AtOnce(LocalCommand::Reset)),
        ("HELLO 3".to_owned(), refused(not_in_multi)),
        ("CLIENT REPLY OFF".to_owned(), refused(not_in_multi)),
        ("SAVE".to_owned(), refused(not_in_multi)),
        (format!("SUNIONSTORE {} {}", keys[0], keys[1]), refused(CROSS_SHARD)),
        (
            "DBSIZE".to_owned(),
            refused(
                "CROSSSHARD 'dbsize' asks every shard, which no transaction can; send it before MULTI or after EXEC, \
                 or use a pipeline without MULTI (in redis-py: pipeline(transaction=False))",
            ),
        ),
    ];
    for (words, expected) in cases {
        let request = Request::words(&words);
        let args = request.args();
        let spec = resolve(&args).unwrap();
        let found = queued(spec, &args, &topology, &mut Scratch::default());
        assert_eq!(found, expected, "{words}");
    }
}

#[test]
fn a_transaction_splits_what_is_split_elsewhere() {
    let topology = topology(3);
    let keys = keys_by_shard(&topology);
    let words = format!("MGET {} {}", keys[0], keys[1]);
    let request = Request::words(&words);
    let args = request.args();
    let spec = resolve(&args).unwrap();
    let Queued::Queue(Way::Split(split)) = queued(spec, &args, &topology, &mut Scratch::default())
    else {
        panic!("not split");
    };
    let shards: Vec<_> = split.parts.iter().map(|part| part.shard).collect();
    assert_eq!(
        shards,
        [topology.shard_of(keys[0].as_bytes()), topology.shard_of(keys[1].as_bytes())]
    );
}

//! Each hooked command, alone: clients see soft times, the shard holds them with grace.
//!
//! First by table, with what the shard holds after each command; then random commands beside a plain server, whose
//! replies must be the same as long as nothing is past its soft end.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::reply::Reply;

use super::support::world;

#[test]
fn command_answers_soft_times_and_stores_hard_ones() {
    // (command, reply, PTTL on the shard afterwards); grace is 20 s.
    let at = 1_700_000_000;
    let cases: &[(&str, Reply, i64)] = &[
        ("SETEX k 10 v", Reply::ok(), 30_000),
        ("TTL k", Reply::Int(10), 30_000),
        ("PTTL k", Reply::Int(10_000), 30_000),
        ("GET k", Reply::bulk("v"), 30_000),
        ("PSETEX k 1500 v", Reply::ok(), 21_500),
        ("TTL k", Reply::Int(2), 21_500),
        ("SET k v EX 5", Reply::ok(), 25_000),
        ("SET k v2 KEEPTTL", Reply::ok(), 25_000),
        ("SET k v3 PX 700 GET", Reply::bulk("v2"), 20_700),
        ("SET k v4 NX EX 5", Reply::Null, 20_700),
        ("SET k v4 XX EX 5", Reply::ok(), 25_000),
        (&format!("SET k v EXAT {}", at + 9), Reply::ok(), 29_000),
        ("EXPIRETIME k", Reply::Int(at + 9), 29_000),
        ("PEXPIRETIME k", Reply::Int((at + 9) * 1000), 29_000),
        ("EXPIRE k 3", Reply::Int(1), 23_000),
        ("EXPIRE k 2 GT", Reply::Int(0), 23_000),
        ("PEXPIRE k 4000 GT", Reply::Int(1), 24_000),
        (&format!("EXPIREAT k {}", at + 6), Reply::Int(1), 26_000),
        (&format!("PEXPIREAT k {}", (at + 7) * 1000), Reply::Int(1), 27_000),
        ("GETEX k EX 8", Reply::bulk("v"), 28_000),
        ("GETEX k", Reply::bulk("v"), 28_000),
        ("GETEX k PERSIST", Reply::bulk("v"), -1),
        ("TTL k", Reply::Int(-1), -1),
        ("EXPIRE k 3", Reply::Int(1), 23_000),
        ("PERSIST k", Reply::Int(1), -1),
        ("SET k v", Reply::ok(), -1),
        ("GET k", Reply::bulk("v"), -1),
        ("EXPIRE k 0", Reply::Int(1), -2),
        ("TTL k", Reply::Int(-2), -2),
        ("PTTL k", Reply::Int(-2), -2),
        ("EXPIRETIME k", Reply::Int(-2), -2),
        ("SETEX k 10 v", Reply::ok(), 30_000),
        ("DEL k", Reply::Int(1), -2),
        ("UNLINK k", Reply::Int(0), -2),
        (&format!("SET k v PXAT {}", at * 1000 - 1), Reply::ok(), -2),
    ];
    let mut world = world(1, 1);
    for (command, reply, stored) in cases {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words).as_ref(), Some(reply), "{command}");
        let pttl = world.redis.run(&["PTTL", "k"]);
        assert_eq!(pttl, Reply::Int(*stored), "stored after {command}");
    }
    assert!(world.complaints().is_empty());
}

#[test]
fn command_that_redis_would_refuse_gets_the_shards_own_error() {
    let mut world = world(1, 1);
    for command in [
        "SET k v EX 0",
        "SET k v PX -5",
        "SET k",
        "SETEX k 0 v",
        "GETEX k EX 0",
        "SET k v EX 9223372036854775807",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let reply = world.ask(0, 1, &words).expect("a reply");
        assert!(matches!(reply, Reply::Error(_)), "{command}: {reply:?}");
    }
}

#[test]
fn expired_value_cannot_be_given_a_new_end() {
    for command in ["EXPIRE k 100", "PEXPIREAT k 1800000000000", "PERSIST k"] {
        let mut world = world(1, 1);
        world.ask(0, 1, &["SETEX", "k", "10", "v"]);
        world.advance(10_000);
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::Int(0)), "{command}");
        assert_eq!(world.ask(0, 1, &["TTL", "k"]), Some(Reply::Int(0)));
        let leader = world.ask(0, 1, &["GETEX", "k", "EX", "100"]);
        assert_eq!(leader, Some(Reply::Null), "GETEX does not revive it");
        let other = world.ask(0, 2, &["GETEX", "k", "EX", "100"]);
        assert_eq!(other, Some(Reply::bulk("v")), "others get the stale value");
        assert_eq!(world.redis.run(&["PTTL", "k"]), Reply::Int(20_000));
    }
}

#[test]
fn expired_value_is_not_revived_inside_multi_either() {
    for command in ["EXPIRE k 100", "PEXPIREAT k 1800000000000", "PERSIST k", "GETEX k EX 100"] {
        let mut world = world(1, 1);
        world.ask(0, 1, &["SETEX", "k", "10", "v"]);
        world.advance(10_000);
        let words: Vec<&str> = command.split(' ').collect();
        let told: Vec<Reply> = (1..=2)
            .map(|session| {
                let ticket = world.multi(0, session, &[&words]);
                world.run();
                let Some(Reply::Array(rows)) = world.reply(ticket).cloned() else {
                    panic!("{command}: no rows");
                };
                rows[0].clone()
            })
            .collect();
        let wanted = match command {
            "GETEX k EX 100" => [Reply::Null, Reply::bulk("v")],
            _ => [Reply::Int(0), Reply::Int(0)],
        };
        assert_eq!(told, wanted, "{command}");
        assert_eq!(world.redis.run(&["PTTL", "k"]), Reply::Int(20_000), "{command}");
    }
}

#[test]
fn fresh_value_gets_a_new_end_inside_multi() {
    for (command, stored) in
        [("EXPIRE k 50", 70_000), ("PERSIST k", -1), ("GETEX k PX 900", 20_900)]
    {
        let mut world = world(1, 1);
        world.ask(0, 1, &["SETEX", "k", "10", "v"]);
        let words: Vec<&str> = command.split(' ').collect();
        world.multi(0, 1, &[&words]);
        world.run();
        assert_eq!(world.redis.run(&["PTTL", "k"]), Reply::Int(stored), "{command}");
    }
}

#[test]
fn condition_of_a_set_sees_a_stale_value_as_gone() {
    let cases = [
        ("SET k w NX PX 900", Reply::ok(), "w", 20_900),
        ("SET k w NX GET", Reply::Null, "w", -1),
        ("SET k w KEEPTTL", Reply::ok(), "w", -1),
        ("SET k w XX KEEPTTL", Reply::Null, "v", 20_000),
        // A leader's own fill may say XX.
        ("SET k w XX PX 900", Reply::ok(), "w", 20_900),
    ];
    for (command, reply, value, stored) in cases {
        for in_multi in [false, true] {
            let mut world = world(1, 1);
            world.ask(0, 1, &["SETEX", "k", "10", "v"]);
            world.advance(10_000);
            let words: Vec<&str> = command.split(' ').collect();
            let ticket = match in_multi {
                false => world.send(0, 1, &words),
                true => world.multi(0, 1, &[&words]),
            };
            world.run();
            let wanted = if in_multi { Reply::Array(vec![reply.clone()]) } else { reply.clone() };
            assert_eq!(world.reply(ticket), Some(&wanted), "{command}");
            assert_eq!(world.redis.run(&["GET", "k"]), Reply::bulk(value), "{command}");
            assert_eq!(world.redis.run(&["PTTL", "k"]), Reply::Int(stored), "{command}");
        }
    }
}

#[test]
fn getex_that_had_to_wait_gives_the_value_its_end() {
    for value in ["w", &"w".repeat(100_000)] {
        let mut world = world(1, 1);
        assert_eq!(world.ask(0, 1, &["GET", "k"]), Some(Reply::Null));
        let waiter = world.send(0, 2, &["GETEX", "k", "EX", "100"]);
        world.run();
        world.ask(0, 1, &["SETEX", "k", "10", value]);
        assert_eq!(world.reply(waiter), Some(&Reply::bulk(value)));
        assert_eq!(world.redis.run(&["PTTL", "k"]), Reply::Int(120_000));
    }
}

/// While no value is past its soft end, a client cannot tell the gateway from a plain server.
#[test]
fn random_commands_before_expiry_answer_as_a_plain_server() {
    for seed in 0..40 {
        let mut world = world(2, seed);
        let mut plain = FakeRedis::at(world.now_ms);
        for step in 0..150 {
            let key = ["a", "b", "c"][pick(&mut world, 3)];
            let command = random_command(&mut world, key, plain.now_ms);
            let words: Vec<&str> = command.split(' ').collect();
            let worker = pick(&mut world, 2);
            // Another session each time, so that a miss makes each reader a leader or a waiter.
            let mut found = world.ask(worker, step, &words);
            if found.is_none() {
                world.advance(1_100);
                found = world.last_reply();
                world.advance(1_000);
                plain.now_ms = world.now_ms;
            }
            let wanted = plain.run(&words);
            assert_eq!(found, Some(wanted), "seed {seed} step {step}: {command}");
            let pause_ms = world.next_random() % 20;
            world.advance(pause_ms);
            plain.now_ms = world.now_ms;
        }
    }
}

fn pick(world: &mut sluicegate_plugin::harness::world::World, count: u64) -> usize {
    usize::try_from(world.next_random() % count).unwrap()
}

/// Times are in minutes, so that nothing expires within a run.
fn random_command(
    world: &mut sluicegate_plugin::harness::world::World,
    key: &str,
    now_ms: u64,
) -> String {
    let seconds = 3_600 + pick(world, 3_600);
    let at = now_ms / 1000 + 7_200;
    match pick(world, 20) {
        0..4 => format!("GET {key}"),
        4 => format!("SET {key} v{seconds} EX {seconds}"),
        5 => format!("SET {key} v{seconds}"),
        6 => format!("SET {key} v{seconds} NX PX {seconds}000"),
        7 => format!("SET {key} v{seconds} XX GET EXAT {at}"),
        8 => format!("SET {key} v{seconds} KEEPTTL"),
        9 => format!("SETEX {key} {seconds} v{seconds}"),
        10 => format!("PSETEX {key} {seconds}000 v"),
        11 => format!("GETEX {key} EX {seconds}"),
        12 => format!("TTL {key}"),
        13 => format!("PTTL {key}"),
        14 => format!("EXPIRE {key} {seconds} GT"),
        15 => format!("PEXPIREAT {key} {at}000 NX"),
        16 => format!("EXPIRETIME {key}"),
        17 => format!("PERSIST {key}"),
        18 => format!("EXPIRE {key} -1"),
        _ => format!("DEL {key}"),
    }
}

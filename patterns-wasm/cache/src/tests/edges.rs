//! Leaders that vanish or dawdle, shared connections on a cold key, deletions, MULTI, time-outs.
//!
//! Each test sets up one awkward moment by hand, in virtual time, and says what every client must have got by then.
//! A bug that was found end to end gets its smallest form here.

use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::{CONFIG, is_leased, world, world_with};

const NIL: Option<Reply> = Some(Reply::Null);

fn value(text: &str) -> Option<Reply> {
    Some(Reply::bulk(text))
}

fn waited_ms(world: &World, ticket: usize) -> u64 {
    let sent = world.sent(ticket).unwrap();
    let (_, came_ms) = sent.answer.as_ref().expect("a reply");
    came_ms - sent.sent_ms
}

#[test]
fn leader_that_closes_hands_the_lease_on_at_once() {
    let mut world = world(2, 1);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
    let near = world.send(0, 2, &["GET", "k"]);
    world.run();
    assert_eq!(world.reply(near), None, "it waits");
    world.close(0, 1);
    world.run();
    assert_eq!(world.reply(near), Some(&Reply::Null), "the next leader");
    assert_eq!(waited_ms(&world, near), 0, "no time passed");
    assert!(is_leased(&mut world, "k"));
    // A second close finds another worker's waiter by the notice.
    let far = world.send(1, 3, &["GET", "k"]);
    world.close(0, 2);
    world.run();
    assert_eq!(world.reply(far), Some(&Reply::Null));
}

#[test]
fn reader_that_closes_while_its_lease_is_being_taken_leaves_none_behind() {
    for steps in 0..12 {
        let mut world = world(1, steps);
        world.send(0, 1, &["GET", "k"]);
        for _ in 0..steps {
            world.happen();
        }
        world.close(0, 1);
        world.run();
        assert!(!is_leased(&mut world, "k"), "closed after {steps} steps");
        assert_eq!(world.live(), 0);
    }
}

#[test]
fn leader_on_a_shared_connection_hands_on_although_others_read_there_too() {
    let mut world = world(1, 1);
    world.ask(0, 1, &["SETEX", "k", "1", "v"]);
    world.advance(1_000);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL, "the leader");
    assert_eq!(world.ask(0, 1, &["GET", "k"]), value("v"), "its neighbour");
    world.close(0, 1);
    world.run();
    assert!(!is_leased(&mut world, "k"));
}

#[test]
fn session_that_filled_or_only_waited_takes_nothing_with_it() {
    let mut world = world(1, 1);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
    world.ask(0, 1, &["SETEX", "k", "1", "v"]);
    world.advance(1_000);
    assert_eq!(world.ask(0, 2, &["GET", "k"]), NIL, "session 2 leads now");
    world.close(0, 1);
    world.run();
    assert!(is_leased(&mut world, "k"), "the lease is session 2's");
    assert_eq!(world.ask(0, 3, &["GET", "k"]), value("v"), "stale");
    world.close(0, 3);
    world.run();
    assert!(is_leased(&mut world, "k"));
}

#[test]
fn leader_that_is_silent_costs_the_lease_time_and_the_wait_ends_before() {
    for (policy, wanted) in [
        ("miss", Reply::Null),
        ("error", Reply::Error("ERR cache: the value is still being computed".into())),
    ] {
        let config = CONFIG.replace('}', &format!(",\"on_wait_timeout\":\"{policy}\"}}"));
        let mut world = world_with(&config, 1, 1);
        assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
        let waiter = world.send(0, 2, &["GET", "k"]);
        world.advance(999);
        assert_eq!(world.reply(waiter), None);
        world.advance(60);
        assert_eq!(world.reply(waiter), Some(&wanted));
        assert!(
            (1_000..=1_050).contains(&waited_ms(&world, waiter)),
            "{}",
            waited_ms(&world, waiter)
        );
        world.advance(1_000);
        assert_eq!(world.ask(0, 3, &["GET", "k"]), NIL, "the lease is over");
    }
}

#[test]
fn waiter_that_polls_becomes_leader_when_the_lease_ends() {
    let config = r#"{"lease":"300ms","wait":"1s"}"#;
    let mut world = world_with(config, 1, 1);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
    let waiter = world.send(0, 2, &["GET", "k"]);
    world.advance(400);
    assert_eq!(world.reply(waiter), Some(&Reply::Null));
    assert!((300..=350).contains(&waited_ms(&world, waiter)));
}

#[test]
fn cold_miss_on_one_shared_connection_neither_deadlocks_nor_stalls() {
    let mut world = world(1, 1);
    let leader = world.send(0, 1, &["GET", "k"]);
    let second = world.send(0, 1, &["GET", "k"]);
    let other = world.send(0, 1, &["GET", "other"]);
    world.run();
    assert_eq!(world.reply(leader), Some(&Reply::Null));
    assert_eq!(world.reply(second), None, "it waits, but not for long");
    world.advance(25);
    assert_eq!(world.reply(second), Some(&Reply::Null));
    assert!((19..=22).contains(&waited_ms(&world, second)));
    assert_eq!(world.reply(other), Some(&Reply::Null));
    // Alone on the leader's own connection: the fill may stand behind it, unread.
    let alone = world.send(0, 1, &["GET", "k"]);
    world.advance(25);
    assert_eq!(world.reply(alone), Some(&Reply::Null));
    // A fill behind a waiting read answers it.
    let mut world = super::support::world(1, 1);
    world.send(0, 1, &["GET", "k"]);
    world.run();
    let waiter = world.send(0, 1, &["GET", "k"]);
    world.send(0, 1, &["SETEX", "k", "10", "v"]);
    world.run();
    assert_eq!(world.reply(waiter), Some(&Reply::bulk("v")));
    assert_eq!(waited_ms(&world, waiter), 0);
}

#[test]
fn waiter_alone_on_its_connection_gives_way_when_commands_come_behind_it() {
    let mut world = world(1, 1);
    world.ask(0, 1, &["GET", "k"]);
    let waiter = world.send(0, 2, &["GET", "k"]);
    world.advance(300);
    assert_eq!(world.reply(waiter), None);
    world.send(0, 2, &["TTL", "x"]);
    world.advance(25);
    assert_eq!(world.reply(waiter), Some(&Reply::Null));
    assert!(waited_ms(&world, waiter) <= 322, "{}", waited_ms(&world, waiter));
}

#[test]
fn waiter_goes_on_waiting_when_the_shard_is_slow() {
    for steps in 0..8 {
        let mut world = world(1, steps);
        assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
        let waiter = world.send(0, 2, &["GET", "k"]);
        for _ in 0..steps {
            world.happen();
        }
        world.stall(10);
        world.advance(60);
        assert_eq!(world.reply(waiter), None, "stalled after {steps} steps");
        world.ask(0, 1, &["SETEX", "k", "10", "v"]);
        assert_eq!(world.reply(waiter), Some(&Reply::bulk("v")));
    }
}

#[test]
fn waiter_with_commands_behind_gives_way_also_when_the_shard_is_slower_than_the_poll() {
    for steps in 0..12 {
        let mut world = world(1, steps);
        assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
        let waiter = world.send(0, 2, &["GET", "k"]);
        world.send(0, 2, &["TTL", "x"]);
        for _ in 0..steps {
            world.happen();
            world.stall(70);
        }
        world.advance(21);
        assert_eq!(world.reply(waiter), Some(&Reply::Null), "slow for {steps} steps");
    }
}

#[test]
fn deletion_voids_the_lease_and_wakes_a_new_leader() {
    for command in ["DEL k", "UNLINK k", "EXPIRE k 0"] {
        let mut world = world(2, 1);
        world.ask(0, 1, &["SETEX", "k", "1", "old"]);
        world.advance(1_000);
        assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL, "the leader");
        let words: Vec<&str> = command.split(' ').collect();
        world.ask(1, 5, &words);
        assert_eq!(world.ask(0, 2, &["GET", "k"]), NIL, "another leader after {command}");
        let waiter = world.send(1, 3, &["GET", "k"]);
        world.run();
        world.ask(0, 6, &words);
        let woken = world.reply(waiter).cloned();
        assert_eq!(woken, NIL, "{command} while one waits");
    }
}

#[test]
fn conditional_set_ends_the_lease_only_if_it_stored() {
    let mut world = world(1, 1);
    world.ask(0, 1, &["SETEX", "k", "1", "old"]);
    world.advance(1_000);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), NIL);
    assert_eq!(world.ask(0, 1, &["SET", "k", "new", "XX", "KEEPTTL"]), NIL);
    assert!(is_leased(&mut world, "k"), "nothing was stored");
    assert_eq!(world.ask(0, 1, &["SET", "k", "new", "NX", "EX", "9"]), Some(Reply::ok()));
    assert!(!is_leased(&mut world, "k"));
    assert_eq!(world.ask(0, 2, &["GET", "k"]), value("new"));
}

#[test]
fn multi_shifts_times_takes_the_lease_and_fills() {
    let mut world = world(1, 1);
    let ask = |world: &mut World, session: u64, commands: &[&[&str]]| {
        let ticket = world.multi(0, session, commands);
        world.run();
        match world.reply(ticket) {
            Some(Reply::Array(rows)) => rows.clone(),
            other => panic!("no rows: {other:?}"),
        }
    };
    let rows = ask(&mut world, 1, &[&["GET", "k"], &["TTL", "k"]]);
    assert_eq!(rows, [Reply::Null, Reply::Int(-2)]);
    let waiter = world.send(0, 2, &["GET", "k"]);
    world.run();
    assert_eq!(world.reply(waiter), None, "the MULTI's reader leads");
    let rows = ask(
        &mut world,
        1,
        &[
            &["SET", "k", "v", "EX", "1"],
            &["PTTL", "k"],
            &["GET", "k"],
            &["EXPIRE", "k", "2"],
            &["PERSIST", "x"],
        ],
    );
    let wanted = [Reply::ok(), Reply::Int(1_000), Reply::bulk("v"), Reply::Int(1), Reply::Int(0)];
    assert_eq!(rows, wanted);
    assert_eq!(world.reply(waiter), Some(&Reply::bulk("v")), "filled inside MULTI");
    world.advance(2_000);
    let rows = ask(&mut world, 1, &[&["GET", "k"], &["GET", "k"]]);
    assert_eq!(rows, [Reply::Null, Reply::bulk("v")], "leader, then stale");
    world.close(0, 1);
    world.run();
    assert!(!is_leased(&mut world, "k"), "its session watched the lease");
    let rows = ask(&mut world, 3, &[&["GET", "k"]]);
    assert_eq!(rows, [Reply::Null]);
    let rows = ask(&mut world, 3, &[&["SET", "k", "w", "XX", "PX", "900"], &["DEL", "gone"]]);
    assert_eq!(rows, [Reply::ok(), Reply::Int(0)]);
    assert!(!is_leased(&mut world, "k"), "a conditional fill ends it too");
    assert!(world.complaints().is_empty());
}

#[test]
fn value_without_ttl_is_fresh_and_a_wrong_type_is_the_shards_error() {
    let mut world = world(1, 1);
    world.redis.run(&["SET", "k", "v"]);
    assert_eq!(world.ask(0, 1, &["GET", "k"]), value("v"));
    assert_eq!(world.ask(0, 1, &["TTL", "k"]), Some(Reply::Int(-1)));
}

#[test]
fn lease_won_for_a_value_that_was_just_filled_is_given_back() {
    let mut world = world(1, 1);
    let reader = world.send(0, 1, &["GET", "k"]);
    // GET and PTTL are executed and answered; then another gateway's fill comes before the lease is tried.
    for _ in 0..4 {
        assert!(world.happen());
    }
    world.redis.run(&["SET", "k", "v", "PX", "30000"]);
    world.run();
    assert_eq!(world.reply(reader), Some(&Reply::bulk("v")));
    assert!(!is_leased(&mut world, "k"));
    assert_eq!(world.live(), 0);
}

#[test]
fn stats_count_what_happened_on_their_worker() {
    let mut world = world(1, 1);
    world.ask(0, 1, &["GET", "k"]);
    world.ask(0, 1, &["SETEX", "k", "1", "v"]);
    world.ask(0, 2, &["GET", "k"]);
    world.advance(1_000);
    world.ask(0, 2, &["GET", "k"]);
    world.ask(0, 3, &["GET", "k"]);
    let Some(Reply::Array(rows)) = world.ask(0, 1, &["CACHE.STATS"]) else {
        panic!("no rows");
    };
    let row = |name: &str| {
        let place = rows.iter().position(|row| *row == Reply::bulk(name)).unwrap();
        rows[place + 1].int().unwrap()
    };
    let found = ["hits", "stale", "leaders", "fills", "waits"].map(row);
    assert_eq!(found, [1, 1, 2, 1, 0]);
    assert_eq!([0, 1, 2, 5, 3].map(|id| world.metric(id)), found);
}

#[test]
fn value_too_large_to_come_here_is_given_by_its_shard_and_computed_once_per_lease() {
    let mut world = world(2, 1);
    let large = "v".repeat(2 << 20);
    let key = ["GET", "k"];
    world.ask(0, 1, &["SETEX", "k", "10", &large]);
    assert_eq!(world.ask(1, 2, &key), value(&large), "fresh");
    assert_eq!(world.ask(1, 2, &["GETEX", "k"]), value(&large));
    world.advance(10_001);
    assert_eq!(world.ask(0, 1, &key), NIL, "the leader of the stale value");
    assert!(is_leased(&mut world, "k"));
    for session in 2..5 {
        assert_eq!(world.ask(1, session, &key), value(&large), "stale, at once");
    }
    world.ask(0, 1, &["SETEX", "k", "10", &large]);
    assert!(!is_leased(&mut world, "k"));
    assert_eq!(world.ask(1, 2, &key), value(&large), "fresh again");
    // Missing: one computes, and the others get the large value by its shard when it is there.
    world.ask(0, 1, &["DEL", "k"]);
    assert_eq!(world.ask(0, 1, &key), NIL);
    let waiting = world.send(1, 2, &key);
    world.run();
    assert_eq!(world.reply(waiting), None);
    world.ask(0, 1, &["SETEX", "k", "10", &large]);
    world.run();
    assert_eq!(world.reply(waiting).cloned(), value(&large));
    assert!(world.complaints().is_empty(), "{:?}", world.complaints());
}

//! Two and three clients at once on one board, in every order of deliveries.
//!
//! A reader sees no member twice, only scores that were held during its read, and every member that nobody touches; what is
//! stored in the end is what the shards' own order of writes says. EXPIRE and a write that creates a part never leave one
//! without its end.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::{gateways, texts};

const ORDERS: usize = 200_000;

/// Eight members in three parts, scores 1 to 8.
fn eight() -> World {
    let mut world = gateways(r#"{"parts":3}"#, 1);
    for score in 1..=8 {
        let (score, member) = (score.to_string(), format!("m{score}"));
        world.ask(0, 9, &["ZADD", "k", &score, &member]);
    }
    world
}

/// Members and scores in turn.
fn pairs(rows: &[String]) -> Vec<(String, String)> {
    rows.chunks(2).map(|row| (row[0].clone(), row[1].clone())).collect()
}

#[test]
fn reader_beside_two_writers_sees_each_member_once_and_only_scores_of_its_time() {
    let explored = explore(ORDERS, |order| {
        let mut world = eight();
        world.follow(order);
        world.send(0, 1, &["ZADD", "k", "100", "m1", "0", "m8"]);
        world.send(1, 2, &["ZINCRBY", "k", "10", "m1"]);
        let read = world.send(1, 3, &["ZREVRANGE", "k", "0", "-1", "WITHSCORES"]);
        world.run();
        let shown = pairs(&texts(world.reply(read)));
        let mut members: Vec<&str> = shown.iter().map(|(member, _)| member.as_str()).collect();
        members.sort_unstable();
        assert_eq!(members, ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"]);
        for (member, score) in &shown {
            let held: &[&str] = match member.as_str() {
                "m1" => &["1", "100", "11", "110"],
                "m8" => &["8", "0"],
                other => &[&other[1..]],
            };
            assert!(held.contains(&score.as_str()), "{member} {score}");
        }
        let scores: Vec<f64> = shown.iter().map(|(_, score)| score.parse().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
        let stored = texts(world.ask(0, 9, &["ZMSCORE", "k", "m1", "m8"]).as_ref());
        assert!([["110", "0"], ["100", "0"]].iter().any(|wanted| stored == *wanted), "{stored:?}");
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

#[test]
fn rank_beside_a_change_is_one_of_before_or_after() {
    let explored = explore(ORDERS, |order| {
        let mut world = eight();
        world.follow(order);
        // Now the first, then the third.
        world.send(0, 1, &["ZADD", "k", "9", "m2"]);
        world.send(0, 2, &["ZADD", "k", "10", "m3"]);
        let rank = world.send(1, 3, &["ZREVRANK", "k", "m8"]);
        world.run();
        let rank = world.reply(rank).and_then(Reply::int).expect("a rank");
        assert!((0..=2).contains(&rank), "{rank}");
        assert_eq!(world.ask(1, 9, &["ZREVRANK", "k", "m8"]), Some(Reply::Int(2)));
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

#[test]
fn greatest_of_two_scores_wins_in_every_order() {
    let explored = explore(ORDERS, |order| {
        let mut world = eight();
        world.follow(order);
        world.send(0, 1, &["ZADD", "k", "GT", "20", "m4"]);
        world.send(1, 2, &["ZADD", "k", "GT", "30", "m4"]);
        world.send(0, 3, &["ZADD", "k", "GT", "25", "m4", "25", "m5"]);
        world.run();
        let stored = texts(world.ask(0, 9, &["ZMSCORE", "k", "m4", "m5"]).as_ref());
        assert_eq!(stored, ["30", "25"]);
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

/// A member of part 0 of 2 of the board `k`, and one of part 1.
fn one_of_each() -> [String; 2] {
    [0, 1].map(|part| {
        let lies_there = |member: &String| {
            let mut world = gateways(r#"{"parts":2}"#, 1);
            world.ask(0, 9, &["ZADD", "k", "1", member]);
            world.redis.run(&["EXISTS", &format!("{{k#{part}/2}}:sg:board")]) == Reply::Int(1)
        };
        (0..64).map(|number| format!("m{number}")).find(lies_there).expect("a member of each part")
    })
}

#[test]
fn no_part_lives_on_behind_its_board_in_any_order() {
    let [first, second] = one_of_each();
    let explored = explore(ORDERS, |order| {
        let mut world = gateways(r#"{"parts":2}"#, 1);
        world.ask(0, 9, &["ZADD", "k", "1", &first]);
        world.follow(order);
        let expire = world.send(0, 1, &["EXPIRE", "k", "10"]);
        // A member of the other part, which may come to be before, between and after.
        world.send(1, 2, &["ZADD", "k", "2", &second]);
        world.run();
        assert_eq!(world.reply(expire), Some(&Reply::Int(1)));
        assert_eq!(world.ask(0, 9, &["ZCARD", "k"]), Some(Reply::Int(2)));
        world.advance(10_000);
        assert_eq!(world.ask(0, 9, &["ZCARD", "k"]), Some(Reply::Int(0)));
        assert_eq!(world.ask(0, 9, &["EXISTS", "k"]), Some(Reply::Int(0)));
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

//! Windows' boards: each its own, each with its end, and several added up.
//!
//! The clock is the world's, moved over the windows' edges. The oracle of a sum over windows is one map per window, added up
//! here; a sum may be as old as the config says and no older.

use std::collections::BTreeMap;

use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::window::Length;

use super::support::{gateways, texts};

const DAY: u64 = 86_400_000;
const CONFIG: &str = r#"{"parts":3,"window":"day","keep":3,"roll_up":"10s"}"#;

fn today(world: &World) -> String {
    Length::Day.at(world.now_ms, 0).name()
}

fn shown(world: &mut World, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    texts(world.ask(1, 1, &words).as_ref())
}

#[test]
fn each_day_has_a_board_of_its_own_that_ends_after_the_days_that_are_kept() {
    let mut world = gateways(CONFIG, 1);
    let first = today(&world);
    world.ask(0, 1, &["ZADD", "k", "5", "ann", "7", "bob", "6", "cy"]);
    assert_eq!(shown(&mut world, "ZREVRANGE k 0 -1"), ["bob", "cy", "ann"]);
    world.advance(DAY);
    assert_eq!(world.ask(0, 1, &["ZCARD", "k"]), Some(Reply::Int(0)));
    world.ask(0, 1, &["ZINCRBY", "k", "1", "ann"]);
    assert_eq!(shown(&mut world, &format!("ZREVRANGE k@{first} 0 0 WITHSCORES")), ["bob", "7"]);
    // A late one, by the window's name.
    world.ask(0, 1, &["ZADD", &format!("k@{first}"), "8", "dan"]);
    assert_eq!(shown(&mut world, &format!("BOARD.TOP k@{first} 2")), ["dan", "8", "bob", "7"]);
    world.advance(2 * DAY);
    assert_eq!(world.ask(0, 1, &["ZCARD", &format!("k@{first}")]), Some(Reply::Int(4)));
    world.advance(DAY);
    assert_eq!(world.ask(0, 1, &["ZCARD", &format!("k@{first}")]), Some(Reply::Int(0)));
    // What has ended does not begin again.
    world.ask(0, 1, &["ZADD", &format!("k@{first}"), "8", "dan"]);
    assert_eq!(world.ask(0, 1, &["EXISTS", &format!("k@{first}")]), Some(Reply::Int(0)));
    assert!(world.complaints().is_empty(), "{:?}", world.complaints());
}

#[test]
fn several_windows_are_added_up_and_the_sum_is_as_old_as_the_config_says() {
    for seed in 0..20 {
        let mut world = gateways(CONFIG, seed);
        let mut days: Vec<BTreeMap<String, i64>> = Vec::new();
        for number in 0..4 {
            if number > 0 {
                world.advance(DAY);
            }
            let mut day = BTreeMap::new();
            for _ in 0..30 {
                let member = format!("m{}", world.next_random() % 12);
                let by = i64::try_from(world.next_random() % 5).unwrap();
                world.ask(0, 1, &["ZINCRBY", "k", &by.to_string(), &member]);
                *day.entry(member).or_default() += by;
            }
            days.insert(0, day);
        }
        for windows in 1..=4 {
            for aggregate in ["SUM", "MIN", "MAX"] {
                let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
                for (member, score) in days[..windows].iter().flatten() {
                    let both = |sum: i64| match aggregate {
                        "SUM" => sum + score,
                        "MIN" => sum.min(*score),
                        _ => sum.max(*score),
                    };
                    sums.entry(member).and_modify(|sum| *sum = both(*sum)).or_insert(*score);
                }
                let mut sums: Vec<(i64, &str)> =
                    sums.into_iter().map(|(member, score)| (score, member)).collect();
                sums.sort_by(|a, b| b.cmp(a));
                let wanted: Vec<String> = sums
                    .into_iter()
                    .take(5)
                    .flat_map(|(score, member)| [member.to_owned(), score.to_string()])
                    .collect();
                let line = format!("BOARD.TOP k 5 WINDOWS {windows} AGGREGATE {aggregate}");
                assert_eq!(shown(&mut world, &line), wanted, "seed {seed}: {line}");
            }
        }
        assert!(world.complaints().is_empty(), "{:?}", world.complaints());
    }
    let mut world = gateways(CONFIG, 1);
    world.ask(0, 1, &["ZADD", "k", "1", "ann"]);
    assert_eq!(shown(&mut world, "BOARD.TOP k 1 WINDOWS 2"), ["ann", "1"]);
    world.ask(0, 1, &["ZINCRBY", "k", "1", "ann"]);
    world.advance(9_999);
    assert_eq!(shown(&mut world, "BOARD.TOP k 1 WINDOWS 2"), ["ann", "1"]);
    world.advance(1);
    assert_eq!(shown(&mut world, "BOARD.TOP k 1 WINDOWS 2"), ["ann", "2"]);
}

#[test]
fn windows_that_are_not_there_are_refused_by_name() {
    let mut world = gateways(CONFIG, 1);
    let kept = "ERR board: BOARD.TOP WINDOWS must be from 1 to keep + 1, which is 4";
    let end =
        "ERR board: 'expire' is not for a window's board: it ends by itself, 'keep' windows later";
    let cases = [
        ("BOARD.TOP k 3 WINDOWS 0", kept),
        ("BOARD.TOP k 3 WINDOWS 5", kept),
        ("BOARD.TOP k 3 WINDOWS x", "ERR value is not an integer or out of range"),
        ("BOARD.TOP k 3 WINDOWS 2 AGGREGATE AVG", "ERR syntax error"),
        ("BOARD.TOP k 3 DAYS 2", "ERR syntax error"),
        ("EXPIRE k 10", end),
    ];
    for (line, wanted) in cases {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ask(0, 1, &words), Some(Reply::Error(wanted.into())), "{line}");
    }
    let mut world = gateways(r#"{"parts":3}"#, 1);
    let wanted = "ERR board: set 'window' in the config of this binding for WINDOWS";
    let words = ["BOARD.TOP", "k", "3", "WINDOWS", "2"];
    assert_eq!(world.ask(0, 1, &words), Some(Reply::Error(wanted.into())));
}

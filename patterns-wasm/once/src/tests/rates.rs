//! CL.THROTTLE against redis-cell's own cases and against the definition of a rate.
//!
//! The cases are those of redis-cell's tests (`src/cell/mod.rs`, `it_rate_limits`), in its words: volume, remaining, reset
//! after, retry after, limited. The definition: in any time t no more than `burst + 1 + t / interval` actions.

use sluicegate_plugin::harness::interleave::explore;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::gateways;
use crate::rate::{Decision, Rate};

fn integers(reply: Option<Reply>) -> [i64; 5] {
    let Some(Reply::Array(rows)) = &reply else { panic!("{reply:?}") };
    let numbers: Vec<i64> = rows.iter().map(|row| row.int().expect("an integer")).collect();
    numbers.try_into().expect("five integers")
}

fn ask(world: &mut World, worker: usize, rate: &str, quantity: i64) -> [i64; 5] {
    let line = format!("CL.THROTTLE k {rate} {quantity}");
    let words: Vec<&str> = line.split(' ').collect();
    integers(world.ask(worker, 1, &words))
}

#[test]
fn cases_of_redis_cell_have_its_replies() {
    // After how many milliseconds; volume; limited, remaining, retry after, reset after. Five at once, one per second.
    let cases: [(u64, i64, [i64; 4]); 15] = [
        (0, 6, [1, 5, -1, 0]),
        (0, 1, [0, 4, -1, 1]),
        (0, 1, [0, 3, -1, 2]),
        (0, 1, [0, 2, -1, 3]),
        (0, 1, [0, 1, -1, 4]),
        (0, 1, [0, 0, -1, 5]),
        (0, 1, [1, 0, 1, 5]),
        (3_000, 1, [0, 2, -1, 3]),
        (100, 1, [0, 1, -1, 4]),
        (900, 1, [0, 1, -1, 4]),
        (4_000, 1, [0, 4, -1, 1]),
        (1_500, 1, [0, 4, -1, 1]),
        (0, 0, [0, 4, -1, 1]),
        (0, 2, [0, 2, -1, 3]),
        (0, 5, [1, 2, 3, 3]),
    ];
    let mut world = gateways(&[1, 1], 1);
    for (number, (after_ms, volume, wanted)) in cases.into_iter().enumerate() {
        world.advance(after_ms);
        let [limited, limit, remaining, retry, reset] =
            ask(&mut world, number % 2, "4 1 1", volume);
        assert_eq!(limit, 5, "case {number}");
        assert_eq!([limited, remaining, retry, reset], wanted, "case {number}");
    }
}

#[test]
fn any_stretch_of_time_has_no_more_actions_than_the_rate_allows_and_a_patient_caller_gets_them_all()
{
    // Burst, count, period: intervals that are whole and that are not.
    for (burst, count, period) in [(0, 1, 1), (4, 10, 3), (2, 7, 1), (15, 30, 60), (0, 1000, 1)] {
        for seed in 0..10 {
            let mut world = gateways(&[1, 2], seed);
            let rate = format!("{burst} {count} {period}");
            let mut allowed_ms = Vec::new();
            let span_ms = 20_000 * period / count;
            for _ in 0..400 {
                let worker = usize::try_from(world.next_random() % 3).unwrap();
                if ask(&mut world, worker, &rate, 1)[0] == 0 {
                    allowed_ms.push(world.now_ms);
                }
                let ms = world.next_random() % (span_ms / 10).max(2);
                world.advance(ms);
            }
            let interval_ms = 1_000.0 * period as f64 / count as f64;
            for (first, from_ms) in allowed_ms.iter().enumerate() {
                for (last, to_ms) in allowed_ms.iter().enumerate().skip(first) {
                    let most = (burst + 1) as f64 + (to_ms - from_ms) as f64 / interval_ms;
                    let found = (last - first + 1) as f64;
                    assert!(found <= most + 0.01, "{rate}, seed {seed}: {found} of {most}");
                }
            }
            // Whoever waits as long as he is told is let through.
            while ask(&mut world, 0, &rate, 1)[0] == 0 {}
            let [_, _, _, retry_s, _] = ask(&mut world, 0, &rate, 1);
            assert!(retry_s > 0, "{rate}, seed {seed}");
            world.advance(1_000 * u64::try_from(retry_s).unwrap());
            assert_eq!(ask(&mut world, 0, &rate, 1)[0], 0, "{rate}, seed {seed}");
        }
    }
}

#[test]
fn last_action_of_a_rate_goes_to_one_of_those_who_ask_at_once_in_every_order() {
    let explored = explore(10_000, |order| {
        let mut world = gateways(&[1, 1], 1);
        assert_eq!(ask(&mut world, 0, "1 1 60", 1)[0], 0);
        world.follow(order);
        let line = ["CL.THROTTLE", "k", "1", "1", "60"];
        let tickets = [0, 1, 0].map(|worker| world.send(worker, 2 + worker as u64, &line));
        world.run();
        let allowed =
            tickets.map(|ticket| i64::from(integers(world.reply(ticket).cloned())[0] == 0));
        assert_eq!(allowed.iter().sum::<i64>(), 1);
    });
    assert!(explored.complete, "{} orders", explored.orders);
}

#[test]
fn seconds_are_rounded_up_and_remaining_is_not_lost_to_rounding() {
    let rate = Rate::new(2, 3, 10, 1).unwrap();
    assert_eq!((rate.limit, rate.interval_ns), (3, 3_333_333_333));
    let told = |limited, ahead_ns| integers(Some(rate.reply(Decision { limited, ahead_ns })));
    // What the shard says may be off by a part of a microsecond.
    for off in [-300, 0, 300] {
        assert_eq!(told(false, 3_333_333_333 + off), [0, 3, 2, -1, 4], "{off}");
        assert_eq!(told(false, 9_999_999_999 + off), [0, 3, 0, -1, 10], "{off}");
    }
    assert_eq!(told(true, 9_999_999_999)[3], 4);
    assert_eq!(told(true, 6_667_000_000)[3], 1, "less than a second");
}

#[test]
fn arguments_that_make_no_sense_are_errors_and_change_nothing() {
    let mut world = gateways(&[1], 1);
    let cases = [
        ("k x 1 1", "ERR value is not an integer or out of range"),
        ("k -1 1 1", "ERR once: CL.THROTTLE max_burst must be at least 0"),
        ("k 1 0 1", "ERR once: CL.THROTTLE count must be at least 1"),
        ("k 1 1 0", "ERR once: CL.THROTTLE period must be at least 1"),
        ("k 1 1 1 -1", "ERR once: CL.THROTTLE quantity must be at least 0"),
        ("k 1 1 1 1 1", "ERR wrong number of arguments for 'cl.throttle' command"),
        ("k 1 1", "ERR wrong number of arguments for 'cl.throttle' command"),
        (
            "k 1 1 9223372036854775807",
            "ERR once: CL.THROTTLE takes rates of up to one action per nanosecond and bursts of up to 146 years",
        ),
        (
            "k 1 2000000000 1",
            "ERR once: CL.THROTTLE takes rates of up to one action per nanosecond and bursts of up to 146 years",
        ),
    ];
    for (words, wanted) in cases {
        let line: Vec<&str> = ["CL.THROTTLE"].into_iter().chain(words.split(' ')).collect();
        assert_eq!(world.ask(0, 1, &line), Some(Reply::Error(wanted.into())), "{words}");
    }
    assert_eq!(world.redis.run(&["EXISTS", "k"]), Reply::Int(0));
}

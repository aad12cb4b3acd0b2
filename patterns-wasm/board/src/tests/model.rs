//! Whatever a client asks, the reply is that of one sorted set.
//!
//! The oracle is a server of its own that is asked the same. Few members, few scores and many ties, so that the order among equal
//! scores is met all the time; ends and the clock belong to it. Commands are drawn by a seed.

use sluicegate_plugin::harness::redis::FakeRedis;
use sluicegate_plugin::harness::world::World;
use sluicegate_plugin::reply::Reply;

use super::support::gateways;

struct Draw<'a>(&'a mut World);

impl Draw<'_> {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_random() % end
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn key(&mut self) -> &'static str {
        self.one(&["a", "{t}b"])
    }

    fn member(&mut self) -> String {
        format!("m{}", self.below(24))
    }

    fn score(&mut self) -> &'static str {
        self.one(&["0", "1", "2", "2", "2.5", "-3", "7", "inf", "-inf"])
    }

    fn place(&mut self) -> i64 {
        i64::try_from(self.below(31)).unwrap() - 15
    }

    fn bound(&mut self) -> &'static str {
        self.one(&["-inf", "+inf", "0", "(0", "2", "(2", "2.5", "-3", "(7"])
    }

    fn change(&mut self) -> String {
        let (key, member, score) = (self.key(), self.member(), self.score());
        match self.below(12) {
            0..4 => {
                let flags = ["", "", "NX ", "XX ", "GT ", "LT CH ", "CH ", "XX GT CH "];
                let mut line = format!("ZADD {key} {}", self.one(&flags));
                for _ in 0..=self.below(6) {
                    line += &format!("{} {} ", self.score(), self.member());
                }
                line.trim_end().to_owned()
            }
            4 => format!("ZADD {key} {}INCR 2 {member}", self.one(&["", "NX ", "XX ", "LT "])),
            5 | 6 => format!("ZINCRBY {key} {score} {member}"),
            7 => format!("ZREM {key} {member} {} {member}", self.member()),
            8 => format!("ZREMRANGEBYSCORE {key} {} {}", self.bound(), self.bound()),
            9 => {
                let (flag, name) =
                    (self.one(&["", " NX", " XX", " GT", " LT"]), self.one(&["PEXPIRE", "EXPIRE"]));
                format!("{name} {key} {}{flag}", self.one(&["0", "1", "3", "2500", "9000", "-1"]))
            }
            10 => format!("{} {key}", self.one(&["PERSIST", "DEL", "UNLINK"])),
            _ => String::from("DEL a {t}b a"),
        }
    }

    fn question(&mut self) -> String {
        let (key, member) = (self.key(), self.member());
        let (one, two) = (self.place(), self.place());
        let scores = self.one(&["", " WITHSCORES"]);
        let limit = format!(" LIMIT {} {}", self.place(), self.place());
        let limit = if self.below(2) == 0 { "" } else { &limit };
        let (low, high) = (self.bound(), self.bound());
        match self.below(14) {
            0 => format!("ZRANGE {key} {one} {two}{scores}"),
            1 => format!("ZRANGE {key} {one} {two} REV{scores}"),
            2 => format!("ZREVRANGE {key} {one} {two}{scores}"),
            3 => format!("ZREVRANGE {key} 0 {}{scores}", self.below(10)),
            4 => format!("ZRANGEBYSCORE {key} {low} {high}{scores}{limit}"),
            5 => format!("ZREVRANGEBYSCORE {key} {low} {high}{limit}"),
            6 => format!("ZRANGE {key} {low} {high} BYSCORE{limit}{scores}"),
            7 => format!("ZRANK {key} {member}"),
            8 => format!("ZREVRANK {key} {member}"),
            9 => format!("ZSCORE {key} {member}"),
            10 => format!("ZMSCORE {key} {member} none {} {member}", self.member()),
            11 => format!("ZCARD {key}"),
            12 => format!("ZCOUNT {key} {low} {high}"),
            _ => format!(
                "{} {key}",
                self.one(&["EXISTS a {t}b a", "TYPE", "TTL", "PTTL", "PEXPIRETIME"])
            ),
        }
    }
}

/// What MULTI cannot hold when there are several parts.
fn asks_twice(line: &str) -> bool {
    ["ZRANK", "ZREVRANK", "EXPIRE", "PEXPIRE "].iter().any(|name| line.starts_with(name))
}

fn run(config: &str, seed: u64) {
    let mut world = gateways(config, seed);
    let mut plain = FakeRedis::at(world.now_ms);
    let is_whole = config.contains("\"parts\":1}");
    for step in 0..500 {
        let mut draw = Draw(&mut world);
        let line = if draw.below(2) == 0 { draw.change() } else { draw.question() };
        let words: Vec<&str> = line.split(' ').collect();
        let what = format!("{config}, seed {seed}, step {step}: {line}");
        let wanted = plain.run(&words);
        let worker = usize::try_from(world.next_random() % 2).unwrap();
        if world.next_random().is_multiple_of(3) && (is_whole || !asks_twice(&line)) {
            let ticket = world.multi(worker, 1, &[&words]);
            world.run();
            assert_eq!(world.reply(ticket), Some(&Reply::Array(vec![wanted])), "{what} in MULTI");
        } else {
            assert_eq!(world.ask(worker, 1, &words), Some(wanted), "{what}");
        }
        for key in ["a", "{t}b"] {
            // A board that was emptied keeps its end for who comes next; a sorted set does not.
            if plain.run(&["EXISTS", key]) == Reply::Int(0) {
                assert_eq!(world.ask(0, 1, &["DEL", key]), Some(Reply::Int(0)), "{what}");
            }
        }
        if world.next_random().is_multiple_of(10) {
            let ms = world.next_random() % 2_000;
            world.advance(ms);
            plain.now_ms = world.now_ms;
        }
    }
    assert!(world.complaints().is_empty(), "{config}: {:?}", world.complaints());
}

#[test]
fn every_command_answers_as_on_one_sorted_set() {
    for (parts, seeds) in [(1, 20), (2, 20), (3, 20), (5, 20), (64, 2)] {
        for seed in 0..seeds {
            run(&format!("{{\"parts\":{parts}}}"), seed);
        }
    }
}

#[test]
fn those_around_a_member_are_those_of_the_whole_order() {
    for seed in 0..40 {
        let mut world = gateways(r#"{"parts":5}"#, seed);
        let mut plain = FakeRedis::at(world.now_ms);
        for number in 0..60 {
            let score = (world.next_random() % 5).to_string();
            let member = format!("m{number}");
            let words = ["ZADD", "k", &score, &member];
            assert_eq!(world.ask(0, 1, &words), Some(plain.run(&words)));
        }
        let all = plain.run(&["ZREVRANGE", "k", "0", "-1", "WITHSCORES"]);
        let Reply::Array(all) = all else { panic!("{all:?}") };
        let all: Vec<&[Reply]> = all.chunks(2).collect();
        for (rank, row) in all.iter().enumerate() {
            let count = usize::try_from(world.next_random() % 9).unwrap();
            let member = String::from_utf8(row[0].bytes().unwrap().to_vec()).unwrap();
            let (from, to) = (rank.saturating_sub(count), (rank + count + 1).min(all.len()));
            let shown = (from..to).map(|place| {
                let rank = Reply::Int(i64::try_from(place).unwrap());
                Reply::Array(vec![rank, all[place][0].clone(), all[place][1].clone()])
            });
            let wanted = Reply::Array(shown.collect());
            let words = ["BOARD.AROUND", "k", &member, &count.to_string()];
            assert_eq!(world.ask(1, 1, &words), Some(wanted), "seed {seed}, {words:?}");
        }
        let none = world.ask(0, 1, &["BOARD.AROUND", "k", "none", "3"]);
        assert_eq!(none, Some(Reply::Array(Vec::new())));
    }
}

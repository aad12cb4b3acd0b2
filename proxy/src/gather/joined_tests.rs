//! What each joined command asks whom, and what it makes of the answers, by table.
//!
//! In: a request, the shard of each key, and per shard that is asked what it must be asked and what it answers. Out:
//! the reply that is due. `|` parts words here where a space would do in a request; replies are RESP2.
//! The same over real servers is `tests/it/joined.rs`.

use super::test_support::Pool;
use super::*;
use crate::command::resolve::resolve;
use crate::command::{keys, rule::Rule};
use crate::resp::sample::Request;

struct Case {
    request: &'static str,
    /// The shard of each key.
    shards: &'static [ShardIndex],
    /// Shard, request, answer.
    asked: &'static [(ShardIndex, &'static str, &'static str)],
    reply: &'static str,
}

const WRONG: &str = "-WRONGTYPE no\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case {
        request: "SUNION a b c",
        shards: &[1, 0, 1],
        asked: &[(1, "SUNION a c", "*1\r\n$1\r\nx\r\n"), (0, "SUNION b", "*2\r\n$1\r\nx\r\n$1\r\ny\r\n")],
        reply: "*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
    },
    Case {
        request: "SINTER a b c",
        shards: &[0, 1, 2],
        asked: &[
            (0, "SINTER a", "*2\r\n$1\r\nx\r\n$1\r\ny\r\n"),
            (1, "SINTER b", "*2\r\n$1\r\ny\r\n$1\r\nz\r\n"),
            (2, "SINTER c", "*1\r\n$1\r\ny\r\n"),
        ],
        reply: "*1\r\n$1\r\ny\r\n",
    },
    Case {
        request: "SDIFF a b c d",
        shards: &[1, 0, 1, 0],
        asked: &[
            (1, "SDIFF a c", "*2\r\n$1\r\nx\r\n$1\r\ny\r\n"),
            (0, "SUNION b d", "*1\r\n$1\r\ny\r\n"),
        ],
        reply: "*1\r\n$1\r\nx\r\n",
    },
    // A wrong type counts whatever the first answer is.
    Case {
        request: "SINTER a b",
        shards: &[0, 1],
        asked: &[(0, "SINTER a", "-ERR shard 'a' is away\r\n"), (1, "SINTER b", WRONG)],
        reply: WRONG,
    },
    Case {
        request: "SINTERCARD 2 a b LIMIT 2",
        shards: &[0, 1],
        asked: &[
            (0, "SINTER a", "*3\r\n$1\r\nx\r\n$1\r\ny\r\n$1\r\nz\r\n"),
            (1, "SINTER b", "*3\r\n$1\r\nx\r\n$1\r\ny\r\n$1\r\nz\r\n"),
        ],
        reply: ":2\r\n",
    },
    Case { request: "SINTERCARD 2 a b LIMIT", shards: &[0, 1], asked: &[], reply: SYNTAX },
    Case {
        request: "SINTERCARD 2 a b LIMIT -1",
        shards: &[0, 1],
        asked: &[],
        reply: "-ERR LIMIT can't be negative\r\n",
    },
    Case {
        request: "ZINTERCARD 2 a b LIMIT x",
        shards: &[0, 1],
        asked: &[(0, "ZINTERCARD 1 a LIMIT x", "-ERR LIMIT\r\n"), (1, "ZINTERCARD 1 b LIMIT x", WRONG)],
        reply: WRONG,
    },
    Case {
        request: "ZINTERCARD 3 a b c",
        shards: &[0, 1, 0],
        asked: &[(0, "ZINTER 2 a c", "*1\r\n$1\r\nx\r\n"), (1, "ZINTER 1 b", "*1\r\n$1\r\nx\r\n")],
        reply: ":1\r\n",
    },
    Case {
        request: "ZUNION 2 a b WITHSCORES",
        shards: &[0, 1],
        asked: &[
            (0, "ZUNION 1 a WITHSCORES", "*4\r\n$1\r\nx\r\n$1\r\n1\r\n$1\r\ny\r\n$4\r\n-inf\r\n"),
            (1, "ZUNION 1 b WITHSCORES", "*4\r\n$1\r\ny\r\n$3\r\ninf\r\n$1\r\nz\r\n$3\r\n0.1\r\n"),
        ],
        reply: "*6\r\n$1\r\ny\r\n$1\r\n0\r\n$1\r\nz\r\n$3\r\n0.1\r\n$1\r\nx\r\n$1\r\n1\r\n",
    },
    Case {
        request: "ZUNION 2 a b WEIGHTS 2 inf AGGREGATE MAX",
        shards: &[0, 1],
        asked: &[
            (0, "ZUNION 1 a WEIGHTS 2 WITHSCORES", "*2\r\n$1\r\nx\r\n$1\r\n2\r\n"),
            (1, "ZUNION 1 b WEIGHTS 1 WITHSCORES", "*2\r\n$1\r\nb\r\n$1\r\n0\r\n"),
        ],
        reply: "*2\r\n$1\r\nb\r\n$1\r\nx\r\n",
    },
    // 0 times inf is no number: 0 by itself, but a sum with it is 0 too.
    Case {
        request: "ZINTER 2 a b WEIGHTS 1 inf WITHSCORES",
        shards: &[0, 1],
        asked: &[
            (0, "ZUNION 1 a WEIGHTS 1 WITHSCORES", "*2\r\n$1\r\nx\r\n$1\r\n5\r\n"),
            (1, "ZUNION 1 b WEIGHTS 1 WITHSCORES", "*4\r\n$1\r\nx\r\n$1\r\n0\r\n$1\r\ny\r\n$1\r\n1\r\n"),
        ],
        reply: "*2\r\n$1\r\nx\r\n$1\r\n0\r\n",
    },
    Case {
        request: "ZUNION 2 a b WEIGHTS 1 x LIMIT",
        shards: &[0, 1],
        asked: &[
            (0, "ZUNION 1 a WEIGHTS 1 ?", SYNTAX),
            (1, "ZUNION 1 b WEIGHTS x ?", "-ERR weight value is not a float\r\n"),
        ],
        reply: "-ERR weight value is not a float\r\n",
    },
    Case {
        request: "ZDIFF 3 a b c WITHSCORES",
        shards: &[1, 0, 1],
        asked: &[
            (1, "ZDIFF 2 a c WITHSCORES", "*4\r\n$1\r\nx\r\n$1\r\n1\r\n$1\r\ny\r\n$1\r\n2\r\n"),
            (0, "ZUNION 1 b", "*1\r\n$1\r\nx\r\n"),
        ],
        reply: "*2\r\n$1\r\ny\r\n$1\r\n2\r\n",
    },
    Case {
        request: "ZDIFF 2 a b LIMIT",
        shards: &[1, 0],
        asked: &[(1, "ZDIFF 1 a LIMIT", SYNTAX), (0, "ZDIFF 1 b LIMIT", SYNTAX)],
        reply: SYNTAX,
    },
    Case {
        request: "LCS a b",
        shards: &[0, 1],
        asked: &[
            (0, "GETRANGE a 0 1048576", "$8\r\nohmytext\r\n"),
            (1, "GETRANGE b 0 1048576", "$9\r\nmynewtext\r\n"),
        ],
        reply: "$6\r\nmytext\r\n",
    },
    Case {
        request: "LCS a b FOO",
        shards: &[0, 1],
        asked: &[(0, "GETRANGE a 0 1048576", "$0\r\n\r\n"), (1, "GETRANGE b 0 1048576", WRONG)],
        reply: "-ERR The specified keys must contain string values\r\n",
    },
    Case {
        request: "PFCOUNT a b",
        shards: &[0, 1],
        asked: &[
            (0, "EXISTS a", ":0\r\n"),
            (0, "GETRANGE a 0 16400", "$0\r\n\r\n"),
            (1, "EXISTS b", ":1\r\n"),
            (1, "GETRANGE b 0 16400", "$0\r\n\r\n"),
        ],
        reply: "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n",
    },
    Case {
        request: "XREAD COUNT 1 STREAMS a b c 1 2 $",
        shards: &[0, 1, 0],
        asked: &[
            (0, "XREAD COUNT 1 STREAMS a 1", "*1\r\n*2\r\n$1\r\na\r\n*0\r\n"),
            (1, "XREAD COUNT 1 STREAMS b 2", "*-1\r\n"),
            (0, "XREAD COUNT 1 STREAMS c $", "*1\r\n*2\r\n$1\r\nc\r\n*0\r\n"),
        ],
        reply: "*2\r\n*2\r\n$1\r\na\r\n*0\r\n*2\r\n$1\r\nc\r\n*0\r\n",
    },
    Case {
        request: "XREAD STREAMS a b 1 2",
        shards: &[0, 1],
        asked: &[(0, "XREAD STREAMS a 1", "*-1\r\n"), (1, "XREAD STREAMS b 2", "*-1\r\n")],
        reply: "*-1\r\n",
    },
    Case {
        request: "JSON.MGET a b c $.x",
        shards: &[1, 0, 1],
        asked: &[
            (1, "JSON.MGET a c $.x", "*2\r\n$3\r\n[1]\r\n$-1\r\n"),
            (0, "JSON.MGET b $.x", "*1\r\n$3\r\n[2]\r\n"),
        ],
        reply: "*3\r\n$3\r\n[1]\r\n$3\r\n[2]\r\n$-1\r\n",
    },
    Case {
        request: "SUNION a b",
        shards: &[0, 1],
        asked: &[(0, "SUNION a", "*1\r\n$1\r\nx\r\n"), (1, "SUNION b", "+OK\r\n")],
        reply: "-ERR a shard's reply does not fit the request that it was sent\r\n",
    },
];

fn begun(request: &str, shards: &[ShardIndex], around: Around<'_>) -> Step {
    let request = Request::words(request);
    let args = request.args();
    let spec = resolve(&args).unwrap();
    let command = match spec.rule {
        Rule::Joined(command) => command,
        _ => JoinedCommand::Xread,
    };
    let mut found = Vec::new();
    keys::keys(spec, &args, &mut found).unwrap();
    join(command, &args, (&found, shards), around)
}

fn answered(step: Step, answers: &[Answer], around: Around<'_>) -> Step {
    match step {
        Step::Ask(gather, _) => gather.go_on(answers, around),
        reply @ Step::Reply(_) => reply,
    }
}

#[test]
fn joined_commands_ask_for_little_and_reply_as_one_server() {
    let pool = Pool::new(&["a", "b", "c"]);
    for case in CASES {
        let step = begun(case.request, case.shards, pool.around());
        if let Step::Ask(_, asks) = &step {
            let due: Vec<Ask> = case
                .asked
                .iter()
                .map(|(shard, words, _)| {
                    parts::ask(*shard, &words.split(' ').map(str::as_bytes).collect::<Vec<_>>())
                })
                .collect();
            assert_eq!(asks, &due, "{}", case.request);
        } else {
            assert!(case.asked.is_empty(), "{} asks nobody", case.request);
        }
        let answers: Vec<Answer> = case
            .asked
            .iter()
            .map(|(shard, _, reply)| Answer { shard: *shard, reply: reply.as_bytes().to_vec() })
            .collect();
        match answered(step, &answers, pool.around()) {
            Step::Reply(reply) => {
                assert_eq!(String::from_utf8_lossy(&reply), case.reply, "{}", case.request);
            }
            Step::Ask(..) => panic!("{} asks again", case.request),
        }
    }
}

#[test]
fn a_shard_tells_who_it_is_when_its_scores_do_not() {
    let pool = Pool::new(&["a", "b"]);
    let scores = |shard, text: &str| Answer {
        shard,
        reply: format!("*2\r\n$1\r\nm\r\n${}\r\n{text}\r\n", text.len()).into_bytes(),
    };
    for (info, due) in
        [("redis_version:7.0.15\r\n", "0.80000000000000004"), ("redis_version:7.2.4\r\n", "0.8")]
    {
        let step = begun("ZUNION 2 x y WITHSCORES", &[0, 1], pool.around());
        let answers = [scores(0, "0.30000000000000004"), scores(1, "0.5")];
        let Step::Ask(gather, asks) = answered(step, &answers, pool.around()) else {
            panic!("nobody is asked");
        };
        assert_eq!(asks, [parts::ask(0, &[b"INFO", b"server"])]);
        let answer = Answer { shard: 0, reply: info.as_bytes().to_vec() };
        let Step::Reply(reply) = gather.go_on(&[answer], pool.around()) else {
            panic!("asked again");
        };
        assert_eq!(reply, scores(0, due).reply);
    }
}

#[test]
fn too_many_elements_are_refused_with_a_hint() {
    let pool = Pool::new(&["a", "b"]);
    let step = begun("SUNION x y", &[0, 1], pool.around());
    let answers = [0, 1].map(|shard| Answer { shard, reply: b"*250001\r\n".to_vec() });
    let Step::Reply(reply) = answered(step, &answers, pool.around()) else {
        panic!("asked again");
    };
    let text = String::from_utf8(reply).unwrap();
    assert!(text.starts_with("-CROSSSHARD ") && text.contains("hash tag"), "{text}");
}

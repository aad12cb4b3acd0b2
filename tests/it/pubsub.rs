//! Publish and subscribe over several shards looks like one server's.
//!
//! Real shards, a gateway with two workers, and clients in RESP2 and RESP3 on both workers. Confirmations, refusals and
//! counts are compared with a plain server, byte for byte. Messages are awaited, never timed: what must not come is
//! shown by a later message that comes alone.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;
use sluicegate_tests::wait::eventually_true;

fn gateway(shards: &[RealServer]) -> InProcess {
    InProcess::start(&yaml_over(shards, &[]))
}

fn resp3(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    assert!(matches!(client.line("HELLO 3"), Value::Map(_)));
    client
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) | Value::Push(items) => items.iter().map(|item| match item {
            Value::Integer(number) => number.to_string(),
            Value::Null => "nil".to_owned(),
            other => other.text(),
        }),
        other => panic!("no message: {other:?}"),
    }
    .collect()
}

/// The next message or confirmation, its parts with spaces between.
fn heard(client: &mut Client) -> String {
    words(&client.reply()).join(" ")
}

/// Keys `k0`, `k1` ... of which each shard owns at least one, by shard.
fn key_per_shard(gateway: &InProcess, shards: &[RealServer]) -> Vec<String> {
    let mut client = gateway.client();
    let keys: Vec<String> = (0..100).map(|number| format!("k{number}")).collect();
    for key in &keys {
        assert_eq!(client.command(&["SET", key, "v"]), Value::ok());
    }
    shards
        .iter()
        .map(|shard| {
            let mut direct = shard.client();
            let owned = |key: &&String| direct.command(&["EXISTS", key]) == Value::Integer(1);
            keys.iter().find(owned).expect("each shard owns one of 100 keys").clone()
        })
        .collect()
}

/// Sends the lines one by one to both and compares as many replies as each line has.
fn compare(gateway: &mut Client, plain: &mut Client, lines: &[(&str, usize)]) {
    for (line, replies) in lines {
        let args: Vec<&str> = line.split(' ').collect();
        gateway.send(&args);
        plain.send(&args);
        for number in 0..*replies {
            let theirs = plain.next_reply().expect("a plain server answers").0;
            let ours = gateway.next_reply().expect("the gateway answers").0;
            let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
            assert_eq!(shown(&ours), shown(&theirs), "reply {number} to {line}");
        }
    }
}

const SUBSCRIBING: &[(&str, usize)] = &[
    ("SUBSCRIBE", 1),
    ("UNSUBSCRIBE", 1),
    ("PUNSUBSCRIBE", 1),
    ("SUNSUBSCRIBE", 1),
    ("UNSUBSCRIBE x y", 2),
    ("SUBSCRIBE a b a", 3),
    ("subscribe a", 1),
    ("PSUBSCRIBE p* q?", 2),
    ("SSUBSCRIBE s", 1),
    ("UNSUBSCRIBE zz", 1),
    ("PING", 1),
    ("PING hi", 1),
    ("PING a b", 1),
    ("GET", 1),
    ("GET x", 1),
    ("NOPE x", 1),
    ("CONFIG GET x", 1),
    ("MULTI", 1),
    ("PUNSUBSCRIBE q? q?", 2),
    ("UNSUBSCRIBE a", 1),
    ("UNSUBSCRIBE b", 1),
    ("UNSUBSCRIBE", 1),
    ("SUNSUBSCRIBE", 1),
    ("GET x", 1),
    ("PUNSUBSCRIBE", 1),
    ("GET x", 1),
    ("SUBSCRIBE a", 1),
];

#[test]
fn confirmations_and_refusals_are_those_of_one_redis() {
    let shards = RealServer::start_many(3);
    let (gateway, plain) = (gateway(&shards), RealServer::start());
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    compare(&mut ours, &mut theirs, SUBSCRIBING);
    // In RESP2 these are refused; EXEC has words of its own.
    compare(&mut ours, &mut theirs, &[("EXEC", 1), ("HELLO 3", 1), ("RESET", 1), ("GET x", 1)]);
    compare(&mut ours, &mut theirs, &[("SUBSCRIBE a", 1), ("QUIT", 1)]);
    assert_eq!((ours.next_reply(), theirs.next_reply()), (None, None));

    let (mut ours, mut theirs) = (resp3(gateway.address()), resp3(plain.address()));
    compare(&mut ours, &mut theirs, &SUBSCRIBING[..17]);
    compare(&mut ours, &mut theirs, &SUBSCRIBING[18..]);
    assert!(matches!(ours.line("HELLO 2"), Value::Array(_)));
    assert!(matches!(theirs.line("HELLO 2"), Value::Array(_)));
    compare(&mut ours, &mut theirs, &[("GET x", 1), ("UNSUBSCRIBE a", 1), ("GET x", 1)]);

    // CLIENT REPLY OFF mutes replies, not what is subscribed.
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    compare(&mut ours, &mut theirs, &[("CLIENT REPLY OFF", 0), ("GET x", 0), ("SUBSCRIBE a", 1)]);
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    let questions = [
        ("PUBSUB", 1),
        ("PUBSUB NOPE", 1),
        ("PUBSUB CHANNELS", 1),
        ("PUBSUB CHANNELS a b", 1),
        ("PUBSUB NUMSUB", 1),
        ("PUBSUB NUMSUB a b", 1),
        ("PUBSUB NUMPAT", 1),
        ("PUBSUB NUMPAT x", 1),
        ("PUBSUB SHARDCHANNELS", 1),
        ("PUBSUB SHARDNUMSUB s", 1),
        ("PUBLISH a", 1),
        ("PUBLISH a b c", 1),
        ("PUBLISH a b", 1),
        ("SPUBLISH a b", 1),
    ];
    compare(&mut ours, &mut theirs, &questions);
}

#[test]
fn a_message_reaches_every_subscriber_of_both_workers_once_and_is_counted() {
    let shards = RealServer::start_many(3);
    let gateway = gateway(&shards);
    // Clients go to the workers in turn.
    let mut subscribers: Vec<Client> = (0..6)
        .map(|number| if number % 3 == 0 { resp3(gateway.address()) } else { gateway.client() })
        .collect();
    let mut publisher = gateway.client();
    for (number, subscriber) in subscribers.iter_mut().enumerate() {
        assert_eq!(heard(subscriber.also("SUBSCRIBE news")), "subscribe news 1");
        assert_eq!(heard(subscriber.also("PSUBSCRIBE n?ws")), "psubscribe n?ws 2");
        // What is acknowledged is counted by the next PUBLISH, on whichever worker.
        let reached = i64::try_from(2 * (number + 1)).unwrap();
        assert_eq!(publisher.line("PUBLISH news hello"), Value::Integer(reached));
        assert_eq!(publisher.line("PUBSUB NUMSUB news"), numsub("news", reached / 2));
    }
    for (number, subscriber) in subscribers.iter_mut().enumerate() {
        for _ in number..6 {
            let mut both = [subscriber.reply(), subscriber.reply()];
            assert!(both.iter().all(|it| matches!(it, Value::Push(_)) == (number % 3 == 0)));
            both.sort();
            let both: Vec<String> = both.iter().map(|it| words(it).join(" ")).collect();
            assert!(both.contains(&"message news hello".to_owned()), "{both:?}");
            assert!(both.contains(&"pmessage n?ws news hello".to_owned()), "{both:?}");
        }
        assert!(subscriber.is_quiet());
    }
    assert_eq!(publisher.line("PUBSUB NUMPAT"), Value::Integer(1));
    assert_eq!(heard(subscribers[1].also("UNSUBSCRIBE")), "unsubscribe news 1");
    assert_eq!(publisher.line("PUBLISH news bye"), Value::Integer(11));
    drop(subscribers);
    eventually_true("clients that left to be counted no more", || {
        publisher.line("PUBSUB CHANNELS") == Value::Array(vec![])
            && publisher.line("PUBSUB NUMPAT") == Value::Integer(0)
    });
}

fn numsub(name: &str, count: i64) -> Value {
    Value::Array(vec![Value::bulk(name), Value::Integer(count)])
}

#[test]
fn channels_of_all_workers_are_listed() {
    let shards = RealServer::start_many(2);
    let gateway = gateway(&shards);
    let mut clients: Vec<Client> = (0..4).map(|_| gateway.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let name = format!("c{number}");
        client.command(&["SUBSCRIBE", &name]);
        client.command(&["SSUBSCRIBE", &name]);
    }
    let names = |numbers: &[&str]| Value::Array(numbers.iter().map(Value::bulk).collect());
    let mut asker = gateway.client();
    assert_eq!(asker.line("PUBSUB CHANNELS"), names(&["c0", "c1", "c2", "c3"]));
    assert_eq!(asker.line("PUBSUB CHANNELS c[12]"), names(&["c1", "c2"]));
    assert_eq!(asker.line("PUBSUB SHARDCHANNELS *3"), names(&["c3"]));
    assert_eq!(asker.line("PUBSUB SHARDNUMSUB c1"), numsub("c1", 1));
    let listed = asker.line("CLIENT LIST TYPE pubsub").text();
    assert_eq!(listed.matches(" flags=P ").count(), 4, "{listed}");
    assert_eq!(listed.matches(" sub=1 psub=0 ssub=1 ").count(), 4, "{listed}");
}

#[test]
fn shard_channels_live_on_the_shard_of_their_name() {
    let shards = RealServer::start_many(3);
    let gateway = gateway(&shards);
    let (mut first, mut second) = (gateway.client(), resp3(gateway.address()));
    let mut publisher = gateway.client();
    let mut used = BTreeSet::new();
    for number in 0..30 {
        let name = format!("s{number}");
        for client in [&mut first, &mut second] {
            let confirmed = words(&client.command(&["SSUBSCRIBE", &name]));
            assert_eq!(confirmed, ["ssubscribe", &name, &(number + 1).to_string()]);
        }
        assert_eq!(publisher.command(&["SPUBLISH", &name, "x"]), Value::Integer(2));
        for client in [&mut first, &mut second] {
            assert_eq!(heard(client), format!("smessage {name} x"));
        }
        // One shard knows of it, by one connection of each worker.
        let known = shards.iter().position(|shard| {
            shard.client().command(&["PUBSUB", "SHARDNUMSUB", &name]) == numsub(&name, 2)
        });
        used.insert(known.expect("a shard that has the channel"));
    }
    assert_eq!(used.len(), 3, "channels spread over the shards");
    assert_eq!(publisher.line("PUBLISH s1 x"), Value::Integer(0), "another kind of channel");
}

#[test]
fn keyspace_events_over_shards_each_come_once() {
    let shards: Vec<RealServer> =
        (0..3).map(|_| RealServer::start_with(&["--notify-keyspace-events", "KEA"])).collect();
    let gateway = gateway(&shards);
    let keys = key_per_shard(&gateway, &shards);
    let mut listeners = [gateway.client(), gateway.client(), resp3(gateway.address())];
    for listener in &mut listeners {
        listener.line("PSUBSCRIBE __keyevent@*__:*");
    }
    let mut writer = gateway.client();
    for key in &keys {
        assert_eq!(writer.command(&["SET", key, "1"]), Value::ok());
        assert_eq!(writer.command(&["DEL", key]), Value::Integer(1));
    }
    for listener in &mut listeners {
        // Those of one key in order; between shards there is none.
        let events: Vec<String> = (0..6).map(|_| heard(listener)).collect();
        for key in &keys {
            let of_key: Vec<&String> =
                events.iter().filter(|event| event.ends_with(&format!(" {key}"))).collect();
            let due = ["set", "del"]
                .map(|event| format!("pmessage __keyevent@*__:* __keyevent@0__:{event} {key}"));
            assert_eq!(of_key, due.iter().collect::<Vec<_>>());
        }
        assert!(listener.is_quiet());
    }
}

#[test]
fn publish_inside_a_script_or_a_transaction_on_any_shard_arrives() {
    let shards = RealServer::start_many(3);
    let gateway = gateway(&shards);
    let keys = key_per_shard(&gateway, &shards);
    let mut subscriber = gateway.client();
    assert_eq!(heard(subscriber.also("SUBSCRIBE jobs")), "subscribe jobs 1");
    let mut writer = gateway.client();
    for key in &keys {
        let script = "return redis.call('PUBLISH', 'jobs', KEYS[1])";
        assert!(matches!(writer.command(&["EVAL", script, "1", key]), Value::Integer(1)));
        assert_eq!(heard(&mut subscriber), format!("message jobs {key}"));
        writer.line("MULTI");
        writer.command(&["SET", key, "v"]);
        assert_eq!(writer.command(&["PUBLISH", "jobs", key]).text(), "QUEUED");
        assert!(matches!(writer.line("EXEC"), Value::Array(replies) if replies.len() == 2));
        assert_eq!(heard(&mut subscriber), format!("message jobs {key}"));
    }
    writer.line("MULTI");
    writer.line("PUBLISH jobs alone");
    assert!(matches!(writer.line("EXEC"), Value::Array(replies) if replies.len() == 1));
    assert_eq!(heard(&mut subscriber), "message jobs alone");
    writer.line("MULTI");
    assert!(writer.line("SUBSCRIBE jobs").is_error("ERR "));
    assert!(writer.line("EXEC").is_error("EXECABORT "));
}

#[test]
fn confirmations_stand_in_the_order_of_requests() {
    let shards = RealServer::start_many(3);
    let gateway = gateway(&shards);
    let mut client = resp3(gateway.address());
    for round in 0..50 {
        let mut pipeline = Vec::new();
        for number in 0..5 {
            pipeline.extend(request(&["SET", &format!("k{number}"), &round.to_string()]));
        }
        let channel = format!("c{round}");
        for line in [
            vec!["GET", "k0"],
            vec!["SUBSCRIBE", &channel, "other"],
            vec!["GET", "k1"],
            vec!["PUBLISH", &channel, "x"],
            vec!["UNSUBSCRIBE", &channel],
            vec!["PUBLISH", &channel, "y"],
            vec!["PING"],
        ] {
            pipeline.extend(request(&line));
        }
        client.send_raw(&pipeline);
        (0..5).for_each(|_| assert_eq!(client.reply(), Value::ok()));
        assert_eq!(client.reply(), Value::bulk(round.to_string()));
        assert_eq!(
            heard(&mut client),
            format!("subscribe {channel} {}", 1 + usize::from(round > 0))
        );
        assert_eq!(heard(&mut client), "subscribe other 2");
        assert_eq!(client.reply(), Value::bulk(round.to_string()));
        // The message comes before or behind the number of those it reaches; the rest has its order.
        let (mut replies, mut messages) = (Vec::new(), Vec::new());
        while replies.len() < 4 {
            match client.reply() {
                Value::Push(items) if items[0].text() == "message" => messages.push(items),
                other => replies.push(other),
            }
        }
        assert_eq!(replies[0], Value::Integer(1));
        assert_eq!(words(&replies[1]).join(" "), format!("unsubscribe {channel} 1"));
        assert_eq!(replies[2], Value::Integer(0));
        assert_eq!(replies[3].text(), "PONG");
        assert!(messages.len() <= 1, "{messages:?}");
    }
}

#[test]
fn messages_of_a_channel_keep_their_order_between_large_replies() {
    let shards = RealServer::start_many(2);
    let gateway = gateway(&shards);
    let mut client = resp3(gateway.address());
    client.command(&["SET", "big", &"x".repeat(300_000)]);
    client.line("SUBSCRIBE ticks");
    let mut publisher = gateway.client();
    for number in 0..200 {
        publisher.send(&["PUBLISH", "ticks", &format!("{number}:{}", "y".repeat(number * 30))]);
        client.send(&["GET", "big"]);
    }
    let (mut next, mut replies) = (0, 0);
    while next < 200 || replies < 200 {
        match client.reply() {
            Value::Push(items) => {
                let due = format!("{next}:{}", "y".repeat(next * 30));
                assert_eq!(items[2], Value::bulk(due));
                next += 1;
            }
            reply => {
                assert_eq!(reply.text().len(), 300_000);
                replies += 1;
            }
        }
    }
}

#[test]
fn subscribers_hear_again_when_their_shard_is_back() {
    let mut shards = RealServer::start_many(2);
    let gateway = gateway(&shards);
    let mut subscribers = [gateway.client(), resp3(gateway.address())];
    for subscriber in &mut subscribers {
        subscriber.line("SUBSCRIBE news");
        subscriber.line("PSUBSCRIBE n*");
        subscriber.line("SSUBSCRIBE sharded");
    }
    for shard in &mut shards {
        shard.kill();
    }
    for shard in &mut shards {
        shard.restart();
    }
    let mut publisher = gateway.client();
    for subscriber in &mut subscribers {
        let mut missing =
            BTreeSet::from(["message news x", "pmessage n* news x", "smessage sharded x"]);
        eventually_true("messages of every kind after the restart", || {
            // Errors, or nobody, while a shard is not back.
            publisher.line("PUBLISH news x");
            publisher.line("SPUBLISH sharded x");
            while !subscriber.is_quiet() {
                missing.remove(heard(subscriber).as_str());
            }
            missing.is_empty()
        });
    }
    let mut late = gateway.client();
    assert_eq!(heard(late.also("SUBSCRIBE late")), "subscribe late 1");
}

#[test]
fn subscribe_confirms_although_a_shard_is_down_and_hears_it_when_it_is_back() {
    let mut shards = RealServer::start_many(2);
    shards[1].kill();
    let gateway = gateway(&shards);
    let mut subscriber = gateway.client();
    assert_eq!(heard(subscriber.also("SUBSCRIBE news")), "subscribe news 1");
    shards[1].restart();
    // What is published at the shard itself, as a script does.
    let mut direct = shards[1].client();
    eventually_true("the shard to have the subscriber", || {
        direct.line("PUBLISH news back") != Value::Integer(0)
    });
    assert_eq!(heard(&mut subscriber), "message news back");
    assert_eq!(shards[0].client().line("PUBLISH news there"), Value::Integer(1));
    assert_eq!(heard(&mut subscriber), "message news there");
}

#[test]
fn a_shard_that_refuses_a_channel_makes_subscribe_its_error() {
    let shards = RealServer::start_many(2);
    for shard in &shards {
        assert_eq!(shard.client().line("ACL SETUSER default resetchannels &ok*"), Value::ok());
    }
    let gateway = gateway(&shards);
    let mut client = gateway.client();
    assert!(client.line("SUBSCRIBE ok1 secret").is_error("NOPERM "));
    assert_eq!(client.line("PUBSUB CHANNELS"), Value::Array(vec![]));
    assert_eq!(heard(client.also("SUBSCRIBE ok1")), "subscribe ok1 1");
    let mut publisher = gateway.client();
    assert_eq!(publisher.line("PUBLISH ok1 x"), Value::Integer(1));
    assert!(publisher.line("PUBLISH secret x").is_error("NOPERM "));
    assert_eq!(heard(&mut client), "message ok1 x");
}

#[test]
fn a_slow_subscriber_is_cut_and_the_others_hear_all() {
    let shards = RealServer::start_many(1);
    let gateway = InProcess::start(&yaml_over(&shards, &["client_output: 1MiB"]));
    let (mut slow, mut good) = (gateway.client(), gateway.client());
    slow.line("SUBSCRIBE flood");
    good.line("SUBSCRIBE flood");
    let mut publisher = gateway.client();
    let text = "x".repeat(100_000);
    let mut sent = 0;
    // What the system's buffers take is not the gateway's to count.
    while publisher.line("PUBSUB NUMSUB flood") == numsub("flood", 2) {
        sent += 1;
        assert!(sent < 2_000, "nobody is cut");
        publisher.command(&["PUBLISH", "flood", &text]);
        assert_eq!(good.reply(), message("flood", &text));
    }
    assert_eq!(publisher.line("PUBSUB NUMSUB flood"), numsub("flood", 1));
    publisher.line("PUBLISH flood end");
    assert_eq!(good.reply(), message("flood", "end"));
    slow.read_to_close();
}

fn message(channel: &str, text: &str) -> Value {
    Value::Array(vec![Value::bulk("message"), Value::bulk(channel), Value::bulk(text)])
}

#[test]
fn large_messages_go_through_and_come_back() {
    let shards = RealServer::start_many(2);
    let gateway = gateway(&shards);
    let mut subscribers = [gateway.client(), resp3(gateway.address())];
    for subscriber in &mut subscribers {
        subscriber.line("SUBSCRIBE big");
    }
    let mut publisher = gateway.client();
    let text = "z".repeat(3 << 20);
    publisher.send(&["PUBLISH", "big", &text]);
    publisher.send(&["PUBLISH", "big", "small"]);
    assert_eq!((publisher.reply(), publisher.reply()), (Value::Integer(2), Value::Integer(2)));
    for subscriber in &mut subscribers {
        for due in [text.as_str(), "small"] {
            let (Value::Array(items) | Value::Push(items)) = subscriber.reply() else {
                panic!("no message")
            };
            assert!(items[2] == Value::bulk(due));
        }
    }
}

#[test]
fn idle_clients_are_sent_away_but_not_subscribers() {
    let shards = RealServer::start_many(1);
    let gateway = InProcess::start(&yaml_over(&shards, &["idle_timeout: 1s"]));
    let mut subscriber = gateway.client();
    subscriber.line("SUBSCRIBE news");
    let mut idle = gateway.client();
    idle.line("PING");
    // Both have been silent for as long when the other one is cut.
    assert_eq!(idle.next_reply(), None);
    let mut idle = gateway.client();
    assert_eq!(idle.next_reply(), None);
    assert_eq!(gateway.client().line("PUBLISH news x"), Value::Integer(1));
    assert_eq!(heard(&mut subscriber), "message news x");
}

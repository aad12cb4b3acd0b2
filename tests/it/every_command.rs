//! Every command of the table, with too few, right and too many arguments: one reply each, and the connection lives.
//!
//! Right arguments are made from what the servers' own documents say of a command (`COMMAND DOCS`), with and without
//! its options. A PING behind each request shows that nothing else came and that the connection is open. Commands
//! whose replies are another number by their nature are named below. The errors of a server's own are compared with
//! those of a plain Redis 7.0.

use std::net::SocketAddr;

use sluicegate::command::CommandSpec;
use sluicegate::command::docs::{self, Value as Doc};
use sluicegate_tests::client::Client;
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

/// After these a connection is not as before: the next command gets a new one.
const STATE: &[&str] = &[
    "asking",
    "auth",
    "client|kill",
    "client|reply",
    "hello",
    "monitor",
    "multi",
    "psubscribe",
    "punsubscribe",
    "quit",
    "reset",
    "select",
    "ssubscribe",
    "subscribe",
    "sunsubscribe",
    "unsubscribe",
    "watch",
];
const SUBSCRIBES: &[&str] = &["subscribe", "psubscribe", "ssubscribe"];
const UNSUBSCRIBES: &[&str] = &["unsubscribe", "punsubscribe", "sunsubscribe"];

/// All commands and subcommands of the table.
fn every_spec() -> Vec<&'static CommandSpec> {
    let all = sluicegate::command::all().iter();
    all.flat_map(|spec| std::iter::once(spec).chain(&spec.subcommands)).collect()
}

/// An argument as COMMAND DOCS describes it.
#[derive(Debug, Default)]
struct Argument {
    name: String,
    kind: String,
    token: Option<String>,
    optional: bool,
    inner: Vec<Argument>,
}

/// The next value of a document, whole.
fn tree(values: &mut dyn Iterator<Item = Doc>) -> Value {
    match values.next().expect("a value") {
        Doc::Map(pairs) => Value::Map((0..pairs).map(|_| (tree(values), tree(values))).collect()),
        Doc::Array(count) => Value::Array((0..count).map(|_| tree(values)).collect()),
        Doc::Set(count) => Value::Set((0..count).map(|_| tree(values)).collect()),
        Doc::Integer(number) => Value::Integer(number),
        Doc::Simple(text) => Value::Simple(text.into()),
        Doc::Bulk(text) => Value::bulk(text),
    }
}

fn argument(value: &Value) -> Argument {
    let Value::Map(pairs) = value else { panic!("no argument: {value:?}") };
    let mut argument = Argument::default();
    for (key, value) in pairs {
        match (key.text().as_str(), value) {
            ("name", value) => argument.name = value.text(),
            ("type", value) => argument.kind = value.text(),
            ("token", value) => argument.token = Some(value.text()),
            ("flags", Value::Set(flags)) => {
                argument.optional = flags.iter().any(|flag| flag.text() == "optional");
            }
            ("arguments", Value::Array(inner)) => {
                argument.inner = inner.iter().map(self::argument).collect();
            }
            _ => {}
        }
    }
    argument
}

/// The arguments of a command; for one that the servers do not describe a key and two values.
fn arguments(spec: &CommandSpec) -> Vec<Argument> {
    let Some(doc) = docs::find(&spec.name) else {
        let plain =
            |name: &str| Argument { name: name.into(), kind: "key".into(), ..Argument::default() };
        return vec![plain("key"), plain("1"), plain("value")];
    };
    let mut values = doc.values();
    let pairs: Vec<(Value, Value)> =
        (0..doc.pairs).map(|_| (tree(&mut values), tree(&mut values))).collect();
    match pairs.iter().find(|(key, _)| key.text() == "arguments") {
        Some((_, Value::Array(list))) => list.iter().map(argument).collect(),
        _ => Vec::new(),
    }
}

/// How to write a command's arguments out.
#[derive(Clone, Copy)]
struct Choice {
    /// Options too.
    options: bool,
    /// Which of several alternatives, the first ones beyond the last.
    alternative: usize,
    /// Keys of different names, so on different shards.
    spread: bool,
}

fn write(argument: &Argument, choice: Choice, words: &mut Vec<String>) {
    if argument.optional && !choice.options {
        return;
    }
    if let Some(token) = &argument.token {
        words.push(token.replace('"', ""));
    }
    let word = match argument.kind.as_str() {
        "pure-token" => return,
        "block" => {
            argument.inner.iter().for_each(|inner| write(inner, choice, words));
            return;
        }
        "oneof" => {
            let place = choice.alternative % argument.inner.len().max(1);
            if let Some(inner) = argument.inner.get(place) {
                write(inner, choice, words);
            }
            return;
        }
        "key" if choice.spread => format!("key:{}", argument.name),
        "key" => "key".to_owned(),
        "pattern" => "*".to_owned(),
        // Short, so that what waits does not wait long.
        "double" => "0.01".to_owned(),
        "unix-time" => "99999999999".to_owned(),
        "integer" if argument.name == "cursor" => "0".to_owned(),
        "integer" => "1".to_owned(),
        _ => "value".to_owned(),
    };
    words.push(word);
}

/// The words of the command's name.
fn name_words(spec: &CommandSpec) -> Vec<String> {
    spec.name.split('|').map(str::to_owned).collect()
}

/// Requests with too few, right and too many arguments.
fn requests(spec: &CommandSpec) -> Vec<Vec<String>> {
    let arguments = arguments(spec);
    let mut found: Vec<Vec<String>> = Vec::new();
    for (options, alternative, spread) in
        [(false, 0, false), (false, 0, true), (true, 0, false), (true, 1, true), (true, 2, true)]
    {
        let mut words = name_words(spec);
        let choice = Choice { options, alternative, spread };
        arguments.iter().for_each(|argument| write(argument, choice, &mut words));
        found.push(words);
    }
    let right = found[0].clone();
    let least = usize::from(spec.arity.unsigned_abs());
    for len in 1..right.len().min(least) {
        found.push(right[..len].to_vec());
    }
    for more in [1, 2, 5] {
        found.push([right.clone(), vec!["value".to_owned(); more]].concat());
    }
    found.sort();
    found.dedup();
    found
}

/// A connection that is made anew after commands that change its state.
struct Probe {
    address: SocketAddr,
    protocol: u8,
    client: Option<Client>,
    sent: usize,
}

impl Probe {
    fn client(&mut self) -> Client {
        self.client.take().unwrap_or_else(|| {
            let mut client = Client::connect(self.address);
            if self.protocol == 3 {
                assert!(matches!(client.line("HELLO 3"), Value::Map(_)));
            }
            client
        })
    }

    /// Sends the request and a PING, and counts what comes before the PING's reply.
    fn check(&mut self, spec: &CommandSpec, words: &[String]) {
        self.sent += 1;
        let marker = format!("marker-{}", self.sent);
        let mut client = self.client();
        client.send(words);
        client.send(&["PING", &marker]);
        let mut replies = Vec::new();
        let closed = loop {
            match client.next_reply() {
                None => break true,
                Some((_, reply)) if is_pong(&reply, &marker) => break false,
                // Inside MULTI the PING is put into the queue.
                Some((_, reply)) if spec.name == "multi" && reply.text() == "QUEUED" => {
                    break false;
                }
                Some((_, reply)) => replies.push(reply),
            }
        };
        let shown = format!("{} over RESP{}: {replies:?}", words.join(" "), self.protocol);
        assert_eq!(closed, spec.name == "quit", "{shown}");
        if spec.name == "monitor" {
            // The lines about commands, its own among them.
            replies.retain(|reply| !reply.text().starts_with(|c: char| c.is_ascii_digit()));
        }
        assert_eq!(replies.len(), replies_due(spec, words, &replies), "{shown}");
        let pushes = replies.iter().filter(|reply| matches!(reply, Value::Push(_))).count();
        let subscribes =
            SUBSCRIBES.contains(&spec.name.as_str()) || UNSUBSCRIBES.contains(&spec.name.as_str());
        assert!(pushes == 0 || subscribes, "{shown}");
        if !closed && !STATE.contains(&spec.name.as_str()) {
            assert!(client.is_quiet(), "more than one reply: {shown}");
            self.client = Some(client);
        }
    }
}

/// One, but as many as there are channels to subscribe to.
fn replies_due(spec: &CommandSpec, words: &[String], replies: &[Value]) -> usize {
    let refused = matches!(replies, [Value::Error(_)]);
    let channels = words.len() - 1;
    match spec.name.as_str() {
        name if SUBSCRIBES.contains(&name) && !refused => channels,
        name if UNSUBSCRIBES.contains(&name) && !refused => channels.max(1),
        _ => 1,
    }
}

fn is_pong(reply: &Value, marker: &str) -> bool {
    match reply {
        Value::Bulk(text) => text == marker.as_bytes(),
        Value::Array(pair) => {
            matches!(pair.as_slice(), [pong, text] if pong.text() == "pong" && text.text() == marker)
        }
        _ => false,
    }
}

fn check_every_command(shards: &[RealServer], protocol: u8) {
    let gateway = InProcess::start(&yaml_over(shards, &[]));
    let mut probe = Probe { address: gateway.address(), protocol, client: None, sent: 0 };
    for spec in every_spec() {
        for (number, mut words) in requests(spec).into_iter().enumerate() {
            if spec.name == "client|reply"
                && words.iter().any(|word| word == "OFF" || word == "SKIP")
            {
                // No reply is what they ask for: the next test.
                continue;
            }
            if number % 2 == 1 {
                words
                    .iter_mut()
                    .take(name_words(spec).len())
                    .for_each(|word| word.make_ascii_uppercase());
            }
            probe.check(spec, &words);
        }
    }
    eprintln!("{} requests over RESP{protocol}", probe.sent);
    assert!(probe.sent > 2500, "only {} requests were sent", probe.sent);
}

#[test]
fn every_command_gets_one_reply_and_the_connection_lives_resp2() {
    check_every_command(&RealServer::start_many(2), 2);
}

/// Over Valkey 9 where this machine has one: it knows more of the table.
#[test]
fn every_command_gets_one_reply_and_the_connection_lives_resp3() {
    let valkey: Option<Vec<RealServer>> = (0..2).map(|_| RealServer::start_valkey()).collect();
    check_every_command(&valkey.unwrap_or_else(|| RealServer::start_many(2)), 3);
}

/// What a server says of a request that is no command, as the gateway and a plain Redis 7.0 word it.
#[test]
fn arity_and_subcommand_errors_are_worded_as_redis_words_them() {
    let plain = RealServer::start();
    let gateway = InProcess::start(&yaml_over(&RealServer::start_many(2), &[]));
    let (mut ours, mut theirs) = (gateway.client(), plain.client());
    let mut other_words = Vec::new();
    let mut compared = 0;
    let mut compare = |words: &[String]| {
        let (ours, theirs) = (ours.command(words), theirs.command(words));
        let text = theirs.text();
        let judged = text.contains("wrong number of arguments")
            || text.starts_with("ERR unknown subcommand");
        assert!(judged, "{words:?} is a command of Redis: {theirs:?}");
        compared += 1;
        if ours != theirs {
            other_words.push((words.join(" "), ours, theirs));
        }
    };
    for spec in every_spec().into_iter().filter(|spec| spec.row.redis) {
        let filled = |len: usize| {
            let mut words = name_words(spec);
            words.resize(len.max(words.len()), "a".to_owned());
            words
        };
        let least = usize::from(redis_arity(&plain, &spec.name).unsigned_abs());
        for len in name_words(spec).len()..least {
            compare(&filled(len)[..len]);
        }
        if spec.arity > 0 {
            compare(&filled(least + 1));
        }
        if !spec.subcommands.is_empty() {
            compare(&[spec.name.clone(), "nosuch".to_owned()]);
            compare(&[spec.name.to_uppercase(), "No\r\nSuch".to_owned(), "a".to_owned()]);
        }
    }
    assert!(compared > 500, "only {compared} errors were compared");
    assert!(other_words.is_empty(), "the gateway has other words than Redis: {other_words:#?}");
}

fn redis_arity(plain: &RealServer, name: &str) -> i16 {
    let reply = plain.client().line(&format!("COMMAND INFO {name}"));
    let Value::Array(rows) = &reply else { panic!("{name}: {reply:?}") };
    match rows.first() {
        Some(Value::Array(row)) => match row.get(1) {
            Some(Value::Integer(arity)) => i16::try_from(*arity).expect("an arity"),
            other => panic!("{name}: {other:?}"),
        },
        other => panic!("{name}: {other:?}"),
    }
}

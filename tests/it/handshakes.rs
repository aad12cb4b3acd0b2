//! Clients that cannot be installed here, played from their documented first commands: go-redis, StackExchange.Redis,
//! Lettuce and Jedis.
//!
//! What each of them is documented to write at connect is sent here, in one piece where it pipelines. Every
//! request must get exactly one reply of the kind that the library's parser takes, nothing may be left over, and the
//! connection must live on. The sequences follow what is written about the libraries; no run of theirs was recorded here.

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

/// What a library can take as the reply.
#[derive(Clone, Copy, Debug)]
enum Wants {
    Ok,
    /// Simple or bulk, as it is.
    Text(&'static str),
    /// A bulk or verbatim string with this in it.
    Part(&'static str),
    /// An error that starts so.
    Error(&'static str),
    /// A map of HELLO with this protocol, as a map or as a flat array.
    Hello(i64),
    /// A map or an array of exactly this name and some value.
    Setting(&'static str),
    Integer,
    Null,
    /// A confirmation of a subscription, as an array or as a push.
    Confirmed(&'static str),
}

impl Wants {
    fn takes(self, reply: &Value) -> bool {
        match self {
            Wants::Ok => *reply == Value::ok(),
            Wants::Text(text) => reply.text() == text && !reply.is_error(""),
            Wants::Part(text) => reply.text().contains(text) && !reply.is_error(""),
            Wants::Error(start) => reply.is_error(start),
            Wants::Hello(protocol) => {
                let pairs = pairs(reply);
                let has = |name: &str| pairs.iter().any(|(key, _)| key.text() == name);
                let proto = pairs.iter().find(|(key, _)| key.text() == "proto");
                proto.is_some_and(|(_, value)| *value == Value::Integer(protocol))
                    && ["server", "version", "id", "mode", "role", "modules"].map(has) == [true; 6]
            }
            Wants::Setting(name) => {
                matches!(pairs(reply).as_slice(), [(key, Value::Bulk(_))] if key.text() == name)
            }
            Wants::Integer => matches!(reply, Value::Integer(_)),
            Wants::Null => *reply == Value::Null,
            Wants::Confirmed(kind) => match reply {
                Value::Array(parts) | Value::Push(parts) => {
                    parts.len() == 3
                        && parts[0].text() == kind
                        && matches!(parts[2], Value::Integer(_))
                }
                _ => false,
            },
        }
    }
}

/// The pairs of a map in either protocol.
fn pairs(reply: &Value) -> Vec<(Value, Value)> {
    match reply {
        Value::Map(pairs) => pairs.clone(),
        Value::Array(flat) => {
            flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
        }
        _ => Vec::new(),
    }
}

/// Sends the requests as one piece, and reads exactly one fitting reply for each.
fn play(client: &mut Client, name: &str, piece: &[(&[&[u8]], Wants)]) {
    let bytes: Vec<u8> = piece.iter().flat_map(|(args, _)| request(args)).collect();
    client.send_raw(&bytes);
    for (args, wants) in piece {
        let asked: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
        let reply = client.next_reply();
        let (_, reply) = reply.unwrap_or_else(|| panic!("{name}: closed at {asked:?}"));
        assert!(wants.takes(&reply), "{name}: {asked:?} got {reply:?}, {wants:?} was wanted");
    }
}

/// Nothing is left over and the connection works.
fn lives_on(client: &mut Client, name: &str) {
    assert_eq!(client.line("ECHO still-here"), Value::bulk("still-here"), "{name}");
    assert!(client.is_quiet(), "{name}: more replies than requests");
}

/// What a gateway without a password and without a cluster says.
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured";
const NO_CLUSTER: &str = "ERR This instance has cluster support disabled";

#[test]
fn go_redis_connects() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let lib = |client: &mut Client| {
        play(
            client,
            "go-redis",
            &[
                (&[b"client", b"setinfo", b"LIB-NAME", b"go-redis(,go1.24.4)"], Wants::Ok),
                (&[b"client", b"setinfo", b"LIB-VER", b"9.17.0"], Wants::Ok),
            ],
        );
    };
    // Its default: RESP3, then a pipeline of what is configured, then who it is, then maintenance notifications, whose
    // refusal it takes as the mode `auto` says.
    let mut client = gateway.client();
    play(&mut client, "go-redis", &[(&[b"hello", b"3"], Wants::Hello(3))]);
    play(
        &mut client,
        "go-redis",
        &[(&[b"select", b"0"], Wants::Ok), (&[b"client", b"setname", b"orders"], Wants::Ok)],
    );
    lib(&mut client);
    let notifications: &[&[u8]] =
        &[b"client", b"maint_notifications", b"on", b"moving-endpoint-type", b"internal-ip"];
    play(&mut client, "go-redis", &[(notifications, Wants::Error("ERR "))]);
    play(
        &mut client,
        "go-redis",
        &[
            (&[b"set", b"go:a", b"1", b"ex", b"60"], Wants::Ok),
            (&[b"get", b"go:a"], Wants::Text("1")),
            (&[b"get", b"go:none"], Wants::Null),
        ],
    );
    lives_on(&mut client, "go-redis");
    // With a user and a password that the server does not have: HELLO fails, then AUTH in the pipeline does.
    let mut client = gateway.client();
    let hello: &[&[u8]] = &[b"hello", b"3", b"auth", b"default", b"secret"];
    client.send(hello);
    let refused = client.reply();
    let plain = shards[0].client().command(hello);
    assert_eq!(std::mem::discriminant(&refused), std::mem::discriminant(&plain), "{refused:?}");
    play(
        &mut client,
        "go-redis, old",
        &[(&[b"auth", b"secret"], Wants::Error(NO_PASSWORD)), (&[b"select", b"0"], Wants::Ok)],
    );
    lives_on(&mut client, "go-redis, old");
}

#[test]
fn stackexchange_redis_connects() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let tie_breaker: &[u8] = b"__Booksleeve_TieBreak";
    // Its name for itself is 16 bytes of a GUID, whatever they are.
    let guid: &[u8] = b"\x00\x0d\x0a\x7f\x80\xff$*\x10\x11\x12\x13\x14\x15\x16\x17";
    for protocol in ["3", "2"] {
        let mut interactive = gateway.client();
        // All of it is written before the first reply is read.
        let hello: &[&[u8]] =
            &[b"HELLO", protocol.as_bytes(), b"SETNAME", b"host(SE.Redis-v2.9.32.54708)"];
        let setting = |name: &'static str| Wants::Setting(name);
        play(
            &mut interactive,
            "SE.Redis",
            &[
                (hello, Wants::Hello(protocol.parse().expect("a number"))),
                (&[b"CLIENT", b"SETNAME", b"host(SE.Redis-v2.9.32.54708)"], Wants::Ok),
                (&[b"CLIENT", b"SETINFO", b"lib-name", b"SE.Redis"], Wants::Ok),
                (&[b"CLIENT", b"SETINFO", b"lib-ver", b"2.9.32.54708"], Wants::Ok),
                (&[b"CLIENT", b"ID"], Wants::Integer),
                (&[b"CONFIG", b"GET", b"timeout"], setting("timeout")),
                (&[b"CONFIG", b"GET", b"slave-read-only"], setting("slave-read-only")),
                (&[b"CONFIG", b"GET", b"databases"], setting("databases")),
                (&[b"SENTINEL", b"MASTERS"], Wants::Error("ERR unknown command 'SENTINEL'")),
                (&[b"INFO", b"replication"], Wants::Part("role:master")),
                (&[b"INFO", b"server"], Wants::Part("redis_version:")),
                (&[b"CLUSTER", b"NODES"], Wants::Error(NO_CLUSTER)),
                (&[b"GET", tie_breaker], Wants::Null),
                (&[b"ECHO", guid], Wants::Part("$*")),
            ],
        );
        assert_eq!(interactive.command(&[&b"ECHO"[..], guid]), Value::bulk(guid));
        play(
            &mut interactive,
            "SE.Redis",
            &[
                (&[b"PING"], Wants::Text("PONG")),
                (&[b"INFO", b"replication"], Wants::Part("role:master")),
            ],
        );
        lives_on(&mut interactive, "SE.Redis");
    }
}

/// StackExchange.Redis keeps a second connection for its subscriptions, with a tracer that no command but
/// UNSUBSCRIBE can be.
#[test]
fn stackexchange_redis_connects_for_subscriptions() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut listener = gateway.client();
    play(
        &mut listener,
        "SE.Redis subscriber",
        &[
            (&[b"CLIENT", b"SETNAME", b"host(SE.Redis-v2.9.32.54708)"], Wants::Ok),
            (&[b"CLIENT", b"SETINFO", b"lib-name", b"SE.Redis"], Wants::Ok),
            (&[b"CLIENT", b"SETINFO", b"lib-ver", b"2.9.32.54708"], Wants::Ok),
            (&[b"CLIENT", b"ID"], Wants::Integer),
            (&[b"SUBSCRIBE", b"__Booksleeve_MasterChanged"], Wants::Confirmed("subscribe")),
            (&[b"UNSUBSCRIBE", b"\x00\x01guid"], Wants::Confirmed("unsubscribe")),
        ],
    );
    let mut publisher = gateway.client();
    let published = publisher.line("PUBLISH __Booksleeve_MasterChanged *");
    assert_eq!(published, Value::Integer(1));
    let wanted = ["message", "__Booksleeve_MasterChanged", "*"].map(Value::bulk).to_vec();
    assert_eq!(listener.reply(), Value::Array(wanted));
    let pong = Value::Array(vec![Value::bulk("pong"), Value::bulk("")]);
    assert_eq!(listener.line("PING"), pong);
    assert!(listener.is_quiet());
}

#[test]
fn lettuce_and_jedis_connect() {
    let shards = RealServer::start_many(3);
    let gateway = InProcess::start(&yaml_over(&shards, &[]));
    let mut lettuce = gateway.client();
    play(&mut lettuce, "Lettuce", &[(&[b"HELLO", b"3"], Wants::Hello(3))]);
    play(
        &mut lettuce,
        "Lettuce",
        &[
            (&[b"CLIENT", b"SETINFO", b"lib-name", b"Lettuce"], Wants::Ok),
            (&[b"CLIENT", b"SETINFO", b"lib-ver", b"6.8.0.RELEASE/b3e2b1a"], Wants::Ok),
            (&[b"CLIENT", b"MAINT_NOTIFICATIONS", b"on"], Wants::Error("ERR ")),
            (&[b"PING"], Wants::Text("PONG")),
        ],
    );
    lives_on(&mut lettuce, "Lettuce");
    let mut jedis = gateway.client();
    play(
        &mut jedis,
        "Jedis",
        &[
            (&[b"CLIENT", b"SETINFO", b"LIB-NAME", b"jedis"], Wants::Ok),
            (&[b"CLIENT", b"SETINFO", b"LIB-VER", b"6.2.0"], Wants::Ok),
            (&[b"SELECT", b"0"], Wants::Ok),
        ],
    );
    play(&mut jedis, "Jedis", &[(&[b"PING"], Wants::Text("PONG"))]);
    lives_on(&mut jedis, "Jedis");
}

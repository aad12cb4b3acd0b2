//! Three shards and a gateway for the tests of transactions, and scripts that a plain server is asked too.
//!
//! A *script* is a list of lines that two connections send, the second one's begin with `b:`; the same script runs
//! through the gateway and on a plain server, and every reply must have the same bytes, in RESP2 and RESP3. `<0>`
//! `<1>` `<2>` in a line are hash tags of keys on the three shards.

use sluicegate_tests::client::{Client, request};
use sluicegate_tests::gateway::{InProcess, yaml_over};
use sluicegate_tests::real_server::RealServer;
use sluicegate_tests::value::Value;

/// Three shards, a gateway with one worker, so that what it counts is exact, and a tag of keys on each shard.
pub struct Site {
    pub shards: Vec<RealServer>,
    pub gateway: InProcess,
    pub tags: Vec<String>,
}

impl Site {
    /// Starts them with further lines of the pool.
    pub fn start(extra: &[&str]) -> Site {
        let shards = RealServer::start_many(3);
        let yaml = yaml_over(&shards, extra).replace("workers: 2", "workers: 1");
        let gateway = InProcess::start(&yaml);
        let mut client = gateway.client();
        let names: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
        for name in &names {
            assert_eq!(client.command(&["SET", &format!("{{{name}}}"), "v"]), Value::ok());
        }
        let tag_on = |shard: &RealServer| {
            let on = |name: &&String| {
                let exists = shard.client().command(&["EXISTS", &format!("{{{name}}}")]);
                exists == Value::Integer(1)
            };
            format!("{{{}}}", names.iter().find(on).expect("100 keys reach every shard"))
        };
        let tags = shards.iter().map(tag_on).collect();
        shards.iter().for_each(|shard| assert_eq!(shard.client().line("FLUSHALL"), Value::ok()));
        Site { shards, gateway, tags }
    }

    /// A connection to the gateway that speaks this protocol.
    pub fn client(&self, protocol: u8) -> Client {
        let mut client = self.gateway.client();
        greet(&mut client, protocol);
        client
    }

    /// The line with its tags filled in.
    pub fn fill(&self, line: &str) -> String {
        let tags = (0..).zip(&self.tags);
        tags.fold(line.to_owned(), |line, (n, tag)| line.replace(&format!("<{n}>"), tag))
    }

    /// Sends a line with tags and gives the reply.
    pub fn line(&self, client: &mut Client, line: &str) -> Value {
        client.line(&self.fill(line))
    }

    /// Runs a script on the gateway and on an empty plain server, and holds the replies against each other.
    pub fn same(&self, plain: &RealServer, script: &[&str]) {
        for protocol in [2, 3] {
            self.shards.iter().for_each(|s| assert_eq!(s.client().line("FLUSHALL"), Value::ok()));
            assert_eq!(plain.client().line("FLUSHALL"), Value::ok());
            let mut ours = [self.client(protocol), self.client(protocol)];
            let mut theirs = [plain.client(), plain.client()];
            theirs.iter_mut().for_each(|client| greet(client, protocol));
            for line in script {
                let (who, text) = line.strip_prefix("b:").map_or((0, *line), |rest| (1, rest));
                let text = self.fill(text);
                let words: Vec<&str> = text.split(' ').collect();
                ours[who].send(&words);
                theirs[who].send(&words);
                let (gateway, _) = ours[who].next_reply().expect("an open connection");
                let (server, _) = theirs[who].next_reply().expect("an open connection");
                assert_eq!(
                    gateway.escape_ascii().to_string(),
                    server.escape_ascii().to_string(),
                    "{line}, RESP{protocol}, of {script:?}"
                );
            }
            assert!(ours.iter_mut().all(Client::is_quiet), "a reply too many: {script:?}");
        }
    }
}

fn greet(client: &mut Client, protocol: u8) {
    if protocol == 3 {
        client.line("HELLO 3");
    }
}

/// Sends MULTI, the lines and EXEC in one write, and gives what came for EXEC.
pub fn transaction(site: &Site, client: &mut Client, lines: &[&str]) -> Value {
    let words = |line: &str| site.fill(line).split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut bytes = request(&["MULTI"]);
    lines.iter().for_each(|line| bytes.extend(request(&words(line))));
    bytes.extend(request(&["EXEC"]));
    client.send_raw(&bytes);
    assert_eq!(client.reply(), Value::ok());
    for line in lines {
        assert_eq!(client.reply().text(), "QUEUED", "{line}");
    }
    client.reply()
}

/// Connections of the gateway to shards that were closed or could not be made.
pub fn broken_lanes(client: &mut Client) -> u64 {
    let info = client.line("INFO gateway").text();
    let line = info.lines().find_map(|line| line.strip_prefix("shard_connections_failed:"));
    line.expect("a counter").trim().parse().expect("a number")
}

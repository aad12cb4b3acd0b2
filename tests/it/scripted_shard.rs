//! A shard that the simulation plays: one connection's bytes in, its replies out, without a socket.
//!
//! A GET answers its key's own name and the database, so a reply that reaches the wrong place is seen; DEL counts,
//! MULTI..EXEC queues, a BLPOP waits, SELECT and HELLO do what a server does. A command that the gateway should not have sent is a
//! failure of the test. What breaks a connection, and when, is the simulation's choice.

use sluicegate::resp::args::Args;
use sluicegate::resp::request::{RequestLimits, RequestScan, Scanned};
use sluicegate::resp::write;

/// A connection to a scripted shard.
#[derive(Debug, Default)]
pub struct Link {
    pub connected: bool,
    pub input: Vec<u8>,
    pub output: Vec<u8>,
    pub frozen: bool,
    pub database: usize,
    pub in_multi: Option<Vec<Vec<u8>>>,
    /// What a client waits for here; the simulation says when it comes.
    pub waits: Option<Vec<u8>>,
}

impl Link {
    /// Answers what has come: a GET its key, a DEL counts, MULTI..EXEC queues.
    pub fn answer_requests(&mut self) {
        assert!(self.connected);
        let mut scan = RequestScan::default();
        while let Scanned::Complete { len } = scan.scan(&self.input, &RequestLimits::OPEN) {
            let request: Vec<u8> = self.input.drain(..len).collect();
            let args = Args::new(&request, scan.spans());
            answer_request(&args, self);
            assert!(
                self.waits.is_none() || self.input.is_empty(),
                "a request behind one that waits"
            );
            scan.reset();
        }
    }
}

/// What a shard has under a key.
pub fn value(key: &[u8], database: usize) -> Vec<u8> {
    [key, b"@", database.to_string().as_bytes()].concat()
}

fn answer_request(args: &Args<'_>, link: &mut Link) {
    let Link { in_multi, output: out, database, waits, .. } = link;
    match (args.name(), in_multi.as_mut()) {
        (b"MULTI", None) => {
            *in_multi = Some(Vec::new());
            write::simple(out, "OK");
        }
        (b"BLPOP", None) => {
            let key = args.get(1).unwrap_or_default();
            let reply = waits.insert(Vec::new());
            write::array_header(reply, 2);
            write::bulk(reply, key);
            write::bulk(reply, &value(key, *database));
        }
        (b"CLIENT", None) => write::integer(out, 7),
        (b"HELLO", None) => out.extend_from_slice(b"%1\r\n$5\r\nproto\r\n:3\r\n"),
        (b"DISCARD", Some(_)) => {
            *in_multi = None;
            write::simple(out, "OK");
        }
        (b"EXEC", Some(queued)) => {
            write::array_header(out, queued.len());
            queued.iter().for_each(|key| write::bulk(out, &value(key, *database)));
            *in_multi = None;
        }
        (b"GET", Some(queued)) => {
            queued.push(args.get(1).unwrap_or_default().to_vec());
            write::simple(out, "QUEUED");
        }
        (b"SELECT", None) => {
            let number = args.get(1).and_then(|number| std::str::from_utf8(number).ok());
            *database = number.and_then(|number| number.parse().ok()).expect("a number");
            write::simple(out, "OK");
        }
        (b"GET", None) => {
            write::bulk(out, &value(args.get(1).unwrap_or_default(), *database));
        }
        (b"MGET", None) => {
            write::array_header(out, args.len() - 1);
            args.from(1).for_each(|key| write::bulk(out, &value(key, *database)));
        }
        (b"DEL", None) => write::integer(out, i64::try_from(args.len()).unwrap_or(0) - 1),
        (name, _) => panic!("the shard was sent {:?}", String::from_utf8_lossy(name)),
    }
}

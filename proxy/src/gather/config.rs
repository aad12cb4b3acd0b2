//! CONFIG GET and CONFIG SET.
//!
//! GET: settings of the connection and of the gateway have the gateway's own values (`local::settings`); if nothing else
//! is asked for, no shard is asked. The rest is one shard's answer, as all are taken to be set alike: the first by name
//! that answers. SET: every shard, but for settings that the gateway answers itself, and those that would cut it off.
//! Invariants: no password is shown; what is refused reaches no shard.

use super::everywhere::{begin_done, refusal};
use super::{Answer, Around, Ask, Gather, MISFIT, Step};
use crate::local::{Facts, settings};
use crate::resp::args::Args;
use crate::resp::value::{items, string};
use crate::resp::write;

/// Settings that are never shown.
const SECRET: &[&[u8]] = &[
    b"masterauth",
    b"primaryauth",
    b"requirepass",
    b"tls-client-key-file-pass",
    b"tls-key-file-pass",
];
/// Settings by which a shard would become unreachable for the gateway.
const CONNECTION: &[&[u8]] = &[b"bind", b"requirepass", b"tls-port", b"unixsocket"];

/// A CONFIG GET that waits for a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigGet {
    request: Vec<u8>,
    /// What the gateway knows itself: name and value.
    own: Vec<(Vec<u8>, String)>,
    /// Shards asked before this one.
    asked: usize,
}

/// Answers, or asks the first shard.
pub(super) fn begin_get(args: &Args<'_>, facts: &Facts<'_>, around: Around<'_>) -> Step {
    let (own, is_all) = settings::find(args, facts);
    let get = ConfigGet { request: args.raw().to_vec(), own, asked: 0 };
    if is_all { Step::Reply(get.reply(&[], around)) } else { get.ask(around) }
}

/// Asks every shard to set what may be set.
pub(super) fn begin_set(args: &Args<'_>, around: Around<'_>) -> Step {
    let is_one_of =
        |list: &[&[u8]], name: &[u8]| list.iter().any(|known| known.eq_ignore_ascii_case(name));
    for name in args.from(2).step_by(2) {
        let hint = if settings::is_own(name) {
            "it is the gateway's own, and stands in its configuration"
        } else if is_one_of(CONNECTION, name) {
            "the gateway would lose the shards; change it at each shard and in the gateway's configuration"
        } else {
            continue;
        };
        let name = String::from_utf8_lossy(name).to_lowercase();
        return Step::error(&format!(
            "ERR CONFIG SET of '{name}' is not supported by this gateway: {hint}"
        ));
    }
    begin_done(args, around)
}

impl ConfigGet {
    /// Takes the shard's answer, or asks the next one.
    pub(super) fn go_on(mut self, answers: &[Answer], around: Around<'_>) -> Step {
        let Some(error) = refusal(answers, around) else {
            return Step::Reply(self.reply(answers, around));
        };
        self.asked += 1;
        if self.asked < around.by_name.len() { self.ask(around) } else { Step::Reply(error) }
    }

    fn ask(self, around: Around<'_>) -> Step {
        let shard = around.by_name.get(self.asked).copied().unwrap_or_default();
        let ask = Ask { shard, request: self.request.clone() };
        Step::Ask(Gather::ConfigGet(self), vec![ask])
    }

    /// A shard's settings with the gateway's own in their place.
    fn reply(&self, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
        let mut reply = Vec::new();
        let mut pairs: Vec<(&[u8], &[u8])> =
            self.own.iter().map(|(name, value)| (name.as_slice(), value.as_bytes())).collect();
        for answer in answers {
            let Some(mut fields) = items(&answer.reply) else {
                write::error(&mut reply, MISFIT);
                return reply;
            };
            while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
                let (Some(name), Some(value)) = (string(name), string(value)) else {
                    continue;
                };
                let is_secret = SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(name));
                if !is_secret && !settings::is_own(name) {
                    pairs.push((name, value));
                }
            }
        }
        write::map_header(&mut reply, around.protocol, pairs.len());
        for (name, value) in pairs {
            write::bulk(&mut reply, name);
            write::bulk(&mut reply, value);
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers_of, facts};
    use crate::resp::sample::Request;

    fn begin(pool: &Pool, words: &str) -> Step {
        let request = Request::words(words);
        begin_get(&request.args(), &facts(), pool.around())
    }

    #[test]
    fn own_settings_need_no_shard_and_others_are_asked_of_one() {
        let pool = Pool::new(&["b", "a"]);
        match begin(&pool, "config get DATABASES port") {
            Step::Reply(reply) => assert_eq!(
                String::from_utf8(reply).unwrap(),
                "*4\r\n$9\r\nDATABASES\r\n$2\r\n16\r\n$4\r\nport\r\n$4\r\n6380\r\n"
            ),
            other => panic!("{other:?}"),
        }
        for words in ["config get save", "config get port save", "config get *"] {
            match begin(&pool, words) {
                // In the order of names, shard 1 is the first.
                Step::Ask(Gather::ConfigGet(_), asks) => {
                    assert_eq!((asks.len(), asks[0].shard), (1, 1))
                }
                other => panic!("{words}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_shards_settings_come_without_its_secrets_and_with_the_gateways_own() {
        let pool = Pool::new(&["a", "b"]);
        let Step::Ask(Gather::ConfigGet(get), _) = begin(&pool, "config get * port") else {
            panic!("asks");
        };
        let answer = b"*6\r\n$4\r\nport\r\n$1\r\n7\r\n$11\r\nrequirepass\r\n$1\r\nx\r\n$4\r\nsave\r\n$0\r\n\r\n";
        let down = answers_of(&[(0, b"-ERR shard 'a' is gone\r\n")]);
        let Step::Ask(Gather::ConfigGet(get), asks) = get.go_on(&down, pool.around()) else {
            panic!("asks the next shard");
        };
        assert_eq!(asks[0].shard, 1);
        match get.clone().go_on(&answers_of(&[(1, answer)]), pool.around()) {
            Step::Reply(reply) => {
                let reply = String::from_utf8(reply).unwrap();
                assert!(
                    reply.contains("$4\r\nport\r\n$4\r\n6380\r\n")
                        && !reply.contains("requirepass")
                );
                assert!(reply.ends_with("$4\r\nsave\r\n$0\r\n\r\n"), "{reply}");
                assert_eq!(reply.matches("$4\r\nport").count(), 1);
            }
            other => panic!("{other:?}"),
        }
        let none = get.go_on(&answers_of(&[(1, b"-ERR shard 'b' is gone\r\n")]), pool.around());
        assert!(matches!(none, Step::Reply(reply) if reply == b"-ERR shard 'b' is gone\r\n"));
    }

    #[test]
    fn what_is_the_gateways_own_or_cuts_it_off_is_not_set() {
        let pool = Pool::new(&["a", "b"]);
        for (words, passes) in [
            ("config set maxmemory 0", true),
            ("config set notify-keyspace-events KEA save x", true),
            ("config set maxmemory 0 RequirePass x", false),
            ("config set maxclients 5", false),
            ("config set bind 1.2.3.4", false),
        ] {
            let request = Request::words(words);
            match begin_set(&request.args(), pool.around()) {
                Step::Ask(_, asks) => assert!(passes && asks.len() == 2, "{words}"),
                Step::Reply(reply) => {
                    assert!(!passes && reply.starts_with(b"-ERR CONFIG SET of '"), "{words}");
                }
            }
        }
    }
}

//! INFO: the gateway about itself, and the shards' numbers as those of one server.
//!
//! In: the sections that are asked for, what the gateway knows itself (`local::info`), and the shards' own INFO. Out:
//! one text. Sections that only the gateway fills need no shard. The shards are not waited for long: INFO is part of
//! handshakes, so it is answered with what has come, and a line `shards_missing` says whose numbers are not in it.
//! `INFO shard NAME [section ...]` is that shard's INFO as it is. How numbers are merged stands in `info_fields`.

use std::borrow::Cow;

use super::info_fields::{self, Merge, Report};
use super::{Answer, Around, Ask, Gather, Step, everywhere, everywhere::Everywhere};
use crate::local::{self, Facts};
use crate::resp::args::Args;
use crate::resp::{value, write};

/// A section: its title, whether INFO alone shows it, and what of it comes from the shards.
#[derive(Debug)]
struct Section {
    title: &'static str,
    by_default: bool,
    of_shards: Option<Merge>,
}

/// In the order in which they are shown.
const SECTIONS: &[Section] = &[
    own("Server"),
    own("Clients"),
    merged("Memory", Merge::Fields(info_fields::MEMORY)),
    merged("Persistence", Merge::Fields(info_fields::PERSISTENCE)),
    merged("Stats", Merge::Fields(info_fields::STATS)),
    merged("Replication", Merge::Replication),
    merged("CPU", Merge::Fields(info_fields::CPU)),
    merged("Modules", Merge::Modules),
    Section { title: "Commandstats", by_default: false, of_shards: Some(Merge::Commandstats) },
    merged("Errorstats", Merge::Errorstats),
    own("Cluster"),
    merged("Keyspace", Merge::Keyspace),
    own("Gateway"),
    own("Plugins"),
];

const fn own(title: &'static str) -> Section {
    Section { title, by_default: true, of_shards: None }
}

const fn merged(title: &'static str, merge: Merge) -> Section {
    Section { title, by_default: true, of_shards: Some(merge) }
}

/// An INFO that waits for the shards: the sections to show, with the gateway's own lines.
#[derive(Debug)]
pub struct Info {
    sections: Vec<(&'static Section, String)>,
}

/// Answers, or asks every shard.
pub(super) fn begin(args: &Args<'_>, facts: &Facts<'_>, around: Around<'_>) -> Step {
    if args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"shard")) {
        return one_shard(args, around);
    }
    let asks_for = |name: &str| args.from(1).any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let everything = asks_for("all") || asks_for("everything");
    let default = args.len() == 1 || asks_for("default");
    let is_shown = |section: &&Section| {
        everything || (default && section.by_default) || asks_for(section.title)
    };
    let sections: Vec<(&'static Section, String)> = SECTIONS
        .iter()
        .filter(is_shown)
        .map(|section| (section, local::info::section(section.title, facts)))
        .collect();
    let of_shards: Vec<&Section> = sections
        .iter()
        .map(|(section, _)| *section)
        .filter(|section| section.of_shards.is_some())
        .collect();
    // Servers before 7.0 take one section at most.
    let words: &[&str] = match of_shards.as_slice() {
        [] => return Step::Reply(Info { sections }.join(&[], around)),
        [only] => &["INFO", only.title],
        many if many.iter().all(|section| section.by_default) => &["INFO"],
        _ => &["INFO", "all"],
    };
    let mut request = Vec::new();
    write::request(&mut request, words.iter().map(|word| word.as_bytes()));
    Step::Ask(Gather::Info(Info { sections }), everywhere::ask_every_shard(&request, around))
}

/// INFO shard NAME [section ...].
fn one_shard(args: &Args<'_>, around: Around<'_>) -> Step {
    let wanted = args.get(2).unwrap_or_default();
    let position = around.shard_names.iter().position(|name| name.as_bytes() == wanted);
    let Some(shard) = position.and_then(|position| u16::try_from(position).ok()) else {
        let names: Vec<&str> =
            around.by_name.iter().map(|shard| around.shard_name(*shard)).collect();
        let wanted = String::from_utf8_lossy(wanted);
        return Step::error(&format!(
            "ERR there is no shard '{wanted}'; the shards are {}",
            names.join(", ")
        ));
    };
    let words: Vec<&[u8]> = std::iter::once(b"INFO".as_slice()).chain(args.from(3)).collect();
    let mut request = Vec::new();
    write::request(&mut request, words.into_iter());
    let rule = Everywhere::Done { name: "INFO".to_owned() };
    Step::Ask(Gather::Everywhere(rule), vec![Ask { shard, request }])
}

impl Info {
    /// The one text.
    pub(super) fn join(self, answers: &[Answer], around: Around<'_>) -> Vec<u8> {
        let texts: Vec<_> = around
            .by_name
            .iter()
            .filter_map(|shard| answers.iter().find(|answer| answer.shard == *shard))
            .map(|answer| (around.shard_name(answer.shard), text_of(answer)))
            .collect();
        let reports: Vec<Report<'_>> = texts
            .iter()
            .filter_map(|(name, text)| Some(Report::new(name, text.as_deref()?)))
            .collect();
        let missing: Vec<&str> =
            texts.iter().filter(|(_, text)| text.is_none()).map(|(name, _)| *name).collect();
        let mut out = String::new();
        for (section, own_lines) in self.sections {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            out.push_str(&format!("# {}\r\n{own_lines}", section.title));
            if let Some(merge) = &section.of_shards {
                merge.write(&reports, &mut out);
                if !missing.is_empty() {
                    out.push_str(&format!("shards_missing:{}\r\n", missing.join(",")));
                }
            }
        }
        let mut reply = Vec::new();
        write::verbatim(&mut reply, around.protocol, out.as_bytes());
        reply
    }
}

/// What a shard said; nothing if it did not answer, or refused.
fn text_of(answer: &Answer) -> Option<Cow<'_, str>> {
    value::string(&answer.reply).map(String::from_utf8_lossy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::test_support::{Pool, answers, facts};
    use crate::resp::sample::Request;

    fn run(words: &str, replies: &[&str]) -> (Vec<String>, String) {
        let pool = Pool::new(&["b", "a"]);
        let request = Request::words(words);
        match begin(&request.args(), &facts(), pool.around()) {
            Step::Reply(reply) => (Vec::new(), String::from_utf8(reply).unwrap()),
            Step::Ask(gather, asks) => {
                let asked =
                    asks.iter().map(|ask| format!("{} {}", ask.shard, ask.request.escape_ascii()));
                let asked = asked.collect();
                match gather.go_on(&answers(replies), pool.around()) {
                    Step::Reply(reply) => (asked, String::from_utf8(reply).unwrap()),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn bulk(text: &str) -> String {
        format!("${}\r\n{text}\r\n", text.len())
    }

    #[test]
    fn sections_of_the_gateway_need_no_shard() {
        for words in ["info server", "INFO Clients gateway plugins cluster", "info nope"] {
            assert_eq!(run(words, &[]).0, Vec::<String>::new(), "{words}");
        }
        assert_eq!(run("info nope", &[]).1, "$0\r\n\r\n");
    }

    #[test]
    fn shards_are_asked_for_what_is_shown() {
        for (words, request) in [
            ("info memory", r"*2\r\n$4\r\nINFO\r\n$6\r\nMemory\r\n"),
            ("info keyspace server", r"*2\r\n$4\r\nINFO\r\n$8\r\nKeyspace\r\n"),
            ("info", r"*1\r\n$4\r\nINFO\r\n"),
            ("info stats cpu", r"*1\r\n$4\r\nINFO\r\n"),
            ("info everything", r"*2\r\n$4\r\nINFO\r\n$3\r\nall\r\n"),
            ("info cpu commandstats", r"*2\r\n$4\r\nINFO\r\n$3\r\nall\r\n"),
        ] {
            let (asked, _) = run(words, &["$0\r\n\r\n", "$0\r\n\r\n"]);
            assert_eq!(asked, [format!("0 {request}"), format!("1 {request}")], "{words}");
        }
    }

    #[test]
    fn a_shard_that_is_missing_is_named_and_the_others_are_summed() {
        let of =
            |keys: u32| bulk(&format!("# Keyspace\r\ndb0:keys={keys},expires=0,avg_ttl=0\r\n"));
        let text = |lines: &str| bulk(&format!("# Keyspace\r\n{lines}"));
        let both = run("info keyspace", &[&of(3), &of(4)]).1;
        assert_eq!(both, text("db0:keys=7,expires=0,avg_ttl=0\r\n"));
        // An empty answer is that of a shard which did not answer in time.
        for gone in ["-ERR shard 'b' is gone; not sent\r\n", ""] {
            let one = run("info keyspace", &[gone, &of(4)]).1;
            assert_eq!(one, text("db0:keys=4,expires=0,avg_ttl=0\r\nshards_missing:b\r\n"));
        }
        let none = run("info", &["", ""]).1;
        for line in [
            "redis_version:7.2.4\r\n",
            "loading:0\r\n",
            "role:master\r\n",
            "shards_missing:a,b\r\n",
        ] {
            assert!(none.contains(line), "{line} is missing in {none}");
        }
    }

    #[test]
    fn one_shard_is_asked_by_its_name() {
        let (asked, reply) = run("info shard a memory", &["$1\r\nx\r\n"]);
        assert_eq!(asked, [r"1 *2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n"]);
        assert_eq!(reply, "$1\r\nx\r\n");
        for words in ["info shard c", "info SHARD"] {
            let (asked, reply) = run(words, &[]);
            assert!(asked.is_empty() && reply.starts_with("-ERR there is no shard '"), "{reply}");
            assert!(reply.ends_with("; the shards are a, b\r\n"), "{reply}");
        }
    }
}

//! COMMAND: what the gateway can do, in the wire form of Redis 7.0.
//!
//! In: the command table and the arguments. Out: the replies that clients read to find keys (COMMAND, COMMAND INFO), or
//! to show a user what there is (COUNT, LIST). Listed are the commands that are carried out and that the servers of the
//! generated table have; a command that is asked for by name is told whenever it is known.
//! COMMAND DOCS is an error by its rule: the table has no texts, and redis-cli then shows its own.

use super::glob;
use super::is_carried_out;
use crate::command::keys::{self, KeysError};
use crate::command::row::{Begin, Find, KeySpec};
use crate::command::{self, CommandSpec, flags};
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};

pub(super) fn all(protocol: Protocol, out: &mut Vec<u8>) {
    write::array_header(out, listed().count());
    for spec in listed() {
        write_spec(spec, protocol, out);
    }
}

pub(super) fn count(out: &mut Vec<u8>) {
    write::integer(out, i64::try_from(listed().count()).unwrap_or(i64::MAX));
}

/// COMMAND INFO [name ...]: all of them when none is named.
pub(super) fn info(args: &Args<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    if args.len() == 2 {
        return all(protocol, out);
    }
    write::array_header(out, args.len() - 2);
    for name in args.from(2) {
        match find_full(name) {
            Some(spec) => write_spec(spec, protocol, out),
            None => write::null(out, protocol),
        }
    }
}

/// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern].
pub(super) fn list(args: &Args<'_>, out: &mut Vec<u8>) {
    let option = args.get(3).unwrap_or_default();
    let value = args.get(4).unwrap_or_default();
    let filtered =
        args.len() == 5 && args.get(2).is_some_and(|word| word.eq_ignore_ascii_case(b"filterby"));
    let shown: Vec<&CommandSpec> = if args.len() == 2 {
        listed().collect()
    } else if filtered && option.eq_ignore_ascii_case(b"module") {
        Vec::new()
    } else if filtered && option.eq_ignore_ascii_case(b"aclcat") {
        listed().filter(|spec| has_category(spec, value)).collect()
    } else if filtered && option.eq_ignore_ascii_case(b"pattern") {
        listed().filter(|spec| glob::matches(value, spec.name.as_bytes(), true)).collect()
    } else {
        return write::error(out, "ERR syntax error");
    };
    write::array_header(out, shown.len());
    for spec in shown {
        write::bulk(out, spec.name.as_bytes());
    }
}

/// COMMAND GETKEYS command [argument ...].
pub(super) fn getkeys(args: &Args<'_>, out: &mut Vec<u8>) {
    let request = args.skip(2);
    let spec = command::find(request.name()).map(|spec| {
        let subcommand = request.get(1).and_then(|name| spec.subcommand(name));
        subcommand.unwrap_or(spec)
    });
    let Some(spec) = spec else {
        return write::error(out, "ERR Invalid command specified");
    };
    if spec.row.keys.is_empty() {
        return write::error(out, "ERR The command has no key arguments");
    }
    if !spec.accepts(request.len()) {
        return write::error(out, "ERR Invalid number of arguments specified for command");
    }
    let mut found = Vec::new();
    let result: Result<(), KeysError> = keys::keys(spec, &request, &mut found);
    if result.is_err() {
        return write::error(out, "ERR Invalid arguments specified for command");
    }
    write::array_header(out, found.len());
    for at in found {
        write::bulk(out, request.get(at as usize).unwrap_or_default());
    }
}

fn listed() -> impl Iterator<Item = &'static CommandSpec> {
    command::all().iter().filter(|spec| (spec.row.redis || spec.row.valkey) && is_carried_out(spec))
}

/// A command by its full name, "client|id" for a subcommand.
fn find_full(name: &[u8]) -> Option<&'static CommandSpec> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let spec = command::find(words.next()?)?;
    match words.next() {
        Some(subcommand) => spec.subcommand(subcommand),
        None => Some(spec),
    }
}

fn has_category(spec: &CommandSpec, category: &[u8]) -> bool {
    flags::words(spec.row.categories, &flags::CATEGORY_NAMES).any(|name| {
        name.get(1..).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(category))
    })
}

fn write_spec(spec: &CommandSpec, protocol: Protocol, out: &mut Vec<u8>) {
    write::array_header(out, 10);
    write::bulk(out, spec.name.as_bytes());
    write::integer(out, i64::from(spec.arity));
    write_words(spec.row.flags, &flags::NAMES, protocol, out);
    let (first, last, step) = spec.row.range;
    for number in [first, last, step] {
        write::integer(out, i64::from(number));
    }
    write_words(spec.row.categories, &flags::CATEGORY_NAMES, protocol, out);
    write::set_header(out, protocol, spec.row.tips.len());
    for tip in spec.row.tips {
        write::bulk(out, tip.as_bytes());
    }
    write::set_header(out, protocol, spec.row.keys.len());
    for key_spec in spec.row.keys {
        write_key_spec(key_spec, protocol, out);
    }
    write::set_header(out, protocol, spec.subcommands.len());
    for subcommand in &spec.subcommands {
        write_spec(subcommand, protocol, out);
    }
}

fn write_words(bits: u32, names: &[&'static str], protocol: Protocol, out: &mut Vec<u8>) {
    write::set_header(out, protocol, flags::words(bits, names).count());
    for word in flags::words(bits, names) {
        write::simple(out, word);
    }
}

fn write_key_spec(key_spec: &KeySpec, protocol: Protocol, out: &mut Vec<u8>) {
    write::map_header(out, protocol, 3);
    write::bulk(out, b"flags");
    let bits = u32::from(key_spec.flags);
    write_words(bits, &flags::key::NAMES, protocol, out);
    write::bulk(out, b"begin_search");
    match key_spec.begin {
        Begin::Index(index) => {
            write_search(out, protocol, "index", 1);
            write_number(out, "index", i64::from(index));
        }
        Begin::Keyword { word, from } => {
            write_search(out, protocol, "keyword", 2);
            write::bulk(out, b"keyword");
            write::bulk(out, word.as_bytes());
            write_number(out, "startfrom", i64::from(from));
        }
        Begin::Unknown => write_search(out, protocol, "unknown", 0),
    }
    write::bulk(out, b"find_keys");
    match key_spec.find {
        Find::Range { last, step, limit } => {
            write_search(out, protocol, "range", 3);
            write_number(out, "lastkey", i64::from(last));
            write_number(out, "keystep", i64::from(step));
            write_number(out, "limit", i64::from(limit));
        }
        Find::Count { count_at, first, step } => {
            write_search(out, protocol, "keynum", 3);
            write_number(out, "keynumidx", i64::from(count_at));
            write_number(out, "firstkey", i64::from(first));
            write_number(out, "keystep", i64::from(step));
        }
        Find::Unknown => write_search(out, protocol, "unknown", 0),
    }
}

/// The head of a search: its type, and how many settings follow.
fn write_search(out: &mut Vec<u8>, protocol: Protocol, kind: &str, settings: usize) {
    write::map_header(out, protocol, 2);
    write::bulk(out, b"type");
    write::bulk(out, kind.as_bytes());
    write::bulk(out, b"spec");
    write::map_header(out, protocol, settings);
}

fn write_number(out: &mut Vec<u8>, name: &str, value: i64) {
    write::bulk(out, name.as_bytes());
    write::integer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::{GREETING_3, check};
    use crate::resp::sample::Request;

    const GET_2: &str = "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";
    const GET_3: &str = "*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n~3\r\n+@read\r\n+@string\r\n+@fast\r\n~0\r\n~1\r\n%3\r\n$5\r\nflags\r\n~2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n";

    #[test]
    fn command_is_answered_as_recorded() {
        check(
            None,
            &[
                ("command info get", &format!("*1\r\n{GET_2}")),
                ("command info nope GET client|nope", &format!("*3\r\n$-1\r\n{GET_2}$-1\r\n")),
                (
                    "command info CONFIG|get",
                    "*1\r\n*10\r\n$10\r\nconfig|get\r\n:-3\r\n*4\r\n+admin\r\n+noscript\r\n+loading\r\n+stale\r\n:0\r\n:0\r\n:0\r\n*3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n*0\r\n*0\r\n*0\r\n",
                ),
                ("command getkeys mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
                ("command getkeys object encoding a", "*1\r\n$1\r\na\r\n"),
                ("command getkeys eval x 0", "*0\r\n"),
                ("command getkeys nope a", "-ERR Invalid command specified\r\n"),
                ("command getkeys ping a", "-ERR The command has no key arguments\r\n"),
                (
                    "command getkeys get a b",
                    "-ERR Invalid number of arguments specified for command\r\n",
                ),
                ("command getkeys zunion x a", "-ERR Invalid arguments specified for command\r\n"),
                ("command list filterby pattern GETD*", "*1\r\n$6\r\ngetdel\r\n"),
                ("command list filterby aclcat nope", "*0\r\n"),
                ("command list filterby module x", "*0\r\n"),
                ("command list x", "-ERR syntax error\r\n"),
                ("hello 3", GREETING_3),
                ("command info get nope", &format!("*2\r\n{GET_3}_\r\n")),
            ],
        );
    }

    #[test]
    fn command_lists_what_is_carried_out_and_nothing_else() {
        let reply = |words: &str| {
            let request = Request::words(words);
            let mut out = Vec::new();
            list(&request.args(), &mut out);
            String::from_utf8(out).unwrap()
        };
        let listed = reply("command list");
        for name in ["get", "mget", "client", "multi", "eval", "zunionstore"] {
            assert!(listed.contains(&format!("\r\n{name}\r\n")), "{name} is missing");
        }
        for name in ["migrate", "shutdown", "blpop", "json.get", "cluster", "swapdb"] {
            assert!(!listed.contains(&format!("\r\n{name}\r\n")), "{name} is listed");
        }
        let mut rows = Vec::new();
        all(Protocol::Resp3, &mut rows);
        assert_eq!(crate::resp::value::value_len(&rows), Some(rows.len()));
        let mut number = Vec::new();
        count(&mut number);
        let number = String::from_utf8(number).unwrap().replace(':', "*");
        assert!(listed.starts_with(&number) && rows.starts_with(number.as_bytes()));
    }
}

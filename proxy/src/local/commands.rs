//! COMMAND, COMMAND INFO, COUNT and LIST: what the gateway can do, in the wire form of Redis 7.0.
//!
//! In: the command table, the arguments, and the own commands of the pool's plugins. Out: the replies that clients read
//! to find keys or to show a user what there is. What is refused is told nowhere. Listed are the commands that are
//! carried out and that the servers of the generated table have; those of modules and newer servers, which a shard may
//! lack, are told when they are asked for by name.

use super::glob;
use super::{Facts, OwnCommand, is_carried_out};
use crate::command::flags::key;
use crate::command::row::{Begin, Find, KEYS, KeySpec};
use crate::command::{self, CommandSpec, flags};
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};

pub(super) fn all(protocol: Protocol, facts: &Facts<'_>, out: &mut Vec<u8>) {
    write::array_header(out, listed().count() + facts.own_commands.len());
    for spec in listed() {
        write_spec(spec, protocol, out);
    }
    for own in facts.own_commands {
        write_own(own, protocol, out);
    }
}

pub(super) fn count(facts: &Facts<'_>, out: &mut Vec<u8>) {
    let count = listed().count() + facts.own_commands.len();
    write::integer(out, i64::try_from(count).unwrap_or(i64::MAX));
}

/// COMMAND INFO [name ...]: all of them when none is named.
pub(super) fn info(args: &Args<'_>, protocol: Protocol, facts: &Facts<'_>, out: &mut Vec<u8>) {
    if args.len() == 2 {
        return all(protocol, facts, out);
    }
    write::array_header(out, args.len() - 2);
    for name in args.from(2) {
        match (find_full(name), asked(name, facts)) {
            (Some(spec), _) => write_spec(spec, protocol, out),
            (None, Some(own)) => write_own(own, protocol, out),
            (None, None) => write::null(out, protocol),
        }
    }
}

/// What COMMAND LIST is to show.
enum Filter<'a> {
    All,
    Module(&'a [u8]),
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

/// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]: subcommands too. To clients a plugin is a
/// module.
pub(super) fn list(args: &Args<'_>, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let Some(filter) = filter(args) else {
        return write::error(out, "ERR syntax error");
    };
    let specs = listed().flat_map(|spec| std::iter::once(spec).chain(visible_subcommands(spec)));
    let specs = specs.filter(|spec| match filter {
        Filter::All => true,
        Filter::Module(_) => false,
        Filter::Category(name) => has_category(spec.row.categories, name),
        Filter::Pattern(pattern) => glob::matches(pattern, spec.name.as_bytes(), true),
    });
    let own = facts.own_commands.iter().filter(|own| match filter {
        Filter::All => true,
        Filter::Module(name) => own.plugin.as_bytes() == name,
        Filter::Category(name) => has_category(own_categories(own), name),
        Filter::Pattern(pattern) => glob::matches(pattern, own.name.as_bytes(), true),
    });
    let names: Vec<&str> =
        specs.map(|spec| spec.name.as_str()).chain(own.map(|own| own.name.as_str())).collect();
    write::array_header(out, names.len());
    for name in names {
        write::bulk(out, name.as_bytes());
    }
}

fn filter<'a>(args: &Args<'a>) -> Option<Filter<'a>> {
    let is = |at: usize, word: &str| {
        args.get(at).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    match (args.len(), args.get(4)) {
        (2, _) => Some(Filter::All),
        (5, Some(value)) if is(2, "filterby") && is(3, "module") => Some(Filter::Module(value)),
        (5, Some(value)) if is(2, "filterby") && is(3, "aclcat") => Some(Filter::Category(value)),
        (5, Some(value)) if is(2, "filterby") && is(3, "pattern") => Some(Filter::Pattern(value)),
        _ => None,
    }
}

/// The commands, without subcommands, that are told to who asks for all.
pub(super) fn listed() -> impl Iterator<Item = &'static CommandSpec> {
    command::all()
        .iter()
        .filter(|spec| (spec.row.redis || spec.row.valkey || spec.is_own()) && is_carried_out(spec))
}

/// The subcommands that are carried out.
pub(super) fn visible_subcommands(spec: &CommandSpec) -> impl Iterator<Item = &CommandSpec> {
    spec.subcommands.iter().filter(|spec| is_carried_out(spec))
}

/// A command that is carried out, by its full name, "client|id" for a subcommand.
pub(super) fn find_full(name: &[u8]) -> Option<&'static CommandSpec> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let spec = command::find(words.next()?)?;
    let spec = match words.next() {
        Some(subcommand) => spec.subcommand(subcommand),
        None => Some(spec),
    };
    spec.filter(|spec| is_carried_out(spec))
}

/// The plugin's own command that is asked for by this name.
pub(super) fn asked<'a>(name: &[u8], facts: &Facts<'a>) -> Option<&'a OwnCommand<'a>> {
    facts.own_commands.iter().find(|own| own.is_called(name))
}

fn has_category(bits: u32, category: &[u8]) -> bool {
    flags::words(bits, &flags::CATEGORY_NAMES).any(|name| {
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
    write::set_header(out, protocol, visible_subcommands(spec).count());
    for subcommand in visible_subcommands(spec) {
        write_spec(subcommand, protocol, out);
    }
}

/// A plugin's own command, as a server tells one of a module.
fn write_own(own: &OwnCommand<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    write::array_header(out, 10);
    write::bulk(out, own.name.as_bytes());
    write::integer(out, i64::from(own.arity));
    write::set_header(out, protocol, own.flags.len() + 1);
    for flag in own.flags.iter().map(String::as_str).chain(["module"]) {
        write::simple(out, flag);
    }
    let (first, last, step) = own.keys;
    for number in [first, last, step] {
        write::integer(out, i64::from(number));
    }
    write_words(own_categories(own), &flags::CATEGORY_NAMES, protocol, out);
    write::set_header(out, protocol, 0);
    let key_spec = own_key_spec(own);
    write::set_header(out, protocol, usize::from(key_spec.is_some()));
    if let Some(key_spec) = key_spec {
        write_key_spec(&key_spec, protocol, out);
    }
    write::set_header(out, protocol, 0);
}

fn has_flag(own: &OwnCommand<'_>, flag: &str) -> bool {
    own.flags.iter().any(|known| known == flag)
}

/// The categories that follow from the flags, as for any command.
fn own_categories(own: &OwnCommand<'_>) -> u32 {
    let write = if has_flag(own, "write") { flags::CATEGORY_WRITE } else { 0 };
    let read = if has_flag(own, "readonly") { flags::CATEGORY_READ } else { 0 };
    write | read | flags::CATEGORY_SLOW
}

/// What an own command does with its keys, as far as its flags tell.
pub(super) fn own_key_flags(own: &OwnCommand<'_>) -> u16 {
    if has_flag(own, "readonly") {
        key::RO | key::ACCESS
    } else {
        key::RW | key::ACCESS | key::UPDATE
    }
}

/// First, last and step as a key specification, in which `last` counts from the first key on.
fn own_key_spec(own: &OwnCommand<'_>) -> Option<KeySpec> {
    let (first, last, step) = own.keys;
    let first = u8::try_from(first).ok().filter(|first| *first > 0)?;
    let last = if last < 0 { last } else { last - i16::from(first) };
    let step = u8::try_from(step).unwrap_or(1);
    let find = Find::Range { last, step, limit: 0 };
    Some(KeySpec { begin: Begin::Index(first), find, flags: own_key_flags(own), ..KEYS })
}

fn write_words(bits: u32, names: &[&'static str], protocol: Protocol, out: &mut Vec<u8>) {
    write::set_header(out, protocol, flags::words(bits, names).count());
    for word in flags::words(bits, names) {
        write::simple(out, word);
    }
}

fn write_key_spec(key_spec: &KeySpec, protocol: Protocol, out: &mut Vec<u8>) {
    let notes = key_spec.notes;
    write::map_header(out, protocol, 3 + usize::from(!notes.is_empty()));
    if !notes.is_empty() {
        write::bulk(out, b"notes");
        write::bulk(out, notes.as_bytes());
    }
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
    use crate::command::rule::Rule;
    use crate::local::answer;
    use crate::local::tests::{GREETING_3, check, facts};
    use crate::resp::sample::Request;
    use crate::session::identity::Identity;

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
        let own = own_commands();
        let facts = Facts { own_commands: &own, ..facts(None, &[]) };
        let reply = |words: &str| {
            let request = Request::words(words);
            let mut out = Vec::new();
            list(&request.args(), &facts, &mut out);
            String::from_utf8(out).unwrap()
        };
        let listed = reply("command list");
        for name in
            ["get", "mget", "client", "client|id", "multi", "eval", "zunionstore", "cache.stats"]
        {
            assert!(listed.contains(&format!("\r\n{name}\r\n")), "{name} is missing");
        }
        for name in
            ["migrate", "shutdown", "json.get", "cluster", "cluster|info", "swapdb", "acl|cat"]
        {
            assert!(!listed.contains(&format!("\r\n{name}\r\n")), "{name} is listed");
        }
        let mut rows = Vec::new();
        all(Protocol::Resp3, &facts, &mut rows);
        assert_eq!(crate::resp::value::value_len(&rows), Some(rows.len()));
        let mut number = Vec::new();
        count(&facts, &mut number);
        let number = String::from_utf8(number).unwrap().replace(':', "*");
        assert!(rows.starts_with(number.as_bytes()));
    }

    #[test]
    fn own_commands_of_plugins_are_told_as_those_of_modules() {
        let own = own_commands();
        let facts = Facts { own_commands: &own, ..facts(None, &[]) };
        let reply = |words: &str| {
            let request = Request::words(words);
            let mut out = Vec::new();
            let mut identity = Identity::new(8, String::new(), String::new(), 0, true);
            let spec = command::resolve::resolve(&request.args()).unwrap();
            let Rule::Local(local) = spec.rule else { panic!("{words}") };
            answer(local, &request.args(), &mut identity, &facts, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (words, expected) in [
            (
                "command info Cache.Del",
                "*1\r\n*10\r\n$9\r\ncache.del\r\n:-2\r\n*2\r\n+write\r\n+module\r\n:1\r\n:-1\r\n:1\r\n*2\r\n+@write\r\n+@slow\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*3\r\n+RW\r\n+access\r\n+update\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:-1\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n",
            ),
            (
                "command list filterby module cache",
                "*2\r\n$9\r\ncache.del\r\n$11\r\ncache.stats\r\n",
            ),
            ("command list filterby pattern *.STATS", "*1\r\n$11\r\ncache.stats\r\n"),
            (
                "command docs cache.stats",
                "*2\r\n$11\r\ncache.stats\r\n*6\r\n$7\r\nsummary\r\n$32\r\nA command of the plugin 'cache'.\r\n$5\r\ngroup\r\n$6\r\nmodule\r\n$6\r\nmodule\r\n$5\r\ncache\r\n",
            ),
            ("command getkeys cache.del a b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
            (
                "command getkeysandflags CACHE.DEL a",
                "*1\r\n*2\r\n$1\r\na\r\n*3\r\n+RW\r\n+access\r\n+update\r\n",
            ),
            ("command getkeys cache.stats x", "-ERR The command has no key arguments\r\n"),
        ] {
            assert_eq!(reply(words), expected, "{words}");
        }
    }

    fn own_commands() -> Vec<OwnCommand<'static>> {
        let own = |name: &str, arity, keys, flags| OwnCommand {
            name: name.to_owned(),
            plugin: "cache",
            arity,
            keys,
            flags,
        };
        let write: &'static [String] = Vec::leak(vec!["write".to_owned()]);
        vec![own("cache.del", -2, (1, -1, 1), write), own("cache.stats", 1, (0, 0, 0), &[])]
    }
}

//! COMMAND DOCS, and HELP of every container: what the servers' own texts say of what is carried out here.
//!
//! In: names, and the plugins' own commands. Out: the documents of `command::docs` in the client's protocol, byte for
//! byte those of Redis 7.0 for its commands. Subcommands that are refused are left out of their container's map and
//! HELP. A command that no server of the table has gets the little that is known of it.

use super::commands::{asked, find_full, listed, visible_subcommands};
use super::{Facts, OwnCommand};
use crate::command::docs::{self, Value};
use crate::command::{self, CommandSpec};
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};

/// The group that servers give to the commands of modules.
const MODULE: &[u8] = b"module";

/// COMMAND DOCS [name ...]: all of them when none is named; unknown names are left out.
pub(super) fn docs(args: &Args<'_>, protocol: Protocol, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let (specs, own): (Vec<&CommandSpec>, Vec<&OwnCommand<'_>>) = if args.len() == 2 {
        (listed().collect(), facts.own_commands.iter().collect())
    } else {
        (
            args.from(2).filter_map(find_full).collect(),
            args.from(2).filter_map(|name| asked(name, facts)).collect(),
        )
    };
    write::map_header(out, protocol, specs.len() + own.len());
    for spec in specs {
        write_doc(spec, protocol, out);
    }
    for own in own {
        write_own(own, protocol, out);
    }
}

fn write_doc(spec: &CommandSpec, protocol: Protocol, out: &mut Vec<u8>) {
    write::bulk(out, spec.name.as_bytes());
    let Some(doc) = docs::find(&spec.name) else {
        return write_unknown(spec, protocol, out);
    };
    let subcommands: Vec<&CommandSpec> = visible_subcommands(spec).collect();
    write::map_header(out, protocol, doc.pairs + usize::from(!subcommands.is_empty()));
    for value in doc.values() {
        match value {
            Value::Map(pairs) => write::map_header(out, protocol, pairs),
            Value::Array(count) => write::array_header(out, count),
            Value::Set(count) => write::set_header(out, protocol, count),
            Value::Integer(value) => write::integer(out, value),
            Value::Simple(text) => write::simple(out, text),
            Value::Bulk(text) => write::bulk(out, text.as_bytes()),
        }
    }
    if !subcommands.is_empty() {
        write::bulk(out, b"subcommands");
        write::map_header(out, protocol, subcommands.len());
        for subcommand in subcommands {
            write_doc(subcommand, protocol, out);
        }
    }
}

/// A command of a module, or of a server that is newer than the table.
fn write_unknown(spec: &CommandSpec, protocol: Protocol, out: &mut Vec<u8>) {
    let group = if spec.name.contains('.') { MODULE } else { b"generic" };
    write_pairs(
        &[(b"summary", b"The shard that has it knows more."), (b"group", group)],
        protocol,
        out,
    );
}

fn write_own(own: &OwnCommand<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    write::bulk(out, own.name.as_bytes());
    let summary = format!("A command of the plugin '{}'.", own.plugin);
    let pairs: [(&[u8], &[u8]); 3] =
        [(b"summary", summary.as_bytes()), (b"group", MODULE), (b"module", own.plugin.as_bytes())];
    write_pairs(&pairs, protocol, out);
}

fn write_pairs(pairs: &[(&[u8], &[u8])], protocol: Protocol, out: &mut Vec<u8>) {
    write::map_header(out, protocol, pairs.len());
    for (name, value) in pairs {
        write::bulk(out, name);
        write::bulk(out, value);
    }
}

/// `X HELP`: the servers' lines about the subcommands that are carried out here.
pub(super) fn help(args: &Args<'_>, out: &mut Vec<u8>) {
    let Some(container) = command::find(args.name()) else {
        return write::error(out, "ERR syntax error");
    };
    let name = container.name.to_uppercase();
    let mut lines =
        vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for piece in docs::find(&container.name).map(docs::Doc::help).unwrap_or_default() {
        if is_shown(container, piece.first().copied().unwrap_or_default()) {
            lines.extend(piece.into_iter().map(str::to_owned));
        }
    }
    write::array_header(out, lines.len());
    for line in lines {
        write::simple(out, &line);
    }
}

/// Whether a piece of help that starts with `line` is about what is carried out.
fn is_shown(container: &CommandSpec, line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    // "(no subcommand)" is about the container itself.
    word.starts_with('(')
        || visible_subcommands(container).any(|spec| spec.row.name.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::tests::{GREETING_3, check, facts};
    use crate::resp::sample::Request;
    use crate::resp::value::value_len;

    /// Recorded from redis-server 7.0.15.
    #[test]
    fn docs_are_told_as_recorded() {
        check(
            None,
            &[
                ("command docs nope client|nope", "*0\r\n"),
                ("command docs shutdown acl|setuser", "*0\r\n"),
                (
                    "command docs unlink|x client|ID",
                    "*2\r\n$9\r\nclient|id\r\n*8\r\n$7\r\nsummary\r\n$48\r\nReturns the client ID for the current connection\r\n$5\r\nsince\r\n$5\r\n5.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n",
                ),
                (
                    "command docs json.get",
                    "*2\r\n$8\r\njson.get\r\n*4\r\n$7\r\nsummary\r\n$33\r\nThe shard that has it knows more.\r\n$5\r\ngroup\r\n$6\r\nmodule\r\n",
                ),
                ("hello 3", GREETING_3),
                (
                    "command docs GET",
                    "%1\r\n$3\r\nget\r\n%5\r\n$7\r\nsummary\r\n$22\r\nGet the value of a key\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$6\r\nstring\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*1\r\n%3\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n$14\r\nkey_spec_index\r\n:0\r\n",
                ),
            ],
        );
    }

    #[test]
    fn all_docs_are_one_whole_reply_and_hold_no_refused_command() {
        let request = Request::words("command docs");
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut out = Vec::new();
            docs(&request.args(), protocol, &facts(None, &[]), &mut out);
            assert_eq!(value_len(&out), Some(out.len()), "{protocol:?}");
            let text = String::from_utf8(out).unwrap();
            for (name, told) in [("client|id", true), ("acl|cat", false), ("shutdown", false)] {
                assert_eq!(text.contains(&format!("\r\n{name}\r\n")), told, "{name}");
            }
        }
    }
}

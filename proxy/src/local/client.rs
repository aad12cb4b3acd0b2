//! CLIENT: what a connection may ask and say about itself.
//!
//! In: the arguments and the identity. Out: the reply; SETNAME and SETINFO change the identity.
//! CLIENT LIST shows the asking client only: others may live on other workers. CLIENT TRACKING ON is an honest error,
//! because OK without invalidations would let clients serve stale data. CLIENT REPLY OFF and SKIP are refused, so that
//! every request keeps its one reply.

use super::Facts;
use crate::command;
use crate::command::CommandSpec;
use crate::resp::args::Args;
use crate::resp::request::parse_number;
use crate::resp::write;
use crate::session::identity::Identity;

const SYNTAX: &str = "ERR syntax error";

pub(super) fn id(identity: &Identity, out: &mut Vec<u8>) {
    write::integer(out, i64::try_from(identity.id).unwrap_or(i64::MAX));
}

pub(super) fn getname(identity: &Identity, out: &mut Vec<u8>) {
    if identity.name().is_empty() {
        write::null(out, identity.protocol);
    } else {
        write::bulk(out, identity.name());
    }
}

pub(super) fn setname(args: &Args<'_>, identity: &mut Identity, out: &mut Vec<u8>) {
    match identity.set_name(args.get(2).unwrap_or_default()) {
        Ok(()) => write::simple(out, "OK"),
        Err(error) => write::error(out, &format!("ERR Client names {error}")),
    }
}

/// CLIENT SETINFO LIB-NAME name | LIB-VER version.
pub(super) fn setinfo(args: &Args<'_>, identity: &mut Identity, out: &mut Vec<u8>) {
    let option = args.get(2).unwrap_or_default();
    let value = args.get(3).unwrap_or_default();
    let (word, result) = if option.eq_ignore_ascii_case(b"lib-name") {
        ("lib-name", identity.set_library_name(value))
    } else if option.eq_ignore_ascii_case(b"lib-ver") {
        ("lib-ver", identity.set_library_version(value))
    } else {
        let text = [b"ERR Unrecognized option '", option, b"'"].concat();
        return write::error_bytes(out, &text);
    };
    match result {
        Ok(()) => write::simple(out, "OK"),
        Err(error) => write::error(out, &format!("ERR {word} {error}")),
    }
}

pub(super) fn info(args: &Args<'_>, identity: &Identity, facts: &Facts<'_>, out: &mut Vec<u8>) {
    write::verbatim(out, identity.protocol, &line(args, identity, facts));
}

/// CLIENT LIST [TYPE type] [ID id ...].
pub(super) fn list(args: &Args<'_>, identity: &Identity, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let option = args.get(2).unwrap_or_default();
    let shown = if args.len() == 2 {
        true
    } else if option.eq_ignore_ascii_case(b"type") && args.len() == 4 {
        let kind = args.get(3).unwrap_or_default().to_ascii_lowercase();
        match kind.as_slice() {
            b"normal" => true,
            b"master" | b"replica" | b"slave" | b"pubsub" => false,
            _ => {
                let text = [b"ERR Unknown client type '", kind.as_slice(), b"'"].concat();
                return write::error_bytes(out, &text);
            }
        }
    } else if option.eq_ignore_ascii_case(b"id") && args.len() > 3 {
        let ids: Option<Vec<u64>> =
            args.from(3).map(|id| parse_number(id).and_then(|id| u64::try_from(id).ok())).collect();
        match ids {
            Some(ids) => ids.contains(&identity.id),
            None => return write::error(out, "ERR Invalid client ID"),
        }
    } else {
        return write::error(out, SYNTAX);
    };
    let text = if shown { line(args, identity, facts) } else { Vec::new() };
    write::verbatim(out, identity.protocol, &text);
}

/// One line as CLIENT LIST has it. Clients look each of these fields up and read them as numbers, so what only a server
/// has (file descriptor, buffers) is there as -1 or 0. The client has just asked, so it is not idle.
fn line(args: &Args<'_>, identity: &Identity, facts: &Facts<'_>) -> Vec<u8> {
    let now_ms = facts.now_us / 1000;
    let age_s = now_ms.saturating_sub(identity.created_ms) / 1000;
    let mut text = format!(
        "id={} addr={} laddr={} fd=-1 name=",
        identity.id, identity.address, identity.local_address
    )
    .into_bytes();
    text.extend_from_slice(identity.name());
    let command = this_command(args).map_or("NULL", |spec| spec.name.as_str());
    text.extend_from_slice(
        format!(
            " age={age_s} idle=0 flags=N db={} sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 \
             multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd={command} user=default redir=-1 \
             resp={} lib-name=",
            identity.database,
            identity.protocol.number()
        )
        .as_bytes(),
    );
    text.extend_from_slice(identity.library_name());
    text.extend_from_slice(b" lib-ver=");
    text.extend_from_slice(identity.library_version());
    text.push(b'\n');
    text
}

/// The command that is being answered: a client that asks about itself is busy with just this.
fn this_command(args: &Args<'_>) -> Option<&'static CommandSpec> {
    command::find(args.name())?.subcommand(args.get(1)?)
}

/// CLIENT NO-EVICT and NO-TOUCH: accepted, since the gateway neither evicts clients nor touches keys by itself.
pub(super) fn on_or_off(args: &Args<'_>, out: &mut Vec<u8>) {
    let word = args.get(2).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"on") || word.eq_ignore_ascii_case(b"off") {
        write::simple(out, "OK");
    } else {
        write::error(out, SYNTAX);
    }
}

pub(super) fn reply(args: &Args<'_>, out: &mut Vec<u8>) {
    let word = args.get(2).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"on") {
        write::simple(out, "OK");
    } else if word.eq_ignore_ascii_case(b"off") || word.eq_ignore_ascii_case(b"skip") {
        write::error(
            out,
            "ERR CLIENT REPLY OFF and SKIP are not supported by this gateway yet: read the replies",
        );
    } else {
        write::error(out, SYNTAX);
    }
}

pub(super) fn caching(out: &mut Vec<u8>) {
    write::error(
        out,
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    );
}

pub(super) fn tracking(args: &Args<'_>, out: &mut Vec<u8>) {
    let word = args.get(2).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"off") {
        write::simple(out, "OK");
    } else if word.eq_ignore_ascii_case(b"on") {
        write::error(
            out,
            "ERR CLIENT TRACKING is not supported by this gateway: it sends no invalidations; turn client-side caching off",
        );
    } else {
        write::error(out, SYNTAX);
    }
}

/// Tracking is always off.
pub(super) fn trackinginfo(identity: &Identity, out: &mut Vec<u8>) {
    write::map_header(out, identity.protocol, 3);
    write::bulk(out, b"flags");
    write::set_header(out, identity.protocol, 1);
    write::bulk(out, b"off");
    write::bulk(out, b"redirect");
    write::integer(out, -1);
    write::bulk(out, b"prefixes");
    write::array_header(out, 0);
}

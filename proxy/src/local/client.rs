//! CLIENT: what a connection may ask and say about itself.
//!
//! In: the arguments and the identity. Out: the reply; SETNAME and SETINFO change the identity.
//! CLIENT TRACKING ON is an honest error, because OK without invalidations would let clients serve stale data. What
//! concerns other clients, or the session beside its identity, stands in `clients`.

use crate::resp::args::Args;
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

/// CLIENT NO-EVICT and NO-TOUCH: accepted, since the gateway neither evicts clients nor touches keys by itself.
pub(super) fn on_or_off(args: &Args<'_>, out: &mut Vec<u8>) {
    let word = args.get(2).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"on") || word.eq_ignore_ascii_case(b"off") {
        write::simple(out, "OK");
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
    if !tracking_options_known(args) {
        write::error(out, SYNTAX);
    } else if word.eq_ignore_ascii_case(b"off") {
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

/// Whether all that stands behind ON or OFF is an option with what belongs to it.
fn tracking_options_known(args: &Args<'_>) -> bool {
    let mut options = args.from(3);
    while let Some(option) = options.next() {
        let is = |word: &[u8]| option.eq_ignore_ascii_case(word);
        let known = if is(b"redirect") || is(b"prefix") {
            options.next().is_some()
        } else {
            is(b"bcast") || is(b"optin") || is(b"optout") || is(b"noloop")
        };
        if !known {
            return false;
        }
    }
    true
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

//! HELLO, AUTH, RESET and SELECT: what a client sends first.
//!
//! In: the arguments, the identity and the password that is asked for. Out: the reply, and the identity changed
//! when the command succeeded; a command that fails changes nothing. Words and order of checks are Redis 7.0's,
//! since clients compare them. Passwords are compared in time that does not depend on where they differ. The
//! gateway has one user, `default`.

use super::{Facts, REDIS_VERSION};
use crate::resp::args::Args;
use crate::resp::request::parse_number;
use crate::resp::write::{self, Protocol};
use crate::session::identity::{Identity, checked};

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure \
     your configuration is correct?";
const HELLO_UNAUTHENTICATED: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
     HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
     the same time";
const USER: &[u8] = b"default";

/// AUTH password | AUTH user password.
pub(super) fn auth(args: &Args<'_>, identity: &mut Identity, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let (user, password) = match (args.get(1), args.get(2), args.len()) {
        (Some(_), None, _) if facts.password.is_none() => return write::error(out, NO_PASSWORD),
        (Some(password), None, _) => (USER, password),
        (Some(user), Some(password), 3) => (user, password),
        _ => return write::error(out, "ERR syntax error"),
    };
    if is_right(user, password, facts) {
        identity.authenticated = true;
        write::simple(out, "OK");
    } else {
        write::error(out, WRONG_PASSWORD);
    }
}

/// What the options of HELLO ask for.
#[derive(Default)]
struct HelloOptions<'a> {
    protocol: Option<Protocol>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

/// HELLO [version [AUTH user password] [SETNAME name]].
pub(super) fn hello(
    args: &Args<'_>,
    identity: &mut Identity,
    facts: &Facts<'_>,
    out: &mut Vec<u8>,
) {
    let options = match hello_options(args) {
        Ok(options) => options,
        Err(text) => return write::error_bytes(out, &text),
    };
    if let Some((user, password)) = options.credentials {
        if !is_right(user, password, facts) {
            return write::error(out, WRONG_PASSWORD);
        }
        identity.authenticated = true;
    }
    if !identity.authenticated {
        return write::error(out, HELLO_UNAUTHENTICATED);
    }
    if let Some(name) = options.name
        && let Err(error) = identity.set_name(name)
    {
        return write::error(out, &format!("ERR Client names {error}"));
    }
    if let Some(protocol) = options.protocol {
        identity.protocol = protocol;
    }
    write_greeting(identity, out);
}

fn hello_options<'a>(args: &Args<'a>) -> Result<HelloOptions<'a>, Vec<u8>> {
    let mut options = HelloOptions::default();
    let Some(version) = args.get(1) else {
        return Ok(options);
    };
    options.protocol = Some(match parse_number(version) {
        Some(2) => Protocol::Resp2,
        Some(3) => Protocol::Resp3,
        Some(_) => return Err(b"NOPROTO unsupported protocol version".to_vec()),
        None => return Err(b"ERR Protocol version is not an integer or out of range".to_vec()),
    });
    let mut at = 2;
    while let Some(option) = args.get(at) {
        match (args.get(at + 1), args.get(at + 2)) {
            (Some(user), Some(password)) if option.eq_ignore_ascii_case(b"auth") => {
                options.credentials = Some((user, password));
                at += 3;
            }
            (Some(name), _) if option.eq_ignore_ascii_case(b"setname") => {
                checked(name).map_err(|error| format!("ERR Client names {error}").into_bytes())?;
                options.name = Some(name);
                at += 2;
            }
            _ => {
                let mut text = b"ERR Syntax error in HELLO option '".to_vec();
                text.extend_from_slice(option);
                text.push(b'\'');
                return Err(text);
            }
        }
    }
    Ok(options)
}

fn write_greeting(identity: &Identity, out: &mut Vec<u8>) {
    write::map_header(out, identity.protocol, 7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        write::bulk(out, name.as_bytes());
        write::bulk(out, value.as_bytes());
    }
    write::bulk(out, b"proto");
    write::integer(out, identity.protocol.number());
    write::bulk(out, b"id");
    write::integer(out, i64::try_from(identity.id).unwrap_or(i64::MAX));
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        write::bulk(out, name.as_bytes());
        write::bulk(out, value.as_bytes());
    }
    write::bulk(out, b"modules");
    write::array_header(out, 0);
}

/// RESET. What belongs to the session beside the identity (MULTI, WATCH) is the caller's to take back.
pub(super) fn reset(identity: &mut Identity, facts: &Facts<'_>, out: &mut Vec<u8>) {
    identity.reset(facts.password.is_none(), facts.database);
    write::simple(out, "RESET");
}

/// SELECT index: the lanes follow with the next command.
pub(super) fn select(
    args: &Args<'_>,
    identity: &mut Identity,
    facts: &Facts<'_>,
    out: &mut Vec<u8>,
) {
    match selected(args, facts.databases) {
        Ok(database) => {
            identity.database = database;
            write::simple(out, "OK");
        }
        Err(text) => write::error(out, text),
    }
}

/// The database that a SELECT names, of so many.
pub(super) fn selected(args: &Args<'_>, databases: u16) -> Result<u16, &'static str> {
    match parse_number(args.get(1).unwrap_or_default()).map(i32::try_from) {
        Some(Ok(index)) => match u16::try_from(index) {
            Ok(database) if database < databases => Ok(database),
            _ => Err("ERR DB index is out of range"),
        },
        Some(Err(_)) | None => Err("ERR value is not an integer or out of range"),
    }
}

/// Whether the credentials open the gateway. Without a configured password any password of `default` does, as in Redis.
fn is_right(user: &[u8], password: &[u8], facts: &Facts<'_>) -> bool {
    let right_password = facts.password.is_none_or(|wanted| is_equal(wanted, password));
    user == USER && right_password
}

/// Compares in a time that depends on the length of `given` only, so that a password cannot be guessed byte by byte.
fn is_equal(wanted: &[u8], given: &[u8]) -> bool {
    let mut difference = u8::from(wanted.len() != given.len());
    for (position, byte) in given.iter().enumerate() {
        difference |= byte ^ wanted.get(position).copied().unwrap_or(!byte);
    }
    std::hint::black_box(difference) == 0
}

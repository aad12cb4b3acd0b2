//! From a request to its command, or to the error that Redis 7.0 would answer.
//!
//! In: the arguments of one request. Out: the spec of the command (of the subcommand, for containers), checked against
//! its arity; or a `ResolveError`, which writes itself in Redis's own words, byte for byte.
//! Looking up allocates nothing; only an error does. What to do with the command is not decided here.

use super::{CommandSpec, find};
use crate::resp::args::Args;
use crate::resp::write;

/// Most bytes of a name, and of all arguments, that an error repeats. Redis's own number.
const REPEATED_BYTES_MAX: usize = 128;

/// Why a request is no command.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum ResolveError {
    #[error("unknown command")]
    UnknownCommand,
    #[error("unknown subcommand of '{}'", .0.name)]
    UnknownSubcommand(&'static CommandSpec),
    #[error("wrong number of arguments for '{}' command", .0.name)]
    Arity(&'static CommandSpec),
}

/// The command of a request, subcommands resolved and arity checked.
pub fn resolve(args: &Args<'_>) -> Result<&'static CommandSpec, ResolveError> {
    let spec = find(args.name()).ok_or(ResolveError::UnknownCommand)?;
    let spec = match args.get(1) {
        Some(name) if !spec.subcommands.is_empty() => {
            spec.subcommand(name).ok_or(ResolveError::UnknownSubcommand(spec))?
        }
        _ => spec,
    };
    if spec.accepts(args.len()) { Ok(spec) } else { Err(ResolveError::Arity(spec)) }
}

impl ResolveError {
    /// The error reply, as Redis words it.
    pub fn write(&self, args: &Args<'_>, out: &mut Vec<u8>) {
        match self {
            ResolveError::UnknownCommand => write::error_bytes(out, &unknown_command(args)),
            ResolveError::UnknownSubcommand(container) => {
                let mut text = b"ERR unknown subcommand '".to_vec();
                text.extend_from_slice(printed(
                    args.get(1).unwrap_or_default(),
                    REPEATED_BYTES_MAX,
                ));
                let container = container.name.to_uppercase();
                text.extend_from_slice(format!("'. Try {container} HELP.").as_bytes());
                write::error_bytes(out, &text);
            }
            ResolveError::Arity(spec) => write_arity_error(spec, out),
        }
    }
}

/// The error for a wrong number of arguments, also where only the command itself can see it (odd MSET).
pub fn write_arity_error(spec: &CommandSpec, out: &mut Vec<u8>) {
    // EXEC gives the transaction up whatever is wrong with it, and says so.
    let code = match spec.name.as_str() {
        "exec" => "EXECABORT Transaction discarded because of:",
        _ => "ERR",
    };
    write::error(out, &format!("{code} wrong number of arguments for '{}' command", spec.name));
}

fn unknown_command(args: &Args<'_>) -> Vec<u8> {
    let mut repeated = Vec::new();
    for arg in args.from(1) {
        if repeated.len() >= REPEATED_BYTES_MAX {
            break;
        }
        let room = REPEATED_BYTES_MAX - repeated.len();
        repeated.push(b'\'');
        repeated.extend_from_slice(printed(arg, room));
        repeated.extend_from_slice(b"' ");
    }
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(printed(args.name(), REPEATED_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&repeated);
    text
}

/// What C's `%.*s` prints of `bytes`: up to `max` bytes, and nothing from a zero byte on.
fn printed(bytes: &[u8], max: usize) -> &[u8] {
    let shown = bytes.get(..max).unwrap_or(bytes);
    let end = shown.iter().position(|byte| *byte == 0);
    shown.get(..end.unwrap_or(shown.len())).unwrap_or(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::sample::Request;

    fn check(words: &[&[u8]], expected: Result<&str, &str>) {
        let request = Request::new(words);
        let args = request.args();
        match (resolve(&args), expected) {
            (Ok(spec), Ok(name)) => assert_eq!(spec.name, name),
            (Err(error), Err(text)) => {
                let mut out = Vec::new();
                error.write(&args, &mut out);
                let reply = String::from_utf8_lossy(&out);
                let code = if text.starts_with("EXECABORT") { "" } else { "ERR " };
                assert_eq!(reply, format!("-{code}{text}\r\n"));
            }
            (got, wanted) => panic!("{words:?}: got {got:?}, wanted {wanted:?}"),
        }
    }

    #[test]
    fn commands_and_subcommands_are_found_in_any_case() {
        check(&[b"GeT", b"k"], Ok("get"));
        check(&[b"command"], Ok("command"));
        check(&[b"COMMAND", b"Count"], Ok("command|count"));
        check(&[b"object", b"ENCODING", b"k"], Ok("object|encoding"));
        check(&[b"ping"], Ok("ping"));
    }

    /// Recorded from redis-server 7.0.15.
    const ERRORS: &[(&[&[u8]], &str)] = &[
        (&[b""], "unknown command '', with args beginning with: "),
        (&[b"foo"], "unknown command 'foo', with args beginning with: "),
        (&[b"FoO", b"a", b""], "unknown command 'FoO', with args beginning with: 'a' '' "),
        (&[b"a\r\nb", b"x\r\ny"], "unknown command 'a  b', with args beginning with: 'x  y' "),
        (&[b"fo\0o", b"a\0b"], "unknown command 'fo', with args beginning with: 'a' "),
        (&[b"get"], "wrong number of arguments for 'get' command"),
        (&[b"GET", b"a", b"b"], "wrong number of arguments for 'get' command"),
        (
            &[b"exec", b"x"],
            "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
        ),
        (&[b"client"], "wrong number of arguments for 'client' command"),
        (&[b"CLIENT", b"setname"], "wrong number of arguments for 'client|setname' command"),
        (&[b"CLIENT", b"nope", b"x"], "unknown subcommand 'nope'. Try CLIENT HELP."),
        (&[b"ClIeNt", b"no\r\npe"], "unknown subcommand 'no  pe'. Try CLIENT HELP."),
        (&[b"COMMAND", b"foo"], "unknown subcommand 'foo'. Try COMMAND HELP."),
    ];

    #[test]
    fn errors_are_redis_own_words() {
        for (words, text) in ERRORS {
            check(words, Err(text));
        }
    }

    /// The cuts are those of redis-server 7.0.15.
    #[test]
    fn long_names_and_arguments_are_cut_in_errors() {
        let long = [b'a'; 200];
        let cut = "a".repeat(128);
        check(
            &[b"foo", &long, b"b"],
            Err(&format!("unknown command 'foo', with args beginning with: '{cut}' ")),
        );
        check(
            &[&long, b"b"],
            Err(&format!("unknown command '{cut}', with args beginning with: 'b' ")),
        );
        let (first, second) = ("a".repeat(100), "b".repeat(25));
        check(
            &[b"foo", &[b'a'; 100], &[b'b'; 50], b"c"],
            Err(&format!("unknown command 'foo', with args beginning with: '{first}' '{second}' ")),
        );
        check(&[b"client", &long], Err(&format!("unknown subcommand '{cut}'. Try CLIENT HELP.")));
    }
}

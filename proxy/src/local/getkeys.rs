//! COMMAND GETKEYS and GETKEYSANDFLAGS: where the keys of a request are, and what it does with them.
//!
//! In: the arguments, whose second half is the request in question, and the plugins' own commands. Out: the keys, or
//! the error in the words of Redis 7.0. It tells of every command that is known, also of refused ones: where the keys
//! are is true of the request, whoever carries it out. Nothing is looked up at a shard.

use super::OwnCommand;
use super::commands::own_key_flags;
use crate::command::keys;
use crate::command::{self, CommandSpec, flags};
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};

/// Arguments of a request that can be asked about, the two words in front of it included: Redis 7.0's own number.
const ARGUMENTS_MIN: usize = 4;

/// The keys of a request as argument indices, with the bits of `flags::key`.
type Keys = Vec<(u32, u16)>;

/// COMMAND GETKEYS command argument [argument ...].
pub(super) fn getkeys(args: &Args<'_>, own: &[OwnCommand<'_>], out: &mut Vec<u8>) {
    let request = args.skip(2);
    match find(args, &request, own) {
        Ok(found) => {
            write::array_header(out, found.len());
            for (at, _) in found {
                write::bulk(out, request.get(at as usize).unwrap_or_default());
            }
        }
        Err(text) => write::error(out, &text),
    }
}

/// COMMAND GETKEYSANDFLAGS command argument [argument ...].
pub(super) fn getkeysandflags(
    args: &Args<'_>,
    own: &[OwnCommand<'_>],
    protocol: Protocol,
    out: &mut Vec<u8>,
) {
    let request = args.skip(2);
    match find(args, &request, own) {
        Ok(found) => {
            write::array_header(out, found.len());
            for (at, bits) in found {
                write::array_header(out, 2);
                write::bulk(out, request.get(at as usize).unwrap_or_default());
                let words = || flags::words(u32::from(bits), &flags::key::NAMES);
                write::set_header(out, protocol, words().count());
                words().for_each(|word| write::simple(out, word));
            }
        }
        Err(text) => write::error(out, &text),
    }
}

fn find(args: &Args<'_>, request: &Args<'_>, own: &[OwnCommand<'_>]) -> Result<Keys, String> {
    if args.len() < ARGUMENTS_MIN {
        let subcommand = args.get(1).unwrap_or_default().to_ascii_lowercase();
        let subcommand = String::from_utf8_lossy(&subcommand);
        return Err(format!("ERR wrong number of arguments for 'command|{subcommand}' command"));
    }
    let of_plugin = own.iter().find(|own| own.is_called(request.name()));
    match (command::find(request.name()), of_plugin) {
        (Some(spec), _) => of_command(with_subcommand(spec, request)?, request),
        (None, Some(own)) => of_own(own, request),
        (None, None) => Err("ERR Invalid command specified".to_owned()),
    }
}

fn with_subcommand(
    spec: &'static CommandSpec,
    request: &Args<'_>,
) -> Result<&'static CommandSpec, String> {
    match request.get(1) {
        Some(name) if !spec.subcommands.is_empty() => {
            spec.subcommand(name).ok_or_else(|| "ERR Invalid command specified".to_owned())
        }
        _ => Ok(spec),
    }
}

fn of_command(spec: &CommandSpec, request: &Args<'_>) -> Result<Keys, String> {
    check(keys::has_keys(spec), spec.accepts(request.len()))?;
    match keys::keys_and_flags(spec, request) {
        Ok(found) => Ok(found),
        Err(_) if spec.has(flags::NO_MANDATORY_KEYS) => Ok(Vec::new()),
        Err(_) => Err("ERR Invalid arguments specified for command".to_owned()),
    }
}

fn of_own(own: &OwnCommand<'_>, request: &Args<'_>) -> Result<Keys, String> {
    check(own.keys != (0, 0, 0), own.accepts(request.len()))?;
    let bits = own_key_flags(own);
    let places = keys::places(own.keys, request.len());
    Ok(places.filter_map(|at| Some((u32::try_from(at).ok()?, bits))).collect())
}

fn check(has_keys: bool, accepts: bool) -> Result<(), String> {
    if !has_keys {
        Err("ERR The command has no key arguments".to_owned())
    } else if !accepts {
        Err("ERR Invalid number of arguments specified for command".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::local::tests::check;

    /// The words of redis-server 7.0.15.
    #[test]
    fn keys_and_what_happens_to_them_are_told_as_recorded() {
        const UPDATES: &str = "*3\r\n+RW\r\n+access\r\n+update\r\n";
        const READS: &str = "*2\r\n+RO\r\n+access\r\n";
        const WRITES: &str = "*2\r\n+OW\r\n+update\r\n";
        let one = |flags: &str| format!("*1\r\n*2\r\n$1\r\na\r\n{flags}");
        let two = |first: &str, second: &str| {
            format!("*2\r\n*2\r\n$1\r\na\r\n{first}*2\r\n$1\r\nb\r\n{second}")
        };
        check(
            None,
            &[
                ("command getkeys mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
                ("command getkeys object encoding a", "*1\r\n$1\r\na\r\n"),
                ("command getkeys eval x 0", "*0\r\n"),
                ("command getkeys eval x 3 a", "*0\r\n"),
                ("command getkeys nope a", "-ERR Invalid command specified\r\n"),
                ("command getkeys client nope", "-ERR Invalid command specified\r\n"),
                ("command getkeys ping a", "-ERR The command has no key arguments\r\n"),
                ("command getkeys spublish c m", "-ERR The command has no key arguments\r\n"),
                (
                    "command getkeys get a b",
                    "-ERR Invalid number of arguments specified for command\r\n",
                ),
                ("command getkeys zunion x a", "-ERR Invalid arguments specified for command\r\n"),
                ("command getkeys pfmerge a", "-ERR Invalid arguments specified for command\r\n"),
                (
                    "command getkeys get",
                    "-ERR wrong number of arguments for 'command|getkeys' command\r\n",
                ),
                (
                    "command getkeysandflags get",
                    "-ERR wrong number of arguments for 'command|getkeysandflags' command\r\n",
                ),
                ("command getkeysandflags set a 1", &one(WRITES)),
                ("command getkeysandflags set a 1 NX get", &one(UPDATES)),
                ("command getkeysandflags bitfield a get u8 0 overflow sat", &one(READS)),
                ("command getkeysandflags bitfield a get u8 0 incrby u8 0 1", &one(UPDATES)),
                ("command getkeysandflags sort a get c store b", &two(READS, WRITES)),
                ("command getkeysandflags xread streams a b 0 0", &two(READS, READS)),
                ("command getkeysandflags georadius a 1 1 1 m store b", &two(READS, WRITES)),
            ],
        );
    }
}

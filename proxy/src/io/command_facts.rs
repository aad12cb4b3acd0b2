//! What the command table knows of a command that a plugin wants to send.
//!
//! In: its arguments. Out: whether it only reads, and the places of its keys; or why no plugin may send it. `plugin` knows
//! no command table, so the engine is given this function.

use crate::command::find;
use crate::command::keys;
use crate::command::resolve::resolve;
use crate::command::rule::{LocalCommand, Rule};
use crate::plugin::grants::{CommandFacts, Denied, SimpleCommand};
use crate::resp::args::Args;

/// What the command table knows of a plugin's command, for its grants. A plugin's commands share their connections
/// with all clients, so only those pass that neither change a connection nor wait on it.
pub(super) fn command_facts(
    args: &Args<'_>,
    places: &mut Vec<u32>,
) -> Result<CommandFacts, Denied> {
    let spec = resolve(args).map_err(|_| Denied::UnknownKeys)?;
    // They name no key: a plugin says which shard it wants to ask.
    if matches!(spec.name.as_str(), "scan" | "dbsize" | "randomkey") {
        return Ok(CommandFacts { readonly: true, whole_shard: true });
    }
    match spec.rule {
        Rule::Key | Rule::Keys | Rule::Script | Rule::Sort | Rule::Split(_) | Rule::Joined(_) => {}
        Rule::StreamRead if keys::stream_read_block(args).is_none() => {}
        // It names no key; a plugin says which shard it wants to ask.
        Rule::Local(LocalCommand::Time) => {}
        Rule::StreamRead
        | Rule::Blocking
        | Rule::Wait(_)
        | Rule::Local(_)
        | Rule::Clients(_)
        | Rule::Plugins
        | Rule::Shards(_)
        | Rule::Pubsub(_)
        | Rule::Transaction(_)
        | Rule::Refuse(_)
        | Rule::Container => return Err(Denied::SharedConnection),
    }
    keys::keys(spec, args, places).map_err(|_| Denied::UnknownKeys)?;
    // A script without keys may be about any, and the patterns of SORT read others than it names.
    let beyond = match spec.rule {
        Rule::Script => places.is_empty(),
        Rule::Sort => keys::has_sort_patterns(args),
        _ => false,
    };
    Ok(CommandFacts { readonly: spec.is_readonly(), whole_shard: beyond })
}

/// Which commands have one key, always at the same place: what `command_facts` says of them depends on their name alone.
pub(super) fn simple_command(name: &[u8]) -> Option<SimpleCommand> {
    let spec = find(name)?;
    match spec.rule {
        Rule::Key if spec.subcommands.is_empty() => Some(SimpleCommand {
            readonly: spec.is_readonly(),
            key: spec.single_key?,
            arity: spec.arity,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{command_facts, simple_command};
    use crate::plugin::grants::{CommandFacts, Denied};
    use crate::resp::sample::Request;

    fn facts(line: &str) -> (Result<CommandFacts, Denied>, Vec<u32>) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut places = Vec::new();
        let found = command_facts(&Request::new(&words).args(), &mut places);
        (found, places)
    }

    #[test]
    fn commands_that_touch_only_their_keys_pass_with_their_places() {
        let cases: &[(&str, bool, &[u32])] = &[
            ("GET k", true, &[1]),
            ("mset a 1 b 2", false, &[1, 3]),
            ("EVAL s 2 a b c", false, &[3, 4]),
            ("SORT k STORE d", false, &[1, 3]),
            ("XREAD COUNT 1 STREAMS k 0", true, &[4]),
            ("TIME", false, &[]),
        ];
        for (line, readonly, places) in cases {
            let (found, keys) = facts(line);
            assert_eq!(found.map(|facts| facts.readonly), Ok(*readonly), "{line}");
            assert_eq!(keys, *places, "{line}");
        }
    }

    #[test]
    fn commands_that_reach_keys_which_they_do_not_name_are_about_a_whole_shard() {
        let beyond = "EVAL s 0|EVALSHA x 0 a|FCALL f 0|SORT k BY w_*|SORT_RO k GET o_*|SCAN 0|DBSIZE|RANDOMKEY";
        let within =
            "EVAL s 1 k|FCALL f 1 k|SORT k BY nosort GET #|SORT k LIMIT 0 1|GET k|MGET a b";
        for (lines, wanted) in [(beyond, true), (within, false)] {
            for line in lines.split('|') {
                assert_eq!(facts(line).0.map(|facts| facts.whole_shard), Ok(wanted), "{line}");
            }
        }
    }

    #[test]
    fn simple_command_is_what_its_facts_say() {
        let mut simple = 0;
        for spec in crate::command::all() {
            let Some(found) = simple_command(spec.name.as_bytes()) else { continue };
            simple += 1;
            let count = usize::from(spec.arity.unsigned_abs());
            let line = [vec![spec.name.as_str()], vec!["a"; count - 1]].concat().join(" ");
            let (facts, places) = facts(&line);
            assert_eq!(facts.map(|facts| facts.readonly), Ok(found.readonly), "{line}");
            assert_eq!(places, [u32::from(found.key)], "{line}");
        }
        assert!(simple > 100, "{simple}");
        assert_eq!(simple_command(b"MGET"), None);
        assert_eq!(simple_command(b"no such command"), None);
    }

    #[test]
    fn commands_that_change_or_hold_up_a_connection_are_denied() {
        let lines = "SELECT 1|MULTI|EXEC|DISCARD|WATCH k|UNWATCH|SUBSCRIBE c|PSUBSCRIBE c|SSUBSCRIBE c|MONITOR|\
            HELLO 3|AUTH x|RESET|QUIT|CLIENT REPLY OFF|CLIENT TRACKING ON|CLIENT NO-EVICT ON|ASKING|READONLY|\
            BLPOP k 0|BLMPOP 0 1 k LEFT|BZPOPMIN k 0|XREAD BLOCK 0 STREAMS k $|WAIT 1 0|\
            XREADGROUP GROUP g c BLOCK 0 STREAMS k >|SYNC|PSYNC ? -1|FLUSHALL|DEBUG SLEEP 1|SHUTDOWN|CONFIG SET a b";
        for line in lines.split('|') {
            assert_eq!(facts(line).0, Err(Denied::SharedConnection), "{line}");
        }
    }
}

//! From a command to a plan: answered here, to one shard, split, a step of a transaction, or refused.
//!
//! In: the command's spec, its arguments and the pool's topology. Out: a `Plan`; a refusal is the complete error reply.
//! A command with one key is planned without allocation and with one look at the ring. Commands with several keys
//! on one shard pass whole and stay atomic there; only MGET MSET DEL UNLINK EXISTS TOUCH are split over shards.
//! Invariants: each key is placed once per plan (`random` draws anew each time); nothing is ever planned for a shard
//! that does not own every key of the request; no I/O, no session state.

pub mod split;

use crate::command::CommandSpec;
use crate::command::keys;
use crate::command::resolve::write_arity_error;
use crate::command::rule::{
    ChannelKind, ClientsCommand, JoinRule, JoinedCommand, LocalCommand, PubsubCommand, Rule,
    ShardsCommand, TransactionStep, WaitCommand,
};
use crate::command::waiting::{Waits, waits};
use crate::resp::args::Args;
use crate::resp::write;
use crate::topology::{ShardIndex, Topology};
use split::Split;

const CROSS_SHARD: &str = "CROSSSHARD Keys in request don't live on the same shard; give keys that belong together \
     one hash tag, as in {x}:a and {x}:b";
const CROSS_SHARD_SORT: &str = "CROSSSHARD BY and GET patterns of SORT name keys that may live on other shards; give \
     the pattern the hash tag of the key, as in SORT {x}:list BY {x}:weight:*";
const OTHER_CLIENTS: &str =
    "it asks about the clients of every worker; send it before MULTI or after EXEC";
/// Redis 7.0's own words for what it does not queue.
const NOT_IN_MULTI: &str = "ERR Command not allowed inside a transaction";
const OUTSIDE: &str = "send it before MULTI or after EXEC";
const SCRIPT_WITHOUT_KEYS: &str = "this pool refuses scripts without keys (keyless_scripts: refuse); name a key that tells the shard";

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// The gateway answers.
    Answer(LocalCommand),
    /// The gateway looks at its sessions.
    Clients(ClientsCommand),
    /// The gateway looks at its plugins.
    Plugins,
    /// One shard answers the request as it is.
    One(ShardIndex),
    /// One shard runs a script.
    Script(ShardIndex),
    /// One shard answers the request as it is, when it has what it waits for or its time is over.
    Blocking(ShardIndex),
    /// The shards that the client wrote to are asked whether that is safe.
    Wait(WaitCommand),
    /// Several shards answer parts of it.
    Split(Box<Split>),
    /// Several shards own the keys, which `Scratch` has with their places: each is read and they are joined.
    Joined(JoinedCommand),
    /// Several shards are asked, and their answers joined.
    Shards(ShardsCommand),
    /// The gateway publishes or subscribes.
    Pubsub(PubsubCommand),
    /// It belongs to a transaction; its keys are not looked at.
    Transaction(TransactionStep),
    /// The complete error reply.
    Refuse(Vec<u8>),
}

/// What to do with a request that comes between MULTI and EXEC.
#[derive(Debug, PartialEq, Eq)]
pub enum Queued {
    /// Queue it; EXEC carries it out in this way.
    Queue(Way),
    /// Do not queue: carry it out now (QUIT, RESET).
    AtOnce(LocalCommand),
    /// Answer this error; EXEC will answer EXECABORT.
    Refuse(Vec<u8>),
}

/// How EXEC carries out a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    /// This shard answers it.
    Shard(ShardIndex),
    /// The shard of the other commands answers it, or this one if there are none.
    AnyShard(ShardIndex),
    /// Several shards answer parts of it, whose replies become one.
    Split(Box<Split>),
    /// The gateway answers it, once the shards have carried out the others.
    Answer(LocalCommand),
    /// CLIENT INFO: the gateway shows the session, likewise.
    ClientInfo,
    /// This is its reply, and nothing is to be done.
    Said(Vec<u8>),
}

/// Memory that planning uses again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    keys: Vec<u32>,
    shards: Vec<ShardIndex>,
}

impl Scratch {
    /// The keys of the request that was planned last: the number of each argument, and the shard that owns it.
    pub fn placed_keys(&self) -> (&[u32], &[ShardIndex]) {
        (&self.keys, &self.shards)
    }

    /// The shard that owns every key, if there is one.
    fn only_shard(&self) -> Option<ShardIndex> {
        let (first, others) = self.shards.split_first()?;
        others.iter().all(|shard| shard == first).then_some(*first)
    }
}

/// The plan of a request outside a transaction. `spec` is the resolved command of `args`, arity checked.
pub fn plan(
    spec: &CommandSpec,
    args: &Args<'_>,
    topology: &Topology,
    scratch: &mut Scratch,
) -> Plan {
    match spec.rule {
        Rule::Key => Plan::One(single_key_shard(spec, args, topology)),
        Rule::Local(command) => Plan::Answer(command),
        Rule::Clients(command) => Plan::Clients(command),
        Rule::Plugins => Plan::Plugins,
        Rule::Split(rule) => match split_plan(spec, rule, args, topology, scratch) {
            Ok(Placed::One(shard)) => Plan::One(shard),
            Ok(Placed::Split(split)) => Plan::Split(split),
            Err(reply) => Plan::Refuse(reply),
        },
        Rule::Joined(command) => joined_plan(spec, command, args, topology, scratch),
        Rule::Shards(command) => Plan::Shards(command),
        Rule::Pubsub(command) => Plan::Pubsub(command),
        Rule::Transaction(step) => Plan::Transaction(step),
        Rule::Wait(command) => Plan::Wait(command),
        // XREAD, but not XREADGROUP.
        Rule::StreamRead if spec.is_readonly() && waits(spec, args) == Waits::Never => {
            joined_plan(spec, JoinedCommand::Xread, args, topology, scratch)
        }
        Rule::Script => match one_shard(spec, args, topology, scratch) {
            Ok(shard) => Plan::Script(shard),
            Err(reply) => Plan::Refuse(reply),
        },
        Rule::Keys | Rule::Sort | Rule::StreamRead | Rule::Blocking => {
            match one_shard(spec, args, topology, scratch) {
                Ok(shard) if waits(spec, args) == Waits::Never => Plan::One(shard),
                Ok(shard) => Plan::Blocking(shard),
                Err(reply) => Plan::Refuse(reply),
            }
        }
        Rule::Refuse(hint) => Plan::Refuse(not_supported(spec, "", hint)),
        Rule::Container => Plan::Refuse(arity_error(spec)),
    }
}

/// The plan of a request inside a transaction. MULTI, EXEC, DISCARD and WATCH never come here: the session carries
/// them out. Commands that wait elsewhere are queued like others, since they never wait inside MULTI.
pub fn queued(
    spec: &CommandSpec,
    args: &Args<'_>,
    topology: &Topology,
    scratch: &mut Scratch,
) -> Queued {
    if spec.is_denied_in_multi() {
        return Queued::Refuse(error_reply(NOT_IN_MULTI));
    }
    let way = match spec.rule {
        Rule::Key => Way::Shard(single_key_shard(spec, args, topology)),
        Rule::Keys
        | Rule::Script
        | Rule::Sort
        | Rule::StreamRead
        | Rule::Blocking
        | Rule::Joined(_) => match place(spec, args, topology, scratch) {
            Ok(()) => match placed_shard(spec, args, topology, scratch) {
                Ok(shard) => Way::Shard(shard),
                Err(reply) => return Queued::Refuse(reply),
            },
            // A server, too, sees it when it carries the command out.
            Err(reply) => Way::Said(reply),
        },
        Rule::Split(rule) => match split_plan(spec, rule, args, topology, scratch) {
            Ok(Placed::One(shard)) => Way::Shard(shard),
            Ok(Placed::Split(split)) => Way::Split(split),
            Err(reply) => Way::Said(reply),
        },
        Rule::Shards(command) if command.has_own_part() => {
            return Queued::Refuse(not_supported(spec, " inside MULTI", OUTSIDE));
        }
        Rule::Shards(_) if topology.len() == 1 => Way::Shard(0),
        Rule::Shards(_) => return Queued::Refuse(whole_key_space(spec)),
        Rule::Local(LocalCommand::Hello) => return Queued::Refuse(error_reply(NOT_IN_MULTI)),
        // Inside MULTI a server does not wait.
        Rule::Wait(_) => Way::AnyShard(0),
        Rule::Local(command @ (LocalCommand::Quit | LocalCommand::Reset)) => {
            return Queued::AtOnce(command);
        }
        Rule::Pubsub(PubsubCommand::Publish(ChannelKind::Channel | ChannelKind::Pattern)) => {
            Way::AnyShard(topology.shard_of_channel(args.get(1).unwrap_or_default()))
        }
        Rule::Pubsub(PubsubCommand::Publish(ChannelKind::Shard)) => {
            Way::Shard(topology.shard_of_channel(args.get(1).unwrap_or_default()))
        }
        Rule::Pubsub(_) | Rule::Plugins => {
            return Queued::Refuse(not_supported(spec, " inside MULTI", OUTSIDE));
        }
        Rule::Local(command) => Way::Answer(command),
        Rule::Clients(ClientsCommand::Info) => Way::ClientInfo,
        Rule::Clients(ClientsCommand::Monitor | ClientsCommand::Reply) => {
            return Queued::Refuse(error_reply(NOT_IN_MULTI));
        }
        Rule::Clients(
            ClientsCommand::Kill
            | ClientsCommand::List
            | ClientsCommand::Pause
            | ClientsCommand::Unblock
            | ClientsCommand::Unpause,
        ) => return Queued::Refuse(not_supported(spec, " inside MULTI", OTHER_CLIENTS)),
        // EXEC ends the watch before it carries this out.
        Rule::Transaction(_) => Way::Said(b"+OK\r\n".to_vec()),
        Rule::Refuse(hint) => return Queued::Refuse(not_supported(spec, "", hint)),
        Rule::Container => return Queued::Refuse(arity_error(spec)),
    };
    Queued::Queue(way)
}

fn joined_plan(
    spec: &CommandSpec,
    command: JoinedCommand,
    args: &Args<'_>,
    topology: &Topology,
    scratch: &mut Scratch,
) -> Plan {
    match place(spec, args, topology, scratch) {
        Ok(()) => match scratch.only_shard() {
            Some(shard) => Plan::One(shard),
            None => Plan::Joined(command),
        },
        Err(reply) => Plan::Refuse(reply),
    }
}

/// The shard that owns every key of the request, or the error reply that says why there is none.
pub fn one_shard(
    spec: &CommandSpec,
    args: &Args<'_>,
    topology: &Topology,
    scratch: &mut Scratch,
) -> Result<ShardIndex, Vec<u8>> {
    place(spec, args, topology, scratch)?;
    placed_shard(spec, args, topology, scratch)
}

/// The same for a request whose keys have been placed.
fn placed_shard(
    spec: &CommandSpec,
    args: &Args<'_>,
    topology: &Topology,
    scratch: &mut Scratch,
) -> Result<ShardIndex, Vec<u8>> {
    let Some((first, others)) = scratch.shards.split_first() else {
        let shard = topology.shard_of_script(args.get(3));
        return shard.ok_or_else(|| not_supported(spec, " without keys", SCRIPT_WITHOUT_KEYS));
    };
    let first = *first;
    if others.iter().any(|shard| *shard != first) {
        return Err(error_reply(CROSS_SHARD));
    }
    if spec.rule == Rule::Sort && !sort_stays_on_shard(args, topology, scratch) {
        return Err(error_reply(CROSS_SHARD_SORT));
    }
    Ok(first)
}

/// Finds the keys of the request and places each of them once, into `scratch`.
fn place(
    spec: &CommandSpec,
    args: &Args<'_>,
    topology: &Topology,
    scratch: &mut Scratch,
) -> Result<(), Vec<u8>> {
    scratch.keys.clear();
    scratch.shards.clear();
    keys::keys(spec, args, &mut scratch.keys).map_err(|error| {
        let mut reply = Vec::new();
        error.write(spec, &mut reply);
        reply
    })?;
    scratch.shards.extend(
        scratch.keys.iter().map(|at| topology.shard_of(args.get(*at as usize).unwrap_or_default())),
    );
    Ok(())
}

fn single_key_shard(spec: &CommandSpec, args: &Args<'_>, topology: &Topology) -> ShardIndex {
    let at = usize::from(spec.single_key.unwrap_or(1));
    topology.shard_of(args.get(at).unwrap_or_default())
}

/// Where the keys of a command that may be split live.
enum Placed {
    One(ShardIndex),
    Split(Box<Split>),
}

fn split_plan(
    spec: &CommandSpec,
    rule: JoinRule,
    args: &Args<'_>,
    topology: &Topology,
    scratch: &mut Scratch,
) -> Result<Placed, Vec<u8>> {
    // A key of MSET without its value: Redis's arity cannot say it, and no part may leave before it is seen.
    if rule == JoinRule::Ok && args.len().is_multiple_of(2) {
        return Err(arity_error(spec));
    }
    place(spec, args, topology, scratch)?;
    let first = scratch.shards.first().copied().unwrap_or_default();
    if scratch.shards.iter().all(|shard| *shard == first) {
        return Ok(Placed::One(first));
    }
    Ok(Placed::Split(Box::new(Split::new(rule, spec.is_write(), args, &scratch.shards))))
}

/// Whether every key that the BY and GET patterns can name is on the shard of the key that is sorted: with one shard,
/// or when the hash tag stands before the pattern's `*` and is the key's.
fn sort_stays_on_shard(args: &Args<'_>, topology: &Topology, scratch: &mut Scratch) -> bool {
    if topology.len() <= 1 {
        return true;
    }
    scratch.keys.clear();
    keys::sort_patterns(args, &mut scratch.keys);
    let tag = topology.hashed_part(args.get(1).unwrap_or_default());
    scratch.keys.iter().all(|at| {
        let pattern = args.get(*at as usize).unwrap_or_default();
        let fixed = pattern.split(|byte| *byte == b'*').next();
        let fixed = fixed.unwrap_or_default();
        let fixed_tag = topology.hashed_part(fixed);
        fixed_tag.len() < fixed.len() && fixed_tag == tag
    })
}

/// The refusal, inside MULTI, of what asks every shard.
fn whole_key_space(spec: &CommandSpec) -> Vec<u8> {
    error_reply(&format!(
        "CROSSSHARD '{}' asks every shard, which no transaction can; send it before MULTI or after EXEC, or use a \
         pipeline without MULTI (in redis-py: pipeline(transaction=False))",
        spec.name
    ))
}

fn not_supported(spec: &CommandSpec, when: &str, hint: &str) -> Vec<u8> {
    error_reply(&format!("ERR '{}' is not supported by this gateway{when}: {hint}", spec.name))
}

fn error_reply(text: &str) -> Vec<u8> {
    let mut reply = Vec::new();
    write::error(&mut reply, text);
    reply
}

fn arity_error(spec: &CommandSpec) -> Vec<u8> {
    let mut reply = Vec::new();
    write_arity_error(spec, &mut reply);
    reply
}

#[cfg(test)]
mod tests;

//! Commands that the gateway answers itself: the handshake, and questions about the connection and the gateway.
//!
//! In: a `LocalCommand`, its arguments, the client's identity and the gateway's facts. Out: one reply in the client's
//! protocol, and whether the connection stays. Replies are byte for byte those of Redis 7.0 where the same facts hold.
//! Invariants: exactly one reply each; nothing is sent to a shard; only the identity changes. No clock and no lock: the
//! caller gathers `Facts`, which is cheap enough to be done per command and done only for these.
//!
//! `handshake` HELLO AUTH RESET SELECT; `client` CLIENT about itself, `clients` about others; `commands` `docs` `getkeys`
//! COMMAND, and HELP of all; `settings` and `info` the gateway's part of CONFIG GET and INFO, whose rest `gather` asks
//! of the shards.

mod client;
pub mod clients;
mod commands;
mod docs;
mod getkeys;
pub mod glob;
mod handshake;
pub mod info;
pub mod settings;

use crate::command::CommandSpec;
use crate::command::rule::{LocalCommand, Rule};
use crate::resp::args::Args;
use crate::resp::write;
use crate::session::identity::Identity;

/// The Redis version that clients are told. Clients look at it to see what they may send: 7.2 is the last version whose
/// commands Redis and Valkey share, and the first with CLIENT SETINFO. Which commands work is up to the shards.
pub const REDIS_VERSION: &str = "7.2.4";

/// What the gateway knows of itself when it answers. Not `Debug`: it holds the password.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The Unix clock, microseconds.
    pub now_us: u64,
    /// The gateway's own version.
    pub version: &'a str,
    /// What clients must AUTH with, if anything.
    pub password: Option<&'a [u8]>,
    pub pool_name: &'a str,
    /// Names of the pool's shards, in the order of the configuration.
    pub shard_names: &'a [String],
    /// The ring's fingerprint: differs where two gateways place keys differently.
    pub ring_fingerprint: u64,
    pub workers: usize,
    pub process_id: u32,
    /// Forty hexadecimal digits that differ with every start.
    pub run_id: &'a str,
    /// Port that clients connect to; 0 for a unix socket.
    pub listen_port: u16,
    pub uptime_s: u64,
    /// Path of the configuration as it was given.
    pub config_file: &'a str,
    /// Clients connected now.
    pub clients: u64,
    pub clients_max: u64,
    /// How many databases the pool has.
    pub databases: u16,
    /// The one that a client begins in.
    pub database: u16,
    /// Clients that wait at shards now.
    pub clients_blocked: u64,
    /// Seconds after which a silent client is disconnected; 0: never.
    pub idle_timeout_s: u64,
    pub stats: Stats,
    /// Lines of `INFO plugins`, each ending in CRLF, without the section's title.
    pub plugins: &'a str,
    /// Further counters of the gateway, by the name that INFO gives them.
    pub counters: &'a [(&'static str, u64)],
    /// Commands that the pool's plugins add, for COMMAND.
    pub own_commands: &'a [OwnCommand<'a>],
}

/// A command of a plugin's own, as its manifest describes it.
#[derive(Debug, Clone)]
pub struct OwnCommand<'a> {
    /// Lower case.
    pub name: String,
    /// Name of the plugin's file.
    pub plugin: &'a str,
    /// As in Redis: negative means at least.
    pub arity: i16,
    /// First, last, step, as in Redis.
    pub keys: (i16, i16, i16),
    /// `readonly`, `write`.
    pub flags: &'a [String],
}

impl OwnCommand<'_> {
    fn is_called(&self, name: &[u8]) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(name)
    }

    fn accepts(&self, count: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { count >= wanted } else { count == wanted }
    }
}

/// Numbers since the start, over all workers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    pub connections_received: u64,
    pub connections_rejected: u64,
    pub commands_processed: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
    pub error_replies: u64,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Keep,
    /// Close it once all replies have been sent.
    Close,
}

/// Writes the one reply to `command`.
pub fn answer(
    command: LocalCommand,
    args: &Args<'_>,
    identity: &mut Identity,
    facts: &Facts<'_>,
    out: &mut Vec<u8>,
) -> After {
    use LocalCommand as L;
    match command {
        L::Quit => {
            write::simple(out, "OK");
            return After::Close;
        }
        L::Ping => ping(args, out),
        L::Echo => write::bulk(out, args.get(1).unwrap_or_default()),
        L::Time => time(facts, out),
        L::Role => role(out),
        L::Lolwut => lolwut(identity, facts, out),
        L::AclWhoami => write::bulk(out, b"default"),
        L::ClusterDisabled => write::error(out, "ERR This instance has cluster support disabled"),
        L::Help => docs::help(args, out),
        L::Auth => handshake::auth(args, identity, facts, out),
        L::Hello => handshake::hello(args, identity, facts, out),
        L::Reset => handshake::reset(identity, facts, out),
        L::Select => handshake::select(args, identity, facts, out),
        L::ClientCaching => client::caching(out),
        L::ClientGetname => client::getname(identity, out),
        L::ClientGetredir => write::integer(out, -1),
        L::ClientId => client::id(identity, out),
        L::ClientNoEvict | L::ClientNoTouch => client::on_or_off(args, out),
        L::ClientSetinfo => client::setinfo(args, identity, out),
        L::ClientSetname => client::setname(args, identity, out),
        L::ClientTracking => client::tracking(args, out),
        L::ClientTrackinginfo => client::trackinginfo(identity, out),
        L::Command => commands::all(identity.protocol, facts, out),
        L::CommandCount => commands::count(facts, out),
        L::CommandDocs => docs::docs(args, identity.protocol, facts, out),
        L::CommandGetkeys => getkeys::getkeys(args, facts.own_commands, out),
        L::CommandGetkeysandflags => {
            getkeys::getkeysandflags(args, facts.own_commands, identity.protocol, out);
        }
        L::CommandInfo => commands::info(args, identity.protocol, facts, out),
        L::CommandList => commands::list(args, facts, out),
    }
    After::Keep
}

/// The database that a SELECT will choose, of so many; `None` when it will be an error.
pub fn selected(args: &Args<'_>, databases: u16) -> Option<u16> {
    handshake::selected(args, databases).ok()
}

fn ping(args: &Args<'_>, out: &mut Vec<u8>) {
    match (args.get(1), args.len()) {
        (None, _) => write::simple(out, "PONG"),
        (Some(text), 2) => write::bulk(out, text),
        // The table says "at least one"; Redis itself looks again.
        (Some(_), _) => write::error(out, "ERR wrong number of arguments for 'ping' command"),
    }
}

fn time(facts: &Facts<'_>, out: &mut Vec<u8>) {
    write::array_header(out, 2);
    write::bulk(out, (facts.now_us / 1_000_000).to_string().as_bytes());
    write::bulk(out, (facts.now_us % 1_000_000).to_string().as_bytes());
}

/// To clients the gateway is a master without replicas.
fn role(out: &mut Vec<u8>) {
    write::array_header(out, 3);
    write::bulk(out, b"master");
    write::integer(out, 0);
    write::array_header(out, 0);
}

fn lolwut(identity: &Identity, facts: &Facts<'_>, out: &mut Vec<u8>) {
    let text = format!("Redis ver. {REDIS_VERSION}\nsluicegate ver. {}\n", facts.version);
    write::verbatim(out, identity.protocol, text.as_bytes());
}

/// Whether the gateway does something with the command other than refusing it.
fn is_carried_out(spec: &CommandSpec) -> bool {
    match spec.rule {
        Rule::Local(LocalCommand::ClusterDisabled) | Rule::Refuse(_) => false,
        Rule::Container => spec
            .subcommands
            .iter()
            .any(|spec| spec.rule != Rule::Local(LocalCommand::Help) && is_carried_out(spec)),
        Rule::Local(_)
        | Rule::Clients(_)
        | Rule::Plugins
        | Rule::Key
        | Rule::Keys
        | Rule::Script
        | Rule::Sort
        | Rule::StreamRead
        | Rule::Blocking
        | Rule::Wait(_)
        | Rule::Split(_)
        | Rule::Joined(_)
        | Rule::Shards(_)
        | Rule::Pubsub(_)
        | Rule::Transaction(_) => true,
    }
}

#[cfg(test)]
mod tests;

//! Requests that the gateway answers itself.
//!
//! Gathers the facts that `local` needs, lets it write the reply, and does what the answer means for the session: a
//! RESET takes back what it has set, a QUIT ends it. Facts about the whole process are told by the outer layer now
//! and then (`set_facts`), so answering INFO takes no lock.

use crate::command::rule::LocalCommand;
use crate::core::ids::SessionId;
use crate::core::request::Request;
use crate::core::session::{Closing, Session};
use crate::core::stats::Stats;
use crate::core::{Core, Pool};
use crate::local::{self, After, Facts};
use crate::resp::args::Args;

/// What a worker knows of the gateway as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayFacts {
    /// Forty hexadecimal digits that differ with every start.
    pub run_id: String,
    /// The process.
    pub process_id: u32,
    /// Number of workers.
    pub workers: usize,
    /// Path of the configuration as it was given.
    pub config_file: String,
    /// When the gateway started, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Clients of all workers, a moment ago.
    pub clients: u64,
    /// Clients that were turned away because their pool was full, a moment ago.
    pub clients_refused: u64,
    /// Counters of the other workers, a moment ago.
    pub others: Stats,
    /// The port of each pool; 0 for a unix socket.
    pub ports: Vec<u16>,
}

impl Core {
    /// Tells the core what holds for the whole gateway.
    pub fn set_facts(&mut self, facts: GatewayFacts) {
        self.facts = facts;
    }

    /// What holds for the whole gateway, to be changed.
    pub fn facts_mut(&mut self) -> &mut GatewayFacts {
        &mut self.facts
    }

    /// Answers `request` from what the gateway knows.
    pub(crate) fn answer_locally(
        &mut self,
        id: SessionId,
        command: LocalCommand,
        request: Request<'_>,
    ) {
        if command == LocalCommand::Ping && self.answer_subscribers_ping(id, &request.args) {
            return;
        }
        let mut reply = self.spare.take();
        let after = self.write_local(id, command, &request.args, &mut reply);
        if command == LocalCommand::Reset {
            self.reset_session(id);
        }
        self.answer_next(id, &reply);
        self.spare.give(reply);
        if after == After::Close {
            self.end_session(id, Closing::AfterReplies);
        }
    }

    /// Writes the reply to a command of a session, and does to the session what it says.
    pub(crate) fn write_local(
        &mut self,
        id: SessionId,
        command: LocalCommand,
        args: &Args<'_>,
        reply: &mut Vec<u8>,
    ) -> After {
        let after = self.with_facts(id, "", asks_for_commands(command), |session, _, facts| {
            local::answer(command, args, &mut session.identity, facts, reply)
        });
        after.unwrap_or(After::Keep)
    }

    /// Gives `then` a session, its pool, and what the gateway knows of itself: with these lines about its plugins, and
    /// with their commands if it must know them.
    pub(crate) fn with_facts<T>(
        &mut self,
        id: SessionId,
        plugins: &str,
        with_commands: bool,
        then: impl FnOnce(&mut Session, &Pool, &Facts<'_>) -> T,
    ) -> Option<T> {
        let mut stats = self.stats.clone();
        stats.add(&self.facts.others);
        let session = self.sessions.get_mut(id)?;
        let pool_index = usize::from(session.pool);
        let pool = self.pools.get(pool_index)?;
        let config = &pool.config;
        let own_commands = match &pool.plugins {
            Some(plugins) if with_commands => plugins.own_commands(),
            Some(_) | None => Vec::new(),
        };
        let facts = Facts {
            now_us: self.clock.unix_ms.saturating_mul(1000),
            version: env!("CARGO_PKG_VERSION"),
            password: config.client_password.as_ref().map(|password| password.bytes()),
            pool_name: &config.name,
            shard_names: &pool.shard_names,
            ring_fingerprint: pool.topology.fingerprint(),
            workers: self.facts.workers,
            process_id: self.facts.process_id,
            run_id: &self.facts.run_id,
            listen_port: self.facts.ports.get(pool_index).copied().unwrap_or(0),
            uptime_s: self.clock.unix_ms.saturating_sub(self.facts.started_unix_ms) / 1000,
            config_file: &self.facts.config_file,
            clients: self.facts.clients.max(self.sessions_counted),
            clients_max: u64::from(config.max_clients),
            databases: config.databases,
            database: config.database,
            clients_blocked: stats.clients_blocked,
            idle_timeout_s: config.idle_timeout.map_or(0, |limit| limit.as_secs()),
            stats: local::Stats {
                connections_received: stats.sessions_opened,
                connections_rejected: self.facts.clients_refused,
                commands_processed: stats.requests,
                input_bytes: stats.input_bytes,
                output_bytes: stats.output_bytes,
                error_replies: stats.requests_refused,
            },
            plugins,
            counters: &stats.of_gateway(),
            own_commands: &own_commands,
        };
        Some(then(session, pool, &facts))
    }
}

/// Whether the answer tells of commands, those of plugins among them.
fn asks_for_commands(command: LocalCommand) -> bool {
    use LocalCommand as L;
    [
        L::Command,
        L::CommandCount,
        L::CommandDocs,
        L::CommandGetkeys,
        L::CommandGetkeysandflags,
        L::CommandInfo,
        L::CommandList,
    ]
    .contains(&command)
}

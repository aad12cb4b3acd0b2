//! CLIENT commands that look at sessions: INFO and LIST show them, KILL ends them, REPLY mutes them, RESET takes all back.
//!
//! In: a command of a session. Out: its reply, at once or, where all workers are asked, by `ask`. A client sees the
//! clients of its own pool, whichever worker they are on: a pool is one Redis to its clients, with its own password.

use crate::command::rule::ClientsCommand;
use crate::core::Core;
use crate::core::ask::Question;
use crate::core::ids::SessionId;
use crate::core::request::Request;
use crate::core::session::{Closing, Session};
use crate::local::clients::{self, Filter, Kind, ReplyWord, View};
use crate::pending::Replies;
use crate::resp::write;

impl Core {
    /// Carries out a command about the clients of the gateway.
    pub(crate) fn clients_command(
        &mut self,
        id: SessionId,
        command: ClientsCommand,
        request: Request<'_>,
    ) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let own = session.identity.id;
        let args = &request.args;
        let question = match command {
            ClientsCommand::Info => return self.show_itself(id),
            ClientsCommand::Reply => match clients::reply(args) {
                Ok(word) => return self.set_replies(id, word),
                Err(text) => Err(text),
            },
            ClientsCommand::List => clients::list(args).map(Question::List),
            ClientsCommand::Kill => clients::kill(args, own).map(Question::Kill),
            ClientsCommand::Pause => clients::pause(args).map(Question::Pause),
            ClientsCommand::Unpause => Ok(Question::Unpause),
            ClientsCommand::Unblock => clients::unblock(args).map(Question::Unblock),
            ClientsCommand::Monitor => return self.monitor(id),
        };
        match question {
            Ok(question) => self.ask_workers(id, question),
            Err(text) => {
                self.stats.requests_refused += 1;
                let mut reply = self.spare.take();
                write::error_bytes(&mut reply, &text);
                self.answer_next(id, &reply);
                self.spare.give(reply);
            }
        }
    }

    /// CLIENT INFO.
    fn show_itself(&mut self, id: SessionId) {
        let mut reply = Vec::new();
        self.write_itself(id, &mut reply);
        self.answer_next(id, &reply);
    }

    /// Writes the reply to CLIENT INFO.
    pub(crate) fn write_itself(&self, id: SessionId, reply: &mut Vec<u8>) {
        if let Some(session) = self.sessions.get(id) {
            let mut line = Vec::new();
            clients::write_line(&self.view(session), &mut line);
            write::verbatim(reply, session.identity.protocol, &line);
        }
    }

    /// CLIENT REPLY. OFF and SKIP are not answered themselves.
    fn set_replies(&mut self, id: SessionId, word: ReplyWord) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let replies = &mut session.pending.replies;
        match word {
            ReplyWord::On => {
                *replies = Replies::On;
                self.answer_next(id, b"+OK\r\n");
            }
            ReplyWord::Off => *replies = Replies::Off,
            ReplyWord::Skip if *replies == Replies::Off => {}
            ReplyWord::Skip => *replies = Replies::SkipNext,
        }
    }

    /// The lines of the clients that `filter` means. A client that looks at itself is not idle.
    pub(crate) fn client_lines(
        &self,
        pool: u16,
        filter: &Filter,
        asker: Option<SessionId>,
    ) -> Vec<u8> {
        let mut lines = Vec::new();
        for (id, session) in self.sessions.iter().filter(|(_, session)| session.pool == pool) {
            let mut view = self.view(session);
            if asker == Some(id) {
                view.idle_s = 0;
            }
            if filter.takes(&view) {
                clients::write_line(&view, &mut lines);
            }
        }
        lines
    }

    /// Ends the clients that `filter` means; how many. The one that asks gets its reply first.
    pub(crate) fn kill_clients(
        &mut self,
        pool: u16,
        filter: &Filter,
        asker: Option<SessionId>,
    ) -> u64 {
        let meant = |session: &Session| session.pool == pool && filter.takes(&self.view(session));
        let ids: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.closing < Closing::AfterReplies && meant(session))
            .map(|(id, _)| id)
            .collect();
        for id in &ids {
            let how = if asker == Some(*id) { Closing::AfterReplies } else { Closing::Now };
            self.end_session(*id, how);
        }
        ids.len() as u64
    }

    /// The session of a client of this pool, by its number.
    pub(crate) fn session_of(&self, pool: u16, client: u64) -> Option<SessionId> {
        let is_it = |session: &Session| session.pool == pool && session.identity.id == client;
        self.sessions.iter().find(|(_, session)| is_it(session)).map(|(id, _)| id)
    }

    /// What RESET takes back beside the identity.
    pub(crate) fn reset_session(&mut self, id: SessionId) {
        self.end_monitor(id);
        self.discard(id);
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let (pool, subscriptions) = (session.pool, session.subscriptions.take());
        // A SKIP before RESET is for RESET itself.
        if session.pending.replies == Replies::Off {
            session.pending.replies = Replies::On;
        }
        self.end_subscriptions(pool, id, subscriptions);
    }

    /// What CLIENT LIST shows of a session.
    fn view<'a>(&self, session: &'a Session) -> View<'a> {
        let Session { identity, transaction, closing, .. } = session;
        let mut flags = String::new();
        let is_unix = identity.address.starts_with("unix:");
        for (letter, is_so) in [
            ('O', session.monitor.is_some()),
            ('P', session.subscriptions.is_some()),
            ('b', session.blocked.is_some()),
            ('x', transaction.is_some()),
            ('c', *closing >= Closing::AfterReplies),
            ('U', is_unix),
        ] {
            if is_so {
                flags.push(letter);
            }
        }
        View {
            identity,
            kind: if session.subscriptions.is_some() { Kind::Pubsub } else { Kind::Normal },
            flags,
            age_s: self.clock.unix_ms.saturating_sub(identity.created_ms) / 1000,
            idle_s: self.clock.now_ms.saturating_sub(session.last_active_ms) / 1000,
            database: identity.database,
            subscriptions: session.subscriptions.as_ref().map_or([0; 3], |all| all.counts()),
            queued: transaction.as_ref().map(|open| (open.len(), open.bytes())),
            input_bytes: session.input.len(),
            output_bytes: session.output_held(),
            total_bytes: session.bytes_held(),
            command: session.last_command.map_or("", |spec| spec.name.as_str()),
        }
    }
}

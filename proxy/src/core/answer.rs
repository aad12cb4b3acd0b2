//! Requests that the gateway answers itself.
use crate::command::rule::LocalCommand;
use crate::core::Core;
use crate::core::ids::SessionId;
use crate::core::request::Request;

impl Core {
    /// Answers `request` from what the gateway knows.
    pub(crate) fn answer_locally(&mut self, id: SessionId, command: LocalCommand, _request: Request<'_>) {
        match command {
            LocalCommand::Ping => self.answer_next(id, b"+PONG\r\n"),
            _ => self.refuse_next(id, "ERR later"),
        }
    }
}

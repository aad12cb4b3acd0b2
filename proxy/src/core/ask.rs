//! Questions of one worker to the others: what one client asks about all clients.
//!
//! ```text
//!   CLIENT LIST ─► place taken, own finding ─► wake.asks ═ inboxes ═► asked ─► find_out ─► wake.answers ═► answered
//!                                                                                  all here: reply into the place
//! ```
//! In: a question of a session, and the answers of the other workers. Out: one reply. Workers share nothing, so each
//! looks at its own sessions, and the asking one adds the findings up. A worker that cannot be reached, or does not
//! answer within `limits::ASK_MS`, makes the reply an error that says so. Inboxes keep the order of one asker, so a
//! LIST behind a KILL no longer shows whom it killed.

use std::collections::BTreeMap;

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::ids::{AskId, SessionId};
use crate::core::plugins_command::PluginQuestion;
use crate::core::timer::Timer;
use crate::limits;
use crate::local::clients::{Filter, Kill, Pause, Unblock};
use crate::pending::Place;
use crate::resp::write;

/// What is asked about the clients of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The lines of these clients.
    List(Filter),
    /// Close these; how many.
    Kill(Kill),
    /// Let requests wait.
    Pause(Pause),
    /// Let them go on.
    Unpause,
    /// End a blocked command; 1 if there was one.
    Unblock(Unblock),
    /// Show requests from now on: somebody monitors.
    Monitor,
    /// What is known of plugins.
    Plugins(PluginQuestion),
}

/// A question on its way to other workers.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The worker that asks.
    pub from: usize,
    /// Its name for the question.
    pub id: AskId,
    /// The one worker that is asked; `None` = all others.
    pub to: Option<usize>,
    /// The pool it is about.
    pub pool: u16,
    /// What is asked.
    pub question: Question,
}

/// Who has asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    /// The worker.
    pub(crate) worker: usize,
    /// Its name for the question.
    pub(crate) id: AskId,
}

/// The answer of one worker.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The worker that asked.
    pub to: usize,
    /// Its name for the question.
    pub id: AskId,
    /// What was found.
    pub finding: Finding,
}

/// What one worker, or several, have found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// A number, to be added up.
    pub count: u64,
    /// Text, one behind the other.
    pub text: Vec<u8>,
    /// Numbers by name, to be added up.
    pub numbers: BTreeMap<String, i64>,
}

/// A question that has no reply yet.
#[derive(Debug)]
pub(crate) struct OpenAsk {
    pub(crate) session: SessionId,
    pub(crate) place: Place,
    pub(crate) question: Question,
    pub(crate) finding: Finding,
    /// Those who have not answered.
    pub(crate) waiting: usize,
}

impl Core {
    /// Answers the next place of a session with what all workers find.
    pub(crate) fn ask_workers(&mut self, id: SessionId, question: Question) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let place = session.pending.push();
        let pool = session.pool;
        let own = usize::try_from(self.worker).unwrap_or(0);
        // A client's number tells its worker.
        let to = match &question {
            Question::Unblock(unblock) => {
                unblock.client.and_then(|client| usize::try_from(client & 0xff).ok())
            }
            Question::List(_)
            | Question::Kill(_)
            | Question::Pause(_)
            | Question::Unpause
            | Question::Monitor
            | Question::Plugins(_) => None,
        };
        let others = self.facts.workers.saturating_sub(1);
        let waiting = match to {
            Some(worker) => usize::from(worker <= others),
            None => others,
        };
        let finding = match to {
            Some(_) => Finding::default(),
            None => self.find_out(pool, &question, Some(id)),
        };
        let open = OpenAsk { session: id, place, question: question.clone(), finding, waiting };
        if waiting == 0 {
            return self.reply_to_ask(open);
        }
        let ask_id = self.asks.insert(open);
        if let Question::Unblock(unblock) = &question
            && to == Some(own)
        {
            self.unblock_client(pool, unblock, Asker { worker: own, id: ask_id });
        } else if self.draining {
            return self.end_ask(ask_id);
        } else {
            self.wake.asks.push(Ask { from: own, id: ask_id, to, pool, question });
        }
        self.timers.set(self.clock.now_ms + limits::ASK_MS, Timer::Ask(ask_id));
    }

    /// Another worker asks.
    pub fn asked(&mut self, ask: &Ask) {
        let asker = Asker { worker: ask.from, id: ask.id };
        if let Question::Unblock(unblock) = &ask.question {
            return self.unblock_client(ask.pool, unblock, asker);
        }
        let finding = self.find_out(ask.pool, &ask.question, None);
        self.tell(asker, finding);
    }

    /// Gives a finding to the worker that asked.
    pub(crate) fn tell(&mut self, asker: Asker, finding: Finding) {
        let answer = Answer { to: asker.worker, id: asker.id, finding };
        if usize::try_from(self.worker).is_ok_and(|own| own == asker.worker) {
            self.answered(answer);
        } else {
            self.wake.answers.push(answer);
        }
    }

    /// Only the shard that a client waits at can say whether it has ended the wait.
    fn unblock_client(&mut self, pool: u16, unblock: &Unblock, asker: Asker) {
        let found = unblock.client.and_then(|client| self.session_of(pool, client));
        if !found.is_some_and(|id| self.unblock_session(id, unblock.error, Some(asker))) {
            self.tell(asker, Finding::default());
        }
    }

    /// Another worker has answered.
    pub fn answered(&mut self, answer: Answer) {
        let Some(open) = self.asks.get_mut(answer.id) else {
            return;
        };
        open.finding.count += answer.finding.count;
        open.finding.text.extend_from_slice(&answer.finding.text);
        for (name, value) in answer.finding.numbers {
            *open.finding.numbers.entry(name).or_default() += value;
        }
        open.waiting = open.waiting.saturating_sub(1);
        if open.waiting == 0 {
            self.end_ask(answer.id);
        }
    }

    /// A worker could not be reached, or the time is over: the answer is what is known by now.
    pub fn end_ask(&mut self, id: AskId) {
        if let Some(open) = self.asks.remove(id) {
            self.reply_to_ask(open);
        }
    }

    /// Ends all questions: the gateway stops, and the others answer no more.
    pub(crate) fn end_asks(&mut self) {
        let open: Vec<AskId> = self.asks.keys().collect();
        open.into_iter().for_each(|id| self.end_ask(id));
    }

    /// What this worker alone can say; `asker` is the session if it is one of its own.
    fn find_out(&mut self, pool: u16, question: &Question, asker: Option<SessionId>) -> Finding {
        let count_only = |count: u64| Finding { count, ..Finding::default() };
        match question {
            Question::List(filter) => {
                Finding { text: self.client_lines(pool, filter, asker), ..Finding::default() }
            }
            Question::Kill(kill) => count_only(self.kill_clients(pool, &kill.filter, asker)),
            Question::Pause(pause) => {
                self.pause_pool(pool, *pause);
                Finding::default()
            }
            Question::Unpause => {
                self.end_pause_of(pool);
                Finding::default()
            }
            // Told by the shard, later.
            Question::Unblock(_) => Finding::default(),
            Question::Monitor => {
                self.set_monitored(pool, true);
                Finding::default()
            }
            Question::Plugins(question) => {
                Finding { numbers: self.plugin_numbers(*question), ..Finding::default() }
            }
        }
    }

    fn reply_to_ask(&mut self, open: OpenAsk) {
        let OpenAsk { session: id, place, question, finding, waiting } = open;
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let protocol = session.identity.protocol;
        if waiting > 0 {
            return self.reply_incomplete(id, place, &question, waiting);
        }
        let count = i64::try_from(finding.count).unwrap_or(i64::MAX);
        let starts_monitor = question == Question::Monitor;
        let mut reply = self.spare.take();
        match question {
            Question::List(_) => write::verbatim(&mut reply, protocol, &finding.text),
            Question::Kill(kill) if !kill.old_form => write::integer(&mut reply, count),
            Question::Kill(_) if count == 0 => write::error(&mut reply, "ERR No such client"),
            Question::Unblock(_) if !finding.text.is_empty() => {
                write::error_bytes(&mut reply, &finding.text);
            }
            Question::Unblock(_) => write::integer(&mut reply, count),
            Question::Plugins(question) => {
                self.write_plugins(question, &finding, protocol, &mut reply);
            }
            Question::Kill(_) | Question::Pause(_) | Question::Unpause | Question::Monitor => {
                write::simple(&mut reply, "OK");
            }
        }
        self.answer(id, place, Piece::borrowed(&reply));
        self.spare.give(reply);
        if starts_monitor {
            self.start_monitor(id);
        }
    }

    fn reply_incomplete(
        &mut self,
        id: SessionId,
        place: Place,
        question: &Question,
        waiting: usize,
    ) {
        if let Question::Plugins(PluginQuestion::Reload(_)) = question {
            return self.reload_unanswered(id, place);
        }
        let (workers, limit_ms) = (self.facts.workers, limits::ASK_MS);
        let what = match question {
            Question::List(_) => "their clients are not known; ask again",
            Question::Plugins(_) => "their calls are not known; ask again",
            Question::Kill(_) | Question::Pause(_) | Question::Unpause | Question::Unblock(_) => {
                "done on the others, outcome unknown on these"
            }
            Question::Monitor => {
                self.end_monitor(id);
                "their requests could not be shown; ask again"
            }
        };
        let text = format!(
            "ERR {waiting} of the gateway's {workers} workers did not answer within {limit_ms} ms: {what}"
        );
        let mut reply = self.spare.take();
        write::error(&mut reply, &text);
        self.answer(id, place, Piece::borrowed(&reply));
        self.spare.give(reply);
    }
}

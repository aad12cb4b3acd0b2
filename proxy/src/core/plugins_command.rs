//! SLUICEGATE PLUGIN LIST, INFO and RELOAD.
//!
//! ```text
//!   LIST, INFO ─► ask: each worker counts its own calls and cells, the asking one adds them up and writes
//!   RELOAD ─► wake.reloads ─► the thread that loads plugins ─► every worker knows ─► its answer, into the place
//! ```
//! In: a command of a session, and findings. Out: one reply in its place. What a plugin is stands in `catalog`, what its
//! calls did in `plugins`.

use crate::buffer::Piece;
use crate::core::Core;
use crate::core::ask::{Answer, Finding, OpenAsk, Question};
use crate::core::ids::{AskId, SessionId};
use crate::core::plugins::{Slot, state};
use crate::core::plugins_reply::{Numbers, list, write_info};
use crate::core::timer::Timer;
use crate::limits;
use crate::pending::Place;
use crate::resp::args::Args;
use crate::resp::write::{self, Protocol};

/// What is asked about plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginQuestion {
    /// What there is.
    List,
    /// All about the one with this number.
    Info(usize),
    /// Load the file of this one again, or of all.
    Reload(Option<usize>),
}

/// An order to the thread that loads plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reload {
    /// The worker that gets the answer.
    pub from: usize,
    /// Its name for the order.
    pub id: AskId,
    /// Which plugin; `None` = all.
    pub plugin: Option<usize>,
}

const NONE: &str = "ERR the configuration names no plugins";

impl Core {
    /// Carries out SLUICEGATE PLUGIN.
    pub(crate) fn plugins_command(&mut self, id: SessionId, args: &Args<'_>) {
        match self.plugin_question(args) {
            Ok(PluginQuestion::Reload(plugin)) => self.order_reload(id, plugin),
            Ok(question) => self.ask_workers(id, Question::Plugins(question)),
            Err(text) => {
                self.stats.requests_refused += 1;
                let mut reply = self.spare.take();
                write::error_bytes(&mut reply, text.as_bytes());
                self.answer_next(id, &reply);
                self.spare.give(reply);
            }
        }
    }

    fn plugin_question(&self, args: &Args<'_>) -> Result<PluginQuestion, String> {
        let word = String::from_utf8_lossy(args.get(2).unwrap_or_default()).into_owned();
        let arity = |name: &str| {
            format!("ERR wrong number of arguments for 'sluicegate|plugin|{name}' command")
        };
        match (word.to_ascii_lowercase().as_str(), args.get(3), args.len()) {
            ("list", None, _) => Ok(PluginQuestion::List),
            ("info", Some(name), 4) => Ok(PluginQuestion::Info(self.find_plugin(name)?)),
            ("reload", Some(name), 4) => {
                let plugin = self.find_plugin(name)?;
                match self.catalog.get(plugin) {
                    Some(known) if known.generation.is_none() => Err(format!(
                        "ERR plugin '{}': {} was not there, or not right, when the gateway started, so its bindings \
                         were skipped; mend the file and start the gateway again",
                        known.name, known.file
                    )),
                    Some(_) | None => Ok(PluginQuestion::Reload(Some(plugin))),
                }
            }
            ("reload", None, _) if self.catalog.is_empty() => Err(NONE.to_owned()),
            ("reload", None, _) => Ok(PluginQuestion::Reload(None)),
            (known @ ("list" | "info" | "reload"), _, _) => Err(arity(known)),
            _ => {
                let shown: String = word.chars().take(128).collect();
                Err(format!("ERR unknown subcommand '{shown}'. Try SLUICEGATE HELP."))
            }
        }
    }

    fn find_plugin(&self, name: &[u8]) -> Result<usize, String> {
        if self.catalog.is_empty() {
            return Err(NONE.to_owned());
        }
        let found = self.catalog.iter().position(|known| known.name.as_bytes() == name);
        found.ok_or_else(|| {
            let shown: String = String::from_utf8_lossy(name).chars().take(128).collect();
            let known: Vec<&str> = self.catalog.iter().map(|known| known.name.as_str()).collect();
            format!("ERR no plugin '{shown}'; the configuration names {}", known.join(", "))
        })
    }

    fn order_reload(&mut self, id: SessionId, plugin: Option<usize>) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let place = session.pending.push();
        let question = Question::Plugins(PluginQuestion::Reload(plugin));
        let open =
            OpenAsk { session: id, place, question, finding: Finding::default(), waiting: 1 };
        let ask = self.asks.insert(open);
        if self.draining {
            return self.end_ask(ask);
        }
        let from = usize::try_from(self.worker).unwrap_or(0);
        self.wake.reloads.push(Reload { from, id: ask, plugin });
        self.timers.set(self.clock.now_ms + limits::PLUGIN_RELOAD_MS, Timer::Ask(ask));
    }

    /// The thread that loads plugins takes no more orders now.
    pub fn reload_refused(&mut self, order: Reload) {
        let text = format!(
            "ERR no more than {} reloads may wait, this one was not taken; ask again",
            limits::PLUGIN_RELOADS_WAITING_MAX
        );
        let finding = Finding { count: 1, text: text.into_bytes(), ..Finding::default() };
        self.answered(Answer { to: order.from, id: order.id, finding });
    }

    /// The order is still under way, or the gateway stops.
    pub(crate) fn reload_unanswered(&mut self, id: SessionId, place: Place) {
        let text = if self.draining {
            "ERR the gateway stops; outcome unknown".to_owned()
        } else {
            format!(
                "ERR not loaded within {} ms; outcome unknown, see SLUICEGATE PLUGIN LIST",
                limits::PLUGIN_RELOAD_MS
            )
        };
        let mut reply = self.spare.take();
        write::error(&mut reply, &text);
        self.answer(id, place, Piece::borrowed(&reply));
        self.spare.give(reply);
    }

    /// What this worker alone has counted.
    pub(crate) fn plugin_numbers(&self, question: PluginQuestion) -> Numbers {
        let mut numbers = Numbers::new();
        let only = match question {
            PluginQuestion::List => None,
            PluginQuestion::Info(plugin) => Some(plugin),
            PluginQuestion::Reload(_) => return numbers,
        };
        for slot in self.slots().filter(|slot| only.is_none_or(|only| slot.binding.plugin == only))
        {
            let of = format!("{}.{}", slot.binding.plugin, slot.binding.number);
            let mut add = |name: &str, value: i64| {
                *numbers.entry(format!("{of}.{name}")).or_default() += value;
            };
            add(state(slot.cells.health(), self.clock.now_ms), 1);
            if only.is_some() {
                for (name, value) in slot.numbers() {
                    add(&name, value);
                }
            }
        }
        numbers
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.pools.iter().filter_map(|pool| pool.plugins.as_ref()).flat_map(|p| &p.slots)
    }

    /// Writes the reply to a question about plugins that every worker has answered.
    pub(crate) fn write_plugins(
        &self,
        question: PluginQuestion,
        finding: &Finding,
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) {
        match question {
            PluginQuestion::List => {
                list(&self.catalog, &finding.numbers, protocol, out);
            }
            PluginQuestion::Info(number) => {
                if let Some(known) = self.catalog.get(number) {
                    write_info(known, number, &finding.numbers, protocol, out);
                }
            }
            PluginQuestion::Reload(_) if finding.count > 0 => {
                write::error_bytes(out, &finding.text);
            }
            PluginQuestion::Reload(_) => {
                write::simple(out, &String::from_utf8_lossy(&finding.text));
            }
        }
    }
}

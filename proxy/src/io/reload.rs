//! SLUICEGATE PLUGIN RELOAD, on the thread that loads plugins.
//!
//! In: an order of a worker. Out: news for every worker, then the answer for the one that asked: once every worker runs
//! what the answer names. Orders are carried out one after the other; a file that is not right leaves the old one.

use tokio::sync::mpsc;

use crate::core::ask::{Answer, Finding};
use crate::core::plugins_command::Reload;
use crate::io::plugins::{PluginNews, Plugins, tell};
use crate::io::worker::Message;
use crate::limits;

impl Plugins {
    /// Reads the file of a plugin, or of all, and answers the worker that has ordered it.
    pub(super) async fn reload(&mut self, order: Reload, workers: &[mpsc::Sender<Message>]) {
        let plugins = match order.plugin {
            Some(plugin) => plugin..plugin + 1,
            None => 0..self.watched.len(),
        };
        let (mut done, mut faults) = (Vec::new(), Vec::new());
        for plugin in plugins {
            match self.reload_one(plugin, workers).await {
                Some(Ok(text)) => done.push(text),
                Some(Err(fault)) => faults.push(fault),
                // The core orders none of these by name.
                None => {}
            }
        }
        let count = faults.len() as u64;
        let text = match (faults.is_empty(), done.is_empty()) {
            (true, true) => "OK no plugin is loaded".to_owned(),
            (true, false) => format!("OK {}", done.join("; ")),
            (false, _) => {
                format!("ERR {}", [faults, done].concat().join("; "))
            }
        };
        let finding = Finding { count, text: text.into_bytes(), ..Finding::default() };
        if let Some(worker) = workers.get(order.from) {
            let answer = Answer { to: order.from, id: order.id, finding };
            let _worker_ended = worker.send(Message::Answer(answer)).await;
        }
    }

    /// What became of one plugin; `None` when none is loaded under this number.
    async fn reload_one(
        &mut self,
        plugin: usize,
        workers: &[mpsc::Sender<Message>],
    ) -> Option<Result<String, String>> {
        let name = self.watched.get(plugin)?.as_ref()?.config.name.clone();
        let news = self.read_now(plugin);
        let all_heard = match &news {
            Some(news) => tell(workers, news).await,
            None => true,
        };
        let present = self.generations.get(plugin)?.as_ref()?;
        let facts = format!("generation {}, sha256 {}", present.number, present.sha256_hex());
        Some(match news {
            Some(PluginNews::Refused { fault, .. }) => {
                Err(format!("plugin '{name}': {fault}; the old one stays"))
            }
            Some(PluginNews::Swapped { .. } | PluginNews::Mended { .. }) if !all_heard => {
                Err(format!(
                    "plugin '{name}': {facts}, but not every worker runs it after {} ms",
                    limits::ASK_MS
                ))
            }
            Some(PluginNews::Swapped { .. }) => Ok(format!("plugin '{name}': {facts}")),
            Some(PluginNews::Mended { .. }) | None => {
                Ok(format!("plugin '{name}': unchanged, {facts}"))
            }
        })
    }
}

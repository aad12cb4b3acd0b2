//! Calls that end before their plugin is done: faults, lost cells, deadlines, clients that are gone.
//!
//! A call that fails answers its client with the error, or, where the binding says `fail: pass` and nothing was written,
//! lets the command go on as it came. The other calls of a lost cell start again if they have only read, else they are
//! told that their outcome is unknown. A call whose client is gone goes on while commands are under way.

use crate::core::Core;
use crate::core::ids::TaskId;
use crate::core::lane::Owner;
use crate::core::plugins::cells_of;
use crate::core::task::{Awaiting, Task};
use crate::plugin::fault::{Fault, FaultKind, LostCall, OUTCOME_UNKNOWN, client_text};
use crate::plugin::given::Kind;

impl Core {
    /// A call has not ended well.
    pub(crate) fn task_failed(&mut self, id: TaskId, fault: &Fault) {
        let (pool, binding) = match self.tasks.get(id) {
            Some(task) => (task.pool, task.binding),
            None => return,
        };
        self.note_failure(pool, binding, fault);
        self.end_failed(id, fault.wrote, &fault.client_text());
        self.calls_lost(pool, binding, &fault.lost, &fault.plugin);
    }

    /// Ends a call that has failed: its client gets the error, or, where the binding says so, its command goes on as it
    /// came, if the call has written nothing.
    fn end_failed(&mut self, id: TaskId, wrote: bool, text: &str) {
        let is_hook = |task: &&Task| task.head.kind == Kind::Hook && !task.answered;
        let hook = self.tasks.get(id).filter(is_hook).map(|task| (task.pool, task.binding));
        if !wrote && hook.is_some_and(|(pool, binding)| self.passes_on_failure(pool, binding)) {
            return self.pass_on(id);
        }
        self.end_task(id, format!("-{text}\r\n").as_bytes());
    }

    /// Calls that shared a cell with one that trapped: those that have only read start again, the others are told
    /// that their outcome is unknown.
    pub(crate) fn calls_lost(&mut self, pool: u16, binding: u16, lost: &[LostCall], plugin: &str) {
        if lost.is_empty() {
            return;
        }
        // One walk over all tasks: there may be thousands.
        let of_call = |(id, task): (TaskId, &Task)| {
            let is_of = task.pool == pool && task.binding == binding;
            let call = task.call.filter(|_| is_of)?;
            lost.iter().find(|lost| lost.id == call).map(|lost| (id, *lost))
        };
        let found: Vec<(TaskId, LostCall)> = self.tasks.iter().filter_map(of_call).collect();
        for (id, call) in found {
            if call.replayable {
                self.restart_task(id);
            } else {
                self.count_fault(pool, binding, FaultKind::Aborted);
                let text = client_text(FaultKind::Aborted, plugin, 0);
                self.end_failed(id, call.wrote, &text);
            }
        }
    }

    /// Starts a task again under a new id, so that replies to its old operations find nobody.
    fn restart_task(&mut self, id: TaskId) {
        let Some(mut task) = self.tasks.remove(id) else {
            return;
        };
        for (_, awaiting) in task.open.drain(..) {
            if let Awaiting::Key(wait) = awaiting {
                self.waiters.forget(wait.place);
            }
        }
        task.results.clear();
        task.call = None;
        task.ready = false;
        let client = task.client;
        let again = self.tasks.insert(task);
        if let Some((session, _)) = client
            && let Some(session) = self.sessions.get_mut(session)
        {
            session.tasks.retain(|other| *other != id);
            session.tasks.push(again);
        }
        self.make_ready(again);
    }

    /// The task's whole time is over.
    pub(crate) fn task_deadline(&mut self, id: TaskId) {
        let clock = self.plugin_clock();
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let (pool, binding, call) = (task.pool, task.binding, task.call);
        let Some(cells) = cells_of(&mut self.pools, pool, binding) else {
            return;
        };
        let name = cells.generation().name.clone();
        let wrote = call.is_some_and(|call| cells.has_written(call));
        let fault = call.and_then(|call| cells.cancel(clock, call).err());
        let mut text = client_text(FaultKind::Timeout, &name, 0);
        if wrote {
            text.push_str(OUTCOME_UNKNOWN);
        }
        self.count_fault(pool, binding, FaultKind::Timeout);
        self.end_failed(id, wrote, &text);
        if let Some(fault) = fault {
            self.note_failure(pool, binding, &fault);
            self.calls_lost(pool, binding, &fault.lost, &name);
        }
    }

    /// The session of these tasks has closed.
    pub(crate) fn orphan_tasks(&mut self, tasks: &[TaskId]) {
        for id in tasks {
            let Some(task) = self.tasks.get_mut(*id) else {
                continue;
            };
            task.client = None;
            task.abandoned = true;
            // A part's join is to end all the same.
            if !matches!(task.owner, Owner::Part(..)) {
                task.owner = Owner::Nobody;
            }
            if task.only_waits() {
                self.cancel_task(*id);
            }
        }
    }

    /// Drops a call that nobody waits for.
    pub(crate) fn cancel_task(&mut self, id: TaskId) {
        let clock = self.plugin_clock();
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let (pool, binding, call, owner) = (task.pool, task.binding, task.call, task.owner);
        self.drop_task(id);
        self.fail(owner, "ERR the client is gone");
        let Some(cells) = cells_of(&mut self.pools, pool, binding) else {
            return;
        };
        let name = cells.generation().name.clone();
        if let Some(Err(fault)) = call.map(|call| cells.cancel(clock, call)) {
            self.note_failure(pool, binding, &fault);
            self.calls_lost(pool, binding, &fault.lost, &name);
        }
    }
}

//! What a worker has to do later.
//!
//! One heap per worker; the outer layer sleeps until `next_ms` and then takes what is due. Timers are not cancelled:
//! each names a thing by its id, and one that comes for something that is over or has moved on does nothing. There is
//! one timer per lane, not one per request; plugin calls have one each, so those of calls that are over are swept out
//! once in a while. Times are milliseconds on the worker's clock, given from outside.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::core::ids::{AskId, GatherId, LaneId, SessionId, TaskId, WaitedId};
use crate::core::plugin_timers::PluginTimer;

/// What to look at when the time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The oldest request of this lane.
    LaneHead(LaneId),
    /// Whether this lane is still used.
    LaneIdle(LaneId),
    /// This lane has waited long enough for a client.
    LanePaused(LaneId),
    /// A connection for subscriptions is to be opened again.
    SubscriberRetry(LaneId),
    /// Whether this session still takes its replies; the number is the bytes it had been sent when the
    /// timer was set.
    SessionStalled(SessionId, u64),
    /// This gather has waited long enough for answers.
    GatherPatience(GatherId),
    /// Whether this session has been idle too long.
    SessionIdle(SessionId),
    /// A SLEEP or WAIT-KEY of this task: the number of the operation.
    TaskOperation(TaskId, u32),
    /// One of those who wait for this key has its turn to look for itself.
    KeyPoll(WaitedId),
    /// The other workers have had the time to answer this question.
    Ask(AskId),
    /// The pause of this pool.
    PauseOver(u16),
    /// Whether this session can be told how many lines of MONITOR it lost.
    MonitorLost(SessionId),
    /// The task's whole time is over.
    TaskDeadline(TaskId),
    /// A task of a plugin is to be called.
    Plugin(PluginTimer),
    /// The tasks that were left over when a pass of steps was long enough.
    ReadyTasks,
}

/// The timers of a worker.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, Timer)>>,
    /// So many there were behind the last sweep.
    kept: usize,
}

/// Fewer timers than this are not swept.
const SWEPT_MIN: usize = 1024;

impl Timers {
    /// Sets a timer.
    pub fn set(&mut self, at_ms: u64, timer: Timer) {
        self.heap.push(Reverse((at_ms, timer)));
    }

    /// When the next one is due.
    pub fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// Takes one that is due.
    pub fn take_due(&mut self, now_ms: u64) -> Option<Timer> {
        if self.next_ms()? > now_ms {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }

    /// Forgets those that are `over`, once there are twice as many as the last time: plugin calls that may take a
    /// minute and take a millisecond would leave a minute's worth of timers behind.
    pub fn sweep(&mut self, over: impl Fn(&Timer) -> bool) {
        if self.heap.len() < SWEPT_MIN.max(2 * self.kept) {
            return;
        }
        self.heap.retain(|Reverse((_, timer))| !over(timer));
        self.heap.shrink_to(SWEPT_MIN.max(2 * self.heap.len()));
        self.kept = self.heap.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_of_time_and_not_before() {
        let mut timers = Timers::default();
        timers.set(30, Timer::LaneHead(LaneId::default()));
        timers.set(10, Timer::SessionIdle(SessionId::default()));
        assert_eq!(timers.next_ms(), Some(10));
        assert_eq!(timers.take_due(9), None);
        assert_eq!(timers.take_due(30), Some(Timer::SessionIdle(SessionId::default())));
        assert_eq!(timers.take_due(30), Some(Timer::LaneHead(LaneId::default())));
        assert_eq!(timers.take_due(30), None);
    }

    #[test]
    fn timers_of_what_is_over_are_swept_when_there_are_many() {
        let mut timers = Timers::default();
        let is_over = |timer: &Timer| *timer != Timer::ReadyTasks;
        let fill = |timers: &mut Timers, count: usize| {
            (0..count).for_each(|_| timers.set(60_000, Timer::TaskDeadline(TaskId::default())));
        };
        timers.set(5, Timer::ReadyTasks);
        fill(&mut timers, SWEPT_MIN - 2);
        timers.sweep(is_over);
        assert_eq!(timers.heap.len(), SWEPT_MIN - 1, "few");
        fill(&mut timers, 100_000);
        timers.sweep(is_over);
        assert_eq!(timers.heap.len(), 1);
        assert!(timers.heap.capacity() < 10_000, "the memory is given back");
        assert_eq!(timers.take_due(5), Some(Timer::ReadyTasks));
    }
}

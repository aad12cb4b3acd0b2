//! One turn of a task with its worker's core.
//!
//! `Turn` is what all tasks of a worker share: the core, the buffer that sockets are read into, and who is to be
//! woken. A task calls `begin` (which tells the core the time), does its part, and calls `finish`, which wakes the
//! tasks that the core named and starts those that are missing. Single-threaded: it lives in an `Rc<RefCell>` whose
//! borrow never crosses an await.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use slotmap::SecondaryMap;

use crate::core::confirm::SubscriptionNews;
use crate::core::ids::{ConfirmationId, LaneId, SessionId};
use crate::core::waiters::Notice;
use crate::core::{Clock, Core};
use crate::io::board::Board;
use crate::limits;

/// What the tasks of a worker share.
#[derive(Debug)]
pub struct Turn {
    /// The worker's core.
    pub core: Core,
    /// Where sockets are read into, so that an idle connection owns no buffer.
    pub scratch: Vec<u8>,
    started: Instant,
    unix_offset_ms: u64,
    unix_asked_ms: u64,
    session_wakers: SecondaryMap<SessionId, Waker>,
    lane_wakers: SecondaryMap<LaneId, Waker>,
    timer_waker: Option<Waker>,
    timer_armed_ms: u64,
    to_connect: Vec<LaneId>,
    board: Arc<Board>,
    worker: usize,
    waited_for: usize,
    /// What other workers must not miss. Of subscriptions no more than there are sessions: the next request of each waits
    /// until what it has changed is known. Notices beyond a bound are lost, and counted.
    to_tell: VecDeque<Told>,
    tell_waker: Option<Waker>,
}

/// What a worker tells others.
#[derive(Debug)]
pub enum Told {
    /// To all: subscriptions have changed.
    News(SubscriptionNews),
    /// To this one: what it has told is known.
    Known(usize, ConfirmationId),
    /// To this one, whose inbox was full: a key that its calls may wait for.
    Notice(usize, Notice),
}

impl Turn {
    /// Shares `core` among the tasks of a worker that starts now.
    pub fn new(core: Core, board: Arc<Board>, worker: usize) -> Self {
        Self {
            core,
            scratch: vec![0; limits::TURN_BYTES_MAX],
            started: Instant::now(),
            unix_offset_ms: unix_ms(),
            unix_asked_ms: 0,
            session_wakers: SecondaryMap::new(),
            lane_wakers: SecondaryMap::new(),
            timer_waker: None,
            timer_armed_ms: u64::MAX,
            to_connect: Vec::new(),
            board,
            worker,
            waited_for: 0,
            to_tell: VecDeque::new(),
            tell_waker: None,
        }
    }

    /// Starts a turn: tells the core the time.
    pub fn begin(&mut self) {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The system's clock may be set: it is asked again often enough, but not in every turn.
        if now_ms >= self.unix_asked_ms + limits::UNIX_CLOCK_MS {
            self.unix_asked_ms = now_ms;
            self.unix_offset_ms = unix_ms().saturating_sub(now_ms);
        }
        self.core.set_clock(Clock { now_ms, unix_ms: self.unix_offset_ms + now_ms });
    }

    /// When the worker's clock reads `at_ms`.
    pub fn instant_of(&self, at_ms: u64) -> Instant {
        self.started + Duration::from_millis(at_ms)
    }

    /// Remembers how to wake the task of a session.
    pub fn wake_session_with(&mut self, id: SessionId, waker: &Waker) {
        match self.session_wakers.get(id) {
            Some(known) if known.will_wake(waker) => {}
            _ => {
                self.session_wakers.insert(id, waker.clone());
            }
        }
    }

    /// Forgets a session's task.
    pub fn forget_session(&mut self, id: SessionId) {
        self.session_wakers.remove(id);
    }

    /// Remembers how to wake the task of a lane.
    pub fn wake_lane_with(&mut self, id: LaneId, waker: &Waker) {
        match self.lane_wakers.get(id) {
            Some(known) if known.will_wake(waker) => {}
            _ => {
                self.lane_wakers.insert(id, waker.clone());
            }
        }
    }

    /// Forgets a lane's task.
    pub fn forget_lane(&mut self, id: LaneId) {
        self.lane_wakers.remove(id);
    }

    /// Remembers how to wake the timer task, and until when it will sleep.
    pub fn arm_timer(&mut self, waker: &Waker) -> Option<u64> {
        let next_ms = self.core.timers.next_ms();
        self.timer_armed_ms = next_ms.unwrap_or(u64::MAX);
        self.timer_waker = Some(waker.clone());
        next_ms
    }

    /// Ends a turn: wakes the tasks that the core named. Lanes that need a task are left in the list that
    /// `take_to_connect` gives.
    pub fn finish(&mut self) {
        self.tell_others();
        let wake = &mut self.core.wake;
        for id in wake.sessions.drain(..) {
            if let Some(waker) = self.session_wakers.get(id) {
                waker.wake_by_ref();
            }
        }
        for id in wake.lanes.drain(..) {
            if let Some(waker) = self.lane_wakers.get(id) {
                waker.wake_by_ref();
            }
        }
        self.to_connect.append(&mut wake.connect);
        if !wake.notices.is_empty() {
            for notice in wake.notices.drain(..) {
                let late = self.board.notify_others(self.worker, &notice);
                for worker in late {
                    if self.to_tell.len() < limits::INBOX_MESSAGES_MAX {
                        self.to_tell.push_back(Told::Notice(worker, notice.clone()));
                    } else {
                        self.core.stats.notices_lost += 1;
                    }
                }
            }
        }
        if !wake.scripts.is_empty() {
            for news in wake.scripts.drain(..) {
                self.board.tell_scripts(self.worker, &news);
            }
        }
        self.to_tell.extend(wake.subscription_news.drain(..).map(Told::News));
        let known = wake.news_known.drain(..);
        self.to_tell.extend(known.map(|(worker, confirmation)| Told::Known(worker, confirmation)));
        if !self.to_tell.is_empty()
            && let Some(waker) = self.tell_waker.take()
        {
            waker.wake();
        }
        for note in self.core.notes.drain(..) {
            tracing::warn!("{note}");
        }
        let waited_for = self.core.keys_waited_for();
        if waited_for != self.waited_for {
            self.waited_for = waited_for;
            self.board.waits(self.worker, waited_for);
        }
        if self.core.timers.next_ms().is_some_and(|at_ms| at_ms < self.timer_armed_ms)
            && let Some(waker) = &self.timer_waker
        {
            self.timer_armed_ms = 0;
            waker.wake_by_ref();
        }
    }

    /// Takes questions, answers and lines of MONITOR to the other workers, and orders to the thread that loads plugins. Who monitors is told first, so that no worker
    /// takes the lines that a question brings for unwanted.
    fn tell_others(&mut self) {
        let wake = &mut self.core.wake;
        for (pool, count) in wake.monitors.drain(..) {
            self.board.monitors(self.worker, pool, count);
        }
        for answer in wake.answers.drain(..) {
            self.board.answer(answer);
        }
        for shown in std::mem::take(&mut wake.shown) {
            if !self.board.show_others(self.worker, &shown) {
                self.core.shown_to_nobody(shown.pool);
            }
        }
        for order in std::mem::take(&mut self.core.wake.reloads) {
            if !self.board.reload(order) {
                self.core.reload_refused(order);
            }
        }
        for ask in std::mem::take(&mut self.core.wake.asks) {
            if !self.board.ask(&ask) {
                self.core.end_ask(ask.id);
            }
        }
    }

    /// The next thing to tell other workers; if there is none, the task is woken when there is.
    pub fn next_to_tell(&mut self, waker: &Waker) -> Poll<Told> {
        match self.to_tell.pop_front() {
            Some(told) => Poll::Ready(told),
            None => {
                self.tell_waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    /// How long to wait before connecting to a shard.
    pub fn connect_wait(&self, pool: u16, shard: u16) -> Duration {
        self.board.connect_wait(pool, shard)
    }

    /// Whether a lane needs a task of its own.
    pub fn has_to_connect(&self) -> bool {
        !self.to_connect.is_empty()
    }

    /// Lanes that need a task of their own, each once.
    pub fn take_to_connect(&mut self) -> Vec<LaneId> {
        std::mem::take(&mut self.to_connect)
    }
}

/// Milliseconds since 1970 by the system's clock.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

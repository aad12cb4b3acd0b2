//! What happens when time has passed.
//!
//! `on_time` takes the timers that are due. A request whose time is over is answered `outcome unknown` and its late
//! reply will be skipped; a connection on which replies are due and no byte has come for twice the time-out is
//! closed; an unused lane is closed; an idle client is sent away, if the pool says so.

use crate::core::ids::{LaneId, SessionId};
use crate::core::lane::{LaneState, Owner};
use crate::core::session::Closing;
use crate::core::timer::Timer;
use crate::core::{Core, idle_limit_ms, wake_lane};
use crate::limits;

impl Core {
    /// Does what is due.
    pub fn on_time(&mut self) {
        while let Some(timer) = self.timers.take_due(self.clock.now_ms) {
            match timer {
                Timer::LaneHead(id) => self.expire_lane(id),
                Timer::LaneIdle(id) => self.close_idle_lane(id),
                Timer::LanePaused(id) => self.end_pause(id),
                Timer::SubscriberRetry(id) => self.reopen_subscriber(id),
                Timer::SessionStalled(id, written) => self.check_stalled(id, written),
                Timer::SessionIdle(id) => self.check_idle(id),
                Timer::GatherPatience(id) => self.end_round(id),
                Timer::TaskOperation(id, number) => self.operation_timer(id, number),
                Timer::KeyPoll(id) => self.poll_turn(id),
                Timer::Ask(id) => self.end_ask(id),
                Timer::PauseOver(pool) => self.check_pause(pool),
                Timer::MonitorLost(id) => self.check_lost(id),
                Timer::TaskDeadline(id) => self.task_deadline(id),
                Timer::Plugin(timer) => self.plugin_timer(timer),
                Timer::ReadyTasks => self.end_rest(),
            }
        }
        self.run_ready_tasks();
    }

    fn expire_lane(&mut self, id: LaneId) {
        let now_ms = self.clock.now_ms;
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        lane.timer_set = false;
        let target = lane.target();
        let timeout =
            self.pools.get(usize::from(target.pool)).map_or(u64::MAX, |pool| pool.timeout_ms);
        let name = self.shard_name(target);
        if let Some(lane) = self.lanes.get_mut(id)
            && lane.is_private
            && lane.state == LaneState::SettingUp
            && now_ms.saturating_sub(lane.last_input_ms) >= timeout
        {
            return self.close_lane(id, &format!("did not answer within {timeout} ms"));
        }
        while let Some(owner) = self.lanes.get_mut(id).and_then(|lane| lane.expire_one(now_ms)) {
            self.stats.timeouts += 1;
            let past = if matches!(owner, Owner::Blocked(..)) {
                " behind the command's own time-out"
            } else {
                ""
            };
            let text = format!(
                "ERR shard {name} did not answer within {timeout} ms{past}; outcome unknown"
            );
            self.fail(owner, &text);
        }
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let silent_ms = now_ms.saturating_sub(lane.last_input_ms);
        let dead_after_ms = timeout.saturating_mul(2);
        let connected = matches!(lane.state, LaneState::Ready | LaneState::SettingUp);
        if lane.is_late() && connected && silent_ms >= dead_after_ms {
            lane.to_close = Some(format!("sent nothing for {silent_ms} ms"));
            wake_lane(lane, id, &mut self.wake);
            return;
        }
        let next_ms = match lane.next_deadline_ms() {
            Some(deadline_ms) => deadline_ms,
            // All have timed out: look again when the connection would count as dead, or when a request that is sent
            // from now on could time out.
            None if lane.is_late() => {
                let dead_ms = lane.last_input_ms.saturating_add(dead_after_ms);
                let next_ms = now_ms.saturating_add(timeout);
                if connected { dead_ms.min(next_ms) } else { next_ms }
            }
            None => return,
        };
        if next_ms != u64::MAX {
            lane.timer_set = true;
            self.timers.set(next_ms.max(now_ms + 1), Timer::LaneHead(id));
        }
    }

    /// A lane has waited long enough for a client.
    fn end_pause(&mut self, id: LaneId) {
        let now_ms = self.clock.now_ms;
        if let Some(lane) = self.lanes.get_mut(id)
            && lane.paused_until_ms <= now_ms
        {
            wake_lane(lane, id, &mut self.wake);
        }
    }

    fn close_idle_lane(&mut self, id: LaneId) {
        let now_ms = self.clock.now_ms;
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        if lane.state != LaneState::Ready {
            lane.idle_watched = false;
            return;
        }
        let idle_at_ms = lane.last_used_ms + limits::LANE_IDLE_MS;
        let is_idle = lane.awaited() == 0 && !lane.is_lent && idle_at_ms <= now_ms;
        if is_idle && !(lane.is_subscriber && self.keep_subscriber(id)) {
            if let Some(lane) = self.lanes.get_mut(id) {
                lane.idle_watched = false;
                lane.to_close = Some("was not used".into());
                wake_lane(lane, id, &mut self.wake);
            }
        } else {
            self.timers.set(idle_at_ms.max(now_ms + 1000), Timer::LaneIdle(id));
        }
    }

    fn check_idle(&mut self, id: SessionId) {
        let now_ms = self.clock.now_ms;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let pool = self.pools.get(usize::from(session.pool));
        let Some(limit_ms) = pool.and_then(|pool| idle_limit_ms(&pool.config)) else {
            return;
        };
        let idle_at_ms = session.last_active_ms + limit_ms;
        let listens = session.monitor.is_some() || session.subscriptions.is_some();
        if !session.is_done() || listens {
            // Who waits for a reply, monitors or subscribes is not idle.
            self.timers.set(now_ms.saturating_add(limit_ms.max(1)), Timer::SessionIdle(id));
        } else if idle_at_ms <= now_ms {
            self.end_session(id, Closing::AfterReplies);
        } else {
            self.timers.set(idle_at_ms, Timer::SessionIdle(id));
        }
    }
}

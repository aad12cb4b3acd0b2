//! Whether a plugin that traps may go on: quarantine, then a breaker with back-off.
//!
//! The first trap puts a binding in quarantine: one call per cell for a minute, so that the next trap takes no other call
//! with it. Five traps in a minute open the breaker: calls are refused for a while, then one is let through to try,
//! and the while doubles each time it fails. Time comes in as an argument.

use std::collections::VecDeque;

use super::limits::HealthLimits;

/// Whether a call may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes, beside others in its cell.
    Shared,
    /// Yes, in a cell of its own.
    Alone,
    /// No.
    Refused,
}

/// How a binding's plugin has fared of late.
#[derive(Debug, Default)]
pub struct Health {
    /// When it trapped, oldest first, at most `breaker_traps`.
    traps: VecDeque<u64>,
    quarantine_until_ms: u64,
    breaker: Breaker,
    /// How long the breaker opens next time.
    back_off_ms: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Breaker {
    #[default]
    Closed,
    Open {
        until_ms: u64,
    },
    /// One call is on trial.
    HalfOpen,
}

impl Health {
    /// Whether a call may start at `now_ms`. After `Open` ends, the first call is the trial.
    pub fn admit(&mut self, now_ms: u64) -> Admission {
        match self.breaker {
            Breaker::Closed if now_ms < self.quarantine_until_ms => Admission::Alone,
            Breaker::Closed => Admission::Shared,
            Breaker::Open { until_ms } if now_ms >= until_ms => {
                self.breaker = Breaker::HalfOpen;
                Admission::Alone
            }
            Breaker::Open { .. } | Breaker::HalfOpen => Admission::Refused,
        }
    }

    /// An admitted call did not start after all: the trial is still to come.
    pub fn not_started(&mut self, now_ms: u64) {
        if self.breaker == Breaker::HalfOpen {
            self.breaker = Breaker::Open { until_ms: now_ms };
        }
    }

    /// Whether the call that was just admitted is on trial.
    pub fn is_on_trial(&self) -> bool {
        self.breaker == Breaker::HalfOpen
    }

    /// The call on trial has ended well, or was cancelled before it could do harm.
    pub fn trial_ended(&mut self) {
        if self.breaker == Breaker::HalfOpen {
            self.breaker = Breaker::Closed;
            self.traps.clear();
            self.back_off_ms = 0;
        }
    }

    /// The plugin trapped.
    pub fn trapped(&mut self, now_ms: u64, limits: &HealthLimits) {
        self.quarantine_until_ms = now_ms.saturating_add(limits.quarantine_ms);
        self.traps.retain(|at_ms| now_ms.saturating_sub(*at_ms) < limits.breaker_within_ms);
        self.traps.push_back(now_ms);
        let failed_trial = self.breaker == Breaker::HalfOpen;
        if failed_trial || self.traps.len() >= limits.breaker_traps {
            self.back_off_ms = match self.back_off_ms {
                0 => limits.breaker_open_ms,
                last => last.saturating_mul(2).min(limits.breaker_open_max_ms),
            };
            self.breaker = Breaker::Open { until_ms: now_ms.saturating_add(self.back_off_ms) };
            self.traps.clear();
        }
    }

    /// A new generation starts with a clean slate.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether calls are refused at `now_ms`.
    pub fn is_down(&self, now_ms: u64) -> bool {
        matches!(self.breaker, Breaker::Open { until_ms } if now_ms < until_ms)
    }

    /// Whether calls run alone at `now_ms`.
    pub fn is_quarantined(&self, now_ms: u64) -> bool {
        now_ms < self.quarantine_until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, Health};
    use crate::plugin::limits::HealthLimits;

    const LIMITS: HealthLimits = HealthLimits {
        quarantine_ms: 60_000,
        breaker_traps: 5,
        breaker_within_ms: 60_000,
        breaker_open_ms: 10_000,
        breaker_open_max_ms: 300_000,
    };

    #[test]
    fn health_after_one_trap_runs_calls_alone_for_a_minute() {
        let mut health = Health::default();
        assert_eq!(health.admit(0), Admission::Shared);
        health.trapped(1_000, &LIMITS);
        assert_eq!(health.admit(1_000), Admission::Alone);
        assert_eq!(health.admit(60_999), Admission::Alone);
        assert_eq!(health.admit(61_000), Admission::Shared);
    }

    #[test]
    fn health_after_five_traps_refuses_then_tries_one_call_with_doubling_pauses() {
        let mut health = Health::default();
        for at in 0..5 {
            assert_eq!(
                health.admit(at),
                if at == 0 { Admission::Shared } else { Admission::Alone }
            );
            health.trapped(at, &LIMITS);
        }
        assert!(health.is_down(5));
        assert_eq!(health.admit(10_003), Admission::Refused);
        assert_eq!(health.admit(10_004), Admission::Alone, "the trial");
        assert_eq!(health.admit(10_004), Admission::Refused, "one at a time");
        health.trapped(10_004, &LIMITS);
        assert_eq!(health.admit(30_003), Admission::Refused, "twice as long");
        assert_eq!(health.admit(30_004), Admission::Alone);
        health.trial_ended();
        assert_eq!(health.admit(30_005), Admission::Alone, "still in quarantine");
        assert_eq!(health.admit(200_000), Admission::Shared);
    }

    #[test]
    fn health_pause_has_an_upper_bound() {
        let mut health = Health::default();
        let mut now = 0;
        for _ in 0..5 {
            health.trapped(now, &LIMITS);
        }
        for _ in 0..20 {
            while health.is_down(now) {
                now += 1_000;
            }
            assert_eq!(health.admit(now), Admission::Alone);
            health.trapped(now, &LIMITS);
            assert!(!health.is_down(now + 300_000));
        }
        health.reset();
        assert_eq!(health.admit(now), Admission::Shared);
    }

    #[test]
    fn health_follows_the_limits_of_its_plugin() {
        let limits = HealthLimits { quarantine_ms: 0, breaker_traps: 2, ..LIMITS };
        let mut health = Health::default();
        health.trapped(0, &limits);
        assert_eq!(health.admit(0), Admission::Shared, "no quarantine");
        health.trapped(1, &limits);
        assert!(health.is_down(1));
        let never = HealthLimits { breaker_traps: usize::MAX, ..LIMITS };
        let mut health = Health::default();
        (0..1_000).for_each(|at| health.trapped(at, &never));
        assert_eq!(health.admit(1_000), Admission::Alone);
    }

    #[test]
    fn health_of_traps_far_apart_stays_closed() {
        let mut health = Health::default();
        for minute in 0..20 {
            health.trapped(minute * 60_000, &LIMITS);
            assert!(!health.is_down(minute * 60_000));
        }
    }
}

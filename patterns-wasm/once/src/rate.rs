//! The arithmetic of a rate limit: what a client asks for, and what it is told. Pure.
//!
//! GCRA, the generic cell rate algorithm (ITU-T I.371), in the form of redis-cell 0.4, whose reply this is: a key holds
//! its theoretical arrival time (TAT), to which every action adds its quantity times the emission interval; one that would
//! put it further ahead than the tolerance is limited and adds nothing. Times are nanoseconds in 64 bits.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

const SECOND_NS: i64 = 1_000_000_000;
/// What the shard's numbers may be off by: it counts microseconds in doubles.
const ROUNDING_NS: i64 = 500;

/// A rate and an action, as a client has asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many actions may come at once, at least 1.
    pub limit: i64,
    /// Time between two actions at exactly this rate.
    pub interval_ns: i64,
    /// How far the TAT may be ahead of now: `interval_ns` times `limit`.
    pub tolerance_ns: i64,
    /// What this action adds: `interval_ns` times its quantity. 0 only looks.
    pub increment_ns: i64,
}

/// What the shard has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The action is not to be done.
    pub limited: bool,
    /// How far the TAT is ahead of now, with this action if it is not limited.
    pub ahead_ns: i64,
}

impl Rate {
    /// Reads `CL.THROTTLE key max_burst count period [quantity]`, the period in seconds.
    pub fn read(args: &Args) -> Result<Self> {
        if args.len() > 6 {
            return Err(Error::arity("cl.throttle"));
        }
        let number = |index: usize, name: &str, least: i64| match args.get(index)? {
            number if number >= least => Ok(number),
            _ => {
                let least = if least == 0 { "0" } else { "1" };
                Err(Error::new(["once: CL.THROTTLE ", name, " must be at least ", least].concat()))
            }
        };
        let burst = number(2, "max_burst", 0)?;
        let count = number(3, "count", 1)?;
        let period = number(4, "period", 1)?;
        let quantity = if args.len() == 6 { number(5, "quantity", 0)? } else { 1 };
        Self::new(burst, count, period, quantity).ok_or_else(|| {
            Error::new(
                "once: CL.THROTTLE takes rates of up to one action per nanosecond and bursts of up to 146 years",
            )
        })
    }

    /// `None` when it does not fit into nanoseconds of 64 bits.
    pub fn new(burst: i64, count: i64, period_s: i64, quantity: i64) -> Option<Self> {
        let limit = burst.checked_add(1)?;
        let interval_ns = period_s.checked_mul(SECOND_NS)?.checked_div(count)?;
        let tolerance_ns = interval_ns.checked_mul(limit)?;
        let increment_ns = interval_ns.checked_mul(quantity)?;
        // The shard adds both up, in doubles that may round up.
        tolerance_ns.checked_add(increment_ns)?.checked_mul(2)?;
        (interval_ns > 0).then_some(Self { limit, interval_ns, tolerance_ns, increment_ns })
    }

    /// The five integers of redis-cell: limited, limit, remaining, seconds to a retry (-1 when there is none or it is of no
    /// use), seconds until the limit is whole again. Seconds are rounded up, so that nobody comes back too early.
    pub fn reply(&self, decision: Decision) -> Reply {
        let ahead_ns = decision.ahead_ns.max(0);
        let room_ns = self.tolerance_ns.saturating_sub(ahead_ns).max(0);
        let remaining =
            room_ns.saturating_add(ROUNDING_NS.min(self.interval_ns / 2)) / self.interval_ns;
        let fits = self.increment_ns <= self.tolerance_ns;
        let retry = if decision.limited && fits {
            seconds(ahead_ns.saturating_add(self.increment_ns).saturating_sub(self.tolerance_ns))
        } else {
            -1
        };
        let numbers =
            [i64::from(decision.limited), self.limit, remaining, retry, seconds(ahead_ns)];
        Reply::Array(numbers.map(Reply::Int).to_vec())
    }
}

/// Whole seconds, rounded up from the first microsecond on; redis-cell begins with the first millisecond.
fn seconds(ns: i64) -> i64 {
    let us = ns.max(0).saturating_add(ROUNDING_NS) / 1_000;
    us / 1_000_000 + i64::from(us % 1_000_000 > 0)
}

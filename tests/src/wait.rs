//! Waiting for something to become true, with a deadline, never for time to pass.
//!
//! Comes in: a closure that says whether the awaited thing is there. Goes out: its value.
//! At the deadline the test fails with the name of what was awaited; there is no other outcome.
//! Do not use it to give something time: ask for a fact that can be seen.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Long, because a shared two-core machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(3);

/// Asks `probe` until it gives a value; fails the test at the deadline.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for: {what}");
        std::thread::park_timeout(PAUSE);
    }
}

/// Asks `probe` until it is true; fails the test at the deadline.
pub fn eventually_true(what: &str, mut probe: impl FnMut() -> bool) {
    eventually(what, || probe().then_some(()));
}

/// Looks until what is seen is as `wanted` says, and gives it; at the deadline the failure tells what was seen last.
pub fn eventually_seen<T: Debug>(
    what: &str,
    mut look: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let start = Instant::now();
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for: {what}; {seen:#?}");
        std::thread::park_timeout(PAUSE);
    }
}

//! `make bench PLUGINS=1`: what plugins cost and what bad ones do to others, as ratios inside one run.
//!
//! Each line is measured on release builds of the gateway over the same shards, the two sides of a ratio in turn within
//! each round; the medians over the rounds are printed beside the bounds of DESIGN section 9, `within` or `OVER`. CPU time is that
//! of the gateway's process. Nothing is judged by exit status. Run it on a machine that does nothing else.

mod cost;
mod drive;
mod gate;
mod harm;
mod layer;
mod pack;
mod patterns;

use std::fmt;

use sluicegate_tests::real_server::RealServer;

/// How long the bench may take.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds over which a median is taken.
    pub rounds: usize,
    /// Everything that is counted is divided by this.
    pub share: usize,
}

/// One figure with its bound.
#[derive(Debug)]
pub struct Line {
    what: String,
    measured: f64,
    unit: &'static str,
    bound: Option<f64>,
    note: String,
}

impl Line {
    /// A figure that must not exceed `bound`.
    fn new(what: &str, measured: f64, unit: &'static str, bound: f64, note: String) -> Line {
        Line { what: what.to_owned(), measured, unit, bound: Some(bound), note }
    }

    /// A figure to know, without a bound.
    fn known(what: &str, measured: f64, unit: &'static str, note: String) -> Line {
        Line { what: what.to_owned(), measured, unit, bound: None, note }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = format!("{:.2} {}", self.measured, self.unit);
        let verdict = match self.bound {
            None => String::new(),
            Some(bound) if self.measured <= bound => format!("<= {bound} {} within", self.unit),
            Some(bound) => format!("<= {bound} {} OVER", self.unit),
        };
        write!(f, "{:<62}{measured:>14}  {verdict:<24}{}", self.what, self.note)
    }
}

/// Measures and prints everything; `only`: the lines whose group has this name.
pub fn run(effort: Effort, only: Option<&str>) {
    type Group = (&'static str, fn(&[RealServer], Effort) -> Vec<Line>);
    let groups: [Group; 11] = [
        ("hooks", cost::hooks_elsewhere),
        ("cache", cost::cached_get),
        ("calls", cost::calls),
        ("memory", cost::memory_of_calls),
        ("stall", harm::endless_loops),
        ("swaps", harm::swaps),
        ("burners", harm::burners),
        ("loads", layer::loads),
        ("layer", layer::steps),
        ("patterns", patterns::by_hand),
        ("pack", pack::memory),
    ];
    if let Some(name) = only.filter(|name| !groups.iter().any(|(group, _)| group == name)) {
        let known = groups.map(|(group, _)| group).join(", ");
        eprintln!("unknown group {name}: {known}");
        std::process::exit(2);
    }
    println!("{}", crate::report::machine());
    for (name, measure) in groups {
        if only.is_none_or(|only| only == name) {
            // Shards of its own: one group freezes them.
            let shards = RealServer::start_many(3);
            for line in measure(&shards, effort) {
                println!("{line}");
            }
        }
    }
}

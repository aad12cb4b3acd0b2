//! The medians of a bench run as a table for people and as JSON for later.
//!
//! Comes in: one `Measure` per round, workload and subject. Goes out: for each workload the CPU time per request and
//! the rate of every subject, and the gateway's ratios beside their bounds, `ok` or `OVER`. Nothing is judged here
//! by exit status. The JSON names the machine and the commit, since a number without them says nothing.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use sluicegate_tests::tools::repository;

use crate::subject::{GATEWAY, HAPROXY, Subject, TWEMPROXY};
use crate::workload::{Measure, WORKLOADS, Workload};

/// All measures of a run.
#[derive(Debug)]
pub struct Table {
    subjects: Vec<&'static str>,
    /// Workload, subject, measure.
    measures: Vec<(&'static str, usize, Measure)>,
}

impl Table {
    pub fn new(subjects: &[Subject]) -> Table {
        Table {
            subjects: subjects.iter().map(|subject| subject.name).collect(),
            measures: Vec::new(),
        }
    }

    /// Takes in one measure.
    pub fn add(&mut self, workload: &Workload, subject: usize, measure: Measure) {
        self.measures.push((workload.name, subject, measure));
    }

    fn median(
        &self,
        workload: &Workload,
        subject: usize,
        field: fn(&Measure) -> Option<f64>,
    ) -> Option<f64> {
        let of_both = self
            .measures
            .iter()
            .filter(|(name, index, _)| *name == workload.name && *index == subject);
        let mut values: Vec<f64> = of_both.filter_map(|(_, _, measure)| field(measure)).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 {
            values.get(middle).copied()
        } else {
            Some((values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0)
        }
    }

    fn cpu_us(&self, workload: &Workload, subject: usize) -> Option<f64> {
        self.median(workload, subject, |measure| measure.cpu_us)
    }

    fn rate(&self, workload: &Workload, subject: usize) -> Option<f64> {
        self.median(workload, subject, |measure| Some(measure.requests_per_second))
    }

    /// The gateway's CPU time per request as a share of another subject's.
    fn ratio(&self, workload: &Workload, other: &str) -> Option<f64> {
        let of = |name: &str| self.subjects.iter().position(|subject| *subject == name);
        Some(self.cpu_us(workload, of(GATEWAY)?)? / self.cpu_us(workload, of(other)?)?)
    }

    fn bounds(workload: &Workload) -> [(&'static str, f64); 2] {
        [(TWEMPROXY, workload.twemproxy_max), (HAPROXY, workload.haproxy_max)]
    }

    /// Writes bench/results/DATE-COMMIT.json.
    pub fn save(&self) -> PathBuf {
        let folder = repository().join("bench/results");
        std::fs::create_dir_all(&folder).expect("bench/results");
        let date = said("date", &["-u", "+%Y-%m-%d"]);
        let commit = said("git", &["rev-parse", "--short", "HEAD"]);
        let file = folder.join(format!("{date}-{commit}.json"));
        let rows: Vec<String> = WORKLOADS.iter().map(|workload| self.json_row(workload)).collect();
        let text = format!(
            "{{\n  \"date\": \"{date}\",\n  \"commit\": \"{commit}\",\n  \"machine\": \"{}\",\n  \"workloads\": [\n{}\n  ]\n}}\n",
            machine(),
            rows.join(",\n")
        );
        std::fs::write(&file, text).expect("write the result");
        file
    }

    fn json_row(&self, workload: &Workload) -> String {
        let number =
            |value: Option<f64>| value.map_or("null".to_owned(), |value| format!("{value:.3}"));
        let subjects = self.subjects.iter().enumerate().map(|(index, name)| {
            let (cpu, rate) = (self.cpu_us(workload, index), self.rate(workload, index));
            format!(
                "\"{name}\": {{\"cpu_us\": {}, \"requests_per_second\": {}}}",
                number(cpu),
                number(rate)
            )
        });
        let subjects = subjects.collect::<Vec<_>>().join(", ");
        format!("    {{\"name\": \"{}\", {subjects}}}", workload.name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "CPU us per request (user+system of the proxy's process) and thousand requests per second; medians."
        )?;
        writeln!(f, "{}", machine())?;
        write!(f, "{:<24}", "")?;
        for name in &self.subjects {
            write!(f, "{name:>20}")?;
        }
        writeln!(f)?;
        for workload in WORKLOADS {
            write!(f, "{:<24}", workload.name)?;
            for index in 0..self.subjects.len() {
                let cpu =
                    self.cpu_us(workload, index).map_or(String::new(), |us| format!("{us:.2} us"));
                let rate = self.rate(workload, index).unwrap_or(f64::NAN) / 1000.0;
                write!(f, "{:>20}", format!("{cpu} {rate:>7.0}k"))?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "\nThe gateway's CPU per request as a share of another's, and the bound (DESIGN 9):"
        )?;
        for workload in WORKLOADS {
            write!(f, "{:<24}", workload.name)?;
            for (other, bound) in Table::bounds(workload) {
                let Some(ratio) = self.ratio(workload, other) else {
                    continue;
                };
                let verdict = if ratio <= bound { "ok" } else { "OVER" };
                write!(f, "  {other} {ratio:.2} (<= {bound:.2} {verdict})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(repository()).output();
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// Processor and number of cores.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.unwrap_or("unknown processor"))
}

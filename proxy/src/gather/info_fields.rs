//! How the lines of several servers' INFO become those of one: a table of fields, and the lines with a form of their own.
//!
//! In: each shard's INFO as lines. Out: lines. Amounts are added, times and states are the worst or the oldest, settings
//! are shown once if all agree and else side by side. A field that no shard has is left out; one that cannot mean
//! anything over several servers (percentiles, ids, offsets) is not in the table: `INFO shard NAME` has it.

use std::collections::HashMap;

/// One shard's INFO.
#[derive(Debug)]
pub(super) struct Report<'a> {
    name: &'a str,
    lines: Vec<(&'a str, &'a str)>,
    fields: HashMap<&'a str, &'a str>,
}

/// How a section's lines are made.
#[derive(Debug)]
pub(super) enum Merge {
    Fields(&'static [Field]),
    Replication,
    Modules,
    Commandstats,
    Errorstats,
    Keyspace,
}

/// A line: its name, the field of the shards that it is made of, and how.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    from: &'static str,
    rule: Rule,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Sum,
    /// The sum, or 0 if any is 0, which means no bound.
    Bound,
    /// The sum of seconds.
    Seconds,
    Most,
    Least,
    /// `ok` if all say so, else what one says that does not.
    Status,
    /// The value of all, or all values, parted by `|`.
    Same,
    /// The sum for people: `1.50M`.
    SumForPeople,
    BoundForPeople,
    /// The sum divided by that of the other field.
    PerSumOf(&'static str),
}

use Rule::{
    Bound, BoundForPeople, Least, Most, PerSumOf, Same, Seconds, Status, Sum, SumForPeople,
};

const fn field(name: &'static str, rule: Rule) -> Field {
    Field { name, from: name, rule }
}

const fn made_of(name: &'static str, from: &'static str, rule: Rule) -> Field {
    Field { name, from, rule }
}

pub(super) const MEMORY: &[Field] = &[
    field("used_memory", Sum),
    made_of("used_memory_human", "used_memory", SumForPeople),
    field("used_memory_rss", Sum),
    made_of("used_memory_rss_human", "used_memory_rss", SumForPeople),
    field("used_memory_peak", Sum),
    made_of("used_memory_peak_human", "used_memory_peak", SumForPeople),
    field("used_memory_overhead", Sum),
    field("used_memory_startup", Sum),
    field("used_memory_dataset", Sum),
    field("used_memory_lua", Sum),
    field("used_memory_scripts", Sum),
    field("number_of_cached_scripts", Most),
    field("number_of_functions", Most),
    field("number_of_libraries", Most),
    field("maxmemory", Bound),
    made_of("maxmemory_human", "maxmemory", BoundForPeople),
    field("maxmemory_policy", Same),
    made_of("mem_fragmentation_ratio", "used_memory_rss", PerSumOf("used_memory")),
    field("mem_fragmentation_bytes", Sum),
    field("mem_clients_slaves", Sum),
    field("mem_clients_normal", Sum),
    field("mem_aof_buffer", Sum),
    field("mem_allocator", Same),
    field("active_defrag_running", Most),
    field("lazyfree_pending_objects", Sum),
    field("lazyfreed_objects", Sum),
];

/// `loading` itself is the gateway's: clients wait for it to be 0, and a shard that loads says so to its own commands.
pub(super) const PERSISTENCE: &[Field] = &[
    made_of("shards_loading", "loading", Sum),
    field("rdb_changes_since_last_save", Sum),
    field("rdb_bgsave_in_progress", Most),
    field("rdb_last_save_time", Least),
    field("rdb_last_bgsave_status", Status),
    field("rdb_last_bgsave_time_sec", Most),
    field("rdb_current_bgsave_time_sec", Most),
    field("aof_enabled", Least),
    field("aof_rewrite_in_progress", Most),
    field("aof_rewrite_scheduled", Most),
    field("aof_last_rewrite_time_sec", Most),
    field("aof_current_rewrite_time_sec", Most),
    field("aof_last_bgrewrite_status", Status),
    field("aof_last_write_status", Status),
    field("aof_current_size", Sum),
    field("aof_base_size", Sum),
];

pub(super) const STATS: &[Field] = &[
    field("instantaneous_ops_per_sec", Sum),
    field("sync_full", Sum),
    field("sync_partial_ok", Sum),
    field("sync_partial_err", Sum),
    field("expired_keys", Sum),
    field("evicted_keys", Sum),
    field("evicted_clients", Sum),
    field("keyspace_hits", Sum),
    field("keyspace_misses", Sum),
    field("latest_fork_usec", Most),
    field("total_forks", Sum),
    field("unexpected_error_replies", Sum),
];

pub(super) const CPU: &[Field] = &[
    field("used_cpu_sys", Seconds),
    field("used_cpu_user", Seconds),
    field("used_cpu_sys_children", Seconds),
    field("used_cpu_user_children", Seconds),
    field("used_cpu_sys_main_thread", Seconds),
    field("used_cpu_user_main_thread", Seconds),
];

const REPLICATION: &[Field] = &[field("connected_slaves", Sum)];
/// What is told of each shard by itself.
const OF_EACH: &[&str] = &["role", "connected_slaves", "master_link_status", "master_repl_offset"];

impl<'a> Report<'a> {
    /// The INFO `text` of the shard `name`.
    pub(super) fn new(name: &'a str, text: &'a str) -> Report<'a> {
        let lines: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.split_once(':')).collect();
        let fields = lines.iter().copied().collect();
        Report { name, lines, fields }
    }
}

impl Merge {
    /// Appends the lines.
    pub(super) fn write(&self, reports: &[Report<'_>], out: &mut String) {
        match self {
            Merge::Fields(fields) => write_fields(fields, reports, out),
            Merge::Replication => {
                write_fields(REPLICATION, reports, out);
                write_each(reports, out);
            }
            Merge::Modules => write_common_lines("module", reports, out),
            Merge::Commandstats => {
                for (name, numbers) in summed(reports, |name| name.starts_with("cmdstat_")) {
                    let per_call = quotient(numbers.get("usec"), numbers.get("calls"));
                    let shown = numbers.list.iter().map(|(name, number)| match *name {
                        "usec" => format!("usec={number},usec_per_call={per_call}"),
                        name => format!("{name}={number}"),
                    });
                    write_line(name, &shown.collect::<Vec<_>>().join(","), out);
                }
            }
            Merge::Errorstats => {
                for (name, numbers) in summed(reports, |name| name.starts_with("errorstat_")) {
                    write_line(name, &numbers.to_string(), out);
                }
            }
            Merge::Keyspace => write_keyspace(reports, out),
        }
    }
}

fn write_line(name: &str, value: &str, out: &mut String) {
    out.push_str(&format!("{name}:{value}\r\n"));
}

fn write_fields(fields: &[Field], reports: &[Report<'_>], out: &mut String) {
    for Field { name, from, rule } in fields {
        let values: Vec<&str> =
            reports.iter().filter_map(|report| report.fields.get(from).copied()).collect();
        if !values.is_empty() {
            write_line(name, &merged(*rule, &values, reports), out);
        }
    }
}

/// One value of the shards' values, of which there is at least one.
fn merged(rule: Rule, values: &[&str], reports: &[Report<'_>]) -> String {
    let numbers = || values.iter().map(|value| value.parse::<i64>().unwrap_or_default());
    let sum = || numbers().fold(0, i64::saturating_add);
    let bound = || if numbers().any(|number| number == 0) { 0 } else { sum() };
    match rule {
        Sum => sum().to_string(),
        Bound => bound().to_string(),
        Seconds => {
            let seconds = values.iter().map(|value| value.parse::<f64>().unwrap_or_default());
            format!("{:.6}", seconds.sum::<f64>())
        }
        Most => numbers().max().unwrap_or_default().to_string(),
        Least => numbers().min().unwrap_or_default().to_string(),
        Status => values.iter().find(|value| **value != "ok").unwrap_or(&"ok").to_string(),
        Same => {
            let mut different: Vec<&str> = Vec::new();
            for value in values {
                if !different.contains(value) {
                    different.push(value);
                }
            }
            different.join("|")
        }
        SumForPeople => for_people(sum()),
        BoundForPeople => for_people(bound()),
        PerSumOf(other) => {
            let others = reports.iter().filter_map(|report| report.fields.get(other));
            let others = others.map(|value| value.parse::<i64>().unwrap_or_default());
            quotient(sum(), others.fold(0, i64::saturating_add))
        }
    }
}

/// Bytes as Redis shows them to people.
fn for_people(bytes: i64) -> String {
    let units = [(1 << 40, 'T'), (1 << 30, 'G'), (1 << 20, 'M'), (1 << 10, 'K')];
    match units.iter().find(|(size, _)| bytes >= *size) {
        Some((size, letter)) => format!("{}{letter}", quotient(bytes, *size)),
        None => format!("{bytes}B"),
    }
}

/// A quotient with two decimals; that of nothing is 0.00.
fn quotient(number: i64, of: i64) -> String {
    let (number, of) = (i128::from(number), i128::from(of));
    let hundredths = (number * 200 + of).checked_div(of * 2).unwrap_or_default();
    format!("{}.{:02}", hundredths / 100, (hundredths % 100).abs())
}

/// `shard0:name=a,role=master,...`.
fn write_each(reports: &[Report<'_>], out: &mut String) {
    for (number, report) in reports.iter().enumerate() {
        let known = OF_EACH.iter().filter_map(|name| Some((name, report.fields.get(name)?)));
        let fields: Vec<String> = known.map(|(name, value)| format!(",{name}={value}")).collect();
        out.push_str(&format!("shard{number}:name={}{}\r\n", report.name, fields.concat()));
    }
}

/// The lines of this name that every shard has.
fn write_common_lines(name: &str, reports: &[Report<'_>], out: &mut String) {
    let Some((first, others)) = reports.split_first() else {
        return;
    };
    for line in first.lines.iter().filter(|(known, _)| *known == name) {
        if others.iter().all(|report| report.lines.contains(line)) {
            write_line(line.0, line.1, out);
        }
    }
}

/// Numbers by name, in the order in which the names came: `keys=1,expires=0`.
#[derive(Debug, Default)]
struct Numbers<'a> {
    list: Vec<(&'a str, i64)>,
}

impl<'a> Numbers<'a> {
    fn add(&mut self, name: &'a str, number: i64) {
        match self.list.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.saturating_add(number),
            None => self.list.push((name, number)),
        }
    }

    fn get(&self, name: &str) -> i64 {
        self.list.iter().find(|(known, _)| *known == name).map_or(0, |(_, number)| *number)
    }
}

impl std::fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, number)) in self.list.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}={number}")?;
        }
        Ok(())
    }
}

/// The whole numbers in `a=1,b=2`.
fn numbers_in(value: &str) -> Numbers<'_> {
    let pairs = value.split(',').filter_map(|pair| pair.split_once('='));
    let numbers = pairs.filter_map(|(name, number)| Some((name, number.parse().ok()?)));
    Numbers { list: numbers.collect() }
}

/// The sums of the lines whose names are `wanted`, in the order in which they came.
fn summed<'a>(
    reports: &[Report<'a>],
    wanted: impl Fn(&str) -> bool,
) -> Vec<(&'a str, Numbers<'a>)> {
    let mut sums: Vec<(&str, Numbers<'_>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let lines = reports.iter().flat_map(|report| report.lines.iter().copied());
    for (name, value) in lines.filter(|(name, _)| wanted(name)) {
        let place = *places.entry(name).or_insert(sums.len());
        if place == sums.len() {
            sums.push((name, Numbers::default()));
        }
        if let Some((_, sum)) = sums.get_mut(place) {
            numbers_in(value).list.iter().for_each(|(name, number)| sum.add(name, *number));
        }
    }
    sums
}

/// `db0:keys=..,expires=..,avg_ttl=..`: the average weighs each shard by its keys that expire.
fn write_keyspace(reports: &[Report<'_>], out: &mut String) {
    let is_database =
        |name: &str| name.strip_prefix("db").is_some_and(|number| number.parse::<u32>().is_ok());
    let mut databases = summed(reports, is_database);
    databases.sort_by_key(|(name, _)| (name.len(), *name));
    for (name, mut numbers) in databases {
        let of_shards = reports.iter().filter_map(|report| report.fields.get(name));
        let weighed = of_shards.map(|value| {
            let numbers = numbers_in(value);
            numbers.get("avg_ttl").saturating_mul(numbers.get("expires"))
        });
        let weighed = weighed.fold(0, i64::saturating_add);
        let average = weighed.checked_div(numbers.get("expires")).unwrap_or_default();
        for (_, number) in numbers.list.iter_mut().filter(|(name, _)| *name == "avg_ttl") {
            *number = average;
        }
        write_line(name, &numbers.to_string(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(merge: &Merge, texts: &[&str], expected: &str) {
        let reports: Vec<Report<'_>> =
            texts.iter().zip(["a", "b", "c"]).map(|(text, name)| Report::new(name, text)).collect();
        let mut out = String::new();
        merge.write(&reports, &mut out);
        assert_eq!(out.replace("\r\n", "\n"), expected, "{texts:?}");
    }

    #[test]
    fn each_rule_makes_one_value_of_all() {
        let cases: &[(Rule, &[&str], &str)] = &[
            (Sum, &["1", "2", "39"], "42"),
            (Bound, &["1", "2"], "3"),
            (Bound, &["1", "0"], "0"),
            (Seconds, &["0.25", "1.5"], "1.750000"),
            (Most, &["-1", "0"], "0"),
            (Least, &["7", "5"], "5"),
            (Status, &["ok", "ok"], "ok"),
            (Status, &["ok", "err"], "err"),
            (Same, &["x", "x"], "x"),
            (Same, &["x", "y", "x"], "x|y"),
            (SumForPeople, &["1023"], "1023B"),
            (SumForPeople, &["1000", "536"], "1.50K"),
            (SumForPeople, &["1610612736"], "1.50G"),
            (BoundForPeople, &["5", "0"], "0B"),
            (Sum, &["9223372036854775807", "1", "nonsense"], "9223372036854775807"),
        ];
        for (rule, values, expected) in cases {
            assert_eq!(merged(*rule, values, &[]), *expected, "{rule:?} {values:?}");
        }
    }

    #[test]
    fn fields_that_no_shard_has_are_left_out() {
        check(
            &Merge::Fields(MEMORY),
            &[
                "used_memory:100\r\nused_memory_rss:300\r\nother:1\r\n",
                "used_memory:100\r\nmaxmemory_policy:noeviction",
            ],
            "used_memory:200\nused_memory_human:200B\nused_memory_rss:300\nused_memory_rss_human:300B\n\
             maxmemory_policy:noeviction\nmem_fragmentation_ratio:1.50\n",
        );
        check(&Merge::Fields(CPU), &["", "# CPU"], "");
    }

    #[test]
    fn keys_are_added_and_their_average_is_weighed() {
        check(
            &Merge::Keyspace,
            &[
                "db0:keys=10,expires=1,avg_ttl=400\r\ndb10:keys=1,expires=0,avg_ttl=0\r\n",
                "db0:keys=5,expires=3,avg_ttl=800,subexpiry=2\r\ndb2:keys=1,expires=0,avg_ttl=0\r\ndbx:keys=1\r\n",
            ],
            "db0:keys=15,expires=4,avg_ttl=700,subexpiry=2\ndb2:keys=1,expires=0,avg_ttl=0\n\
             db10:keys=1,expires=0,avg_ttl=0\n",
        );
    }

    #[test]
    fn commands_errors_modules_and_roles_have_lines_of_their_own() {
        let stat = |calls: u32, usec: u32| {
            format!(
                "cmdstat_get:calls={calls},usec={usec},usec_per_call=9.99,rejected_calls=1,failed_calls=0\r\n"
            )
        };
        check(
            &Merge::Commandstats,
            &[&stat(1, 10), &stat(3, 20), "cmdstat_config|get:calls=0,usec=0,usec_per_call=0.00"],
            "cmdstat_get:calls=4,usec=30,usec_per_call=7.50,rejected_calls=2,failed_calls=0\n\
             cmdstat_config|get:calls=0,usec=0,usec_per_call=0.00\n",
        );
        check(
            &Merge::Errorstats,
            &["errorstat_ERR:count=1\r\nerrorstat_OOM:count=2", "errorstat_ERR:count=4"],
            "errorstat_ERR:count=5\nerrorstat_OOM:count=2\n",
        );
        check(
            &Merge::Modules,
            &["module:name=bf,ver=2\r\nmodule:name=x,ver=1", "module:name=bf,ver=2"],
            "module:name=bf,ver=2\n",
        );
        check(
            &Merge::Replication,
            &[
                "role:master\r\nconnected_slaves:1\r\nmaster_repl_offset:7",
                "role:slave\r\nconnected_slaves:0",
            ],
            "connected_slaves:1\nshard0:name=a,role=master,connected_slaves=1,master_repl_offset=7\n\
             shard1:name=b,role=slave,connected_slaves=0\n",
        );
    }
}

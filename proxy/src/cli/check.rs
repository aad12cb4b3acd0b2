//! `sluicegate check FILE`: is the file right, and what does it mean?
//!
//! In: a path. Out: all faults with their lines and exit code 1; or, with exit code 0, each pool with its shards, how
//! many of a fixed set of sample keys each shard gets, and the warnings. The sample keys are those of redis-benchmark,
//! so that the shares are what a load test will see. Plugins are loaded as `run` loads them, so that a config which its
//! plugin refuses is a fault here too.
//!
//! Nothing listens and no server is asked.

use std::fmt::Write;
use std::path::Path;

use super::{Outcome, finding_line, shown_bytes, shown_listen, shown_rules};
use crate::config::fault::Fault;
use crate::config::{self, Config, Distribution, Loaded, PoolConfig, Workers};
use crate::io::plugins::Plugins;
use crate::server;
use crate::topology::Topology;

/// Keys whose shards are counted for each pool.
const SAMPLE_KEYS: u32 = 100_000;

/// Checks the file at `path`.
pub fn check(path: &Path) -> Outcome {
    report(path, config::load(path).and_then(with_plugins))
}

/// What was read, unless its plugins cannot be loaded; each fault names the setting that it is about.
fn with_plugins(loaded: Loaded) -> Result<Loaded, Vec<Fault>> {
    let workers = server::worker_count(loaded.config.workers);
    match Plugins::load(&loaded.config, workers) {
        Ok(_) => Ok(loaded),
        Err(texts) => Err(texts.into_iter().map(Fault::from_text).collect()),
    }
}

/// What to say about a file that was read.
fn report(path: &Path, result: Result<Loaded, Vec<Fault>>) -> Outcome {
    match result {
        Ok(loaded) => Outcome { text: summary(path, &loaded), exit_code: 0 },
        Err(faults) => Outcome { text: fault_list(path, &faults), exit_code: 1 },
    }
}

fn fault_list(path: &Path, faults: &[Fault]) -> String {
    let mut text: String = faults.iter().map(|fault| finding_line(path, fault) + "\n").collect();
    let count = match faults.len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    text.push_str(&format!("{}: {count}\n", path.display()));
    text
}

fn summary(path: &Path, loaded: &Loaded) -> String {
    let config = &loaded.config;
    let mut text = format!("{}: ok, {}\n", path.display(), shown_workers(config.workers));
    let mut warnings: Vec<String> = Vec::new();
    for pool in &config.pools {
        text.push('\n');
        text.push_str(&pool_summary(config, pool, &mut warnings));
    }
    let of_file = loaded.warnings.iter();
    let of_file = of_file.map(|warning| finding_line(path, warning));
    let of_pools = warnings.iter().map(|warning| format!("{}: {warning}", path.display()));
    for (index, warning) in of_file.chain(of_pools).enumerate() {
        if index == 0 {
            text.push('\n');
        }
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

fn shown_workers(workers: Workers) -> String {
    match workers {
        Workers::Auto => "one worker per CPU".to_owned(),
        Workers::Count(1) => "1 worker".to_owned(),
        Workers::Count(count) => format!("{count} workers"),
    }
}

fn pool_summary(config: &Config, pool: &PoolConfig, warnings: &mut Vec<String>) -> String {
    let mut text =
        format!("pool {} on {}: {}\n", pool.name, shown_listen(&pool.listen), shown_rules(pool));
    let topology = Topology::from_pool(pool);
    let counts = sample_counts(&topology);
    let width = |names: &mut dyn Iterator<Item = usize>| names.max().unwrap_or_default();
    let name_width = width(&mut pool.shards.iter().map(|shard| shard.name.chars().count()));
    let addresses: Vec<_> = pool.shards.iter().map(|s| s.address.to_string()).collect();
    let address_width = width(&mut addresses.iter().map(|text| text.chars().count()));
    for ((shard, address), count) in pool.shards.iter().zip(&addresses).zip(&counts) {
        let share = f64::from(*count) * 100.0 / f64::from(SAMPLE_KEYS);
        let _ = writeln!(
            text,
            "  shard {:name_width$}  {address:address_width$}  weight {}  {share:.1}% of {SAMPLE_KEYS} sample keys",
            shard.name, shard.weight
        );
        if *count == 0 && pool.distribution != Distribution::Random {
            warnings.push(format!(
                "pool {}: shard {} gets none of {SAMPLE_KEYS} sample keys",
                pool.name, shard.name
            ));
        }
    }
    for binding in &pool.bindings {
        let keys: Vec<_> = binding.keys.iter().map(|key| shown_bytes(key)).collect();
        let plugin = config.plugins.get(binding.plugin);
        let name = plugin.map_or("", |plugin| plugin.name.as_str());
        let _ = writeln!(text, "  plugin {name} on {}", keys.join(" "));
    }
    let _ = writeln!(text, "  ring fingerprint {:016x}", topology.fingerprint());
    text
}

/// How many of the sample keys each shard gets.
fn sample_counts(topology: &Topology) -> Vec<u32> {
    let mut counts = vec![0; topology.len()];
    for number in 0..SAMPLE_KEYS {
        let shard = topology.shard_of(format!("key:{number:012}").as_bytes());
        if let Some(count) = counts.get_mut(usize::from(shard)) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Outcome {
        let path = Path::new("gate.yaml");
        report(path, config::parse(text, path))
    }

    #[test]
    fn faults_are_listed_with_file_and_line_and_fail() {
        let text = "pools:\n  a:\n    listen: h:1\n    shards: [h:1, x]\n    backlog: 0\n";
        let expected = "\
gate.yaml:4: pools.a.shards[1]: found \"x\", allowed: host:port or /path/to/socket
gate.yaml:5: pools.a.backlog: found 0, allowed: a whole number from 1 to 65535
gate.yaml: 2 faults
";
        let outcome = checked(text);
        assert_eq!((outcome.text.as_str(), outcome.exit_code), (expected, 1));
    }

    #[test]
    fn missing_file_fails() {
        let outcome = check(Path::new("no/such.yaml"));
        assert!(outcome.text.starts_with("no/such.yaml: cannot read no/such.yaml: "));
        assert_eq!(outcome.exit_code, 1);
    }

    #[test]
    fn good_file_is_summed_up_with_shares_plugins_and_warnings() {
        let text = "\
workers: 2
plugins: {cache: {file: c.wasm}}
pools:
  a:
    listen: 127.0.0.1:6380
    distribution: modula
    shards: ['[::1]:7001', {name: long-name, address: /run/b.sock}]
    plugins: [{use: cache, keys: ['cache:*', 'x*']}]
  b:
    listen: /run/gate.sock
    distribution: ketama
    hash_tag: ''
    shards: [{name: all, address: 'h:1', weight: 100000}, {name: none, address: 'h:2'}]
";
        let expected = "\
gate.yaml: ok, 2 workers

pool a on 127.0.0.1:6380: modula, hash fnv1a_64, hash tag {}
  shard [::1]:7001  [::1]:7001   weight 1  50.0% of 100000 sample keys
  shard long-name   /run/b.sock  weight 1  50.0% of 100000 sample keys
  plugin cache on cache:* x*
  ring fingerprint 0

pool b on /run/gate.sock: ketama, hash fnv1a_64, no hash tag
  shard all   h:1  weight 100000  100.0% of 100000 sample keys
  shard none  h:2  weight 1  0.0% of 100000 sample keys
  ring fingerprint 0

warning: gate.yaml: pool b: shard none gets none of 100000 sample keys
";
        let outcome = checked(text);
        let without_prints: Vec<String> = outcome.text.lines().map(without_print).collect();
        assert_eq!(without_prints.join("\n") + "\n", expected);
        assert_eq!(outcome.exit_code, 0);
    }

    /// Fingerprints have their own test in `topology`.
    fn without_print(line: &str) -> String {
        match line.strip_prefix("  ring fingerprint ") {
            Some(print) if print.len() == 16 => "  ring fingerprint 0".to_owned(),
            _ => line.to_owned(),
        }
    }
}

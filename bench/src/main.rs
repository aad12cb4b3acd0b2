//! `make bench`: the gateway, direct Redis, twemproxy and HAProxy under the same load, in one run.
//!
//! Three redis-servers are shared by all; the gateway runs with one worker, the others with one thread. Each round
//! runs every workload on every subject in turn, so that a change of the machine's speed meets all of them; the
//! medians over the rounds are printed with the ratios that DESIGN section 9 bounds. `--quick` shortens, `--save`
//! keeps the result as JSON in bench/results. Numbers of different runs are not comparable, ratios are.
//! `plugins` measures what plugins cost instead: all of it, or one group (`plugins swaps`).

mod plugins;
mod report;
mod subject;
mod workload;

use report::Table;
use sluicegate_tests::real_server::RealServer;
use subject::Subject;
use workload::WORKLOADS;

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "plugins") {
        args.remove(0);
        let quick = args.iter().position(|arg| arg == "--quick").map(|place| args.remove(place));
        let effort = match quick {
            Some(_) => plugins::Effort { rounds: 3, share: 4 },
            None => plugins::Effort { rounds: 7, share: 1 },
        };
        return plugins::run(effort, args.first().map(String::as_str));
    }
    let known = |arg: &String| ["--quick", "--save"].contains(&arg.as_str());
    if let Some(stranger) = args.iter().find(|arg| !known(arg)) {
        eprintln!("unknown argument {stranger}: --quick or --save");
        std::process::exit(2);
    }
    let has = |name: &str| args.iter().any(|arg| arg == name);
    let (rounds, share) = if has("--quick") { (2, 5) } else { (5, 1) };

    let shards = RealServer::start_many(3);
    let subjects = Subject::start_all(&shards);
    let mut table = Table::new(&subjects);
    for round in 1..=rounds {
        for workload in WORKLOADS {
            eprintln!("round {round} of {rounds}: {}", workload.name);
            for (index, subject) in subjects.iter().enumerate() {
                table.add(workload, index, workload.run(subject, workload.requests / share));
            }
        }
    }
    println!("{table}");
    if has("--save") {
        println!("saved: {}", table.save().display());
    }
}

//! The `sluicegate` command: arguments, logs and exit codes; everything else is in the library.
//!
//! Exit codes: 0 all well; 1 the configuration has faults, the gateway could not start or what was asked for does
//! not exist; 2 wrong usage (clap's). Logs go to standard error, as text or one JSON object a line.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use sluicegate::author::{self, arguments::PluginCommand};
use sluicegate::cli::{self, Outcome, check, explain};
use sluicegate::config::{self, Workers};
use sluicegate::server::Gateway;
use sluicegate::{command, demo, limits, resp};

/// One Redis endpoint over many shards, with patterns as WebAssembly plugins.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// How the log on standard error is written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C
    Run {
        /// Our own YAML or a twemproxy nutcracker.yml
        #[arg(short, long, default_value = "sluicegate.yaml")]
        config: PathBuf,
        /// Number of worker threads, instead of the file's
        #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..=i64::from(limits::WORKERS_MAX)))]
        workers: Option<u16>,
    },
    /// Three shards, a gateway on 127.0.0.1:6380 and a guided tour; stays up until Ctrl-C
    Demo {
        /// End after the tour; the exit code says whether every step held
        #[arg(long)]
        once: bool,
    },
    /// Tell all faults of a configuration, or what it means
    Check {
        /// The file
        file: PathBuf,
    },
    /// Write, build, check, measure, run and reload plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Tell where a command's keys live and which plugins would run
    Explain {
        /// The configuration
        #[arg(short, long, default_value = "sluicegate.yaml")]
        config: PathBuf,
        /// Only this pool
        #[arg(short, long)]
        pool: Option<String>,
        /// A command as a client would send it: GET user:1
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.log_format, &cli.command);
    let outcome = match cli.command {
        Command::Run { config, workers } => run(&config, workers),
        Command::Demo { once } => run_demo(once),
        Command::Check { file } => Ok(check::check(&file)),
        Command::Plugin(PluginCommand::Run { path, config }) => run_project(&path, &config),
        Command::Plugin(command) => author::run(command),
        Command::Explain { config, pool, command } => explain_command(&config, pool, &command),
    };
    match outcome {
        Ok(outcome) => {
            // A reader that has gone (`| head`) is no fault of ours.
            let _closed_pipe = std::io::stdout().write_all(outcome.text.as_bytes());
            ExitCode::from(outcome.exit_code)
        }
        Err(text) => {
            eprintln!("{}", text.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn start_log(format: LogFormat, command: &Command) {
    // The demo's tour is to stay readable.
    let quiet = matches!(command, Command::Demo { .. } | Command::Plugin(_))
        && !matches!(command, Command::Plugin(PluginCommand::Run { .. }));
    let level = if quiet { "warn" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

fn load(file: &Path) -> Result<config::Config, String> {
    match config::load(file) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tracing::warn!("{}", cli::finding_line(file, warning));
            }
            Ok(loaded.config)
        }
        Err(_) => Err(check::check(file).text),
    }
}

fn run(file: &Path, workers: Option<u16>) -> Result<Outcome, String> {
    let mut config = load(file)?;
    if let Some(workers) = workers {
        config.workers = Workers::Count(workers);
    }
    let name = file.display().to_string();
    let gateway = Gateway::start_from(config, &name).map_err(|error| error.to_string())?;
    for place in gateway.places() {
        tracing::info!(pool = place.pool, address = %place.address, "listening");
    }
    wait_for_signal().map_err(|error| error.to_string())?;
    tracing::info!("stopping: no new clients, answering what was asked");
    gateway.shutdown();
    Ok(Outcome { text: String::new(), exit_code: 0 })
}

fn run_demo(once: bool) -> Result<Outcome, String> {
    let exit_code = demo::run(once).map_err(|error| error.to_string())?;
    Ok(Outcome { text: String::new(), exit_code })
}

fn run_project(folder: &Path, config: &Path) -> Result<Outcome, String> {
    demo::project::run(folder, config)?;
    Ok(Outcome { text: String::new(), exit_code: 0 })
}

fn wait_for_signal() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kind = tokio::signal::unix::SignalKind::terminate();
        let mut terminate = tokio::signal::unix::signal(kind)?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            result = tokio::signal::ctrl_c() => result,
        }
    })
}

fn explain_command(file: &Path, pool: Option<String>, words: &[String]) -> Result<Outcome, String> {
    let config = load(file)?;
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let mut raw = Vec::new();
    resp::write::request(&mut raw, words.iter().copied());
    let mut scan = resp::request::RequestScan::default();
    scan.scan(&raw, &resp::request::RequestLimits::OPEN);
    let args = resp::args::Args::new(&raw, scan.spans());
    let spec = command::resolve::resolve(&args).map_err(|error| {
        let mut reply = Vec::new();
        error.write(&args, &mut reply);
        String::from_utf8_lossy(&reply).trim_start_matches('-').to_owned()
    })?;
    let mut places = Vec::new();
    command::keys::keys(spec, &args, &mut places).map_err(|error| error.to_string())?;
    let keys: Vec<&[u8]> = places.iter().filter_map(|place| args.get(*place as usize)).collect();
    Ok(explain::explain(&config, pool.as_deref(), &words, &keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_at_least_one_and_at_most_what_a_file_may_say() {
        for (count, taken) in [("0", false), ("1", true), ("256", true), ("257", false)] {
            let parsed = Cli::try_parse_from(["sluicegate", "run", "--workers", count]);
            assert_eq!(parsed.is_ok(), taken, "{count}");
        }
    }
}

//! The `sluicegate` command: arguments, logs and exit codes; everything else is in the library.
//!
//! Exit codes: 0 all well, 1 the configuration has faults or the gateway could not start, 2 wrong usage (clap's).
//! Logs go to standard error, as text or (`--log-format json`) one JSON object a line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sluicegate::server::Gateway;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C
    Run {
        /// The configuration: our own YAML or a twemproxy nutcracker.yml
        #[arg(short, long, default_value = "sluicegate.yaml")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let Command::Run { config } = Cli::parse().command;
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &std::path::Path) -> Result<(), String> {
    let loaded = sluicegate::config::load(config).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let gateway = Gateway::start(loaded.config).map_err(|error| error.to_string())?;
    for (pool, address) in gateway.addresses() {
        tracing::info!(pool, %address, "listening");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(wait_for_signal()).map_err(|error| error.to_string())?;
    tracing::info!("stopping: no new clients, answering what was asked");
    gateway.shutdown();
    Ok(())
}

async fn wait_for_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(())
}

//! What `sluicegate plugin` takes on the command line.
//!
//! In: words. Out: a `PluginCommand`, read by clap; the texts of `--help` stand here, for authors and operators.
//! No decision is taken, nothing is read or written.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Write a project for a new plugin: it builds and passes its own test at once
    New {
        /// Its name: lower-case letters, digits and dashes
        name: String,
    },
    /// Build the project for WebAssembly, put NAME.wasm into its folder and check it
    Build {
        /// The project's folder
        #[arg(long, default_value = ".")]
        path: PathBuf,
    },
    /// Run the project's own tests, natively
    Test {
        /// The project's folder
        #[arg(long, default_value = ".")]
        path: PathBuf,
        /// Words for the tests' own program: part of a test's name, or such as --nocapture
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Tell what a plugin file is, and whether a gateway would take it
    Check {
        /// The .wasm file
        file: PathBuf,
        /// A binding's config: JSON, or a YAML file
        #[arg(long, conflicts_with_all = ["plugin", "gateway"])]
        config: Option<String>,
        /// As this plugin of the gateway's configuration: with its limits, grants and bindings
        #[arg(long, requires = "gateway")]
        plugin: Option<String>,
        /// The gateway's configuration
        #[arg(short = 'c', long = "gateway", requires = "plugin")]
        gateway: Option<PathBuf>,
    },
    /// Measure a plugin's hooks and commands against the same flow in native Rust
    Bench {
        /// The .wasm file
        file: PathBuf,
        /// A binding's config: JSON, or a YAML file
        #[arg(long)]
        config: Option<String>,
        /// Only this hook or command
        #[arg(long)]
        only: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Fewer repetitions
        #[arg(long)]
        quick: bool,
    },
    /// Run shards and a gateway with the project's plugin; rebuild it on save and swap it
    Run {
        /// The project's folder
        #[arg(long, default_value = ".")]
        path: PathBuf,
        /// The gateway's configuration, in the project's folder
        #[arg(short, long, default_value = "gateway.yaml")]
        config: PathBuf,
    },
    /// Let a running gateway read plugin files again
    Reload {
        /// Plugins of its configuration; none: all
        names: Vec<String>,
        /// Where it listens; else what the configuration says, else 127.0.0.1:6380
        #[arg(short, long)]
        address: Option<String>,
        /// Its configuration, for the address and the password
        #[arg(short, long)]
        config: Option<PathBuf>,
        /// The user for AUTH
        #[arg(long, requires = "password")]
        user: Option<String>,
        /// The password for AUTH
        #[arg(long)]
        password: Option<String>,
    },
}

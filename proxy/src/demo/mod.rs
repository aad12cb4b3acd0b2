//! `sluicegate demo`: three shards, a gateway, and a guided tour of real commands with their real results.
//!
//! ```text
//!   find ──► stage: folder, shards, gateway ──► tour: plain, cache, swap ──► stays up until Ctrl-C
//!                                                │
//!                                     client, crowd: RESP over TCP, as any client's
//! ```
//! In: whether to end after the tour. Out: text on standard output and an exit code that says whether every step held.
//! The tour sees the gateway only through connections; each step says what it expects and checks it. Whatever ends
//! the demo (the end of the tour, an error, Ctrl-C), its servers and its folder go with the `Stage` that owns them.

mod cache;
mod client;
mod crowd;
mod find;
mod plain;
pub mod project;
mod reply;
mod screen;
mod shards;
mod stage;
mod stop;
mod swap;
mod tour;

use std::io;
use std::path::{Path, PathBuf};

use crate::server::StartError;
use find::Surroundings;
use screen::Screen;
use stage::Stage;
use stop::{Interrupted, Stop};
use tour::Tour;

/// Where everything of the demo listens.
const LOCAL: &str = "127.0.0.1";
/// As a shell shows a program that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A program or file is not there.
    #[error("{0}")]
    Missing(String),
    /// The process's signals cannot be listened to.
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    /// There is no free port.
    #[error("cannot find a free port on {LOCAL}: {0}")]
    Port(io::Error),
    /// The system does not run the server.
    #[error("cannot start {program}: {error}")]
    Spawn {
        /// What was to run.
        program: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The server ended or stayed silent.
    #[error("{program} does not answer{log}")]
    NoAnswer {
        /// What runs.
        program: PathBuf,
        /// The end of its log, as a clause.
        log: String,
    },
    /// A file of the demo cannot be written.
    #[error("{file}: {error}")]
    File {
        /// Which.
        file: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The demo's own configuration was refused.
    #[error("the demo's configuration has faults:{0}")]
    Config(String),
    /// The gateway did not start.
    #[error("the gateway does not start: {0}")]
    Gateway(#[from] StartError),
    /// The gateway told no address.
    #[error("the gateway listens on no TCP address")]
    NoAddress,
    /// The user ended the demo.
    #[error("interrupted")]
    Interrupted,
}

impl From<Interrupted> for DemoError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

/// Runs the demo; `once` ends it after the tour. Gives the exit code.
pub fn run(once: bool) -> Result<u8, DemoError> {
    let around = Surroundings::of_process();
    let missing = |missing: find::Missing| DemoError::Missing(missing.to_string());
    let server = around.server().map_err(missing)?;
    let plugins = around.plugins().map_err(missing)?;
    let stop = Stop::listen().map_err(DemoError::Signals)?;
    match show(&server, &plugins, &stop, once) {
        Err(DemoError::Interrupted) => Ok(EXIT_INTERRUPTED),
        result => result,
    }
}

fn show(server: &Path, plugins: &Path, stop: &Stop, once: bool) -> Result<u8, DemoError> {
    let mut screen = Screen::new();
    screen.title("sluicegate demo: three shards, one gateway, a guided tour");
    let stage = Stage::set_up(server, plugins, stop)?;
    introduce(&screen, server, &stage);
    Tour::new(&stage, stop, &mut screen).run()?;
    let (held, failed) = screen.counts();
    screen.title(&match failed {
        0 => format!("\nAll {held} checks held."),
        _ => format!("\n{failed} of {} checks did not hold.", held + failed),
    });
    if !once {
        invite(&screen, &stage);
        stop.wait();
        screen.title("\nending: the gateway answers what was asked, then the servers end");
    }
    Ok(u8::from(failed > 0))
}

fn introduce(screen: &Screen, server: &Path, stage: &Stage) {
    screen.row(&format!("server    {}", server.display()));
    for shard in &stage.shards {
        screen.row(&format!("shard {}   {}", shard.name, shard.address));
    }
    screen.row(&format!("gateway   {}", stage.address));
    if stage.address.port() != stage::PORT {
        let port = stage::PORT;
        screen.row(&format!(
            "          (port {port} is taken by another program, so it is a free one)"
        ));
    }
    screen.row(&format!("plugins   {}", stage.plugins.join(", ")));
    screen.row(&format!("config    {}", stage.config_file().display()));
}

/// How this program is started again: it is seldom on PATH.
fn this_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("sluicegate"))
}

fn invite(screen: &Screen, stage: &Stage) {
    let port = stage.address.port();
    screen.text("It is yours until Ctrl-C. In another terminal:");
    screen.row(&format!(
        "redis-cli -p {port}                          any command; INFO plugins; CACHE.STATS"
    ));
    screen.row(&format!("redis-benchmark -p {port} -t set,get -r 100000 -P 16 -q"));
    // Two lines, each short enough to stay whole, that a shell takes as one.
    screen.row(&format!("{} explain \\", this_program().display()));
    screen.row(&format!("  -c {} GET user:1", stage.config_file().display()));
    for shard in &stage.shards {
        screen.row(&format!(
            "redis-cli -p {:<5}                         shard {} itself",
            shard.address.port(),
            shard.name
        ));
    }
}

//! `sluicegate plugin run`: shards, a gateway with the project's plugin, and a build each time a source is saved.
//!
//! ```text
//!   sources change ──► cargo build ──► NAME.wasm ──► the gateway sees it by itself, checks it, swaps it or says why not
//! ```
//! In: a project's folder and the configuration in it. Out: words on standard output until Ctrl-C; then the gateway and the
//! servers that were started here end. Everything listens on the loopback; a shard that runs already is used as it is.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::find::Surroundings;
use super::shards::{self, Shard};
use super::stage;
use super::stop::Stop;
use crate::author::build::compile;
use crate::author::project::Project;
use crate::cli::check;
use crate::config::{self, Config, Listen, with_port};
use crate::server::Gateway;

/// Between two looks at the sources.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// For a shard that may run already.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the project in `folder` until Ctrl-C.
pub fn run(folder: &Path, config: &Path) -> Result<(), String> {
    let project = Project::find(folder)?;
    let file = folder.join(config);
    let stop = Stop::listen().map_err(|error| format!("cannot listen to signals: {error}"))?;
    let mut seen = sources(&project, Some(&file));
    let Running { shards, gateway, .. } = loop {
        say(&format!("building {} ...", project.name));
        match compile(&project).and_then(|_| start(&file, &stop)) {
            Ok(running) => break running,
            Err(text) => say(&format!(
                "{text}\nwaiting for a change of its sources or of {}",
                file.display()
            )),
        }
        if !wait_for_change(&project, Some(&file), &mut seen, &stop) {
            return Ok(());
        }
    };
    seen = sources(&project, None);
    for shard in &shards {
        say(&format!("shard      {} (started here)", shard.address));
    }
    for place in gateway.places() {
        say(&format!("gateway    {} (pool {})", place.address, place.pool));
    }
    say("save a source and it is built and swapped in; Ctrl-C ends everything");
    while wait_for_change(&project, None, &mut seen, &stop) {
        say(&format!("building {} ...", project.name));
        match compile(&project) {
            Ok(file) => say(&format!("built {}", file.display())),
            Err(text) => say(&format!("{text}; the old one stays")),
        }
    }
    say("ending: the gateway answers what was asked, then the servers end");
    gateway.shutdown();
    Ok(())
}

/// What runs: the servers end with it.
struct Running {
    shards: Vec<Shard>,
    gateway: Gateway,
    _temporary: stage::Folder,
}

/// Starts the shards and the gateway of a configuration.
fn start(file: &Path, stop: &Stop) -> Result<Running, String> {
    let loaded = config::load(file).map_err(|_| check::check(file).text)?;
    let temporary = stage::Folder::new().map_err(|error| error.to_string())?;
    let shards = start_shards(&loaded.config, temporary.path(), stop)?;
    let name = file.display().to_string();
    let gateway = Gateway::start_from(loaded.config, &name).map_err(|error| error.to_string())?;
    Ok(Running { shards, gateway, _temporary: temporary })
}

/// Says something to the author.
fn say(text: &str) {
    // A reader that has gone is no fault of ours.
    let _closed_pipe = writeln!(std::io::stdout(), "{text}");
}

/// Waits until a source is another one, or `more` is; false when the author ends it.
fn wait_for_change(
    project: &Project,
    more: Option<&Path>,
    seen: &mut Sources,
    stop: &Stop,
) -> bool {
    loop {
        if stop.pause(LOOK_INTERVAL).is_err() {
            return false;
        }
        let now = sources(project, more);
        if now != *seen {
            *seen = now;
            return true;
        }
    }
}

/// The sources with the times of their last change, in order.
type Sources = Vec<(PathBuf, Option<SystemTime>)>;

fn sources(project: &Project, more: Option<&Path>) -> Sources {
    let mut found = Vec::new();
    let mut folders = vec![project.folder.join("src"), project.folder.join("sdk/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path, entry.metadata().and_then(|facts| facts.modified()).ok()));
            }
        }
    }
    for file in [Some(project.folder.join("Cargo.toml")), more.map(Path::to_path_buf)] {
        let Some(file) = file else { continue };
        let changed = std::fs::metadata(&file).and_then(|facts| facts.modified()).ok();
        found.push((file, changed));
    }
    found.sort();
    found
}

/// Starts a server for each shard where none answers.
fn start_shards(config: &Config, folder: &Path, stop: &Stop) -> Result<Vec<Shard>, String> {
    let mut started: Vec<Shard> = Vec::new();
    for pool in &config.pools {
        if let Listen::Tcp { host, port } = &pool.listen {
            loopback(&format!("pools.{}.listen", pool.name), &with_port(host, *port))?;
        }
        for shard in &pool.shards {
            let place = format!("pools.{}.shards: {}", pool.name, shard.name);
            let address = loopback(&place, &shard.address.to_string())?;
            let is_ours = started.iter().any(|shard| shard.address == address);
            if is_ours || TcpStream::connect_timeout(&address, KNOCK_TIMEOUT).is_ok() {
                continue;
            }
            let program = Surroundings::of_process().server().map_err(|error| error.to_string())?;
            let shard = shards::start_on(&program, folder, address.port(), stop);
            started.push(shard.map_err(|error| error.to_string())?);
        }
    }
    Ok(started)
}

/// An address of this machine alone.
fn loopback(place: &str, address: &str) -> Result<SocketAddr, String> {
    let found = address.to_socket_addrs().ok().and_then(|mut found| found.next());
    match found {
        Some(found) if found.ip().is_loopback() => Ok(found),
        Some(_) | None => Err(format!(
            "{place} is {address}: `plugin run` is for this machine alone, use 127.0.0.1; `sluicegate run` serves others"
        )),
    }
}

//! The tour's chapter on hot swap: a plugin's file is replaced while a client works.
//!
//! In: a tour. Out: the generation before and after, and how many requests went through meanwhile. The new file is the
//! old one with a custom section added: other bytes, another SHA-256, the same behaviour. It replaces the old one in one
//! step (rename), as `scripts/build-plugins` and any careful deployment do.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::Client;
use super::reply::Reply;
use super::tour::{Tour, TourError};

/// How long the gateway may take to run the new file.
const SWAP_TIMEOUT: Duration = Duration::from_secs(15);
/// Requests that must have been answered before the file is replaced, and again after the swap.
const REQUESTS_MIN: usize = 100;
/// Name of the section that makes the file another one.
const SECTION_NAME: &[u8] = b"sluicegate-demo";

/// Replaces cache.wasm under load.
pub(super) fn hot_swap(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let key = "cache:swap";
    tour.ask(&["SETEX", key, "60", "steady"])?;
    let before = running(tour)?;
    tour.screen.row(&format!(
        "cache runs as generation {}, SHA-256 {} ...",
        before.generation, before.sha256
    ));
    let load = Load::start(tour.stage.address, key)?;
    load.wait_for(tour, REQUESTS_MIN)?;
    tour.screen.text(
        "A client sends GET cache:swap without pause; meanwhile the file cache.wasm is replaced.",
    );
    replace(&tour.stage.plugin_file("cache"))?;
    let mut client = tour.connect()?;
    let after = tour.until("INFO plugins shows another generation", SWAP_TIMEOUT, || {
        let info = client.command(&["INFO", "plugins"]).ok()?.text();
        find(&info, "cache").filter(|now| now.generation != before.generation)
    })?;
    tour.screen.row(&format!(
        "cache runs as generation {}, SHA-256 {} ...",
        after.generation, after.sha256
    ));
    load.wait_for(tour, load.answered() + REQUESTS_MIN)?;
    let (requests, failure) = load.end();
    tour.check("the generation number went up", true, after.generation > before.generation);
    tour.check("the file's SHA-256 is another", true, after.sha256 != before.sha256);
    let found = failure.unwrap_or_else(|| "none".to_owned());
    tour.check(
        &format!("of {requests} requests before, during and after the swap none failed"),
        "none",
        found,
    );
    Ok(())
}

/// What INFO says of one plugin.
#[derive(Debug, PartialEq, Eq)]
struct Running {
    generation: u64,
    /// Its first digits.
    sha256: String,
}

fn running(tour: &mut Tour<'_>) -> Result<Running, TourError> {
    let info = tour.quiet(&["INFO", "plugins"])?.text();
    find(&info, "cache").ok_or_else(|| TourError::Unmet("INFO plugins shows no cache".to_owned()))
}

/// The first line of INFO plugins about the plugin `name`.
fn find(info: &str, name: &str) -> Option<Running> {
    let wanted = format!("name={name}");
    let field = |line: &str, name: &str| {
        line.split(',')
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    let lines = info.lines().filter_map(|line| line.split_once(':'));
    let (_, line) =
        lines.into_iter().find(|(_, line)| line.split(',').any(|field| field == wanted))?;
    Some(Running {
        generation: field(line, "generation")?.parse().ok()?,
        sha256: field(line, "sha256")?.chars().take(12).collect(),
    })
}

/// Puts a file with one more section in the place of `file`.
fn replace(file: &Path) -> io::Result<()> {
    let wasm = std::fs::read(file)?;
    let new = file.with_extension("new");
    std::fs::write(&new, with_section(&wasm))?;
    std::fs::rename(new, file)
}

/// `wasm` with an empty custom section at its end: id 0, the size of what follows, the length of the name, the name.
fn with_section(wasm: &[u8]) -> Vec<u8> {
    // Both lengths are below 128, where WebAssembly's variable-length number is one byte.
    let name_len = u8::try_from(SECTION_NAME.len()).unwrap_or(0);
    [wasm, &[0, name_len + 1, name_len], SECTION_NAME].concat()
}

/// A client that asks without pause.
struct Load {
    ended: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<Option<String>>,
}

impl Load {
    fn start(address: SocketAddr, key: &str) -> io::Result<Self> {
        let mut client = Client::connect(address)?;
        let (ended, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (end, count, key) = (Arc::clone(&ended), Arc::clone(&answered), key.to_owned());
        let thread = std::thread::Builder::new().name("load".into()).spawn(move || {
            let mut failure = None;
            while failure.is_none() && !end.load(Ordering::Relaxed) {
                failure = match client.command(&["GET", &key]) {
                    Ok(Reply::Bulk(value)) if value == b"steady" => None,
                    Ok(other) => Some(other.line()),
                    Err(error) => Some(error.to_string()),
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
            failure
        })?;
        Ok(Self { ended, answered, thread })
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many requests are answered, or one has failed.
    fn wait_for(&self, tour: &Tour<'_>, count: usize) -> Result<(), TourError> {
        let reached = || self.answered() >= count || self.thread.is_finished();
        tour.until("the load went on", SWAP_TIMEOUT, || reached().then_some(()))
    }

    /// Ends it; how many requests it sent, and what was wrong with the last.
    fn end(self) -> (usize, Option<String>) {
        self.ended.store(true, Ordering::Relaxed);
        let failure = self.thread.join().unwrap_or_else(|_| Some("the load panicked".to_owned()));
        (self.answered.load(Ordering::Relaxed), failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_and_hash_are_found_in_the_line_of_their_plugin() {
        let info = "# Plugins\r\nplugin_main_0:name=pass,version=1.0.0,generation=1,sha256=ff,keys=x\r\n\
                    plugin_main_1:name=cache,version=1.0.0,generation=12,sha256=0123456789abcdef,keys=cache:* a=b\r\n";
        let expected = Running { generation: 12, sha256: "0123456789ab".to_owned() };
        assert_eq!(find(info, "cache"), Some(expected));
        assert_eq!(find(info, "cach"), None);
        assert_eq!(find("# Plugins\r\n", "cache"), None);
    }

    #[test]
    fn added_section_is_one_that_webassembly_skips() {
        let wasm = with_section(b"\0asm\x01\0\0\0");
        let expected: &[u8] = b"\0asm\x01\0\0\0\0\x10\x0fsluicegate-demo";
        assert_eq!(wasm, expected);
    }
}

//! How the Rust programs of the client matrix report: one line per step, and on to the next one.
//!
//! Comes in: a step's name and its work. Goes out: `step ok` or `step FAIL reason` on standard output. What a step
//! finds wrong is an error, so that nothing panics; a hang is for the test that runs the program.

use std::error::Error;
use std::fmt::Debug;

/// How a step went.
pub type Outcome = Result<(), Box<dyn Error>>;

/// Keys of the MGET and SCAN steps.
pub const MANY: usize = 120;

/// 1 MiB with every byte value.
pub fn binary() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(1 << 20).collect()
}

/// An error that says what is wrong, unless it is as wanted.
pub fn expect<Found: Debug + PartialEq<Wanted>, Wanted: Debug>(
    what: &str,
    found: Found,
    wanted: Wanted,
) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, wanted {wanted:?}").into())
}

/// Does a step and says how it went.
pub fn step(name: &str, work: impl FnOnce() -> Outcome) {
    match work() {
        Ok(()) => println!("{name} ok"),
        Err(error) => {
            let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            println!("{name} FAIL {}", text.chars().take(300).collect::<String>());
        }
    }
}

/// PORT and PREFIX of the command line.
pub fn arguments() -> (u16, String) {
    let mut words = std::env::args().skip(1);
    let port = words.next().and_then(|port| port.parse().ok());
    let (Some(port), Some(prefix)) = (port, words.next()) else {
        eprintln!("usage: PROGRAM PORT PREFIX");
        std::process::exit(2);
    };
    (port, prefix)
}

/// The version of a crate that this program was built with.
pub fn locked_version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let after =
        lock.split_once(&format!("\nname = \"{name}\"\nversion = \"")).map(|(_, after)| after);
    after.and_then(|after| after.split('"').next()).unwrap_or("?")
}

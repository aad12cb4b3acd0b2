//! The tour's chapters on the pattern `cache`: stale while one recomputes, and two crowds.
//!
//! In: a tour whose gateway binds `cache` to `cache:*` with a grace of 20 s, a lease of 2 s and a wait of 1 s. Out:
//! commands, replies and checks on its screen. The clients run the ordinary code of any service: GET, and SETEX after a
//! nil. Times are shown but not judged; that nobody waited is judged by order: the answers were there before the refill.

use std::time::Duration;

use super::client::Client;
use super::crowd::{self, Answer};
use super::reply::Reply;
use super::tour::{Tour, TourError};

/// Clients in a crowd.
const CROWD: usize = 200;
/// How long a value with a TTL of a second may take to become stale.
const STALE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the first of a crowd may take to be told to recompute.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client needs to compute a value, in the chapter on the missing key. Below the `wait` of a second.
const COMPUTE_TIME: Duration = Duration::from_millis(150);

/// A stale value: the first to ask is told to recompute, the others are served.
pub(super) fn stale_value(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let key = "cache:report";
    tour.screen.text("The key lives for a second, and the plugin keeps it 20 s longer (grace).");
    tour.ask(&["SETEX", key, "1", "version 1"])?;
    let fresh = tour.ask(&["GET", key])?;
    tour.check("within its TTL the value is fresh", "\"version 1\"", fresh.line());
    become_stale(tour, key)?;
    let ttl = tour.ask(&["PTTL", key])?;
    tour.check("its time is over, and clients see that: PTTL says 0", "(integer) 0", ttl.line());
    let (mut first, mut second) = (tour.connect()?, tour.connect()?);
    let told = tour.ask_as("client 1", &mut first, &["GET", key])?;
    tour.check("the first to ask gets nil: recompute it", "(nil)", told.line());
    let stale = tour.ask_as("client 2", &mut second, &["GET", key])?;
    tour.check("meanwhile the others get the stale value", "\"version 1\"", stale.line());
    tour.ask_as("client 1", &mut first, &["SETEX", key, "60", "version 2"])?;
    let new = tour.ask_as("client 2", &mut second, &["GET", key])?;
    tour.check("and then the new one", "\"version 2\"", new.line());
    Ok(())
}

/// A crowd at an expired key.
pub(super) fn expired_key(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let key = "cache:front-page";
    tour.ask(&["SETEX", key, "1", "old page"])?;
    become_stale(tour, key)?;
    let clients = crowd::connect(tour.stage.address, CROWD)?;
    tour.screen.command(&format!("{CROWD} clients"), &["GET", key]);
    let mut answers: Vec<_> = crowd::ask(clients, &["GET", key])?.iter().collect();
    show_answers(tour, &answers);
    tour.check("exactly one client is told to recompute", 1, crowd::count(&answers, "(nil)"));
    let stale = crowd::count(&answers, "\"old page\"");
    tour.check("199 get the stale value, all before anybody has recomputed it", CROWD - 1, stale);
    let leader = answers.iter_mut().find(|answer| matches!(answer.reply, Ok(Reply::Nil)));
    let leader =
        leader.ok_or_else(|| TourError::Unmet("no client was told to recompute".to_owned()))?;
    tour.ask_as("that one", &mut leader.client, &["SETEX", key, "60", "new page"])?;
    let clients = answers.into_iter().map(|answer| answer.client).collect();
    tour.screen.command(&format!("{CROWD} clients"), &["GET", key]);
    let answers: Vec<_> = crowd::ask(clients, &["GET", key])?.iter().collect();
    show_answers(tour, &answers);
    tour.check("now all get the new value", CROWD, crowd::count(&answers, "\"new page\""));
    Ok(())
}

/// A crowd at a key that is not there.
pub(super) fn missing_key(tour: &mut Tour<'_>) -> Result<(), TourError> {
    let key = "cache:weather";
    let clients = crowd::connect(tour.stage.address, CROWD)?;
    tour.screen.text(
        "There is no old value to give: one client computes, the others wait for it (at most 1 s).",
    );
    tour.screen.command(&format!("{CROWD} clients"), &["GET", key]);
    let answers = crowd::ask(clients, &["GET", key])?;
    let first = answers.recv_timeout(ANSWER_TIMEOUT);
    let mut first = first.map_err(|_| TourError::Unmet("no client was answered".to_owned()))?;
    tour.screen.row(&format!("1 x {}", crowd::shown(&first)));
    tour.check(
        "the first answer is nil: that client is told to compute",
        "(nil)",
        crowd::shown(&first),
    );
    tour.screen.text(&format!("that client computes for {} ms ...", COMPUTE_TIME.as_millis()));
    tour.stop.pause(COMPUTE_TIME)?;
    let early: Vec<_> = answers.try_iter().collect();
    show_answers(tour, &early);
    tour.check("meanwhile nobody else is answered", 0, early.len());
    tour.ask_as("that one", &mut first.client, &["SETEX", key, "60", "sunny"])?;
    let mut others = early;
    others.extend(answers.iter());
    show_answers(tour, &others);
    let filled = crowd::count(&others, "\"sunny\"");
    tour.check("the 199 others get what it computed", CROWD - 1, filled);
    Ok(())
}

/// Waits until the value's own time is over. TTL rounds to seconds and would say 0 too early; PTTL does not.
fn become_stale(tour: &mut Tour<'_>, key: &str) -> Result<(), TourError> {
    let mut client: Client = tour.connect()?;
    tour.screen.text("... until its time is over ...");
    tour.until("PTTL says 0", STALE_TIMEOUT, || match client.command(&["PTTL", key]) {
        Ok(Reply::Integer(1..)) => None,
        other => Some(other),
    })??;
    Ok(())
}

/// The different answers and how many clients got each.
fn show_answers(tour: &mut Tour<'_>, answers: &[Answer]) {
    let mut lines: Vec<_> = answers.iter().map(crowd::shown).collect();
    lines.sort();
    let slowest = crowd::slowest(answers);
    for group in lines.chunk_by(|one, next| one == next) {
        let line = group.first().map_or("", String::as_str);
        tour.screen.row(&format!("{} x {line}", group.len()));
    }
    if !answers.is_empty() {
        tour.screen.row(&format!("the slowest after {} ms", slowest.as_millis()));
    }
}

//! MONITOR: a client is shown the requests of its pool's clients, of all workers, as they are carried out.
//!
//! ```text
//!   a request ─► show ─┬─► own monitors' output                (at once)
//!                      └─► wake.shown ═ board ═► `shown` of the workers that have monitors   (once per turn)
//! ```
//! In: requests, while the pool is monitored. Out: lines in a server's own form. Who monitors is counted on the board;
//! a worker whose lines nobody wants stops making them, so there is no message that could get lost for the end. While
//! nobody monitors nothing is done: `Pool::is_plain` is looked at once per run of requests. A monitor that is slow loses
//! lines, never more than `limits::MONITOR_BYTES_MAX` wait for it, and it is told how many were lost. Passwords are
//! not shown, and neither is what a server does not show.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::rule::{LocalCommand, Rule, TransactionStep};
use crate::core::ask::Question;
use crate::core::ids::SessionId;
use crate::core::session::Closing;
use crate::core::timer::Timer;
use crate::core::{Core, wake_session};
use crate::limits;
use crate::resp::args::Args;
use crate::resp::request::{RequestLimits, RequestScan};

const REDACTED: &[u8] = b"(redacted)";

/// What is known of a session that monitors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Monitor {
    /// Its OK is on the way: lines may follow.
    started: bool,
    /// Lines that it was not shown and has not been told of.
    lost: u64,
}

/// Lines on their way to monitors of other workers.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The pool they belong to.
    pub pool: u16,
    /// Whole lines.
    pub lines: Vec<u8>,
    /// How many.
    pub count: u64,
}

impl Core {
    /// MONITOR. The worker counts as one that wants lines before the others are asked for them.
    pub(crate) fn monitor(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if session.monitor.is_some() {
            return self.answer_next(id, b"+OK\r\n");
        }
        session.monitor = Some(Monitor::default());
        let pool = session.pool;
        self.monitors.push(id);
        self.count_monitors(pool);
        self.ask_workers(id, Question::Monitor);
    }

    /// All workers show what they do.
    pub(crate) fn start_monitor(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(monitor) = &mut session.monitor
        {
            monitor.started = true;
        }
    }

    /// Ends the monitoring of a session, if it does.
    pub(crate) fn end_monitor(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id)
            && session.monitor.take().is_some()
        {
            let pool = session.pool;
            self.forget_monitor(id, pool);
        }
    }

    /// Takes a session off the list of those that monitor.
    pub(crate) fn forget_monitor(&mut self, id: SessionId, pool: u16) {
        self.monitors.retain(|other| *other != id);
        self.count_monitors(pool);
    }

    fn count_monitors(&mut self, pool: u16) {
        let count = self.monitors_of(pool).count();
        self.wake.monitors.push((pool, count));
    }

    fn monitors_of(&self, pool: u16) -> impl Iterator<Item = SessionId> {
        let is_of = move |id: &SessionId| self.sessions.get(*id).is_some_and(|it| it.pool == pool);
        self.monitors.iter().copied().filter(is_of)
    }

    /// Somebody, here or elsewhere, monitors this pool; or nobody does.
    pub(crate) fn set_monitored(&mut self, index: u16, monitored: bool) {
        if let Some(pool) = self.pools.get_mut(usize::from(index)) {
            pool.monitored = monitored;
        }
    }

    /// No other worker wants the lines of this pool.
    pub fn shown_to_nobody(&mut self, pool: u16) {
        if self.monitors_of(pool).next().is_none() {
            self.set_monitored(pool, false);
        }
    }

    /// Shows a request to those who monitor; `spec` is `None` for a plugin's own command.
    pub(crate) fn show(
        &mut self,
        id: SessionId,
        spec: Option<&'static CommandSpec>,
        args: &Args<'_>,
    ) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        if spec.is_none() && !session.identity.authenticated {
            return;
        }
        let index = session.pool;
        if !self.pools.get(usize::from(index)).is_some_and(|pool| pool.monitored) {
            return;
        }
        let is_exec = spec.is_some_and(|it| it.rule == Rule::Transaction(TransactionStep::Exec));
        if is_exec {
            self.show_queued(id);
        } else if session.transaction.is_some() && spec.is_some_and(is_queued) {
            // Shown when it is carried out.
            return;
        }
        self.show_line(id, spec, args);
    }

    /// Shows what stands between MULTI and EXEC.
    fn show_queued(&mut self, id: SessionId) {
        let Some(transaction) = self.sessions.get_mut(id).and_then(|it| it.transaction.take())
        else {
            return;
        };
        let mut scan = RequestScan::default();
        for (spec, request) in transaction.commands() {
            scan.reset();
            scan.scan(request, &RequestLimits::OPEN);
            self.show_line(id, Some(spec), &Args::new(request, scan.spans()));
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.transaction = Some(transaction);
        }
    }

    fn show_line(&mut self, id: SessionId, spec: Option<&'static CommandSpec>, args: &Args<'_>) {
        if spec.is_some_and(|spec| spec.is_hidden_from_monitors()) {
            return;
        }
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let pool = session.pool;
        let identity = &session.identity;
        let from = if identity.address.starts_with("unix:") {
            format!("unix:{}", identity.local_address)
        } else {
            identity.address.clone()
        };
        let mut line = self.line_start(identity.database, &from);
        write_arguments(&mut line, spec, args);
        let shown = Shown { pool, lines: line, count: 1 };
        self.shown(&shown);
        if self.facts.workers <= 1 {
            return self.shown_to_nobody(pool);
        }
        match self.wake.shown.last_mut() {
            Some(last)
                if last.pool == pool && last.lines.len() < limits::MONITOR_LINE_BYTES_MAX =>
            {
                last.lines.extend_from_slice(&shown.lines);
                last.count += 1;
            }
            _ => self.wake.shown.push(shown),
        }
    }

    /// The beginning of a line: when, which database, from where.
    fn line_start(&self, database: u16, from: &str) -> Vec<u8> {
        let (seconds, rest_ms) = (self.clock.unix_ms / 1000, self.clock.unix_ms % 1000);
        format!("+{seconds}.{rest_ms:03}000 [{database} {from}]").into_bytes()
    }

    /// Gives lines, of this worker or another, to the monitors of this one.
    pub fn shown(&mut self, shown: &Shown) {
        let ids: Vec<SessionId> = self.monitors_of(shown.pool).collect();
        for id in ids {
            self.tell_lost(id);
            let Some(session) = self.sessions.get_mut(id) else {
                continue;
            };
            let has_room = session.out.len() + shown.lines.len() <= limits::MONITOR_BYTES_MAX;
            let is_shown = !session.pending.is_muted() && session.closing <= Closing::AfterRead;
            let Some(monitor) = session.monitor.as_mut().filter(|it| it.started && is_shown) else {
                continue;
            };
            if !has_room || monitor.lost > 0 {
                self.lose_lines(id, shown.count);
                continue;
            }
            session.out.push(Piece::borrowed(&shown.lines), &mut self.spare);
            self.stats.output_bytes += shown.lines.len() as u64;
            wake_session(session, id, &mut self.wake);
            self.account_session(id);
        }
    }

    /// Lines of other workers did not get through to this one.
    pub fn lines_lost(&mut self, pool: u16, count: u64) {
        let ids: Vec<SessionId> = self.monitors_of(pool).collect();
        for id in ids {
            self.lose_lines(id, count);
            self.tell_lost(id);
        }
    }

    fn lose_lines(&mut self, id: SessionId, count: u64) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if let Some(monitor) = &mut session.monitor {
            if monitor.lost == 0 {
                let at_ms = self.clock.now_ms + limits::MONITOR_LOST_MS;
                self.timers.set(at_ms, Timer::MonitorLost(id));
            }
            monitor.lost += count;
        }
    }

    /// Looks again whether a monitor can be told how many lines it lost, though no line comes.
    pub(crate) fn check_lost(&mut self, id: SessionId) {
        self.tell_lost(id);
        let monitor = self.sessions.get(id).and_then(|session| session.monitor);
        if monitor.is_some_and(|monitor| monitor.lost > 0) {
            let at_ms = self.clock.now_ms + limits::MONITOR_LOST_MS;
            self.timers.set(at_ms, Timer::MonitorLost(id));
        }
    }

    /// Tells a monitor how many lines it lost, once it has taken half of what may wait for it.
    fn tell_lost(&mut self, id: SessionId) {
        let mut line = self.line_start(0, "gateway:0");
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let has_room = session.out.len() <= limits::MONITOR_BYTES_MAX / 2;
        let Some(monitor) = session.monitor.as_mut().filter(|it| it.lost > 0 && has_room) else {
            return;
        };
        line.extend_from_slice(format!(" \"lost\" \"{}\"\r\n", monitor.lost).as_bytes());
        monitor.lost = 0;
        session.out.push(Piece::borrowed(&line), &mut self.spare);
        wake_session(session, id, &mut self.wake);
    }
}

/// Whether a command inside MULTI waits for EXEC.
fn is_queued(spec: &CommandSpec) -> bool {
    !matches!(
        spec.rule,
        Rule::Transaction(
            TransactionStep::Multi
                | TransactionStep::Exec
                | TransactionStep::Discard
                | TransactionStep::Watch
        ) | Rule::Local(LocalCommand::Quit | LocalCommand::Reset)
    )
}

/// Appends the arguments as a server writes them, quoted and escaped, without secrets, cut where a line gets too long.
fn write_arguments(line: &mut Vec<u8>, spec: Option<&'static CommandSpec>, args: &Args<'_>) {
    let is = |command| spec.is_some_and(|spec| spec.rule == Rule::Local(command));
    let stands_behind_auth = |at: usize| {
        (1..=2).any(|back| {
            let word = at.checked_sub(back).and_then(|before| args.get(before));
            at > back && word.is_some_and(|word| word.eq_ignore_ascii_case(b"auth"))
        })
    };
    let secret = |at: usize| {
        (is(LocalCommand::Auth) && at > 0)
            || (is(LocalCommand::Hello) && at > 2 && stands_behind_auth(at))
    };
    let end = line.len() + limits::MONITOR_LINE_BYTES_MAX;
    for (at, arg) in args.from(0).enumerate() {
        if line.len() >= end {
            let more = args.len() - at;
            line.extend_from_slice(format!(" \"... ({more} more arguments)\"").as_bytes());
            break;
        }
        let arg = if secret(at) { REDACTED } else { arg };
        let shown = arg.get(..end - line.len()).unwrap_or(arg);
        line.extend_from_slice(b" \"");
        shown.iter().for_each(|byte| write_escaped(line, *byte));
        if shown.len() < arg.len() {
            let more = arg.len() - shown.len();
            line.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
        }
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
}

fn write_escaped(line: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
        b'\n' => line.extend_from_slice(b"\\n"),
        b'\r' => line.extend_from_slice(b"\\r"),
        b'\t' => line.extend_from_slice(b"\\t"),
        0x07 => line.extend_from_slice(b"\\a"),
        0x08 => line.extend_from_slice(b"\\b"),
        b' '..=b'~' => line.push(byte),
        _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::resolve::resolve;
    use crate::resp::sample::Request;

    fn check(words: &str, expected: &str) {
        let request = Request::words(words);
        let spec = resolve(&request.args()).ok();
        let mut line = Vec::new();
        write_arguments(&mut line, spec, &request.args());
        assert_eq!(String::from_utf8(line).unwrap(), format!("{expected}\r\n"));
    }

    #[test]
    fn arguments_are_written_as_a_server_does() {
        check("GET a", r#" "GET" "a""#);
        check("echo a\r\n\u{1}\"\\\té", r#" "echo" "a\r\n\x01\"\\\t\xc3\xa9""#);
    }

    #[test]
    fn passwords_are_not_shown() {
        check("AUTH x", r#" "AUTH" "(redacted)""#);
        check("auth user x", r#" "auth" "(redacted)" "(redacted)""#);
        check(
            "HELLO 3 AUTH user x SETNAME auth",
            r#" "HELLO" "3" "AUTH" "(redacted)" "(redacted)" "SETNAME" "auth""#,
        );
        check("HELLO 3", r#" "HELLO" "3""#);
    }

    #[test]
    fn long_line_is_cut_and_says_by_how_much() {
        let long = "a".repeat(limits::MONITOR_LINE_BYTES_MAX);
        let request = Request::words(&format!("set k {long} ex 1"));
        let mut line = Vec::new();
        write_arguments(&mut line, None, &request.args());
        let text = String::from_utf8(line).unwrap();
        assert!(text.len() < limits::MONITOR_LINE_BYTES_MAX + 100);
        assert!(text.ends_with(" more bytes)\" \"... (2 more arguments)\"\r\n"), "{}", text.len());
    }
}

//! WAIT and WAITAOF: whether replicas and files have what the client wrote.
//!
//! ```text
//!   WAIT 1 500 ──► each shard written to, on a private lane:  SPUBLISH, PING, WAIT 1 500 ──► smallest number of any
//! ```
//! A server answers for the writes of the connection that asks, and the client's went over a shared lane. So the private
//! one first does something that is replicated and changes nothing: its place in the stream lies behind the client's
//! writes, whose replies have all come. SPUBLISH does that, to a channel of the gateway's own; servers before 7.0 do
//! not know it, and count any command (PING). Measured on Redis 7.0 and Valkey 9.1: without it a fresh connection's
//! WAIT counts replicas that lack the write.
//! Which shards a session wrote to is a bit mask, kept by one instruction per command.

use crate::buffer::Piece;
use crate::command::CommandSpec;
use crate::command::rule::WaitCommand;
use crate::command::waiting::waits;
use crate::core::Core;
use crate::core::blocking::Blocked;
use crate::core::forward::Target;
use crate::core::ids::{BlockedId, LaneId, SessionId};
use crate::resp::args::Args;
use crate::resp::request::parse_number;
use crate::resp::{value, write};
use crate::topology::ShardIndex;

/// The channel of the message that is replicated. Subscribers to patterns do not hear it.
const CHANNEL: &[u8] = b"sluicegate:wait";
const MISFIT: &str = "ERR a shard answered WAIT with something else than numbers";

/// The bit of a shard in a session's mask.
#[inline]
pub(crate) fn shard_bit(shard: ShardIndex) -> u64 {
    1 << (shard % 64)
}

/// Shards whose writes by a session are known to be safe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Safe {
    shards: u64,
    /// What was asked. Another question may want more.
    question: Question,
}

/// What a WAIT wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Question {
    command: WaitCommand,
    /// Numbers of copies; the second one is WAITAOF's.
    wanted: [i64; 2],
}

/// What a WAIT under way has heard.
#[derive(Debug)]
pub(crate) struct ActiveWait {
    question: Question,
    shards: Vec<ShardIndex>,
    heard: Vec<Heard>,
}

/// What one shard has answered so far.
#[derive(Debug, Default)]
enum Heard {
    #[default]
    Nothing,
    Published,
    Pinged,
    Answered(Vec<u8>),
}

impl Core {
    /// Notes that a command of a session writes to a shard, if it does.
    pub(crate) fn note_write(&mut self, id: SessionId, spec: &CommandSpec, shard: ShardIndex) {
        if spec.is_write() {
            self.note_wrote(id, shard);
        }
    }

    /// Notes that a shard was, or may have been, written to for the session.
    pub(crate) fn note_wrote(&mut self, id: SessionId, shard: ShardIndex) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.wrote |= shard_bit(shard);
        }
    }

    /// Carries out WAIT or WAITAOF.
    pub(crate) fn wait_for_shards(
        &mut self,
        id: SessionId,
        spec: &CommandSpec,
        command: WaitCommand,
        args: &Args<'_>,
    ) {
        if self.draining {
            return self.refuse_next(id, "UNBLOCKED the gateway is stopping; not sent");
        }
        let question = Question::of(command, args);
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let safe = session.safe.as_deref().copied();
        let mask = asked_shards(session.wrote, safe, question);
        let first = session.target(0);
        let count = self.pools.get(usize::from(first.pool)).map_or(0, |pool| pool.topology.len());
        let shards: Vec<ShardIndex> = (0..u16::try_from(count).unwrap_or(u16::MAX))
            .filter(|shard| mask & shard_bit(*shard) != 0)
            .collect();
        let targets: Vec<Target> =
            shards.iter().map(|shard| Target { shard: *shard, ..first }).collect();
        let Some((place, lanes)) = self.lanes_to_wait_on(id, &targets) else {
            return;
        };
        let heard = shards.iter().map(|_| Heard::Nothing).collect();
        let wait = Some(ActiveWait { question, shards, heard });
        let owners = self.block(Blocked { session: id, place, lanes, wait });
        let (mut publish, mut ping) = (self.spare.take(), self.spare.take());
        write::request(&mut publish, [b"SPUBLISH", CHANNEL, b""].into_iter());
        write::request(&mut ping, [b"PING".as_slice()].into_iter());
        let waits_ms = waits(spec, args).ms();
        for (target, (lane, owner)) in targets.into_iter().zip(owners) {
            self.forward_on(lane, target, (Piece::borrowed(&publish), 0), owner);
            self.forward_on(lane, target, (Piece::borrowed(&ping), 0), owner);
            let piece = (Piece::borrowed(args.raw()), 0);
            self.forward_waiting(lane, target, piece, owner, waits_ms);
        }
        self.spare.give(publish);
        self.spare.give(ping);
    }

    /// Takes the next reply of one shard; the last of all answers the command.
    pub(crate) fn settle_wait(&mut self, id: BlockedId, number: u32, reply: &[u8]) {
        let at = number as usize;
        let Some(blocked) = self.blocked.get_mut(id) else {
            return;
        };
        let Some(wait) = &mut blocked.wait else {
            return;
        };
        let Some(heard) = wait.heard.get_mut(at) else {
            return;
        };
        *heard = match std::mem::take(heard) {
            Heard::Nothing => match value::error_text(reply) {
                Some(text) if !text.starts_with(b"ERR unknown command") => {
                    let shard = wait.shards.get(at).copied().unwrap_or_default();
                    let text = String::from_utf8_lossy(text).into_owned();
                    return self.refuse_wait(id, shard, &text);
                }
                Some(_) | None => Heard::Published,
            },
            Heard::Published => Heard::Pinged,
            Heard::Pinged | Heard::Answered(_) => {
                if let Some(lane) = blocked.lanes.get_mut(at) {
                    *lane = None;
                }
                Heard::Answered(reply.to_vec())
            }
        };
        let replies: Option<Vec<&[u8]>> = wait.heard.iter().map(Heard::answer).collect();
        if let Some(replies) = replies {
            let question = wait.question;
            let numbers = smallest(question.command, &replies);
            let session = blocked.session;
            self.end_wait(id, session, question, numbers);
        }
    }

    fn end_wait(
        &mut self,
        id: BlockedId,
        session: SessionId,
        question: Question,
        numbers: Result<[i64; 2], Vec<u8>>,
    ) {
        let mut reply = self.spare.take();
        match numbers {
            Ok(numbers) => {
                question.write(numbers, &mut reply);
                if question.is_content(numbers)
                    && let Some(session) = self.sessions.get_mut(session)
                {
                    let before = session.safe.take().map_or(0, |safe| safe.shards);
                    let shards = before | std::mem::take(&mut session.wrote);
                    session.safe = Some(Box::new(Safe { shards, question }));
                }
            }
            Err(error) => reply.extend_from_slice(&error),
        }
        self.answer_blocked(id, Piece::borrowed(&reply));
        self.spare.give(reply);
    }

    /// Answers with an error, since one shard's number will not come; the other shards' lanes are closed.
    pub(crate) fn fail_wait(&mut self, id: BlockedId, reply: &[u8]) {
        let lanes: Vec<LaneId> = self
            .blocked
            .get(id)
            .map_or(Vec::new(), |blocked| blocked.lanes.iter().copied().flatten().collect());
        self.answer_blocked(id, Piece::borrowed(reply));
        for lane in lanes {
            self.close_lane(lane, "waited for a client that waits no more");
        }
    }

    /// A shard does not replicate the message, so its number could be wrong.
    fn refuse_wait(&mut self, id: BlockedId, shard: ShardIndex, why: &str) {
        let Some(blocked) = self.blocked.get(id) else {
            return;
        };
        let Some(target) = self.sessions.get(blocked.session).map(|session| session.target(shard))
        else {
            return;
        };
        let name = self.shard_name(target);
        let mut reply = Vec::new();
        let text = format!(
            "ERR shard {name} refused SPUBLISH, without which it may count replicas that lack a write: {why}"
        );
        write::error(&mut reply, &text);
        self.fail_wait(id, &reply);
    }
}

/// The shards to ask: those written to since the same question had a content answer; where there are none, all that
/// were ever written to; where there are none of these, all.
fn asked_shards(wrote: u64, safe: Option<Safe>, question: Question) -> u64 {
    let before = safe.map_or(0, |safe| safe.shards);
    let is_same = safe.is_some_and(|safe| safe.question == question);
    match (wrote, wrote | before) {
        (_, 0) => u64::MAX,
        (0, ever) => ever,
        (since, ever) => {
            if is_same {
                since
            } else {
                ever
            }
        }
    }
}

impl Question {
    fn of(command: WaitCommand, args: &Args<'_>) -> Self {
        let number = |at| args.get(at).and_then(parse_number).unwrap_or(0);
        let second = match command {
            WaitCommand::Replicas => 0,
            WaitCommand::AppendOnlyFiles => number(2),
        };
        Self { command, wanted: [number(1), second] }
    }

    /// Whether these numbers are what was wanted, and more than none was wanted.
    fn is_content(&self, numbers: [i64; 2]) -> bool {
        let reached = numbers.iter().zip(self.wanted).all(|(number, wanted)| *number >= wanted);
        reached && self.wanted.iter().any(|wanted| *wanted > 0)
    }

    fn write(&self, [first, second]: [i64; 2], reply: &mut Vec<u8>) {
        match self.command {
            WaitCommand::Replicas => write::integer(reply, first),
            WaitCommand::AppendOnlyFiles => {
                write::array_header(reply, 2);
                write::integer(reply, first);
                write::integer(reply, second);
            }
        }
    }
}

impl Heard {
    fn answer(&self) -> Option<&[u8]> {
        match self {
            Heard::Answered(reply) => Some(reply),
            Heard::Nothing | Heard::Published | Heard::Pinged => None,
        }
    }
}

/// The smallest of each number, or the error reply: the first shard's that gave one.
fn smallest(command: WaitCommand, replies: &[&[u8]]) -> Result<[i64; 2], Vec<u8>> {
    if let Some(error) = replies.iter().find(|reply| value::error_text(reply).is_some()) {
        return Err(error.to_vec());
    }
    let mut smallest = [i64::MAX; 2];
    for reply in replies {
        let Some(numbers) = numbers(command, reply) else {
            let mut error = Vec::new();
            write::error(&mut error, MISFIT);
            return Err(error);
        };
        for (smallest, number) in smallest.iter_mut().zip(numbers) {
            *smallest = number.min(*smallest);
        }
    }
    Ok(smallest)
}

fn numbers(command: WaitCommand, reply: &[u8]) -> Option<[i64; 2]> {
    let head = value::head(reply)?;
    let number = |bytes: &[u8]| {
        let head = value::head(bytes).filter(|head| head.kind == b':')?;
        Some((head.number()?, head.len))
    };
    match command {
        WaitCommand::Replicas => Some([number(reply)?.0, 0]),
        WaitCommand::AppendOnlyFiles => {
            let (first, len) = number(reply.get(head.len..)?)?;
            let (second, _) = number(reply.get(head.len + len..)?)?;
            (head.kind == b'*' && head.number() == Some(2)).then_some([first, second])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::sample::Request;

    fn question(text: &str) -> Question {
        let command = if text.starts_with("WAITAOF") {
            WaitCommand::AppendOnlyFiles
        } else {
            WaitCommand::Replicas
        };
        Question::of(command, &Request::words(text).args())
    }

    #[test]
    fn asked_are_the_shards_written_to_since_the_same_question_was_content() {
        let (one, two) = (question("WAIT 1 0"), question("WAIT 2 0"));
        let safe = |shards| Some(Safe { shards, question: one });
        for (wrote, safe, question, asked) in [
            (0, None, one, u64::MAX),
            (0b10, None, one, 0b10),
            (0b10, safe(0b01), one, 0b10),
            (0b10, safe(0b01), two, 0b11),
            (0, safe(0b01), one, 0b01),
            (0, safe(0b01), two, 0b01),
        ] {
            assert_eq!(asked_shards(wrote, safe, question), asked, "{wrote} {safe:?} {question:?}");
        }
        assert_eq!((shard_bit(0), shard_bit(63), shard_bit(64)), (1, 1 << 63, 1));
    }

    #[test]
    fn reply_is_the_smallest_of_each_number_or_the_first_error() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("WAIT 1 0", &[":2\r\n", ":1\r\n", ":3\r\n"], ":1\r\n"),
            ("WAIT x 0", &[":2\r\n", "-ERR no\r\n"], "-ERR no\r\n"),
            ("WAITAOF 1 1 0", &["*2\r\n:1\r\n:0\r\n", "*2\r\n:0\r\n:4\r\n"], "*2\r\n:0\r\n:0\r\n"),
            (
                "WAIT 1 0",
                &["+OK\r\n"],
                "-ERR a shard answered WAIT with something else than numbers\r\n",
            ),
            (
                "WAITAOF 1 1 0",
                &[":1\r\n"],
                "-ERR a shard answered WAIT with something else than numbers\r\n",
            ),
        ];
        for (request, replies, wanted) in cases {
            let question = question(request);
            let replies: Vec<&[u8]> = replies.iter().map(|reply| reply.as_bytes()).collect();
            let mut reply = Vec::new();
            match smallest(question.command, &replies) {
                Ok(numbers) => question.write(numbers, &mut reply),
                Err(error) => reply = error,
            }
            assert_eq!(String::from_utf8(reply).unwrap(), *wanted, "{request}");
        }
    }

    #[test]
    fn wait_is_content_when_every_number_wanted_is_reached_and_one_was_wanted() {
        for (request, numbers, content) in [
            ("WAIT 1 0", [1, 0], true),
            ("WAIT 2 0", [1, 0], false),
            ("WAIT 0 0", [5, 0], false),
            ("WAITAOF 1 0 0", [1, 0], true),
            ("WAITAOF 1 1 0", [1, 0], false),
        ] {
            assert_eq!(question(request).is_content(numbers), content, "{request}");
        }
    }
}

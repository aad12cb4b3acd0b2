//! How long a command may wait at its shard.
//!
//! In: a command's spec and its arguments. Out: whether it waits there for data or replicas, and for how long. The shard
//! keeps the time itself; the gateway only has to know when a reply is overdue. So what it cannot read it takes for
//! "as long as the shard likes": the shard answers a wrong time-out at once, in its own words.

use super::CommandSpec;
use super::keys;
use super::rule::{Rule, WaitCommand};
use crate::resp::args::Args;
use crate::resp::request::parse_number;

/// For how long a command may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Not at all: a shard answers it at once.
    Never,
    /// At most so many milliseconds.
    For(u64),
    /// Until there is something to answer.
    Endless,
}

impl Waits {
    /// In milliseconds; `u64::MAX` = without end.
    pub fn ms(self) -> u64 {
        match self {
            Waits::Never => 0,
            Waits::For(ms) => ms,
            Waits::Endless => u64::MAX,
        }
    }
}

/// How long this request may wait outside MULTI, where nothing waits.
pub fn waits(spec: &CommandSpec, args: &Args<'_>) -> Waits {
    match spec.rule {
        // BLMPOP and BZMPOP have their time-out in front, the others at the end.
        Rule::Blocking => {
            let at = if spec.name.ends_with("mpop") { 1 } else { args.len().saturating_sub(1) };
            seconds(args.get(at).unwrap_or_default())
        }
        Rule::StreamRead => match keys::stream_read_block(args) {
            Some(time) => milliseconds(time),
            None => Waits::Never,
        },
        Rule::Wait(WaitCommand::Replicas) => milliseconds(args.get(2).unwrap_or_default()),
        Rule::Wait(WaitCommand::AppendOnlyFiles) => milliseconds(args.get(3).unwrap_or_default()),
        Rule::Local(_)
        | Rule::Clients(_)
        | Rule::Plugins
        | Rule::Key
        | Rule::Keys
        | Rule::Script
        | Rule::Sort
        | Rule::Split(_)
        | Rule::Joined(_)
        | Rule::Pubsub(_)
        | Rule::Shards(_)
        | Rule::Transaction(_)
        | Rule::Refuse(_)
        | Rule::Container => Waits::Never,
    }
}

fn seconds(text: &[u8]) -> Waits {
    let seconds = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    match seconds {
        Some(seconds) if seconds.is_finite() && seconds > 0.0 => {
            // Larger than any number of milliseconds becomes the largest, which is without end.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
            let ms = (seconds * 1000.0).ceil() as u64;
            Waits::For(ms)
        }
        Some(_) | None => Waits::Endless,
    }
}

fn milliseconds(text: &[u8]) -> Waits {
    match parse_number(text).map(u64::try_from) {
        Some(Ok(ms)) if ms > 0 => Waits::For(ms),
        Some(_) | None => Waits::Endless,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::resolve::resolve;
    use crate::resp::sample::Request;

    #[test]
    fn time_outs_are_read_where_they_stand_and_what_is_no_time_is_without_end() {
        use Waits::{Endless, For, Never};
        for (request, wanted) in [
            ("BLPOP a b 1", For(1000)),
            ("brpop a 0.01", For(10)),
            ("BLPOP a 0.0001", For(1)),
            ("BLPOP a .5", For(500)),
            ("BLPOP a 1e-2", For(10)),
            ("BLPOP a 1e300", For(u64::MAX)),
            ("BLPOP a 0", Endless),
            ("BLPOP a -0", Endless),
            ("BLPOP a -1", Endless),
            ("BLPOP a inf", Endless),
            ("BLPOP a nan", Endless),
            ("BLPOP a 0x10", Endless),
            ("BLPOP a x", Endless),
            ("BRPOPLPUSH a b 2", For(2000)),
            ("BLMOVE a b LEFT LEFT 2", For(2000)),
            ("BLMPOP 3 1 a LEFT", For(3000)),
            ("BZMPOP 3 1 a MIN COUNT 9", For(3000)),
            ("BZPOPMAX a 4", For(4000)),
            ("XREAD STREAMS a 0", Never),
            ("XREAD BLOCK 5 STREAMS a 0", For(5)),
            ("XREAD COUNT 1 BLOCK 5 BLOCK 0 STREAMS a 0", Endless),
            ("XREAD BLOCK 0 BLOCK 5 STREAMS a 0", For(5)),
            ("XREAD BLOCK 1.5 STREAMS a 0", Endless),
            ("XREAD BLOCK -1 STREAMS a 0", Endless),
            ("XREAD STREAMS block 5", Never),
            ("XREADGROUP GROUP block c BLOCK 7 STREAMS a >", For(7)),
            ("WAIT 1 9", For(9)),
            ("WAIT 1 0", Endless),
            ("WAITAOF 1 1 9", For(9)),
            ("GET a", Never),
        ] {
            let request_bytes = Request::words(request);
            let args = request_bytes.args();
            assert_eq!(waits(resolve(&args).unwrap(), &args), wanted, "{request}");
        }
    }
}

//! A board spread over parts, for the tests of the gateway: what `feeder` feeds.
//!
//! A hooked `ZADD` goes to the part that its member's hash names, one key each: `<board>:<part>`; a hooked `ZCARD` adds
//! the parts up. `SPREAD.TOP key n` reads the first n of every part and merges them. Config: `parts`. It is a small part of
//! what a real board does: one member per `ZADD`, and no other sorted-set command.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::config::Fields;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::plugin;
use sluicegate_plugin::reply::Reply;

/// What an operator says of a binding.
#[derive(Debug)]
struct Config {
    parts: u32,
}

impl plugin::Config for Config {
    fn read(fields: &mut Fields) -> std::result::Result<Self, String> {
        let parts = fields.text("parts", "4")?.parse().unwrap_or(0);
        if !(1..=64).contains(&parts) {
            return Err(String::from("parts: write a text from \"1\" to \"64\""));
        }
        Ok(Self { parts })
    }
}

/// The key of a part.
fn part(board: &[u8], number: u32) -> Vec<u8> {
    [board, format!(":{number}").as_bytes()].concat()
}

/// FNV-1a.
fn hash(member: &[u8]) -> u32 {
    member.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

async fn add(cx: Cx, args: Args) -> Result<Reply> {
    // ZADD key [options] score member.
    let member = args.get(args.len().saturating_sub(1));
    let key = part(args.key(), hash(member) % cx.config::<Config>()?.parts);
    let spread = args.from(2).fold(cmd("ZADD").arg(&key), |command, arg| command.arg(arg));
    cx.call(spread).await
}

async fn card(cx: Cx, args: Args) -> Result<Reply> {
    let parts = cx.config::<Config>()?.parts;
    let cards = (0..parts).map(|number| cmd("ZCARD").arg(&part(args.key(), number)));
    let mut sum = 0;
    for card in cx.pipeline_all(cards).await? {
        sum += card?.int().unwrap_or(0);
    }
    Ok(Reply::Int(sum))
}

async fn top(cx: Cx, args: Args) -> Result<Reply> {
    let Some(wanted) = args.int(2).and_then(|wanted| usize::try_from(wanted).ok()) else {
        return Err(Error::new("value is not an integer or out of range"));
    };
    let parts = cx.config::<Config>()?.parts;
    let last = args.int(2).unwrap_or(0) - 1;
    let ranges = (0..parts).map(|number| {
        cmd("ZREVRANGE").arg(&part(args.key(), number)).arg(0).arg(last).arg("WITHSCORES")
    });
    let mut rows: Vec<(i64, Vec<u8>)> = Vec::new();
    for range in cx.pipeline_all(ranges).await? {
        let Reply::Array(flat) = range? else { continue };
        for row in flat.chunks_exact(2) {
            if let [member, score] = row {
                let member = member.bytes().unwrap_or_default().to_vec();
                rows.push((score.int().unwrap_or(0), member));
            }
        }
    }
    rows.sort_by(|a, b| b.cmp(a));
    let shown = rows.into_iter().take(wanted);
    Ok(Reply::Array(
        shown.flat_map(|(score, member)| [Reply::bulk(member), Reply::Int(score)]).collect(),
    ))
}

sluicegate_plugin::plugin! {
    name: "board",
    version: "1.0.0",
    config: Config,
    about: "parts: over how many keys it is spread",
    hooks: ["ZADD" => add, "ZCARD" => card],
    commands: ["SPREAD.TOP" => top { arity: 3, keys: (1, 1, 1), flags: ["readonly"] }],
    tasks: [],
    capabilities: { commands: ["ZADD", "ZCARD", "ZREVRANGE"], wait: false, background: false, shared_bytes: 0 },
    metrics: [],
}

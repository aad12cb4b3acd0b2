//! A board spread over parts, for the tests of the gateway: what `feeder` feeds.
//!
//! A hooked `ZADD` goes to the part that its member's hash names, one key each: `<board>:<part>`; a hooked `ZCARD` adds
//! the parts up. `SPREAD.TOP key n` reads the first n of every part and merges them. Config: `parts`. It is a small part of
//! what a real board does: one member per `ZADD`, and no other sorted-set command.

use serde::Deserialize;
use sluicegate_plugin::config;
use sluicegate_plugin::prelude::*;

/// What an operator says of a binding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    parts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { parts: 4 }
    }
}

impl config::Config for Settings {
    fn check(&mut self) -> std::result::Result<(), String> {
        if !(1..=64).contains(&self.parts) {
            return Err(String::from("parts: write a number from 1 to 64"));
        }
        Ok(())
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
    let member = args.bytes(args.len().saturating_sub(1));
    let key = part(args.key(), hash(member) % cx.config::<Settings>()?.parts);
    cx.call(cmd("ZADD").arg(&key).args(args.rest())).await
}

async fn card(cx: Cx, args: Args) -> Result<i64> {
    let parts = cx.config::<Settings>()?.parts;
    let cards = (0..parts).map(|number| zcard(&part(args.key(), number)));
    Ok(cx.pipeline(cards.collect::<Vec<_>>()).await?.into_iter().sum())
}

async fn top(cx: Cx, args: Args) -> Result<Reply> {
    let wanted = args.get::<u32>(2)?;
    let parts = cx.config::<Settings>()?.parts;
    let ranges = (0..parts).map(|number| {
        let range =
            cmd("ZREVRANGE").arg(&part(args.key(), number)).arg(0).arg(i64::from(wanted) - 1);
        range.arg("WITHSCORES").typed::<Vec<(Vec<u8>, i64)>>()
    });
    let ranges = cx.pipeline(ranges.collect::<Vec<_>>()).await?;
    let mut rows: Vec<(i64, Vec<u8>)> =
        ranges.into_iter().flatten().map(|(member, score)| (score, member)).collect();
    rows.sort_by(|a, b| b.cmp(a));
    let shown = rows.into_iter().take(usize::try_from(wanted).unwrap_or(usize::MAX));
    Ok(Reply::Array(
        shown.flat_map(|(score, member)| [Reply::bulk(member), Reply::Int(score)]).collect(),
    ))
}

sluicegate_plugin::plugin! {
    name: "spread",
    version: "1.0.0",
    config: Settings,
    about: "parts 4: over how many keys it is spread",
    hooks: ["ZADD" => add, "ZCARD" => card],
    commands: ["SPREAD.TOP" => top { arity: 3, keys: (1, 1, 1), flags: ["readonly"] }],
    capabilities: { commands: ["ZADD", "ZCARD", "ZREVRANGE"] },
}

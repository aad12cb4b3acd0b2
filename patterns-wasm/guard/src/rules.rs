//! The rules: what is refused, and what the log and the counts say of it.
//!
//! Comes in: a client's command. Goes out: an error that names the pattern, the rule and what to do, or nothing. In mode `report`
//! nothing is refused. The log has one line a second and worker at most, without values: a client that ignores a rule must
//! not fill it.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;

use crate::Count;
use crate::config::{Config, Mode};

/// What can be denied, and what to do instead.
pub const INSTEAD: [(&str, &str); 13] = [
    ("keys", "it walks every key of every shard; use SCAN"),
    ("flushall", "it empties every shard; use GUARD.UNLINK with a pattern"),
    ("flushdb", "it empties every shard; use GUARD.UNLINK with a pattern"),
    ("randomkey", "it looks at all keys; keep a set of what you draw from"),
    ("smembers", "it gives the whole set; use SSCAN or SMISMEMBER"),
    ("hgetall", "it gives the whole hash; use HMGET or HSCAN"),
    ("hkeys", "it gives every field; use HSCAN"),
    ("hvals", "it gives every value; use HMGET or HSCAN"),
    ("sort", "it loads the whole collection; use a sorted set"),
    ("sort_ro", "it loads the whole collection; use a sorted set"),
    ("sunion", "it gives all sets; use SSCAN"),
    ("sinter", "it walks whole sets; use SINTERCARD with LIMIT"),
    ("sdiff", "it walks whole sets; use SMISMEMBER"),
];

/// How often a refusal is logged, milliseconds.
const LOG_EVERY_MS: u32 = 1_000;

/// A command that the operator may deny.
pub async fn deny(cx: Cx, args: Args) -> Result<Reply> {
    let config = cx.config::<Config>()?;
    let name = name(&args);
    if config.deny.contains(&name) {
        let instead = INSTEAD.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
        let text = ["guard: '", &name, "' is refused here: ", instead].concat();
        against(&cx, &config, Count::Denied, &text)?;
    }
    cx.pass()
}

/// Whether a write of one key keeps to the rules: of its key, and of what stands behind it.
pub fn check<'a>(
    cx: &Cx,
    config: &Config,
    name: &str,
    key: &[u8],
    values: impl Iterator<Item = &'a [u8]>,
) -> Result<()> {
    let over =
        |found: usize, most: u64| most > 0 && u64::try_from(found).is_ok_and(|found| found > most);
    if over(key.len(), config.max_key.bytes()) {
        let most = config.max_key.bytes().to_string();
        let text =
            ["guard: '", name, "': the key is longer than max_key, ", &most, " bytes"].concat();
        against(cx, config, Count::TooLarge, &text)?;
    }
    if !config.prefixes.is_empty()
        && !config.prefixes.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
    {
        let known = config.prefixes.join(", ");
        let text = ["guard: '", name, "': the key must begin with one of ", &known].concat();
        against(cx, config, Count::Outside, &text)?;
    }
    let mut count = 0;
    for value in values {
        count += 1;
        if over(value.len(), config.max_value.bytes()) {
            let most = config.max_value.bytes().to_string();
            let text = ["guard: '", name, "': a value is longer than max_value, ", &most, " bytes"];
            return against(cx, config, Count::TooLarge, &text.concat());
        }
    }
    let most = u64::from(config.max_members);
    if over(count, most) {
        let text =
            ["guard: '", name, "': more than max_members, ", &most.to_string(), ", in one command"];
        against(cx, config, Count::TooLarge, &text.concat())?;
    }
    Ok(())
}

/// A rule was broken: an error, unless rules are only tried out.
fn against(cx: &Cx, config: &Config, count: Count, text: &str) -> Result<()> {
    cx.metric_add(count as u32, 1);
    if cx.shared_get(b"logged").is_none() {
        cx.shared_set(b"logged", b"1", LOG_EVERY_MS);
        let session = cx.session_id().to_string();
        cx.log(3, &[text, " (client ", &session, ")"].concat());
    }
    match config.mode {
        Mode::Enforce => Err(Error::new(text)),
        Mode::Report => Ok(()),
    }
}

/// The command's name in lower case.
pub fn name(args: &Args) -> String {
    String::from_utf8_lossy(args.name()).to_ascii_lowercase()
}

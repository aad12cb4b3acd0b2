//! Hot counters: increments that meet in a worker go to the shard as one.
//!
//! ```text
//!   INCR a +1 --+                                     +--> 101
//!   INCR a +1 --+-- gather: 10ms --> +3 --> shard: 103 +--> 102
//!   INCR a +1 --+                                     +--> 103
//! ```
//! Each caller waits for the shard's answer and gets the value that it would have had alone, so nothing that was acknowledged can be
//! lost, and no two callers get the same value. The batch lies in shared memory: all instances of the worker see it, and a
//! task of its own sends it, whichever client goes away meanwhile.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::{Cx, Wait, Woken};
use sluicegate_plugin::error::{Error, Result};

use crate::config::Config;
use crate::counters::Counter;
use crate::feed::feed;
use crate::scripts;

/// How much longer than `gather` a batch may take.
const PATIENCE_MS: u32 = 60_000;

/// A batch: its number, and what it comes to so far.
struct Batch {
    id: u64,
    sum: i64,
}

impl Batch {
    fn of(cx: &Cx, key: &[u8]) -> Option<Self> {
        let bytes = cx.shared_get(&slot(key))?;
        let (id, sum) = bytes.split_first_chunk()?;
        Some(Self { id: u64::from_le_bytes(*id), sum: i64::from_le_bytes(sum.try_into().ok()?) })
    }

    fn keep(&self, cx: &Cx, config: &Config, key: &[u8]) -> bool {
        let bytes = [self.id.to_le_bytes(), self.sum.to_le_bytes()].concat();
        cx.shared_set(&slot(key), &bytes, config.gather.ms().saturating_add(PATIENCE_MS))
    }
}

fn slot(key: &[u8]) -> Vec<u8> {
    [b"gather:".as_slice(), key].concat()
}

/// Adds `by` to the batch of the counter: the value with it, or nothing when it cannot be gathered and goes alone.
pub async fn add(cx: &Cx, config: &Config, counter: &Counter<'_>, by: i64) -> Result<Option<i64>> {
    let key = &*counter.key;
    let open = Batch::of(cx, key);
    let is_first = open.is_none();
    let open = open.unwrap_or_else(|| Batch { id: cx.random(), sum: 0 });
    let Some(sum) = open.sum.checked_add(by) else {
        return Ok(None);
    };
    let batch = Batch { id: open.id, sum };
    if !batch.keep(cx, config, key) {
        return Ok(None);
    }
    if is_first {
        cx.spawn("flush", &[key, &batch.id.to_le_bytes()])?;
    }
    let wait = Wait { timeout_ms: cx.budget_ms(), behind_ms: None, poll_ms: None };
    match cx.wait_key(&batch.id.to_le_bytes(), wait).await? {
        Woken::Notice(bytes) => match <[u8; 8]>::try_from(bytes.as_slice()) {
            // What was there before the batch, and what came before this one in it.
            Ok(before) => Ok(Some(i64::from_le_bytes(before).wrapping_add(sum))),
            Err(_) => {
                let text = String::from_utf8_lossy(bytes.get(1..).unwrap_or_default());
                let (code, rest) = text.split_once(' ').unwrap_or(("ERR", &text));
                Err(Error::code(code, rest))
            }
        },
        Woken::Timeout | Woken::Behind | Woken::Turn => {
            Err(Error::new("counter: no answer for the gathered increments; outcome unknown"))
        }
    }
}

/// Task: waits for more, then sends the batch and tells all who are in it.
pub async fn flush(cx: Cx, args: Args) -> Result<()> {
    let config = cx.config::<Config>()?;
    let (key, id) = (args.bytes(0), args.bytes(1));
    cx.sleep(config.gather.ms()).await?;
    let Some(batch) = Batch::of(&cx, key).filter(|batch| batch.id.to_le_bytes() == id) else {
        return Ok(());
    };
    // From here on who comes opens another.
    cx.shared_set(&slot(key), b"", 0);
    let counter = Counter::of(&cx, &config, key);
    match send(&cx, &config, &counter, batch.sum).await {
        Ok(value) => {
            cx.notify(id, &value.wrapping_sub(batch.sum).to_le_bytes());
            feed(&cx, &config, &counter, value).await;
        }
        Err(error) => cx.notify(id, &[b"\0", error.text.as_bytes()].concat()),
    }
    Ok(())
}

/// One increment on the shard.
pub async fn send(cx: &Cx, config: &Config, counter: &Counter<'_>, by: i64) -> Result<i64> {
    let add = cmd("EVAL").arg(scripts::ADD).arg(1).arg(&*counter.key).arg(by);
    // No lease.
    let add = counter.add_end(add, config).arg("").arg("").arg(&*config.registry());
    let (value, _): (i64, bool) = cx.single(add.typed()).await?;
    Ok(value)
}

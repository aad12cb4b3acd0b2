//! `CL.THROTTLE`: a rate limit on any Redis or Valkey, one script on the key's shard for each decision.
//!
//! The shard's clock decides, so gateways need not agree on the time, and nothing is retried however many callers there are.
//! The key holds the TAT in microseconds of the shard's clock and ends when the limit is whole again.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::commands::eval;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::reply::Reply;

use crate::Count;
use crate::rate::{Decision, Rate};

/// `KEYS[1]` the key, `ARGV` increment and tolerance in nanoseconds: `{limited, nanoseconds that the TAT is ahead}`.
/// A limited action does not move the TAT; one microsecond is spared for the rounding of doubles.
pub const STEP: &str = "local v=redis.pcall('GET',KEYS[1]) \
if type(v)=='table' then return v end \
local n=0 if v then local m=string.match(v,'^%d+%.%d%d$') \
if not m then return redis.error_reply('ERR once: the value of this key is not a rate limit of CL.THROTTLE') end \
n=tonumber(m) end \
local t=redis.call('TIME') local now=t[1]*1000000+t[2] \
local inc,tol=ARGV[1]/1000,ARGV[2]/1000 \
local ahead=math.max(n-now,0) \
if ahead+inc>tol+1 then return {1,math.floor(ahead*1000)} end \
if inc>0 then ahead=ahead+inc \
redis.call('SET',KEYS[1],string.format('%.2f',now+ahead),'PX',string.format('%.0f',math.ceil(ahead/1000))) end \
return {0,math.floor(ahead*1000)}";

/// `CL.THROTTLE key max_burst count period [quantity]`: five integers, see [`Rate::reply`].
pub async fn throttle(cx: Cx, args: Args) -> Result<Reply> {
    let rate = Rate::read(&args)?;
    let step = eval(STEP, [args.key()]).arg(rate.increment_ns).arg(rate.tolerance_ns);
    let (limited, ahead_ns) = cx.call(step.typed::<(bool, i64)>()).await?;
    let count = if limited { Count::Limited } else { Count::Allowed };
    cx.metric_add(count as u32, 1);
    Ok(rate.reply(Decision { limited, ahead_ns }))
}

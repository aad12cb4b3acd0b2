//! Reading: the same replies as from a list that holds only what is shown.
//!
//! Places from the head are the list's own as long as they are below `keep`; such a command goes on as it came. Places from
//! the tail count from the last item that is shown, which needs the length: read in the same transaction.
//! What cannot be read here goes on as it came, so that the shard gives its own error.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::commands::llen as stored_length;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::reply::Reply;

use crate::config::Config;
use crate::write::on_trimmed;

/// `LLEN key`
pub async fn llen(cx: Cx, args: Args) -> Result<i64> {
    if args.len() != 2 {
        return cx.pass();
    }
    let keep = cx.config::<Config>()?.keep();
    Ok(cx.single(stored_length(args.key())).await?.min(keep))
}

/// `LRANGE key first last`
pub async fn lrange(cx: Cx, args: Args) -> Result<Reply> {
    let keep = cx.config::<Config>()?.keep();
    let (4, Some(first), Some(last)) = (args.len(), args.int(2), args.int(3)) else {
        return cx.pass();
    };
    if first >= 0 && (0..keep).contains(&last) {
        return cx.pass();
    }
    // A place that counts from the tail needs the list's end, so far as it is shown; one before `first` is not needed.
    let counts_from_tail = first < 0 || last < 0;
    let (from, to) = (first.max(0), if counts_from_tail { keep - 1 } else { last.min(keep - 1) });
    let read = cmd("LRANGE").arg(args.key()).arg(from).arg(to).typed::<Vec<Vec<u8>>>();
    let mut items = cx.single(read).await?;
    if counts_from_tail {
        let len = from.saturating_add(i64::try_from(items.len()).unwrap_or(i64::MAX));
        let from_head = |place: i64| if place < 0 { len.saturating_add(place) } else { place };
        items.truncate(narrow(from_head(last).saturating_add(1).saturating_sub(from)));
        let skipped = narrow(from_head(first).saturating_sub(from)).min(items.len());
        items.drain(..skipped);
    }
    Ok(Reply::Array(items.into_iter().map(Reply::Bulk).collect()))
}

/// `LINDEX key place`
pub async fn lindex(cx: Cx, args: Args) -> Result<Reply> {
    let keep = cx.config::<Config>()?.keep();
    let (3, Some(place)) = (args.len(), args.int(2)) else {
        return cx.pass();
    };
    if (0..keep).contains(&place) {
        return cx.pass();
    }
    let at = |place: i64| cmd("LINDEX").arg(args.key()).arg(place);
    // Of a long list the last item shown is at `keep` - 1; of a short one at -1.
    let far = if place < 0 { keep.saturating_add(place) } else { i64::MAX };
    let batch = (stored_length(args.key()), at(place), at(far.max(0)));
    let (length, short, long) = cx.transaction(batch).await?;
    Ok(match () {
        () if place >= 0 => Reply::Null,
        () if length <= keep => short,
        () if far < 0 => Reply::Null,
        () => long,
    })
}

/// `LPOS key item [RANK rank] [COUNT count] [MAXLEN most]`
pub async fn lpos(cx: Cx, args: Args) -> Result<Reply> {
    let keep = cx.config::<Config>()?.keep();
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return cx.pass();
    }
    let (mut command, mut most) = (cmd("LPOS").arg(args.key()).arg(args.bytes(2)), keep);
    for option in (3..args.len()).step_by(2) {
        let Some(number) = args.int(option + 1) else {
            return cx.pass();
        };
        if args.is(option, "MAXLEN") && number >= 0 {
            most = if number == 0 { keep } else { number.min(keep) };
            continue;
        }
        if args.is(option, "RANK") && number < 0 {
            // From the tail: there must be nothing behind it.
            return on_trimmed(cx, args).await;
        }
        command = command.arg(args.bytes(option)).arg(args.bytes(option + 1));
    }
    cx.single(command.arg("MAXLEN").arg(most).typed()).await
}

fn narrow(count: i64) -> usize {
    usize::try_from(count.max(0)).unwrap_or(usize::MAX)
}

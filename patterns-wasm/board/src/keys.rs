//! What concerns a board as a key, and what a board cannot do.
//!
//! It is there while one of its parts is. Commands that would need all parts in one step are refused with what to use instead,
//! and so are commands that would make something else of its key, which no part would notice.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::ask;
use crate::parts::Board;

/// `DEL key...`, `UNLINK key...`
pub async fn delete(cx: Cx, args: Args) -> Result<Reply> {
    let each = |board: &Board, part: usize| -> [Typed<i64>; 2] {
        // The end first: what is written between them is another board.
        [board.end_key(part), board.key(part)].map(|key| cmd("DEL").arg(key).typed())
    };
    let per_board = |replies: &[i64]| replies.iter().skip(1).step_by(2).any(|gone| *gone > 0);
    boards(&cx, &args, each, per_board).await
}

/// `EXISTS key...`, `TOUCH key...`
pub async fn count(cx: Cx, args: Args) -> Result<Reply> {
    let name = if args.is(0, "TOUCH") { "TOUCH" } else { "EXISTS" };
    let each = |board: &Board, part: usize| [cmd(name).arg(board.key(part)).typed::<i64>()];
    boards(&cx, &args, each, |replies| replies.iter().any(|count| *count > 0)).await
}

/// How many of the boards that are named answer so.
async fn boards<const N: usize>(
    cx: &Cx,
    args: &Args,
    each: impl Fn(&Board, usize) -> [Typed<i64>; N],
    holds: impl Fn(&[i64]) -> bool,
) -> Result<Reply> {
    if args.len() < 2 {
        return cx.pass();
    }
    let boards = args.from(1).map(|key| Board::of(cx, key)).collect::<Result<Vec<_>>>()?;
    let commands = boards.iter().flat_map(|board| board.parts().flat_map(|part| each(board, part)));
    let replies = ask::all(cx, commands.collect()).await?;
    let mut rest = replies.as_slice();
    let mut count = 0;
    for board in &boards {
        let (own, others) = rest.split_at((board.parts().len() * N).min(rest.len()));
        count += i64::from(holds(own));
        rest = others;
    }
    Ok(Reply::Int(count))
}

/// `TYPE key`
pub async fn type_of(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    let exist = board.parts().map(|part| cmd("EXISTS").arg(board.key(part)).typed::<bool>());
    let is_there = ask::all(&cx, exist.collect()).await?.contains(&true);
    Ok(Reply::Simple(if is_there { "zset" } else { "none" }.into()))
}

/// What would need all parts at once.
pub async fn refuse(_cx: Cx, args: Args) -> Result<Reply> {
    let name = ask::lower(args.name());
    let instead = match name.as_str() {
        "zremrangebyrank" => "ZREMRANGEBYSCORE",
        "zscan" | "zrandmember" => "ZRANGE, or ZRANGEBYSCORE with LIMIT",
        "zpopmin" | "zpopmax" | "bzpopmin" | "bzpopmax" | "zmpop" | "bzmpop" => "ZRANGE and ZREM",
        "geoadd" => "a key outside this binding",
        _ => "ZRANGE with WITHSCORES, and ZADD",
    };
    let text = "' needs all members in one place, and a board is spread over parts; use ";
    Err(Error::new(["board: '", &name, text, instead].concat()))
}

/// What would make something else of the key.
pub async fn other_type(_cx: Cx, args: Args) -> Result<Reply> {
    let name = ask::lower(args.name());
    let text = "' is not for a board: this binding's keys hold sorted sets only";
    Err(Error::new(["board: '", &name, text].concat()))
}

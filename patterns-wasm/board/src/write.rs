//! ZADD, ZINCRBY, ZREM and ZREMRANGEBYSCORE: each member to its own part.
//!
//! What makes no sense goes on as it came, for Redis's own error: it is checked first, so that nothing of it is written. Members of
//! several parts are several commands: after an error some of them may be in.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::{Command, cmd};
use sluicegate_plugin::convert::FromArg;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::reply::Reply;

use crate::ask;
use crate::parts::Board;
use crate::scripts;

/// Members of one command: Lua takes some 8,000 arguments.
const PIECE: usize = 1_000;

/// `ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]`
pub async fn add(cx: Cx, args: Args) -> Result<Reply> {
    let Some(first) = checked(&args) else {
        return cx.pass();
    };
    let board = Board::of(&cx, args.key())?;
    let options: Vec<&[u8]> = (2..first).map(|at| args.bytes(at)).collect();
    let pairs = (first..args.len()).step_by(2).map(|at| (args.bytes(at), args.bytes(at + 1)));
    let mut parts = vec![Vec::new(); board.parts().len()];
    for (score, member) in pairs {
        if let Some(pairs) = parts.get_mut(board.part_of(member)) {
            pairs.push([score, member]);
        }
    }
    let used = parts.iter().filter(|pairs| !pairs.is_empty()).count();
    if used > 1 || parts.iter().any(|pairs| pairs.len() > PIECE) {
        // One of several commands must not be the only one that fails.
        for [score, _] in parts.iter().flatten() {
            f64::from_arg(score)?;
        }
    }
    let mut commands = Vec::with_capacity(used);
    for (part, pairs) in parts.iter().enumerate() {
        for piece in pairs.chunks(PIECE) {
            let command = write(&board, part, "ZADD").args(options.iter().copied());
            commands.push(command.args(piece.iter().flatten().copied()).typed::<Reply>());
        }
    }
    let is_increment = options.iter().any(|option| option.eq_ignore_ascii_case(b"INCR"));
    let mut replies = ask::all(&cx, commands).await?;
    if is_increment {
        return Ok(replies.pop().map_or(Reply::Null, ask::score));
    }
    Ok(Reply::Int(replies.iter().filter_map(Reply::int).sum()))
}

/// The place of the first score; `None` for what Redis refuses whatever is stored.
fn checked(args: &Args) -> Option<usize> {
    let known = ["NX", "XX", "GT", "LT", "CH", "INCR"];
    let (mut given, mut first) = ([false; 6], 2);
    while let Some(option) = known.iter().position(|word| args.is(first, word)) {
        *given.get_mut(option)? = true;
        first += 1;
    }
    let [nx, xx, gt, lt, _, incr] = given;
    let words = args.len().checked_sub(first)?;
    let wrong = (nx && (xx || gt || lt)) || (gt && lt) || (incr && words > 2);
    (words > 0 && words.is_multiple_of(2) && !wrong).then_some(first)
}

/// `ZINCRBY key by member`
pub async fn increment(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 4 {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    let write = write(&board, board.part_of(args.bytes(3)), "ZINCRBY").args(args.rest());
    cx.single(write.typed()).await.map(ask::score)
}

/// `ZREM key member...`
pub async fn remove(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() < 3 {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    let mut parts = vec![Vec::new(); board.parts().len()];
    for member in args.rest() {
        if let Some(members) = parts.get_mut(board.part_of(member)) {
            members.push(member);
        }
    }
    let parts = parts.iter().enumerate().filter(|(_, members)| !members.is_empty());
    let removes = parts.map(|(part, members)| {
        cmd("ZREM").arg(board.key(part)).args(members.iter().copied()).typed::<i64>()
    });
    Ok(Reply::Int(ask::all(&cx, removes.collect()).await?.iter().sum()))
}

/// `ZREMRANGEBYSCORE key min max`
pub async fn remove_scores(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 4 {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    let remove =
        |part| cmd("ZREMRANGEBYSCORE").arg(board.key(part)).args(args.rest()).typed::<i64>();
    let removed = ask::all(&cx, board.parts().map(remove).collect()).await?;
    Ok(Reply::Int(removed.iter().sum()))
}

/// A write to a part that may create it.
fn write(board: &Board, part: usize, command: &str) -> Command {
    let write =
        cmd("EVAL").arg(scripts::WRITE).arg(2).arg(board.key(part)).arg(board.end_key(part));
    let write = match board.end_ms() {
        Some(end_ms) => write.arg(end_ms),
        None => write.arg(""),
    };
    write.arg(command)
}

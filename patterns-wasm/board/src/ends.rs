//! EXPIRE, PERSIST, TTL and their relatives: all parts of a board end together.
//!
//! A part may come to be after EXPIRE, so the end is noted beside every part, and the write that creates one gives it that end in
//! the same step. A window's board ends by itself. Relative ends are counted by the shards' clocks, as Redis does.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::ask;
use crate::parts::Board;
use crate::scripts;

/// Milliseconds that a script's numbers hold exactly.
const MOST_MS: i64 = 1 << 53;

/// `EXPIRE key seconds [NX | XX | GT | LT]`, and PEXPIRE, EXPIREAT, PEXPIREAT
pub async fn expire(cx: Cx, args: Args) -> Result<Reply> {
    let name = ask::lower(args.name());
    let flag = match args.bytes(3).to_ascii_uppercase().as_slice() {
        b"" if args.len() == 3 => "",
        b"NX" if args.len() == 4 => "NX",
        b"XX" if args.len() == 4 => "XX",
        b"GT" if args.len() == 4 => "GT",
        b"LT" if args.len() == 4 => "LT",
        // Redis's own error, or flags that say the same twice.
        _ => return cx.pass(),
    };
    let Some(number) = args.int(2) else {
        return cx.pass();
    };
    let factor = if name.starts_with('p') { 1 } else { 1_000 };
    let Some(ms) = number.checked_mul(factor).filter(|ms| ms.abs() <= MOST_MS) else {
        return Err(Error::new(["invalid expire time in '", &name, "' command"].concat()));
    };
    let board = Board::of(&cx, args.key())?;
    without_window(&board, &name)?;
    if !board.is_whole() {
        ask::outside_multi(&cx, &name)?;
        if !is_there(&cx, &board).await? {
            return Ok(Reply::Int(0));
        }
    }
    let from = if name.ends_with("at") { "at" } else { "in" };
    let alone = if board.is_whole() { "1" } else { "0" };
    let expire = |part| -> Typed<i64> {
        let expire = cmd("EVAL").arg(scripts::EXPIRE).arg(2);
        let expire = expire.arg(board.key(part)).arg(board.end_key(part));
        expire.arg(from).arg(ms).arg(flag).arg(alone).typed()
    };
    let taken = ask::all(&cx, board.parts().map(expire).collect()).await?;
    Ok(Reply::Int(i64::from(taken.contains(&1))))
}

/// `PERSIST key`
pub async fn persist(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    without_window(&board, "persist")?;
    let persist = |part| -> [Typed<i64>; 2] {
        [cmd("DEL").arg(board.end_key(part)).typed(), cmd("PERSIST").arg(board.key(part)).typed()]
    };
    let replies = ask::all(&cx, board.parts().flat_map(persist).collect()).await?;
    let was_there = replies.iter().skip(1).step_by(2).any(|had| *had == 1);
    Ok(Reply::Int(i64::from(was_there)))
}

/// `TTL key`, and PTTL, EXPIRETIME, PEXPIRETIME
pub async fn left(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 2 {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    let is_time = args.name().to_ascii_uppercase().ends_with(b"TIME");
    let name = if is_time { "PEXPIRETIME" } else { "PTTL" };
    let ends = board.parts().map(|part| cmd(name).arg(board.key(part)).typed::<i64>());
    let ends = ask::all(&cx, ends.collect()).await?;
    // -2: not there; -1: for ever, which is the longest.
    let ms = if ends.contains(&-1) { -1 } else { ends.into_iter().max().unwrap_or(-2) };
    let is_ms = args.bytes(0).first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'P'));
    Ok(Reply::Int(match (is_ms, ms) {
        (false, 0..) => (ms + 500) / 1_000,
        _ => ms,
    }))
}

async fn is_there(cx: &Cx, board: &Board) -> Result<bool> {
    let exist = board.parts().map(|part| cmd("EXISTS").arg(board.key(part)).typed::<bool>());
    Ok(ask::all(cx, exist.collect()).await?.contains(&true))
}

fn without_window(board: &Board, name: &str) -> Result<()> {
    if board.window().is_some() {
        let text = "' is not for a window's board: it ends by itself, 'keep' windows later";
        return Err(Error::new(["board: '", name, text].concat()));
    }
    Ok(())
}

//! BOARD.TOP: the first n, of one board or of several windows together.
//!
//! A part's windows lie on one shard, which adds them up by itself and keeps the sum for `roll_up`: the work is done once per
//! part and time, however many ask. Members are whole within a part, so the first n of the sums are among the first n of
//! each part.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::ask;
use crate::parts::Board;
use crate::range::{Row, Rows, first, merge, shown};
use crate::scripts;

/// Most members of one reply.
const TOP_MAX: i64 = 10_000;

/// `BOARD.TOP key n [WINDOWS count [AGGREGATE SUM | MIN | MAX]]`: members and scores, the highest first.
pub async fn top(cx: Cx, args: Args) -> Result<Reply> {
    let count: i64 = args.get(2)?;
    if !(1..=TOP_MAX).contains(&count) {
        return Err(Error::new("board: BOARD.TOP n must be from 1 to 10000"));
    }
    let board = Board::of(&cx, args.key())?;
    let rows = match windows(&args)? {
        None => first(&cx, &board, count, true).await?,
        Some((windows, aggregate)) => rolled(&cx, &board, count, windows, aggregate).await?,
    };
    Ok(shown(&cx, rows, true))
}

fn windows(args: &Args) -> Result<Option<(u32, &'static str)>> {
    let aggregate = match args.len() {
        3 => return Ok(None),
        5 => "SUM",
        7 if args.is(5, "AGGREGATE") && args.is(6, "SUM") => "SUM",
        7 if args.is(5, "AGGREGATE") && args.is(6, "MIN") => "MIN",
        7 if args.is(5, "AGGREGATE") && args.is(6, "MAX") => "MAX",
        _ => return Err(Error::syntax()),
    };
    if !args.is(3, "WINDOWS") {
        return Err(Error::syntax());
    }
    Ok(Some((args.get(4)?, aggregate)))
}

async fn rolled(
    cx: &Cx,
    board: &Board,
    count: i64,
    windows: u32,
    aggregate: &str,
) -> Result<Vec<Row>> {
    let Some(window) = board.window() else {
        return Err(Error::new("board: set 'window' in the config of this binding for WINDOWS"));
    };
    let most = board.config.keep + 1;
    if !(1..=most).contains(&windows) {
        let text = "board: BOARD.TOP WINDOWS must be from 1 to keep + 1, which is ";
        return Err(Error::new([text, &most.to_string()].concat()));
    }
    let names: Vec<String> = (0..windows).map(|back| window.before(back).name()).collect();
    let sum = [&window.name(), "-", &windows.to_string(), "-", aggregate].concat();
    let fresh_ms = i64::from(board.config.roll_up.ms());
    let roll = |part| -> Typed<Rows> {
        let roll = cmd("EVAL").arg(scripts::ROLL_UP).arg(i64::from(windows) + 1);
        let roll = roll.arg(board.beside(part, &sum));
        let roll = names.iter().fold(roll, |roll, name| roll.arg(board.beside(part, name)));
        roll.arg(fresh_ms).arg(count - 1).arg(aggregate).typed()
    };
    let mut rows = merge(ask::all(cx, board.parts().map(roll).collect()).await?, true)?;
    rows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(rows)
}

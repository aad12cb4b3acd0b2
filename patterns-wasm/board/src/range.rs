//! ZRANGE and its relatives: the same range of every part, merged.
//!
//! The first n of a board are among the first n of each part, so a range near one of the ends costs little. One that
//! counts from both ends reads the whole board, and a deep one all that comes before it. Each part is read by one command
//! and a member never changes its part: no member is shown twice, and each score was held during the read.

use std::cmp::Ordering;

use sluicegate_plugin::args::{Args, parse_int};
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::ask;
use crate::parts::Board;

/// A member with its score, as a number and as the shard's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub member: Vec<u8>,
    pub score: f64,
    pub text: Reply,
}

impl Row {
    /// From what a shard answers with WITHSCORES.
    pub fn new((member, text): (Vec<u8>, Reply)) -> Result<Self> {
        let score = text.clone().to::<f64>()?;
        Ok(Self { member, score, text: ask::score(text) })
    }

    /// As Redis orders members: by score, then by bytes.
    pub fn order(&self, other: &Self) -> Ordering {
        let scores = self.score.partial_cmp(&other.score).unwrap_or(Ordering::Equal);
        scores.then_with(|| self.member.cmp(&other.member))
    }
}

/// Rows of one part, as the shards give them.
pub type Rows = Vec<(Vec<u8>, Reply)>;

/// Rows of several parts in one order.
pub fn merge(parts: Vec<Rows>, backward: bool) -> Result<Vec<Row>> {
    let mut rows = parts.into_iter().flatten().map(Row::new).collect::<Result<Vec<_>>>()?;
    // Sorted runs behind each other: the standard sort merges them.
    if backward {
        rows.sort_by(|a, b| b.order(a));
    } else {
        rows.sort_by(Row::order);
    }
    Ok(rows)
}

/// Members, with their scores as the protocol has it: flat in RESP2, in pairs in RESP3.
pub fn shown(cx: &Cx, rows: impl IntoIterator<Item = Row>, with_scores: bool) -> Reply {
    let mut items = Vec::new();
    for Row { member, text, .. } in rows {
        match (with_scores, cx.resp()) {
            (false, _) => items.push(Reply::Bulk(member)),
            (true, 3) => items.push(Reply::Array(vec![Reply::Bulk(member), text])),
            (true, _) => items.extend([Reply::Bulk(member), text]),
        }
    }
    Reply::Array(items)
}

/// What is asked for.
#[derive(Debug)]
struct Query<'a> {
    backward: bool,
    with_scores: bool,
    from: &'a [u8],
    to: &'a [u8],
    by: By,
}

#[derive(Debug, Clone, Copy)]
enum By {
    /// Places, which may count from the end.
    Place { start: i64, stop: i64 },
    /// Scores, of which so many are skipped and so many are shown.
    Score { skip: i64, count: i64 },
}

/// `ZRANGE key start stop [BYSCORE] [REV] [LIMIT offset count] [WITHSCORES]` and its three older forms.
pub async fn range(cx: Cx, args: Args) -> Result<Reply> {
    let Some(query) = read(&args)? else {
        return cx.pass();
    };
    let board = Board::of(&cx, args.key())?;
    let rows = match query.by {
        By::Place { start, stop } => places(&cx, &board, &query, start, stop).await?,
        By::Score { skip, count } => scores(&cx, &board, &query, skip, count).await?,
    };
    Ok(shown(&cx, rows, query.with_scores))
}

/// `None` for what Redis refuses, or answers by nothing, whatever is stored: it goes there for that.
fn read(args: &Args) -> Result<Option<Query<'_>>> {
    let newest = args.is(0, "ZRANGE");
    let mut backward = args.name().to_ascii_uppercase().starts_with(b"ZREV");
    let mut by_score = args.name().to_ascii_uppercase().ends_with(b"BYSCORE");
    let (mut with_scores, mut limit, mut at) = (false, None, 4);
    while at < args.len() {
        if args.is(at, "WITHSCORES") {
            with_scores = true;
        } else if args.is(at, "LIMIT") && at + 2 < args.len() {
            limit = Some((args.int(at + 1), args.int(at + 2)));
            at += 2;
        } else if newest && args.is(at, "BYSCORE") {
            by_score = true;
        } else if newest && args.is(at, "REV") {
            backward = true;
        } else if newest && args.is(at, "BYLEX") {
            return Err(Error::new("board: BYLEX is not for a board; it orders by score"));
        } else {
            return Ok(None);
        }
        at += 1;
    }
    let by = match (by_score, limit) {
        (true, None) => By::Score { skip: 0, count: -1 },
        (true, Some((Some(skip), Some(count)))) => By::Score { skip, count },
        (false, None) => match (parse_int(args.bytes(2)), parse_int(args.bytes(3))) {
            (Some(start), Some(stop)) => By::Place { start, stop },
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let is_empty = match by {
        By::Place { start, stop } => (start >= 0) == (stop >= 0) && start > stop,
        By::Score { skip, count } => skip < 0 || count == 0,
    };
    // Nothing is asked for: nothing is read.
    Ok((args.len() >= 4 && !is_empty).then(|| Query {
        backward,
        with_scores,
        from: args.bytes(2),
        to: args.bytes(3),
        by,
    }))
}

/// The members at these places of every part.
fn part_places(board: &Board, part: usize, stop: i64, backward: bool) -> Typed<Rows> {
    let range = cmd("ZRANGE").arg(board.key(part)).arg(0).arg(stop);
    if backward { range.arg("REV") } else { range }.arg("WITHSCORES").typed()
}

/// The first `count` of a board, which is at least 1.
pub async fn first(cx: &Cx, board: &Board, count: i64, backward: bool) -> Result<Vec<Row>> {
    let read = |part| part_places(board, part, count - 1, backward);
    let mut rows = merge(ask::all(cx, board.parts().map(read).collect()).await?, backward)?;
    rows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(rows)
}

async fn places(
    cx: &Cx,
    board: &Board,
    query: &Query<'_>,
    start: i64,
    stop: i64,
) -> Result<Vec<Row>> {
    // Near the end: the same from the other side.
    let (turned, head, tail) = match (start >= 0, stop >= 0) {
        (true, true) => (false, start, stop.saturating_add(1)),
        (false, false) => (true, -(stop + 1), start.saturating_neg()),
        // From one end to the other.
        _ => (false, 0, 0),
    };
    let backward = query.backward != turned;
    let read = |part| part_places(board, part, tail - 1, backward);
    let mut rows = merge(ask::all(cx, board.parts().map(read).collect()).await?, backward)?;
    if tail > 0 {
        let (head, tail) = (place(head), place(tail).min(rows.len()));
        rows.truncate(tail);
        rows.drain(..head.min(rows.len()));
    } else {
        let all = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let from = if start < 0 { (all + start).max(0) } else { start };
        let end = (if stop < 0 { all + stop } else { stop }).saturating_add(1);
        rows.truncate(place(end));
        rows.drain(..place(from).min(rows.len()));
    }
    if turned {
        rows.reverse();
    }
    Ok(rows)
}

fn place(number: i64) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}

async fn scores(
    cx: &Cx,
    board: &Board,
    query: &Query<'_>,
    skip: i64,
    count: i64,
) -> Result<Vec<Row>> {
    let read = |part| {
        let range = cmd("ZRANGE").arg(board.key(part)).arg(query.from).arg(query.to).arg("BYSCORE");
        let range = if query.backward { range.arg("REV") } else { range };
        // What is skipped may all lie in one part.
        let most = if count < 0 { -1 } else { skip.saturating_add(count) };
        range.arg("LIMIT").arg(0).arg(most).arg("WITHSCORES").typed()
    };
    let mut rows = merge(ask::all(cx, board.parts().map(read).collect()).await?, query.backward)?;
    rows.drain(..place(skip).min(rows.len()));
    rows.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(rows)
}

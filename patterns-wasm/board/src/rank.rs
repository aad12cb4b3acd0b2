//! Places: ZRANK, ZREVRANK and BOARD.AROUND.
//!
//! A member's place is its place in its own part, and how many come before it in each of the others: by score, and among those
//! of the same score by bytes, which each part searches by halves (O(log n) each). Exact while nothing changes; between the
//! first question and the others a member may move.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::{Error, Result};
use sluicegate_plugin::reply::Reply;
use sluicegate_plugin::request::Typed;

use crate::ask;
use crate::parts::Board;
use crate::range::{Row, Rows, merge};
use crate::scripts;

/// Most members above and below.
const AROUND_MAX: i64 = 1_000;

/// Where a member stands.
struct Place {
    /// How many come before it in each part, its own too.
    before: Vec<i64>,
    row: Row,
}

impl Place {
    fn rank(&self) -> i64 {
        self.before.iter().sum()
    }
}

/// `ZRANK key member [WITHSCORE]`, `ZREVRANK key member [WITHSCORE]`
pub async fn rank(cx: Cx, args: Args) -> Result<Reply> {
    let with_score = args.len() == 4 && args.is(3, "WITHSCORE");
    if args.len() != 3 && !with_score {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    if !board.is_whole() {
        ask::outside_multi(&cx, &ask::lower(args.name()))?;
    }
    let found = place(&cx, &board, args.bytes(2), args.is(0, "ZREVRANK")).await?;
    Ok(match found {
        None if with_score => Reply::NullArray,
        None => Reply::Null,
        Some(place) if with_score => Reply::Array(vec![Reply::Int(place.rank()), place.row.text]),
        Some(place) => Reply::Int(place.rank()),
    })
}

/// `BOARD.AROUND key member n`: rank, member and score of up to `n` above it, itself, and up to `n` below.
pub async fn around(cx: Cx, args: Args) -> Result<Reply> {
    let count: i64 = args.get(3)?;
    if !(0..=AROUND_MAX).contains(&count) {
        return Err(Error::new("board: BOARD.AROUND n must be from 0 to 1000"));
    }
    let board = Board::of(&cx, args.key())?;
    let Some(place) = place(&cx, &board, args.bytes(2), true).await? else {
        return Ok(Reply::Array(Vec::new()));
    };
    let near = |(part, before): (usize, &i64)| {
        let range = cmd("ZRANGE").arg(board.key(part)).arg((before - count).max(0));
        range.arg(before + count).arg("REV").arg("WITHSCORES").typed::<Rows>()
    };
    let rows = ask::all(&cx, place.before.iter().enumerate().map(near).collect()).await?;
    let mut rows = merge(rows, true)?;
    let above = rows.partition_point(|row| row.order(&place.row).is_gt());
    let count = usize::try_from(count).unwrap_or(0);
    let skipped = above.saturating_sub(count);
    rows.truncate(above + count + 1);
    let first = place.rank() - i64::try_from(above - skipped).unwrap_or(0);
    let rows = rows.into_iter().skip(skipped).zip(first..);
    let shown = |(row, rank): (Row, i64)| {
        Reply::Array(vec![Reply::Int(rank), Reply::Bulk(row.member), row.text])
    };
    Ok(Reply::Array(rows.map(shown).collect()))
}

/// Where `member` stands, from the lowest or from the highest; `None` when it is not there.
async fn place(cx: &Cx, board: &Board, member: &[u8], backward: bool) -> Result<Option<Place>> {
    let own = board.part_of(member);
    let command = if backward { "ZREVRANK" } else { "ZRANK" };
    let asked =
        cmd("EVAL_RO").arg(scripts::RANK).arg(1).arg(board.key(own)).arg(member).arg(command);
    let found: Option<(i64, Reply)> = cx.single(asked.typed()).await?;
    let Some((rank, score)) = found else {
        return Ok(None);
    };
    let direction = if backward { "1" } else { "0" };
    let before = |part: usize| -> Typed<i64> {
        let place = cmd("EVAL_RO").arg(scripts::PLACE).arg(1).arg(board.key(part));
        place.arg(score.bytes().unwrap_or_default()).arg(member).arg(direction).typed()
    };
    let others = board.parts().filter(|part| *part != own).map(before).collect::<Vec<_>>();
    let mut counts = if others.is_empty() { Vec::new() } else { ask::all(cx, others).await? };
    counts.insert(own.min(counts.len()), rank);
    let row = Row::new((member.to_vec(), score))?;
    Ok(Some(Place { before: counts, row }))
}

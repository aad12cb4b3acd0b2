//! ZSCORE, ZMSCORE, ZCARD and ZCOUNT: of one part, or added up.
//!
//! Comes in: a client's question. Goes out: the reply of one sorted set. Each part answers for one moment; counts of a
//! board that is being changed are sums of moments that lie close together.

use sluicegate_plugin::args::Args;
use sluicegate_plugin::command::cmd;
use sluicegate_plugin::cx::Cx;
use sluicegate_plugin::error::Result;
use sluicegate_plugin::reply::Reply;

use crate::ask;
use crate::parts::Board;

/// `ZSCORE key member`
pub async fn score(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() != 3 {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    let part = board.part_of(args.bytes(2));
    let score = cmd("ZSCORE").arg(board.key(part)).arg(args.bytes(2));
    cx.single(score.typed()).await.map(ask::score)
}

/// `ZMSCORE key member...`
pub async fn scores(cx: Cx, args: Args) -> Result<Reply> {
    if args.len() < 3 {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    let mut parts = vec![(Vec::new(), Vec::new()); board.parts().len()];
    for (place, member) in args.rest().enumerate() {
        if let Some((places, members)) = parts.get_mut(board.part_of(member)) {
            places.push(place);
            members.push(member);
        }
    }
    let asked = parts.iter().enumerate().filter(|(_, (places, _))| !places.is_empty());
    let asked = asked.map(|(part, (_, members))| {
        cmd("ZMSCORE").arg(board.key(part)).args(members.iter().copied()).typed::<Vec<Reply>>()
    });
    let found = ask::all(&cx, asked.collect()).await?;
    let mut scores = vec![Reply::Null; args.len() - 2];
    let places = parts.iter().flat_map(|(places, _)| places);
    for (place, score) in places.zip(found.into_iter().flatten()) {
        if let Some(slot) = scores.get_mut(*place) {
            *slot = ask::score(score);
        }
    }
    Ok(Reply::Array(scores))
}

/// `ZCARD key`
pub async fn card(cx: Cx, args: Args) -> Result<Reply> {
    sum(cx, args, 2, "ZCARD").await
}

/// `ZCOUNT key min max`
pub async fn count(cx: Cx, args: Args) -> Result<Reply> {
    sum(cx, args, 4, "ZCOUNT").await
}

async fn sum(cx: Cx, args: Args, words: usize, name: &str) -> Result<Reply> {
    if args.len() != words {
        return cx.pass();
    }
    let board = Board::of(&cx, args.key())?;
    let count = |part| cmd(name).arg(board.key(part)).args(args.rest()).typed::<i64>();
    let counts = ask::all(&cx, board.parts().map(count).collect()).await?;
    Ok(Reply::Int(counts.iter().sum()))
}

//! Waiting for the first of two things.
//!
//! Operations are queued when they are made, so waiting for *all* of several needs no helper: make them, then await
//! one after the other. `first` is for the other case; the loser is dropped and its result forgotten.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

/// Which of two futures was ready first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First<A, B> {
    /// The first argument.
    Left(A),
    /// The second argument.
    Right(B),
}

/// Waits for either; the left one wins when both are ready.
pub async fn first<A: Future, B: Future>(left: A, right: B) -> First<A::Output, B::Output> {
    let mut left = pin!(left);
    first_pinned(left.as_mut(), pin!(right)).await
}

/// Waits for either without giving up the left one, so that it can be awaited again.
pub async fn first_pinned<A: Future, B: Future>(
    mut left: Pin<&mut A>,
    mut right: Pin<&mut B>,
) -> First<A::Output, B::Output> {
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(value));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}

//! Waiting for several things: all of them, the first of them, or one for so long.
//!
//! Operations are queued when they are made, so they are all under way before the first is awaited. A future that is
//! dropped forgets its result; what it has sent is carried out all the same. Commands that need not be told apart in time
//! are cheaper in one `pipeline`: it resumes the plugin once.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

use crate::cx::Cx;
use crate::error::{Error, ErrorKind, Result};

/// Which of two futures was ready first.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// use sluicegate_plugin::wait::{First, first};
///
/// /// What somebody says about the key within a second.
/// async fn hear(cx: Cx, args: Args) -> Result<Option<Vec<u8>>> {
///     let wait = Wait { timeout_ms: 60_000, behind_ms: None, poll_ms: None };
///     match first(cx.wait_key(args.key(), wait), cx.sleep(1_000)).await {
///         First::Left(woken) => match woken? {
///             Woken::Notice(bytes) => Ok(Some(bytes)),
///             Woken::Timeout | Woken::Behind | Woken::Turn => Ok(None),
///         },
///         First::Right(slept) => slept.map(|()| None),
///     }
/// }
/// async fn say(cx: Cx, args: Args) {
///     cx.notify(args.key(), args.bytes(2));
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["HEAR" => hear, "SAY" => say],
/// #     capabilities: { wait: true },
/// # }
/// # fn main() {
/// let mut world = World::new(&PLUGIN, "", 1, 1);
/// let hears = world.send(0, 1, &["HEAR", "k"]);
/// world.ask(0, 2, &["SAY", "k", "hello"]);
/// assert_eq!(world.reply(hears), Some(&Reply::bulk("hello")));
/// let alone = world.send(0, 1, &["HEAR", "k"]);
/// world.advance(1_000);
/// assert_eq!(world.reply(alone), Some(&Reply::Null));
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First<A, B> {
    /// The first argument.
    Left(A),
    /// The second argument.
    Right(B),
}

/// Waits for either; the left one wins when both are ready. The loser is dropped. See [`First`].
pub async fn first<A: Future, B: Future>(left: A, right: B) -> First<A::Output, B::Output> {
    let mut left = pin!(left);
    first_pinned(left.as_mut(), pin!(right)).await
}

/// Waits for either without giving up the left one, so that it can be awaited again. See [`First`].
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

/// Waits for the first of any number; answers its place and its result. Of several that are ready the first in order wins.
/// Of none it never ends, and a handler that waits for nothing ends with an error.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// use sluicegate_plugin::wait::first_of;
///
/// async fn fastest(cx: Cx, _args: Args) -> Result<i64> {
///     let (place, slept) = first_of([30, 10, 20].map(|ms| cx.sleep(ms))).await;
///     slept?;
///     Ok(place as i64)
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["FASTEST" => fastest],
/// #     capabilities: { wait: true },
/// # }
/// # fn main() {
/// # let mut world = World::new(&PLUGIN, "", 1, 1);
/// # world.send(0, 1, &["FASTEST"]);
/// # world.advance(10);
/// # assert_eq!(world.last_reply(), Some(Reply::Int(1)));
/// # }
/// ```
pub async fn first_of<F: Future>(futures: impl IntoIterator<Item = F>) -> (usize, F::Output) {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        for (place, future) in futures.iter_mut().enumerate() {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready((place, value));
            }
        }
        Poll::Pending
    })
    .await
}

/// Waits for both.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// # use sluicegate_plugin::harness::world::World;
/// use sluicegate_plugin::wait::join;
///
/// async fn rest_and_read(cx: Cx, args: Args) -> Result<Option<Vec<u8>>> {
///     let (slept, value) = join(cx.sleep(10), cx.call(get(args.key()))).await;
///     slept?;
///     value
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["REST" => rest_and_read],
/// #     capabilities: { commands: ["GET"], wait: true },
/// # }
/// # fn main() {
/// # let mut world = World::new(&PLUGIN, "", 1, 1);
/// # assert_eq!(world.ask(0, 1, &["REST", "k"]), None);
/// # world.advance(10);
/// # assert_eq!(world.last_reply(), Some(Reply::Null));
/// # }
/// ```
pub async fn join<A: Future, B: Future>(left: A, right: B) -> (A::Output, B::Output) {
    let (mut left, mut right) = (pin!(left), pin!(right));
    let (mut left_value, mut right_value) = (None, None);
    std::future::poll_fn(|context| {
        let left_ready = is_ready(left.as_mut(), &mut left_value, context);
        let right_ready = is_ready(right.as_mut(), &mut right_value, context);
        if !(left_ready && right_ready) {
            return Poll::Pending;
        }
        match (left_value.take(), right_value.take()) {
            (Some(left), Some(right)) => Poll::Ready((left, right)),
            (Some(_) | None, _) => Poll::Pending,
        }
    })
    .await
}

/// Waits for all three.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::wait::join3;
///
/// async fn three(cx: Cx, args: Args) -> Result<i64> {
///     let key = args.key();
///     let (a, b, c) = join3(cx.call(incr_by(key, 1)), cx.call(incr_by(key, 2)), cx.sleep(5)).await;
///     c?;
///     Ok(a? + b?)
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["THREE" => three],
/// #     capabilities: { commands: ["INCRBY"], wait: true },
/// # }
/// # fn main() {
/// # let mut world = sluicegate_plugin::harness::world::World::new(&PLUGIN, "", 1, 1);
/// # world.send(0, 1, &["THREE", "k"]);
/// # world.advance(5);
/// # assert_eq!(world.last_reply(), Some(Reply::Int(4)));
/// # }
/// ```
pub async fn join3<A: Future, B: Future, C: Future>(
    one: A,
    two: B,
    three: C,
) -> (A::Output, B::Output, C::Output) {
    let ((one, two), three) = join(join(one, two), three).await;
    (one, two, three)
}

/// Waits for all; their results in their order.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::wait::join_all;
///
/// async fn all(cx: Cx, _args: Args) -> Result<i64> {
///     let slept = join_all([30, 10, 20].map(|ms| cx.sleep(ms))).await;
///     Ok(slept.into_iter().filter(|slept| slept.is_ok()).count() as i64)
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["ALL" => all],
/// #     capabilities: { wait: true },
/// # }
/// # fn main() {
/// # let mut world = sluicegate_plugin::harness::world::World::new(&PLUGIN, "", 1, 1);
/// # world.send(0, 1, &["ALL"]);
/// # world.advance(29);
/// # assert_eq!(world.last_reply(), None);
/// # world.advance(1);
/// # assert_eq!(world.last_reply(), Some(Reply::Int(3)));
/// # }
/// ```
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, value) in &mut futures {
            all &= is_ready(future.as_mut(), value, context);
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, value)| value).collect()
}

/// Polls a future that has given no value yet; answers whether there is one.
fn is_ready<F: Future>(
    future: Pin<&mut F>,
    value: &mut Option<F::Output>,
    context: &mut std::task::Context<'_>,
) -> bool {
    if value.is_none()
        && let Poll::Ready(ready) = future.poll(context)
    {
        *value = Some(ready);
    }
    value.is_some()
}

/// Waits for `future` for at most `ms` milliseconds; over that the error is `ERR timed out` of kind `Timeout`, and what
/// `future` has sent is carried out all the same.
///
/// ```
/// # use sluicegate_plugin::prelude::*;
/// use sluicegate_plugin::wait::timeout;
///
/// async fn patient(cx: Cx, _args: Args) -> Result<()> {
///     timeout(&cx, 50, cx.sleep(1_000)).await?
/// }
/// # sluicegate_plugin::plugin! {
/// #     name: "x", version: "1.0.0", commands: ["PATIENT" => patient],
/// #     capabilities: { wait: true },
/// # }
/// # fn main() {
/// # let mut world = sluicegate_plugin::harness::world::World::new(&PLUGIN, "", 1, 1);
/// # world.send(0, 1, &["PATIENT"]);
/// # world.advance(50);
/// # assert_eq!(world.last_reply(), Some(Reply::Error("ERR timed out".into())));
/// # }
/// ```
pub async fn timeout<F: Future>(cx: &Cx, ms: u32, future: F) -> Result<F::Output> {
    match first(future, cx.sleep(ms)).await {
        First::Left(value) => Ok(value),
        First::Right(slept) => {
            slept?;
            Err(Error::of(ErrorKind::Timeout, String::from("ERR timed out")))
        }
    }
}

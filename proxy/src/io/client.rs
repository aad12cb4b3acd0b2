//! The task of one client connection.
//!
//! One `poll_fn`: read what is there (bounded), let the core look at all of it, write all replies at once. Reading
//! goes through `AsyncRead::poll_read`, whose short read tells tokio that the socket is empty, which saves the
//! second `read` that would end in EAGAIN. Replies to a pipeline that is answered in part are held for at most
//! `FLUSH_HOLD_TURNS` turns of the event loop, because the shards' pieces of it mostly come together.
//! The task owns the socket and nothing else.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::core::ids::SessionId;
use crate::core::session::{Closing, Session};
use crate::io::turn::Turn;
use crate::io::worker::start_lanes;
use crate::io::write::write_out;
use crate::limits;

/// Serves one client until its connection ends.
pub async fn serve<S>(turn: Rc<RefCell<Turn>>, mut stream: S, id: SessionId)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Client { id, held_turns: 0, looked_again: false };
    poll_fn(|cx| {
        let ended = client.turn(&mut turn.borrow_mut(), &mut stream, cx);
        start_lanes(&turn);
        ended
    })
    .await;
    let mut shared = turn.borrow_mut();
    shared.begin();
    shared.core.close_session(id);
    shared.forget_session(id);
    shared.finish();
    drop(shared);
    start_lanes(&turn);
}

struct Client {
    id: SessionId,
    held_turns: u32,
    /// The gateway stops, and this task has given the event loop the time to tell of input that was there by then.
    looked_again: bool,
}

/// What is left in the socket after a turn's reading.
enum Input {
    /// Nothing.
    Empty,
    /// Perhaps more: the turn is over, or the session takes no more for now.
    MoreMayCome,
}

impl Client {
    fn turn<S>(&mut self, turn: &mut Turn, stream: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        turn.begin();
        turn.wake_session_with(self.id, cx.waker());
        if let Some(session) = turn.core.session(self.id) {
            session.to_wake = false;
        }
        turn.core.client_input_grown(self.id, false);
        let read = self.read(turn, stream, cx);
        let mut ended = read.is_err();
        if let Ok(Input::Empty) = read {
            self.end_reading(turn, cx);
        }
        ended |= self.write(turn, stream, cx).is_err();
        turn.core.output_taken(self.id);
        turn.core.account_session(self.id);
        ended |= turn.core.session(self.id).is_none_or(|session| match session.closing {
            Closing::No | Closing::AfterRead => false,
            Closing::AfterReplies => session.is_done(),
            Closing::Now => true,
        });
        turn.finish();
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// When the gateway stops: the second turn that finds no more input is the last one that looks.
    fn end_reading(&mut self, turn: &mut Turn, cx: &mut Context<'_>) {
        let Some(session) = turn.core.session(self.id) else {
            return;
        };
        if session.closing != Closing::AfterRead || session.input_ready {
            return;
        }
        if self.looked_again {
            session.closing = Closing::AfterReplies;
        } else {
            self.looked_again = true;
            let _pending = pin!(tokio::task::yield_now()).poll(cx);
        }
    }

    fn read<S>(
        &self,
        turn: &mut Turn,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> std::io::Result<Input>
    where
        S: AsyncRead + Unpin,
    {
        let mut budget = limits::TURN_BYTES_MAX;
        while turn.core.may_read(self.id) {
            if budget == 0 {
                cx.waker().wake_by_ref();
                return Ok(Input::MoreMayCome);
            }
            let Poll::Ready(count) = self.read_once(turn, stream, cx) else {
                return Ok(Input::Empty);
            };
            let count = count?;
            if count == 0 {
                turn.core.client_eof(self.id);
                return Ok(Input::Empty);
            }
            budget = budget.saturating_sub(count);
        }
        Ok(Input::MoreMayCome)
    }

    /// Reads once and lets the core look at it. `Ready(0)` is the end of the stream.
    fn read_once<S>(
        &self,
        turn: &mut Turn,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<usize>>
    where
        S: AsyncRead + Unpin,
    {
        let Turn { core, scratch, .. } = turn;
        let Some(session) = core.session(self.id) else {
            return Poll::Ready(Ok(0));
        };
        if session.input.is_empty() {
            let mut buffer = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
            let count = buffer.filled().len();
            if count > 0 {
                core.client_input(self.id, buffer.filled());
            }
            return Poll::Ready(Ok(count));
        }
        let reading = tokio_util::io::poll_read_buf(Pin::new(stream), cx, session.room_for_input());
        let count = std::task::ready!(reading)?;
        if count > 0 {
            core.client_input_grown(self.id, true);
        }
        Poll::Ready(Ok(count))
    }

    fn write<S>(
        &mut self,
        turn: &mut Turn,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> std::io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        let now_ms = turn.core.now_ms();
        let Some((session, spare)) = turn.core.session_and_spare(self.id) else {
            return Ok(());
        };
        if session.out.is_empty() {
            return Ok(());
        }
        if !session.pending.is_empty()
            && self.held_turns < limits::FLUSH_HOLD_TURNS
            && session.out.len() < limits::FLUSH_HOLD_BYTES
        {
            self.held_turns += 1;
            // Defers this task behind the next look at the sockets.
            let _pending = pin!(tokio::task::yield_now()).poll(cx);
            return Ok(());
        }
        self.held_turns = 0;
        session.last_active_ms = now_ms;
        let Session { out, written, .. } = session;
        write_out(stream, cx, (out, spare), |count| *written += count as u64)
    }
}

//! The task of one connection to a shard.
//!
//! Opens the socket within `connect_timeout`, then moves bytes for its lane until the connection ends, and tells the
//! core why. It is started when a request needs the lane and ends with the connection; the next request starts
//! another. Requests of many clients gather in the lane and leave in one write per turn.
//! Decides nothing: who gets which reply is the core's business.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::Address;
use crate::core::ids::LaneId;
use crate::io::turn::Turn;
use crate::io::worker::start_lanes;
use crate::io::write::write_out;
use crate::limits;

/// Where to connect, and within which time.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The shard's address.
    pub address: Address,
    /// How long to wait first: the gateway's workers together connect to a shard no faster than it can take.
    pub wait: Duration,
    /// Longest time that connecting may take.
    pub connect_timeout: Duration,
}

/// Runs one connection of a lane from its opening to its end.
pub async fn run(turn: Rc<RefCell<Turn>>, id: LaneId, peer: Peer) {
    if !peer.wait.is_zero() {
        tokio::time::sleep(peer.wait).await;
    }
    let limit = peer.connect_timeout;
    let fault = match &peer.address {
        Address::Unix { path } => match timeout(limit, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => carry(&turn, id, stream).await,
            Ok(Err(error)) => unreachable_fault(&error),
            Err(_) => connect_timed_out(limit),
        },
        Address::Tcp { host, port } => {
            match timeout(limit, TcpStream::connect((host.as_str(), *port))).await {
                Ok(Ok(stream)) => match set_options(&stream) {
                    Ok(()) => carry(&turn, id, stream).await,
                    Err(error) => unreachable_fault(&error),
                },
                Ok(Err(error)) => unreachable_fault(&error),
                Err(_) => connect_timed_out(limit),
            }
        }
    };
    let mut shared = turn.borrow_mut();
    shared.begin();
    shared.forget_lane(id);
    tracing::debug!(shard = %peer.address, fault, "connection to a shard ended");
    shared.core.lane_closed(id, &fault);
    shared.finish();
    drop(shared);
    start_lanes(&turn);
}

/// A command may wait for hours: the system asks now and then whether the shard is there.
fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_TIME)
        .with_interval(limits::KEEPALIVE_INTERVAL)
        .with_retries(limits::KEEPALIVE_RETRIES);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn unreachable_fault(error: &std::io::Error) -> String {
    format!("is unreachable: {}", error_text(error))
}

fn connect_timed_out(limit: Duration) -> String {
    format!("is unreachable: no connection within {} ms", limit.as_millis())
}

/// The system's words without its number.
fn error_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    turn: &Rc<RefCell<Turn>>,
    id: LaneId,
    mut stream: S,
) -> String {
    {
        let mut shared = turn.borrow_mut();
        shared.begin();
        shared.core.lane_connected(id);
        shared.finish();
    }
    poll_fn(|cx| {
        let ended = lane_turn(&mut turn.borrow_mut(), id, &mut stream, cx);
        start_lanes(turn);
        ended
    })
    .await
}

/// One turn: `Ready` gives the reason why the connection is over.
fn lane_turn<S>(turn: &mut Turn, id: LaneId, stream: &mut S, cx: &mut Context<'_>) -> Poll<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    turn.begin();
    turn.wake_lane_with(id, cx.waker());
    if let Some(lane) = turn.core.lane(id) {
        lane.to_wake = false;
    }
    let mut fault = read(turn, id, stream, cx).err();
    if fault.is_none() {
        fault = write(turn, id, stream, cx).err().map(|error| error_fault(&error));
    }
    if fault.is_none() {
        fault = turn.core.lane(id).and_then(|lane| lane.to_close.take());
    }
    turn.core.account_lane(id);
    turn.finish();
    match fault {
        Some(fault) => Poll::Ready(fault),
        None => Poll::Pending,
    }
}

fn error_fault(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => {
            "closed the connection".into()
        }
        _ => format!("lost the connection: {}", error_text(error)),
    }
}

fn read<S>(turn: &mut Turn, id: LaneId, stream: &mut S, cx: &mut Context<'_>) -> Result<(), String>
where
    S: AsyncRead + Unpin,
{
    let mut budget = limits::LANE_TURN_BYTES_MAX;
    while !turn.core.lane_paused(id) {
        if budget == 0 {
            cx.waker().wake_by_ref();
            return Ok(());
        }
        let Poll::Ready(count) = read_once(turn, id, stream, cx)? else {
            return Ok(());
        };
        if count == 0 {
            return Err("closed the connection".into());
        }
        budget = budget.saturating_sub(count);
    }
    Ok(())
}

fn read_once<S>(
    turn: &mut Turn,
    id: LaneId,
    stream: &mut S,
    cx: &mut Context<'_>,
) -> Result<Poll<usize>, String>
where
    S: AsyncRead + Unpin,
{
    let Turn { core, scratch, .. } = turn;
    let Some(lane) = core.lane(id) else {
        return Ok(Poll::Ready(0));
    };
    if lane.input_mut().is_empty() {
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(stream).poll_read(cx, &mut buffer) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Err(error)) => return Err(error_fault(&error)),
            Poll::Ready(Ok(())) => {}
        }
        let count = buffer.filled().len();
        core.lane_input(id, buffer.filled())?;
        return Ok(Poll::Ready(count));
    }
    match tokio_util::io::poll_read_buf(Pin::new(stream), cx, lane.room_for_input()) {
        Poll::Pending => Ok(Poll::Pending),
        Poll::Ready(Err(error)) => Err(error_fault(&error)),
        Poll::Ready(Ok(count)) => {
            core.lane_input_grown(id)?;
            Ok(Poll::Ready(count))
        }
    }
}

fn write<S>(
    turn: &mut Turn,
    id: LaneId,
    stream: &mut S,
    cx: &mut Context<'_>,
) -> std::io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let Some((lane, spare)) = turn.core.lane_and_spare(id) else {
        return Ok(());
    };
    match lane.writing() {
        Some((out, written)) => {
            write_out(stream, cx, (out, spare), |count| *written += count as u64)
        }
        None => Ok(()),
    }
}

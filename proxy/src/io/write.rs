//! Writing what waits for a socket.
//!
//! In: an output buffer and its socket; each time the kernel takes bytes, the caller is told how many. One small piece goes by a plain write,
//! several by one vectored write; what the kernel does not take stays for the turn in which it has room.

use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::buffer::{OutBuffer, Spare};
use crate::limits;

/// Writes as much of `out` as the socket takes now. `wrote` is told of every write at once, also when a later one fails:
/// what the kernel has taken may be carried out.
pub fn write_out<S>(
    stream: &mut S,
    cx: &mut Context<'_>,
    (out, spare): (&mut OutBuffer, &mut Spare),
    mut wrote: impl FnMut(usize),
) -> Result<()>
where
    S: AsyncWrite + Unpin,
{
    while !out.is_empty() {
        let stream = Pin::new(&mut *stream);
        let taken = if out.front().len() == out.len() {
            stream.poll_write(cx, out.front())
        } else {
            let mut slices = [IoSlice::new(&[]); limits::WRITE_SLICES_MAX];
            let count = out.slices(&mut slices);
            stream.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
        };
        match taken {
            Poll::Ready(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => {
                wrote(count);
                out.advance(count, spare);
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {
                out.own_small_shares();
                break;
            }
        }
    }
    Ok(())
}

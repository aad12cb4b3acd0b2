//! A small blocking client: one connection, requests out, replies in.
//!
//! In: words of a command. Out: its `Reply`. It speaks to the gateway and, past it, to the shards; nothing of the
//! gateway's own state is read, so what the demo shows is what any client gets. Each read has a deadline, so that a
//! missing reply is an error and never a hang.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::reply::Reply;
use crate::resp::reply::{ReplyScan, ReplyScanned};
use crate::resp::write;

/// How long a reply may take. Longer than any wait that the tour asks for.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes taken from the socket at once.
const READ_BYTES: usize = 16 * 1024;

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, REPLY_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends one command and waits for its reply.
    pub(super) fn command(&mut self, words: &[&str]) -> Result<Reply> {
        self.send(&[words])?;
        self.receive()
    }

    /// Sends commands in one write, without waiting.
    pub(super) fn send(&mut self, commands: &[&[&str]]) -> Result<()> {
        let mut bytes = Vec::new();
        for words in commands {
            write::request(&mut bytes, words.iter().map(|word| word.as_bytes()));
        }
        self.stream.write_all(&bytes)
    }

    /// Waits for the next reply.
    pub(super) fn receive(&mut self) -> Result<Reply> {
        let mut scan = ReplyScan::default();
        loop {
            match scan.scan(&self.received) {
                ReplyScanned::Complete { len } => return self.take(len).ok_or_else(no_reply),
                ReplyScanned::Incomplete => self.read_more()?,
                ReplyScanned::Broken => return Err(no_reply()),
            }
        }
    }

    fn take(&mut self, len: usize) -> Option<Reply> {
        let reply = self.received.get(..len).and_then(Reply::read);
        self.received.drain(..len);
        reply
    }

    fn read_more(&mut self) -> Result<()> {
        let mut bytes = [0; READ_BYTES];
        let count = self.stream.read(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                Error::new(ErrorKind::TimedOut, format!("no reply within {REPLY_TIMEOUT:?}"))
            }
            _ => error,
        })?;
        if count == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        self.received.extend(bytes.iter().take(count));
        Ok(())
    }
}

fn no_reply() -> Error {
    Error::new(ErrorKind::InvalidData, "what came is no RESP")
}

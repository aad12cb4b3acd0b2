//! A blocking client that sends bytes and reads replies as bytes: what a test of exact replies needs.
//!
//! Comes in: requests as bytes or words. Goes out: each reply as the bytes that came and as a value.
//! Every read has a deadline; a peer that closes is an answer (`None`), not a failure. No retry, no reconnect:
//! one `Client` is one connection. It must not hide anything that the gateway does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::value::{Value, parse};
use crate::wait::DEADLINE;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes that came and were not taken yet start at `taken`.
    input: Vec<u8>,
    taken: usize,
}

/// The bytes of one request.
pub fn request<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

impl Client {
    /// Connects; fails the test when nobody listens.
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap_or_else(|e| panic!("connect to {address}: {e}"))
    }

    /// Connects, or says why not.
    pub fn try_connect(address: SocketAddr) -> std::io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Client { stream, input: Vec::new(), taken: 0 })
    }

    /// Sends bytes as they are. A peer that has closed is seen at the next read.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        // The error is left to the reader: a gateway that closes after an error reply may close before we finish.
        let _ = self.stream.write_all(bytes);
    }

    /// Sends one request.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.send_raw(&request(args));
    }

    /// Sends one request and reads its reply.
    pub fn command<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.send(args);
        self.reply()
    }

    /// Splits `line` at spaces, sends it as one request and reads its reply.
    pub fn line(&mut self, line: &str) -> Value {
        self.command(&line.split(' ').collect::<Vec<_>>())
    }

    /// Sends `line` as `line` does and leaves its replies to be read.
    pub fn also(&mut self, line: &str) -> &mut Client {
        self.send(&line.split(' ').collect::<Vec<_>>());
        self
    }

    /// The next reply; fails the test when the connection closes first.
    pub fn reply(&mut self) -> Value {
        self.next_reply().expect("the connection closed before the reply came").1
    }

    /// The next reply's bytes and value; `None` when the peer has closed. Fails the test at the deadline.
    pub fn next_reply(&mut self) -> Option<(Vec<u8>, Value)> {
        loop {
            let pending = &self.input[self.taken..];
            if let Some((value, len)) = parse(pending) {
                let bytes = pending[..len].to_vec();
                self.taken += len;
                return Some((bytes, value));
            }
            if !self.fill() {
                let rest = &self.input[self.taken..];
                assert!(rest.is_empty(), "closed within a reply: {}", rest.escape_ascii());
                return None;
            }
        }
    }

    /// Reads until the peer closes; gives the bytes that came and were not taken before.
    pub fn read_to_close(&mut self) -> Vec<u8> {
        while self.fill() {}
        self.input.split_off(self.taken)
    }

    /// Whether nothing has come that was not taken (looks once, without waiting).
    pub fn is_quiet(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("non-blocking");
        let mut byte = [0];
        let quiet = self.stream.peek(&mut byte).is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).expect("blocking");
        quiet && self.taken == self.input.len()
    }

    /// Sends an end of file and keeps reading.
    pub fn close_sending_side(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("half-close");
    }

    /// A second handle of the connection, for a thread that sends while this one reads.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("second handle of a socket")
    }

    /// Takes in what has come; false at the end of file or a reset.
    fn fill(&mut self) -> bool {
        if self.taken > 1 << 16 {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        let mut chunk = [0; 1 << 16];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(len) => {
                self.input.extend_from_slice(&chunk[..len]);
                true
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => false,
            Err(e) => {
                let so_far = &self.input[self.taken..];
                panic!("no reply within {DEADLINE:?} ({e}); so far: {}", so_far.escape_ascii())
            }
        }
    }
}

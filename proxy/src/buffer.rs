//! Output that waits for a socket, and the spare memory that it is made of.
//!
//! `OutBuffer` takes small pieces by copy (replies and requests of a few dozen bytes leave in one write) and large
//! ones as shared `Bytes`, uncopied. An empty one owns no memory: its buffer goes back to the worker's `Spare`, so
//! ten thousand idle clients hold none and steady traffic allocates none.
//! Order is the order of the calls. No socket here: `front` shows what to write next, `advance` says what was.

use bytes::Bytes;
use std::collections::VecDeque;

use crate::limits;

/// Buffers that are not in use, kept by a worker for the next one that needs some.
#[derive(Debug, Default)]
pub struct Spare {
    buffers: Vec<Vec<u8>>,
}

impl Spare {
    /// An empty buffer, with memory if one is spare.
    pub fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Keeps `buffer`'s memory for later unless it is unusually large or enough is kept already.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0
            && capacity <= limits::SPARE_BUFFER_BYTES_MAX
            && self.buffers.len() < limits::SPARE_BUFFERS_MAX
        {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

/// A piece that is put into an `OutBuffer` or kept for later: borrowed bytes, and the shared buffer that they are
/// all of, where there is one.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    bytes: &'a [u8],
    shared: Option<&'a Bytes>,
}

impl<'a> Piece<'a> {
    /// Bytes that have to be copied to be kept.
    pub fn borrowed(bytes: &'a [u8]) -> Self {
        Self { bytes, shared: None }
    }

    /// Bytes that can be kept without a copy.
    pub fn shared(shared: &'a Bytes) -> Self {
        Self { bytes: shared, shared: Some(shared) }
    }

    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The piece in a form that outlives the borrow.
    pub fn keep(&self, spare: &mut Spare) -> Kept {
        match self.shared {
            Some(shared) => Kept::Shared(shared.clone()),
            None => {
                let mut buffer = spare.take();
                buffer.extend_from_slice(self.bytes);
                Kept::Owned(buffer)
            }
        }
    }
}

/// A piece that is kept until its turn comes.
#[derive(Debug)]
pub enum Kept {
    /// A copy.
    Owned(Vec<u8>),
    /// A share of a larger buffer.
    Shared(Bytes),
}

impl Kept {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes on their way to one socket.
#[derive(Debug, Default)]
pub struct OutBuffer {
    chunks: VecDeque<Bytes>,
    tail: Vec<u8>,
    tail_sent: usize,
    chunk_bytes: usize,
}

impl OutBuffer {
    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.chunk_bytes + self.tail.len() - self.tail_sent
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends `piece`.
    pub fn push(&mut self, piece: Piece<'_>, spare: &mut Spare) {
        match piece.shared {
            Some(shared) => self.push_chunk(shared.clone()),
            None => self.tail_mut(spare).extend_from_slice(piece.bytes),
        }
    }

    /// Appends something that was kept, and gives its memory back.
    pub fn push_kept(&mut self, kept: Kept, spare: &mut Spare) {
        match kept {
            Kept::Shared(bytes) => self.push_chunk(bytes),
            Kept::Owned(bytes) => {
                self.tail_mut(spare).extend_from_slice(&bytes);
                spare.give(bytes);
            }
        }
    }

    /// The end of the buffer, to write a small piece into. Only append.
    pub fn tail_mut(&mut self, spare: &mut Spare) -> &mut Vec<u8> {
        if self.tail.capacity() == 0 {
            self.tail = spare.take();
        }
        &mut self.tail
    }

    fn push_chunk(&mut self, chunk: Bytes) {
        if self.tail_sent < self.tail.len() {
            let mut before = Bytes::from(std::mem::take(&mut self.tail));
            bytes::Buf::advance(&mut before, self.tail_sent);
            self.chunk_bytes += before.len();
            self.chunks.push_back(before);
        } else {
            self.tail.clear();
        }
        self.tail_sent = 0;
        self.chunk_bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// The bytes to write next; empty only when all is written.
    pub fn front(&self) -> &[u8] {
        match self.chunks.front() {
            Some(chunk) => chunk,
            None => self.tail.get(self.tail_sent..).unwrap_or_default(),
        }
    }

    /// Takes away `count` bytes of `front` that were written.
    pub fn advance(&mut self, count: usize, spare: &mut Spare) {
        if let Some(chunk) = self.chunks.front_mut() {
            let count = count.min(chunk.len());
            bytes::Buf::advance(chunk, count);
            self.chunk_bytes -= count;
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
            return;
        }
        self.tail_sent = (self.tail_sent + count).min(self.tail.len());
        if self.tail_sent == self.tail.len() {
            self.tail_sent = 0;
            spare.give(std::mem::take(&mut self.tail));
        }
    }

    /// Drops everything.
    pub fn clear(&mut self, spare: &mut Spare) {
        self.chunks.clear();
        self.chunk_bytes = 0;
        self.tail_sent = 0;
        spare.give(std::mem::take(&mut self.tail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_mixed_pieces_comes_out_in_order_whatever_is_written_at_once() {
        for step in 1..9 {
            let mut spare = Spare::default();
            let mut out = OutBuffer::default();
            let shared = Bytes::from_static(b"LARGE");
            let mut seen = Vec::new();
            out.push(Piece::borrowed(b"ab"), &mut spare);
            let first = out.front().len().min(step).min(1);
            seen.extend_from_slice(&out.front()[..first]);
            out.advance(first, &mut spare);
            out.push(Piece::shared(&shared), &mut spare);
            out.push(Piece::borrowed(b"cd"), &mut spare);
            let kept = Piece::borrowed(b"ef").keep(&mut spare);
            out.push_kept(kept, &mut spare);
            assert_eq!(out.len(), 10);
            while !out.is_empty() {
                let count = out.front().len().min(step);
                seen.extend_from_slice(&out.front()[..count]);
                out.advance(count, &mut spare);
            }
            assert_eq!(seen, b"abLARGEcdef", "{step} bytes a write");
        }
    }

    #[test]
    fn output_when_written_gives_its_memory_back() {
        let mut spare = Spare::default();
        let mut out = OutBuffer::default();
        out.push(Piece::borrowed(b"x"), &mut spare);
        out.advance(1, &mut spare);
        assert_eq!(out.tail.capacity(), 0);
        assert_eq!(spare.buffers.len(), 1);
    }
}

//! Output that waits for a socket, and the spare memory that it is made of.
//!
//! ```text
//!   chunks: [owned, full] [shared] [owned, full]   tail: [owned, still growing]
//!            ^ head_sent: bytes of the first one that are written
//! ```
//! `OutBuffer` takes small pieces by copy (replies and requests of a few dozen bytes leave in one write) and large
//! ones as shared `Bytes`, uncopied. Its own memory comes in chunks that never grow beyond `OUT_CHUNK_BYTES` unless
//! one piece does, so nothing is copied twice and every chunk goes back to the worker's `Spare`: ten thousand idle
//! clients hold none and steady traffic allocates none.
//! Order is the order of the calls. No socket here: `slices` shows what to write next, `advance` says what was.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;

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

/// Makes room in `input` for the next read. `expected` is how long what is arriving will be at least: it is not moved
/// more often than it grows fourfold, takes no more than its length in the end, and what was only announced none.
pub fn reserve_input(input: &mut BytesMut, expected: usize) {
    let missing = expected.saturating_sub(input.len());
    let most = input.len().max(limits::TURN_BYTES_MAX).saturating_mul(3);
    input.reserve(missing.clamp(limits::TURN_BYTES_MAX, most));
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

    /// The shared buffer that the bytes are all of, if there is one.
    pub fn shares(&self) -> Option<&'a Bytes> {
        self.shared
    }
}

/// Output that will not grow any more.
#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Bytes on their way to one socket.
#[derive(Debug, Default)]
pub struct OutBuffer {
    chunks: VecDeque<Chunk>,
    tail: Vec<u8>,
    head_sent: usize,
    bytes: usize,
    /// How many of the last chunks may be small shares.
    shares: usize,
}

impl OutBuffer {
    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends `piece`.
    #[inline]
    pub fn push(&mut self, piece: Piece<'_>, spare: &mut Spare) {
        match piece.shared {
            Some(shared) => self.push_shared(shared.clone()),
            None => self.push_copy(piece.bytes, spare),
        }
    }

    #[inline]
    fn push_copy(&mut self, bytes: &[u8], spare: &mut Spare) {
        if self.tail.len() + bytes.len() > self.tail.capacity() {
            self.make_room(bytes.len(), spare);
        }
        self.tail.extend_from_slice(bytes);
        self.bytes += bytes.len();
    }

    /// Takes memory for `count` more bytes: a spare buffer first, then growth up to the size of a chunk, then a new
    /// chunk.
    #[cold]
    fn make_room(&mut self, count: usize, spare: &mut Spare) {
        if !self.tail.is_empty() && self.tail.len() + count > limits::OUT_CHUNK_BYTES {
            self.seal_tail();
        }
        if self.tail.capacity() == 0 {
            self.tail = spare.take();
        }
        let wanted = self.tail.len() + count;
        if wanted > self.tail.capacity() {
            let size = wanted.next_power_of_two().max(limits::OUT_CHUNK_BYTES_MIN);
            self.tail.reserve_exact(size - self.tail.len());
        }
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.shares += usize::from(self.shares > 0);
            self.chunks.push_back(Chunk::Owned(std::mem::take(&mut self.tail)));
        }
    }

    fn push_shared(&mut self, chunk: Bytes) {
        self.seal_tail();
        self.bytes += chunk.len();
        self.shares += 1;
        self.chunks.push_back(Chunk::Shared(chunk));
    }

    /// The bytes to write next; empty only when all is written.
    pub fn front(&self) -> &[u8] {
        let first = self.chunks.front().map_or(self.tail.as_slice(), Chunk::bytes);
        first.get(self.head_sent..).unwrap_or_default()
    }

    /// What to write next, as many pieces as `slices` takes; returns how many there are.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.chunks.iter().map(Chunk::bytes).chain([self.tail.as_slice()]);
        let mut skipped = self.head_sent;
        let mut count = 0;
        for (part, slice) in parts.filter(|part| !part.is_empty()).zip(slices) {
            *slice = IoSlice::new(part.get(std::mem::take(&mut skipped)..).unwrap_or_default());
            count += 1;
        }
        count
    }

    /// Takes away the next `count` bytes, which were written.
    pub fn advance(&mut self, count: usize, spare: &mut Spare) {
        let count = count.min(self.bytes);
        self.bytes -= count;
        self.head_sent += count;
        while let Some(first) = self.chunks.front() {
            let len = first.bytes().len();
            if self.head_sent < len {
                return;
            }
            self.head_sent -= len;
            if let Some(Chunk::Owned(buffer)) = self.chunks.pop_front() {
                spare.give(buffer);
            }
        }
        if self.bytes == 0 {
            self.head_sent = 0;
            self.shares = 0;
            spare.give(std::mem::take(&mut self.tail));
        }
    }

    /// Copies the shares that are small: they may keep a large buffer alive while they wait.
    pub fn own_small_shares(&mut self) {
        for chunk in self.chunks.iter_mut().rev().take(std::mem::take(&mut self.shares)) {
            if let Chunk::Shared(bytes) = chunk
                && bytes.len() < limits::SHARED_PIECE_BYTES_MIN
            {
                *chunk = Chunk::Owned(bytes.to_vec());
            }
        }
    }

    /// Drops everything.
    pub fn clear(&mut self, spare: &mut Spare) {
        self.advance(self.bytes, spare);
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
            out.push(Piece::borrowed(b"ef"), &mut spare);
            assert_eq!(out.len(), 10);
            while !out.is_empty() {
                let mut slices = [IoSlice::new(&[]); 3];
                let shown = out.slices(&mut slices);
                let bytes: Vec<u8> = slices[..shown].iter().flat_map(|s| s.to_vec()).collect();
                assert_eq!(bytes.len(), out.len());
                assert!(bytes.starts_with(out.front()));
                let count = bytes.len().min(step);
                seen.extend_from_slice(&bytes[..count]);
                out.advance(count, &mut spare);
            }
            assert_eq!(seen, b"abLARGEcdef", "{step} bytes a write");
        }
    }

    #[test]
    fn output_larger_than_a_chunk_is_not_moved_and_comes_out_in_order() {
        let mut spare = Spare::default();
        let mut out = OutBuffer::default();
        let mut expected = Vec::new();
        for number in 0..40u8 {
            let piece = vec![number; 5000];
            out.push(Piece::borrowed(&piece), &mut spare);
            expected.extend_from_slice(&piece);
        }
        assert!(out.chunks.iter().all(|chunk| chunk.bytes().len() <= limits::OUT_CHUNK_BYTES));
        assert_eq!(out.len(), expected.len());
        let mut seen = Vec::new();
        while !out.is_empty() {
            let count = out.front().len().min(70_001);
            seen.extend_from_slice(&out.front()[..count]);
            out.advance(count, &mut spare);
        }
        assert_eq!(seen, expected);
        assert!(spare.buffers.len() >= 3, "chunks are kept as spare memory");
    }

    #[test]
    fn small_shares_that_wait_are_copied_and_large_ones_are_not() {
        let mut spare = Spare::default();
        let mut out = OutBuffer::default();
        let small = Bytes::from(vec![b's'; 3000]);
        let large = Bytes::from(vec![b'l'; limits::SHARED_PIECE_BYTES_MIN]);
        let shares = |out: &OutBuffer| {
            out.chunks.iter().filter(|chunk| matches!(chunk, Chunk::Shared(_))).count()
        };
        let mut expected = Vec::new();
        for round in 1..4 {
            for piece in [&small, &large, &small] {
                out.push(Piece::shared(piece), &mut spare);
                out.push(Piece::borrowed(b"between"), &mut spare);
                expected.extend_from_slice(piece);
                expected.extend_from_slice(b"between");
            }
            assert_eq!(shares(&out), round + 2);
            out.own_small_shares();
            assert_eq!(shares(&out), round, "only the large ones");
        }
        assert_eq!(out.len(), expected.len());
        let mut seen = Vec::new();
        while !out.is_empty() {
            seen.extend_from_slice(out.front());
            out.advance(out.front().len(), &mut spare);
        }
        assert_eq!(seen, expected);
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

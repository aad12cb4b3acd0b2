//! The replies that a session still owes, in the order of its requests.
//!
//! ```text
//!   requests   41      42      43      44        head = 41, next = 45
//!   slots     [empty] [kept ] [empty] [kept ]    early: the bytes of 42 and 44, in the order of their coming
//!                ^ fill(41): goes straight to the output, and 42 behind it; 43 is the head now
//! ```
//! Each request of a session takes a place with `push` and each place is filled exactly once, in any order. What
//! fills the head goes straight to the client's output; what comes early is kept: small replies side by side in one
//! buffer, large ones by reference. A place that is not awaited any more (filled before, or of an earlier life)
//! takes nothing. While CLIENT REPLY is off, places are muted: they keep their turn and what fills them is dropped.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::buffer::{OutBuffer, Piece, Spare};
use crate::limits;

/// The place of a request among those of its session.
pub type Place = u32;

/// What is known of one place.
#[derive(Debug)]
enum Slot {
    Empty,
    /// Awaits a reply that the client does not want.
    Muted,
    /// Its reply has come and was dropped.
    Silent,
    /// A reply in `early`, by its first byte and its length.
    Early(u32, u32),
    /// A reply that is shared with the buffer it came in; boxed, so that a slot stays small.
    Shared(Box<Bytes>),
}

impl Slot {
    fn is_filled(&mut self) -> bool {
        !matches!(self, Slot::Empty | Slot::Muted)
    }
}

/// What CLIENT REPLY has set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Replies {
    /// Every request is answered.
    #[default]
    On,
    /// The next request is not answered.
    SkipNext,
    /// The request under way is not answered.
    Skipping,
    /// None is answered.
    Off,
}

/// The open places of one session.
#[derive(Debug, Default)]
pub struct Pending {
    /// Whether the requests that come now are answered.
    pub replies: Replies,
    head: Place,
    slots: VecDeque<Slot>,
    /// Early replies, and the holes that those already given out have left.
    early: Vec<u8>,
    early_live: usize,
    shared_bytes: usize,
}

impl Pending {
    /// Number of requests whose reply has not gone to the output.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether every request is answered.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of replies that came early.
    pub fn kept_bytes(&self) -> usize {
        self.early_live + self.shared_bytes
    }

    /// Takes the next place, muted where the client wants no reply.
    #[inline]
    pub fn push(&mut self) -> Place {
        let slot = if self.is_muted() { Slot::Muted } else { Slot::Empty };
        self.push_slot(slot)
    }

    /// Takes the next place for what a client is sent even when it wants no replies: confirmations of SUBSCRIBE.
    pub fn push_unmuted(&mut self) -> Place {
        self.push_slot(Slot::Empty)
    }

    fn push_slot(&mut self, slot: Slot) -> Place {
        let place = self.next_place();
        self.slots.push_back(slot);
        place
    }

    /// Whether the request under way is not to be answered.
    #[inline]
    pub fn is_muted(&self) -> bool {
        matches!(self.replies, Replies::Skipping | Replies::Off)
    }

    /// The next request begins: CLIENT REPLY SKIP is for one request.
    pub fn begin_request(&mut self) {
        self.replies = match self.replies {
            Replies::On | Replies::Skipping => Replies::On,
            Replies::SkipNext => Replies::Skipping,
            Replies::Off => Replies::Off,
        };
    }

    /// The place that the next request will take.
    pub fn next_place(&self) -> Place {
        // Places wrap; no session has 4 billion requests in flight.
        self.head.wrapping_add(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    /// Whether `place` is still to be filled.
    pub fn awaits(&self, place: Place) -> bool {
        matches!(self.slots.get(self.index(place)), Some(Slot::Empty | Slot::Muted))
    }

    /// Gives `place` back if it is the last and still to be filled; whether it was.
    pub fn take_back(&mut self, place: Place) -> bool {
        let is_last = self.awaits(place) && !self.has_behind(place);
        is_last && self.slots.pop_back().is_some()
    }

    /// Whether another request stands behind `place`.
    pub fn has_behind(&self, place: Place) -> bool {
        self.index(place) + 1 < self.slots.len()
    }

    /// Fills `place`. Returns whether something went to the output.
    #[inline]
    pub fn fill(
        &mut self,
        place: Place,
        reply: Piece<'_>,
        out: &mut OutBuffer,
        spare: &mut Spare,
    ) -> bool {
        let index = self.index(place);
        if index == 0
            && let Some(slot) = self.slots.pop_front()
        {
            if !matches!(slot, Slot::Muted) {
                out.push(reply, spare);
            }
            self.head = self.head.wrapping_add(1);
            self.release_ready(out, spare);
            return true;
        }
        self.keep(index, reply, spare);
        false
    }

    fn keep(&mut self, index: usize, reply: Piece<'_>, spare: &mut Spare) {
        let slot = match self.slots.get_mut(index) {
            Some(slot @ Slot::Empty) => slot,
            Some(slot @ Slot::Muted) => {
                *slot = Slot::Silent;
                return;
            }
            Some(Slot::Silent | Slot::Early(..) | Slot::Shared(_)) | None => return,
        };
        let len = reply.bytes().len();
        // A small share may keep a large buffer alive: what waits is copied.
        if let Some(shared) = reply.shares().filter(|_| len >= limits::SHARED_PIECE_BYTES_MIN) {
            *slot = Slot::Shared(Box::new(shared.clone()));
            self.shared_bytes += len;
            return;
        }
        if self.early.capacity() == 0 {
            self.early = spare.take();
        }
        *slot = early_slot(self.early.len(), len);
        self.early.extend_from_slice(reply.bytes());
        self.early_live += len;
        if self.early.len() > limits::EARLY_HOLES_BYTES_MAX + 2 * self.early_live {
            self.close_holes(spare);
        }
    }

    fn release_ready(&mut self, out: &mut OutBuffer, spare: &mut Spare) {
        while let Some(slot) = self.slots.pop_front_if(|slot| slot.is_filled()) {
            self.head = self.head.wrapping_add(1);
            match slot {
                Slot::Empty | Slot::Muted | Slot::Silent => {}
                Slot::Early(start, len) => {
                    let bytes = early_bytes(&self.early, start, len);
                    self.early_live -= bytes.len();
                    out.push(Piece::borrowed(bytes), spare);
                }
                Slot::Shared(bytes) => {
                    self.shared_bytes -= bytes.len();
                    out.push(Piece::shared(&bytes), spare);
                }
            }
        }
        if self.early_live == 0 && self.early.capacity() > 0 {
            spare.give(std::mem::take(&mut self.early));
        }
        if self.slots.is_empty() && self.slots.capacity() > 256 {
            self.slots.shrink_to(16);
        }
    }

    /// Moves the early replies together, so that what was given out takes no memory.
    fn close_holes(&mut self, spare: &mut Spare) {
        let mut closed = spare.take();
        for slot in &mut self.slots {
            if let Slot::Early(start, len) = *slot {
                *slot = early_slot(closed.len(), len as usize);
                closed.extend_from_slice(early_bytes(&self.early, start, len));
            }
        }
        spare.give(std::mem::replace(&mut self.early, closed));
    }

    fn index(&self, place: Place) -> usize {
        place.wrapping_sub(self.head) as usize
    }
}

/// Early replies of one session never come near 4 GiB: its client is cut long before.
fn early_slot(start: usize, len: usize) -> Slot {
    Slot::Early(u32::try_from(start).unwrap_or(u32::MAX), u32::try_from(len).unwrap_or(u32::MAX))
}

fn early_bytes(early: &[u8], start: u32, len: u32) -> &[u8] {
    let start = start as usize;
    early.get(start..start + len as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the places of `order` and returns what has come out after each.
    fn check(order: &[u32], expected: &[&str]) {
        let (mut pending, mut out, mut spare) = (
            Pending { head: u32::MAX - 1, ..Pending::default() },
            OutBuffer::default(),
            Spare::default(),
        );
        let places: Vec<Place> = order.iter().map(|_| pending.push()).collect();
        let mut seen = String::new();
        for (index, expected) in order.iter().zip(expected) {
            let text = index.to_string();
            pending.fill(
                places[*index as usize],
                Piece::borrowed(text.as_bytes()),
                &mut out,
                &mut spare,
            );
            while !out.is_empty() {
                seen.push_str(std::str::from_utf8(out.front()).unwrap());
                let count = out.front().len();
                out.advance(count, &mut spare);
            }
            assert_eq!(&seen, expected, "order {order:?} after {index}");
        }
        assert!(pending.is_empty());
        assert_eq!(pending.kept_bytes(), 0);
    }

    #[test]
    fn replies_in_any_order_leave_in_request_order() {
        check(&[0, 1, 2, 3], &["0", "01", "012", "0123"]);
        check(&[3, 2, 1, 0], &["", "", "", "0123"]);
        check(&[1, 0, 3, 2], &["", "01", "01", "0123"]);
        check(&[2, 0, 1, 3], &["", "0", "012", "0123"]);
    }

    #[test]
    fn place_that_is_filled_takes_no_second_reply() {
        let (mut pending, mut out, mut spare) =
            (Pending::default(), OutBuffer::default(), Spare::default());
        let (first, second) = (pending.push(), pending.push());
        pending.fill(second, Piece::borrowed(b"b"), &mut out, &mut spare);
        pending.fill(second, Piece::borrowed(b"X"), &mut out, &mut spare);
        pending.fill(first, Piece::borrowed(b"a"), &mut out, &mut spare);
        pending.fill(first, Piece::borrowed(b"X"), &mut out, &mut spare);
        assert_eq!(out.front(), b"ab");
    }

    #[test]
    fn muted_places_keep_their_turn_and_put_nothing_out() {
        let (mut pending, mut out, mut spare) =
            (Pending::default(), OutBuffer::default(), Spare::default());
        let spoken = pending.push();
        pending.replies = Replies::Off;
        let (muted, confirmed) = (pending.push(), pending.push_unmuted());
        pending.replies = Replies::On;
        let last = pending.push();
        for (place, text) in [(last, b"d"), (muted, b"b"), (confirmed, b"c"), (spoken, b"a")] {
            assert!(pending.awaits(place));
            pending.fill(place, Piece::borrowed(text), &mut out, &mut spare);
            assert!(!pending.awaits(place));
        }
        assert!(pending.is_empty());
        assert_eq!(out.front(), b"acd");
    }

    #[test]
    fn skip_mutes_one_request() {
        let mut pending = Pending { replies: Replies::SkipNext, ..Pending::default() };
        for muted in [true, false, false] {
            pending.begin_request();
            assert_eq!(pending.is_muted(), muted);
        }
    }

    #[test]
    fn holes_of_early_replies_are_closed_and_no_byte_is_mixed_up() {
        let (mut pending, mut out, mut spare) =
            (Pending::default(), OutBuffer::default(), Spare::default());
        let reply = |place: Place| vec![u8::try_from(place % 251).unwrap(); 1000];
        let mut seen = Vec::new();
        let mut held = pending.push();
        // There is always an early reply, so the buffer never empties by itself.
        for _ in 0..2000 {
            let next = pending.push();
            pending.fill(next, Piece::borrowed(&reply(next)), &mut out, &mut spare);
            let late = pending.push();
            let last = pending.push();
            pending.fill(last, Piece::borrowed(&reply(last)), &mut out, &mut spare);
            pending.fill(held, Piece::borrowed(&reply(held)), &mut out, &mut spare);
            held = late;
            assert_eq!(pending.kept_bytes(), 1000);
            assert!(pending.early.len() <= limits::EARLY_HOLES_BYTES_MAX + 2 * 3000);
            while !out.is_empty() {
                seen.extend_from_slice(out.front());
                out.advance(out.front().len(), &mut spare);
            }
        }
        let expected: Vec<u8> = (0..held).flat_map(reply).collect();
        assert_eq!(seen, expected);
    }
}

//! The replies that a session still owes, in the order of its requests.
//!
//! ```text
//!   requests   41      42      43      44        head = 41, next = 45
//!   slots     [empty] [kept ] [empty] [kept ]
//!                ^ fill(41): goes straight to the output, and 42 behind it; 43 is the head now
//! ```
//! Each request of a session takes a place with `push` and each place is filled exactly once, in any order. What
//! fills the head goes straight to the client's output; what comes early is kept. A place that is not awaited any
//! more (filled before, or of an earlier life) takes nothing.

use std::collections::VecDeque;

use crate::buffer::{Kept, OutBuffer, Piece, Spare};

/// The place of a request among those of its session.
pub type Place = u32;

/// The open places of one session.
#[derive(Debug, Default)]
pub struct Pending {
    head: Place,
    slots: VecDeque<Option<Kept>>,
    kept_bytes: usize,
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
        self.kept_bytes
    }

    /// Takes the next place.
    pub fn push(&mut self) -> Place {
        let place = self.next_place();
        self.slots.push_back(None);
        place
    }

    /// The place that the next request will take.
    pub fn next_place(&self) -> Place {
        // Places wrap; no session has 4 billion requests in flight.
        self.head.wrapping_add(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    /// Whether `place` is still to be filled.
    pub fn awaits(&self, place: Place) -> bool {
        matches!(self.slots.get(self.index(place)), Some(None))
    }

    /// Whether another request stands behind `place`.
    pub fn has_behind(&self, place: Place) -> bool {
        self.index(place) + 1 < self.slots.len()
    }

    /// Fills `place`. Returns whether something went to the output.
    pub fn fill(
        &mut self,
        place: Place,
        reply: Piece<'_>,
        out: &mut OutBuffer,
        spare: &mut Spare,
    ) -> bool {
        let index = self.index(place);
        if index == 0 && !self.slots.is_empty() {
            out.push(reply, spare);
            self.slots.pop_front();
            self.head = self.head.wrapping_add(1);
            self.release_ready(out, spare);
            return true;
        }
        if let Some(slot) = self.slots.get_mut(index)
            && slot.is_none()
        {
            self.kept_bytes += reply.bytes().len();
            *slot = Some(reply.keep(spare));
        }
        false
    }

    fn release_ready(&mut self, out: &mut OutBuffer, spare: &mut Spare) {
        while let Some(Some(_)) = self.slots.front() {
            if let Some(Some(kept)) = self.slots.pop_front() {
                self.kept_bytes -= kept.len();
                out.push_kept(kept, spare);
                self.head = self.head.wrapping_add(1);
            }
        }
        if self.slots.is_empty() && self.slots.capacity() > 256 {
            self.slots.shrink_to(16);
        }
    }

    fn index(&self, place: Place) -> usize {
        place.wrapping_sub(self.head) as usize
    }
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
}

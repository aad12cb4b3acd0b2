//! Reading and writing the flat frames of `wit/plugin.wit`, guest side.
//!
//! The host is trusted to send well-formed frames, but a wrong one must not panic here: every read answers `None`
//! past the end and the call then ends with an error. Nothing here knows what the fields mean to a handler.

use std::ops::Range;

/// Bytes of a start frame's header as of ABI 2.0.0.
const HEAD_BYTES: usize = 28;
/// First byte of a start frame.
const VERSION: u8 = 2;
/// The kinds of calls, as a start frame names them.
pub(crate) const HOOK: u8 = 0;
pub(crate) const OWN_COMMAND: u8 = 1;
pub(crate) const SPAWNED: u8 = 2;
pub(crate) const IN_MULTI: u8 = 3;
pub(crate) const SESSION_CLOSED: u8 = 4;
pub(crate) const TIMER: u8 = 5;
/// The kinds of out-frames.
pub(crate) const PENDING: u8 = 0;
pub(crate) const DONE: u8 = 1;
pub(crate) const PASS: u8 = 2;
pub(crate) const BACKGROUND: u8 = 3;
/// Body flag: resume at the first finished operation.
pub(crate) const FLAG_FIRST: u8 = 1;
/// Body flag: the call ends here.
pub(crate) const FLAG_LAST: u8 = 2;
/// Marks an argument as a key beside its owner.
pub(crate) const BESIDE_BIT: u32 = 1 << 31;

/// The header of a start frame.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head {
    pub(crate) kind: u8,
    pub(crate) resp: u8,
    pub(crate) db: u16,
    pub(crate) handler: u16,
    pub(crate) shards: u16,
    pub(crate) session: u64,
    pub(crate) budget_ms: u32,
}

impl Head {
    /// Whether nobody waits for this call's reply.
    pub(crate) fn is_task(&self) -> bool {
        matches!(self.kind, SPAWNED | SESSION_CLOSED | TIMER)
    }
}

/// One result of a resume frame.
#[derive(Debug)]
pub(crate) struct OpResult<'a> {
    pub(crate) op: u32,
    pub(crate) status: u8,
    pub(crate) bytes: &'a [u8],
}

/// A cursor over a frame.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, len: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(len)?;
        if end > self.bytes.len() {
            return None;
        }
        let span = self.at..end;
        self.at = end;
        Some(span)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let span = self.take(N)?;
        self.bytes.get(span)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn span(&mut self) -> Option<Range<usize>> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let span = self.span()?;
        self.bytes.get(span)
    }
}

/// Reads a start frame: its header and where its arguments lie.
pub(crate) fn read_start(frame: &[u8]) -> Option<(Head, Vec<Range<usize>>)> {
    // One look at the length for all of it: this is a good part of what a step costs.
    let head: &[u8; HEAD_BYTES] = frame.first_chunk()?;
    let [version, kind, resp, head_len, ..] = head;
    if *version != VERSION || usize::from(*head_len) < HEAD_BYTES {
        return None;
    }
    let head = Head {
        kind: *kind,
        resp: *resp,
        db: u16::from_le_bytes(field(head, 4)?),
        handler: u16::from_le_bytes(field(head, 6)?),
        shards: u16::from_le_bytes(field(head, 10)?),
        session: u64::from_le_bytes(field(head, 12)?),
        budget_ms: u32::from_le_bytes(field(head, 20)?),
    };
    // What a later header has besides is skipped.
    let mut reader = Reader { bytes: frame, at: usize::from(*head_len) };
    let count = reader.u32()? as usize;
    // A lying count must not reserve memory: each argument takes at least four bytes of the frame.
    let mut spans = Vec::with_capacity(count.min(frame.len() / 4));
    for _ in 0..count {
        spans.push(reader.span()?);
    }
    Some((head, spans))
}

/// The bytes of a header's field.
fn field<const N: usize>(head: &[u8; HEAD_BYTES], from: usize) -> Option<[u8; N]> {
    head.get(from..)?.first_chunk().copied()
}

/// Hands each result of a resume frame to `each`; answers whether the frame was whole.
pub(crate) fn read_resume<'a>(frame: &'a [u8], mut each: impl FnMut(OpResult<'a>)) -> Option<()> {
    let mut reader = Reader::new(frame);
    let count = reader.u32()?;
    for _ in 0..count {
        let op = reader.u32()?;
        let status = reader.u8()?;
        let bytes = reader.bytes()?;
        each(OpResult { op, status, bytes });
    }
    Some(())
}

/// The result of a resume frame that has exactly one; it is the frame's end.
pub(crate) fn read_only_result(frame: &[u8]) -> Option<OpResult<'_>> {
    let (head, bytes) = frame.split_first_chunk::<13>()?;
    let [1, 0, 0, 0, a, b, c, d, status, len @ ..] = *head else {
        return None;
    };
    let op = u32::from_le_bytes([a, b, c, d]);
    (u32::from_le_bytes(len) as usize == bytes.len()).then_some(OpResult { op, status, bytes })
}

/// Room beside a large value, so that the little behind it does not double the buffer.
const SLACK: usize = 4096;

/// Appends `u32 len, bytes`.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    put_raw(out, bytes);
}

/// Appends bytes as they are.
pub(crate) fn put_raw(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() >= 16 * SLACK {
        out.reserve_exact(bytes.len() + SLACK);
    }
    out.extend_from_slice(bytes);
}

/// Appends a length or count. Nothing in a 32-bit guest is longer than the word.
pub(crate) fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::{TIMER, read_start};

    #[test]
    fn start_frame_may_have_a_longer_header_but_no_other_version_or_shorter_one() {
        let mut frame = vec![2, TIMER, 3, 28, 1, 0, 2, 0, 0, 0, 3, 0];
        frame.extend_from_slice(&9u64.to_le_bytes());
        frame.extend_from_slice(&1_500u32.to_le_bytes());
        frame.extend_from_slice(&0u32.to_le_bytes());
        let head_end = frame.len();
        frame.extend_from_slice(b"\x01\0\0\0\x02\0\0\0hi");
        let (head, spans) = read_start(&frame).unwrap();
        assert_eq!((head.kind, head.resp, head.db, head.handler), (TIMER, 3, 1, 2));
        assert_eq!((head.shards, head.session, head.budget_ms), (3, 9, 1_500));
        assert_eq!(&frame[spans[0].clone()], b"hi");

        let mut longer = frame.clone();
        longer[3] = 31;
        longer.splice(head_end..head_end, [7, 7, 7]);
        let (_, spans) = read_start(&longer).unwrap();
        assert_eq!(&longer[spans[0].clone()], b"hi");

        for (place, value) in [(0, 1), (3, 27), (3, 255)] {
            let mut broken = frame.clone();
            broken[place] = value;
            assert!(read_start(&broken).is_none(), "byte {place} = {value}");
        }
        for end in 0..frame.len() {
            assert!(read_start(&frame[..end]).is_none(), "cut at {end}");
        }
    }
}

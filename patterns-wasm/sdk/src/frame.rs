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

/// How many arguments need no list of where they end.
const NEAR: usize = 4;

/// A start frame: its header, and where its arguments lie.
pub(crate) struct Start {
    frame: Vec<u8>,
    count: usize,
    /// Where each of the first arguments ends; the length of the next one follows.
    near: [usize; NEAR],
    /// Where each of the others ends.
    far: Vec<usize>,
}

impl Start {
    /// Reads a frame; `None` if it is broken or of another version.
    pub(crate) fn read(frame: Vec<u8>) -> Option<Self> {
        let [version, _, _, head_len, ..] = *frame.first_chunk::<HEAD_BYTES>()?;
        if version != VERSION || usize::from(head_len) < HEAD_BYTES {
            return None;
        }
        // What a later header has besides is skipped.
        let begin = usize::from(head_len) + 4;
        let count = u32::from_le_bytes(*frame.get(begin - 4..)?.first_chunk()?) as usize;
        // Written out: a loop over places in memory would be a good part of a short step.
        let [mut a, mut b, mut c, mut d] = [begin; NEAR];
        if count > 0 {
            a = behind(&frame, begin)?;
        }
        if count > 1 {
            b = behind(&frame, a)?;
        }
        if count > 2 {
            c = behind(&frame, b)?;
        }
        if count > 3 {
            d = behind(&frame, c)?;
        }
        let far = if count > NEAR { read_far(&frame, d, count - NEAR)? } else { Vec::new() };
        Some(Self { frame, count, near: [a, b, c, d], far })
    }

    /// The bytes of the header from `at` on.
    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        self.frame.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    /// Why the call runs.
    pub(crate) fn kind(&self) -> u8 {
        let [kind] = self.field(1);
        kind
    }

    /// Whether nobody waits for the call's reply.
    pub(crate) fn is_task(&self) -> bool {
        matches!(self.kind(), SPAWNED | SESSION_CLOSED | TIMER)
    }

    /// The protocol of the session.
    pub(crate) fn resp(&self) -> u8 {
        let [resp] = self.field(2);
        resp
    }

    /// The selected database.
    pub(crate) fn db(&self) -> u16 {
        u16::from_le_bytes(self.field(4))
    }

    /// Which of the plugin's handlers is to run.
    pub(crate) fn handler(&self) -> u16 {
        u16::from_le_bytes(self.field(6))
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> u16 {
        u16::from_le_bytes(self.field(10))
    }

    /// The client's connection, or 0.
    pub(crate) fn session(&self) -> u64 {
        u64::from_le_bytes(self.field(12))
    }

    /// How long the call may take, milliseconds.
    pub(crate) fn budget_ms(&self) -> u32 {
        u32::from_le_bytes(self.field(20))
    }

    /// How many arguments there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Argument `index`, empty past the end.
    #[inline]
    pub(crate) fn argument(&self, index: usize) -> &[u8] {
        let begin = match index.checked_sub(1) {
            Some(before) => self.end(before) + 4,
            None => usize::from(u8::from_le_bytes(self.field(3))) + 8,
        };
        self.frame.get(begin..self.end(index)).unwrap_or_default()
    }

    /// Where argument `index` ends; 0 past the end.
    #[inline]
    fn end(&self, index: usize) -> usize {
        let end = match index.checked_sub(NEAR) {
            Some(index) => self.far.get(index),
            None => self.near.get(index),
        };
        end.copied().unwrap_or(0)
    }
}

/// Where the `count` arguments end that stand `at` bytes into a frame.
#[cold]
#[inline(never)]
fn read_far(frame: &[u8], mut at: usize, count: usize) -> Option<Vec<usize>> {
    // A lying count must not reserve memory: each argument takes at least four bytes of the frame.
    let mut ends = Vec::with_capacity(count.min(frame.len() / 4));
    for _ in 0..count {
        at = behind(frame, at)?;
        ends.push(at);
    }
    Some(ends)
}

/// Where the argument ends whose length stands `at` bytes into a frame.
fn behind(frame: &[u8], at: usize) -> Option<usize> {
    let (len, rest) = frame.get(at..)?.split_first_chunk()?;
    let len = u32::from_le_bytes(*len) as usize;
    (len <= rest.len()).then_some(at + 4 + len)
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
/// From how many bytes on a value is large.
const LARGE: usize = 16 * SLACK;

/// Appends `u32 len, bytes`.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    put_raw(out, bytes);
}

/// Appends bytes as they are.
pub(crate) fn put_raw(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() >= LARGE {
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
    use super::{Start, TIMER, put_bytes, put_u32};

    /// A frame of these arguments, its header of so many bytes.
    fn start_frame(head_len: u8, words: &[String]) -> Vec<u8> {
        let mut frame = vec![2, TIMER, 3, head_len, 1, 0, 2, 0, 0, 0, 3, 0];
        frame.extend_from_slice(&9u64.to_le_bytes());
        frame.extend_from_slice(&1_500u32.to_le_bytes());
        frame.resize(usize::from(head_len), 0);
        put_u32(&mut frame, words.len());
        words.iter().for_each(|word| put_bytes(&mut frame, word.as_bytes()));
        frame
    }

    #[test]
    fn start_frame_may_have_a_longer_header_but_no_other_version_or_shorter_one() {
        let frame = start_frame(28, &["hi".into()]);
        for frame in [frame.clone(), start_frame(31, &["hi".into()])] {
            let start = Start::read(frame).unwrap();
            assert_eq!((start.kind(), start.resp(), start.db(), start.handler()), (TIMER, 3, 1, 2));
            assert_eq!((start.shards(), start.session(), start.budget_ms()), (3, 9, 1_500));
            assert_eq!(
                (start.len(), start.argument(0), start.argument(1)),
                (1, &b"hi"[..], &b""[..])
            );
        }
        for (place, value) in [(0, 1), (3, 27), (3, 255)] {
            let mut broken = frame.clone();
            broken[place] = value;
            assert!(Start::read(broken).is_none(), "byte {place} = {value}");
        }
        for end in 0..frame.len() {
            assert!(Start::read(frame[..end].to_vec()).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn start_frame_gives_each_of_its_arguments() {
        for count in [0, 1, 3, 4, 5, 300] {
            let words: Vec<String> = (0..count).map(|index| "x".repeat(index % 7)).collect();
            let frame = start_frame(28, &words);
            let cut = frame[..frame.len() - 1].to_vec();
            assert!(Start::read(cut).is_none(), "{count} arguments, cut");
            let start = Start::read(frame).unwrap();
            assert_eq!(start.len(), count);
            for (index, word) in words.iter().enumerate() {
                assert_eq!(start.argument(index), word.as_bytes(), "{index} of {count}");
            }
            for past in [count, count + 1, usize::MAX] {
                assert_eq!(start.argument(past), b"", "{past} of {count}");
            }
        }
    }

    #[test]
    fn start_frame_that_lies_about_its_arguments_is_none() {
        for count in [1, 4, 5, u32::MAX] {
            let mut frame = start_frame(28, &[]);
            frame.truncate(28);
            frame.extend_from_slice(&count.to_le_bytes());
            assert!(Start::read(frame).is_none(), "{count}");
        }
        let mut frame = start_frame(28, &["hi".into()]);
        frame[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Start::read(frame).is_none());
    }
}

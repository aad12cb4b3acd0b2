//! One request as spans over the bytes it came in.
//!
//! `Args` is what every layer above `resp` sees of a request: the raw bytes and, per argument, where it lies.
//! It borrows; whoever must keep an argument copies it. Argument 0 is the command's name.

/// Where one argument lies in the raw bytes of its request, as byte offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

/// A complete request: its raw bytes and the spans of its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    raw: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// `spans` must lie inside `raw`; a span that does not reads as an empty argument.
    pub fn new(raw: &'a [u8], spans: &'a [Span]) -> Self {
        Self { raw, spans }
    }

    /// The request's bytes as they came, from its first to its last byte.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Where the arguments lie in the raw bytes.
    pub fn spans(&self) -> &'a [Span] {
        self.spans
    }

    /// Number of arguments, the command's name included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument at all (`*0`, an empty line).
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`, or `None` past the end.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        let start = span.start as usize;
        Some(self.raw.get(start..start + span.len as usize).unwrap_or_default())
    }

    /// Where argument `index` lies in the raw bytes.
    pub fn span(&self, index: usize) -> Option<Span> {
        self.spans.get(index).copied()
    }

    /// The command's name as the client wrote it; empty for an empty request.
    pub fn name(&self) -> &'a [u8] {
        self.get(0).unwrap_or_default()
    }

    /// The same request without its first `count` arguments, as when one command carries another (COMMAND GETKEYS).
    pub fn skip(&self, count: usize) -> Args<'a> {
        Args { raw: self.raw, spans: self.spans.get(count..).unwrap_or_default() }
    }

    /// All arguments from `index` on.
    pub fn from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let this = *self;
        (index.min(this.spans.len())..this.spans.len())
            .map(move |i| this.get(i).unwrap_or_default())
    }
}

//! Requests for tests: words in, `Args` out.
//!
//! A `Request` owns the encoded bytes and the spans that the scanner would give, so that tests of the layers above
//! `resp` need no scanner state of their own. Compiled for tests only.
//! Nothing is checked here: what the words mean is up to the test.

use crate::resp::args::{Args, Span};
use crate::resp::write;

/// One encoded request and where its arguments lie.
pub(crate) struct Request {
    raw: Vec<u8>,
    spans: Vec<Span>,
}

impl Request {
    /// From any bytes.
    pub(crate) fn new(words: &[&[u8]]) -> Request {
        let mut raw = Vec::new();
        write::array_header(&mut raw, words.len());
        let mut spans = Vec::new();
        for word in words {
            write::bulk(&mut raw, word);
            let len = u32::try_from(word.len()).unwrap();
            let end = u32::try_from(raw.len()).unwrap() - 2;
            spans.push(Span { start: end - len, len });
        }
        Request { raw, spans }
    }

    /// From words between single spaces.
    pub(crate) fn words(text: &str) -> Request {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        Request::new(&words)
    }

    pub(crate) fn args(&self) -> Args<'_> {
        Args::new(&self.raw, &self.spans)
    }
}

//! The scripts whose text the gateway knows, by the digest that EVALSHA names them with.
//!
//! In: texts that clients load or run. Out: the text of a digest, for a shard that may lack it. The oldest go when there
//! are too many or when they take too much memory; a client that names a forgotten one gets its shard's NOSCRIPT, and
//! loads it again as with one server. Texts are shared by reference with the other workers. No I/O.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use sha1::{Digest as _, Sha1};

use crate::limits;

/// SHA-1 of a script's text.
pub type Digest = [u8; 20];

/// What other workers are told of scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptNews {
    /// Somebody has loaded or run this text.
    Known(Arc<[u8]>),
    /// SCRIPT FLUSH: shards may have none.
    Flushed,
}

/// The texts of one worker.
#[derive(Debug, Default)]
pub(crate) struct ScriptTexts {
    by_digest: HashMap<Digest, Arc<[u8]>>,
    texts: HashSet<Arc<[u8]>>,
    /// The oldest first.
    order: VecDeque<Digest>,
    bytes: usize,
}

impl ScriptTexts {
    /// Takes a text in; gives it back if it is new.
    pub(crate) fn learn(&mut self, text: &[u8]) -> Option<Arc<[u8]>> {
        if text.len() > limits::SCRIPT_BYTES_MAX || self.texts.contains(text) {
            return None;
        }
        let shared: Arc<[u8]> = Arc::from(text);
        self.add(&shared);
        Some(shared)
    }

    /// Takes in a text that another worker has learned.
    pub(crate) fn add(&mut self, text: &Arc<[u8]>) {
        if !self.texts.insert(Arc::clone(text)) {
            return;
        }
        let digest = digest(text);
        self.bytes += text.len();
        self.by_digest.insert(digest, Arc::clone(text));
        self.order.push_back(digest);
        while self.order.len() > limits::SCRIPTS_MAX || self.bytes > limits::SCRIPTS_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(text) = self.by_digest.remove(&oldest) {
                self.bytes -= text.len();
                self.texts.remove(&text);
            }
        }
    }

    /// The text of a digest.
    pub(crate) fn text(&self, digest: &Digest) -> Option<&Arc<[u8]>> {
        self.by_digest.get(digest)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The digest of a text.
pub(crate) fn digest(text: &[u8]) -> Digest {
    Sha1::digest(text).into()
}

/// A digest as EVALSHA names it: forty hexadecimal digits in any case.
pub(crate) fn parse_digest(digits: &[u8]) -> Option<Digest> {
    if digits.len() != 40 {
        return None;
    }
    let mut digest = Digest::default();
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` takes a sign.
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_by_its_digest_in_any_case() {
        let mut texts = ScriptTexts::default();
        assert!(texts.learn(b"return 1").is_some());
        assert!(texts.learn(b"return 1").is_none(), "it is known");
        for digits in
            ["e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"]
        {
            let digest = parse_digest(digits.as_bytes()).unwrap();
            assert_eq!(texts.text(&digest).unwrap().as_ref(), b"return 1");
        }
        texts.clear();
        assert!(texts.text(&digest(b"return 1")).is_none());
    }

    #[test]
    fn what_is_no_digest_is_none() {
        for digits in [
            "",
            "e0",
            "+0e1f9fabfc9d4800c877a703b823ac0578ff8db",
            "x0e1f9fabfc9d4800c877a703b823ac0578ff8db",
        ] {
            assert_eq!(parse_digest(digits.as_bytes()), None, "{digits}");
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut texts = ScriptTexts::default();
        let text = |n: usize| format!("return {n}").into_bytes();
        for n in 0..=limits::SCRIPTS_MAX {
            texts.learn(&text(n));
        }
        assert!(texts.text(&digest(&text(0))).is_none());
        assert!(texts.text(&digest(&text(1))).is_some());
        let large = vec![b' '; limits::SCRIPT_BYTES_MAX];
        assert!(texts.learn(&[large.as_slice(), b"x"].concat()).is_none(), "too large to keep");
        for n in 0..=limits::SCRIPTS_BYTES_MAX / limits::SCRIPT_BYTES_MAX {
            let mut large = large.clone();
            large[0] = u8::try_from(n).unwrap();
            texts.learn(&large);
        }
        assert!(texts.bytes <= limits::SCRIPTS_BYTES_MAX);
        assert_eq!(texts.texts.len(), texts.order.len());
    }
}

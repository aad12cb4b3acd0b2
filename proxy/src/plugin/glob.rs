//! Redis's key patterns: `*`, `?`, `[a-z]`, `[^x]` and `\`, with Redis's own answers for odd ones.
//!
//! A pattern is compiled once. The usual ones (`cache:*`, a whole key, `*`) are compared as a prefix or as bytes;
//! others run the general matcher, whose work is bounded by backing up only to the last star.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Exact,
    /// The bytes before the one star, which is last.
    Prefix,
    General,
}

impl Pattern {
    /// Compiles `text`; every text is a pattern.
    pub fn new(text: &[u8]) -> Self {
        let special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
        let kind = match text.iter().position(special) {
            None => Kind::Exact,
            Some(0) if text == b"*" => Kind::All,
            Some(place) if text.get(place..) == Some(b"*") => Kind::Prefix,
            Some(_) => Kind::General,
        };
        Self { text: text.to_vec(), kind }
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether this is `*`, which also takes commands without a key.
    pub fn is_all(&self) -> bool {
        self.kind == Kind::All
    }

    /// Whether `key` matches.
    pub fn matches(&self, key: &[u8]) -> bool {
        match self.kind {
            Kind::All => true,
            Kind::Exact => self.text == key,
            Kind::Prefix => {
                self.text.split_last().is_some_and(|(_, prefix)| key.starts_with(prefix))
            }
            Kind::General => matches_general(&self.text, key),
        }
    }
}

/// Where to go on after a mismatch: behind the last star, one byte of the key later.
type Retry<'a> = Option<(&'a [u8], &'a [u8])>;

fn matches_general(pattern: &[u8], key: &[u8]) -> bool {
    let (mut pattern, mut key) = (pattern, key);
    let mut retry: Retry<'_> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            pattern = rest;
            retry = Some((rest, key));
            continue;
        }
        let Some((byte, key_rest)) = key.split_first() else {
            return pattern.is_empty();
        };
        if let Some(rest) = one(pattern, *byte) {
            pattern = rest;
            key = key_rest;
            continue;
        }
        let Some((after_star, from)) = retry else {
            return false;
        };
        let Some((_, later)) = from.split_first() else {
            return false;
        };
        retry = Some((after_star, later));
        pattern = after_star;
        key = later;
    }
}

/// Matches one byte; answers the rest of the pattern.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => class(rest, byte),
        // A backslash at the end stands for itself.
        [b'\\', wanted, rest @ ..] | [wanted, rest @ ..] => (*wanted == byte).then_some(rest),
        [] => None,
    }
}

/// Matches a class, whose opening bracket is gone. An unclosed class ends with the pattern, as in Redis.
fn class(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut pattern) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut found = false;
    loop {
        pattern = match pattern {
            [b'\\', wanted, rest @ ..] => {
                found |= *wanted == byte;
                rest
            }
            [b']', rest @ ..] => return (found != negated).then_some(rest),
            [] => return (found != negated).then_some(pattern),
            [low, b'-', high, rest @ ..] => {
                found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                rest
            }
            [wanted, rest @ ..] => {
                found |= *wanted == byte;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, matches_general};

    #[test]
    fn pattern_matches_as_redis_does() {
        let cases: &[(&str, &str, bool)] = &[
            ("*", "", true),
            ("*", "a", true),
            ("cache:*", "cache:", true),
            ("cache:*", "cache:1", true),
            ("cache:*", "cach", false),
            ("user", "user", true),
            ("user", "users", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hbllo", true),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h[a\\-z]llo", "h-llo", true),
            ("h[abc", "hc", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("a\\", "a\\", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxcxxb", false),
            ("**a", "a", true),
            ("a*", "", false),
            ("", "", true),
            ("", "a", false),
            ("a**", "ab", true),
            ("[]a", "a", false),
        ];
        for (pattern, key, wanted) in cases {
            let compiled = Pattern::new(pattern.as_bytes());
            assert_eq!(compiled.matches(key.as_bytes()), *wanted, "{pattern} against {key}");
            assert_eq!(
                matches_general(pattern.as_bytes(), key.as_bytes()),
                *wanted,
                "{pattern} against {key}, general"
            );
        }
    }

    #[test]
    fn pattern_of_many_stars_ends_soon() {
        let pattern = Pattern::new("*a".repeat(200).as_bytes());
        assert!(!pattern.matches("b".repeat(20_000).as_bytes()));
        let key = "a".repeat(20_000);
        assert!(!Pattern::new(format!("{}b", "*a".repeat(200)).as_bytes()).matches(key.as_bytes()));
    }
}

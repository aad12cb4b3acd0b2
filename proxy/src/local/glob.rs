//! Redis's pattern matching (`*`, `?`, `[a-z]`, `[^a]`, backslash), as CONFIG GET and COMMAND LIST use it.
//!
//! In: a pattern and a text. Out: whether they match, letters compared without case when asked for. It goes through
//! the pattern as Redis's `stringmatchlen` does, with one way back to the last `*`, so that no pattern takes more
//! than pattern times text steps. No allocation, no panic on any bytes; an unclosed `[` takes the rest of the
//! pattern as its set.

/// Whether the whole of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when a character does not match: behind the last star, one more character of text taken by it.
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            back = Some((p, t));
            continue;
        }
        let byte = text.get(t).copied().unwrap_or_default();
        match one(pattern.get(p..).unwrap_or_default(), byte, ignore_case) {
            Some(len) => {
                p += len;
                t += 1;
            }
            None => {
                let Some((behind_star, taken)) = back else {
                    return false;
                };
                p = behind_star;
                t = taken + 1;
                back = Some((p, t));
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// Length of the pattern's first element if it matches `byte`.
fn one(pattern: &[u8], byte: u8, ignore_case: bool) -> Option<usize> {
    let fold = |byte: u8| {
        if ignore_case { byte.to_ascii_lowercase() } else { byte }
    };
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => {
            let (found, len) = in_set(set, fold(byte), fold);
            found.then_some(len + 1)
        }
        [b'\\', escaped, ..] => (fold(*escaped) == fold(byte)).then_some(2),
        [plain, ..] => (fold(*plain) == fold(byte)).then_some(1),
    }
}

/// Whether `byte` is in the set that starts `set` (behind its `[`), and the length of the set with its `]`.
fn in_set(set: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> (bool, usize) {
    let negated = set.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match set.get(at..).unwrap_or_default() {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= fold(*escaped) == byte;
                at += 2;
            }
            [first, b'-', last, ..] => {
                let (low, high) = (fold(*first).min(fold(*last)), fold(*first).max(fold(*last)));
                found |= (low..=high).contains(&byte);
                at += 3;
            }
            [plain, ..] => {
                found |= fold(*plain) == byte;
                at += 1;
            }
        }
    }
    (found != negated, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("ge*", "get", true),
            ("ge*", "ge", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("a*a*a*b", "aaaaaaaaaaaaaaaa", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a", "ha", true),
            ("h\\*", "h*", true),
            ("h\\*", "hx", false),
            ("[\\]]", "]", true),
            ("GET", "get", true),
            ("a\\", "a\\", true),
        ] {
            let found = matches(pattern.as_bytes(), text.as_bytes(), true);
            assert_eq!(found, expected, "{pattern} and {text}");
        }
        assert!(!matches(b"GET", b"get", false));
    }
}

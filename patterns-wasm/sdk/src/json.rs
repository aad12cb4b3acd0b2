//! A small JSON reader for configs: strict, bounded in depth, no dependency.
//!
//! Guests are budgeted at 64 KiB, which is why this is here (`config` says what serde_json would take). It reads what the
//! gateway makes from YAML: objects keep their order, duplicate keys are refused, numbers stay texts until somebody wants
//! one. Errors are for the operator.

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 16;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// `12`, `-0.5e3`, as it stands there
    Number(String),
    /// `"text"`
    Text(String),
    /// `[..]`
    List(Vec<Json>),
    /// `{..}` in the order of the text.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value that fills `text`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.blank();
        if parser.at == text.len() { Ok(value) } else { Err(parser.fault("more than one value")) }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

// Read once per instance: kept small, not fast.
impl Parser<'_> {
    #[cold]
    #[inline(never)]
    fn fault(&self, what: &str) -> String {
        format!("bad JSON at byte {}: {what}", self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn word(&mut self, word: &str, value: Json) -> Result<Json, String> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.fault("unknown word"))
    }

    #[cold]
    #[inline(never)]
    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > DEPTH_MAX {
            return Err(self.fault("nested too deep"));
        }
        self.blank();
        match self.peek() {
            Some(b'n') => self.word("null", Json::Null),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'"') => self.text().map(Json::Text),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.fault("a value is missing")),
        }
    }

    /// After an item: whether another follows, or `close` ends the list.
    #[cold]
    #[inline(never)]
    fn another(&mut self, close: u8) -> Result<bool, String> {
        self.blank();
        let found = self.peek();
        self.at += 1;
        match found {
            Some(b',') => Ok(true),
            Some(byte) if byte == close => Ok(false),
            _ => Err(self.fault("a comma or a closing bracket is missing")),
        }
    }

    fn closes_at_once(&mut self, close: u8) -> bool {
        self.at += 1;
        self.blank();
        let closes = self.peek() == Some(close);
        self.at += usize::from(closes);
        closes
    }

    #[cold]
    #[inline(never)]
    fn list(&mut self, depth: usize) -> Result<Json, String> {
        let mut items = Vec::new();
        if self.closes_at_once(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.another(b']')? {
                return Ok(Json::List(items));
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn object(&mut self, depth: usize) -> Result<Json, String> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        if self.closes_at_once(b'}') {
            return Ok(Json::Object(entries));
        }
        loop {
            self.blank();
            let key = self.text()?;
            self.blank();
            if self.peek() != Some(b':') {
                return Err(self.fault("a colon is missing"));
            }
            self.at += 1;
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(self.fault("a key stands twice"));
            }
            let value = self.value(depth + 1)?;
            entries.push((key, value));
            if !self.another(b'}')? {
                return Ok(Json::Object(entries));
            }
        }
    }

    /// Digits with a sign, a fraction and an exponent; kept as a text, because the float parser of the standard library
    /// would cost every guest many KiB.
    #[cold]
    #[inline(never)]
    fn number(&mut self) -> Result<Json, String> {
        let begin = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        self.digits()?;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = self.text.get(begin..self.at).unwrap_or_default();
        Ok(Json::Number(String::from_utf8_lossy(text).into_owned()))
    }

    #[cold]
    #[inline(never)]
    fn digits(&mut self) -> Result<(), String> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if begin == self.at { Err(self.fault("a digit is missing")) } else { Ok(()) }
    }

    #[cold]
    #[inline(never)]
    fn text(&mut self) -> Result<String, String> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("a text is missing"));
        }
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek().ok_or_else(|| self.fault("the text does not end"))?;
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => self.escape(&mut bytes)?,
                other => bytes.push(other),
            }
        }
        String::from_utf8(bytes).map_err(|_| self.fault("the text is not UTF-8"))
    }

    #[cold]
    #[inline(never)]
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let byte = self.peek().ok_or_else(|| self.fault("the text does not end"))?;
        self.at += 1;
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let code = self.unicode()?;
                let mut buffer = [0; 4];
                bytes.extend_from_slice(code.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            _ => return Err(self.fault("unknown escape")),
        };
        bytes.push(plain);
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn unicode(&mut self) -> Result<char, String> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) {
            if self.text.get(self.at..self.at + 2) != Some(b"\\u") {
                return Err(self.fault("half of a surrogate pair"));
            }
            self.at += 2;
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.fault("half of a surrogate pair"));
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.fault("half of a surrogate pair"))
    }

    #[cold]
    #[inline(never)]
    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        let mut code = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16);
            code = code * 16 + value.ok_or_else(|| self.fault("not a hexadecimal digit"))?;
        }
        self.at += 4;
        if digits.len() == 4 { Ok(code) } else { Err(self.fault("the text does not end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn json_reads_every_kind_of_value() {
        let text = br#" {"a": [1, -2.5e3, true, null], "b": {"c": "x\"\n\u00e4\ud83d\ude00"}, "d": {}, "e": []} "#;
        let wanted = Json::Object(vec![
            (
                "a".into(),
                Json::List(vec![
                    Json::Number("1".into()),
                    Json::Number("-2.5e3".into()),
                    Json::Bool(true),
                    Json::Null,
                ]),
            ),
            ("b".into(), Json::Object(vec![("c".into(), Json::Text("x\"\nä😀".into()))])),
            ("d".into(), Json::Object(vec![])),
            ("e".into(), Json::List(vec![])),
        ]);
        assert_eq!(Json::parse(text), Ok(wanted));
        for end in 1..text.len() - 2 {
            assert!(Json::parse(&text[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn json_that_is_wrong_says_where() {
        for text in [
            "{\"a\":1,\"a\":2}",
            "[1,]",
            "nul",
            "\"\\x\"",
            "\"\\ud800\"",
            "1 2",
            "-",
            "1.",
            "1e",
            "{1:2}",
            "",
            "[1 2]",
        ] {
            let fault = Json::parse(text.as_bytes()).expect_err(text);
            assert!(fault.starts_with("bad JSON at byte "), "{text}: {fault}");
        }
        assert!(Json::parse("[".repeat(100).as_bytes()).is_err());
    }
}

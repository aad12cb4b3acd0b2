//! Reading a binding's config field by field, with messages for the operator.
//!
//! Every getter names a key, takes it out and checks it; `finish` refuses what nobody asked for and names what there
//! is. Durations are texts with a unit (`"250ms"`, `"20s"`, `"5m"`, `"1h"`), never bare numbers.

use crate::host;
use crate::json::Json;

/// The keys of a config that have not been read yet.
#[derive(Debug)]
pub struct Fields {
    entries: Vec<(String, Json)>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// The fields of a JSON object.
    pub fn new(json: Json) -> Result<Self, String> {
        match json {
            Json::Object(entries) => Ok(Self { entries, asked: Vec::new() }),
            other => Err(format!("the config must be an object, not {}", other.kind())),
        }
    }

    /// Takes out the value of `key`.
    pub fn take(&mut self, key: &'static str) -> Option<Json> {
        self.asked.push(key);
        let place = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(place).1)
    }

    /// Whether the operator's grant leaves shared memory of so many bytes for one value.
    pub fn has_shared_memory(&self, bytes: usize) -> bool {
        const PROBE: &[u8] = b"sluicegate:probe";
        let kept = host::shared_set(PROBE, &vec![1; bytes], 1);
        host::shared_set(PROBE, b"", 0);
        kept
    }

    /// A duration in milliseconds.
    pub fn duration_ms(&mut self, key: &'static str, default: u32) -> Result<u32, String> {
        match self.take(key) {
            None => Ok(default),
            Some(Json::Text(text)) => parse_duration_ms(&text).ok_or_else(|| {
                format!("{key}: '{text}' is no duration; write 250ms, 20s, 5m or 1h")
            }),
            Some(other) => Err(format!(
                "{key}: {} is no duration; write a text such as 250ms, 20s, 5m or 1h",
                other.kind()
            )),
        }
    }

    /// A text.
    pub fn text(&mut self, key: &'static str, default: &str) -> Result<String, String> {
        match self.take(key) {
            None => Ok(String::from(default)),
            Some(Json::Text(text)) => Ok(text),
            Some(other) => Err(format!("{key}: {} where a text is wanted", other.kind())),
        }
    }

    /// One of `choices`; answers its place. Absent: the first.
    pub fn choice(&mut self, key: &'static str, choices: &[&str]) -> Result<usize, String> {
        let found = self.text(key, choices.first().copied().unwrap_or_default())?;
        choices
            .iter()
            .position(|choice| *choice == found)
            .ok_or_else(|| format!("{key}: '{found}' is not one of {}", choices.join(", ")))
    }

    /// Refuses what is left.
    pub fn finish(self) -> Result<(), String> {
        match self.entries.first() {
            None => Ok(()),
            Some((name, _)) if self.asked.is_empty() => {
                Err(format!("unknown key '{name}'; this plugin has no config"))
            }
            Some((name, _)) => {
                Err(format!("unknown key '{name}'; known are {}", self.asked.join(", ")))
            }
        }
    }
}

/// `250ms`, `20s`, `5m`, `1h` in milliseconds, at most some 49 days.
pub fn parse_duration_ms(text: &str) -> Option<u32> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(split)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let mut value: u32 = 0;
    for digit in digits.bytes() {
        value = value.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
    }
    (!digits.is_empty()).then(|| value.checked_mul(factor)).flatten()
}

#[cfg(test)]
mod tests {
    use super::{Fields, parse_duration_ms};
    use crate::json::Json;

    fn fields(text: &str) -> Fields {
        Fields::new(Json::parse(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn duration_reads_units_and_refuses_the_rest() {
        let cases = [
            ("250ms", Some(250)),
            ("20s", Some(20_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("0s", Some(0)),
            ("20", None),
            ("s", None),
            ("", None),
            ("1.5s", None),
            ("-1s", None),
            ("2d", None),
            ("4294967296ms", None),
            ("2000h", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_duration_ms(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn fields_take_defaults_and_refuse_unknown_keys() {
        let mut known = fields(r#"{"grace": "20s", "mode": "b"}"#);
        assert_eq!(known.duration_ms("grace", 1), Ok(20_000));
        assert_eq!(known.duration_ms("lease", 7), Ok(7));
        assert_eq!(known.choice("mode", &["a", "b"]), Ok(1));
        assert_eq!(known.finish(), Ok(()));
        let mut wrong = fields(r#"{"grcae": "20s"}"#);
        assert_eq!(wrong.duration_ms("grace", 1), Ok(1));
        assert_eq!(wrong.finish(), Err("unknown key 'grcae'; known are grace".into()));
        let mut number = fields(r#"{"grace": 20}"#);
        assert!(number.duration_ms("grace", 1).is_err());
        let mut mode = fields(r#"{"mode": "c"}"#);
        assert_eq!(mode.choice("mode", &["a", "b"]), Err("mode: 'c' is not one of a, b".into()));
    }
}

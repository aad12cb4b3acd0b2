//! A binding's config as a type of the plugin's own, read by serde, with faults for the operator.
//!
//! Durations are texts with a unit (`ms`, `s`, `m`, `h`, `d`: `250ms`, `20s`) and sizes too (`64KiB`), written as in the gateway's own YAML.
//! A fault names the path of the key, what was found and what is allowed. The values come from the SDK's own reader and not
//! from serde_json, which is larger than the whole rest of a small plugin.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Unexpected, Visitor};

use crate::deserialize::Value;
use crate::host;
use crate::json::Json;

/// The config of a plugin's bindings: a type with `Deserialize`, and a check of what its types cannot say.
///
/// ```
/// use serde::Deserialize;
/// use sluicegate_plugin::config::{self, ByteSize, Config, Duration};
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields, default)]
/// struct Settings {
///     grace: Duration,
///     memory: ByteSize,
///     mode: Mode,
/// }
///
/// #[derive(Deserialize)]
/// #[serde(rename_all = "lowercase")]
/// enum Mode {
///     Fast,
///     Safe,
/// }
///
/// impl Default for Settings {
///     fn default() -> Self {
///         Self { grace: Duration::secs(20), memory: ByteSize::kib(64), mode: Mode::Fast }
///     }
/// }
///
/// impl Config for Settings {
///     fn check(&mut self) -> Result<(), String> {
///         if self.grace.ms() == 0 { Err("grace must be longer than 0".into()) } else { Ok(()) }
///     }
/// }
///
/// let fault = |text: &str| config::read::<Settings>(text.as_bytes()).unwrap_err();
/// assert!(config::read::<Settings>(br#"{"grace":"5m","memory":"1MiB","mode":"safe"}"#).is_ok());
/// assert!(config::read::<Settings>(b"").is_ok());
/// assert_eq!(
///     fault(r#"{"grace":"abc"}"#),
///     "grace: found \"abc\", allowed: a duration such as 250ms, 20s, 5m, 1h or 2d"
/// );
/// assert_eq!(fault(r#"{"mode":"slow"}"#), "mode: found \"slow\", allowed: fast, safe");
/// assert_eq!(fault(r#"{"grcae":"5m"}"#), "unknown key 'grcae'; known are grace, memory, mode");
/// assert_eq!(fault(r#"{"grace":"0s"}"#), "grace must be longer than 0");
/// ```
pub trait Config: DeserializeOwned + 'static {
    /// Refuses what the types allow and the plugin cannot work with; may also fill in what follows from the rest.
    fn check(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// For plugins that need no config: any key is refused.
///
/// ```
/// # use sluicegate_plugin::config::{self, NoConfig};
/// let fault = config::read::<NoConfig>(br#"{"grace":"5m"}"#).unwrap_err();
/// assert_eq!(fault, "unknown key 'grace'; this plugin has no config");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

impl Config for NoConfig {}

/// Reads a JSON config into `T` and checks it; an empty text counts as `{}`. `plugin!` calls it, and tests may: see
/// [`Config`].
#[cold]
pub fn read<T: Config>(text: &[u8]) -> Result<Rc<dyn Any>, String> {
    let json = if text.is_empty() { Json::Object(Vec::new()) } else { Json::parse(text)? };
    if !matches!(json, Json::Object(_)) {
        return Err(String::from("the config must be an object of keys and values"));
    }
    let mut config = T::deserialize(Value(json)).map_err(|fault| fault.to_string())?;
    config.check()?;
    Ok(Rc::new(config))
}

/// Whether the operator's grant leaves shared memory of so many bytes for one value: for [`Config::check`].
///
/// ```
/// assert!(sluicegate_plugin::config::has_shared_memory(1_000));
/// ```
pub fn has_shared_memory(bytes: usize) -> bool {
    const PROBE: &[u8] = b"sluicegate:probe";
    let kept = host::shared_set(PROBE, &vec![1; bytes], 1);
    host::shared_set(PROBE, b"", 0);
    kept
}

/// A duration in whole milliseconds, up to some 49 days.
///
/// ```
/// # use sluicegate_plugin::config::Duration;
/// assert_eq!(Duration::parse("2d"), Some(Duration::secs(172_800)));
/// assert_eq!(Duration::parse("250ms").map(Duration::ms), Some(250));
/// assert_eq!(Duration::parse("20"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Duration(u32);

impl Duration {
    /// So many milliseconds.
    #[must_use]
    pub const fn millis(ms: u32) -> Self {
        Self(ms)
    }

    /// So many seconds.
    #[must_use]
    pub const fn secs(seconds: u32) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// In milliseconds, as `Cx::sleep` and the like take them.
    #[must_use]
    pub const fn ms(self) -> u32 {
        self.0
    }

    /// Reads `250ms`, `20s`, `5m`, `1h` or `2d`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        scaled(text, &units).and_then(|ms| u32::try_from(ms).ok()).map(Self)
    }
}

/// A number of bytes.
///
/// ```
/// # use sluicegate_plugin::config::ByteSize;
/// assert_eq!(ByteSize::parse("64KiB"), Some(ByteSize::kib(64)));
/// assert_eq!(ByteSize::parse("512").map(ByteSize::bytes), Some(512));
/// assert_eq!(ByteSize::parse("1MB"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many times 1024 bytes.
    #[must_use]
    pub const fn kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads `512`, `512B`, `64KiB`, `1MiB` or `2GiB`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let units = [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        scaled(text, &units).map(Self)
    }
}

/// Digits and a unit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let mut value: u64 = 0;
    for digit in digits.bytes() {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (!digits.is_empty()).then(|| value.checked_mul(*factor)).flatten()
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 250ms, 20s, 5m, 1h or 2d")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
        Duration::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DurationVisitor)
    }
}

struct ByteSizeVisitor;

impl Visitor<'_> for ByteSizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 512, 64KiB, 1MiB or 2GiB")
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
        ByteSize::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A bare number too: YAML reads `memory: 512` as one.
impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `bytes` and not `any`: the latter would bring the parser of fractions into every guest.
        deserializer.deserialize_bytes(ByteSizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::{ByteSize, Config, Duration, read};

    #[derive(Debug, Deserialize, Default, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Whole {
        on: bool,
        count: u8,
        big: i64,
        ratio: f64,
        name: String,
        maybe: Option<u32>,
        list: Vec<Duration>,
        pair: (i64, String),
        table: BTreeMap<String, ByteSize>,
        inner: Inner,
        shape: Shape,
    }

    #[derive(Debug, Deserialize, Default, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        pause: Duration,
    }

    #[derive(Debug, Deserialize, Default, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Shape {
        #[default]
        None,
        Circle {
            radius: i64,
        },
        Text(String),
    }

    impl Config for Whole {}

    fn fault(text: &str) -> String {
        read::<Whole>(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn every_kind_of_field_is_read() {
        let text = r#"{"on":true,"count":7,"big":-9223372036854775808,"ratio":0.5,"name":"n","maybe":3,
            "list":["1s","2m"],"pair":[1,"x"],"table":{"a":"1KiB","b":512},"inner":{"pause":"1h"},
            "shape":{"circle":{"radius":4}}}"#;
        let whole = read::<Whole>(text.as_bytes()).unwrap().downcast::<Whole>().unwrap();
        let wanted = Whole {
            on: true,
            count: 7,
            big: i64::MIN,
            ratio: 0.5,
            name: "n".into(),
            maybe: Some(3),
            list: vec![Duration::secs(1), Duration::secs(120)],
            pair: (1, "x".into()),
            table: [("a".into(), ByteSize::kib(1)), ("b".into(), ByteSize(512))].into(),
            inner: Inner { pause: Duration::secs(3_600) },
            shape: Shape::Circle { radius: 4 },
        };
        assert_eq!(*whole, wanted);
        for (text, wanted) in [
            (r#"{"shape":"none"}"#, Shape::None),
            (r#"{"shape":{"text":"t"},"maybe":null}"#, Shape::Text("t".into())),
        ] {
            let whole = read::<Whole>(text.as_bytes()).unwrap().downcast::<Whole>().unwrap();
            assert_eq!(whole.shape, wanted);
        }
    }

    #[test]
    fn fault_names_the_path_what_was_found_and_what_is_allowed() {
        let duration = "a duration such as 250ms, 20s, 5m, 1h or 2d";
        let cases = [
            (r#"{"on":1}"#, "on: found 1, allowed: a boolean".to_owned()),
            (r#"{"count":300}"#, "count: found 300, allowed: u8".to_owned()),
            (r#"{"count":-1}"#, "count: found -1, allowed: u8".to_owned()),
            (r#"{"count":1.5}"#, "count: found 1.5, allowed: u8".to_owned()),
            (r#"{"name":[1]}"#, "name: found a list, allowed: a string".to_owned()),
            (r#"{"list":["1s","x"]}"#, format!("list[1]: found \"x\", allowed: {duration}")),
            (r#"{"list":[5]}"#, format!("list[0]: found 5, allowed: {duration}")),
            (
                r#"{"inner":{"pause":"1.5s"}}"#,
                format!("inner.pause: found \"1.5s\", allowed: {duration}"),
            ),
            (r#"{"inner":{"puase":1}}"#, "inner: unknown key 'puase'; known are pause".to_owned()),
            (r#"{"inner":7}"#, "inner: found 7, allowed: struct Inner".to_owned()),
            (
                r#"{"table":{"a":"1MB"}}"#,
                "table.a: found \"1MB\", allowed: a size such as 512, 64KiB, 1MiB or 2GiB"
                    .to_owned(),
            ),
            (
                r#"{"shape":"square"}"#,
                "shape: found \"square\", allowed: none, circle, text".to_owned(),
            ),
            (r#"{"shape":{"circle":{}}}"#, "shape.circle: the key 'radius' is missing".to_owned()),
            (r#"{"pair":[1]}"#, "pair: found 1 of them, allowed: a tuple of size 2".to_owned()),
            ("[]", "the config must be an object of keys and values".to_owned()),
            ("{", "bad JSON at byte 1: a text is missing".to_owned()),
        ];
        for (text, wanted) in cases {
            assert_eq!(fault(text), wanted, "{text}");
        }
    }

    #[test]
    fn duration_and_size_read_units_and_refuse_the_rest() {
        let durations = [
            ("250ms", Some(250)),
            ("20s", Some(20_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("2d", Some(172_800_000)),
            ("0s", Some(0)),
            ("20", None),
            ("s", None),
            ("", None),
            ("1.5s", None),
            ("-1s", None),
            ("4294967296ms", None),
            ("99999999999999999999s", None),
            ("2000h", None),
        ];
        for (text, wanted) in durations {
            assert_eq!(Duration::parse(text).map(Duration::ms), wanted, "{text:?}");
        }
        let sizes = [
            ("0", Some(0)),
            ("7B", Some(7)),
            ("1GiB", Some(1 << 30)),
            ("1kib", None),
            ("KiB", None),
            ("99999999999GiB", None),
        ];
        for (text, wanted) in sizes {
            assert_eq!(ByteSize::parse(text).map(ByteSize::bytes), wanted, "{text:?}");
        }
    }
}

//! Times and sizes as people write them.
//!
//! `20s`, `250ms`, `64MiB`: a whole number and its unit, nothing between. A bare number is no time, since nobody can
//! tell its unit; a bare number of bytes is plain. Decimal sizes (`MB`) are refused: half of their writers mean MiB.
//! Every parser gives `None` for what it does not know; the caller words the fault.

use std::time::Duration;

/// Units of time with their length in microseconds.
const TIME_UNITS: [(&str, u64); 5] =
    [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

/// Units of size in bytes.
const SIZE_UNITS: [(&str, u64); 5] =
    [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// `250ms` and the like.
pub(super) fn duration(text: &str) -> Option<Duration> {
    scaled(text, &TIME_UNITS).map(Duration::from_micros)
}

/// `64MiB` and the like, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    scaled(text, &SIZE_UNITS)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A time in its largest whole unit.
pub(super) fn show_duration(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    shown(micros, &TIME_UNITS)
}

/// A size in its largest whole unit.
pub(super) fn show_size(bytes: u64) -> String {
    shown(bytes, &SIZE_UNITS)
}

fn shown(amount: u64, units: &[(&str, u64)]) -> String {
    let whole = |(_, factor): &&(&str, u64)| amount.is_multiple_of(*factor) && amount > 0;
    match units.iter().rev().find(whole) {
        Some((unit, factor)) => format!("{}{unit}", amount / factor),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_needs_a_whole_number_and_a_unit() {
        let cases = [
            ("20s", Some(20_000_000)),
            ("250ms", Some(250_000)),
            ("2us", Some(2)),
            ("1m", Some(60_000_000)),
            ("1h", Some(3_600_000_000)),
            ("20", None),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("1S", None),
            ("99999999999999999999s", None),
            ("9999999999999999h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected.map(Duration::from_micros), "{text}");
        }
    }

    #[test]
    fn size_takes_binary_units_or_plain_bytes() {
        let cases = [
            ("64MiB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("512KiB", Some(512 << 10)),
            ("100B", Some(100)),
            ("4096", Some(4096)),
            ("64MB", None),
            ("64mib", None),
            ("MiB", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_in_their_largest_whole_unit() {
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_duration(Duration::from_secs(86_400)), "24h");
        assert_eq!(show_duration(Duration::ZERO), "0");
        assert_eq!(show_size(64 << 20), "64MiB");
        assert_eq!(show_size(1000), "1000B");
    }
}

//! Scores as text, in the two spellings that servers have.
//!
//! In: a number, or texts that came from a shard. Out: the bytes that the same server prints for a number. Redis 7.0
//! prints seventeen digits (`%.17g` of C); Redis 7.2 and Valkey print the fewest that tell the number.
//! A member that is in one input only keeps its text; so only numbers that were computed here are printed here.

/// How a server prints numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    SeventeenDigits,
    Shortest,
}

/// The spelling that these texts show, if one of them has only one.
pub(super) fn spelling<'a>(mut texts: impl Iterator<Item = &'a [u8]>) -> Option<Spelling> {
    texts.find_map(|text| {
        // The numbers that most scores are have one spelling; they are not worth printing twice.
        if text.len() < 16 && text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let value = parse(text)?;
        let seventeen = print(value, Spelling::SeventeenDigits);
        match text == seventeen.as_bytes() {
            false => Some(Spelling::Shortest),
            true if seventeen == print(value, Spelling::Shortest) => None,
            true => Some(Spelling::SeventeenDigits),
        }
    })
}

/// The spelling of a server, by its INFO: the shortest since 7.2.
pub(super) fn spelling_of_server(info: &[u8]) -> Spelling {
    let mut lines = info.split(|byte| *byte == b'\n');
    let version = lines.find_map(|line| line.strip_prefix(b"redis_version:"));
    let text = version.and_then(|version| std::str::from_utf8(version).ok()).unwrap_or_default();
    let mut numbers = text.split('.').map(|number| number.trim().parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (7, 2) { Spelling::Shortest } else { Spelling::SeventeenDigits }
}

/// The number that a shard printed.
pub(super) fn parse(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The number as text.
pub(super) fn print(value: f64, spelling: Spelling) -> String {
    match spelling {
        _ if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
        Spelling::SeventeenDigits => seventeen_digits(value),
        Spelling::Shortest => shortest(value),
    }
}

/// Sign, digits without the point, and the power of ten of the first digit, of Rust's `1.25e-7`.
fn parts(printed: &str) -> (&str, String, i32) {
    let (sign, rest) = match printed.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", printed),
    };
    let (mantissa, exponent) = rest.split_once('e').unwrap_or((rest, "0"));
    (sign, mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// `%.17g` of C.
fn seventeen_digits(value: f64) -> String {
    let printed = format!("{value:.16e}");
    let (sign, digits, exponent) = parts(&printed);
    let kept = digits.trim_end_matches('0');
    let digits = if kept.is_empty() { "0" } else { kept };
    if (-4..17).contains(&exponent) {
        return format!("{sign}{}", decimal(digits, exponent));
    }
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{}e{exponent_sign}{:02}", pointed(digits), exponent.unsigned_abs())
}

/// What Redis 7.2 and Valkey print: whole numbers that fit, plainly; others with the fewest digits, in the layout of
/// their `fpconv_dtoa`.
fn shortest(value: f64) -> String {
    // Half of the largest 64-bit number: their bound for a number that is whole.
    const WHOLE_MAX: f64 = 4_611_686_018_427_387_904.0;
    if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
        return format!("{value:.0}");
    }
    let printed = format!("{value:e}");
    let (sign, digits, exponent) = parts(&printed);
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The power of ten of the last digit.
    let last = exponent - count + 1;
    let is_short_integer = last >= 0 && exponent.abs() < count + 7;
    let is_short_fraction = last < 0 && (last > -7 || exponent.abs() < 4);
    if is_short_integer || is_short_fraction {
        return format!("{sign}{}", decimal(&digits, exponent));
    }
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{}e{exponent_sign}{}", pointed(&digits), exponent.unsigned_abs())
}

/// The digits with a point behind the first.
fn pointed(digits: &str) -> String {
    match digits.split_at_checked(1) {
        Some((first, rest)) if !rest.is_empty() => format!("{first}.{rest}"),
        _ => digits.to_owned(),
    }
}

/// The digits without a power of ten.
fn decimal(digits: &str, exponent: i32) -> String {
    let before = usize::try_from(exponent + 1).unwrap_or(0);
    if before == 0 {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("0.{}{digits}", "0".repeat(zeros));
    }
    match digits.split_at_checked(before) {
        Some((whole, "")) => whole.to_owned(),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => format!("{digits}{}", "0".repeat(before - digits.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by redis-server 7.0.15 and valkey-server 9: ZUNION 1 key WITHSCORES.
    #[test]
    fn numbers_are_printed_as_servers_print_them() {
        for (value, seventeen, few) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (5e-324, "4.9406564584124654e-324", "5e-324"),
            (1e-7, "9.9999999999999995e-08", "1e-7"),
            (1.1e-7, "1.1000000000000001e-07", "1.1e-7"),
            (1e-6, "9.9999999999999995e-07", "0.000001"),
            (1e-5, "1.0000000000000001e-05", "0.00001"),
            (0.000_012_34, "1.234e-05", "1.234e-5"),
            (1.234e-4, "0.00012339999999999999", "1.234e-4"),
            (3e-4, "0.00029999999999999997", "0.0003"),
            (0.001, "0.001", "0.001"),
            (123_456.789, "123456.789", "123456.789"),
            (1e15, "1000000000000000", "1000000000000000"),
            (9_007_199_254_740_993.0, "9007199254740992", "9007199254740992"),
            (1e16, "10000000000000000", "10000000000000000"),
            (12_345_678_901_234_567.0, "12345678901234568", "12345678901234568"),
            (1e17, "1e+17", "100000000000000000"),
            (1e18, "1e+18", "1000000000000000000"),
            (4_611_686_018_427_387_904.0, "4.6116860184273879e+18", "4611686018427387904"),
            (9e18, "9e+18", "9e+18"),
            (1e21, "1e+21", "1e+21"),
            (123_456_789_012_345_680_000.0, "1.2345678901234568e+20", "123456789012345680000"),
            (1_234_567.1e15, "1.2345671e+21", "1.2345671e+21"),
            (1.5e300, "1.5000000000000001e+300", "1.5e+300"),
            (-12_345.678_9, "-12345.678900000001", "-12345.6789"),
            (-1e-8, "-1e-08", "-1e-8"),
            (f64::INFINITY, "inf", "inf"),
            (f64::NEG_INFINITY, "-inf", "-inf"),
        ] {
            assert_eq!(print(value, Spelling::SeventeenDigits), seventeen);
            assert_eq!(print(value, Spelling::Shortest), few);
            assert_eq!(parse(seventeen.as_bytes()), Some(value));
            assert_eq!(parse(few.as_bytes()), Some(value));
        }
    }

    #[test]
    fn a_text_that_only_one_spelling_has_tells_it() {
        for (texts, due) in [
            ([b"1".as_slice(), b"0.5"], None),
            ([b"-inf", b"0.30000000000000004"], None),
            ([b"1", b"0.1"], Some(Spelling::Shortest)),
            ([b"100000000000000000", b"1"], Some(Spelling::Shortest)),
            ([b"inf", b"0.10000000000000001"], Some(Spelling::SeventeenDigits)),
        ] {
            assert_eq!(spelling(texts.into_iter()), due, "{texts:?}");
        }
    }

    #[test]
    fn a_server_tells_its_spelling_by_its_version() {
        for (info, due) in [
            (b"# Server\r\nredis_version:7.0.15\r\n".as_slice(), Spelling::SeventeenDigits),
            (b"# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.0.1\r\n", Spelling::Shortest),
            (b"redis_version:8.0\r\n", Spelling::Shortest),
            (b"redis_version:6.2.14\r\n", Spelling::SeventeenDigits),
            (b"", Spelling::SeventeenDigits),
        ] {
            assert_eq!(spelling_of_server(info), due);
        }
    }
}

//! Hours, days, weeks and months: the windows of time that keys are counted in, and their names.
//!
//! Comes in: a moment in milliseconds since 1970, and how far a clock on the wall is from UTC. Goes out: the window's name, in
//! digits that sort as time does, and its begin and end. A window's key is the client's key, `@`, and the name
//! (`views:7@20261123`), so that counters and boards of one window find each other. The dates are those of the Gregorian
//! calendar, by Howard Hinnant's `civil_from_days` ("chrono-Compatible Low-Level Date Algorithms").

use serde::Deserialize;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How long a window is.
///
/// ```
/// use sluicegate_plugin::window::Length;
///
/// let monday = 1_795_399_200_000;             // 2026-11-23, 02:00 UTC
/// let names = [Length::Hour, Length::Day, Length::Week, Length::Month];
/// let names = names.map(|length| length.at(monday, 0).name());
/// assert_eq!(names, ["2026112302", "20261123", "2026W48", "202611"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// From the full hour: `2026112302`.
    Hour,
    /// From midnight: `20261123`.
    Day,
    /// From Monday's midnight, named as ISO 8601 does: `2026W48`.
    Week,
    /// From the first day's midnight: `202611`.
    Month,
}

/// One window.
///
/// ```
/// use sluicegate_plugin::window::Length;
///
/// let day = Length::Day.at(1_795_399_200_000, 0);
/// assert_eq!((day.name(), day.end_ms()), ("20261123".into(), 1_795_478_400_000));
/// assert_eq!(day.before(1).name(), "20261122");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    length: Length,
    /// On the wall's clock, milliseconds since 1970-01-01 00:00 there.
    begin: i64,
    end: i64,
    offset_ms: i64,
}

impl Length {
    /// The window that holds `now_ms`, where the wall's clock is `offset_minutes` ahead of UTC.
    #[must_use]
    pub fn at(self, now_ms: u64, offset_minutes: i32) -> Window {
        let offset_ms = i64::from(offset_minutes) * 60_000;
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX / 2).saturating_add(offset_ms);
        self.around(now, offset_ms)
    }

    /// The window called `name`, if that is one of this length.
    ///
    /// ```
    /// use sluicegate_plugin::window::Length;
    ///
    /// assert_eq!(Length::Day.named(b"20240229", 0).map(|window| window.name()), Some("20240229".into()));
    /// assert_eq!(Length::Day.named(b"20260229", 0), None);
    /// assert_eq!(Length::Hour.named(b"20260228", 0), None);
    /// ```
    #[must_use]
    pub fn named(self, name: &[u8], offset_minutes: i32) -> Option<Window> {
        let number = |from: usize, to: usize| {
            let digits = name.get(from..to).filter(|part| part.iter().all(u8::is_ascii_digit))?;
            std::str::from_utf8(digits).ok()?.parse::<i64>().ok()
        };
        let year = number(0, 4)?;
        let days = match self {
            Self::Hour | Self::Day => days_of(year, number(4, 6)?, number(6, 8)?),
            // The fourth of January is always in the first week.
            Self::Week => monday_of(days_of(year, 1, 4)) + (number(5, 7)? - 1) * 7,
            Self::Month => days_of(year, number(4, 6)?, 1),
        };
        let hour = if self == Self::Hour { number(8, 10)? } else { 0 };
        let begin = days.checked_mul(DAY_MS)? + hour * HOUR_MS;
        let window = self.around(begin, i64::from(offset_minutes) * 60_000);
        // Only a name that this window has: no 30th of February, no week 60, nothing behind it.
        (window.name().as_bytes() == name).then_some(window)
    }

    fn around(self, now: i64, offset_ms: i64) -> Window {
        let days = now.div_euclid(DAY_MS);
        let (begin, end) = match self {
            Self::Hour => {
                let begin = now.div_euclid(HOUR_MS) * HOUR_MS;
                (begin, begin + HOUR_MS)
            }
            Self::Day => (days * DAY_MS, (days + 1) * DAY_MS),
            Self::Week => (monday_of(days) * DAY_MS, (monday_of(days) + 7) * DAY_MS),
            Self::Month => {
                let (year, month, _) = date_of(days);
                let (next, after) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                (days_of(year, month, 1) * DAY_MS, days_of(next, after, 1) * DAY_MS)
            }
        };
        Window { length: self, begin, end, offset_ms }
    }
}

impl Window {
    /// Its name: digits that sort as time does.
    #[must_use]
    pub fn name(&self) -> String {
        let days = self.begin.div_euclid(DAY_MS);
        let (year, month, day) = date_of(days);
        match self.length {
            Length::Hour => {
                let hour = self.begin.rem_euclid(DAY_MS) / HOUR_MS;
                [digits(year, 4), digits(month, 2), digits(day, 2), digits(hour, 2)].concat()
            }
            Length::Day => [digits(year, 4), digits(month, 2), digits(day, 2)].concat(),
            Length::Week => {
                // The week's Thursday decides its year.
                let (year, _, _) = date_of(days + 3);
                let week = (days - monday_of(days_of(year, 1, 4))) / 7 + 1;
                [digits(year, 4), String::from("W"), digits(week, 2)].concat()
            }
            Length::Month => [digits(year, 4), digits(month, 2)].concat(),
        }
    }

    /// When it ends, milliseconds since 1970 in UTC.
    ///
    /// ```
    /// use sluicegate_plugin::window::Length;
    ///
    /// // In a place two hours ahead of UTC the day ends two hours earlier.
    /// assert_eq!(Length::Day.at(0, 120).end_ms(), 79_200_000);
    /// ```
    #[must_use]
    pub fn end_ms(&self) -> i64 {
        self.end - self.offset_ms
    }

    /// The window `count` before this one.
    ///
    /// ```
    /// use sluicegate_plugin::window::Length;
    ///
    /// let window = Length::Month.named(b"202601", 0).unwrap();
    /// assert_eq!(window.before(2).name(), "202511");
    /// ```
    #[must_use]
    pub fn before(&self, count: u32) -> Self {
        (0..count).fold(*self, |window, _| self.length.around(window.begin - 1, self.offset_ms))
    }
}

/// Days since 1970-01-01 of a date.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of days since 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Months from March.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// The Monday of a day's week: 1970-01-01 was a Thursday.
fn monday_of(days: i64) -> i64 {
    days - (days + 3).rem_euclid(7)
}

fn digits(number: i64, width: usize) -> String {
    let text = number.to_string();
    ["0".repeat(width.saturating_sub(text.len())), text].concat()
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, Length, date_of, days_of};

    #[test]
    fn every_day_of_four_centuries_has_a_date_of_its_own() {
        let mut last = (1969, 12, 31);
        for days in 0..146_097 {
            let date = date_of(days);
            assert!(date > last, "{date:?} behind {last:?}");
            assert_eq!(days_of(date.0, date.1, date.2), days);
            last = date;
        }
        assert_eq!((date_of(19_782), date_of(146_096)), ((2024, 2, 29), (2369, 12, 31)));
    }

    #[test]
    fn windows_follow_each_other_and_are_found_by_their_names() {
        for length in [Length::Hour, Length::Day, Length::Week, Length::Month] {
            for offset in [0, 330, -480] {
                let mut window = length.at(1_700_000_000_000, offset);
                for _ in 0..1_500 {
                    assert_eq!(length.named(window.name().as_bytes(), offset), Some(window));
                    let next = length.at(u64::try_from(window.end_ms()).unwrap(), offset);
                    assert!(next.name() > window.name(), "{next:?} behind {window:?}");
                    assert_eq!(next.before(1), window);
                    window = next;
                }
            }
        }
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        // From the standard's own examples, as days since 1970: 2005-01-01, 2007-12-31, 2008-12-29, 2010-01-03.
        let cases = [
            ((2005, 1, 1), "2004W53"),
            ((2007, 12, 31), "2008W01"),
            ((2008, 12, 29), "2009W01"),
            ((2010, 1, 3), "2009W53"),
        ];
        for ((year, month, day), name) in cases {
            let ms = u64::try_from(days_of(year, month, day) * DAY_MS).unwrap();
            assert_eq!(Length::Week.at(ms, 0).name(), name);
        }
    }

    #[test]
    fn what_is_no_window_has_no_name() {
        for name in
            ["", "2026", "20261301", "20260431", "2026112", "202611231", "2O261123", "-0261123"]
        {
            assert_eq!(Length::Day.named(name.as_bytes(), 0), None, "{name}");
        }
        for name in ["2026W00", "2026W54", "2026-48", "2026w48", "2026W8"] {
            assert_eq!(Length::Week.named(name.as_bytes(), 0), None, "{name}");
        }
        assert_eq!(Length::Hour.named(b"2026112324", 0), None);
        assert_eq!(Length::Month.named(b"202613", 0), None);
    }
}

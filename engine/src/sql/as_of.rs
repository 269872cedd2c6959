//! AS OF SYSTEM TIME: which past a transaction reads. A number is a commit position, a text a time: `'2024-05-06 07:08:09.5'`
//! (UTC, unless an offset like `+02:00` follows), or how long ago, `'-10s'`.
//!
//! What stands in a query is taken out of its tokens before the parser sees them: after FROM and its tables, as in
//! `CockroachDB`, and for the whole statement.

use std::fmt;

use super::error::{Error, SqlState};
use crate::mvcc::Time;

/// The past that a transaction reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// At a commit position.
    Position(u64),
    /// At a time, in milliseconds since the beginning of 1970, UTC: after the last commit at or before it.
    Time(Time),
    /// So many milliseconds ago.
    Ago(u64),
}

impl AsOf {
    /// Reads what stands between quotes.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let parsed = match text.trim().strip_prefix('-') {
            Some(ago) => interval(ago).map(Self::Ago),
            None => timestamp(text.trim()).map(Self::Time),
        };
        parsed.ok_or_else(|| {
            let message = format!("{text:?} is no time");
            let hint = "write '2024-05-06 07:08:09' in UTC, or '-10s' with ms, s, m, h or d";
            Error::new(SqlState::INVALID_DATETIME_FORMAT, message).with_hint(hint)
        })
    }

    /// The time that is meant, by what the clock says, if there is one.
    ///
    /// # Errors
    /// If it is in the future, or if there is no clock.
    ///
    /// # Panics
    /// If it is a position.
    pub fn time(self, now: Option<Time>) -> Result<Time, Error> {
        let now = now.ok_or_else(|| {
            let message = "the database has no clock to tell times by";
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint("name a position instead")
        })?;
        match self {
            Self::Position(position) => unreachable!("{position} is no time"),
            Self::Time(time) if time > now => {
                let message = format!("{} is in the future: it is {}", Shown(time), Shown(now));
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
            }
            Self::Time(time) => Ok(time),
            Self::Ago(ago) => Ok(now.saturating_sub(ago)),
        }
    }
}

/// Seconds, or another unit that follows the number.
fn interval(text: &str) -> Option<u64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic() || c == ' ').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    let factor = match unit {
        "ms" => 1,
        "" | "s" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = digits(whole)?.checked_mul(factor)?;
    let thousandths = fraction_in_thousandths(fraction)?;
    whole.checked_add(thousandths * factor / 1_000)
}

/// A date, and perhaps a time of the day and its offset from UTC.
fn timestamp(text: &str) -> Option<Time> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let mut date = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], &time[at..]),
        None => (time, "Z"),
    };
    let offset_minutes = match offset.split_at(1) {
        ("Z", "") => 0,
        ("Z", _) => return None,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "0"));
            let (hours, minutes) = (digits(hours)?, digits(minutes)?);
            if hours > 15 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) as i64 * if sign == "-" { -1 } else { 1 }
        }
    };
    let mut time = time.trim().splitn(3, ':');
    let (hour, minute) = (digits(time.next()?)?, digits(time.next()?)?);
    let (second, fraction) = time.next().map_or(("0", "0"), |second| second.split_once('.').unwrap_or((second, "0")));
    let (second, fraction) = (digits(second)?, fraction_in_thousandths(fraction)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let month = month as usize - 1;
    if !(1..=days[month]).contains(&day) {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let before = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let day = before + days[..month].iter().sum::<u64>() + day - 1;
    let minutes = (day * 24 + hour) * 60 + minute;
    let minutes = u64::try_from(minutes as i64 - offset_minutes).ok()?;
    Some((minutes * 60 + second) * 1_000 + fraction)
}

fn digits(text: &str) -> Option<u64> {
    // No sign, and no more than a time can have.
    let plain = !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// The digits after a point; what is beyond the third is cut off.
fn fraction_in_thousandths(text: &str) -> Option<u64> {
    digits(text)?;
    digits(&format!("{text:0<3}")[..3])
}

/// A time as people write it.
struct Shown(Time);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time) = self;
        let (days, milliseconds) = (time / 86_400_000, time % 86_400_000);
        // By eras of 400 years that begin with a March, after Howard Hinnant's "chrono-compatible low-level date algorithms".
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year + u64::from(month <= 2);
        let (seconds, thousandths) = (milliseconds / 1_000, milliseconds % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{thousandths:03}")
    }
}

#[cfg(test)]
mod tests {
    use super::{AsOf, Shown, interval, timestamp};

    #[test]
    fn times_are_read() {
        assert_eq!(timestamp("1970-01-01"), Some(0));
        assert_eq!(timestamp("1970-01-01 00:00:01.5"), Some(1_500));
        assert_eq!(timestamp("2024-02-29T23:59:59.999Z"), Some(1_709_251_199_999));
        assert_eq!(timestamp("2024-03-01 01:59:59.9999+02:00"), Some(1_709_251_199_999));
        assert_eq!(timestamp("2000-03-01 00:00"), Some(951_868_800_000));
        for wrong in [
            "",
            "now",
            "2024",
            "2024-02-30",
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "1969-12-31",
            "2024-01-01 24:00",
            "2024-01-01 00:60",
            "2024-01-01 00:00:60",
            "2024-01-01 00:00:00.",
            "2024-01-01 0",
            "+1-01-01",
            "2024-01-01 00:00Zulu",
            "1970-01-01 00:00+01:00",
            "2024-01-01 00:00+99",
            "99999999999999999999-01-01",
            "2024-01-01 00:00:00.\u{e9}",
        ] {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn intervals_are_read() {
        assert_eq!(interval("10"), Some(10_000));
        assert_eq!(interval("1.5s"), Some(1_500));
        assert_eq!(interval("2 min"), Some(120_000));
        assert_eq!(interval("1.5h"), Some(5_400_000));
        for wrong in ["", "s", "-1s", "1 week", "1.s", "99999999999999999"] {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn any_text_is_a_time_or_an_error() {
        bolero::check!().with_type::<String>().for_each(|text| drop(AsOf::parse(text)));
    }

    #[test]
    fn times_are_shown_as_they_are_read() {
        bolero::check!().with_type::<u64>().for_each(|time| {
            let time = time % 253_402_300_800_000;
            assert_eq!(timestamp(&Shown(time).to_string()), Some(time));
        });
    }
}

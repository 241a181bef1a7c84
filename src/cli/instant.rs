//! Times as people write them: RFC 3339, as in `2026-11-21T13:30:00Z`.

use std::fmt::Write as _;

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 of a time as in `2026-11-21T13:30:00.5+01:00`. The zone is a must: a time
/// without one means another moment on every machine.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    parsed(text).ok_or_else(|| {
        format!(
            "'{text}' is no time: write it as 2026-11-21T13:30:00Z, or with a zone's offset as \
             2026-11-21T14:30:00+01:00"
        )
    })
}

fn parsed(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let (millis, zone) = fraction(rest)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let is_time = hour < 24 && minute < 60 && second <= 60;
    if !is_time || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    let at = days_before(year, month, day) * DAY_MS + seconds * 1000 + millis - offset_ms(zone)?;
    u64::try_from(at).ok()
}

/// Three numbers of so many digits each, with this between them.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The milliseconds of a fraction of a second, if there is one, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(digits) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?;
    let millis: String = digits.chars().chain("00".chars()).take(3).collect();
    Some((millis.parse().ok()?, rest))
}

/// How far a zone is ahead of UTC.
fn offset_ms(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let (sign, hours) = match zone.split_at_checked(1)? {
        ("+", hours) => (1, hours),
        ("-", hours) => (-1, hours),
        _ => return None,
    };
    let [hours, minutes, _] = numbers(&format!("{hours}:00"), ':', [2, 2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to this one.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    years + months + day - 1
}

/// A time in milliseconds since 1970, in UTC.
pub(super) fn format(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let (mut days, rest) = (ms / DAY_MS, ms % DAY_MS);
    // Never too late, and at most a few years too early.
    let mut year = 1970 + days / 366;
    days -= days_before(year, 1, 1);
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    let (seconds, millis) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    let _ = write!(
        text,
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z",
        days + 1
    );
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_they_are_meant() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse("2000-02-29T12:34:56.789Z"), Ok(951_827_696_789));
        assert_eq!(parse("2026-11-21T14:30:00+01:00"), parse("2026-11-21T13:30:00Z"));
        assert_eq!(parse("2026-11-21 08:00:00.5-05:30"), parse("2026-11-21T13:30:00.500Z"));
        assert_eq!(parse("2027-01-15T08:00:00Z"), Ok(1_800_000_000_000));
        for wrong in [
            "",
            "now",
            "2026-11-21",
            "2026-11-21T13:30:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T13:30Z",
            "2026-11-21T13:30:00.Z",
            "2026-11-21T13:30:00+1",
            "1969-12-31T23:59:59Z",
            "2026-11-21T13:30:00é",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ms in 0..8_000_000_000_000_u64) {
            prop_assert_eq!(parse(&format(ms)), Ok(ms));
        }

        #[test]
        fn nothing_panics(text: String, ms: u64) {
            let _ = parse(&text);
            let _ = format(ms);
        }
    }
}

//! How numbers are written beside an axis and in headlines.

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Unit {
    /// Nothing but a number.
    Number,
    /// A number of things that have no parts.
    Whole,
    /// Microseconds, written in the unit that suits.
    Micros,
    Seconds,
    Bytes,
    /// A part of all, from 0 to 1, written in percent.
    Quantile,
}

impl Unit {
    /// The number in this unit, short: three digits at most where it isn't a quantile.
    pub(in super::super) fn write(self, number: f64) -> String {
        match self {
            Self::Number => short(number, ["", " k", " M", " G"]),
            Self::Whole => grouped(number),
            Self::Micros => short(number, [" µs", " ms", " s", " ks"]),
            Self::Bytes => short(number, [" B", " kB", " MB", " GB"]),
            Self::Seconds => format!("{} s", trimmed(number, 1)),
            // Nine digits are exact for every percentile that a histogram tells apart.
            Self::Quantile => format!("{}%", trimmed(number * 100.0, 7)),
        }
    }
}

/// Three digits and the prefix that suits.
fn short(number: f64, suffixes: [&str; 4]) -> String {
    let (mut rest, mut which) = (number, 0);
    // What would be rounded to 1,000 is one of the next.
    while rest.abs() >= 999.5 && which + 1 < suffixes.len() {
        rest /= 1_000.0;
        which += 1;
    }
    let places = match rest.abs() {
        rest if rest >= 99.95 => 0,
        rest if rest >= 9.995 => 1,
        rest if rest >= 0.995 => 2,
        // Below one, as many as three digits that aren't nought at the beginning take.
        rest => 2 - (rest.log10().floor() as i32).max(-7),
    };
    let places = usize::try_from(places).unwrap_or_default();
    format!("{}{}", trimmed(rest, places), suffixes[which])
}

/// The number with at most that many places, without zeros at its end.
fn trimmed(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number with commas between its thousands.
pub(in super::super) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_their_unit() {
        for (unit, number, text) in [
            (Unit::Number, 0.0, "0"),
            (Unit::Number, 0.5, "0.5"),
            (Unit::Number, 0.005, "0.005"),
            (Unit::Number, 0.012_34, "0.0123"),
            (Unit::Number, 1_234.0, "1.23 k"),
            (Unit::Number, 999_700.0, "1 M"),
            (Unit::Number, 150_000.0, "150 k"),
            (Unit::Whole, 1_200.0, "1,200"),
            (Unit::Micros, 87.0, "87 µs"),
            (Unit::Micros, 1_500.0, "1.5 ms"),
            (Unit::Micros, 2_000_000.0, "2 s"),
            (Unit::Micros, 0.0, "0 µs"),
            (Unit::Bytes, 100_000.0, "100 kB"),
            (Unit::Seconds, 30.0, "30 s"),
            (Unit::Quantile, 0.9999, "99.99%"),
            (Unit::Quantile, 0.999_999, "99.9999%"),
            (Unit::Quantile, 0.0, "0%"),
        ] {
            assert_eq!(unit.write(number), text);
        }
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(grouped(-1_000.0), "-1,000");
    }
}

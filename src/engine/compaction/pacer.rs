//! How fast compactions write.
//!
//! A compaction takes the disk and a processor from those who read and commit. So it is held to a
//! rate as long as nothing presses: it works through what is due evenly instead of in bursts. The
//! more tables wait in level 0, the higher the rate; and before commits would be slowed down because
//! of them, it is not held back at all.

/// A bucket that fills at a rate; who writes takes out of it, and waits when it is empty.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    /// Bytes a second, without pressure.
    rate: u64,
    /// Bytes that may be written at once; negative if more was written than had come in.
    tokens: i64,
    filled_micros: u64,
}

/// How urgent the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressure {
    /// Not at all: the plain rate.
    None,
    /// In thousandths of the way to where nothing is held back.
    Some(u64),
    /// Nothing is held back.
    Full,
}

impl Pressure {
    /// With so many tables in level 0, of which `trigger` are compacted, and `slow` of which slow
    /// commits down.
    pub(super) fn of(level0: usize, trigger: usize, slow: usize) -> Self {
        if level0 >= slow {
            return Self::Full;
        }
        match (level0.saturating_sub(trigger), slow.saturating_sub(trigger)) {
            (0, _) | (_, 0) => Self::None,
            (above, most) => Self::Some(above as u64 * 1000 / most as u64),
        }
    }
}

impl Pacer {
    /// A full bucket that fills at so many bytes a second; at zero, nothing is ever held back.
    pub(super) fn new(rate: u64) -> Self {
        Self { rate, tokens: 0, filled_micros: 0 }
    }

    /// Takes the bytes that were written; for how many microseconds to wait before the next.
    pub(super) fn take(&mut self, bytes: u64, now_micros: u64, pressure: Pressure) -> u64 {
        let rate = match pressure {
            _ if self.rate == 0 => return 0,
            Pressure::Full => {
                self.tokens = 0;
                self.filled_micros = now_micros;
                return 0;
            }
            Pressure::None => self.rate,
            // Up to ten times as fast.
            Pressure::Some(thousandths) => {
                self.rate.saturating_add(self.rate.saturating_mul(9 * thousandths) / 1000)
            }
        };
        let micros = now_micros.saturating_sub(self.filled_micros);
        self.filled_micros = now_micros;
        let came = u128::from(rate) * u128::from(micros) / 1_000_000;
        // What a tenth of a second brings can be saved up.
        let most = i64::try_from(rate / 10).unwrap_or(i64::MAX);
        let came = i64::try_from(came).unwrap_or(i64::MAX);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(came).min(most).saturating_sub(bytes);
        if self.tokens >= 0 {
            return 0;
        }
        let micros = u128::from(self.tokens.unsigned_abs()) * 1_000_000 / u128::from(rate);
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 1_000_000;

    /// How long it takes to write so much in pieces, in microseconds.
    fn micros_to_write(bytes: u64, pressure: Pressure) -> u64 {
        let mut pacer = Pacer::new(RATE);
        let mut now = 0;
        for _ in 0..bytes / 1000 {
            now += pacer.take(1000, now, pressure);
        }
        now
    }

    #[test]
    fn writing_takes_as_long_as_the_rate_says() {
        let second = micros_to_write(RATE, Pressure::None);
        assert!((990_000..=1_010_000).contains(&second), "{second}");
        let pressed = micros_to_write(RATE, Pressure::Some(500));
        assert!((150_000..=200_000).contains(&pressed), "{pressed}");
        assert_eq!(micros_to_write(RATE, Pressure::Full), 0);
        assert_eq!(Pacer::new(0).take(u64::MAX, 0, Pressure::None), 0);
    }

    #[test]
    fn what_was_not_written_is_saved_up_but_not_for_long() {
        let mut pacer = Pacer::new(RATE);
        assert_eq!(pacer.take(0, 3_600_000_000, Pressure::None), 0);
        assert_eq!(pacer.take(RATE / 10, 3_600_000_000, Pressure::None), 0);
        assert_eq!(pacer.take(RATE / 10, 3_600_000_000, Pressure::None), 100_000);
    }

    #[test]
    fn pressure_rises_from_the_trigger_to_where_commits_would_be_slowed() {
        let of = |level0| Pressure::of(level0, 4, 8);
        assert_eq!([of(0), of(4), of(5)], [Pressure::None, Pressure::None, Pressure::Some(250)]);
        assert_eq!([of(7), of(8), of(50)], [Pressure::Some(750), Pressure::Full, Pressure::Full]);
        assert_eq!(Pressure::of(4, 4, 4), Pressure::Full);
    }
}

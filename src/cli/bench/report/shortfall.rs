//! A rate that was asked for and not reached.

use std::fmt::Write as _;

use crate::cli::{
    bench::{measurement::Measurement, svg::grouped},
    progress::float,
};

/// How much of the generator's threads it uses when it is what is too slow.
const BUSY: f64 = 0.85;

/// That the rate was not reached, and what to do about it; nothing if it was.
pub(crate) fn shortfall(run: &Measurement) -> Option<String> {
    let rate = run.settings.rate.filter(|_| !run.is_rate_reached())?;
    let mut text = format!(
        "{} a second were asked for and {} reached",
        grouped(rate),
        grouped(run.ops_per_second)
    );
    if run.unsent > 0 {
        let _ = write!(text, ", {} were due and never begun", grouped(float(run.unsent)));
    }
    let is_busy = run.client_cpu_seconds > BUSY * run.seconds * f64::from(run.settings.threads);
    text.push_str(if is_busy {
        ". The generator had no more time: give it more --threads, if there are processors for them"
    } else {
        ". The target answers too late for it, or --connections and --pipeline are too few, or the \
         machine has other work"
    });
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::report::sample::measurement;

    #[test]
    fn a_rate_that_was_not_reached_is_told_and_whose_fault_it_is() {
        let mut run = measurement();
        assert_eq!(shortfall(&run), None, "none was asked for");
        // 30,001 in two and a half seconds.
        run.settings.rate = Some(12_000.0);
        assert_eq!(shortfall(&run), None);
        run.settings.rate = Some(12_500.0);
        run.unsent = 1_249;
        let told = shortfall(&run).unwrap();
        assert!(told.contains("12,500 a second were asked for and 12,345 reached"), "{told}");
        assert!(told.contains("1,249 were due") && told.contains("target answers"), "{told}");
        run.client_cpu_seconds = 2.4;
        let told = shortfall(&run).unwrap();
        assert!(told.contains("--threads"), "{told}");
    }
}

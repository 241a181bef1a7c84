//! The latencies as a percentile distribution in the text format of `HdrHistogram` itself (`.hgrm`),
//! which its plotter reads, and everything that came after it.
//!
//! ```text
//!        Value     Percentile TotalCount 1/(1-Percentile)
//!
//!        0.041 0.000000000000          3           1.00
//!        0.087 0.500000000000     519021           2.00
//!        ...
//!        8.127 1.000000000000    1034177
//! #[Mean    =        0.093, StdDeviation   =        0.041]
//! #[Max     =        8.127, Total count    =      1034177]
//! #[Buckets =           20, SubBuckets     =         2048]
//! ```
//!
//! Values are milliseconds, as the plotter takes them unless told otherwise.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::cli::progress::float;

/// Percentiles on each halving of what is left to 100%, as other writers of the format have it.
const TICKS_PER_HALF: u32 = 5;

/// The file's text.
pub(crate) fn text(latencies_us: &Histogram<u64>) -> String {
    let ms = |us: u64| float(us) / 1_000.0;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for step in latencies_us.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = ms(step.value_iterated_to().min(latencies_us.max()));
        let _ = write!(text, "{value:12.3} {quantile:.12} {count:10}");
        let left = 1.0 - quantile;
        if left > 0.0 {
            let _ = write!(text, " {:14.2}", 1.0 / left);
        }
        text.push('\n');
    }
    // A bucket has room for twice the precision of three digits, rounded up to a power of two.
    let sub_buckets = (2 * 10_u64.pow(latencies_us.sigfig().into())).next_power_of_two();
    let _ = writeln!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n\
         #[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]",
        latencies_us.mean() / 1_000.0,
        latencies_us.stdev() / 1_000.0,
        ms(latencies_us.max()),
        latencies_us.len(),
        latencies_us.buckets(),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::measurement::histogram;

    /// What a plotter takes of it: the columns of each line that has any.
    fn rows(text: &str) -> Vec<Vec<f64>> {
        text.lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|column| column.parse().unwrap()).collect())
            .collect()
    }

    #[test]
    fn the_distribution_reads_as_a_plotter_reads_it() {
        let mut latencies = histogram();
        for us in 1..=100_000 {
            latencies.saturating_record(us);
        }
        let text = text(&latencies);
        let rows = rows(&text);
        assert!(rows.len() > 50, "{text}");
        for pair in rows.windows(2) {
            assert!(pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1], "{pair:?}");
            assert!(pair[0][2] <= pair[1][2], "{pair:?}");
        }
        let median = rows.iter().find(|row| (row[1] - 0.5).abs() < 1e-12).unwrap();
        assert!((median[0] - 50.0).abs() < 0.1 && (median[3] - 2.0).abs() < 1e-9, "{median:?}");
        let last = rows.last().unwrap();
        assert_eq!(last[1..], [1.0, 100_000.0], "{text}");
        assert!((last[0] - 100.0).abs() < 0.1, "{text}");
        assert!(text.contains("Total count    =       100000]"), "{text}");
        assert!(text.contains("SubBuckets     =         2048]"), "{text}");
    }

    #[test]
    fn nothing_measured_is_a_distribution_too() {
        let text = text(&histogram());
        assert!(
            rows(&text).is_empty() && text.contains("Total count    =            0]"),
            "{text}"
        );
    }
}

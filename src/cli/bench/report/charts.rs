//! The plots of measurements: how latencies are distributed, and how a run went over time.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::cli::{
    bench::{
        measurement::{Measurement, Second},
        svg::{Axis, Chart, Scale, Series, Unit, grouped},
    },
    progress::float,
};

/// Steps of a distribution's line on each halving of what is left to 100%.
const TICKS_PER_HALF: u32 = 8;

/// How far a distribution's axis goes at least and at most: to 99.99% and to 99.99999%.
const NINES: [f64; 2] = [4.0, 7.0];

/// The most points of a line over time; longer runs are told in longer pieces than seconds.
const POINTS_MAX: usize = 600;

/// A last piece of a second that is shorter than this tells nothing.
const PIECE_SECONDS_MIN: f64 = 0.2;

/// How latencies are distributed, for each name.
pub(crate) fn distribution(histograms: &[(&str, &Histogram<u64>)]) -> Chart {
    let most = histograms.iter().map(|(_, histogram)| histogram.len()).max().unwrap_or(0);
    let nines = float(most.max(1)).log10().clamp(NINES[0], NINES[1]);
    let series: Vec<_> = histograms
        .iter()
        .enumerate()
        .map(|(tone, (name, histogram))| Series {
            name: (*name).to_owned(),
            points: quantiles(histogram, nines),
            tone,
            is_filled: false,
        })
        .collect();
    let scale = Scale::Quantile { nines };
    let hints = match histograms {
        [(_, histogram)] if !histogram.is_empty() => scale
            .ticks()
            .into_iter()
            .skip(1)
            .map(|tick| {
                let us = histogram.value_at_quantile(tick).min(histogram.max());
                let (part, latency) = (Unit::Quantile.write(tick), Unit::Micros.write(float(us)));
                (tick, format!("{part} took at most {latency}"))
            })
            .collect(),
        _ => Vec::new(),
    };
    Chart {
        title: "Latency by percentile".into(),
        description: "How long operations took, by the part of them that took no longer".into(),
        x: Axis { label: "part of all operations".into(), unit: Unit::Quantile, scale },
        y: Axis {
            label: "latency".into(),
            unit: Unit::Micros,
            scale: Scale::log(series.iter().flat_map(|line| &line.points).map(|(_, us)| *us)),
        },
        series,
        hints,
    }
}

/// The points of a distribution. The slowest operation lies where there is one in so many.
fn quantiles(histogram: &Histogram<u64>, nines: f64) -> Vec<(f64, f64)> {
    let last = 1.0 - 10_f64.powf(-float(histogram.len().max(1)).log10().min(nines));
    // The first step is the fastest operation of all: luck, which would take half of the plot.
    let steps = histogram.iter_quantiles(TICKS_PER_HALF);
    steps
        .skip(usize::from(histogram.min() < histogram.max()))
        .map(|step| {
            let us = step.value_iterated_to().min(histogram.max());
            (step.quantile_iterated_to().min(last), float(us))
        })
        .collect()
}

/// A piece of a run: one second, or some if the run is long.
#[derive(Clone, Copy, Debug)]
struct Piece {
    begin: f64,
    end: f64,
    operations: u64,
    errors: u64,
    p50: u64,
    p99: u64,
    max: u64,
}

impl Piece {
    fn middle(&self) -> f64 {
        f64::midpoint(self.begin, self.end)
    }

    fn rate(&self) -> f64 {
        float(self.operations) / (self.end - self.begin).max(f64::MIN_POSITIVE)
    }

    /// A latency of what completed; nothing if nothing did.
    fn latency(&self, us: u64) -> f64 {
        if self.operations == 0 { f64::NAN } else { float(us) }
    }

    fn hint(&self) -> String {
        let rate = grouped(self.rate());
        let [p50, p99, max] =
            [self.p50, self.p99, self.max].map(|us| Unit::Micros.write(float(us)));
        let mut hint =
            format!("{:.0} s: {rate} a second, p50 {p50}, p99 {p99}, max {max}", self.end);
        if self.errors > 0 {
            let _ = write!(hint, ", {} errors", self.errors);
        }
        hint
    }
}

/// The run in pieces. Of several seconds in one the worst percentiles are told.
fn pieces(series: &[Second]) -> Vec<Piece> {
    let stride = series.len().div_ceil(POINTS_MAX).max(1);
    let mut begin = 0.0;
    let mut pieces = Vec::new();
    for seconds in series.chunks(stride) {
        let end = seconds.last().map_or(begin, |second| second.at);
        let most = |of: fn(&Second) -> u64| seconds.iter().map(of).max().unwrap_or_default();
        let piece = Piece {
            begin,
            end,
            operations: seconds.iter().map(|second| second.operations).sum(),
            errors: seconds.iter().map(|second| second.errors).sum(),
            p50: most(|second| second.p50),
            p99: most(|second| second.p99),
            max: most(|second| second.max),
        };
        if end - begin >= PIECE_SECONDS_MIN {
            pieces.push(piece);
        }
        begin = end;
    }
    pieces
}

/// The axis of time of a run.
fn time(run: &Measurement) -> Axis {
    let scale = Scale::Linear { begin: 0.0, end: run.seconds.max(PIECE_SECONDS_MIN) };
    Axis { label: "time since measuring began".into(), unit: Unit::Seconds, scale }
}

/// How many operations a second completed as time went by.
pub(crate) fn throughput(run: &Measurement) -> Chart {
    let pieces = pieces(&run.series);
    let points: Vec<_> = pieces.iter().map(|piece| (piece.middle(), piece.rate())).collect();
    Chart {
        title: "Throughput over time".into(),
        description: "How many operations completed in each second of the run".into(),
        x: time(run),
        y: Axis {
            label: "operations a second".into(),
            unit: Unit::Number,
            scale: Scale::from_zero(points.iter().map(|(_, rate)| *rate)),
        },
        series: vec![Series { name: String::new(), points, tone: 0, is_filled: true }],
        hints: pieces.iter().map(|piece| (piece.middle(), piece.hint())).collect(),
    }
}

/// What latencies were as time went by.
pub(crate) fn latency(run: &Measurement) -> Chart {
    let pieces = pieces(&run.series);
    let line = |name: &str, tone, of: fn(&Piece) -> u64| Series {
        name: name.to_owned(),
        points: pieces.iter().map(|piece| (piece.middle(), piece.latency(of(piece)))).collect(),
        tone,
        is_filled: false,
    };
    let series = vec![
        line("p50", 0, |piece| piece.p50),
        line("p99", 2, |piece| piece.p99),
        line("max", 5, |piece| piece.max),
    ];
    Chart {
        title: "Latency over time".into(),
        description: "The median, the 99th percentile and the slowest of each second".into(),
        x: time(run),
        y: Axis {
            label: "latency".into(),
            unit: Unit::Micros,
            scale: Scale::log(series.iter().flat_map(|line| &line.points).map(|(_, us)| *us)),
        },
        series,
        hints: pieces.iter().map(|piece| (piece.middle(), piece.hint())).collect(),
    }
}

//! A comparison as a table, as JSON and as a page.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::comparison::{Measure, QUANTITIES, Quantity, Ratio, Round};
use crate::cli::bench::{
    measurement::{Measurement, histogram},
    report::{charts, page::Page, shortfall},
    svg::{Axis, Chart, Scale, Series, Unit, grouped},
};

fn number(measure: Measure, number: f64) -> String {
    match measure {
        Measure::Operations => grouped(number),
        Measure::Micros => Unit::Micros.write(number),
    }
}

/// The cells of all that is known: its name, a's, b's, their ratio and its spread.
fn rows(rounds: &[Round]) -> Vec<[String; 5]> {
    let known = |quantity: &'static Quantity| Some((quantity, quantity.ratio(rounds)?));
    let rows = QUANTITIES.iter().filter_map(known).map(|(quantity, ratio)| {
        let Ratio { a, b, a_to_b, least, most } = ratio;
        [
            quantity.name.to_owned(),
            number(quantity.unit, a),
            number(quantity.unit, b),
            format!("{a_to_b:.2}"),
            format!("{least:.2} to {most:.2}"),
        ]
    });
    rows.collect()
}

/// What stands over the cells of a row.
const HEADS: [&str; 5] = ["median", "a", "b", "a/b", "of each round"];

/// The table for people.
pub(super) fn table(rounds: &[Round]) -> String {
    let mut text = String::new();
    if let Some(Round { a, b }) = rounds.first() {
        for (letter, run) in [('a', a), ('b', b)] {
            let _ = writeln!(text, "{letter}: {}, {}", run.target, run.server);
        }
        let _ = writeln!(text, "{}\n", setting(a, rounds.len()));
    }
    let mut line = |cells: [&str; 5]| {
        let [name, a, b, ratio, spread] = cells;
        let _ = writeln!(text, "{name:<24} {a:>11} {b:>11} {ratio:>7}   {spread}");
    };
    line(HEADS);
    for cells in rows(rounds) {
        line(cells.each_ref().map(String::as_str));
    }
    for told in shortfalls(rounds) {
        let _ = writeln!(text, "\n{told}");
    }
    text
}

/// Whose rounds didn't reach the rate that was asked for.
fn shortfalls(rounds: &[Round]) -> impl Iterator<Item = String> {
    ['a', 'b'].into_iter().filter_map(|letter| {
        let runs = rounds.iter().map(|round| if letter == 'a' { &round.a } else { &round.b });
        let short: Vec<_> = runs.filter_map(shortfall).collect();
        let (count, all) = (short.len(), rounds.len());
        let first = short.first()?;
        Some(format!("{letter} didn't reach the rate in {count} of {all} rounds. First: {first}."))
    })
}

/// What was measured, in a line.
fn setting(run: &Measurement, rounds: usize) -> String {
    let settings = &run.settings;
    let rate = settings.rate.map_or_else(String::new, |rate| format!(", {rate} a second"));
    format!(
        "{}: {} connections, {} deep, {} keys {}, values of {} bytes{rate}, {rounds} rounds of \
         {} s each",
        run.workload,
        grouped(settings.connections.into()),
        settings.pipeline,
        settings.keys,
        settings.distribution,
        settings.value_size,
        settings.seconds_wanted,
    )
}

/// The object that `--json` prints.
pub(super) fn json(rounds: &[Round]) -> Value {
    let ratios: Map<String, Value> = QUANTITIES
        .iter()
        .filter_map(|quantity| Some((quantity.field.to_owned(), json!(quantity.ratio(rounds)?))))
        .collect();
    let target = |of: fn(&Round) -> &Measurement| {
        rounds.first().map(of).map(|run| json!({"target": run.target, "server": run.server}))
    };
    json!({
        "workload": rounds.first().map(|round| &round.a.workload),
        "a": target(|round| &round.a),
        "b": target(|round| &round.b),
        "a_to_b": ratios,
        "rounds": rounds,
    })
}

/// The page of `--report`.
pub(super) fn page(rounds: &[Round]) -> String {
    let Some(first) = rounds.first() else { return Page::new("Nothing compared", "").finish() };
    let (a, b) = (&first.a, &first.b);
    let title = format!("{}: {} against {}", a.workload, a.target, b.target);
    let about = format!(
        "{}, in turn, from {} on. a is {} at {}, b is {} at {}.",
        setting(a, rounds.len()),
        a.began_at,
        a.server,
        a.target,
        b.server,
        b.target
    );
    let mut page = Page::new(&title, &about);
    page.tiles(&tiles(rounds));
    for run in rounds.iter().flat_map(|round| [&round.a, &round.b]) {
        if let Some(error) = &run.first_error {
            page.trouble(&format!("{} operations on {} failed: {error}", run.errors, run.target));
        }
    }
    for told in shortfalls(rounds) {
        page.trouble(&told);
    }
    page.heading("Medians and ratios");
    let rows: Vec<_> = rows(rounds).iter().map(|cells| cells.to_vec()).collect();
    page.table(&HEADS, &rows);
    let all_a = sum(rounds.iter().map(|round| &round.a));
    let all_b = sum(rounds.iter().map(|round| &round.b));
    page.figure(&charts::distribution(&[("a", &all_a), ("b", &all_b)]));
    if rounds.len() > 1 {
        page.figure(&chart(rounds));
    }
    page.finish()
}

fn tiles(rounds: &[Round]) -> Vec<(String, String)> {
    QUANTITIES
        .iter()
        .filter(|quantity| !matches!(quantity.field, "latency_us_p999" | "latency_us_max"))
        .filter_map(|quantity| {
            let ratio = quantity.ratio(rounds)?;
            Some((format!("{:.2} ×", ratio.a_to_b), format!("{}, a to b", quantity.name)))
        })
        .collect()
}

/// The latencies of all rounds.
fn sum<'a>(runs: impl Iterator<Item = &'a Measurement>) -> Histogram<u64> {
    let mut all = histogram();
    for latencies in runs.filter_map(|run| run.histogram.as_ref()) {
        all.add(latencies).expect("all histograms of measurements have the same bounds");
    }
    all
}

/// Throughput, round by round.
fn chart(rounds: &[Round]) -> Chart {
    let line = |name: &str, tone, of: fn(&Round) -> &Measurement| Series {
        name: name.to_owned(),
        points: (1_u32..)
            .zip(rounds)
            .map(|(number, round)| (f64::from(number), of(round).ops_per_second))
            .collect(),
        tone,
        is_filled: false,
    };
    let series = vec![line("a", 0, |round| &round.a), line("b", 1, |round| &round.b)];
    let rates = series.iter().flat_map(|line| &line.points).map(|(_, rate)| *rate);
    let last = u32::try_from(rounds.len()).unwrap_or(u32::MAX);
    Chart {
        title: "Throughput of each round".into(),
        description: "How many operations a second either target did, round by round".into(),
        x: Axis {
            label: "round".into(),
            unit: Unit::Whole,
            scale: Scale::Linear { begin: 1.0, end: f64::from(last) },
        },
        y: Axis {
            label: "operations a second".into(),
            unit: Unit::Number,
            scale: Scale::from_zero(rates),
        },
        series,
        hints: Vec::new(),
    }
}

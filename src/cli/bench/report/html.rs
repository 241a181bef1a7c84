//! `--report`: a run as one page.

use serde_json::Value;

use super::{charts, page::Page, shortfall};
use crate::cli::{
    bench::{
        measurement::Measurement,
        svg::{Unit, grouped},
    },
    progress::float,
};

/// The page of a run.
pub(crate) fn page(run: &Measurement) -> String {
    let mut page = Page::new(&format!("{} on {}", run.workload, run.target), &about(run));
    page.tiles(&tiles(run));
    troubles(run, &mut page);
    if let Some(histogram) = run.histogram.as_ref().filter(|histogram| !histogram.is_empty()) {
        page.figure(&charts::distribution(&[("", histogram)]));
    } else {
        page.heading("Latency by percentile");
    }
    percentiles(run, &mut page);
    if run.series.len() > 1 {
        page.figure(&charts::throughput(run));
        page.figure(&charts::latency(run));
        seconds(run, &mut page);
    }
    page.heading("Cost");
    page.table(&["", "CPU seconds", "an operation", "processors busy"], &cost(run));
    page.heading("Configuration");
    page.table(&[], &configuration(run));
    page.finish()
}

/// How it was measured, in a sentence or two.
fn about(run: &Measurement) -> String {
    let settings = &run.settings;
    let server = if run.server.is_empty() { "The server" } else { &run.server };
    let load = match settings.rate {
        Some(rate) => format!(
            "asked for {} operations a second; latencies count from when an operation should \
             have begun",
            grouped(rate)
        ),
        None => "each operation begun when another had ended".to_owned(),
    };
    format!(
        "{server}, {} connections with {} in flight on each, {load}. Measured for {:.1} s, from {} on.",
        grouped(settings.connections.into()),
        settings.pipeline,
        run.seconds,
        run.began_at,
    )
}

fn tiles(run: &Measurement) -> Vec<(String, String)> {
    let latency = |us: u64| Unit::Micros.write(float(us));
    let mut tiles = vec![
        (grouped(run.ops_per_second), "operations a second".to_owned()),
        (latency(run.latency_us.p50), "p50 latency".to_owned()),
        (latency(run.latency_us.p99), "p99 latency".to_owned()),
        (latency(run.latency_us.p999), "p99.9 latency".to_owned()),
        (latency(run.latency_us.max), "slowest".to_owned()),
    ];
    if run.conflicts > 0 {
        tiles.push((grouped(float(run.conflicts)), "conflicts".to_owned()));
    }
    tiles
}

fn troubles(run: &Measurement, page: &mut Page) {
    if run.errors > 0 {
        let first = run.first_error.as_deref().unwrap_or("nothing");
        let errors = grouped(float(run.errors));
        page.trouble(&format!("{errors} operations failed. The first said: {first}"));
    }
    if let Some(text) = shortfall(run) {
        page.trouble(&format!("The rate was not reached: {text}."));
    }
    if run.misses > 0 {
        let misses = grouped(float(run.misses));
        page.trouble(&format!(
            "{misses} reads found no key: fill the database first, with --load."
        ));
    }
}

fn percentiles(run: &Measurement, page: &mut Page) {
    let names = ["p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"];
    let mut heads = vec!["mean"];
    heads.extend(names);
    let mut row = vec![Unit::Micros.write(run.latency_us.mean)];
    row.extend(run.latency_us.by_name().iter().map(|(_, us)| Unit::Micros.write(float(*us))));
    page.table(&heads, &[row]);
}

fn seconds(run: &Measurement, page: &mut Page) {
    let latency = |us: u64| Unit::Micros.write(float(us));
    let rows: Vec<_> = run
        .series
        .iter()
        .map(|second| {
            vec![
                format!("{:.1} s", second.at),
                grouped(float(second.operations)),
                grouped(float(second.errors)),
                latency(second.p50),
                latency(second.p99),
                latency(second.max),
            ]
        })
        .collect();
    let heads = ["until", "operations", "errors", "p50", "p99", "max"];
    page.folded_table("Second by second", &heads, &rows);
}

/// What client and server take of the processors.
fn cost(run: &Measurement) -> Vec<Vec<String>> {
    let row = |name: &str, seconds: f64| {
        vec![
            name.to_owned(),
            format!("{seconds:.2} s"),
            format!("{:.2} µs", run.cpu_us_per_operation(seconds)),
            format!("{:.2}", seconds / run.seconds.max(f64::MIN_POSITIVE)),
        ]
    };
    let mut rows = vec![row("client", run.client_cpu_seconds)];
    rows.extend(run.server_cpu_seconds.map(|seconds| row("server", seconds)));
    rows
}

/// Everything that was set, whatever there is to set.
fn configuration(run: &Measurement) -> Vec<Vec<String>> {
    let mut rows = vec![
        vec!["workload".to_owned(), run.workload.clone()],
        vec!["target".to_owned(), run.target.clone()],
        vec!["server".to_owned(), run.server.clone()],
    ];
    if let Ok(Value::Object(settings)) = serde_json::to_value(&run.settings) {
        for (name, value) in settings {
            let value = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            rows.push(vec![name.replace('_', " "), value]);
        }
    }
    if let Some(seconds) = run.load_seconds {
        rows.push(vec!["filled in".to_owned(), format!("{seconds:.1} s")]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::{
        measurement::{Latency, histogram},
        report::sample::measurement,
    };

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
        let mut run = measurement();
        let hostile = "</style></title><script src=\"https://elsewhere/x.js\">\0 & <img onerror=x>";
        for text in [&mut run.workload, &mut run.target, &mut run.server] {
            text.push_str(hostile);
        }
        run.settings.distribution = hostile.to_owned();
        run.errors = 3;
        run.first_error = Some(hostile.to_owned());
        let html = page(&run);
        // What is well-formed XML has no tag that we did not write.
        let document = roxmltree::Document::parse(html.trim_start_matches("<!DOCTYPE html>"))
            .unwrap_or_else(|error| panic!("{error}: {html}"));
        let mut tags = 0;
        for tag in document.descendants().filter(roxmltree::Node::is_element) {
            let name = tag.tag_name().name();
            assert!(!["script", "img", "link", "iframe", "image", "use"].contains(&name), "{html}");
            for attribute in tag.attributes() {
                let name = attribute.name();
                assert!(!name.starts_with("on") && !["src", "href"].contains(&name), "{name}");
            }
            tags += 1;
        }
        assert!(tags > 100, "{tags}");
        let sheets = [crate::cli::bench::svg::THEME, include_str!("page.css")];
        assert!(sheets.iter().all(|sheet| !sheet.contains("url(") && !sheet.contains("@import")));
        let shown = hostile.replace('\0', "\u{fffd}");
        let text: String = document.descendants().filter_map(|node| node.text()).collect();
        assert!(text.contains(&format!("The first said: {shown}")), "{text}");
    }

    #[test]
    fn the_page_says_what_was_measured() {
        let html = page(&measurement());
        for wanted in [
            "get on plinth://",
            "12,345",
            "from 2026-11-21T13:30:00.000Z on",
            "Latency by percentile",
            "99.99%",
            "client",
        ] {
            assert!(html.contains(wanted), "{wanted}: {html}");
        }
        assert_eq!(html.matches("<svg").count(), 3);
    }

    #[test]
    fn a_run_without_any_operation_has_a_page() {
        let mut run = measurement();
        (run.operations, run.ops_per_second, run.series) = (0, 0.0, Vec::new());
        run.histogram = Some(histogram());
        run.latency_us = Latency::default();
        let html = page(&run);
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }
}

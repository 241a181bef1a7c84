//! `plinth bench plot`: the results of several runs in one picture.
//!
//! It takes what `plinth bench --json` printed, looks up a field of each result for either axis and
//! draws a line for each workload and target, or whatever else tells the results apart. It knows
//! nothing of how they came to be: any JSON objects with numbers in them will do.

use std::{
    fs::File,
    io::{Read, Write as _, stdin, stdout},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    report,
    svg::{Axis, Chart, Scale, Series, TONES, Unit},
};
use crate::cli::{Exit, complain};

/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// From this ratio of the most to the least an axis is logarithmic.
const LOG_RATIO: f64 = 20.0;

/// Draw the results of several runs as one picture.
///
/// Takes files with what `plinth bench --json` printed, one result or many in each, and writes an SVG.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Files with results; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The field along the bottom, such as `connections`, `pipeline`, `value_size` or `keys`
    #[arg(long, value_name = "FIELD", default_value = "connections")]
    x: String,
    /// The field that is shown, such as `ops_per_second` or `latency_us.p99`; several may be given,
    /// and one to another, as in `conflicts/operations`
    #[arg(long, value_name = "FIELD", value_delimiter = ',', default_value = "ops_per_second")]
    y: Vec<String>,
    /// The fields by which results are told apart, a line for each
    #[arg(long, value_name = "FIELD", value_delimiter = ',', default_value = "workload,target")]
    by: Vec<String>,
    /// What stands above it
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Where the picture goes; standard output if nothing is said
    #[arg(long, value_name = "FILE.svg")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Exit {
    match picture(arguments).and_then(|svg| write(arguments.out.as_deref(), &svg)) {
        Ok(()) => Exit::Success,
        Err(reason) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

fn picture(arguments: &Arguments) -> Result<String, String> {
    let mut results = Vec::new();
    for path in &arguments.files {
        read(path, &mut results)?;
    }
    Ok(chart(arguments, &results)?.to_file())
}

/// Reads all results of a file.
fn read(path: &Path, results: &mut Vec<Value>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("can't read {}: {error}", path.display());
    let mut input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(stdin().lock())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut text = String::new();
    input.by_ref().take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display()));
    }
    for value in serde_json::Deserializer::from_str(&text).into_iter() {
        match value {
            Ok(Value::Array(values)) => results.extend(values),
            Ok(value) => results.push(value),
            Err(error) => {
                return Err(format!("{} is not what --json prints: {error}", path.display()));
            }
        }
    }
    Ok(())
}

/// The field of a result, by its name; parts of it after dots. Settings may be left out of the name.
fn field<'a>(result: &'a Value, name: &str) -> Option<&'a Value> {
    let below = |value: &'a Value| name.split('.').try_fold(value, |value, part| value.get(part));
    below(result).or_else(|| below(result.get("settings")?))
}

/// A number of a result: a field, or one to another with a slash between them.
fn number(result: &Value, name: &str) -> Option<f64> {
    let number = |name| field(result, name).and_then(Value::as_f64);
    match name.split_once('/') {
        Some((upper, lower)) => {
            let ratio = number(upper)? / number(lower)?;
            ratio.is_finite().then_some(ratio)
        }
        None => number(name),
    }
}

/// The fields that tell this result from others, as they are shown.
fn identity(result: &Value, by: &[String]) -> Vec<String> {
    by.iter()
        .map(|name| match field(result, name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        })
        .collect()
}

/// The results that belong together.
#[derive(Debug)]
struct Line {
    /// What tells them from others, part by part.
    name: Vec<String>,
    points: Vec<(f64, f64)>,
}

fn chart(arguments: &Arguments, results: &[Value]) -> Result<Chart, String> {
    let mut lines: Vec<Line> = Vec::new();
    for result in results {
        let number = |name: &str| number(result, name);
        let Some(x) = number(&arguments.x) else { continue };
        for y in &arguments.y {
            let Some(value) = number(y) else { continue };
            let mut name = identity(result, &arguments.by);
            name.push(label(y));
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push((x, value)),
                None => lines.push(Line { name, points: vec![(x, value)] }),
            }
        }
    }
    if lines.is_empty() {
        let wanted = arguments.y.join(" or ");
        return Err(format!(
            "none of the {} results has numbers called {} and {wanted}",
            results.len(),
            arguments.x
        ));
    }
    if lines.len() > TONES {
        return Err(format!(
            "{} lines are too many to tell apart; {TONES} are the most: \
             choose fewer results or another --by",
            lines.len()
        ));
    }
    for line in &mut lines {
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    Ok(draw(arguments, &lines))
}

fn draw(arguments: &Arguments, lines: &[Line]) -> Chart {
    // What is the same for all needn't be said at each.
    let varies = |at: usize| lines.iter().any(|line| line.name.get(at) != lines[0].name.get(at));
    let series = lines.iter().enumerate().map(|(tone, Line { name, points })| {
        let parts = name.iter().enumerate().filter(|(at, part)| varies(*at) && !part.is_empty());
        let name = parts.map(|(_, part)| part.as_str()).collect::<Vec<_>>().join(", ");
        Series { name, points: points.clone(), tone, is_filled: false }
    });
    let first_y = arguments.y.first().map_or("", String::as_str);
    let (x_label, y_label) = (label(&arguments.x), axis_label(&arguments.y));
    let points = || lines.iter().flat_map(|line| &line.points);
    Chart {
        title: arguments.title.clone().unwrap_or_else(|| format!("{y_label} by {x_label}")),
        description: format!("{y_label} by {x_label}, {} lines", lines.len()),
        x: Axis {
            unit: unit(&arguments.x),
            scale: tight(scale(points().map(|(x, _)| *x)), points().map(|(x, _)| *x)),
            label: x_label,
        },
        y: Axis { unit: unit(first_y), scale: scale(points().map(|(_, y)| *y)), label: y_label },
        series: series.collect(),
        hints: Vec::new(),
    }
}

/// Logarithmic where the numbers are far apart.
fn scale(numbers: impl Iterator<Item = f64> + Clone) -> Scale {
    let least = numbers.clone().fold(f64::INFINITY, f64::min);
    let most = numbers.clone().fold(0.0, f64::max);
    if least > 0.0 && most >= least * LOG_RATIO {
        Scale::log(numbers)
    } else {
        Scale::from_zero(numbers)
    }
}

/// Ends where the numbers do if it is logarithmic: what is along the bottom was chosen, and need not
/// end at round numbers.
fn tight(scale: Scale, numbers: impl Iterator<Item = f64> + Clone) -> Scale {
    let begin = numbers.clone().fold(f64::INFINITY, f64::min);
    let end = numbers.fold(0.0, f64::max);
    if matches!(scale, Scale::Log { .. }) { Scale::Log { begin, end } } else { scale }
}

fn unit(name: &str) -> Unit {
    match name {
        _ if name.starts_with("latency_us.") => Unit::Micros,
        "value_size" | "key_size" => Unit::Bytes,
        _ if name.ends_with("seconds") => Unit::Seconds,
        _ => Unit::Number,
    }
}

/// What all of these fields are.
fn axis_label(names: &[String]) -> String {
    match names {
        [name] => label(name),
        names if names.iter().all(|name| unit(name) == Unit::Micros) => "latency".into(),
        names => names.iter().map(|name| label(name)).collect::<Vec<_>>().join(", "),
    }
}

/// A field's name for people.
fn label(name: &str) -> String {
    match name {
        "ops_per_second" => "operations a second",
        "pipeline" => "requests in flight on each connection",
        "value_size" => "bytes of a value",
        "latency_us.mean" => "mean latency",
        "latency_us.p50" => "p50",
        "latency_us.p99" => "p99",
        "latency_us.p999" => "p99.9",
        "latency_us.p9999" => "p99.99",
        "latency_us.max" => "max",
        "rate" => "operations asked for a second",
        other => return other.replace('_', " ").replace('/', " to "),
    }
    .to_owned()
}

fn write(path: Option<&Path>, svg: &str) -> Result<(), String> {
    if let Some(path) = path {
        return report::write(path, svg);
    }
    // A reader who has closed the pipe wants no more.
    let _ = stdout().write_all(svg.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(y: &[&str]) -> Arguments {
        Arguments {
            files: Vec::new(),
            x: "connections".into(),
            y: y.iter().map(|name| (*name).to_owned()).collect(),
            by: vec!["workload".into(), "target".into()],
            title: None,
            out: None,
        }
    }

    fn results() -> Vec<Value> {
        let result = |workload: &str, connections: u32, rate: f64| {
            json!({"workload": workload, "target": "plinth://h:1", "connections": connections,
                   "ops_per_second": rate, "latency_us": {"p50": 100, "p99": 900}})
        };
        vec![
            result("get", 100, 2e5),
            result("get", 1, 2e4),
            result("<set>", 1, 1e4),
            result("<set>", 100, 9e4),
            json!({"something": "else"}),
        ]
    }

    #[test]
    fn every_workload_is_a_line_from_left_to_right() {
        let chart = chart(&arguments(&["ops_per_second"]), &results()).unwrap();
        let names: Vec<_> = chart.series.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["get", "<set>"], "the target is the same for all");
        assert_eq!(chart.series[0].points, [(1.0, 2e4), (100.0, 2e5)]);
        assert_eq!(chart.title, "operations a second by connections");
        assert_eq!(chart.x.scale, Scale::Log { begin: 1.0, end: 100.0 });
        assert!(roxmltree::Document::parse(&chart.to_file()).is_ok());
    }

    #[test]
    fn several_fields_are_a_line_each() {
        let chart = chart(&arguments(&["latency_us.p50", "latency_us.p99"]), &results()).unwrap();
        let names: Vec<_> = chart.series.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["get, p50", "get, p99", "<set>, p50", "<set>, p99"]);
        assert_eq!((chart.y.label.as_str(), chart.y.unit), ("latency", Unit::Micros));
    }

    #[test]
    fn one_field_to_another_is_a_number_too() {
        let result = json!({"conflicts": 3, "operations": 12, "errors": 0});
        assert_eq!(number(&result, "conflicts/operations"), Some(0.25));
        assert_eq!(number(&result, "conflicts/errors"), None);
        assert_eq!(number(&result, "conflicts/nothing"), None);
    }

    #[test]
    fn what_cannot_be_drawn_says_why() {
        let why = chart(&arguments(&["speed"]), &results()).unwrap_err();
        assert!(why.contains("none of the 5 results") && why.contains("speed"), "{why}");
        let many: Vec<_> =
            (0..9).map(|n| json!({"workload": n, "connections": n, "ops_per_second": n})).collect();
        let why = chart(&arguments(&["ops_per_second"]), &many).unwrap_err();
        assert!(why.contains("9 lines"), "{why}");
    }
}

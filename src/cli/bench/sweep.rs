//! `plinth bench … --sweep`: which rate can be sustained before latency takes off?
//!
//! What the target can do at most is measured first, in a closed loop. Then it is asked at rates
//! from a tenth of that to a little more, in an open loop. The knee is the highest rate up to which
//! every step was sustained and kept its p99 within a few times that of the lowest.

use std::io::{Write as _, stdout};

use plinth_protocol::Error;
use serde_json::json;

use super::{
    arguments::RunArguments,
    drive,
    measurement::Measurement,
    target::{opened::Opened, place::Place},
};
/// The rates, of what was reached without one.
const STEPS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.05];

/// How many times the p99 of the lowest rate is still before the knee.
const P99_TIMES: u64 = 5;

/// A sweep; each step is shown as soon as it is done, unless `is_json`, which is one object at the
/// end.
pub(super) fn run(
    mut run: RunArguments,
    target: Place,
    is_json: bool,
) -> Result<Option<String>, Error> {
    run.target = target;
    let opened = Opened::open(&run)?;
    let load_seconds = if run.load { Some(drive::fill(&run, &opened)?) } else { None };
    run.rate = None;
    // All steps are as deep as the first.
    run.pipeline = Some(run.pipeline());
    let mut most = drive::measure(&run, &opened, None)?;
    most.load_seconds = load_seconds;
    let tell = |line: &str| {
        if !is_json {
            // A reader who has closed the pipe wants no more.
            let _ = writeln!(stdout(), "{line}");
        }
    };
    let settings = &most.settings;
    tell(&format!(
        "{}: {} connections, {} deep: at most {:.0} a second without a rate",
        most.workload, settings.connections, settings.pipeline, most.ops_per_second
    ));
    tell("      rate    reached   p50 µs   p99 µs  p999 µs   max µs");
    let mut steps = Vec::new();
    for share in STEPS {
        run.rate = Some((most.ops_per_second * share).max(1.0).round());
        let step = drive::measure(&run, &opened, None)?;
        tell(&row(&step));
        steps.push(step);
    }
    let knee = knee(&steps).and_then(|step| step.settings.rate);
    tell(&match knee {
        Some(rate) => format!("knee: {rate:.0} a second"),
        None => "knee: below the lowest rate".to_owned(),
    });
    if is_json {
        let object = json!({ "most": most, "steps": steps, "knee": knee });
        let _ = writeln!(stdout(), "{object}");
    }
    Ok(most.first_error.or_else(|| steps.into_iter().find_map(|step| step.first_error)))
}

fn row(step: &Measurement) -> String {
    let latency = &step.latency_us;
    format!(
        "{:>10.0} {:>10.0} {:>8} {:>8} {:>8} {:>8}{}",
        step.settings.rate.unwrap_or_default(),
        step.ops_per_second,
        latency.p50,
        latency.p99,
        latency.p999,
        latency.max,
        if step.is_rate_reached() { "" } else { "  not sustained" }
    )
}

/// The last step before the first that wasn't sustained or whose p99 has taken off.
fn knee(steps: &[Measurement]) -> Option<&Measurement> {
    let bound = steps.first()?.latency_us.p99 * P99_TIMES;
    let is_good = |step: &&Measurement| step.is_rate_reached() && step.latency_us.p99 <= bound;
    steps.iter().take_while(is_good).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::report::sample::measurement;

    fn step(rate: f64, reached: u64, p99: u64) -> Measurement {
        let mut step = measurement();
        step.seconds = 1.0;
        step.settings.rate = Some(rate);
        step.operations = reached;
        step.latency_us.p99 = p99;
        step
    }

    #[test]
    fn the_knee_is_before_rate_or_latency_give_way() {
        let rate = |steps: &[Measurement]| knee(steps).and_then(|step| step.settings.rate);
        let [low, mid] = [step(100.0, 100, 50), step(200.0, 199, 100)];
        let (slow, short) = (step(300.0, 300, 251), step(300.0, 290, 100));
        let late = step(400.0, 400, 60);
        assert_eq!(rate(&[low.clone(), mid.clone(), slow, late.clone()]), Some(200.0));
        assert_eq!(rate(&[low.clone(), mid.clone(), short, late.clone()]), Some(200.0));
        assert_eq!(rate(&[low, mid, late]), Some(400.0));
        assert_eq!(rate(&[step(100.0, 50, 50)]), None);
        assert_eq!(rate(&[]), None);
    }
}

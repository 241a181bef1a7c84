//! `plinth bench check`: was a history strictly serializable?
//!
//! Two checkers look at it, and neither trusts the other: [`replay`] goes by the versions that the
//! database states, with [`real_time`] and [`unknown`]; [`cycles`] infers from the values alone what
//! must have come before what. What each proves, and what it can't, is told in `docs/history.md`.

mod command;
mod cycles;
mod graph;
mod model;
mod place;
#[cfg(test)]
mod planted;
mod real_time;
mod replay;
#[cfg(test)]
mod simulated;
mod unknown;
mod violation;

use serde_json::{Value, json};

pub use self::{
    command::{Arguments, run},
    violation::{Kind, Violation},
};
use self::{model::Model, real_time::Told, replay::Replay, unknown::Placing};
use super::history::{History, Outcome};

/// How many violations are told in full.
const VIOLATIONS_MAX: usize = 20;

/// Which checks are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// All that the history allows.
    All,
    /// Those that don't look at versions.
    WithoutVersions,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The first violations, in the order in which they could be known.
    pub violations: Vec<Violation>,
    /// How many more there are.
    pub more_violations: usize,
    /// Whether the history was replayed by its versions.
    pub by_versions: bool,
    /// Whether it was checked by its values.
    pub by_values: bool,
    /// Tries of transactions by outcome: committed, conflicted, failed, unknown.
    pub outcomes: [u64; 4],
    /// Those of unknown outcome that happened, as later reads show.
    pub unknown_that_happened: usize,
    /// Reads that could be traced to a writer by their values, and reads that could not.
    pub traced: [u64; 2],
    json: Value,
}

impl Verdict {
    /// Whether nothing was found, and something was looked at.
    pub fn is_sound(&self) -> bool {
        self.violations.is_empty() && (self.by_versions || self.by_values)
    }

    /// As `--json` has it.
    pub fn to_json(&self) -> &Value {
        &self.json
    }
}

/// Checks a history.
pub fn check(history: &History, checks: Checks) -> Verdict {
    let header = &history.header;
    let (model, mut violations) = Model::new(history);
    let by_versions = header.has_versions && checks == Checks::All;
    let mut unknown_that_happened = 0;
    if by_versions {
        let (found, happened) = check_versions(&model, header.has_unique_values);
        violations.extend(found);
        unknown_that_happened = happened;
    }
    let mut traced = [0, 0];
    if header.has_unique_values {
        let found = cycles::check(&model);
        violations.extend(found.violations);
        traced = [found.traced, found.untraced];
    }
    let mut outcomes = [0; 4];
    for transaction in &history.transactions {
        outcomes[match transaction.outcome {
            Outcome::Committed(_) => 0,
            Outcome::Conflicted => 1,
            Outcome::Failed => 2,
            Outcome::Unknown => 3,
        }] += 1;
    }
    violations.sort_by_cached_key(|violation| (violation.known_at(&model), violation.kind));
    let more_violations = violations.len().saturating_sub(VIOLATIONS_MAX);
    violations.truncate(VIOLATIONS_MAX);
    let told: Vec<Value> = violations.iter().map(|violation| violation.to_json(&model)).collect();
    let mut verdict = Verdict {
        violations,
        more_violations,
        by_versions,
        by_values: header.has_unique_values,
        outcomes,
        unknown_that_happened,
        traced,
        json: Value::Null,
    };
    let [committed, conflicted, failed, unknown] = outcomes;
    verdict.json = json!({
        "strictly_serializable": verdict.is_sound(),
        "workload": header.workload,
        "target": header.target,
        "checked_by_versions": verdict.by_versions,
        "checked_by_values": verdict.by_values,
        "transactions": history.transactions.len(),
        "committed": committed,
        "conflicted": conflicted,
        "failed": failed,
        "unknown": unknown,
        "unknown_that_happened": unknown_that_happened,
        "keys": model.keys.len(),
        "reads_traced": traced[0],
        "reads_not_traced": traced[1],
        "violations": told,
        "more_violations": more_violations,
    });
    verdict
}

/// The check by versions; also tells how many of unknown outcome happened.
fn check_versions(model: &Model<'_>, has_unique_values: bool) -> (Vec<Violation>, usize) {
    let mut replay = Replay::new(model, has_unique_values);
    let mut violations = replay.check_order();
    let told = Told::new(model);
    let mut placing = Placing::new(&mut replay, &told);
    violations.extend(placing.settle().err());
    let happened = placing.placed.len();
    let wrong = placing.wrong_reads();
    violations.extend(wrong.iter().map(|(key, read)| replay.explain(*key, read)));
    violations.extend(replay.check_commits());
    violations.extend(told.check(model));
    (violations, happened)
}

//! Errors in place of cuts: every call fails once, or from some call on. Which calls may fail a
//! commit, or stop the engine, and which must go unnoticed by clients, is a table.

use std::collections::{BTreeMap, BTreeSet};

use plinthdb::{
    random::Random,
    vfs::{
        SimVfs,
        sim::{Fault, FaultPlan, Keep, KeepNames, Trigger},
    },
};

use super::{
    history::History,
    remains::{Seen, fault_at, is_deep, judge, line_to_repeat, remains},
    script::Script,
};

const ERRORS: [Fault; 3] = [Fault::Eio, Fault::Enospc, Fault::Short];

/// What came of one failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// The engine was not opened.
    NotOpened,
    /// It has given up writing.
    Poisoned,
    /// Commits were refused, and later ones were not.
    Refused,
    /// Nobody was told.
    Nothing,
}

use Effect::{NotOpened, Nothing, Poisoned, Refused};

/// What a failure of the call with this label may do.
fn allowed(label: &str) -> &'static [Effect] {
    let (file, operation) = label.split_once('.').expect("a file and an operation");
    match (file, operation) {
        // Made at the start and never again.
        (_, "create_directory") | ("" | "identity", _) => &[NotOpened],
        // Also where the reserve's name is made durable.
        ("data", _) => &[NotOpened, Nothing],
        // Of what may not have been written nothing is known: there is no going on.
        ("log", "write" | "sync_data" | "sync_all") => &[NotOpened, Poisoned],
        // What is no longer needed goes the next time; the reserve, which a start on a full disk
        // would miss, is tried again.
        ("reserve", _) | (_, "remove") => &[Nothing],
        // A new segment, which is a spare one first; or an identity or a manifest, before it has its
        // name. While there is no spare one commits may have to wait; when it is taken, there is no
        // way back.
        ("log" | "new" | "spare", _) => &[NotOpened, Poisoned, Refused, Nothing],
        // The data is in memory and in the log: it is tried again, and at worst commits wait.
        ("table" | "tables" | "manifest" | "ids", _) => &[NotOpened, Refused, Nothing],
        _ => &[],
    }
}

fn effect(history: &History) -> Effect {
    match history {
        History { is_opened: false, .. } => NotOpened,
        History { is_poisoned: true, .. } => Poisoned,
        history if !history.refusals().is_empty() => Refused,
        _ => Nothing,
    }
}

/// As long as the engine goes on, a commit that is refused is one to send again.
fn check_refusals(history: &History) {
    for error in history.refusals() {
        assert!(
            history.is_poisoned || error.is_retryable_not_committed(),
            "a commit is refused for {error}"
        );
    }
}

/// The program starts again on a machine that runs on, and then on one that didn't.
fn judge_after(disk: &SimVfs, script: u64, plan: &FaultPlan, history: &History, seen: &mut Seen) {
    let running = disk.duplicate();
    if seen.is_new(&running, history) {
        judge(&running, script, plan, history);
    }
    for remains in remains(0).iter().take(3) {
        let left = disk.after_cut(remains.keep, remains.names, remains.seed);
        if seen.is_new(&left, history) {
            judge(&left, script, &FaultPlan { keep: remains.keep, ..plan.clone() }, history);
        }
    }
}

/// Runs the script with this error at every call, or from every call on; answers what came of it, and
/// how much was looked at.
fn err_everywhere(fault: Fault, onwards: bool) -> (BTreeMap<String, BTreeSet<Effect>>, String) {
    let labels = {
        let disk = SimVfs::new();
        Script::new(0).run(&disk);
        disk.numbered_labels()
    };
    let mut seen: BTreeMap<String, BTreeSet<Effect>> = BTreeMap::new();
    let mut seen_disks = Seen::default();
    for (number, label) in (1..).zip(&labels) {
        let plan = fault_at(number, onwards, fault);
        let disk = SimVfs::with_plan(plan.clone());
        let history = Script::new(0).run(&disk);
        seen.entry(label.to_string()).or_default().insert(effect(&history));
        check_refusals(&history);
        judge_after(&disk, 0, &plan, &history, &mut seen_disks);
    }
    let counts =
        format!("{} errors, which left {} different disks", labels.len(), seen_disks.count());
    assert!(labels.len() > 80, "{counts}");
    (seen, counts)
}

#[test]
fn an_error_at_any_call_stops_commits_and_loses_nothing() {
    let mut seen: BTreeMap<String, BTreeSet<Effect>> = BTreeMap::new();
    for fault in ERRORS {
        let (effects, counts) = err_everywhere(fault, false);
        println!("{counts}");
        for (label, effects) in effects {
            seen.entry(label).or_default().extend(effects);
        }
    }
    for (label, effects) in &seen {
        let allowed = allowed(label);
        let is_allowed = effects.iter().all(|effect| allowed.contains(effect));
        assert!(is_allowed, "an error of {label} leads to {effects:?}, not to one of {allowed:?}");
    }
    for label in ["log.write", "log.sync_data"] {
        assert!(seen[label].contains(&Poisoned), "an error of {label} stops the engine");
    }
    for label in ["table.write", "table.sync_data", "manifest.write", "manifest.sync_data"] {
        assert!(seen[label].contains(&Nothing), "an error of {label} goes unnoticed");
    }
}

#[test]
fn an_error_from_any_call_on_loses_nothing() {
    for fault in ERRORS {
        println!("{}", err_everywhere(fault, true).1);
    }
}

/// An error, and later the power fails: what was done about the first must not make the second
/// worse.
#[test]
fn an_error_and_then_a_crash_lose_nothing() {
    if line_to_repeat().is_some() {
        return;
    }
    let (pairs, mut random) = (if is_deep() { 6_000 } else { 300 }, Random::new(5));
    let calls: Vec<u64> = (0..4)
        .map(|script| {
            let disk = SimVfs::new();
            Script::new(script).run(&disk);
            disk.calls()
        })
        .collect();
    for pair in 0..pairs {
        let script = random.below(calls.len() as u64);
        let end = calls[script as usize];
        let first = 1 + random.below(end);
        let second = first + 1 + random.below((end - first).max(30));
        let error = ERRORS[random.below(3) as usize];
        let cut = [Fault::CutBefore, Fault::CutDuring, Fault::CutAfter][random.below(3) as usize];
        let once = |number| Trigger::Call { number, onwards: false };
        let keep = [Keep::Nothing, Keep::Everything, Keep::Random][random.below(3) as usize];
        let plan = FaultPlan {
            seed: pair,
            keep,
            names: KeepNames::Any,
            faults: vec![(once(first), error), (once(second), cut)],
            ..FaultPlan::default()
        };
        let disk = SimVfs::with_plan(plan.clone());
        let history = Script::new(script).run(&disk);
        judge(&disk.restart(), script, &plan, &history);
    }
    println!("{pairs} errors that a crash followed");
}

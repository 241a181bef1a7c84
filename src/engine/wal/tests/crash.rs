//! Cuts the power before, during and after every call that the log makes, and checks every disk
//! that this may leave.
//!
//! What is checked of each: the recovered records are a prefix of those that were appended, and
//! hold all that were acknowledged (appended and then synced); recovering again gives the same; and
//! the log goes on from there.

use super::*;
use crate::vfs::{
    VfsError,
    sim::{Fault, FaultPlan, Keep, KeepNames, Trigger},
};

/// What a run has tried to append, and how much of it was synced.
#[derive(Debug, Default)]
struct History {
    appended: Vec<LogRecord>,
    acknowledged: usize,
}

/// Rounds of the script: what one cut is tried on, and two.
const LONG: usize = 14;
const SHORT: usize = 6;

/// Records of many sizes, in groups that are appended with one call, with a sync after most.
fn script(rounds: usize) -> Vec<(Vec<LogRecord>, bool)> {
    let mut version = 0;
    let mut next = |value_bytes| {
        version += 1;
        batch(version, value_bytes)
    };
    let mut steps = vec![];
    for round in 0..rounds {
        steps.push((vec![next(round * 97 % 400)], true));
        if round % 3 == 0 {
            let ceiling = LogRecord::Ceiling(Version(1000 * (round as u64 + 1)));
            steps.push((vec![ceiling, next(700), next(3)], true));
        }
        if round % 4 == 1 {
            // Two appends before a sync: the disk may take the second one first.
            steps.push((vec![next(200)], false));
            steps.push((vec![next(900)], false));
        }
        if round == 4 {
            steps.push((vec![next(9000)], true));
        }
    }
    steps.push((vec![next(1)], true));
    steps
}

/// Recovers and does the script, until something fails.
fn run(vfs: &SimVfs, rounds: usize) -> History {
    let mut history = History::default();
    let _ = try_run(vfs, rounds, &mut history);
    history
}

fn try_run(vfs: &SimVfs, rounds: usize, history: &mut History) -> Result<(), LogError> {
    let (mut log, ..) = recover(vfs)?;
    let mut encoder = RecordEncoder::new();
    for (records, is_synced) in script(rounds) {
        encoder.clear();
        for record in &records {
            match record {
                LogRecord::Batch(transactions) => encoder.batch(transactions)?,
                LogRecord::Ceiling(ceiling) => encoder.ceiling(*ceiling)?,
            }
        }
        history.appended.extend(records);
        log.append(&mut encoder)?;
        if is_synced {
            log.sync()?;
            history.acknowledged = history.appended.len();
        }
    }
    Ok(())
}

/// Recovers the disk that a crash has left, and checks what it gives. Answers whether there was a
/// torn tail.
fn check(vfs: &SimVfs, history: &History) -> Result<bool, String> {
    let (mut log, first, records) = recover(vfs).map_err(|error| error.to_string())?;
    if !history.appended.starts_with(&records) {
        return Err(format!("{} records that are no prefix", records.len()));
    }
    if records.len() < history.acknowledged {
        return Err(format!("{} records of {} acknowledged", records.len(), history.acknowledged));
    }
    // What was recovered is durable before anything else happens.
    let again = vfs.after_cut(Keep::Nothing, KeepNames::Any, 0);
    let (_, report, same) = recover(&again).map_err(|error| format!("again: {error}"))?;
    if same != records || report.torn_tail.is_some() {
        return Err(format!("recovered {} records and then {}", records.len(), same.len()));
    }
    let more = batch(1_000_000, 50);
    append(&mut log, &more).and_then(|()| log.sync()).map_err(|error| error.to_string())?;
    let (_, _, longer) = recover(&vfs.restart()).map_err(|error| format!("later: {error}"))?;
    match longer.split_last() {
        Some((last, rest)) if *last == more && rest == records => Ok(first.torn_tail.is_some()),
        _ => Err("the log did not go on where recovery had ended".to_owned()),
    }
}

/// The disks that a cut at this call may leave; chance differs from call to call.
fn images(call: u64) -> Vec<(Keep, KeepNames, u64)> {
    let mut images = vec![
        (Keep::Nothing, KeepNames::Prefix, 0),
        (Keep::Everything, KeepNames::Prefix, 0),
        (Keep::Newest, KeepNames::Prefix, 0),
    ];
    images.extend((0..4).map(|sectors| (Keep::Torn { sectors }, KeepNames::Prefix, 0)));
    images.extend((0..5).map(|seed| (Keep::Random, KeepNames::Prefix, call * 8 + seed)));
    images.extend((5..8).map(|seed| (Keep::Random, KeepNames::Any, call * 8 + seed)));
    images
}

fn plan(call: u64, fault: Fault) -> FaultPlan {
    FaultPlan {
        seed: call,
        faults: vec![(Trigger::Call { number: call, onwards: false }, fault)],
        ..FaultPlan::default()
    }
}

const CUTS: [Fault; 3] = [Fault::CutBefore, Fault::CutDuring, Fault::CutAfter];

#[test]
fn a_power_cut_at_any_call_loses_nothing_that_was_acknowledged() {
    let whole = SimVfs::new();
    let history = run(&whole, LONG);
    assert_eq!(history.acknowledged, history.appended.len());
    let calls = whole.calls();
    assert!(calls > 100, "{calls} calls");
    let mut torn = 0;
    for call in 1..=calls {
        for fault in CUTS {
            let vfs = SimVfs::with_plan(plan(call, fault));
            let history = run(&vfs, LONG);
            assert!(vfs.is_cut(), "call {call} was reached");
            for (keep, names, seed) in images(call) {
                let cut = vfs.after_cut(keep, names, seed);
                let had_torn_tail = check(&cut, &history).unwrap_or_else(|error| {
                    panic!("{call}={fault} keep={keep} names={names:?} seed={seed}: {error}")
                });
                torn += u64::from(had_torn_tail);
            }
        }
    }
    assert!(torn > 50, "torn tails were met and cut: {torn}");
}

#[test]
fn a_second_power_cut_during_recovery_loses_nothing_either() {
    let whole = SimVfs::new();
    run(&whole, SHORT);
    let mut recoveries = 0;
    for call in 1..=whole.calls() {
        let vfs = SimVfs::with_plan(plan(call, Fault::CutDuring));
        let history = run(&vfs, SHORT);
        let first = vfs.after_cut(Keep::Everything, KeepNames::Prefix, 0);
        let calm = first.duplicate();
        recover(&calm).unwrap();
        for inner in 1..=calm.calls() {
            for fault in CUTS {
                let second = first.duplicate();
                second.set_plan(plan(inner, fault));
                assert!(recover(&second).is_err(), "call {inner} of recovery was reached");
                for keep in [Keep::Nothing, Keep::Everything, Keep::Random] {
                    let cut = second.after_cut(keep, KeepNames::Any, call * 64 + inner);
                    recoveries += 1;
                    check(&cut, &history).unwrap_or_else(|error| {
                        panic!("{call}, then {inner}={fault} keep={keep}: {error}")
                    });
                }
            }
        }
    }
    assert!(recoveries > 1000, "{recoveries} recoveries");
}

#[test]
fn an_error_of_any_call_loses_nothing_whether_the_machine_stops_or_runs_on() {
    let whole = SimVfs::new();
    let all = run(&whole, LONG).acknowledged;
    for call in 1..=whole.calls() {
        for fault in [Fault::Eio, Fault::Enospc, Fault::Short] {
            let vfs = SimVfs::with_plan(plan(call, fault));
            let history = run(&vfs, LONG);
            assert!(history.acknowledged < all);
            vfs.set_plan(FaultPlan::default());
            let fail = |error: String| panic!("{call}={fault}: {error}");
            check(&vfs.duplicate(), &history).unwrap_or_else(fail);
            for seed in 0..4 {
                let cut = vfs.after_cut(Keep::Random, KeepNames::Prefix, call * 4 + seed);
                check(&cut, &history).unwrap_or_else(fail);
            }
        }
    }
}

/// The check must be able to fail: on disks that break their promises, it does.
#[test]
fn a_disk_that_lies_is_caught() {
    for lie in ["log.sync_data#3=lie", "log.sync_data#9+=lie", "log.sync_directory#4=lie"] {
        let caught = (10..400).any(|call| {
            let mut plan: FaultPlan = lie.parse().unwrap();
            let trigger = Trigger::Call { number: call, onwards: false };
            plan.faults.push((trigger, Fault::CutBefore));
            let vfs = SimVfs::with_plan(plan);
            let history = run(&vfs, LONG);
            check(&vfs.restart(), &history).is_err()
        });
        assert!(caught, "{lie}");
    }
}

#[test]
fn an_error_of_the_file_system_keeps_its_cause() {
    let vfs = SimVfs::with_plan("log.write#1=enospc".parse().unwrap());
    let (mut log, ..) = recover(&vfs).unwrap();
    let error = append(&mut log, &batch(1, 1)).unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    let kind = cause.map(VfsError::kind);
    assert_eq!(kind, Some(std::io::ErrorKind::StorageFull), "{error}");
}

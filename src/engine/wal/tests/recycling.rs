//! Segments that are used again, with all that is still in them.

use super::*;
use crate::vfs::sim::{Fault, FaultPlan, Keep, KeepNames, Trigger};

fn names(vfs: &SimVfs, extension: &str) -> Vec<String> {
    let names = vfs.list(Path::new(DIRECTORY)).unwrap();
    let names = names.into_iter().map(|name| name.into_string().unwrap());
    names.filter(|name| name.ends_with(extension)).collect()
}

/// What a run does besides what it appends: what is flushed, and what was given up for it.
#[derive(Clone, Debug, Default)]
struct Run {
    appended: Vec<LogRecord>,
    acknowledged: usize,
    start: LogStart,
}

/// Appends, with small and large records, and gives up what is older than a few records. Every
/// segment but the first two is one that was used before.
fn try_run(vfs: &SimVfs, rounds: u64, run: &mut Run) -> Result<(), LogError> {
    let (mut log, ..) = recover(vfs)?;
    let segments = log.segments();
    for version in 1..=rounds {
        let record = batch(version, (version as usize * 389) % 1700);
        run.appended.push(record.clone());
        append(&mut log, &record)?;
        if version % 3 == 0 {
            // The next one shares the sync; the disk may do it first.
            continue;
        }
        log.sync()?;
        run.acknowledged = run.appended.len();
        let flushed = Version(version.saturating_sub(4));
        run.start = LogStart { first_segment: segments.first_needed(flushed), flushed };
        segments.retire(run.start.first_segment)?;
    }
    log.sync()?;
    run.acknowledged = run.appended.len();
    Ok(())
}

fn run(vfs: &SimVfs, rounds: u64) -> Run {
    let mut run = Run::default();
    let _ = try_run(vfs, rounds, &mut run);
    run
}

fn recover_run(vfs: &SimVfs, run: &Run) -> Result<(Log, RecoveryReport, Vec<LogRecord>), LogError> {
    recover_start(vfs, Path::new(DIRECTORY), options(), run.start)
}

/// Answers whether there was a torn tail.
fn check(vfs: &SimVfs, run: &Run) -> Result<bool, String> {
    let (mut log, first, records) = recover_run(vfs, run).map_err(|error| error.to_string())?;
    let flushed = run.start.flushed.0 as usize;
    if !run.appended[flushed..].starts_with(&records) {
        return Err(format!("{} records that are no prefix", records.len()));
    }
    if flushed + records.len() < run.acknowledged {
        return Err(format!("{} records of {}", records.len(), run.acknowledged - flushed));
    }
    let again = vfs.after_cut(Keep::Nothing, KeepNames::Any, 0);
    let (_, report, same) = recover_run(&again, run).map_err(|error| format!("again: {error}"))?;
    if same != records || report.torn_tail.is_some() {
        return Err(format!("recovered {} records and then {}", records.len(), same.len()));
    }
    let mut more = vec![];
    for version in 1_000_000..1_000_004 {
        more.push(batch(version, 1500));
        append(&mut log, &more[more.len() - 1])
            .and_then(|()| log.sync())
            .map_err(|error| error.to_string())?;
    }
    let (_, _, longer) =
        recover_run(&vfs.restart(), run).map_err(|error| format!("later: {error}"))?;
    if longer[..records.len()] != records || longer[records.len()..] != more {
        return Err("the log did not go on where recovery had ended".to_owned());
    }
    Ok(first.torn_tail.is_some())
}

#[test]
fn a_retired_segment_is_used_again_as_it_is() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    let segments = log.segments();
    for version in 1..=5 {
        append(&mut log, &batch(version, 3000)).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(segments.retire(5).unwrap(), 4);
    assert_eq!(names(&vfs, "log"), ["0000000000000005.log"]);
    assert_eq!(segments.stats().spares, 2, "the others are removed");
    assert_eq!(names(&vfs, "spare").len(), 2);
    let labels = vfs.labels();
    append(&mut log, &batch(6, 3000)).unwrap();
    log.sync().unwrap();
    assert_eq!(vfs.labels().get("new.create"), labels.get("new.create"), "no file is made");
    assert_eq!(segments.stats().spares, 1);
    // What the earlier life has left is longer than the record, and says nothing.
    let start = LogStart { first_segment: 5, flushed: Version(4) };
    let recover = |vfs: &SimVfs| recover_start(vfs, Path::new(DIRECTORY), options(), start);
    let (mut log, report, records) = recover(&vfs.restart()).unwrap();
    assert_eq!(records, [batch(5, 3000), batch(6, 3000)]);
    assert_eq!(report.torn_tail, None);
    assert_eq!(log.segments().stats().spares, 1, "spares outlive a restart");
    append(&mut log, &batch(7, 100)).unwrap();
}

#[test]
fn a_torn_tail_in_a_segment_that_is_used_again_is_told_from_what_was_there_before() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    for version in 1..=2 {
        append(&mut log, &batch(version, 3000)).unwrap();
        log.sync().unwrap();
    }
    log.segments().retire(2).unwrap();
    append(&mut log, &batch(3, 1500)).unwrap();
    log.sync().unwrap();
    let last = segment_path(Path::new(DIRECTORY), 3);
    let start = LogStart { first_segment: 2, flushed: Version(1) };
    let mut bytes = vfs.bytes(&last).unwrap();
    assert_ne!(bytes[512 + 2000..].iter().filter(|byte| **byte != 0).count(), 0, "stale bytes");
    // The record's body did not arrive.
    bytes[1024..1536].fill(0);
    vfs.put(&last, &bytes).unwrap();
    let (_, report, records) = recover_start(&vfs, Path::new(DIRECTORY), options(), start).unwrap();
    assert_eq!(records, [batch(2, 3000)]);
    assert_eq!(report.torn_tail.map(|tail| tail.offset), Some(512));
}

#[test]
fn a_power_cut_at_any_call_of_a_log_that_uses_segments_again_loses_nothing() {
    const ROUNDS: u64 = 16;
    let whole = SimVfs::new();
    let finished = run(&whole, ROUNDS);
    assert_eq!(finished.acknowledged, ROUNDS as usize);
    assert!(finished.start.first_segment > 3, "{finished:?}");
    let mut torn = 0;
    for call in 1..=whole.calls() {
        for fault in [Fault::CutBefore, Fault::CutDuring, Fault::CutAfter] {
            let plan = FaultPlan {
                seed: call,
                faults: vec![(Trigger::Call { number: call, onwards: false }, fault)],
                ..FaultPlan::default()
            };
            let vfs = SimVfs::with_plan(plan);
            let run = run(&vfs, ROUNDS);
            let mut images = vec![
                (Keep::Nothing, KeepNames::Prefix, 0),
                (Keep::Everything, KeepNames::Prefix, 0),
                (Keep::Newest, KeepNames::Prefix, 0),
                (Keep::Torn { sectors: 1 }, KeepNames::Prefix, 0),
            ];
            images.extend((0..4).map(|seed| (Keep::Random, KeepNames::Prefix, call * 8 + seed)));
            images.extend((4..6).map(|seed| (Keep::Random, KeepNames::Any, call * 8 + seed)));
            for (keep, names, seed) in images {
                let cut = vfs.after_cut(keep, names, seed);
                torn += u64::from(check(&cut, &run).unwrap_or_else(|error| {
                    panic!("{call}={fault} keep={keep} names={names:?} seed={seed}: {error}")
                }));
            }
        }
    }
    assert!(torn > 50, "torn tails were met and cut: {torn}");
}

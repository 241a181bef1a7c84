//! Segments that are not needed any more, and recovery without them.

use super::*;

/// A log of one batch a segment, synced.
fn log_of(vfs: &SimVfs, batches: u64) -> Log {
    let (mut log, ..) = recover(vfs).unwrap();
    for version in 1..=batches {
        append(&mut log, &batch(version * 10, 3000)).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(log.segment_number(), batches);
    log
}

fn numbers(vfs: &SimVfs) -> Vec<u64> {
    let names = vfs.list(Path::new(DIRECTORY)).unwrap();
    let names = names.iter().filter(|name| Path::new(name).extension().unwrap() == "log");
    let numbers = names.map(|name| Path::new(name).file_stem().unwrap().to_str().unwrap());
    numbers.map(|number| number.parse().unwrap()).collect()
}

fn recover_from(
    vfs: &SimVfs,
    first_segment: u64,
    flushed: u64,
) -> Result<(Log, RecoveryReport, Vec<LogRecord>), LogError> {
    let start = LogStart { first_segment, flushed: Version(flushed) };
    recover_start(vfs, Path::new(DIRECTORY), options(), start)
}

#[test]
fn the_first_segment_needed_is_the_last_one_that_begins_at_what_is_flushed_or_before() {
    let vfs = SimVfs::new();
    let log = log_of(&vfs, 4);
    let segments = log.segments();
    // Segment 2 begins after version 10, and holds version 20.
    for (flushed, first) in [(0, 1), (9, 1), (10, 2), (19, 2), (20, 3), (30, 4), (99, 4)] {
        assert_eq!(segments.first_needed(Version(flushed)), first, "{flushed}");
    }
    let bytes = log.bytes();
    assert_eq!(segments.retire(3).unwrap(), 2);
    assert_eq!(segments.retire(3).unwrap(), 0);
    assert_eq!(numbers(&vfs), [3, 4]);
    assert!(log.bytes() < bytes);
    assert_eq!(segments.first_needed(Version(0)), 3, "there is nothing before it");
    assert_eq!(segments.retire(u64::MAX).unwrap(), 1, "the last one stays");
    assert_eq!(numbers(&vfs), [4]);
}

#[test]
fn recovery_begins_where_it_is_told_and_gives_back_what_is_not_flushed() {
    let vfs = SimVfs::new();
    drop(log_of(&vfs, 4));
    for (first_segment, flushed, expected) in [
        (1, 0, vec![10, 20, 30, 40]),
        (2, 10, vec![20, 30, 40]),
        (2, 29, vec![30, 40]),
        (4, 40, vec![]),
    ] {
        let vfs = vfs.duplicate();
        let (mut log, report, records) = recover_from(&vfs, first_segment, flushed).unwrap();
        let given: Vec<_> = expected.iter().map(|&version| batch(version, 3000)).collect();
        assert_eq!(records, given, "from {first_segment} at {flushed}");
        assert_eq!(report.leftovers, first_segment - 1);
        assert_eq!(report.transactions, given.len() as u64);
        let left: Vec<u64> = (first_segment..=4).collect();
        assert_eq!(numbers(&vfs), left, "leftovers are gone");
        assert!(append(&mut log, &batch(40, 1)).is_err(), "versions go on above those flushed");
        append(&mut log, &batch(50, 1)).unwrap();
        log.sync().unwrap();
        let (_, _, records) = recover_from(&vfs.restart(), first_segment, flushed).unwrap();
        assert_eq!(records.last(), Some(&batch(50, 1)));
    }
}

#[test]
fn of_a_batch_the_part_that_is_not_flushed_is_given_back() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    let mut encoder = RecordEncoder::new();
    encoder.batch(&[transaction(5, 1), transaction(6, 1), transaction(7, 1)]).unwrap();
    log.append(&mut encoder).unwrap();
    append(&mut log, &LogRecord::Ceiling(Version(99))).unwrap();
    log.sync().unwrap();
    let (_, report, records) = recover_from(&vfs, 1, 6).unwrap();
    assert_eq!(records, [batch(7, 1), LogRecord::Ceiling(Version(99))]);
    assert_eq!(report.last_version, Some(Version(7)));
}

#[test]
fn segments_that_are_needed_and_not_there_are_missed() {
    let vfs = SimVfs::new();
    drop(log_of(&vfs, 3));
    let error = recover_from(&vfs.duplicate(), 2, 9).unwrap_err();
    assert!(matches!(error, LogError::MissingTransactions { .. }), "{error}");
    let missing = |vfs: &SimVfs, first_segment, wanted| {
        let error = recover_from(vfs, first_segment, 1000).unwrap_err();
        let wanted = segment_path(Path::new(DIRECTORY), wanted);
        assert!(matches!(&error, LogError::MissingSegment { path } if *path == wanted), "{error}");
    };
    missing(&vfs.duplicate(), 4, 4);
    vfs.remove(&segment_path(Path::new(DIRECTORY), 2)).unwrap();
    missing(&vfs.duplicate(), 1, 2);
    missing(&vfs.duplicate(), 2, 2);
    recover_from(&vfs, 3, 1000).unwrap();
    missing(&SimVfs::new(), 1, 1);
}

#[test]
fn what_is_held_is_given_up_when_it_no_longer_is() {
    let vfs = SimVfs::new();
    let log = log_of(&vfs, 4);
    let segments = log.segments();
    let (one, two) = (segments.hold(), segments.hold());
    assert_eq!(one.first_segment(), 1);
    assert_eq!(segments.retire(3).unwrap(), 0);
    drop(one);
    assert_eq!(numbers(&vfs), [1, 2, 3, 4]);
    drop(two);
    assert_eq!(numbers(&vfs), [3, 4]);
}

//! Logs that are read where they lie, without being opened.

use std::ops::ControlFlow;

use super::*;
use crate::engine::wal::{LogMark, LogScan, LogStart, ScannedRecord, segments_in};

/// A log over several segments, and its mark.
fn log_of(vfs: &SimVfs, batches: u64) -> LogMark {
    let (mut log, ..) = recover(vfs).unwrap();
    for version in 1..=batches {
        append(&mut log, &batch(version * 10, 1500)).unwrap();
    }
    log.mark().unwrap()
}

/// Reads everything; answers the versions and where it ended.
fn versions(vfs: &SimVfs, scan: &mut LogScan, last: u64) -> Result<Vec<u64>, LogError> {
    let mut versions = vec![];
    while scan.next_segment() <= last {
        scan.read_segment(vfs, Path::new(DIRECTORY), None, &mut |record| {
            if let Some(LogRecord::Batch(batch)) = record.record {
                versions.extend(batch.iter().map(|transaction| transaction.version.0));
            }
            Ok::<_, LogError>(ControlFlow::Continue(()))
        })?;
    }
    Ok(versions)
}

fn scan(start: LogStart) -> LogScan {
    LogScan::new(options().database_id, start)
}

#[test]
fn a_scan_gives_what_recovery_gives_and_ends_where_the_log_says() {
    let vfs = SimVfs::new();
    let mark = log_of(&vfs, 7);
    let calls = vfs.calls();
    let mut whole = scan(LogStart::default());
    assert_eq!(versions(&vfs, &mut whole, mark.segment).unwrap(), [10, 20, 30, 40, 50, 60, 70]);
    assert_eq!((whole.previous(), whole.last_version()), (mark.previous, mark.last_version));
    let numbers = segments_in(&vfs, Path::new(DIRECTORY)).unwrap();
    assert_eq!(numbers, (1..=mark.segment).collect::<Vec<_>>());
    let mut part = scan(LogStart { first_segment: 2, flushed: Version(35) });
    let part = versions(&vfs, &mut part, mark.segment).unwrap();
    assert_eq!(part, [40, 50, 60, 70]);
    assert_eq!(vfs.calls(), calls, "nothing was changed");
}

#[test]
fn who_breaks_off_has_not_taken_the_record() {
    let vfs = SimVfs::new();
    log_of(&vfs, 1);
    let mut scan = scan(LogStart::default());
    let before = (scan.previous(), scan.last_version());
    let mut break_off = |_: ScannedRecord<'_>| Ok::<_, LogError>(ControlFlow::Break(()));
    let segment = scan.read_segment(&vfs, Path::new(DIRECTORY), None, &mut break_off).unwrap();
    assert_eq!(segment.end, 512);
    assert_eq!((scan.previous(), scan.last_version()), before);
}

#[test]
fn what_is_written_behind_the_mark_is_not_looked_at() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    append(&mut log, &batch(10, 100)).unwrap();
    let mark = log.mark().unwrap();
    append(&mut log, &batch(20, 100)).unwrap();
    let mut scan = scan(LogStart::default());
    let mut count = 0;
    let segment = scan.read_segment(&vfs, Path::new(DIRECTORY), Some(mark.position), &mut |_| {
        count += 1;
        Ok::<_, LogError>(ControlFlow::Continue(()))
    });
    assert!(segment.unwrap().end <= mark.position);
    assert_eq!((count, scan.last_version()), (1, mark.last_version));
}

#[test]
fn damage_is_named_with_its_file_and_offset() {
    let vfs = SimVfs::new();
    let mark = log_of(&vfs, 7);
    assert!(mark.segment > 2);
    let first = segment_path(Path::new(DIRECTORY), 1);
    vfs.flip_bit(&first, 600, 1).unwrap();
    let error = versions(&vfs, &mut scan(LogStart::default()), mark.segment).unwrap_err();
    assert!(matches!(&error, LogError::Damaged { path, offset: 512, .. } if *path == first));
}

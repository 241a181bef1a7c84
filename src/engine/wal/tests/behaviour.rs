//! What the log does when nothing, or one thing, goes wrong.

use super::*;
use crate::vfs::sim::{Keep, KeepNames};

#[test]
fn records_come_back_in_order_over_several_segments_and_starts() {
    let vfs = SimVfs::new();
    let mut written = vec![];
    for start in 0..5_u64 {
        let (mut log, report, records) = recover(&vfs).unwrap();
        assert_eq!(records, written);
        assert_eq!(report.torn_tail, None);
        assert_eq!(report.records, written.len() as u64);
        for step in 0..7 {
            let version = start * 10 + step + 1;
            let record = if step == 3 {
                LogRecord::Ceiling(Version(version + 1000))
            } else {
                batch(version, 300 * step as usize)
            };
            append(&mut log, &record).unwrap();
            if step % 2 == 0 {
                log.sync().unwrap();
            }
            written.push(record);
        }
        log.sync().unwrap();
        assert_eq!(
            vfs.restart().bytes(&segment_path(Path::new(DIRECTORY), 1)).unwrap().len(),
            4096
        );
    }
    let (log, report, records) = recover(&vfs.restart()).unwrap();
    assert_eq!(records, written);
    assert!(report.segments >= 5, "{report:?}");
    assert_eq!(report.segments, log.segment_number());
    assert_eq!(report.last_version, Some(Version(47)));
    assert_eq!(report.ceiling, Some(Version(1044)));
    assert_eq!(report.transactions, 30);
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own_size() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    let written = [batch(1, 10), batch(2, 50_000), batch(3, 10)];
    for record in &written {
        append(&mut log, record).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(log.segment_number(), 3);
    let (_, _, records) = recover(&vfs.restart()).unwrap();
    assert_eq!(records, written);
}

#[test]
fn several_records_are_written_with_one_call() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    let mut encoder = RecordEncoder::new();
    encoder.ceiling(Version(500)).unwrap();
    encoder.batch(&[transaction(1, 10), transaction(2, 20)]).unwrap();
    let calls = vfs.calls();
    log.append(&mut encoder).unwrap();
    assert_eq!(vfs.calls(), calls + 1);
    log.sync().unwrap();
    log.sync().unwrap();
    assert_eq!(vfs.calls(), calls + 2, "there was nothing to sync the second time");
    let (_, _, records) = recover(&vfs.restart()).unwrap();
    let expected = LogRecord::Batch(vec![transaction(1, 10), transaction(2, 20)]);
    assert_eq!(records, [LogRecord::Ceiling(Version(500)), expected]);
}

#[test]
fn versions_that_go_back_are_refused_without_harm() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    append(&mut log, &batch(5, 1)).unwrap();
    let error = append(&mut log, &batch(5, 1)).unwrap_err();
    assert!(matches!(error, LogError::OutOfOrder { version: Version(5), .. }), "{error}");
    append(&mut log, &batch(6, 1)).unwrap();
    log.sync().unwrap();
    drop(log);
    let (mut log, ..) = recover(&vfs).unwrap();
    assert!(append(&mut log, &batch(6, 1)).is_err(), "also after a restart");
}

#[test]
fn a_log_that_has_failed_takes_nothing_more() {
    for fault in ["log.write#1=eio", "log.write#1=short", "log.sync_data#1=eio"] {
        let vfs = SimVfs::new();
        let (mut log, ..) = recover(&vfs).unwrap();
        vfs.set_plan(fault.parse().unwrap());
        let first = append(&mut log, &batch(1, 1000)).and_then(|()| log.sync());
        assert!(matches!(first, Err(LogError::File(_))), "{fault}: {first:?}");
        let calls = vfs.calls();
        for error in [append(&mut log, &batch(2, 1)).unwrap_err(), log.sync().unwrap_err()] {
            assert!(matches!(error, LogError::Stopped { .. }), "{fault}: {error}");
        }
        assert_eq!(vfs.calls(), calls, "{fault}: nothing was tried again");
    }
}

#[test]
fn what_is_recovered_after_a_failed_sync_is_durable_then() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    vfs.set_plan("seed=3 log.sync_data#1=eio".parse().unwrap());
    append(&mut log, &batch(1, 1000)).unwrap();
    log.sync().unwrap_err();
    drop(log);
    // The program starts again while the machine runs on: the cache has what the disk has not.
    let (_, _, records) = recover(&vfs).unwrap();
    assert_eq!(records, [batch(1, 1000)]);
    let (_, _, records) = recover(&vfs.after_cut(Keep::Nothing, KeepNames::Prefix, 0)).unwrap();
    assert_eq!(records, [batch(1, 1000)]);
}

#[test]
fn an_unsynced_hole_is_a_torn_tail_and_no_damage() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    append(&mut log, &batch(1, 100)).unwrap();
    log.sync().unwrap();
    // Two appends without a sync; the disk does the second one first.
    append(&mut log, &batch(2, 100)).unwrap();
    append(&mut log, &batch(3, 100)).unwrap();
    let cut = vfs.after_cut(Keep::Newest, KeepNames::Prefix, 0);
    let (mut log, report, records) = recover(&cut).unwrap();
    assert_eq!(records, [batch(1, 100)]);
    let tail = report.torn_tail.unwrap();
    assert!(tail.offset < 4096 && tail.bytes > 100, "{tail:?}");
    append(&mut log, &batch(4, 100)).unwrap();
    log.sync().unwrap();
    let (_, report, records) = recover(&cut.restart()).unwrap();
    assert_eq!(records, [batch(1, 100), batch(4, 100)]);
    assert_eq!(report.torn_tail, None);
}

#[test]
fn the_caller_can_stop_the_replay() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    append(&mut log, &batch(1, 1)).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(vfs);
    let stop = || LogError::Replay { reason: "enough".to_owned() };
    let error =
        Log::recover(&vfs, Path::new(DIRECTORY), options(), LogStart::default(), &mut |_| {
            Err(stop())
        })
        .unwrap_err();
    assert!(error.to_string().contains("enough"), "{error}");
}

#[test]
fn reading_ahead_gives_the_same_and_can_be_stopped_too() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    for version in 1..=200 {
        append(&mut log, &batch(version, version as usize * 37 % 2000)).unwrap();
    }
    log.sync().unwrap();
    let ahead = LogOptions { reads_ahead: true, ..options() };
    let (_, report, records) = recover_on(&vfs, Path::new(DIRECTORY), ahead.clone()).unwrap();
    let (_, same_report, same_records) = recover(&vfs).unwrap();
    assert_eq!((report, records.len()), (same_report, 200));
    assert_eq!(records, same_records);
    let vfs: Arc<dyn Vfs> = Arc::new(vfs);
    let mut taken = 0;
    let stopped = Log::recover(&vfs, Path::new(DIRECTORY), ahead, LogStart::default(), &mut |_| {
        taken += 1;
        let reason = "enough".to_owned();
        if taken < 100 { Ok(()) } else { Err(LogError::Replay { reason }) }
    });
    assert!(stopped.unwrap_err().to_string().contains("enough"));
    assert_eq!(taken, 100);
}

#[test]
fn a_log_of_another_database_or_with_files_missing_is_refused() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    for version in 1..=6 {
        append(&mut log, &batch(version, 2000)).unwrap();
    }
    log.sync().unwrap();
    let path = |number| segment_path(Path::new(DIRECTORY), number);

    let foreign = LogOptions { database_id: [9; 16], ..options() };
    let error = recover_on(&vfs.duplicate(), Path::new(DIRECTORY), foreign).unwrap_err();
    assert!(matches!(error, LogError::ForeignSegment { .. }), "{error}");

    for missing in 1..log.segment_number() {
        let vfs = vfs.duplicate();
        vfs.remove(&path(missing)).unwrap();
        let error = recover(&vfs).unwrap_err();
        assert!(
            matches!(&error, LogError::MissingSegment { path: at } if *at == path(missing)),
            "{error}"
        );
    }

    let unexpected = vfs.duplicate();
    unexpected.put(Path::new("/log/7.log"), b"").unwrap();
    let error = recover(&unexpected).unwrap_err();
    assert!(matches!(error, LogError::UnexpectedFile { .. }), "{error}");

    let ignored = vfs.duplicate();
    ignored.put(Path::new("/log/notes.txt"), b"").unwrap();
    ignored.put(Path::new("/log/0000000000000009.new"), b"half").unwrap();
    recover(&ignored).unwrap();
    assert!(!ignored.exists(Path::new("/log/0000000000000009.new")).unwrap());
}

#[test]
fn the_real_disk_does_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut written = vec![];
    for start in 0..3_u64 {
        let (mut log, _, records) = recover_on(&OsVfs, &path, options()).unwrap();
        assert_eq!(records, written);
        for step in 1..6 {
            written.push(batch(start * 10 + step, 700));
            append(&mut log, written.last().unwrap()).unwrap();
            log.sync().unwrap();
        }
        assert!(log.bytes() > SEGMENT_HEADER_BYTES as u64 + 3500 * (start + 1));
    }
    let names = OsVfs.list(&path).unwrap();
    let numbers = (1..).map(|number| segment_path(Path::new(""), number).into_os_string());
    assert!(names.len() >= 3 && names.iter().cloned().eq(numbers.take(names.len())));
}

#[test]
fn recovery_says_how_far_it_is() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    for version in 1..20 {
        append(&mut log, &batch(version, 900)).unwrap();
    }
    log.sync().unwrap();
    let segments = log.segments().stats().segments;
    drop(log);
    let options = options();
    let progress = Arc::clone(&options.progress);
    let mut seen = vec![];
    let disk: Arc<dyn Vfs> = Arc::new(vfs);
    let start = LogStart::default();
    Log::recover(&disk, Path::new(DIRECTORY), options, start, &mut |_| {
        seen.push(progress.done_bytes());
        Ok(())
    })
    .unwrap();
    assert!(seen.len() == 19 && seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    assert_eq!(progress.total_bytes(), segments * 4096);
    assert!(*seen.last().unwrap() < progress.total_bytes());
    assert_eq!(progress.done_bytes(), progress.total_bytes());
}

//! What the archive gets, and that nothing is given up before it has it.

use super::*;

const ARCHIVE: &str = "/archive";

fn archiving() -> LogOptions {
    LogOptions { archive: Some(ARCHIVE.into()), ..options() }
}

/// A log of one batch a segment.
fn log_of(vfs: &SimVfs, batches: u64) -> Log {
    let (mut log, ..) = recover_on(vfs, Path::new(DIRECTORY), archiving()).unwrap();
    for version in 1..=batches {
        append(&mut log, &batch(version * 10, 3000)).unwrap();
        log.sync().unwrap();
    }
    log
}

fn archived(vfs: &SimVfs) -> Vec<LogRecord> {
    let start = LogStart::default();
    let mut scan = LogScan::new(options().database_id, start);
    let mut records = vec![];
    for _ in segments_in(vfs, Path::new(ARCHIVE)).unwrap() {
        scan.read_segment(vfs, Path::new(ARCHIVE), None, &mut |record| {
            records.extend(record.record);
            Ok::<_, LogError>(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    }
    records
}

fn expected(batches: u64) -> Vec<LogRecord> {
    (1..=batches).map(|version| batch(version * 10, 3000)).collect()
}

#[test]
fn a_segment_is_given_up_only_when_the_archive_has_it() {
    let vfs = SimVfs::new();
    let mut log = log_of(&vfs, 4);
    let segments = log.segments();
    assert_eq!(segments.retire(4).unwrap(), 0, "the archive has nothing yet");
    assert_eq!(segments.stats().archive_waiting, 3);
    vfs.set_plan("log.link#1=eio".parse().unwrap());
    segments.archive_next().unwrap_err();
    assert!(segments.stats().archive_trouble.is_some());
    assert_eq!(segments_in(&vfs, Path::new(DIRECTORY)).unwrap(), [1, 2, 3, 4]);
    while segments.archive_next().unwrap() {}
    let stats = segments.stats();
    assert_eq!((stats.archived, stats.archive_waiting, stats.archive_trouble), (3, 0, None));
    assert_eq!(segments_in(&vfs, Path::new(DIRECTORY)).unwrap(), [4], "given up by itself");
    // Were they used again, the archive would change.
    assert_eq!(stats.spares, 0);
    for version in 5..=9 {
        append(&mut log, &batch(version * 10, 3000)).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(archived(&vfs), expected(3));
    let cut = vfs.after_cut(crate::vfs::sim::Keep::Nothing, crate::vfs::sim::KeepNames::Prefix, 0);
    assert_eq!(archived(&cut), expected(3), "durable");
}

#[test]
fn where_links_are_refused_segments_are_copied_and_used_again() {
    let vfs = SimVfs::new();
    let mut log = log_of(&vfs, 4);
    vfs.create_directory(Path::new(ARCHIVE)).unwrap();
    vfs.mount(Path::new(ARCHIVE));
    let segments = log.segments();
    segments.retire(4).unwrap();
    while segments.archive_next().unwrap() {}
    assert_eq!(segments.stats().spares, 2);
    for version in 5..=6 {
        append(&mut log, &batch(version * 10, 3000)).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(archived(&vfs), expected(3));
}

#[test]
fn a_start_archives_what_was_given_up_and_not_archived() {
    let vfs = SimVfs::new();
    drop(log_of(&vfs, 4));
    let start = LogStart { first_segment: 4, flushed: Version(30) };
    let open = |vfs: &SimVfs| recover_start(vfs, Path::new(DIRECTORY), archiving(), start);
    let blocked = vfs.duplicate();
    blocked.put(Path::new(ARCHIVE), b"a file is in the way").unwrap();
    let (_, report, _) = open(&blocked).unwrap();
    assert_eq!(report.leftovers, 0);
    assert_eq!(segments_in(&blocked, Path::new(DIRECTORY)).unwrap(), [1, 2, 3, 4]);
    let (_, report, _) = open(&vfs).unwrap();
    assert_eq!(report.leftovers, 3);
    assert_eq!(archived(&vfs), expected(3));
}

#[test]
fn an_archive_of_another_log_is_left_as_it_is() {
    let vfs = SimVfs::new();
    let log = log_of(&vfs, 2);
    vfs.create_directory(Path::new(ARCHIVE)).unwrap();
    let other = segment_path(Path::new(ARCHIVE), 1);
    let bytes = vec![7; 4096];
    vfs.put(&other, &bytes).unwrap();
    let error = log.segments().archive_next().unwrap_err();
    assert!(matches!(&error, LogError::OtherInArchive { path } if *path == other), "{error}");
    assert_eq!(vfs.bytes(&other).unwrap(), bytes);
}

//! Which commits a restored database has.

use super::*;
use crate::vfs::sim::{Keep, KeepNames};

/// The number of the last commit of [`write`] that a restored database has.
fn newest(bench: &Bench) -> u64 {
    let rows = bench.restored();
    let newest: u64 =
        rows.iter().find(|(key, _)| key == "newest").map_or(0, |(_, value)| value.parse().unwrap());
    let keys = rows.iter().filter(|(key, _)| key.starts_with("key")).count() as u64;
    assert_eq!(keys, newest, "every commit up to the last one is there");
    newest
}

#[test]
fn a_backup_has_every_commit_before_it_and_none_after() {
    let bench = Bench::new();
    let engine = bench.open("/data");
    let versions = write(&bench, &engine, 1, 40);
    let report = checkpoint(&engine).unwrap();
    assert_eq!(report.version, *versions.last().unwrap());
    let after = write(&bench, &engine, 41, 5);
    let restored = bench.restore(RestoreTo::End).unwrap();
    assert_eq!(restored.version, report.version);
    assert_eq!((restored.database_id, restored.from_database_id), (NEW_ID, engine.database_id()));
    assert_eq!(newest(&bench), 40);
    let new = bench.open("/new");
    assert_eq!(new.database_id(), NEW_ID);
    assert!(new.read_version() > *after.last().unwrap(), "versions never come twice");
    assert!(new.read_version() > engine.stats().ceiling);
    assert!(set(&new, &[("newest", "1000")]) > engine.read_version());
    new.close();
    assert_eq!(rows(&engine).iter().find(|(key, _)| key == "newest").unwrap().1, "45");
}

#[test]
fn what_was_answered_in_whatever_durability_is_in_the_backup() {
    let bench = Bench::new();
    let engine =
        Engine::open(EngineOptions { durability: DurabilityMode::None, ..bench.options("/data") })
            .unwrap();
    write(&bench, &engine, 1, 3);
    checkpoint(&engine).unwrap();
    // The power fails: what the checkpoint called durable is.
    let bench = bench.on(bench.disk.after_cut(Keep::Nothing, KeepNames::Prefix, 0));
    bench.restore(RestoreTo::End).unwrap();
    assert_eq!(newest(&bench), 3);
}

#[test]
fn an_empty_database_can_be_backed_up() {
    let bench = Bench::new();
    let engine = bench.open("/data");
    let report = checkpoint(&engine).unwrap();
    assert_eq!(report.version, Version::ZERO);
    bench.restore(RestoreTo::End).unwrap();
    assert_eq!(bench.restored(), []);
}

#[test]
fn the_archive_leads_to_any_version_behind_the_backup() {
    let bench = Bench::new();
    let engine = bench.open("/data");
    write(&bench, &engine, 1, 20);
    let report = checkpoint(&engine).unwrap();
    let versions = write(&bench, &engine, 21, 60);
    engine.close();
    bench.archive("/archive");
    let bench_at = |to| {
        let bench = bench.on(bench.disk.duplicate());
        let report = bench.restore_with(to, &["/archive"])?;
        Ok::<_, BackupError>((report, newest(&bench)))
    };
    // The last segment isn't archived, so the archive ends before the database.
    let (end, last) = bench_at(RestoreTo::End).unwrap();
    assert!((21..80).contains(&last), "{last}");
    for (index, version) in versions.iter().enumerate() {
        let number = 21 + index as u64;
        match bench_at(RestoreTo::Version(*version)) {
            Ok((report, newest)) => {
                assert_eq!((report.version, newest), (*version, number));
                assert!(report.ceiling > *versions.last().unwrap());
            }
            Err(BackupError::TooLate { wanted, last: end_version }) => {
                assert!(number > last);
                assert_eq!((wanted, end_version), (*version, end.version));
            }
            Err(error) => panic!("{version}: {error}"),
        }
    }
    // Between two commits.
    let (between, newest) = bench_at(RestoreTo::Version(Version(versions[4].0 - 1))).unwrap();
    assert_eq!((between.version, newest), (versions[3], 24));
    // The backup's own version.
    assert_eq!(bench_at(RestoreTo::Version(report.version)).unwrap().1, 20);
    let error = bench_at(RestoreTo::Version(Version(report.version.0 - 1))).unwrap_err();
    assert!(
        matches!(error, BackupError::TooEarly { earliest, .. } if earliest == report.version),
        "{error}"
    );
}

#[test]
fn the_archive_leads_to_any_time_behind_the_backup() {
    let bench = Bench::new();
    let engine = bench.open("/data");
    write(&bench, &engine, 1, 20);
    let report = checkpoint(&engine).unwrap();
    let begun_ms = report.created_at_ms;
    write(&bench, &engine, 21, 40);
    engine.close();
    bench.archive("/archive");
    for second in 0..20_u64 {
        for (offset_ms, number) in [(0, 20 + second), (999, 20 + second)] {
            let bench = bench.on(bench.disk.duplicate());
            let ms = begun_ms + 1000 * second + offset_ms;
            let report = bench.restore_with(RestoreTo::Time(ms), &["/archive"]).unwrap();
            assert_eq!(newest(&bench), number, "{second} s and {offset_ms} ms");
            assert!(report.committed_at_ms <= ms);
        }
    }
    let error = bench.restore_with(RestoreTo::Time(begun_ms - 1), &["/archive"]).unwrap_err();
    assert!(matches!(error, BackupError::TooEarly { .. }), "{error}");
}

#[test]
fn the_log_of_a_dead_database_serves_as_an_archive_of_its_end() {
    let bench = Bench::new();
    let engine = bench.open("/data");
    write(&bench, &engine, 1, 20);
    checkpoint(&engine).unwrap();
    write(&bench, &engine, 21, 30);
    engine.close();
    bench.restore_with(RestoreTo::End, &["/archive-that-came-later", "/data/log"]).unwrap_err();
    bench.restore_with(RestoreTo::End, &["/data/log"]).unwrap();
    assert_eq!(newest(&bench), 50);
}

#[test]
fn an_archive_that_does_not_go_on_from_the_backup_is_refused() {
    let bench = Bench::new();
    let engine = bench.open("/data");
    write(&bench, &engine, 1, 20);
    // Another history from here on, under the same name.
    drop(engine);
    let other = bench.on(bench.disk.duplicate());
    let engine = bench.open("/data");
    write(&bench, &engine, 21, 1);
    checkpoint(&engine).unwrap();
    let engine = other.open("/data");
    write(&other, &engine, 21, 30);
    engine.close();
    for number in segments_in(&other.disk, Path::new("/data/log")).unwrap() {
        let bytes = other.disk.bytes(&path_of_segment(Path::new("/data/log"), number)).unwrap();
        bench.disk.put(&path_of_segment(Path::new("/archive"), number), &bytes).unwrap();
    }
    let error = bench.restore_with(RestoreTo::End, &["/archive"]).unwrap_err();
    assert!(matches!(error, BackupError::OtherHistory { .. }), "{error}");
    // Without it the backup is as good as ever.
    bench.restore(RestoreTo::End).unwrap();
    assert_eq!(newest(&bench), 21);
}

#[test]
fn a_gap_in_the_archive_is_named_if_it_matters() {
    let bench = Bench::new();
    let engine = bench.open("/data");
    write(&bench, &engine, 1, 20);
    let report = checkpoint(&engine).unwrap();
    write(&bench, &engine, 21, 90);
    engine.close();
    bench.archive("/archive");
    let numbers = segments_in(&bench.disk, Path::new("/archive")).unwrap();
    let lost = path_of_segment(Path::new("/archive"), numbers[numbers.len() - 2]);
    bench.disk.remove(&lost).unwrap();
    let error = bench.restore_with(RestoreTo::End, &["/archive"]).unwrap_err();
    assert!(error.to_string().contains(&lost.display().to_string()), "{error}");
    let to = RestoreTo::Version(report.version);
    bench.restore_with(to, &["/archive"]).unwrap();
    assert_eq!(newest(&bench), 20);
}

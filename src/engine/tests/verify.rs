//! Checks of sound and of damaged directories.

use super::*;
use crate::{
    engine::{
        directory::DirectoryError,
        verify::{Severity, VerifyReport, verify},
    },
    vfs::sim::{Keep, KeepNames},
};

fn check(disk: &SimVfs) -> Result<VerifyReport, DirectoryError> {
    verify(disk, Path::new("/data"), &mut |_| ControlFlow::Continue(()))
}

/// A disk with a database on it that was closed in order.
fn sample() -> SimVfs {
    let bench = Bench::new();
    let engine = bench.open();
    for number in 0..20 {
        blind().set(&format!("key{number}"), &"value ".repeat(number * 20)).version(&engine);
    }
    engine.close();
    drop(engine);
    bench.disk.after_cut(Keep::Everything, KeepNames::Any, 0)
}

#[test]
fn a_sound_directory_is_sound_and_nothing_in_it_changes() {
    let disk = sample();
    let calls = disk.calls();
    let report = check(&disk).unwrap();
    assert!(report.is_sound() && report.is_complete, "{:?}", report.findings);
    assert_eq!(report.findings, []);
    assert_eq!(report.transactions, 20);
    assert!(report.bytes > 20 * 1000 && report.last_version > Version::ZERO);
    assert_eq!(disk.calls(), calls);
}

#[test]
fn a_check_tells_how_far_it_is_and_can_be_broken_off() {
    let disk = sample();
    let (mut done, mut total) = (0, 0);
    verify(&disk, Path::new("/data"), &mut |progress| {
        assert!(progress.done_bytes >= done && progress.done_bytes <= progress.total_bytes);
        (done, total) = (progress.done_bytes, progress.total_bytes);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(done > 0 && total >= done);
    let mut looks = 0;
    let report = verify(&disk, Path::new("/data"), &mut |_| {
        looks += 1;
        if looks == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let report = report.unwrap();
    assert!(!report.is_complete && looks == 5);
    assert!(report.records < 20);
}

#[test]
fn a_directory_that_is_open_is_checked_by_who_has_it_open() {
    let bench = Bench::new();
    let engine = bench.open();
    blind().set("a", "1").version(&engine);
    assert!(matches!(check(&bench.disk), Err(DirectoryError::Locked { .. })));
    let report = engine.verify(&mut |_| ControlFlow::Continue(())).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.transactions, 1);
}

#[test]
fn where_there_is_no_database_nothing_is_made() {
    let disk = SimVfs::new();
    assert!(matches!(check(&disk), Err(DirectoryError::Missing { .. })));
    disk.put(Path::new("/data/photo.jpg"), b"x").unwrap();
    assert!(matches!(check(&disk), Err(DirectoryError::Foreign { .. })));
    assert_eq!(disk.list(Path::new("/data")).unwrap(), ["photo.jpg"]);
}

#[test]
fn what_nobody_knows_is_noticed_and_no_damage() {
    let disk = sample();
    disk.put(Path::new("/data/notes.txt"), b"x").unwrap();
    let report = check(&disk).unwrap();
    assert!(report.is_sound());
    let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
    assert_eq!(finding.severity, Severity::Notice);
    assert_eq!(finding.path, Path::new("/data/notes.txt"));
}

#[test]
fn damage_to_a_record_is_found_with_its_place_and_its_remedy() {
    let disk = sample();
    let path = Path::new("/data/log/0000000000000001.log");
    // The first record is a ceiling of 56 bytes; the damage is in the one behind it.
    disk.flip_bit(path, 700, 3).unwrap();
    let report = check(&disk).unwrap();
    assert!(!report.is_sound());
    let damage = report.damage().next().unwrap();
    assert_eq!((damage.path.as_path(), damage.offset), (path, Some(568)));
    let remedy = damage.remedy.as_deref().unwrap();
    assert!(remedy.ends_with("plinth repair truncate-log /data --at 1:568"), "{remedy}");
}

//! Crashes, errors and damage.

use super::*;
use crate::{
    engine::directory::DirectoryError,
    vfs::sim::{Keep, KeepNames},
};

/// A database with some tables and some commits in several segments, closed.
fn database() -> Bench {
    let bench = Bench::new();
    let engine = bench.open_small("/data");
    write(&bench, &engine, 1, 100);
    drop(engine);
    bench
}

fn newest(rows: &[(String, String)]) -> u64 {
    rows.iter().find(|(key, _)| key == "newest").map_or(0, |(_, value)| value.parse().unwrap())
}

#[test]
fn a_power_cut_at_any_call_of_a_checkpoint_leaves_a_whole_backup_or_none() {
    let bench = database();
    let engine = bench.open("/data");
    bench.disk.set_plan("seed=1".parse().unwrap());
    checkpoint(&engine).unwrap();
    let calls = bench.disk.calls();
    engine.close();
    assert!(calls > 20, "{calls}");
    let mut whole = 0;
    let fresh = database();
    for call in 1..=calls {
        for (mode, seed) in [("before", 1), ("during", 2), ("after", 3)] {
            let bench = fresh.on(fresh.disk.duplicate());
            let engine = bench.open("/data");
            bench.disk.set_plan(format!("seed={seed} {call}=cut-{mode}").parse().unwrap());
            let made = checkpoint(&engine);
            drop(engine);
            let cut = bench.on(bench.disk.after_cut(Keep::Random, KeepNames::Any, seed));
            let at = format!("call {call} cut {mode}");
            match cut.restore(RestoreTo::End) {
                Ok(_) => {
                    whole += 1;
                    assert_eq!(newest(&cut.restored()), 100, "{at}");
                }
                Err(BackupError::NoBackup { .. }) => assert!(made.is_err(), "{at}"),
                Err(error) => panic!("{at}: {error}"),
            }
            // The database is none the worse, and can be backed up to the same place.
            let engine = cut.open("/data");
            assert_eq!(newest(&rows(&engine)), 100, "{at}");
            match checkpoint(&engine) {
                Ok(_) | Err(BackupError::NotEmpty { .. }) => {}
                Err(error) => panic!("{at}: {error}"),
            }
            BackupDescription::read(&cut.disk, Path::new("/backup")).unwrap();
        }
    }
    assert!(whole > 0, "a cut after the last call leaves a backup");
}

#[test]
fn an_error_at_any_call_of_a_checkpoint_leaves_nothing_behind() {
    let fresh = database();
    for call in 1.. {
        let bench = fresh.on(fresh.disk.duplicate());
        let engine = bench.open("/data");
        bench.disk.set_plan(format!("{call}=eio").parse().unwrap());
        let made = checkpoint(&engine);
        let is_over = bench.disk.calls() < call;
        bench.disk.set_plan("seed=1".parse().unwrap());
        if is_over {
            made.unwrap();
            break;
        }
        if made.is_err() && !engine.is_poisoned() {
            let is_there = bench.disk.exists(Path::new("/backup")).unwrap();
            let is_whole = is_there && bench.disk.exists(Path::new("/backup/BACKUP")).unwrap();
            assert!(!is_whole, "call {call}");
            checkpoint(&engine).unwrap_or_else(|error| panic!("call {call}: {error}"));
        }
    }
}

#[test]
fn a_power_cut_at_any_call_of_a_restore_leaves_a_whole_database_or_none() {
    let fresh = database();
    let engine = fresh.open("/data");
    checkpoint(&engine).unwrap();
    engine.close();
    let whole = fresh.on(fresh.disk.duplicate());
    whole.disk.set_plan("seed=1".parse().unwrap());
    whole.restore(RestoreTo::End).unwrap();
    let calls = whole.disk.calls();
    assert!(calls > 15, "{calls}");
    for call in 1..=calls {
        for (mode, seed) in [("before", 1), ("during", 2), ("after", 3)] {
            let bench = fresh.on(fresh.disk.duplicate());
            bench.disk.set_plan(format!("seed={seed} {call}=cut-{mode}").parse().unwrap());
            let made = bench.restore(RestoreTo::End);
            let cut = bench.on(bench.disk.after_cut(Keep::Random, KeepNames::Any, seed));
            let at = format!("call {call} cut {mode}");
            let is_database = cut.disk.exists(Path::new("/new/IDENTITY")).unwrap();
            assert!(is_database || made.is_err(), "{at}");
            if !is_database && cut.disk.exists(Path::new("/new/RESTORING")).unwrap() {
                let error = Engine::open(cut.options("/new")).err().unwrap();
                assert!(error.to_string().contains("cut short"), "{at}: {error}");
                cut.restore(RestoreTo::End).unwrap_or_else(|error| panic!("{at}: {error}"));
            } else if !is_database {
                cut.restore(RestoreTo::End).unwrap_or_else(|error| panic!("{at}: {error}"));
            } else {
                let error = cut.restore(RestoreTo::End).unwrap_err();
                assert!(matches!(error, BackupError::NotEmpty { .. }), "{at}: {error}");
            }
            assert_eq!(newest(&cut.restored()), 100, "{at}");
        }
    }
}

#[test]
fn who_breaks_off_leaves_nothing_behind() {
    let bench = database();
    let engine = bench.open("/data");
    let mut reports = 0;
    let count = &mut |_| {
        reports += 1;
        ControlFlow::Continue(())
    };
    engine.checkpoint(Path::new("/backup"), count).unwrap();
    bench.restore(RestoreTo::End).unwrap();
    for last in 1..reports {
        let mut left = last;
        let mut break_off = |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let error = engine.checkpoint(Path::new("/second"), &mut break_off).unwrap_err();
        assert!(matches!(error, BackupError::Cancelled), "{error}");
        assert!(!bench.disk.exists(Path::new("/second")).unwrap());
    }
    let options = bench.restore_options(RestoreTo::End);
    let mut at_once = |_| ControlFlow::Break(());
    let error = restore(Path::new("/backup"), Path::new("/third"), &options, &mut at_once);
    assert!(matches!(error, Err(BackupError::Cancelled)));
    assert!(!bench.disk.exists(Path::new("/third")).unwrap());
}

#[test]
fn a_backup_is_no_database_and_what_is_there_is_left_alone() {
    let bench = database();
    let engine = bench.open("/data");
    checkpoint(&engine).unwrap();
    let error = Engine::open(bench.options("/backup")).err().unwrap();
    assert!(error.to_string().contains("plinth restore"), "{error}");
    let again = checkpoint(&engine).unwrap_err();
    assert!(matches!(again, BackupError::NotEmpty { .. }), "{again}");
    bench.disk.put(Path::new("/photos/photo.jpg"), b"x").unwrap();
    let error = engine.checkpoint(Path::new("/photos"), &mut on()).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    let options = bench.restore_options(RestoreTo::End);
    for taken in ["/photos", "/data", "/backup"] {
        let error = restore(Path::new("/backup"), Path::new(taken), &options, &mut on());
        assert!(matches!(error, Err(BackupError::NotEmpty { .. })), "{taken}");
    }
    let error = restore(Path::new("/data"), Path::new("/new"), &options, &mut on()).unwrap_err();
    assert!(matches!(error, BackupError::NoBackup { .. }), "{error}");
    assert_eq!(bench.disk.list(Path::new("/photos")).unwrap(), ["photo.jpg"]);
    let _: DirectoryError = match Engine::open(bench.options("/backup")).err().unwrap() {
        crate::engine::OpenError::Directory(error) => error,
        other => panic!("{other}"),
    };
}

/// Every file of the backup.
fn files(bench: &Bench) -> Vec<PathBuf> {
    let backup = BackupDescription::read(&bench.disk, Path::new("/backup")).unwrap();
    let files = backup.files.iter().map(|file| Path::new("/backup").join(&file.path));
    files.chain([PathBuf::from("/backup/BACKUP")]).collect()
}

#[test]
fn a_damaged_backup_is_refused_with_the_file() {
    let bench = database();
    let engine = bench.open("/data");
    checkpoint(&engine).unwrap();
    engine.close();
    let mut places = 0;
    for path in files(&bench) {
        let length = bench.disk.bytes(&path).unwrap().len();
        for offset in (0..length).step_by(length / 40 + 1) {
            let bench = bench.on(bench.disk.duplicate());
            bench.disk.flip_bit(&path, offset, offset as u8).unwrap();
            let error = bench.restore(RestoreTo::End).expect_err("the damage is found");
            let text = error.to_string();
            assert!(text.contains(&path.display().to_string()), "{text}");
            assert!(text.contains("offset"), "{text}");
            assert!(!bench.disk.exists(Path::new("/new")).unwrap(), "nothing is left of it");
            places += 1;
        }
        for length in [0, length / 2, length - 1] {
            let bench = bench.on(bench.disk.duplicate());
            let bytes = bench.disk.bytes(&path).unwrap();
            bench.disk.put(&path, &bytes[..length]).unwrap();
            let text = bench.restore(RestoreTo::End).unwrap_err().to_string();
            assert!(text.contains(&path.display().to_string()), "{text}");
        }
        let bench = bench.on(bench.disk.duplicate());
        bench.disk.remove(&path).unwrap();
        bench.restore(RestoreTo::End).unwrap_err();
    }
    assert!(places > 100, "{places}");
}

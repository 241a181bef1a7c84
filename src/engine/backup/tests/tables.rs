//! Backups of databases that have tables: links, copies, and files that go meanwhile.

use super::*;

fn tables_in(description: &BackupDescription) -> usize {
    description.files.iter().filter(|file| file.path.starts_with("tables/")).count()
}

fn describe(bench: &Bench) -> BackupDescription {
    BackupDescription::read(&bench.disk, Path::new("/backup")).unwrap()
}

fn newest(rows: &[(String, String)]) -> u64 {
    let keys = rows.iter().filter(|(key, _)| key.starts_with("key")).count() as u64;
    let newest = rows.iter().find(|(key, _)| key == "newest").unwrap().1.parse().unwrap();
    assert_eq!(keys, newest, "every commit up to the last one is there");
    newest
}

#[test]
fn tables_are_linked_and_the_log_behind_them_copied() {
    let bench = Bench::new();
    let engine = bench.open_small("/data");
    write(&bench, &engine, 1, 300);
    let report = checkpoint(&engine).unwrap();
    let description = describe(&bench);
    assert!(tables_in(&description) > 1, "{description:?}");
    assert!(description.flushed > Version::ZERO && description.flushed < description.version);
    assert_eq!(report.linked_bytes, description.bytes_in(TABLES));
    // The database goes on, and gives up the files that it had then.
    write(&bench, &engine, 301, 300);
    engine.close();
    bench.restore(RestoreTo::End).unwrap();
    assert_eq!(newest(&bench.restored()), 300);
}

#[test]
fn on_another_file_system_tables_are_copied() {
    let bench = Bench::new();
    let engine = bench.open_small("/data");
    write(&bench, &engine, 1, 200);
    bench.disk.mount(Path::new("/backup"));
    let report = checkpoint(&engine).unwrap();
    assert_eq!(report.linked_bytes, 0);
    let description = describe(&bench);
    assert!(tables_in(&description) > 0);
    // Nothing of the database is needed any more; and the restore copies back.
    let engine_rows = rows(&engine);
    drop(engine);
    let report = bench.restore(RestoreTo::End).unwrap();
    assert_eq!(report.tables as usize, tables_in(&description));
    assert_eq!(bench.restored(), engine_rows);
}

#[test]
fn what_the_checkpoint_needs_stays_while_the_database_goes_on() {
    let bench = Bench::new();
    let engine = bench.open_small("/data");
    write(&bench, &engine, 1, 200);
    let before = rows(&engine);
    let mut number = 201;
    let mut go_on = |_: BackupProgress| {
        // Whatever is due is done between any two steps of the checkpoint.
        if number < 400 {
            write(&bench, &engine, number, 20);
            number += 20;
        }
        ControlFlow::Continue(())
    };
    let report = engine.checkpoint(Path::new("/backup"), &mut go_on).unwrap();
    assert!(number > 300, "the checkpoint has several steps");
    let restored = bench.restore(RestoreTo::End).unwrap();
    assert_eq!(restored.version, report.version);
    assert_eq!(bench.restored(), before);
    drop(engine);
    // What was held is given up: no more tables than the manifest names.
    let again = bench.open_small("/data");
    assert_eq!(newest(&rows(&again)), number - 1);
}

#[test]
fn a_damaged_table_is_refused_with_file_and_offset() {
    let bench = Bench::new();
    let engine = bench.open_small("/data");
    write(&bench, &engine, 1, 200);
    checkpoint(&engine).unwrap();
    drop(engine);
    let description = describe(&bench);
    let table = description.files.iter().find(|file| file.path.starts_with("tables/")).unwrap();
    let path = Path::new("/backup").join(&table.path);
    for part in 0..20 {
        let bench = bench.on(bench.disk.duplicate());
        let offset = (table.bytes * part / 20) as usize;
        bench.disk.flip_bit(&path, offset, part as u8).unwrap();
        let error = bench.restore(RestoreTo::End).expect_err("the damage is found").to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains("offset"), "{error}");
        assert!(!bench.disk.exists(Path::new("/new")).unwrap());
    }
}

#[test]
fn the_archive_leads_on_from_a_backup_with_tables() {
    let bench = Bench::new();
    let engine = bench.open_small("/data");
    write(&bench, &engine, 1, 200);
    checkpoint(&engine).unwrap();
    drop(engine);
    let description = describe(&bench);
    assert!(tables_in(&description) > 0 && description.log_start > 1, "{description:?}");
    // From here on nothing is flushed, so that all of the log is still there to be archived.
    let engine = bench.open("/data");
    let versions = write(&bench, &engine, 201, 60);
    engine.close();
    bench.archive("/archive");
    for wanted in [0, 7, 30] {
        let bench = bench.on(bench.disk.duplicate());
        let to = RestoreTo::Version(versions[wanted]);
        let report = bench.restore_with(to, &["/archive"]).unwrap();
        assert_eq!(report.version, versions[wanted]);
        assert_eq!(newest(&bench.restored()), 201 + wanted as u64);
        // Through a start with small memtables, which flushes what it replays.
        let small = bench.open_small("/new");
        assert_eq!(newest(&rows(&small)), 201 + wanted as u64);
    }
}

#[test]
fn the_servers_own_archive_leads_to_any_version_though_the_log_itself_is_gone() {
    let bench = Bench::new();
    let mut options = bench.options("/data");
    options.storage.memtable_bytes = 32 << 10;
    options.log.archive = Some(PathBuf::from("/archive"));
    let engine = Engine::open(options).unwrap();
    write(&bench, &engine, 1, 100);
    let report = checkpoint(&engine).unwrap();
    let versions = write(&bench, &engine, 101, 300);
    let numbers = segments_in(&bench.disk, Path::new("/data/log")).unwrap();
    let backup = describe(&bench);
    assert!(numbers[0] > backup.log_end.segment, "the log behind the backup is given up");
    engine.close();
    for wanted in [0, 50, 299 - 20] {
        let bench = bench.on(bench.disk.duplicate());
        let to = RestoreTo::Version(versions[wanted]);
        let restored = bench.restore_with(to, &["/archive"]).unwrap();
        assert!(restored.version > report.version);
        assert_eq!(newest(&bench.restored()), 101 + wanted as u64);
    }
    // The database's own log has the end.
    bench.restore_with(RestoreTo::End, &["/archive", "/data/log"]).unwrap();
    assert_eq!(newest(&bench.restored()), 400);
}

#[test]
fn outcomes_are_known_by_their_ids_in_the_restored_database_too() {
    let bench = Bench::new();
    let engine = bench.open_small("/data");
    let named = |id: &'static [u8; 16]| Commit {
        mutations: vec![Mutation {
            keyspace: SPACE,
            adds_conflict: true,
            op: MutationOp::Set { key: Bytes::from("named"), value: Bytes::from_static(id) },
        }],
        idempotency_id: Some(Bytes::from_static(id)),
        ..Commit::default()
    };
    let flushed = engine.commit_blocking(named(b"is in a table by")).unwrap();
    write(&bench, &engine, 1, 100);
    let logged = engine.commit_blocking(named(b"is in the log by")).unwrap();
    checkpoint(&engine).unwrap();
    assert!(describe(&bench).files.iter().any(|file| file.path.contains(".ids")));
    bench.restore(RestoreTo::End).unwrap();
    let new = bench.open_small("/new");
    assert_eq!(new.commit_blocking(named(b"is in a table by")).unwrap(), flushed);
    assert_eq!(new.commit_status(b"is in the log by"), Some(logged));
}

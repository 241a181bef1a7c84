//! Repairs: what they give up, what they leave, and that nothing is done unasked.

use std::path::PathBuf;

use super::*;
use crate::engine::{
    compaction::rewrite::table_path,
    inspect::{Inspection, What},
    key::{KeyBuf, KeyRef},
    layer::Entry,
    manifest::{Edit, Flushed, Manifest, ManifestOptions},
    repair::{Consent, LogPlace, Repair, RepairError, RepairReport},
    table::{TableNumber, TableOptions, TableProperties, TableWriter},
    verify::verify,
    visible::Stamp,
};

const LOG: &str = "/data/log/0000000000000001.log";

fn repair(disk: &SimVfs) -> Repair {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    Repair::open(&vfs, Path::new("/data"), 5).unwrap()
}

fn is_sound(disk: &SimVfs) -> bool {
    let report = verify(disk, Path::new("/data"), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(report.is_complete);
    report.is_sound()
}

/// Asks what would be given up, sees that nothing changes, and then has it done.
fn done(
    disk: &SimVfs,
    ask: impl Fn(&Repair, Consent) -> Result<RepairReport, RepairError>,
) -> RepairReport {
    let contents = |disk: &SimVfs| {
        let mut all: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for directory in ["/data", "/data/log", "/data/manifest", "/data/tables"] {
            for name in disk.list(Path::new(directory)).unwrap_or_default() {
                let path = Path::new(directory).join(name);
                all.extend(disk.bytes(&path).ok().map(|bytes| (path, bytes)));
            }
        }
        all
    };
    let repair = repair(disk);
    let before = contents(disk);
    let asked = ask(&repair, Consent::Missing).unwrap();
    assert_eq!(asked.copies, None);
    assert_eq!(contents(disk), before);
    let report = ask(&repair, Consent::Given).unwrap();
    assert_eq!(report.lines, asked.lines);
    assert!(disk.exists(report.copies.as_ref().unwrap()).unwrap());
    report
}

#[test]
fn a_damaged_log_is_cut_where_it_is_told_and_versions_go_on_above() {
    let bench = Bench::new();
    let engine = bench.open();
    let versions: Vec<_> = (0..10)
        .map(|number| blind().set(&format!("key{number}"), &"v".repeat(600)).version(&engine))
        .collect();
    engine.close();
    drop(engine);
    // Somewhere in the middle.
    bench.disk.flip_bit(Path::new(LOG), 5000, 1).unwrap();
    assert!(matches!(Engine::open(bench.options()), Err(OpenError::Log(_))));
    let report = verify(&bench.disk, Path::new("/data"), &mut |_| ControlFlow::Continue(()));
    let offset = report.unwrap().damage().next().unwrap().offset.unwrap();
    let place = LogPlace { segment: 1, offset };
    let before = bench.disk.bytes(Path::new(LOG)).unwrap();
    let report = done(&bench.disk, |repair, consent| repair.truncate_log(place, consent));
    let copy = report.copies.unwrap().join("log/0000000000000001.log");
    assert_eq!(bench.disk.bytes(&copy).unwrap(), before);
    assert!(is_sound(&bench.disk));
    let engine = bench.open();
    assert!(engine.read_version() > *versions.last().unwrap(), "no version comes twice");
    assert_eq!(value(&engine, "key0"), Some("v".repeat(600)));
    assert_eq!(value(&engine, "key9"), None);
    let found: Vec<bool> =
        (0..10).map(|number| value(&engine, &format!("key{number}")).is_some()).collect();
    assert!(found.is_sorted_by(|a, b| a >= b) && found[2], "{found:?}");
    assert!(blind().set("after", "1").version(&engine) > *versions.last().unwrap());
}

#[test]
fn a_log_is_cut_at_records_alone() {
    let bench = Bench::new();
    let engine = bench.open();
    blind().set("a", "1").version(&engine);
    engine.close();
    drop(engine);
    let repair = repair(&bench.disk);
    for (segment, offset) in [(1, 513), (1, 0), (2, 512), (0, 512), (1, 1 << 40)] {
        let place = LogPlace { segment, offset };
        let refused = repair.truncate_log(place, Consent::Given);
        assert!(matches!(refused, Err(RepairError::Pointless(_))), "{segment}:{offset}");
    }
    assert!(is_sound_while_held(&bench.disk, repair));
}

fn is_sound_while_held(disk: &SimVfs, repair: Repair) -> bool {
    drop(repair);
    is_sound(disk)
}

fn key(name: &str) -> KeyBuf {
    KeyRef::new(SPACE, name.as_bytes()).into()
}

/// Writes a table with one version of each of these keys.
fn write_table(
    disk: &SimVfs,
    path: &Path,
    number: TableNumber,
    rows: &[(&str, Option<&str>, u64)],
) -> TableProperties {
    let mut writer = TableWriter::create(disk, path, number, &TableOptions::default()).unwrap();
    for (name, value, version) in rows {
        let key = key(name);
        let stamp = Stamp { version: Version(*version), order: 0 };
        let value = value.map(str::as_bytes);
        writer.add(Entry { key: key.as_ref(), stamp, value }).unwrap();
    }
    writer.finish().unwrap()
}

/// Writes such a table and adds it to the manifest.
fn add_table(
    disk: &SimVfs,
    manifest: &mut Manifest,
    level: u8,
    rows: &[(&str, Option<&str>, u64)],
) -> PathBuf {
    let number = TableNumber(manifest.take_number());
    let tables = Path::new("/data/tables");
    disk.create_directory(tables).unwrap();
    let path = table_path(tables, number);
    let properties = write_table(disk, &path, number, rows);
    let edit = Edit { added: vec![(level, properties)], ..Edit::default() };
    manifest.commit(&edit).unwrap();
    path
}

/// A database with a log whose beginning is gone, and two tables, the newer one of which hides `b`
/// of the older.
fn with_tables() -> (Bench, Vec<PathBuf>) {
    let bench = Bench::new();
    let engine = bench.open_with(|options| options.log.segment_bytes = 4096);
    let id = engine.database_id().0;
    for number in 0..10 {
        bench.clock.advance(Duration::from_millis(1));
        blind().set(&format!("log{number}"), &"v".repeat(900)).version(&engine);
    }
    engine.close();
    drop(engine);
    let look = Inspection::open(&bench.disk, Path::new("/data")).unwrap();
    let survey = look.log(&mut |_, _| ControlFlow::Continue(())).unwrap();
    let first = &survey.segments[0];
    assert!(survey.segments.len() > 2 && first.last_version > Version(20));
    bench.disk.remove(&first.path).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(bench.disk.clone());
    let options = ManifestOptions { database_id: id, seed: 3, bytes_max: 1 << 20 };
    let (mut manifest, _) = Manifest::open(&vfs, Path::new("/data/manifest"), options).unwrap();
    let older = [("a", Some("1"), 10), ("b", Some("1"), 10), ("c", Some("1"), 10)];
    let newer = [("b", None, 20), ("c", Some("2"), 20)];
    let paths = vec![
        add_table(&bench.disk, &mut manifest, 6, &older),
        add_table(&bench.disk, &mut manifest, 0, &newer),
    ];
    let flushed = Flushed { version: first.last_version, log_start: 2, ids: None };
    manifest.commit(&Edit { flushed: Some(flushed), ..Edit::default() }).unwrap();
    (bench, paths)
}

/// What of each key is in the tables, newest first.
fn told(disk: &SimVfs, name: &str) -> Vec<(u64, bool)> {
    let look = Inspection::open(disk, Path::new("/data")).unwrap();
    let versions = look.key(SPACE, name.as_bytes()).unwrap();
    versions.iter().map(|found| (found.version.0, found.what != What::Cleared)).collect()
}

#[test]
fn damage_in_a_table_is_found_and_the_table_dropped_when_told() {
    let (bench, paths) = with_tables();
    assert!(is_sound(&bench.disk));
    assert_eq!(told(&bench.disk, "b"), [(20, false), (10, true)]);
    bench.disk.flip_bit(&paths[1], 20, 2).unwrap();
    let report = verify(&bench.disk, Path::new("/data"), &mut |_| ControlFlow::Continue(()));
    let report = report.unwrap();
    let damage = report.damage().next().unwrap();
    assert_eq!(damage.path, paths[1]);
    assert!(damage.remedy.as_deref().unwrap().ends_with("plinth repair drop-table /data 2"));
    let unknown = repair(&bench.disk).drop_table(9, Consent::Given);
    assert!(matches!(unknown, Err(RepairError::Pointless(_))));
    let report = done(&bench.disk, |repair, consent| repair.drop_table(2, consent));
    let copies = report.copies.unwrap();
    assert!(bench.disk.exists(&copies.join("tables/0000000000000002.table")).unwrap());
    assert!(!bench.disk.exists(&paths[1]).unwrap());
    assert!(is_sound(&bench.disk));
    assert_eq!(told(&bench.disk, "b"), [(10, true)]);
}

#[test]
fn a_lost_manifest_is_made_anew_of_the_tables() {
    let (bench, _) = with_tables();
    // A table that the manifest doesn't name, and that says again what others say.
    let number = TableNumber(9);
    let path = table_path(Path::new("/data/tables"), number);
    let again = [("a", Some("1"), 10), ("b", None, 20), ("d", Some("1"), 15)];
    write_table(&bench.disk, &path, number, &again);
    let refused = repair(&bench.disk).rebuild_manifest(Consent::Given);
    assert!(matches!(refused, Err(RepairError::Pointless(_))), "a sound one stays");
    let manifests = Path::new("/data/manifest");
    for name in bench.disk.list(manifests).unwrap() {
        // Its first record.
        bench.disk.flip_bit(&manifests.join(name), 520, 0).unwrap();
    }
    assert!(!is_sound(&bench.disk));
    done(&bench.disk, Repair::rebuild_manifest);
    assert!(is_sound(&bench.disk));
    assert_eq!(told(&bench.disk, "a"), [(10, true)]);
    assert_eq!(told(&bench.disk, "b"), [(20, false), (10, true)]);
    assert_eq!(told(&bench.disk, "c"), [(20, true), (10, true)]);
    assert_eq!(told(&bench.disk, "d"), [(15, true)]);
    assert_eq!(told(&bench.disk, "log9").len(), 1, "the log has it");
}

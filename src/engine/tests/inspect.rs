//! What a look into a directory shows.

use super::*;
use crate::engine::{
    inspect::{Inspection, Layer, What},
    wal::LogRecord,
};

#[test]
fn one_keys_versions_are_shown_newest_first_with_where_they_are() {
    let bench = Bench::new();
    let engine = bench.open();
    let first = blind().set("key", "1").version(&engine);
    let second = blind().clear_range("k", "l").version(&engine);
    let third = blind().set("key", "2").set("kez", "other").version(&engine);
    let look = Inspection::open(&bench.disk, Path::new("/data")).unwrap();
    assert!(look.is_in_use());
    let calls = bench.disk.calls();
    let versions = look.key(SPACE, b"key").unwrap();
    assert_eq!(bench.disk.calls(), calls, "nothing is changed");
    let told: Vec<_> = versions.iter().map(|found| (found.version, found.what.clone())).collect();
    let range = What::ClearedWithRange { begin: "k".into(), end: "l".into() };
    assert_eq!(
        told,
        [(third, What::Set("2".into())), (second, range), (first, What::Set("1".into()))]
    );
    assert!(versions.iter().all(|found| matches!(found.layer, Layer::Log { segment: 1, .. })));
    engine.close();
    drop(engine);
    assert!(!Inspection::open(&bench.disk, Path::new("/data")).unwrap().is_in_use());
}

#[test]
fn the_logs_records_are_shown_in_order() {
    let bench = Bench::new();
    let engine = bench.open();
    for number in 0..5 {
        blind().set(&format!("key{number}"), "1").version(&engine);
    }
    let look = Inspection::open(&bench.disk, Path::new("/data")).unwrap();
    let (mut transactions, mut end) = (0, 0);
    let survey = look.log(&mut |place, record| {
        assert!(place.offset >= end);
        end = place.offset + place.bytes;
        if let LogRecord::Batch(batch) = record {
            transactions += batch.len();
        }
        ControlFlow::Continue(())
    });
    let survey = survey.unwrap();
    assert_eq!((transactions, survey.segments.len(), survey.errors.len()), (5, 1, 0));
    assert_eq!(survey.last_version(), engine.read_version());
}

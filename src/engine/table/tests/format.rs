//! The bytes that `docs/format.md` shows are the bytes that are written.

use std::path::Path;

use super::model::{Model, PATH, key, stamp};
use crate::{
    engine::{
        format_page::{check, drawn},
        layer::RangeTombstone,
        table::{Compression, Table, TableNumber, TableOptions, TableWriter},
    },
    vfs::SimVfs,
};

/// What the page shows: a table with four entries and a range tombstone. The last value has so many
/// bytes.
fn example(compression: Compression, len: usize) -> Vec<u8> {
    let mut model = Model::default();
    model.set(key(0, b"greeting"), stamp(1_000_007, 0), Some(b"hello again"));
    model.set(key(0, b"greeting"), stamp(1_000_001, 0), Some(b"hello"));
    model.set(key(0, b"green"), stamp(1_000_003, 1), None);
    model.set(key(0, b"grid"), stamp(1_000_002, 0), Some(&vec![0xAA; len]));
    let stamps = vec![stamp(1_000_005, 0)];
    model.tombstones = vec![RangeTombstone { begin: key(0, b"a"), end: key(0, b"b"), stamps }];
    let (vfs, options) = (SimVfs::new(), TableOptions { compression, ..TableOptions::default() });
    let mut writer = TableWriter::create(&vfs, Path::new(PATH), TableNumber(1), &options).unwrap();
    model.entries().for_each(|entry| writer.add(entry).unwrap());
    model.tombstones.iter().for_each(|over| writer.add_tombstone(over).unwrap());
    let properties = writer.finish().unwrap();
    let table = Table::open(&vfs, Path::new(PATH), TableNumber(1)).unwrap();
    assert_eq!(table.properties(), &properties);
    vfs.bytes(Path::new(PATH)).unwrap()
}

#[test]
fn the_page_shows_a_table() {
    let bytes = example(Compression::None, 40);
    let names = ["block", "tombstones", "filter", "index", "properties", "footer"];
    let mut rest = &bytes[..];
    for name in names {
        let name = format!("table-{name}");
        let (section, behind) = rest.split_at(drawn(&name).len().min(rest.len()));
        check(&name, section);
        rest = behind;
    }
    assert!(rest.is_empty(), "the page shows all of it");
}

#[test]
fn the_page_shows_a_packed_block() {
    let bytes = example(Compression::Lz4, 120);
    check("table-packed-block", &bytes[..drawn("table-packed-block").len()]);
}

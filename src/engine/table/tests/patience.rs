//! What is not in memory: who may wait gets it, who may not is told so, and nobody gets anything
//! wrong.

use std::path::Path;

use plinth_protocol::Version;

use super::model::{Model, PATH, key, stamp};
use crate::{
    engine::{
        key::KeyBuf,
        layer::{LayerCursor, Lookup},
        memtable::Direction,
        read_error::ReadError,
        table::{Compression, Patience, ReadIo, Table, TableError, TableOptions},
    },
    vfs::{SimVfs, Vfs},
};

fn name(at: u32) -> KeyBuf {
    key(0, format!("key {at:05}").as_bytes())
}

fn filled(vfs: &SimVfs, compression: Compression) -> Table {
    let mut model = Model::default();
    for at in 0..1500 {
        model.set(name(at), stamp(5, 0), Some(format!("{at:05}").repeat(20).as_bytes()));
    }
    model.write(vfs, &TableOptions { compression, ..TableOptions::default() })
}

/// A table of which every other page is cold.
fn cold(compression: Compression) -> (SimVfs, Table) {
    let vfs = SimVfs::new();
    let number = filled(&vfs, compression).properties().number;
    vfs.set_plan("seed=3 cold=2".parse().unwrap());
    let table = Table::open(&vfs, Path::new(PATH), number).unwrap();
    (vfs, table)
}

/// How many of the keys a reader gets, rather than being told that they are cold.
fn count_read(table: &Table, io: &ReadIo) -> u32 {
    let mut count = 0;
    for at in 0..1500 {
        match table.get(name(at).as_ref(), Version(9), io) {
            Ok(found) => {
                let value = format!("{at:05}").repeat(20);
                assert_eq!(found, Lookup::Value(value.as_bytes(), Version(5)));
                count += 1;
            }
            Err(error) => assert_eq!(error, ReadError::Cold),
        }
    }
    count
}

#[test]
fn who_does_not_wait_is_told_what_is_cold_and_who_waits_warms_it() {
    for compression in [Compression::None, Compression::Lz4] {
        let (_vfs, table) = cold(compression);
        let hurried = || ReadIo::new(Patience::DontWait, 7);
        let early = count_read(&table, &hurried());
        assert!(early < 1500, "all was in memory");
        let mut cursor_io = hurried();
        let mut cursor = table.cursor(Version(9), Direction::Forward, &cursor_io);
        let mut result = cursor.seek(name(0).as_ref());
        while result.is_ok() && cursor.head().is_some() {
            result = cursor.advance();
        }
        assert_eq!(result, Err(ReadError::Cold));
        assert_eq!(cursor.head(), None);
        assert_eq!(count_read(&table, &ReadIo::new(Patience::Wait, 7)), 1500);
        assert_eq!(count_read(&table, &hurried()), 1500, "read a moment ago");
        cursor_io = ReadIo::new(Patience::DontWait, 100);
        assert_eq!(count_read(&table, &cursor_io), 1500, "long ago, and still in memory");
    }
}

#[test]
fn what_was_in_memory_is_believed_for_long_until_something_is_found_to_be_gone() {
    let vfs = SimVfs::new();
    let table = filled(&vfs, Compression::None);
    vfs.set_plan("seed=3 cold=2".parse().unwrap());
    let file = vfs.open_for_reading(Path::new(PATH)).unwrap();
    let hurried = |ticks| ReadIo::new(Patience::DontWait, ticks);
    assert_eq!(count_read(&table, &hurried(7)), 1500);
    // The first blocks go. They are pieces from 3 on, which at tick 11 nobody asks for.
    file.uncache(0..40_000);
    assert_eq!(count_read(&table, &hurried(8)), 1500, "a moment ago");
    assert_eq!(count_read(&table, &hurried(10)), 1500, "not long ago");
    let left = count_read(&table, &hurried(18));
    assert!(left < 1300 && left > 900, "{left}: one was asked for, and then all");
    assert_eq!(count_read(&table, &ReadIo::new(Patience::Wait, 20)), 1500);
    file.uncache(0..40_000);
    assert_eq!(count_read(&table, &hurried(21)), 1500, "a moment ago");
    assert_eq!(count_read(&table, &hurried(26)), left, "memory is short");
    assert_eq!(count_read(&table, &ReadIo::new(Patience::Wait, 27)), 1500);
    assert_eq!(count_read(&table, &ReadIo::new(Patience::Wait, 150)), 1500);
    file.uncache(0..40_000);
    assert_eq!(count_read(&table, &hurried(154)), 1500, "memory is not short any more");
}

#[test]
fn what_is_cold_and_damaged_is_an_error_and_the_rest_is_read() {
    let vfs = SimVfs::new();
    let table = filled(&vfs, Compression::None);
    let number = table.properties().number;
    drop(table);
    vfs.open(Path::new(PATH)).unwrap().write_all_at(b"not what was written", 20_000).unwrap();
    vfs.set_plan("seed=4 cold=1".parse().unwrap());
    let table = Table::open(&vfs, Path::new(PATH), number).unwrap();
    let io = ReadIo::waiting();
    let failed: Vec<u32> = (0..1500)
        .filter(|&at| match table.get(name(at).as_ref(), Version(9), &io) {
            Ok(found) => {
                assert!(matches!(found, Lookup::Value(..)));
                false
            }
            Err(ReadError::Table(TableError::Damaged { offset, .. })) => {
                assert!(offset <= 20_000 && offset > 20_000 - 9000);
                true
            }
            Err(error) => panic!("{error}"),
        })
        .collect();
    assert!(!failed.is_empty() && failed.len() < 100);
    let run = failed.last().unwrap() - failed[0] + 1;
    assert_eq!(run as usize, failed.len(), "one block's keys");
}

#[test]
fn an_open_table_keeps_a_byte_for_each_block_its_bounds_and_an_outline() {
    let vfs = SimVfs::new();
    let table = filled(&vfs, Compression::None);
    let blocks = table.index(&ReadIo::waiting()).unwrap().len();
    assert!(blocks > 15);
    let bounds = name(0).key.len() + name(1499).key.len() + 1;
    let outline = 8 * blocks.div_ceil(16);
    assert_eq!(table.heap_bytes(), PATH.len() + bounds + 3 + blocks + outline);
}

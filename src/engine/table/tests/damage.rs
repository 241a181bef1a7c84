//! Damages a table in every way, and looks at every read of it.
//!
//! A read that touches what is damaged is an error that names the file and an offset in it; any
//! other read gives what it gave before; and verification finds every damage.

use std::{collections::BTreeSet, path::Path};

use plinth_protocol::Version;
use proptest::prelude::*;

use super::model::{Model, NUMBER, PATH, key, stamp};
use crate::{
    engine::{
        key::KeyBuf,
        layer::{EntryStream, LayerCursor, RangeTombstone},
        memtable::Direction,
        read_error::ReadError,
        table::{
            Compression, ReadIo, Table, TableError, TableNumber, TableOptions, TableWriter,
            footer::FOOTER_BYTES,
        },
    },
    vfs::{SimVfs, Vfs},
};

/// A table of a few blocks, with versions over several of them, and range tombstones.
struct Sample {
    model: Model,
    options: TableOptions,
    bytes: Vec<u8>,
}

fn sample(compression: Compression) -> Sample {
    let mut model = Model::default();
    for at in 0..8u64 {
        let name = format!("key {at:03}");
        let value = format!("{at:02} ").repeat(12);
        model.set(key(0, name.as_bytes()), stamp(20 + at, 0), Some(value.as_bytes()));
    }
    for version in 1..6 {
        model.set(key(0, b"key 004"), stamp(version, 1), Some(&[version as u8; 40]));
    }
    model.set(key(0, b"key 007"), stamp(40, 0), None);
    model.set(key(16, b""), stamp(41, 0), Some(b""));
    let over = |begin: &[u8], end: &[u8], stamps| RangeTombstone {
        begin: key(0, begin),
        end: key(0, end),
        stamps,
    };
    model.tombstones = vec![
        over(b"a", b"b", vec![stamp(30, 0), stamp(3, 0)]),
        over(b"key 002", b"key 003x", vec![stamp(50, 0)]),
    ];
    let options = TableOptions { block_bytes: 150, filter_bits_per_key: 10, compression };
    let vfs = SimVfs::new();
    model.write(&vfs, &options);
    let bytes = vfs.bytes(Path::new(PATH)).unwrap();
    Sample { model, options, bytes }
}

fn samples() -> [Sample; 2] {
    [sample(Compression::None), sample(Compression::Lz4)]
}

fn open(bytes: &[u8]) -> Result<Table, TableError> {
    let vfs = SimVfs::new();
    vfs.create(Path::new(PATH)).unwrap().write_all_at(bytes, 0).unwrap();
    Table::open(&vfs, Path::new(PATH), NUMBER)
}

/// The error names the file and a place in it.
fn check_error(error: &TableError, bytes: &[u8]) {
    match error {
        TableError::Damaged { path, offset, .. } => {
            assert_eq!(path, Path::new(PATH));
            assert!(*offset <= bytes.len() as u64, "{error} of {} bytes", bytes.len());
        }
        TableError::UnknownFormat { .. } | TableError::File { .. } => panic!("{error}"),
    }
}

/// What a read gave, if the table was not damaged there.
fn sound<T>(result: Result<T, ReadError>, bytes: &[u8]) -> Option<T> {
    match result {
        Ok(found) => Some(found),
        Err(ReadError::Table(error)) => {
            check_error(&error, bytes);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

impl Sample {
    /// Opens a table with these bytes and verifies it.
    fn verify(&self, bytes: &[u8]) -> Option<Table> {
        let table = match open(bytes) {
            Ok(table) => table,
            Err(error) => {
                check_error(&error, bytes);
                return None;
            }
        };
        let errors = table.verify(&mut |_| {});
        assert_eq!(errors.is_empty(), bytes == self.bytes, "{errors:?}");
        for error in &errors {
            check_error(error, bytes);
        }
        Some(table)
    }

    /// Reads everything from a table with these bytes, and says for which keys that failed; none if
    /// it does not open.
    fn judge(&self, bytes: &[u8]) -> Option<BTreeSet<KeyBuf>> {
        let table = self.verify(bytes)?;
        let mut failed = BTreeSet::new();
        for version in [Version(4), Version::MAX] {
            let io = ReadIo::waiting();
            for probe in self.model.probes() {
                match sound(table.get(probe.as_ref(), version, &io), bytes) {
                    Some(found) => assert_eq!(found, self.model.get(&probe, version), "{probe:?}"),
                    None => _ = failed.insert(probe),
                }
            }
            for direction in [Direction::Forward, Direction::Reverse] {
                self.judge_cursor(&table, version, direction, &io, bytes);
            }
        }
        self.judge_streams(&table, bytes);
        Some(failed)
    }

    fn judge_cursor(
        &self,
        table: &Table,
        version: Version,
        direction: Direction,
        io: &ReadIo,
        bytes: &[u8],
    ) {
        let mut seen: Vec<_> =
            self.model.keys.keys().filter_map(|key| self.model.seen(key, version)).collect();
        let mut from = key(0, b"");
        if direction == Direction::Reverse {
            seen.reverse();
            from = key(17, b"");
        }
        let mut cursor = table.cursor(version, direction, io);
        let mut result = cursor.seek(from.as_ref());
        let mut rows = seen.into_iter();
        while sound(result, bytes).is_some() {
            let expected = rows.next();
            assert_eq!(cursor.head(), expected);
            if expected.is_none() {
                return;
            }
            result = cursor.advance();
        }
        assert_eq!(cursor.head(), None, "nothing after an error");
    }

    fn judge_streams(&self, table: &Table, bytes: &[u8]) {
        if let Some(mut entries) = sound(table.entries(), bytes) {
            for expected in self.model.entries() {
                assert_eq!(entries.head(), Some(expected));
                if sound(entries.advance(), bytes).is_none() {
                    assert_eq!(entries.head(), None);
                    break;
                }
            }
            assert_eq!(entries.head(), None);
        }
        match table.tombstones() {
            Ok(tombstones) => assert_eq!(tombstones, self.model.tombstones),
            Err(error) => check_error(&error, bytes),
        }
        let (io, all) = (ReadIo::waiting(), (key(0, b""), key(17, b"")));
        let range = (all.0.as_ref(), all.1.as_ref());
        if let Some(written) = sound(table.written_since(range, Version(49), &io), bytes) {
            assert!(written);
        }
    }

    /// Where the blocks are.
    fn blocks(&self) -> Vec<std::ops::Range<usize>> {
        let table = open(&self.bytes).unwrap();
        let io = ReadIo::waiting();
        let index = table.index(&io).unwrap();
        let place = |block| index.place(block).unwrap().range;
        (0..index.len())
            .map(|block| place(block).start as usize..place(block).end as usize)
            .collect()
    }

    /// Where the sections begin, and the footer.
    fn data_end(&self) -> usize {
        self.blocks().last().unwrap().end
    }
}

#[test]
fn a_table_without_damage_reads_well() {
    for sample in samples() {
        assert_eq!(sample.judge(&sample.bytes), Some(BTreeSet::new()));
        assert!(sample.blocks().len() > 5);
    }
}

#[test]
fn any_bit_may_be_wrong() {
    for sample in samples() {
        let (blocks, data_end) = (sample.blocks(), sample.data_end());
        for at in 0..sample.bytes.len() {
            // Of values a bit of each byte, of all that has structure every bit.
            let is_header =
                blocks.iter().any(|block| (block.start..block.start + 20).contains(&at));
            let bits = if is_header || at >= data_end { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                let mut bytes = sample.bytes.clone();
                bytes[at] ^= 1 << bit;
                if (at + bit) % 5 > 0 {
                    // Reading it all takes long, so that is done now and then.
                    sample.verify(&bytes);
                    continue;
                }
                let failed = sample.judge(&bytes);
                if at < data_end {
                    let block = blocks.iter().position(|block| block.contains(&at)).unwrap();
                    sample.check_rest(block, &failed.expect("it opens"));
                } else if at >= bytes.len() - FOOTER_BYTES {
                    assert_eq!(failed, None, "a wrong footer does not open: bit {bit} of {at}");
                }
            }
        }
    }
}

impl Sample {
    /// Reads of keys that are not in the damaged block, nor next to it, succeed.
    fn check_rest(&self, block: usize, failed: &BTreeSet<KeyBuf>) {
        let table = open(&self.bytes).unwrap();
        let io = ReadIo::waiting();
        let index = table.index(&io).unwrap();
        let begin = KeyBuf::from(index.separator(block).unwrap());
        let end = index.separator(block + 1).map(KeyBuf::from);
        for key in failed {
            let is_here = begin <= *key && end.as_ref().is_none_or(|end| key <= end);
            assert!(is_here, "{key:?} is not in block {block}, {begin:?} to {end:?}");
        }
    }
}

#[test]
fn a_sector_may_be_zeros() {
    for sample in samples() {
        for at in (0..sample.bytes.len()).step_by(128) {
            let mut bytes = sample.bytes.clone();
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
            sample.judge(&bytes);
        }
    }
}

#[test]
fn a_file_that_is_cut_or_grown_does_not_open() {
    let sample = sample(Compression::None);
    for len in 0..sample.bytes.len() {
        assert_eq!(sample.judge(&sample.bytes[..len]), None, "cut to {len}");
    }
    for more in [1, 64, 512, 4096] {
        let mut bytes = sample.bytes.clone();
        bytes.resize(bytes.len() + more, 0);
        assert_eq!(sample.judge(&bytes), None, "{more} more");
    }
}

#[test]
fn blocks_in_each_others_place_are_noticed() {
    let sample = sample(Compression::None);
    let (blocks, mut swapped) = (sample.blocks(), 0);
    for (at, one) in blocks.iter().enumerate() {
        for other in blocks.iter().skip(at + 1).filter(|other| other.len() == one.len()) {
            let mut bytes = sample.bytes.clone();
            bytes[one.clone()].copy_from_slice(&sample.bytes[other.clone()]);
            bytes[other.clone()].copy_from_slice(&sample.bytes[one.clone()]);
            if bytes != sample.bytes {
                sample.judge(&bytes).expect("it opens");
                swapped += 1;
            }
        }
    }
    assert!(swapped > 0, "no two blocks are of the same length");
}

#[test]
fn a_block_of_another_table_is_noticed() {
    let sample = sample(Compression::None);
    let (vfs, other) = (SimVfs::new(), Path::new("/8.table"));
    let mut writer = TableWriter::create(&vfs, other, TableNumber(8), &sample.options).unwrap();
    sample.model.entries().for_each(|entry| writer.add(entry).unwrap());
    sample.model.tombstones.iter().for_each(|over| writer.add_tombstone(over).unwrap());
    writer.finish().unwrap();
    let theirs = vfs.bytes(other).unwrap();
    assert_eq!(theirs.len(), sample.bytes.len());
    for (block, range) in sample.blocks().into_iter().enumerate() {
        let mut bytes = sample.bytes.clone();
        bytes[range.clone()].copy_from_slice(&theirs[range]);
        let failed = sample.judge(&bytes).expect("it opens");
        sample.check_rest(block, &failed);
    }
    assert_eq!(sample.judge(&theirs), None, "a table under another's name");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn much_may_be_wrong(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 4]>()), 1..20),
        is_packed: bool,
    ) {
        let sample = sample(if is_packed { Compression::Lz4 } else { Compression::None });
        let mut bytes = sample.bytes.clone();
        for (at, new) in changes {
            let at = at.index(bytes.len() - 4);
            bytes[at..at + 4].copy_from_slice(&new);
        }
        sample.judge(&bytes);
    }
}

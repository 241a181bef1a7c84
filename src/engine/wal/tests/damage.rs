//! Damages the log at rest in every way, and checks what recovery says of each.
//!
//! Expected: damage to anything but the last record is refused, with the right file and offset;
//! damage to the last record cuts it off; damage to room that holds nothing changes nothing. Never
//! is there a wrong record.

use std::{ops::ControlFlow, path::PathBuf};

use proptest::prelude::*;

use super::{super::record::RECORD_HEADER_BYTES, *};

/// A log of three segments, every record of it synced.
struct Sample {
    vfs: SimVfs,
    records: Vec<LogRecord>,
    /// Where each record lies: its segment, its first byte, the byte behind its last one.
    places: Vec<(u64, usize, usize)>,
}

/// What is to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Refused, with the damage in this segment at this offset.
    Damaged { segment: u64, offset: usize },
    /// So many records, and nothing said.
    Records(usize),
    /// So many records, and a torn tail at this offset of the last segment.
    Torn { records: usize, offset: usize },
}

fn sample() -> Sample {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    let (mut records, mut places) = (vec![], vec![]);
    for version in 1.. {
        let value_bytes = [10, 900, 300, 430][version as usize % 4];
        let record = if version % 5 == 0 {
            LogRecord::Ceiling(Version(version * 100))
        } else {
            batch(version, value_bytes)
        };
        append(&mut log, &record).unwrap();
        let end = log.position;
        log.sync().unwrap();
        records.push(record);
        places.push((log.segment_number(), end));
        if log.segment_number() == 3 && places.iter().filter(|place| place.0 == 3).count() == 4 {
            break;
        }
    }
    let mut before = (0, 0);
    let places = places.into_iter().map(|(segment, end)| {
        let begin: u64 = if segment == before.0 { before.1 } else { SEGMENT_HEADER_BYTES as u64 };
        before = (segment, end);
        (segment, begin.next_multiple_of(512) as usize, end as usize)
    });
    let places = places.collect();
    Sample { vfs, records, places }
}

fn path(segment: u64) -> PathBuf {
    segment_path(Path::new(DIRECTORY), segment)
}

impl Sample {
    fn last_segment(&self) -> u64 {
        self.places.last().unwrap().0
    }

    fn last_place(&self) -> (usize, usize) {
        let (_, begin, end) = *self.places.last().unwrap();
        (begin, end)
    }

    fn bytes(&self, segment: u64) -> Vec<u8> {
        self.vfs.bytes(&path(segment)).unwrap()
    }

    /// What recovery says when a segment has these bytes instead.
    fn outcome(&self, segment: u64, bytes: &[u8]) -> Outcome {
        let vfs = self.vfs.duplicate();
        vfs.put(&path(segment), bytes).unwrap();
        let seen = self.seen(&vfs);
        let outcome = self.recovered(&vfs);
        assert_eq!(seen, outcome, "who only looks sees what recovery sees");
        outcome
    }

    /// What a look at the log says, which goes on behind the first damage.
    fn seen(&self, vfs: &SimVfs) -> Outcome {
        let calls = vfs.calls();
        let mut records = Vec::new();
        let survey = survey(
            vfs,
            Path::new(DIRECTORY),
            options().database_id,
            LogStart::default(),
            &mut |_, record| {
                records.push(record.clone());
                ControlFlow::Continue(())
            },
        );
        let survey = survey.unwrap();
        assert_eq!(vfs.calls(), calls, "nothing is changed");
        assert!(records.iter().all(|record| self.records.contains(record)), "a wrong record");
        let last = survey.segments.last().unwrap();
        match survey.errors.first() {
            Some(LogError::Damaged { path: at, offset, .. }) => {
                let segment = (1..=3).find(|segment| path(*segment) == *at).unwrap();
                Outcome::Damaged { segment, offset: *offset as usize }
            }
            Some(error) => panic!("{error}"),
            None if last.torn_bytes > 0 => {
                Outcome::Torn { records: records.len(), offset: last.stopped_at as usize }
            }
            None => Outcome::Records(records.len()),
        }
    }

    fn recovered(&self, vfs: &SimVfs) -> Outcome {
        match recover(vfs) {
            Ok((_, report, records)) => {
                assert!(self.records.starts_with(&records), "a wrong record");
                match report.torn_tail {
                    None => Outcome::Records(records.len()),
                    Some(tail) => {
                        assert_eq!(tail.path, path(self.last_segment()));
                        Outcome::Torn { records: records.len(), offset: tail.offset as usize }
                    }
                }
            }
            Err(LogError::Damaged { path: at, offset, .. }) => {
                let segment = (1..=3).find(|segment| path(*segment) == at).unwrap();
                Outcome::Damaged { segment, offset: offset as usize }
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// What is to be expected when this byte of a segment is not what it was.
    fn expected(&self, segment: u64, byte: usize) -> Outcome {
        let all = self.records.len();
        if byte < SEGMENT_HEADER_BYTES {
            return Outcome::Damaged { segment, offset: 0 };
        }
        let mut places = self.places.iter().filter(|place| place.0 == segment).peekable();
        while let Some(&(_, begin, end)) = places.next() {
            let is_last = places.peek().is_none();
            if (begin..end).contains(&byte) {
                return if is_last && segment == self.last_segment() {
                    Outcome::Torn { records: all - 1, offset: begin }
                } else {
                    Outcome::Damaged { segment, offset: begin }
                };
            }
            if byte >= end && places.peek().is_some_and(|(_, next, _)| byte < *next) {
                return Outcome::Damaged { segment, offset: end };
            }
            if byte >= end && is_last && segment == self.last_segment() {
                // Behind zeros up to the next sector, the tail begins there.
                let sector = end.next_multiple_of(512);
                return Outcome::Torn {
                    records: all,
                    offset: if byte < sector { end } else { sector },
                };
            }
        }
        Outcome::Records(all)
    }
}

#[test]
fn the_sample_is_what_the_tests_take_it_for() {
    let sample = sample();
    assert_eq!(sample.last_segment(), 3);
    assert_eq!(sample.outcome(3, &sample.bytes(3)), Outcome::Records(sample.records.len()));
    for (segment, begin, end) in &sample.places {
        let bytes = sample.bytes(*segment);
        assert_eq!(bytes[*begin..begin + 4], *b"PLRC");
        assert!(*end <= bytes.len());
    }
}

#[test]
fn every_bit_of_the_headers_and_some_of_the_rest() {
    let sample = sample();
    for segment in 1..=3 {
        let mut bytes = sample.bytes(segment);
        let structural: Vec<usize> = (0..SEGMENT_HEADER_BYTES)
            .chain(
                sample
                    .places
                    .iter()
                    .filter(|place| place.0 == segment)
                    .flat_map(|&(_, begin, _)| begin..begin + RECORD_HEADER_BYTES),
            )
            .collect();
        let all_bits = structural.into_iter().flat_map(|byte| (0..8).map(move |bit| (byte, bit)));
        let some_bits = (0..bytes.len()).step_by(7).map(|byte| (byte, byte % 8));
        for (byte, bit) in all_bits.chain(some_bits) {
            bytes[byte] ^= 1 << bit;
            let expected = sample.expected(segment, byte);
            let outcome = sample.outcome(segment, &bytes);
            assert_eq!(outcome, expected, "segment {segment} byte {byte} bit {bit}");
            bytes[byte] ^= 1 << bit;
        }
    }
}

#[test]
fn every_zeroed_sector() {
    let sample = sample();
    let (last_begin, last_end) = sample.last_place();
    for segment in 1..=3 {
        let whole = sample.bytes(segment);
        for begin in (0..whole.len()).step_by(512) {
            let mut bytes = whole.clone();
            bytes[begin..begin + 512].fill(0);
            let outcome = sample.outcome(segment, &bytes);
            if bytes == whole {
                assert_eq!(outcome, Outcome::Records(sample.records.len()));
            } else if segment == 3 && begin >= last_begin {
                let records = sample.records.len() - 1;
                let is_all = last_end <= begin + 512 && begin == last_begin;
                let torn = Outcome::Torn { records, offset: last_begin };
                let expected = if is_all { Outcome::Records(records) } else { torn };
                assert_eq!(outcome, expected, "sector {begin}");
            } else {
                let expected = sample.expected(segment, begin);
                assert_eq!(outcome, expected, "segment {segment} sector {begin}");
            }
        }
    }
}

#[test]
fn the_last_segment_truncated_at_every_byte_of_its_last_record() {
    let sample = sample();
    let bytes = sample.bytes(3);
    let (begin, end) = sample.last_place();
    for len in begin..=end + 1 {
        let outcome = sample.outcome(3, &bytes[..len]);
        let records = sample.records.len();
        let expected = if len >= end {
            Outcome::Records(records)
        } else if len == begin {
            Outcome::Records(records - 1)
        } else {
            Outcome::Torn { records: records - 1, offset: begin }
        };
        assert_eq!(outcome, expected, "cut to {len} bytes");
    }
}

#[test]
fn an_older_segment_truncated_anywhere_is_damage() {
    let sample = sample();
    let bytes = sample.bytes(2);
    let end = sample.places.iter().rfind(|place| place.0 == 2).unwrap().2;
    for len in (0..end).step_by(13) {
        let outcome = sample.outcome(2, &bytes[..len]);
        assert!(matches!(outcome, Outcome::Damaged { segment: 2, .. }), "{len}: {outcome:?}");
    }
}

#[test]
fn a_record_in_another_place_or_segment_is_no_record() {
    let sample = sample();
    let (_, last_end) = sample.last_place();
    let behind = last_end.next_multiple_of(512);
    for &(from, begin, end) in &sample.places {
        let record = sample.bytes(from)[begin..end].to_vec();
        // Behind the end of the log: a torn tail, and not the same record twice.
        let mut bytes = sample.bytes(3);
        bytes.resize(behind.max(bytes.len()) + record.len(), 0);
        bytes[behind..behind + record.len()].copy_from_slice(&record);
        let expected = Outcome::Torn { records: sample.records.len(), offset: behind };
        assert_eq!(sample.outcome(3, &bytes), expected, "copied from {from} at {begin}");
        // Over another record: damage, also at the same offset of another segment.
        for &(to, other, _) in sample.places.iter().filter(|to| (to.0, to.1) != (from, begin)) {
            let mut bytes = sample.bytes(to);
            bytes.resize(bytes.len().max(other + record.len()), 0);
            bytes[other..other + record.len()].copy_from_slice(&record);
            let outcome = sample.outcome(to, &bytes);
            let is_last = (to, other) == (3, sample.last_place().0);
            let torn = Outcome::Torn { records: sample.records.len() - 1, offset: other };
            let damaged = Outcome::Damaged { segment: to, offset: other };
            assert_eq!(outcome, if is_last { torn } else { damaged }, "{from} {begin} to {to}");
        }
    }
}

#[test]
fn segments_that_changed_places_or_grew_younger_are_damage() {
    let sample = sample();
    for (segment, other) in [(1, 2), (2, 3), (3, 1)] {
        let outcome = sample.outcome(segment, &sample.bytes(other));
        assert_eq!(outcome, Outcome::Damaged { segment, offset: 0 });
    }
    // A segment as it was before its last record was written.
    let mut bytes = sample.bytes(2);
    let (_, begin, _) = *sample.places.iter().rfind(|place| place.0 == 2).unwrap();
    bytes[begin..].fill(0);
    assert_eq!(sample.outcome(2, &bytes), Outcome::Damaged { segment: 2, offset: begin });
}

/// A record that was at this place of this segment in another life, as an older copy of a page
/// brings it back: its place and its checksums are right, but not the record before it.
#[test]
fn a_record_of_another_history_is_damage() {
    let vfs = SimVfs::new();
    let (mut log, ..) = recover(&vfs).unwrap();
    append(&mut log, &batch(1, 300)).unwrap();
    log.sync().unwrap();
    let go_on = |versions: [u64; 2]| {
        let vfs = vfs.duplicate();
        let (mut log, ..) = recover(&vfs).unwrap();
        let ends = versions.map(|version| {
            append(&mut log, &batch(version, 300)).unwrap();
            log.sync().unwrap();
            log.position as usize
        });
        (vfs.bytes(&path(1)).unwrap(), ends)
    };
    let (other, ends) = go_on([2, 5]);
    let (mut bytes, same_ends) = go_on([3, 4]);
    assert_eq!(ends, same_ends);
    bytes[ends[0]..ends[1]].copy_from_slice(&other[ends[0]..ends[1]]);
    vfs.put(&path(1), &bytes).unwrap();
    let error = recover(&vfs).unwrap_err();
    let at = ends[0] as u64;
    assert!(matches!(error, LogError::Damaged { offset, .. } if offset == at), "{error}");
    assert!(error.to_string().contains("does not follow"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_damage_gives_an_error_or_a_prefix(
        segment in 1_u64..=3,
        changes in prop::collection::vec((0_usize..4096, any::<u8>()), 0..40),
        moved in prop::option::of((0_usize..4096, 0_usize..4096, 1_usize..2000)),
    ) {
        let sample = sample();
        let mut bytes = sample.bytes(segment);
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Some((from, to, count)) = moved {
            let count = count.min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + count, to);
        }
        // `outcome` panics on a wrong record.
        sample.outcome(segment, &bytes);
    }
}

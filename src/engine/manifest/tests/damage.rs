//! Damages a manifest at rest, field by field, and checks what opening says of it.
//!
//! Expected: damage to anything but the last record is refused, with the right offset; damage to
//! the last record cuts it off; the zeros between records mean nothing. Never is there a state that
//! has not been.

use proptest::prelude::*;

use super::{
    super::{
        body::{decode, encode},
        reader::end_of,
        record::{MANIFEST_HEADER_BYTES, ManifestHeader, Place, RecordHeader},
    },
    *,
};

const HEADER: usize = MANIFEST_HEADER_BYTES;

struct Sample {
    vfs: SimVfs,
    bytes: Vec<u8>,
    /// The states after each record, and where the record lies, without the zeros behind it.
    records: Vec<(ManifestState, std::ops::Range<usize>)>,
}

fn sample() -> Sample {
    let vfs = SimVfs::new();
    let (mut manifest, _) = open(&vfs).unwrap();
    let snapshot = encode(&manifest.state().as_edit(), 1).len();
    let mut records =
        vec![(manifest.state().clone(), HEADER..HEADER + RECORD_HEADER_BYTES + snapshot)];
    for edit in [flush(1), flush(2), compact(1, 3), flush(4)] {
        let begin = vfs.bytes(&path(1)).unwrap().len();
        manifest.commit(&edit).unwrap();
        let body = encode(&edit, manifest.state().next_number).len();
        let state = manifest.state().clone();
        records.push((state, begin..begin + RECORD_HEADER_BYTES + body));
    }
    let bytes = vfs.bytes(&path(1)).unwrap();
    Sample { vfs, bytes, records }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Damaged(usize),
    /// So many records.
    Whole(usize),
    Torn(usize),
}

impl Sample {
    fn outcome(&self, bytes: &[u8]) -> Outcome {
        let vfs = self.vfs.duplicate();
        vfs.put(&path(1), bytes).unwrap();
        match open(&vfs) {
            Ok((manifest, report)) => {
                let mut states = self.records.iter().map(|(state, _)| state);
                let count = report.records as usize;
                assert_eq!(states.nth(count - 1).unwrap(), manifest.state(), "a wrong state");
                match report.torn_at {
                    None => Outcome::Whole(count),
                    Some(at) => {
                        assert_eq!(at as usize, self.records[count].1.start);
                        Outcome::Torn(count)
                    }
                }
            }
            Err(ManifestError::Damaged { path: at, offset, .. }) => {
                assert_eq!(at, path(1));
                Outcome::Damaged(offset as usize)
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// What is to be expected when this byte is not what it was.
    fn expected(&self, byte: usize) -> Outcome {
        if byte < HEADER {
            return Outcome::Damaged(0);
        }
        let all = self.records.len();
        match self.records.iter().position(|(_, place)| place.contains(&byte)) {
            None => Outcome::Whole(all),
            Some(index) if index + 1 == all => Outcome::Torn(index),
            Some(index) => Outcome::Damaged(self.records[index].1.start),
        }
    }
}

#[test]
fn no_bit_of_a_header_or_a_record_may_change() {
    let sample = sample();
    assert_eq!(sample.outcome(&sample.bytes), Outcome::Whole(5));
    for byte in 0..sample.bytes.len() {
        let is_zeros =
            (48..HEADER - 4).contains(&byte) || sample.expected(byte) == Outcome::Whole(5);
        for bit in (0..8).step_by(if is_zeros { 8 } else { 1 }) {
            let mut bytes = sample.bytes.clone();
            bytes[byte] ^= 1 << bit;
            assert_eq!(sample.outcome(&bytes), sample.expected(byte), "byte {byte} bit {bit}");
        }
    }
}

#[test]
fn a_manifest_may_end_after_any_record_but_the_first() {
    let sample = sample();
    for len in 0..sample.bytes.len() {
        let whole = sample.records.iter().filter(|(_, place)| place.end <= len).count();
        let expected = match whole {
            0 if len < HEADER => Outcome::Damaged(0),
            0 => Outcome::Damaged(HEADER),
            _ => match sample.records.get(whole) {
                Some((_, next)) if len > next.start => Outcome::Torn(whole),
                _ => Outcome::Whole(whole),
            },
        };
        assert_eq!(sample.outcome(&sample.bytes[..len]), expected, "{len} bytes");
    }
}

#[test]
fn sectors_that_are_lost_repeated_or_exchanged_are_noticed() {
    let sample = sample();
    let sectors = sample.bytes.len() / 512;
    for sector in 0..sectors {
        let place = sector * 512..(sector + 1) * 512;
        let mut lost = sample.bytes.clone();
        lost[place.clone()].fill(0);
        assert_eq!(sample.outcome(&lost), sample.expected(place.start), "sector {sector} lost");
        for other in (0..sectors).filter(|other| *other != sector) {
            let mut repeated = sample.bytes.clone();
            repeated.copy_within(place.clone(), other * 512);
            assert_eq!(sample.outcome(&repeated), sample.expected(other * 512), "{sector}→{other}");
        }
    }
    // A record behind the end that was never written there is none.
    let mut longer = sample.bytes.clone();
    longer.extend_from_slice(&sample.bytes[HEADER..]);
    let vfs = sample.vfs.duplicate();
    vfs.put(&path(1), &longer).unwrap();
    let (manifest, report) = open(&vfs).unwrap();
    assert_eq!((manifest.state(), report.records), (&sample.records[4].0, 5));
    assert_eq!(report.torn_at, Some(sample.bytes.len() as u64));
}

/// A manifest with the right checksums and one record behind the first one.
fn forged(header: &ManifestHeader, record_type: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = header.encode().to_vec();
    let mut previous = 0;
    let snapshot = encode(&Edit::default(), 1);
    for (record_type, body) in [(1, &snapshot[..]), (record_type, body)] {
        let offset = bytes.len() as u64;
        let body_crc = crc32fast::hash(body);
        let header_of =
            RecordHeader { body_bytes: body.len() as u32, body_crc, previous, record_type };
        let (record, crc) = header_of.encode(Place { salt: header.salt, offset });
        previous = crc;
        bytes.extend_from_slice(&record);
        bytes.extend_from_slice(body);
        bytes.resize(end_of(offset, body.len()) as usize, 0);
    }
    bytes
}

fn open_forged(
    header: &ManifestHeader,
    record_type: u8,
    body: &[u8],
) -> Result<u64, ManifestError> {
    let vfs = SimVfs::new();
    vfs.put(&path(1), &forged(header, record_type, body)).unwrap();
    open(&vfs).map(|(_, report)| report.records)
}

fn header() -> ManifestHeader {
    ManifestHeader { database_id: options().database_id, number: 1, salt: 9 }
}

#[test]
fn manifests_of_others_and_of_newer_programs_are_named() {
    let body = encode(&flush(1), 2);
    assert_eq!(open_forged(&header(), 2, &body).unwrap(), 2);
    let other = ManifestHeader { database_id: [1; 16], ..header() };
    assert!(matches!(open_forged(&other, 2, &body), Err(ManifestError::Foreign { .. })));
    let number = ManifestHeader { number: 2, ..header() };
    let error = open_forged(&number, 2, &body).unwrap_err();
    assert!(matches!(error, ManifestError::Damaged { offset: 0, .. }), "{error}");
    let error = open_forged(&header(), 3, &body).unwrap_err();
    let is_named =
        matches!(error, ManifestError::UnknownRecord { offset: 1024, record_type: 3, .. });
    assert!(is_named, "{error}");
    let error = open_forged(&header(), 1, &body).unwrap_err();
    assert!(matches!(error, ManifestError::Damaged { offset: 1024, .. }), "{error}");

    let mut newer = forged(&header(), 2, &body);
    newer[8] = 2;
    let crc = crc32fast::hash(&newer[..508]);
    newer[508..512].copy_from_slice(&crc.to_le_bytes());
    let vfs = SimVfs::new();
    vfs.put(&path(1), &newer).unwrap();
    let error = open(&vfs).unwrap_err();
    assert!(matches!(error, ManifestError::UnknownFormat { format: 2, .. }), "{error}");
}

#[test]
fn a_sound_record_with_a_senseless_body_is_damage() {
    let mut edit = compact(1, 7);
    edit.flushed = Some(Flushed { version: Version(9), log_start: 2, ids: Some(5) });
    edit.ceiling = Some(Version(70));
    let whole = encode(&edit, 8);
    assert_eq!(decode(&whole), Ok((edit.clone(), 8)));
    for len in 0..whole.len() {
        assert!(decode(&whole[..len]).is_err(), "{len} bytes");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(decode(&longer).is_err());
    assert!(decode(&encode(&edit, 7)).is_err(), "the next number is the table's");
    assert!(decode(&encode(&Edit { ceiling: Some(Version(u64::MAX)), ..edit }, 8)).is_err());
    let mut turned = flush(1);
    turned.added[0].1.end = key(b"a");
    assert!(decode(&encode(&turned, 2)).is_err(), "no keys");
    // Two changes that don't go together.
    for (edit, next_number) in [(compact(1, 2), 3), (flush(1), 1)] {
        let error = open_forged(&header(), 2, &encode(&edit, next_number)).unwrap_err();
        assert!(matches!(error, ManifestError::Damaged { offset: 1024, .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_opening_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = open_forged(&header(), 2, &body);
    }

    #[test]
    fn a_changed_body_is_decoded_or_refused(at in 0_usize..1000, byte: u8) {
        let mut body = encode(&compact(1, 7), 8);
        let at = at % body.len();
        body[at] = byte;
        let _ = open_forged(&header(), 2, &body);
    }
}

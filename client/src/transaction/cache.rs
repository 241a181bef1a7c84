//! What a transaction has read: it is not asked for again.
//!
//! A cache holds ranges of one keyspace whose rows are known, as of the transaction's snapshot. It
//! also decides where a page of a range ends, as in FoundationDB's client: a page that has rows and
//! a limit on bytes ends rather than ask for more.
//!
//! It is bounded. When it grows beyond that it forgets everything but the latest.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use plinth_protocol::{KeyRange, range::key_after, response::KeyValue};

/// A cache that has more bytes than this begins again.
const CACHED_BYTES_MAX: usize = 1 << 20;
/// So many keys may wait to be put among the ranges.
const UNSETTLED_KEYS_MAX: usize = 256;
/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 64;

/// A range whose rows are known.
#[derive(Debug)]
struct KnownRange {
    end: Bytes,
    /// Ascending.
    rows: Vec<KeyValue>,
}

impl KnownRange {
    /// About how much memory it takes.
    fn size(&self) -> usize {
        let row_bytes = |row: &KeyValue| row.key.len() + row.value.len() + ENTRY_BYTES;
        ENTRY_BYTES + self.rows.iter().map(row_bytes).sum::<usize>()
    }
}

/// What the cache says of a place.
#[derive(Debug)]
pub(super) enum Cached {
    Unknown,
    Absent,
    Row(Bytes),
}

/// Disjoint known ranges, by where they begin.
#[derive(Debug, Default)]
pub(super) struct Cache {
    ranges: BTreeMap<Bytes, KnownRange>,
    /// Keys that were read and are not among the ranges yet: reading keys alone costs no more than
    /// this.
    keys: Vec<(Bytes, Option<Bytes>)>,
    bytes: usize,
}

impl Cache {
    /// Notes the value of a key.
    pub(super) fn insert_key(&mut self, key: Bytes, value: Option<Bytes>) {
        self.keys.push((key, value));
        if self.keys.len() >= UNSETTLED_KEYS_MAX {
            self.settle();
        }
    }

    /// Puts the keys that were read among the ranges.
    pub(super) fn settle(&mut self) {
        for (key, value) in std::mem::take(&mut self.keys) {
            let row = value.map(|value| KeyValue { key: key.clone(), value });
            let end = key_after(&key);
            self.insert(KeyRange { begin: key, end }, row.into_iter().collect());
        }
    }

    /// Notes all the rows of a range, ascending. Ranges that lie within become one with it.
    pub(super) fn insert(&mut self, range: KeyRange, mut rows: Vec<KeyValue>) {
        if self.bytes > CACHED_BYTES_MAX {
            *self = Self::default();
        }
        let KeyRange { mut begin, mut end } = range;
        // What is known at either end stays as it is.
        if let Some((first, known)) = self.covering(&begin)
            && *first != begin
        {
            begin = known.end.clone();
            rows.drain(..rows.partition_point(|row| row.key < begin));
        }
        if let Some((first, _)) = self.covering(&end) {
            end = first.clone();
            rows.truncate(rows.partition_point(|row| row.key < end));
        }
        if begin >= end {
            return;
        }
        while let Some((first, known)) = self.ranges.range(begin.clone()..end.clone()).next_back() {
            self.bytes = self.bytes.saturating_sub(known.size());
            let first = first.clone();
            self.ranges.remove(&first);
        }
        let known = KnownRange { end, rows };
        self.bytes += known.size();
        self.ranges.insert(begin, known);
    }

    /// The known range that holds `key`: where it begins, and what it is.
    fn covering(&self, key: &[u8]) -> Option<(&Bytes, &KnownRange)> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        let (first, known) = self.ranges.range::<[u8], _>(upto).next_back()?;
        (known.end.as_ref() > key).then_some((first, known))
    }

    /// The value of a key, if that is known.
    pub(super) fn get(&self, key: &[u8]) -> Cached {
        let Some((_, known)) = self.covering(key) else { return Cached::Unknown };
        let at = known.rows.binary_search_by(|row| row.key.as_ref().cmp(key));
        match at.ok().and_then(|at| known.rows.get(at)) {
            Some(row) => Cached::Row(row.value.clone()),
            None => Cached::Absent,
        }
    }

    /// Whether nothing of `begin..end` is known.
    pub(super) fn is_unknown(&mut self, begin: &Bytes, end: &Bytes) -> bool {
        self.settle();
        self.ranges.is_empty()
            || (self.covering(begin).is_none()
                && (begin >= end || self.ranges.range::<Bytes, _>(begin..end).next().is_none()))
    }

    /// The first place after `key` where something else may begin.
    pub(super) fn boundary_after(&self, key: &Bytes) -> Option<Bytes> {
        if let Some((_, known)) = self.covering(key) {
            let next = known.rows.partition_point(|row| row.key < *key);
            return Some(match known.rows.get(next) {
                Some(row) if row.key == *key => key_after(key),
                Some(row) => row.key.clone(),
                None => known.end.clone(),
            });
        }
        let after = (Bound::Excluded(key), Bound::Unbounded);
        self.ranges.range::<Bytes, _>(after).next().map(|(begin, _)| begin.clone())
    }

    /// The last place before `key` where something else may begin.
    pub(super) fn boundary_before(&self, key: &Bytes) -> Option<Bytes> {
        let (begin, known) = self.ranges.range(..key.clone()).next_back()?;
        if known.end < *key {
            return Some(known.end.clone());
        }
        let before = known.rows.partition_point(|row| row.key < *key);
        let row = before.checked_sub(1).and_then(|at| known.rows.get(at));
        Some(row.map_or_else(|| begin.clone(), |row| last_boundary(&row.key, key)))
    }
}

/// Where the last segment before `key` begins, if the last key that is there is `row`: after it, or
/// at it if nothing lies between.
pub(super) fn last_boundary(row: &Bytes, key: &Bytes) -> Bytes {
    let after = key_after(row);
    if after < *key { after } else { row.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &'static str) -> KeyValue {
        KeyValue { key: key.into(), value: "v".into() }
    }

    #[test]
    fn pieces_fill_the_gaps_and_nothing_is_forgotten() {
        let mut cache = Cache::default();
        cache.insert_key("c".into(), Some("v".into()));
        cache.insert_key("e".into(), None);
        cache.settle();
        cache.insert(KeyRange::new("b", "g"), vec![row("b"), row("c"), row("d"), row("f")]);
        for key in ["b", "c", "d", "f"] {
            assert!(matches!(cache.get(key.as_bytes()), Cached::Row(_)), "{key}");
        }
        for key in ["b5", "c\0", "e", "f5"] {
            assert!(matches!(cache.get(key.as_bytes()), Cached::Absent), "{key}");
        }
        for key in ["a", "g"] {
            assert!(matches!(cache.get(key.as_bytes()), Cached::Unknown), "{key}");
        }
        assert_eq!(cache.ranges.len(), 1, "what lies within becomes one with it");
        assert_eq!(cache.bytes, cache.ranges.values().map(KnownRange::size).sum::<usize>());
        assert!(cache.is_unknown(&"g".into(), &"z".into()));
        assert!(cache.is_unknown(&"".into(), &"b".into()));
        assert!(!cache.is_unknown(&"a".into(), &"c".into()));
    }

    #[test]
    fn what_is_known_at_an_end_stays_as_it_is() {
        let mut cache = Cache::default();
        cache.insert(KeyRange::new("b", "d"), vec![row("c")]);
        cache.insert(KeyRange::new("f", "h"), vec![]);
        cache.insert(KeyRange::new("c", "g"), vec![row("c"), row("e")]);
        let begins: Vec<_> = cache.ranges.keys().map(Bytes::as_ref).collect();
        assert_eq!(begins, [b"b", b"d", b"f"]);
        assert!(matches!(cache.get(b"e"), Cached::Row(_)));
        cache.insert(KeyRange::new("b5", "c5"), vec![row("c")]);
        assert_eq!(cache.ranges.len(), 3, "nothing new");
    }

    #[test]
    fn it_stays_bounded() {
        let mut cache = Cache::default();
        for n in 0..100_000_u32 {
            cache.insert_key(format!("{n:06}").into(), None);
        }
        cache.settle();
        assert!(cache.bytes <= CACHED_BYTES_MAX + 1000);
        assert!(matches!(cache.get(b"099999"), Cached::Absent));
    }
}

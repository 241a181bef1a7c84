//! What a read of keys that were not named has depended on, and so what others must not have written
//! when the transaction commits.
//!
//! What is shown of it is FoundationDB's account. It depends on the rows that were returned, and on
//! nothing else that was looked at: a page that a limit ended covers what lies up to its last row.

use bytes::Bytes;
use plinth_protocol::{KeyRange, KeySelector, range::key_after};

use super::{RangeRead, run::Run, source::Source};

/// What a read has depended on.
#[derive(Debug)]
pub(super) struct Covered {
    /// As FoundationDB counts it.
    pub(super) seen: KeyRange,
    /// What that leaves out: without it a conflict would go unnoticed, and the transaction would not
    /// be serializable. It counts like the rest, but isn't shown among it.
    pub(super) unseen: Option<KeyRange>,
}

impl Covered {
    /// What a selector has depended on that was resolved to `resolved`.
    pub(super) fn by_key(selector: &KeySelector, resolved: &Bytes, keyspace_end: &Bytes) -> Self {
        let seen = if selector.offset <= 0 {
            KeyRange { begin: resolved.clone(), end: selector.key.clone() }
        } else if resolved >= keyspace_end {
            KeyRange { begin: selector.key.clone(), end: keyspace_end.clone() }
        } else {
            KeyRange { begin: selector.key.clone(), end: key_after(resolved) }
        };
        Self { seen, unseen: None }
    }

    /// What a page of a range has depended on.
    pub(super) fn by_page<S>(read: &RangeRead, run: &Run, source: &Source<S>) -> Self {
        let seen = if source.is_cached { seen } else { seen_in_database };
        let seen = seen(read, run, &source.end);
        // Keys that selectors counted and that aren't there count as though they had been returned.
        let unseen = run.ghosts.as_ref().map(|(least, greatest)| KeyRange {
            begin: seen.begin.clone().min(least.clone()),
            end: seen.end.clone().max(key_after(greatest)),
        });
        Self { seen, unseen }
    }
}

/// What a range read past the cache has depended on. This is FoundationDB's account to the letter, and
/// too little where both selectors run off the beginning: nothing is covered before their own keys.
fn seen_in_database(read: &RangeRead, run: &Run, keyspace_end: &Bytes) -> KeyRange {
    let (begin, end) = (&read.begin, &read.end);
    let ends = run.rows.first().zip(run.rows.last());
    let mut low = match ends {
        _ if run.is_before_first => Bytes::new(),
        Some((first, last))
            if begin.offset <= 0 || (read.reverse && run.more && begin.offset <= 1) =>
        {
            if read.reverse { last.key.clone() } else { first.key.clone() }
        }
        _ => begin.key.clone(),
    };
    if end.offset > begin.offset && end.key < low {
        low = end.key.clone();
    }
    let mut high = match ends {
        _ if run.is_after_last => keyspace_end.clone(),
        Some((first, last)) if end.offset > 1 || (!read.reverse && run.more && end.offset > 0) => {
            key_after(if read.reverse { &first.key } else { &last.key })
        }
        _ => end.key.clone(),
    };
    if begin.offset < end.offset && begin.key > high {
        high = begin.key.clone();
    }
    KeyRange { begin: low, end: high }
}

/// What a range read has depended on: any other key written changes nothing in its answer.
fn seen(read: &RangeRead, page: &Run, keyspace_end: &Bytes) -> KeyRange {
    let (begin, end) = (&read.begin, &read.end);
    let (mut low, mut high) = match (begin.key < end.key, read.reverse) {
        (false, _) => (&end.key, &begin.key),
        (true, false) if page.more && end.offset > 0 => (&begin.key, &begin.key),
        (true, true) if page.more && begin.offset <= 1 => (&end.key, &end.key),
        (true, _) => (&begin.key, &end.key),
    };
    let first_key = Bytes::new();
    if page.is_before_first && begin.offset <= 0 {
        low = &first_key;
    }
    if page.is_after_last && end.offset > 0 {
        high = keyspace_end;
    }
    let mut range = KeyRange { begin: low.clone(), end: high.clone() };
    if let (Some(first), Some(last)) = (page.rows.first(), page.rows.last()) {
        let (least, greatest) = if read.reverse { (last, first) } else { (first, last) };
        if (read.reverse || begin.offset <= 0) && least.key < range.begin {
            range.begin = least.key.clone();
        }
        if (!read.reverse || end.offset > 0) && range.end <= greatest.key {
            range.end = key_after(&greatest.key);
        }
    }
    range
}

//! Sets of keys as lists of ranges, in the most naive way.

use std::collections::BTreeSet;

/// A key.
pub(super) type Key = Vec<u8>;

/// The key after all users' keys.
pub(super) const END: &[u8] = b"\xFF";

/// The key right after another.
pub(super) fn after(key: &[u8]) -> Key {
    [key, b"\0"].concat()
}

/// Keys, by ranges that may overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(Key, Key)>);

impl Ranges {
    /// Adds the keys from `begin` to before `end`, as far as they are users' keys.
    pub(super) fn add(&mut self, begin: &[u8], end: &[u8]) {
        let end = end.min(END);
        if begin < end {
            self.0.push((begin.to_vec(), end.to_vec()));
        }
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.0.iter().any(|(begin, end)| begin.as_slice() <= key && key < end.as_slice())
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|(begin, end)| other.0.iter().any(|(b, e)| b < end && begin < e))
    }

    /// What is in both.
    pub(super) fn common(&self, other: &Self) -> Self {
        let mut common = Self::default();
        for (begin, end) in &self.0 {
            for (b, e) in &other.0 {
                common.add(begin.max(b), end.min(e));
            }
        }
        common
    }

    /// Whether each key here is there too. Between neighbouring boundaries nothing changes, so one
    /// key stands for all.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let ends = self.0.iter().chain(&other.0);
        let points: BTreeSet<_> = ends.flat_map(|(begin, end)| [begin, end]).collect();
        points.into_iter().all(|point| !self.contains(point) || other.contains(point))
    }

    /// Reads the form of FoundationDB's special keys: "1" where a range begins, "0" where it ends,
    /// each key after a slash. Fails if ranges overlap, touch, or are out of order.
    pub(super) fn parse(rows: &[(Key, Key)]) -> Result<Self, String> {
        let wrong = || format!("these are no boundaries of ranges: {rows:?}");
        let mut ranges = Self::default();
        let mut last: Option<&[u8]> = None;
        for pair in rows.chunks(2) {
            let [(begin, one), (end, zero)] = pair else { return Err(wrong()) };
            let (Some(b), Some(e)) = (begin.strip_prefix(b"/"), end.strip_prefix(b"/")) else {
                return Err(wrong());
            };
            if one != b"1" || zero != b"0" || b >= e || last.is_some_and(|last| last >= b) {
                return Err(wrong());
            }
            ranges.add(b, e);
            last = Some(e);
        }
        Ok(ranges)
    }
}

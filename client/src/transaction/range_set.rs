//! A set of keys that is made of ranges.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use plinth_protocol::KeyRange;

/// Disjoint, non-adjacent half-open ranges in order: begin to end.
#[derive(Clone, Debug, Default)]
pub(super) struct RangeSet {
    ranges: BTreeMap<Bytes, Bytes>,
}

impl RangeSet {
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Adds every key in `begin..end`.
    pub(super) fn insert(&mut self, begin: &Bytes, end: &Bytes) {
        if begin >= end {
            return;
        }
        let (mut begin, mut end) = (begin.clone(), end.clone());
        if let Some((first, last)) = self.ranges.range(..=begin.clone()).next_back()
            && *last >= begin
        {
            begin = first.clone();
            end = end.max(last.clone());
        }
        while let Some((first, last)) = self
            .ranges
            .range::<Bytes, _>((Bound::Excluded(&begin), Bound::Included(&end)))
            .next_back()
        {
            let first = first.clone();
            end = end.max(last.clone());
            self.ranges.remove(&first);
        }
        self.ranges.insert(begin, end);
    }

    /// Takes every key in `begin..end` out.
    pub(super) fn remove(&mut self, begin: &Bytes, end: &Bytes) {
        if begin >= end {
            return;
        }
        if let Some((first, last)) = self.ranges.range(..begin.clone()).next_back()
            && last > begin
        {
            let (first, last) = (first.clone(), last.clone());
            if last > *end {
                self.ranges.insert(end.clone(), last);
            }
            self.ranges.insert(first, begin.clone());
        }
        while let Some((first, last)) = self.ranges.range(begin.clone()..end.clone()).next_back() {
            let (first, last) = (first.clone(), last.clone());
            self.ranges.remove(&first);
            if last > *end {
                self.ranges.insert(end.clone(), last);
            }
        }
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.covering(key).is_some()
    }

    /// The range that holds `key`.
    pub(super) fn covering(&self, key: &[u8]) -> Option<(&Bytes, &Bytes)> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        self.ranges.range::<[u8], _>(upto).next_back().filter(|(_, last)| last.as_ref() > key)
    }

    /// The first place after `key` where a range begins or ends.
    pub(super) fn boundary_after(&self, key: &Bytes) -> Option<&Bytes> {
        if let Some((_, end)) = self.covering(key) {
            return Some(end);
        }
        let after = (Bound::Excluded(key), Bound::Unbounded);
        self.ranges.range::<Bytes, _>(after).next().map(|(begin, _)| begin)
    }

    /// The last place before `key` where a range begins or ends.
    pub(super) fn boundary_before(&self, key: &Bytes) -> Option<&Bytes> {
        let (begin, end) = self.ranges.range(..key.clone()).next_back()?;
        Some(if end < key { end } else { begin })
    }

    /// The parts of the set within `begin..end`, in order.
    pub(super) fn within<'a>(
        &'a self,
        begin: &'a Bytes,
        end: &'a Bytes,
    ) -> impl DoubleEndedIterator<Item = KeyRange> + 'a {
        let head = self.covering(begin).map(|(first, _)| first).filter(|first| *first < begin);
        let from = head.unwrap_or(begin);
        let upto = if from < end { end } else { from };
        self.ranges
            .range::<Bytes, _>(from..upto)
            .map(move |(first, last)| KeyRange {
                begin: first.max(begin).clone(),
                end: last.min(end).clone(),
            })
            .filter(|range| !range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    proptest! {
        /// Against a plain array of booleans.
        #[test]
        fn is_the_set_of_keys_that_it_says(
            steps in prop::collection::vec((any::<bool>(), 0_u8..32, 0_u8..32), 0..40),
            window in (0_u8..32, 0_u8..32),
        ) {
            let mut set = RangeSet::default();
            let mut model = [false; 32];
            for (inserts, begin, end) in steps {
                if inserts {
                    set.insert(&key(begin), &key(end));
                } else {
                    set.remove(&key(begin), &key(end));
                }
                for n in begin..end {
                    model[usize::from(n)] = inserts;
                }
                let ranges: Vec<_> = set.ranges.iter().collect();
                prop_assert!(ranges.iter().all(|(begin, end)| begin < end));
                prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
            for n in 0..32_u8 {
                prop_assert_eq!(set.contains(&[n]), model[usize::from(n)]);
            }
            let (begin, end) = (key(window.0), key(window.1));
            let mut seen = [false; 32];
            for range in set.within(&begin, &end) {
                prop_assert!(!range.is_empty() && range.begin >= begin && range.end <= end);
                for n in range.begin[0]..range.end[0] {
                    seen[usize::from(n)] = true;
                }
            }
            for n in 0..32 {
                let inside = (window.0..window.1).contains(&n);
                prop_assert_eq!(seen[usize::from(n)], inside && model[usize::from(n)]);
            }
        }
    }
}

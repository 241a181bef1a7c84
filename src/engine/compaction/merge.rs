//! Entries of many streams, in one order.

use crate::engine::{
    key::KeyRef,
    layer::{Entry, EntryStream},
    read_error::ReadError,
    visible::Stamp,
};

/// Merges streams into one: keys ascending, the versions of each newest first.
///
/// The streams that are not at their end stand in a list, sorted by their heads, the smallest
/// last. After a step the last one sinks to its place. A large source among small ones keeps being
/// the smallest, which costs one comparison a step.
pub(super) struct Merge<'a> {
    streams: Vec<Box<dyn EntryStream + 'a>>,
}

fn place<'e>(stream: &'e (dyn EntryStream + '_)) -> Option<(KeyRef<'e>, std::cmp::Reverse<Stamp>)> {
    stream.head().map(|head| (head.key, std::cmp::Reverse(head.stamp)))
}

impl<'a> Merge<'a> {
    pub(super) fn new(mut streams: Vec<Box<dyn EntryStream + 'a>>) -> Self {
        streams.retain(|stream| stream.head().is_some());
        streams.sort_by(|a, b| place(&**b).cmp(&place(&**a)));
        Self { streams }
    }

    /// The entry that it stands at; none at the end.
    pub(super) fn head(&self) -> Option<Entry<'_>> {
        self.streams.last().and_then(|stream| stream.head())
    }

    /// Goes on to the next entry.
    pub(super) fn advance(&mut self) -> Result<(), ReadError> {
        let Some((first, others)) = self.streams.split_last_mut() else { return Ok(()) };
        first.advance()?;
        let Some(here) = place(&**first) else {
            self.streams.pop();
            return Ok(());
        };
        if others.last().is_none_or(|next| place(&**next) > Some(here)) {
            return Ok(());
        }
        let at = others.partition_point(|other| place(&**other) > Some(here));
        if let Some(moved) = self.streams.get_mut(at..) {
            moved.rotate_right(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::compaction::testing::{Listed, listed};

    proptest! {
        #[test]
        fn what_was_dealt_out_comes_back_in_order(
            entries in prop::collection::btree_map((0u8..9, 0u64..9), 0usize..5, 0..60),
        ) {
            let mut hands: Vec<Vec<_>> = vec![Vec::new(); 5];
            let mut all: Vec<Listed> = Vec::new();
            for ((key, age), hand) in entries {
                let entry = listed(key, 9 - age, Some(&[key]));
                hands[hand].push(entry.clone());
                all.push(entry);
            }
            let hands: Vec<_> = hands.iter().map(|hand| Listed::stream(hand)).collect();
            let mut merge = Merge::new(hands);
            for entry in &all {
                prop_assert_eq!(merge.head(), Some(entry.entry()));
                merge.advance().unwrap();
            }
            prop_assert_eq!(merge.head(), None);
            merge.advance().unwrap();
        }
    }
}

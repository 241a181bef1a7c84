//! Places in the order that a database states: of commits, and of reads between them.

use plinth_protocol::{Version, Versionstamp};

use crate::cli::bench::history::order_of;

/// A place in the order. Reads at a version come after all commits of that version. Between any two
/// commits there is room for those whose place has to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u128);

impl Place {
    /// Before everything.
    pub(super) const BEGINNING: Self = Self(0);
    /// Behind everything.
    pub(super) const END: Self = Self(u128::MAX);

    pub(super) fn of_commit(stamp: Versionstamp) -> Self {
        Self(u128::from(stamp.version().0) << 64 | (u128::from(order_of(stamp)) + 1) << 32)
    }

    pub(super) fn of_reads_at(version: Version) -> Self {
        Self(u128::from(version.0) << 64 | u128::from(u64::MAX))
    }

    /// The version within.
    pub(super) fn version(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// Places where something may be: spans, each without its beginning and with its end.
#[derive(Clone, Debug)]
pub(super) struct Spans(Vec<(Place, Place)>);

impl Spans {
    pub(super) fn new(after: Place, until: Place) -> Self {
        let mut spans = Self(vec![(after, until)]);
        spans.0.retain(|(after, until)| after < until);
        spans
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes away all that is not in the span.
    pub(super) fn keep(&mut self, after: Place, until: Place) {
        for span in &mut self.0 {
            *span = (span.0.max(after), span.1.min(until));
        }
        self.0.retain(|(after, until)| after < until);
    }

    /// Takes away the span.
    pub(super) fn remove(&mut self, after: Place, until: Place) {
        if after >= until {
            return;
        }
        let whole = std::mem::take(&mut self.0);
        for (begin, end) in whole {
            self.0.extend([(begin, end.min(after)), (begin.max(until), end)]);
        }
        self.0.retain(|(after, until)| after < until);
    }

    /// The last place of each span and then the first, from the last span to the first.
    pub(super) fn candidates(&self) -> Vec<Place> {
        let mut candidates: Vec<Place> = self.0.iter().rev().map(|(_, until)| *until).collect();
        candidates.extend(self.0.iter().rev().map(|(after, _)| Place(after.0 + 1)));
        candidates.dedup();
        candidates
    }
}

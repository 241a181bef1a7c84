//! Range tombstones: what was cleared by the range, and when.
//!
//! At any version, the keys fall into spans, each with the newest range clear that covers it or
//! none. A clear replaces the spans that it covers by one, however many there were. So a version's
//! spans are one sorted list without overlaps, and *which clear hides this key at that version* is
//! two binary searches: for the version, and for the key.
//!
//! Lists share what they have in common: they are cut into chunks, and a clear copies the chunks at
//! its ends and the list of chunks.
//!
//! A tombstone whose keys were swept out of the memtable is dropped if nothing lies beneath. If
//! something does, it stays for the older layers' sake, and is *settled*: it gets the stamp below
//! all others of the memtable, which hides nothing here and everything there. Neighbours that are
//! settled become one, so that a queue that is cleared from its head leaves one span, not one for
//! each clear.

use std::sync::Arc;

use plinth_protocol::Version;

use super::reclaim::{Owned, ReadGuard};
use crate::engine::{
    key::{KeyBuf, KeyRef},
    layer::Span,
    visible::Stamp,
};

/// Spans, and versions, of a chunk at most.
const CHUNK_MAX: usize = 64;

/// What a boundary's key is taken to need.
const KEY_BYTES_ASSUMED: usize = 32;

/// What covers the keys from `begin` to the next boundary.
#[derive(Clone, Debug)]
struct Boundary {
    begin: Arc<KeyBuf>,
    stamp: Option<Stamp>,
}

/// The spans of one version.
#[derive(Clone, Debug, Default)]
struct Spans {
    /// Ascending; no chunk is empty. The keys before the first boundary are not covered, nor are
    /// those after the last.
    chunks: Vec<Arc<[Boundary]>>,
    /// Boundaries where a tombstone begins.
    covered: usize,
}

impl Spans {
    /// The chunk and the place in it of the first boundary not below `key`.
    fn lower_bound(&self, key: KeyRef<'_>) -> (usize, usize) {
        let is_below = |boundary: &Boundary| boundary.begin.as_ref().as_ref() < key;
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(&is_below));
        let at = self.chunks.get(chunk).map_or(0, |chunk| chunk.partition_point(is_below));
        (chunk, at)
    }

    fn boundary(&self, (chunk, at): (usize, usize)) -> Option<&Boundary> {
        self.chunks.get(chunk)?.get(at)
    }

    /// The boundary before a place.
    fn before(&self, (chunk, at): (usize, usize)) -> Option<&Boundary> {
        match at.checked_sub(1) {
            Some(at) => self.boundary((chunk, at)),
            None => self.chunks.get(chunk.checked_sub(1)?)?.last(),
        }
    }

    /// The span that `key` is in.
    fn span(&self, key: KeyRef<'_>) -> Span<'_> {
        let mut place = self.lower_bound(key);
        let exact = self.boundary(place).filter(|boundary| boundary.begin.as_ref().as_ref() == key);
        let begin = match exact {
            Some(boundary) => {
                place.1 += 1;
                if self.boundary(place).is_none() {
                    place = (place.0 + 1, 0);
                }
                Some(boundary)
            }
            None => self.before(place),
        };
        Span {
            begin: begin.map(|boundary| boundary.begin.as_ref().as_ref()),
            end: self.boundary(place).map(|boundary| boundary.begin.as_ref().as_ref()),
            stamp: begin.and_then(|boundary| boundary.stamp),
        }
    }

    /// What is covered here and was not, or not so, in `before`. Chunks that both share are passed
    /// over.
    fn added_to(&self, before: &Self, added: &mut Vec<(Arc<KeyBuf>, Arc<KeyBuf>, Stamp)>) {
        let is_same = |(one, other): &(&Arc<[Boundary]>, &Arc<[Boundary]>)| Arc::ptr_eq(one, other);
        let shared = self.chunks.iter().zip(&before.chunks).take_while(is_same).count();
        let most = self.chunks.len().min(before.chunks.len()) - shared;
        let pairs = self.chunks.iter().rev().zip(before.chunks.iter().rev()).take(most);
        let shared_behind = pairs.take_while(is_same).count();
        let differing = |spans: &Self| {
            // One boundary more, where the last span ends.
            let chunks = shared..spans.chunks.len() - shared_behind;
            let next = spans.boundary((chunks.end, 0)).cloned();
            let chunks = spans.chunks.get(chunks).unwrap_or_default().iter();
            let boundaries = chunks.flat_map(|chunk| chunk.iter().cloned());
            boundaries.chain(next).collect::<Vec<Boundary>>()
        };
        let (now, then) = (differing(self), differing(before));
        let mut then = then.windows(2).peekable();
        for pair in now.windows(2) {
            let [Boundary { begin, stamp: Some(stamp) }, Boundary { begin: end, .. }] = pair else {
                continue;
            };
            while then.next_if(|old| old.first().is_some_and(|old| old.begin < *begin)).is_some() {}
            let is_old = then.peek().is_some_and(|old| match old {
                [from, to] => {
                    from.begin == *begin && to.begin == *end && from.stamp == Some(*stamp)
                }
                _ => false,
            });
            if !is_old {
                added.push((Arc::clone(begin), Arc::clone(end), *stamp));
            }
        }
    }

    /// These spans with `begin..end` under `stamp`.
    fn with(&self, begin: KeyRef<'_>, end: KeyRef<'_>, stamp: Stamp) -> Self {
        debug_assert!(begin < end);
        let first = self.lower_bound(begin);
        let after = self.lower_bound(end);
        let mut middle: Vec<Boundary> = Vec::with_capacity(2 * CHUNK_MAX + 2);
        middle.extend_from_slice(
            self.chunks.get(first.0).and_then(|chunk| chunk.get(..first.1)).unwrap_or_default(),
        );
        middle.push(Boundary { begin: Arc::new(KeyBuf::from(begin)), stamp: Some(stamp) });
        let ends_at_boundary =
            self.boundary(after).is_some_and(|boundary| boundary.begin.as_ref().as_ref() == end);
        if !ends_at_boundary {
            let stamp = self.span(end).stamp;
            middle.push(Boundary { begin: Arc::new(KeyBuf::from(end)), stamp });
        }
        middle.extend_from_slice(
            self.chunks.get(after.0).and_then(|chunk| chunk.get(after.1..)).unwrap_or_default(),
        );
        self.replaced(first.0, after.0 + 1, &middle)
    }

    /// These spans with `settled`, or nothing, in place of what the tombstone `stamp` covers of
    /// `begin..end`.
    fn without(
        &self,
        begin: KeyRef<'_>,
        end: KeyRef<'_>,
        stamp: Stamp,
        settled: Option<Stamp>,
    ) -> Self {
        // One chunk more at either side, where a boundary may have become pointless.
        let first = self.lower_bound(begin).0.saturating_sub(1);
        let after = (self.lower_bound(end).0 + 2).min(self.chunks.len());
        let mut above = match first.checked_sub(1) {
            Some(before) => {
                self.chunks.get(before).and_then(|chunk| chunk.last()).and_then(|last| last.stamp)
            }
            None => None,
        };
        let mut middle = Vec::new();
        for boundary in
            self.chunks.get(first..after).unwrap_or_default().iter().flat_map(|c| c.iter())
        {
            let key = boundary.begin.as_ref().as_ref();
            let is_meant = begin <= key && key < end;
            let left = match boundary.stamp {
                Some(other) if is_meant && other == stamp => settled,
                other => other,
            };
            if left != above {
                middle.push(Boundary { begin: Arc::clone(&boundary.begin), stamp: left });
            }
            above = left;
        }
        self.replaced(first, after, &middle)
    }

    /// These spans with the chunks from `first` to before `after` replaced by `middle`.
    fn replaced(&self, first: usize, after: usize, middle: &[Boundary]) -> Self {
        let covered = |boundaries: &[Boundary]| {
            boundaries.iter().filter(|boundary| boundary.stamp.is_some()).count()
        };
        let gone = self.chunks.get(first..after.min(self.chunks.len())).unwrap_or_default();
        let gone: usize = gone.iter().map(|chunk| covered(chunk)).sum();
        let pieces = middle.len().div_ceil(CHUNK_MAX).max(1);
        let mut chunks = Vec::with_capacity(self.chunks.len() + pieces);
        chunks.extend_from_slice(self.chunks.get(..first).unwrap_or(&self.chunks));
        chunks.extend(middle.chunks(middle.len().div_ceil(pieces).max(1)).map(Arc::from));
        chunks.extend_from_slice(self.chunks.get(after..).unwrap_or_default());
        Self { chunks, covered: self.covered - gone + covered(middle) }
    }
}

/// From this version on, these spans hold.
#[derive(Clone, Debug)]
struct Epoch {
    version: Version,
    spans: Arc<Spans>,
}

impl Epoch {
    /// About how much memory it takes beside what it shares with the epoch before.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.spans.chunks.len() * size_of::<Arc<[Boundary]>>()
            + 2 * CHUNK_MAX * size_of::<Boundary>()
    }
}

/// The spans of every version, oldest first.
#[derive(Clone, Debug, Default)]
struct History {
    /// Chunks are not empty.
    chunks: Vec<Arc<[Epoch]>>,
    /// What all epochs take, about.
    bytes: usize,
}

impl History {
    fn at(&self, version: Version) -> Option<&Spans> {
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.first().is_some_and(|first| first.version <= version));
        let chunk = self.chunks.get(chunk.checked_sub(1)?)?;
        let epoch = chunk.partition_point(|epoch| epoch.version <= version);
        Some(chunk.get(epoch.checked_sub(1)?)?.spans.as_ref())
    }

    fn newest(&self) -> Option<&Epoch> {
        self.chunks.last()?.last()
    }

    /// This history with a last epoch more, in place of the last one if that has the same version.
    fn with(&self, epoch: Epoch) -> Self {
        let replaced = self.newest().filter(|newest| newest.version == epoch.version);
        let bytes = self.bytes + epoch.bytes() - replaced.map_or(0, Epoch::bytes);
        let mut chunks = self.chunks.clone();
        let mut last = match chunks.last() {
            Some(last) if last.len() < CHUNK_MAX => last.to_vec(),
            _ => Vec::new(),
        };
        if last.is_empty() {
            // The last chunk is full; its last epoch may still have to give way.
            if let Some(full) = chunks.last_mut()
                && full.last().is_some_and(|newest| newest.version == epoch.version)
            {
                *full = replace_last(full, epoch);
                return Self { chunks, bytes };
            }
            last.push(epoch);
        } else {
            chunks.pop();
            if last.last().is_some_and(|newest| newest.version == epoch.version) {
                last.pop();
            }
            last.push(epoch);
        }
        chunks.push(last.into());
        Self { chunks, bytes }
    }

    /// This history without what no read at or above `horizon` needs, as far as whole chunks go.
    fn since(&self, horizon: Version) -> Option<Self> {
        let needed = self
            .chunks
            .partition_point(|chunk| chunk.first().is_some_and(|first| first.version <= horizon))
            .saturating_sub(1);
        let is_done = needed + 1 == self.chunks.len()
            && self
                .newest()
                .is_some_and(|newest| newest.version <= horizon && newest.spans.covered == 0);
        if is_done {
            return Some(Self::default());
        }
        let (gone, kept) = self.chunks.split_at_checked(needed).filter(|_| needed > 0)?;
        let gone: usize = gone.iter().flat_map(|chunk| chunk.iter()).map(Epoch::bytes).sum();
        Some(Self { chunks: kept.to_vec(), bytes: self.bytes - gone })
    }
}

fn replace_last(epochs: &[Epoch], epoch: Epoch) -> Arc<[Epoch]> {
    let (_, before) = epochs.split_last().expect("chunks are not empty");
    before.iter().cloned().chain([epoch]).collect()
}

/// The range tombstones, as readers and the writer share them.
#[derive(Debug)]
pub(super) struct RangeTombstones {
    history: Owned<History>,
}

impl RangeTombstones {
    pub(super) fn new() -> Self {
        Self { history: Owned::new(History::default()) }
    }

    /// How the keys are covered for a read at `version`.
    pub(super) fn at<'g>(&self, version: Version, guard: &'g ReadGuard) -> Cover<'g> {
        Cover { spans: self.history.load(guard).at(version) }
    }

    /// How many spans are covered now.
    pub(super) fn len(&self, guard: &ReadGuard) -> usize {
        self.history.load(guard).newest().map_or(0, |newest| newest.spans.covered)
    }

    /// About how much memory they take: what covers the keys now, and how that came about.
    pub(super) fn bytes(&self, guard: &ReadGuard) -> usize {
        let history = self.history.load(guard);
        let keys = history.newest().map_or(0, |newest| newest.spans.covered);
        history.bytes + keys * 2 * (size_of::<KeyBuf>() + KEY_BYTES_ASSUMED)
    }

    /// Every range clear that a version which is still kept sees, as begin, end and stamp; some more
    /// than once or in pieces.
    pub(super) fn events(&self, guard: &ReadGuard) -> Vec<(Arc<KeyBuf>, Arc<KeyBuf>, Stamp)> {
        let mut events = Vec::new();
        let nothing = Spans::default();
        let mut before = &nothing;
        for epoch in self.history.load(guard).chunks.iter().flat_map(|chunk| chunk.iter()) {
            epoch.spans.added_to(before, &mut events);
            before = &epoch.spans;
        }
        events
    }

    /// Covers ranges, given as begin and end, at a stamp above all before. Only the writer does
    /// this.
    pub(super) fn add<'a>(
        &self,
        ranges: impl Iterator<Item = (KeyRef<'a>, KeyRef<'a>)>,
        stamp: Stamp,
        guard: &ReadGuard,
    ) {
        let history = self.history.load(guard);
        let mut spans: Option<Spans> = None;
        for (begin, end) in ranges {
            let before = spans.as_ref().or_else(|| history.newest().map(|newest| &*newest.spans));
            spans = Some(before.unwrap_or(&Spans::default()).with(begin, end, stamp));
        }
        if let Some(spans) = spans {
            let epoch = Epoch { version: stamp.version, spans: Arc::new(spans) };
            self.history.replace(history.with(epoch), guard);
        }
    }

    /// Drops the tombstone `stamp` of `begin..end`, whose work is done, or settles it to the stamp
    /// that is given, which is below all others. Only the writer does this.
    pub(super) fn remove(
        &self,
        (begin, end): (KeyRef<'_>, KeyRef<'_>),
        stamp: Stamp,
        settled: Option<Stamp>,
        guard: &ReadGuard,
    ) {
        let history = self.history.load(guard);
        let Some(newest) = history.newest() else { return };
        let spans = Arc::new(newest.spans.without(begin, end, stamp, settled));
        let epoch = Epoch { version: newest.version, spans };
        self.history.replace(history.with(epoch), guard);
    }

    /// Forgets how the keys were covered below `horizon`. Only the writer does this.
    pub(super) fn expire(&self, horizon: Version, guard: &ReadGuard) {
        if let Some(history) = self.history.load(guard).since(horizon) {
            self.history.replace(history, guard);
        }
    }
}

/// The range tombstones that a read at some version has to do with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cover<'g> {
    spans: Option<&'g Spans>,
}

impl<'g> Cover<'g> {
    /// The newest range clear of a key.
    pub(super) fn stamp(self, key: KeyRef<'_>) -> Option<Stamp> {
        self.spans?.span(key).stamp
    }

    /// The span that a key is in.
    pub(super) fn span(self, key: KeyRef<'_>) -> Span<'g> {
        self.spans.map_or(Span::ALL, |spans| spans.span(key))
    }

    /// Whether nothing is covered.
    pub(super) fn is_empty(self) -> bool {
        self.spans.is_none_or(|spans| spans.covered == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use plinth_protocol::KeyspaceId;
    use proptest::prelude::*;

    use super::*;

    fn stamp(version: u64) -> Stamp {
        Stamp { version: Version(version), order: 0 }
    }

    fn key(byte: &u8) -> KeyRef<'_> {
        KeyRef::new(KeyspaceId(0), std::slice::from_ref(byte))
    }

    proptest! {
        #[test]
        fn each_version_knows_the_newest_clear_of_each_key(
            ranges in prop::collection::vec((0u8..200, 1u8..50, 0u64..2), 1..200),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let guard = ReadGuard::pin();
            let tombstones = RangeTombstones::new();
            let mut version = 0;
            let mut newest = [None; 256];
            let mut by_version = BTreeMap::from([(0, newest)]);
            let mut added = Vec::new();
            for (begin, len, step) in ranges {
                version += step.max(u64::from(version == 0));
                let order = added.len() as u16;
                let stamp = Stamp { version: Version(version), order };
                let end = begin + len;
                tombstones.add([(key(&begin), key(&end))].into_iter(), stamp, &guard);
                newest[usize::from(begin)..usize::from(end)].fill(Some(stamp));
                by_version.insert(version, newest);
                added.push((begin, end, stamp));
            }
            for index in removed {
                let (begin, end, stamp) = *index.get(&added);
                tombstones.remove((key(&begin), key(&end)), stamp, None, &guard);
                for covered in newest.iter_mut().filter(|covered| **covered == Some(stamp)) {
                    *covered = None;
                }
                by_version.insert(version, newest);
            }
            for (&version, expected) in &by_version {
                let cover = tombstones.at(Version(version), &guard);
                for byte in 0..=255u8 {
                    let span = cover.span(key(&byte));
                    prop_assert_eq!(span.stamp, expected[usize::from(byte)]);
                    prop_assert!(span.contains(key(&byte)));
                }
            }
            let covered = newest.iter().flatten().count();
            prop_assert_eq!(tombstones.len(&guard) == 0, covered == 0);
        }
    }

    #[test]
    fn nothing_is_left_when_all_is_removed_and_the_horizon_has_passed() {
        let guard = ReadGuard::pin();
        let tombstones = RangeTombstones::new();
        let bytes: Vec<u8> = (0..=250).collect();
        for (at, pair) in bytes.windows(2).enumerate() {
            let ends = [(key(&pair[0]), key(&pair[1]))];
            tombstones.add(ends.into_iter(), stamp(1 + at as u64), &guard);
        }
        assert_eq!(tombstones.len(&guard), 250);
        for (at, pair) in bytes.windows(2).enumerate() {
            let ends = (key(&pair[0]), key(&pair[1]));
            tombstones.remove(ends, stamp(1 + at as u64), None, &guard);
        }
        assert_eq!(tombstones.len(&guard), 0);
        tombstones.expire(Version(1000), &guard);
        assert!(tombstones.history.load(&guard).chunks.is_empty());
    }
}

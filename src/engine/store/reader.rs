//! Reading the store: down the layers for one key, across them for a range.

use std::{
    iter::once,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use plinth_protocol::{
    ConflictRange, KeyRange, KeySelector, KeyspaceId, Version, range::key_after,
};

use super::{Found, PointRead, Shared};
use crate::engine::{
    key::KeyRef,
    layer::{LayerCursor, Lookup},
    memtable::{Direction, Memtable, ReadGuard, TOGETHER_MAX, bounds},
    merge::Merge,
    read_error::ReadError,
    table::{Patience, ReadIo},
    view::View,
};

/// How many keys a key selector steps over for a reader that doesn't wait.
const KEY_STEPS_MAX: u32 = 10_000;

/// A look into a [`Store`](super::Store), for a batch of reads. Each read sees all that was applied before it
/// began. What is dropped meanwhile stays in memory until the reader is gone, so it is not for
/// keeping.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    guard: ReadGuard,
    io: ReadIo,
    patience: Patience,
}

/// The memtables, newest first.
fn memtables(view: &View) -> impl Iterator<Item = &Memtable> {
    once(&*view.active).chain(view.frozen.iter().map(|frozen| frozen.table()))
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, patience: Patience) -> Self {
        let io = ReadIo::new(patience, shared.seconds.load(Ordering::Relaxed));
        Self { shared, guard: ReadGuard::pin(), io, patience }
    }

    fn check_horizon(&self, version: Version) -> Result<(), ReadError> {
        let horizon = self.shared.horizon();
        if version < horizon {
            return Err(ReadError::TooOld { version, horizon });
        }
        Ok(())
    }

    /// The value of a key.
    pub fn get(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        version: Version,
    ) -> Result<Option<Found<'_>>, ReadError> {
        self.seen(self.lookup(KeyRef::new(keyspace, key), version), version)
    }

    /// What a lookup at a version that is over by now has come to.
    fn seen<'a>(
        &self,
        found: Result<Lookup<'a>, ReadError>,
        version: Version,
    ) -> Result<Option<Found<'a>>, ReadError> {
        // Only now: what the writer has dropped for a new horizon, it dropped after it had set it.
        self.check_horizon(version)?;
        Ok(match found? {
            Lookup::Value(value, version) => Some(Found { value, version }),
            Lookup::Cleared | Lookup::Unknown => None,
        })
    }

    /// Goes down the layers until one knows the key.
    fn lookup(&self, key: KeyRef<'_>, version: Version) -> Result<Lookup<'_>, ReadError> {
        let view = self.view();
        match view.active.lookup(key, version, &self.guard) {
            Lookup::Unknown if !view.is_memtable_alone() => self.lookup_beneath(view, key, version),
            known => Ok(known),
        }
    }

    #[cold]
    fn lookup_beneath<'a>(
        &'a self,
        view: &'a View,
        key: KeyRef<'_>,
        version: Version,
    ) -> Result<Lookup<'a>, ReadError> {
        for frozen in &view.frozen {
            let found = frozen.table().lookup(key, version, &self.guard);
            if found != Lookup::Unknown {
                return Ok(found);
            }
        }
        view.tables.get(key, version, &self.io)
    }

    /// The values of several keys, each at its own version, as [`get`](Self::get) would find them,
    /// in order, until `visit` breaks. Each is shown with its item, which `read_of` understands.
    /// Those that lie in memory are looked up side by side, in groups.
    pub fn get_together<'k, T>(
        &self,
        items: &'k [T],
        read_of: impl Fn(&'k T) -> PointRead<'k>,
        mut visit: impl FnMut(&'k T, Result<Option<Found<'_>>, ReadError>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for group in items.chunks(TOGETHER_MAX) {
            if let [item] = group {
                let PointRead { keyspace, key, version } = read_of(item);
                visit(item, self.get(keyspace, key, version))?;
                continue;
            }
            let mut reads = [(KeyRef::FIRST, Version::ZERO); TOGETHER_MAX];
            for (read, item) in reads.iter_mut().zip(group) {
                let PointRead { keyspace, key, version } = read_of(item);
                *read = (KeyRef::new(keyspace, key), version);
            }
            let view = self.view();
            let reads = reads.get(..group.len()).unwrap_or_default();
            let found = view.active.lookup_together(reads, &self.guard);
            for ((item, (key, version)), found) in group.iter().zip(reads).zip(found) {
                let found = match found {
                    Lookup::Unknown if !view.is_memtable_alone() => {
                        self.lookup_beneath(view, *key, *version)
                    }
                    known => Ok(known),
                };
                visit(item, self.seen(found, *version))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn view(&self) -> &View {
        self.shared.views.load(&self.guard)
    }

    /// Shows the rows of a range, in order or in reverse, until `visit` breaks. What was shown
    /// before an error is void. A reader that doesn't wait gives up as cold after passing over some
    /// thousand keys that have no value at the version.
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        version: Version,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], Found<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut rest = self.scan_some(keyspace, range, version, reverse, visit)?;
        while let Some(range) = rest {
            if self.patience == Patience::DontWait {
                return Err(ReadError::Cold);
            }
            rest = self.scan_some(keyspace, &range, version, reverse, visit)?;
        }
        Ok(())
    }

    /// Shows rows like [`scan`](Self::scan), but stops after passing over some thousand keys that
    /// have no value at the version, and tells what of the range is left.
    pub fn scan_some(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        version: Version,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], Found<'_>) -> ControlFlow<()>,
    ) -> Result<Option<KeyRange>, ReadError> {
        self.check_horizon(version)?;
        let direction = if reverse { Direction::Reverse } else { Direction::Forward };
        let ends = bounds(keyspace, &range.begin, &range.end);
        let view = self.view();
        let stopped = if view.is_memtable_alone() {
            let stopped = view.active.scan(ends, version, direction, &self.guard, |row| {
                visit(row.key, Found { value: row.value, version: row.version })
            });
            Ok(stopped.map(|key| Bytes::copy_from_slice(key.key)))
        } else {
            self.merge(view, ends, version, direction).scan(ends, &mut |entry, value| {
                visit(entry.key.key, Found { value, version: entry.stamp.version })
            })
        };
        self.check_horizon(version)?;
        Ok(stopped?.map(|key| {
            if reverse {
                KeyRange::new(range.begin.clone(), key_after(&key))
            } else {
                KeyRange::new(key, range.end.clone())
            }
        }))
    }

    /// All layers side by side.
    fn merge<'a>(
        &'a self,
        view: &'a View,
        ends: (KeyRef<'_>, KeyRef<'_>),
        version: Version,
        direction: Direction,
    ) -> Merge<'a> {
        let memtables = memtables(view).map(|memtable| -> Box<dyn LayerCursor + 'a> {
            Box::new(memtable.cursor(version, direction, &self.guard))
        });
        let mut layers: Vec<_> = memtables.collect();
        view.tables.cursors(ends, version, direction, &self.io, &mut layers);
        Merge::new(direction, layers)
    }

    /// Resolves a key selector among the keys before `end`: to `""` off the beginning, to `end`
    /// off the end. A reader that doesn't wait gives up as cold if that takes some thousand keys.
    pub fn get_key(
        &self,
        keyspace: KeyspaceId,
        selector: &KeySelector,
        end: &[u8],
        version: Version,
    ) -> Result<Bytes, ReadError> {
        let end = Bytes::copy_from_slice(end);
        let mut pivot = selector.key.clone();
        if selector.or_equal {
            pivot = key_after(&pivot);
        }
        let pivot = pivot.min(end.clone());
        let forward = selector.offset > 0;
        let mut steps = if forward {
            selector.offset.unsigned_abs()
        } else {
            selector.offset.unsigned_abs().saturating_add(1)
        };
        let (range, mut resolved) = if forward {
            (KeyRange::new(pivot, end.clone()), end)
        } else {
            (KeyRange::new(Bytes::new(), pivot), Bytes::new())
        };
        let mut steps_left_now = match self.patience {
            Patience::Wait => u32::MAX,
            Patience::DontWait => KEY_STEPS_MAX,
        };
        self.scan(keyspace, &range, version, !forward, &mut |key, _| {
            steps -= 1;
            if steps == 0 {
                resolved = Bytes::copy_from_slice(key);
                return ControlFlow::Break(());
            }
            steps_left_now -= 1;
            if steps_left_now == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if steps_left_now == 0 { Err(ReadError::Cold) } else { Ok(resolved) }
    }

    /// Whether anything that `range` holds was changed after `since`, by whatever kind of write;
    /// `since` must not be below the horizon. Clearing what isn't there changes nothing, and need
    /// not be noticed; nothing else goes unnoticed.
    pub fn written_since(
        &self,
        keyspace: KeyspaceId,
        range: &ConflictRange,
        since: Version,
    ) -> Result<bool, ReadError> {
        let view = self.view();
        // What is frozen was written in order: if one has nothing newer, those below have not.
        let frozen = view.frozen.iter().take_while(|frozen| frozen.last() > since);
        let memtables = || once(&*view.active).chain(frozen.map(|frozen| frozen.table()));
        let range = match range {
            ConflictRange::Key(key) => {
                let key = KeyRef::new(keyspace, key);
                if memtables().any(|table| table.key_written_since(key, since, &self.guard)) {
                    return Ok(true);
                }
                KeyRange::point(key.key)
            }
            ConflictRange::Range(range) => {
                let ends = bounds(keyspace, &range.begin, &range.end);
                if memtables().any(|table| table.range_written_since(ends, since, &self.guard)) {
                    return Ok(true);
                }
                range.clone()
            }
        };
        view.tables.written_since(bounds(keyspace, &range.begin, &range.end), since, &self.io)
    }

    /// Shows pieces of the range as keys with the number of bytes from there on, about, layer by
    /// layer, each in order. What a newer layer's range tombstone hides is not counted.
    fn measure(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        visit: &mut dyn FnMut(&[u8], u64),
    ) -> Result<(), ReadError> {
        let view = self.view();
        let ends = bounds(keyspace, &range.begin, &range.end);
        let is_hidden = |key: &[u8], depth: usize| {
            let key = KeyRef::new(keyspace, key);
            let newer = memtables(view).take(depth);
            newer
                .into_iter()
                .any(|newer| newer.span(key, Version::MAX, &self.guard).stamp.is_some())
        };
        for (depth, memtable) in memtables(view).enumerate() {
            memtable.measure(ends, &self.guard, &mut |key, bytes| {
                if !is_hidden(key, depth) {
                    visit(key, bytes);
                }
            });
        }
        view.tables.measure(ends, &self.io, &mut |key, bytes| {
            if !is_hidden(key, usize::MAX) {
                visit(key, bytes);
            }
        })
    }

    /// About how many bytes of keys and values the range holds now. Counts some rows and takes
    /// their neighbours to be alike; what was overwritten lately may count twice.
    pub fn estimate_size(&self, keyspace: KeyspaceId, range: &KeyRange) -> Result<u64, ReadError> {
        let mut bytes = 0;
        self.measure(keyspace, range, &mut |_, piece| bytes += piece)?;
        Ok(bytes)
    }

    /// Keys that cut the range into pieces of about `chunk_bytes`; its ends are the first and the
    /// last. Pieces may be some thousand bytes longer, or an eighth.
    pub fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        chunk_bytes: u64,
    ) -> Result<Vec<Bytes>, ReadError> {
        let chunk_bytes = chunk_bytes.max(1);
        // Pieces of one layer are put together before they are sorted in among those of others, so
        // that there are not many more of them than of the answer.
        let mut pieces: Vec<(Bytes, u64)> = Vec::new();
        self.measure(keyspace, range, &mut |key, bytes| match pieces.last_mut() {
            Some((last, sum)) if last[..] < *key && *sum + bytes <= chunk_bytes / 8 => {
                *sum += bytes;
            }
            _ => pieces.push((Bytes::copy_from_slice(key), bytes)),
        })?;
        pieces.sort_by(|one, other| one.0.cmp(&other.0));
        let mut points = vec![range.begin.clone()];
        let mut bytes = 0;
        for (key, piece) in pieces {
            if bytes >= chunk_bytes {
                if points.last() != Some(&key) {
                    points.push(key);
                }
                bytes = 0;
            }
            bytes += piece;
        }
        points.push(range.end.clone());
        Ok(points)
    }
}

//! The store: every version of every key that a read may still see.
//!
//! One writer applies what was committed, in commit order; any number of readers look at any
//! version not below the horizon. The writer moves the horizon first and drops versions
//! afterwards, and a reader looks at the horizon again after it has read: so a read may be too
//! late, and is told so, but is never wrong.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use plinth_protocol::{ConflictRange, KeyRange, KeySelector, KeyspaceId, Version};

use super::write::Write;

type Versions = Vec<(Version, Option<Bytes>)>;

/// How a store is set up.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Seeds the hash of keys: unguessable where keys come from strangers, fixed where a run must
    /// be repeatable.
    pub seed: u64,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The value.
    pub value: &'a [u8],
    /// The version that wrote it.
    pub version: Version,
}

/// Why a read got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// What the version saw is no longer kept.
    TooOld {
        /// The version of the read.
        version: Version,
        /// The oldest version that can be read.
        horizon: Version,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld { version, horizon } => write!(
                f,
                "version {version} can no longer be read; the oldest that can is {horizon}: \
                 begin again at a newer version"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Keys with at least one version.
    pub keys: u64,
    /// Versions of keys, cleared ones included.
    pub entries: u64,
    /// Range clears that a read may still have to know of.
    pub range_tombstones: u64,
    /// About how much memory all this takes.
    pub bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    keys: BTreeMap<(KeyspaceId, Bytes), Versions>,
    clears: Vec<(Version, KeyspaceId, KeyRange)>,
}

#[derive(Debug, Default)]
struct Shared {
    horizon: AtomicU64,
    contents: Mutex<Arc<Contents>>,
}

impl Shared {
    fn contents(&self) -> MutexGuard<'_, Arc<Contents>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All versions in memory. Cheap to clone; clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

/// The one writer of a [`Store`].
#[derive(Debug)]
pub struct StoreWriter {
    shared: Arc<Shared>,
}

/// A short look into a [`Store`]: for a batch of reads that are made one after the other. It keeps
/// alive what was dropped since it began, so it is not for keeping.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    contents: Arc<Contents>,
    not_send: PhantomData<*const ()>,
}

impl Store {
    /// An empty store and its writer.
    pub fn new(options: StoreOptions) -> (Self, StoreWriter) {
        let StoreOptions { seed: _ } = options;
        let shared = Arc::new(Shared::default());
        (Self { shared: Arc::clone(&shared) }, StoreWriter { shared })
    }

    /// A look at what has been applied until now.
    pub fn reader(&self) -> Reader {
        Reader {
            shared: Arc::clone(&self.shared),
            contents: Arc::clone(&self.shared.contents()),
            not_send: PhantomData,
        }
    }

    /// The oldest version that can be read.
    pub fn horizon(&self) -> Version {
        Version(self.shared.horizon.load(Ordering::SeqCst))
    }

    /// What is held now.
    pub fn stats(&self) -> StoreStats {
        let contents = self.shared.contents();
        let mut stats = StoreStats {
            keys: contents.keys.len() as u64,
            range_tombstones: contents.clears.len() as u64,
            ..StoreStats::default()
        };
        for ((_, key), versions) in &contents.keys {
            stats.entries += versions.len() as u64;
            stats.bytes += key.len() as u64;
            stats.bytes += versions
                .iter()
                .map(|(_, value)| 24 + value.as_ref().map_or(0, Bytes::len) as u64)
                .sum::<u64>();
        }
        stats
    }
}

impl StoreWriter {
    /// Applies the writes of one transaction, in order. Versions, and orders within a version,
    /// strictly increase from call to call.
    pub fn apply(&mut self, version: Version, _order: u16, writes: &[Write]) {
        let mut contents = self.shared.contents();
        let contents = Arc::make_mut(&mut contents);
        for write in writes {
            match write {
                Write::Set { keyspace, key, value } => {
                    let versions = contents.keys.entry((*keyspace, key.clone())).or_default();
                    versions.push((version, Some(Bytes::copy_from_slice(value))));
                }
                Write::Clear { keyspace, key } => {
                    let versions = contents.keys.entry((*keyspace, key.clone())).or_default();
                    versions.push((version, None));
                }
                Write::ClearRange { keyspace, begin, end } => {
                    let range = KeyRange::new(begin.clone(), end.clone());
                    for ((_, _), versions) in range_mut(&mut contents.keys, *keyspace, &range) {
                        versions.push((version, None));
                    }
                    contents.clears.push((version, *keyspace, range));
                }
            }
        }
    }

    /// Lets go of what no read at or above `horizon` can see.
    pub fn set_horizon(&mut self, horizon: Version) {
        self.shared.horizon.fetch_max(horizon.0, Ordering::SeqCst);
        let mut contents = self.shared.contents();
        let contents = Arc::make_mut(&mut contents);
        contents.clears.retain(|(version, ..)| *version > horizon);
        contents.keys.retain(|_, versions| {
            let seen = versions.partition_point(|(version, _)| *version <= horizon);
            versions.drain(..seen.saturating_sub(1));
            versions.iter().any(|(version, value)| *version > horizon || value.is_some())
        });
    }

    /// Does a bounded bit of garbage collection; true if there is more to do.
    pub fn maintain(&mut self) -> bool {
        false
    }
}

fn range_mut<'a>(
    keys: &'a mut BTreeMap<(KeyspaceId, Bytes), Versions>,
    keyspace: KeyspaceId,
    range: &KeyRange,
) -> impl Iterator<Item = (&'a (KeyspaceId, Bytes), &'a mut Versions)> {
    let end = if range.is_empty() { range.begin.clone() } else { range.end.clone() };
    keys.range_mut((keyspace, range.begin.clone())..(keyspace, end))
}

fn visible(versions: &Versions, version: Version) -> Option<Found<'_>> {
    let newest = versions.partition_point(|&(written, _)| written <= version).checked_sub(1)?;
    let (written, value) = versions.get(newest)?;
    Some(Found { value: value.as_deref()?, version: *written })
}

impl Reader {
    fn check_horizon(&self, version: Version) -> Result<(), ReadError> {
        let horizon = Version(self.shared.horizon.load(Ordering::SeqCst));
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
        let entry = self.contents.keys.get(&(keyspace, Bytes::copy_from_slice(key)));
        let found = entry.and_then(|versions| visible(versions, version));
        self.check_horizon(version)?;
        Ok(found)
    }

    /// Shows the rows of a range, in order or in reverse, until `visit` breaks. What was shown
    /// before an error is void.
    pub fn scan(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        version: Version,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], Found<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.check_horizon(version)?;
        if range.is_empty() {
            return Ok(());
        }
        let bounds = (keyspace, range.begin.clone())..(keyspace, range.end.clone());
        let mut rows = self.contents.keys.range(bounds);
        let next = || if reverse { rows.next_back() } else { rows.next() };
        for ((_, key), versions) in std::iter::from_fn(next) {
            if let Some(found) = visible(versions, version)
                && visit(key, found).is_break()
            {
                break;
            }
        }
        self.check_horizon(version)
    }

    /// Resolves a key selector among the keys before `end`: to `""` off the beginning, to `end`
    /// off the end.
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
            pivot = plinth_protocol::range::key_after(&pivot);
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
        self.scan(keyspace, &range, version, !forward, &mut |key, _| {
            steps -= 1;
            if steps == 0 {
                resolved = Bytes::copy_from_slice(key);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(resolved)
    }

    /// Whether anything in `range` was written (set, cleared, cleared with a range) after `since`,
    /// which must not be below the horizon.
    pub fn written_since(
        &self,
        keyspace: KeyspaceId,
        range: &ConflictRange,
        since: Version,
    ) -> bool {
        let range = range.to_range();
        let cleared = self.contents.clears.iter().any(|(version, cleared_keyspace, cleared)| {
            *version > since
                && *cleared_keyspace == keyspace
                && cleared.begin < range.end
                && range.begin < cleared.end
        });
        if range.is_empty() || cleared {
            return cleared && !range.is_empty();
        }
        let bounds = (keyspace, range.begin.clone())..(keyspace, range.end.clone());
        self.contents
            .keys
            .range(bounds)
            .any(|(_, versions)| versions.last().is_some_and(|(version, _)| *version > since))
    }

    /// About how many bytes of keys and values the range holds now.
    pub fn estimate_size(&self, keyspace: KeyspaceId, range: &KeyRange) -> u64 {
        let mut bytes = 0;
        let count = &mut |key: &[u8], found: Found<'_>| {
            bytes += (key.len() + found.value.len()) as u64;
            ControlFlow::Continue(())
        };
        let _ = self.scan(keyspace, range, Version::MAX, false, count);
        bytes
    }

    /// Keys that cut the range into pieces of about `chunk_bytes`; its ends are the first and the
    /// last.
    pub fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        chunk_bytes: u64,
    ) -> Vec<Bytes> {
        let mut points = vec![range.begin.clone()];
        let mut bytes = 0;
        let cut = &mut |key: &[u8], found: Found<'_>| {
            if bytes >= chunk_bytes.max(1) {
                points.push(Bytes::copy_from_slice(key));
                bytes = 0;
            }
            bytes += (key.len() + found.value.len()) as u64;
            ControlFlow::Continue(())
        };
        let _ = self.scan(keyspace, range, Version::MAX, false, cut);
        points.push(range.end.clone());
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

    fn set(key: &'static str, value: &'static str) -> Write {
        Write::Set { keyspace: SPACE, key: key.into(), value: value.into() }
    }

    fn clear_range(begin: &'static str, end: &'static str) -> Write {
        Write::ClearRange { keyspace: SPACE, begin: begin.into(), end: end.into() }
    }

    fn rows(reader: &Reader, version: u64, reverse: bool) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let all = KeyRange::new("", "\u{7f}");
        reader
            .scan(SPACE, &all, Version(version), reverse, &mut |key, found| {
                rows.push((
                    String::from_utf8(key.to_vec()).unwrap(),
                    String::from_utf8(found.value.to_vec()).unwrap(),
                ));
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn every_version_at_or_above_the_horizon_sees_its_own_rows() {
        let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
        writer.apply(Version(10), 0, &[set("a", "1"), set("b", "1")]);
        writer.apply(Version(20), 0, &[set("a", "2"), clear_range("b", "c")]);
        writer.apply(Version(30), 0, &[clear_range("a", "z"), set("c", "3")]);
        let reader = store.reader();
        assert_eq!(rows(&reader, 9, false), []);
        assert_eq!(rows(&reader, 10, false), pairs(&[("a", "1"), ("b", "1")]));
        assert_eq!(rows(&reader, 29, true), pairs(&[("a", "2")]));
        assert_eq!(rows(&reader, 30, false), pairs(&[("c", "3")]));
        writer.set_horizon(Version(20));
        while writer.maintain() {}
        let reader = store.reader();
        assert_eq!(
            reader.get(SPACE, b"a", Version(19)),
            Err(ReadError::TooOld { version: Version(19), horizon: Version(20) })
        );
        assert_eq!(rows(&reader, 20, false), pairs(&[("a", "2")]));
    }

    #[test]
    fn the_last_write_of_a_transaction_wins() {
        let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
        let commands = [set("a", "1"), set("b", "1"), clear_range("a", "c"), set("b", "2")];
        writer.apply(Version(10), 0, &commands);
        assert_eq!(rows(&store.reader(), 10, false), pairs(&[("b", "2")]));
    }
}

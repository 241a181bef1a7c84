//! Layers in, tables out: what a flush and a compaction have in common.
//!
//! The entries of all inputs are merged, and so are their range tombstones; what nobody can see at
//! or above the horizon goes ([`retention`](super::retention)); the rest is written to tables that
//! follow each other without overlaps. All versions of a key are in one table, and a range
//! tombstone is split where one table ends and the next begins, so that the tables' bounds, which
//! include their tombstones, are disjoint.
//!
//! When it fails or is called off, the files that it has begun are removed. Those that can't be are
//! orphans, which the next start removes.

use std::{
    fmt,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use plinth_protocol::{Version, range::key_after};

use super::{
    fragments,
    merge::Merge,
    retention::{self, KeyRetention},
};
use crate::{
    engine::{
        key::{KeyBuf, KeyRef},
        layer::{EntryStream, RangeTombstone},
        manifest::files::numbered,
        planted::{Bug, is_planted},
        read_error::ReadError,
        table::{TableError, TableNumber, TableOptions, TableProperties, TableWriter},
        visible::Stamp,
    },
    vfs::Vfs,
};

/// How many entries are read, at most, between two calls of `pace`.
const ENTRIES_PER_PACE: u32 = 256;
/// The ending of a table's name.
pub(in crate::engine) const TABLE_EXTENSION: &str = "table";

/// Where a table is.
pub(in crate::engine) fn table_path(directory: &Path, number: TableNumber) -> PathBuf {
    numbered(directory, number.0, TABLE_EXTENSION)
}

/// What is rewritten, and how.
pub(in crate::engine) struct RewriteInput<'a> {
    /// The entries of the layers.
    pub(in crate::engine) streams: Vec<Box<dyn EntryStream + 'a>>,
    /// The range tombstones of the layers, each list fragmented.
    pub(in crate::engine) tombstones: Vec<Vec<RangeTombstone>>,
    /// No version below can be read any more.
    pub(in crate::engine) horizon: Version,
    /// Whether no layer older than these can hold any key from the first to before the second.
    pub(in crate::engine) is_last: &'a dyn Fn(KeyRef<'_>, KeyRef<'_>) -> bool,
    /// A table ends at the first key after so many bytes.
    pub(in crate::engine) table_bytes_max: u64,
    /// Where tables should end because of what they will meet in the next compaction.
    pub(in crate::engine) neighbours: Neighbours,
    /// How tables are written.
    pub(in crate::engine) options: TableOptions,
}

/// Tables of the level below the one that is written: what a written table overlaps of them is what
/// its own compaction will have to rewrite, so that is bounded.
#[derive(Debug, Default)]
pub(in crate::engine) struct Neighbours {
    /// Where each ends, ascending, and its bytes.
    pub(in crate::engine) tables: Vec<(KeyBuf, u64)>,
    /// A table ends when it has passed more bytes of them.
    pub(in crate::engine) bytes_max: u64,
}

/// Why nothing was rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum RewriteError {
    /// An input can't be read.
    Read(ReadError),
    /// A table can't be written.
    Write(TableError),
    /// `pace` said so.
    Cancelled,
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Cancelled => f.write_str("called off"),
        }
    }
}

impl std::error::Error for RewriteError {}

impl From<ReadError> for RewriteError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<TableError> for RewriteError {
    fn from(error: TableError) -> Self {
        Self::Write(error)
    }
}

/// Rewrites the input to tables in `directory`, in the order of their keys; none if nothing is
/// left. The tables are durable on return; their names are the caller's to make so. `pace` is told
/// now and then how many bytes were written since; it may take its time, or call it off.
pub(in crate::engine) fn rewrite(
    vfs: &dyn Vfs,
    directory: &Path,
    input: RewriteInput<'_>,
    next_number: &mut dyn FnMut() -> TableNumber,
    pace: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Vec<TableProperties>, RewriteError> {
    let RewriteInput { streams, tombstones, horizon, is_last, .. } = input;
    let horizon = if is_planted(Bug::SnapshotsForgotten) { Version::MAX } else { horizon };
    let is_last = &|begin: KeyRef<'_>, end: KeyRef<'_>| {
        is_last(begin, end) || is_planted(Bug::ClearsForgottenEarly)
    };
    let mut output = Output {
        vfs,
        directory,
        options: input.options,
        next_number,
        table_bytes_max: input.table_bytes_max,
        writer: None,
        written: Written { vfs, paths: Vec::new(), is_kept: false },
        finished: Vec::new(),
        finished_bytes: 0,
    };
    let mut cover = Cover {
        tombstones: fragments::merge(tombstones, horizon).into_iter().peekable(),
        horizon,
        is_last,
    };
    let mut neighbours = Passing::new(input.neighbours);
    let mut merge = Merge::new(streams);
    let mut key: Option<KeyBuf> = None;
    let mut stamps: Vec<Stamp> = Vec::new();
    let mut paced = Paced { pace, told: 0, entries: 0 };
    while let Some(head) = merge.head() {
        // All entries of one key.
        let key = replace_key(&mut key, head.key);
        cover.pass(key.as_ref(), &mut output)?;
        let mut is_begun = false;
        stamps.clear();
        stamps.extend_from_slice(cover.stamps(key.as_ref()));
        let mut retention = KeyRetention::new(horizon, &stamps);
        while let Some(entry) = merge.head().filter(|entry| entry.key == key.as_ref()) {
            let is_last = || is_last(key.as_ref(), after(key).as_ref());
            if retention.keeps(entry.stamp, entry.value.is_none(), is_last) {
                if !is_begun {
                    is_begun = true;
                    let is_far = neighbours.pass(entry.key);
                    if output.is_open() && (is_far || output.is_full()) {
                        cover.split(entry.key, &mut output)?;
                        output.finish()?;
                    }
                    if !output.is_open() {
                        neighbours.restart();
                    }
                }
                output.writer()?.add(entry)?;
            }
            merge.advance()?;
            paced.step(&output)?;
        }
    }
    cover.rest(&mut output)?;
    output.finish()?;
    paced.tell(&output)?;
    output.written.is_kept = true;
    Ok(std::mem::take(&mut output.finished))
}

/// Puts a key where another was, in its memory if it has the same length.
fn replace_key<'k>(place: &'k mut Option<KeyBuf>, key: KeyRef<'_>) -> &'k KeyBuf {
    if let Some(old) = place
        && old.key.len() == key.key.len()
    {
        old.keyspace = key.keyspace;
        old.key.copy_from_slice(key.key);
    } else {
        *place = Some(key.into());
    }
    place.as_ref().expect("it was put there")
}

/// The first key after this one.
fn after(key: &KeyBuf) -> KeyBuf {
    KeyBuf { keyspace: key.keyspace, key: key_after(&key.key).as_ref().into() }
}

/// The merged range tombstones that have not been written yet.
struct Cover<'a> {
    tombstones: std::iter::Peekable<std::vec::IntoIter<RangeTombstone>>,
    horizon: Version,
    is_last: &'a dyn Fn(KeyRef<'_>, KeyRef<'_>) -> bool,
}

impl Cover<'_> {
    /// The range tombstones over a key that all before were passed for.
    fn stamps(&mut self, key: KeyRef<'_>) -> &[Stamp] {
        match self.tombstones.peek() {
            Some(first) if first.begin.as_ref() <= key => &first.stamps,
            _ => &[],
        }
    }

    /// Writes those that end at or before `key`. Everything below it has been written.
    fn pass(&mut self, key: KeyRef<'_>, output: &mut Output<'_>) -> Result<(), RewriteError> {
        while let Some(tombstone) = self.tombstones.next_if(|first| first.end.as_ref() <= key) {
            self.write_whole(tombstone, output)?;
        }
        Ok(())
    }

    /// Writes all that are left.
    fn rest(&mut self, output: &mut Output<'_>) -> Result<(), RewriteError> {
        while let Some(tombstone) = self.tombstones.next() {
            self.write_whole(tombstone, output)?;
        }
        Ok(())
    }

    /// Writes one to its end, where the table may end too: what comes next is behind it.
    fn write_whole(
        &self,
        tombstone: RangeTombstone,
        output: &mut Output<'_>,
    ) -> Result<(), RewriteError> {
        self.write(tombstone, output)?;
        if output.is_full() { output.finish() } else { Ok(()) }
    }

    /// Writes what lies below `key` of the one that it is in.
    fn split(&mut self, key: KeyRef<'_>, output: &mut Output<'_>) -> Result<(), RewriteError> {
        if let Some(first) = self.tombstones.peek_mut().filter(|first| first.begin.as_ref() < key) {
            let begin = std::mem::replace(&mut first.begin, key.into());
            let stamps = first.stamps.clone();
            self.write(RangeTombstone { begin, end: key.into(), stamps }, output)?;
        }
        Ok(())
    }

    fn write(
        &self,
        mut tombstone: RangeTombstone,
        output: &mut Output<'_>,
    ) -> Result<(), RewriteError> {
        if tombstone.stamps.last().is_some_and(|oldest| oldest.version <= self.horizon)
            && (self.is_last)(tombstone.begin.as_ref(), tombstone.end.as_ref())
        {
            let needed = retention::needed_at_last(&tombstone.stamps, self.horizon).len();
            tombstone.stamps.truncate(needed);
        }
        if tombstone.stamps.is_empty() {
            return Ok(());
        }
        output.writer()?.add_tombstone(&tombstone)?;
        Ok(())
    }
}

/// The tables that are written.
struct Output<'a> {
    vfs: &'a dyn Vfs,
    directory: &'a Path,
    options: TableOptions,
    next_number: &'a mut dyn FnMut() -> TableNumber,
    table_bytes_max: u64,
    writer: Option<TableWriter>,
    written: Written<'a>,
    finished: Vec<TableProperties>,
    finished_bytes: u64,
}

impl Output<'_> {
    fn is_open(&self) -> bool {
        self.writer.is_some()
    }

    fn is_full(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.bytes() >= self.table_bytes_max)
    }

    /// The present table, begun if there is none.
    fn writer(&mut self) -> Result<&mut TableWriter, RewriteError> {
        if self.writer.is_none() {
            let number = (self.next_number)();
            let path = table_path(self.directory, number);
            // Noted first: a creation that fails may have left a file.
            self.written.paths.push(path.clone());
            self.writer = Some(TableWriter::create(self.vfs, &path, number, &self.options)?);
        }
        Ok(self.writer.as_mut().expect("it was put there"))
    }

    /// Ends the present table, if there is one.
    fn finish(&mut self) -> Result<(), RewriteError> {
        if let Some(writer) = self.writer.take() {
            let properties = writer.finish()?;
            self.finished_bytes += properties.bytes;
            self.finished.push(properties);
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.finished_bytes + self.writer.as_ref().map_or(0, TableWriter::bytes)
    }
}

/// The files that were begun: removed when dropped, unless they are kept.
struct Written<'a> {
    vfs: &'a dyn Vfs,
    paths: Vec<PathBuf>,
    is_kept: bool,
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        for path in &self.paths {
            if let Err(error) = self.vfs.remove(path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "a table that was given up stays until the next start");
            }
        }
    }
}

/// How much of the neighbours the present table has passed.
struct Passing {
    tables: std::iter::Peekable<std::vec::IntoIter<(KeyBuf, u64)>>,
    bytes_max: u64,
    bytes: u64,
}

impl Passing {
    fn new(neighbours: Neighbours) -> Self {
        let tables = neighbours.tables.into_iter().peekable();
        Self { tables, bytes_max: neighbours.bytes_max, bytes: 0 }
    }

    /// Goes on to `key`; true if more was passed than a table should.
    fn pass(&mut self, key: KeyRef<'_>) -> bool {
        while let Some((_, bytes)) = self.tables.next_if(|(end, _)| end.as_ref() <= key) {
            self.bytes += bytes;
        }
        self.bytes > self.bytes_max
    }

    fn restart(&mut self) {
        self.bytes = 0;
    }
}

/// Tells `pace` how it goes.
struct Paced<'a> {
    pace: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    told: u64,
    entries: u32,
}

impl Paced<'_> {
    fn step(&mut self, output: &Output<'_>) -> Result<(), RewriteError> {
        self.entries += 1;
        if self.entries < ENTRIES_PER_PACE {
            return Ok(());
        }
        self.entries = 0;
        self.tell(output)
    }

    fn tell(&mut self, output: &Output<'_>) -> Result<(), RewriteError> {
        let bytes = output.bytes();
        let written = bytes.saturating_sub(self.told);
        self.told = self.told.max(bytes);
        match (self.pace)(written) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(RewriteError::Cancelled),
        }
    }
}

#[cfg(test)]
mod tests;

//! Makes a manifest of the tables that are there.
//!
//! Without the manifest nobody knows which tables counted. Besides those that did there may be some
//! that a compaction had replaced and some that were never finished. They all hold true versions
//! of keys; so all that can be read are merged into new ones, each version once, at the last level,
//! and nothing of it is dropped. What is newer than the log's first segment needs is left out: the
//! log has it.
//!
//! What may come back are rows that were cleared longer ago than anyone could still see, if a
//! compaction had dropped the clear and one of its inputs was still there.

use std::path::PathBuf;

use plinth_protocol::Version;

use super::{Consent, Copies, Repair, RepairError, RepairReport};
use crate::engine::{
    compaction::rewrite::{Neighbours, RewriteInput, TABLE_EXTENSION, rewrite},
    key::KeyBuf,
    layer::{Entry, EntryStream, RangeTombstone},
    manifest::{
        Edit, Flushed, ManifestError,
        files::{number_of, numbered},
        ids::{IDS_EXTENSION, read_ids},
        look::look,
        state::LEVELS,
    },
    read_error::ReadError,
    table::{Table, TableEntries, TableNumber, TableOptions},
    verify::counted,
    visible::Stamp,
    wal::{LogStart, segments_in, survey},
};

/// How large the new tables are.
const TABLE_BYTES: u64 = 64 << 20;

impl Repair {
    /// Makes a manifest where it is lost or can't be read.
    pub fn rebuild_manifest(&self, consent: Consent) -> Result<RepairReport, RepairError> {
        let directory = self.directory.manifest_path();
        let reason = match look(&*self.vfs, &directory, self.database_id().0) {
            Ok(Some(found)) => {
                let reason = format!("{} is sound: nothing to rebuild", found.path.display());
                return Err(RepairError::Pointless(reason));
            }
            Ok(None) | Err(ManifestError::Missing { .. }) => "there is none".to_owned(),
            Err(ManifestError::Damaged { path, offset, what }) => {
                format!("{} is damaged at offset {offset}: {what}", path.display())
            }
            // Of another database, or of a newer program, or a disk that doesn't answer.
            Err(error) => return Err(error.into()),
        };
        let numbers = self.table_numbers()?;
        let (start, ceiling) = self.log_start()?;
        let tables = numbers.iter().map(|number| self.open_table(*number));
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let mut report = RepairReport { copies: None, lines: told(&reason, &tables, start) };
        if consent == Consent::Given {
            report.copies = Some(self.rebuild(&tables, start, ceiling)?);
        }
        Ok(report)
    }

    fn table_numbers(&self) -> Result<Vec<u64>, RepairError> {
        let directory = self.directory.tables_path();
        if !self.vfs.exists(&directory)? {
            return Ok(Vec::new());
        }
        let names = self.vfs.list(&directory)?;
        Ok(names.iter().filter_map(|name| number_of(name, TABLE_EXTENSION)).collect())
    }

    fn open_table(&self, number: u64) -> Result<Table, RepairError> {
        let path = numbered(&self.directory.tables_path(), number, TABLE_EXTENSION);
        Ok(Table::open(&*self.vfs, &path, TableNumber(number))?)
    }

    /// Where the log begins that is there, which is where the tables end; and the highest version
    /// that it says was reserved.
    fn log_start(&self) -> Result<(LogStart, Version), RepairError> {
        let directory = self.directory.log_path();
        let Some(first_segment) = segments_in(&*self.vfs, &directory)?.first().copied() else {
            let reason = "there is no log either: restore the database from a backup";
            return Err(RepairError::Pointless(reason.to_owned()));
        };
        let id = self.database_id().0;
        let all = LogStart { first_segment, flushed: Version::MAX };
        let survey = survey(&*self.vfs, &directory, id, all, &mut |_, _| {
            std::ops::ControlFlow::Continue(())
        })?;
        let first = survey.segments.first().filter(|segment| segment.number == first_segment);
        let Some(first) = first else {
            let reason = format!("the log's first segment, {first_segment}, can't be read");
            return Err(RepairError::Pointless(reason));
        };
        let start = LogStart { first_segment, flushed: first.after_version };
        Ok((start, survey.ceiling.unwrap_or_default().max(survey.last_version())))
    }

    fn rebuild(
        &self,
        tables: &[Table],
        start: LogStart,
        ceiling: Version,
    ) -> Result<PathBuf, RepairError> {
        let (directory, manifests) = (self.directory.tables_path(), self.directory.manifest_path());
        let copies = self.begin_copies()?;
        let files: Vec<PathBuf> = tables.iter().map(|table| table.path().to_path_buf()).collect();
        copies.keep(&directory, &files)?;
        self.keep_manifest(&copies)?;
        let ids = self.newest_ids()?;
        let taken = self.taken_number()?;
        let rewritten = self.merge(tables, start.flushed, taken)?;
        self.vfs.sync_directory(&directory)?;
        // Those that can't be read, so that a new one can be begun.
        for name in self.vfs.list(&manifests)? {
            if number_of(&name, "manifest").is_some() {
                self.vfs.remove(&manifests.join(name))?;
            }
        }
        let known = tables.iter().map(|table| table.properties().greatest_version).max();
        let mut manifest = self.open_manifest()?;
        manifest.skip_numbers(taken);
        manifest.commit(&Edit {
            added: rewritten.into_iter().map(|table| (LEVELS - 1, table)).collect(),
            removed: Vec::new(),
            flushed: Some(Flushed { version: start.flushed, log_start: start.first_segment, ids }),
            ceiling: Some(ceiling.max(known.unwrap_or_default())),
        })?;
        drop(manifest);
        self.reserve_above(ceiling.max(known.unwrap_or_default()))?;
        // The tables that were merged are orphans now; the next start removes them.
        Ok(copies.path)
    }

    /// Merges the tables' versions up to this one.
    fn merge(
        &self,
        tables: &[Table],
        flushed: Version,
        taken: u64,
    ) -> Result<Vec<crate::engine::table::TableProperties>, RepairError> {
        let sources = tables.iter().map(Table::entries).collect::<Result<Vec<_>, _>>();
        let sources = sources.map_err(|error| RepairError::Rewrite(error.to_string()))?;
        let distinct = Distinct::new(sources, flushed);
        let distinct = distinct.map_err(|error| RepairError::Rewrite(error.to_string()))?;
        let mut tombstones = Vec::new();
        for table in tables {
            tombstones.push(up_to(table.tombstones()?, flushed));
        }
        let input = RewriteInput {
            streams: vec![Box::new(distinct)],
            tombstones,
            horizon: Version::ZERO,
            is_last: &|_, _| false,
            table_bytes_max: TABLE_BYTES,
            neighbours: Neighbours { tables: Vec::new(), bytes_max: u64::MAX },
            options: TableOptions::default(),
        };
        let mut number = taken;
        let next = &mut || {
            number += 1;
            TableNumber(number)
        };
        let pace = &mut |_| std::ops::ControlFlow::Continue(());
        Ok(rewrite(&*self.vfs, &self.directory.tables_path(), input, next, pace)?)
    }

    /// The newest file of ids that is sound.
    fn newest_ids(&self) -> Result<Option<u64>, RepairError> {
        let directory = self.directory.manifest_path();
        let mut numbers = self.numbers_in_manifest(IDS_EXTENSION)?;
        numbers.sort_unstable();
        let id = self.database_id().0;
        let is_sound = |number: &u64| read_ids(&*self.vfs, &directory, *number, id).is_ok();
        Ok(numbers.into_iter().rev().find(is_sound))
    }

    /// The highest number that any file has.
    fn taken_number(&self) -> Result<u64, RepairError> {
        let ids = self.numbers_in_manifest(IDS_EXTENSION)?;
        Ok(ids.into_iter().chain(self.table_numbers()?).max().unwrap_or(0))
    }

    fn numbers_in_manifest(&self, extension: &str) -> Result<Vec<u64>, RepairError> {
        let directory = self.directory.manifest_path();
        if !self.vfs.exists(&directory)? {
            return Ok(Vec::new());
        }
        let names = self.vfs.list(&directory)?;
        Ok(names.iter().filter_map(|name| number_of(name, extension)).collect())
    }

    /// Keeps a copy of all manifests.
    pub(super) fn keep_manifest(&self, copies: &Copies<'_>) -> Result<(), RepairError> {
        let directory = self.directory.manifest_path();
        self.vfs.create_directory(&directory)?;
        let numbers = self.numbers_in_manifest("manifest")?;
        let files: Vec<PathBuf> =
            numbers.iter().map(|number| numbered(&directory, *number, "manifest")).collect();
        copies.keep(&directory, &files)
    }
}

/// The tombstones without what is newer than this version.
fn up_to(tombstones: Vec<RangeTombstone>, version: Version) -> Vec<RangeTombstone> {
    let kept = tombstones.into_iter().filter_map(|mut tombstone| {
        tombstone.stamps.retain(|stamp| stamp.version <= version);
        (!tombstone.stamps.is_empty()).then_some(tombstone)
    });
    kept.collect()
}

/// The entries of tables that may repeat each other, each once, up to a version.
struct Distinct<'t> {
    sources: Vec<TableEntries<'t>>,
    last: Version,
    /// Which source stands at the first entry.
    first: Option<usize>,
}

impl<'t> Distinct<'t> {
    fn new(sources: Vec<TableEntries<'t>>, last: Version) -> Result<Self, ReadError> {
        let mut distinct = Self { sources, last, first: None };
        for source in &mut distinct.sources {
            skip_newer(source, last)?;
        }
        distinct.find();
        Ok(distinct)
    }

    fn find(&mut self) {
        let place = |source: &TableEntries<'t>| {
            source.head().map(|head| (KeyBuf::from(head.key), std::cmp::Reverse(head.stamp)))
        };
        let heads = self.sources.iter().enumerate();
        let heads = heads.filter_map(|(at, source)| Some((place(source)?, at)));
        self.first = heads.min().map(|(_, at)| at);
    }
}

fn skip_newer(source: &mut TableEntries<'_>, last: Version) -> Result<(), ReadError> {
    while source.head().is_some_and(|head| head.stamp.version > last) {
        source.advance()?;
    }
    Ok(())
}

impl EntryStream for Distinct<'_> {
    fn head(&self) -> Option<Entry<'_>> {
        self.sources.get(self.first?)?.head()
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        let Some(head) = self.head() else { return Ok(()) };
        let (key, stamp): (KeyBuf, Stamp) = (head.key.into(), head.stamp);
        let is_here = |head: Entry<'_>| (head.key, head.stamp) == (key.as_ref(), stamp);
        for source in &mut self.sources {
            if source.head().is_some_and(is_here) {
                source.advance()?;
                skip_newer(source, self.last)?;
            }
        }
        self.find();
        Ok(())
    }
}

fn told(reason: &str, tables: &[Table], start: LogStart) -> Vec<String> {
    vec![
        format!("the manifest can't be used: {reason}"),
        format!(
            "a new one is made of {}, up to version {}; the log has the rest, from segment {} on",
            counted(tables.len() as u64, "table", "tables"),
            start.flushed,
            start.first_segment
        ),
        "rows that were cleared long ago may come back, if a table was still there that a \
         compaction had replaced"
            .to_owned(),
    ]
}

//! `plinth inspect`: what lies in a data directory, as text or as JSON, an object a line.
//!
//! It changes nothing and works on a directory that is in use; then standard error says what can't
//! be seen.

use std::{
    io::{self, BufWriter, Write, stdout},
    ops::ControlFlow,
    path::PathBuf,
};

use bytes::Bytes;
use plinth_protocol::KeyspaceId;
use serde_json::{Map, Value, json};

use super::{Exit, complain, place::parse_bytes, shell::json::insert_bytes as insert};
use crate::{
    engine::{
        inspect::{
            ClearedRange, InspectError, Inspection, KeyVersion, Layer, TableEntry, TableSummary,
            What,
        },
        wal::{LogRecord, RecordPlace},
    },
    server::text::escape::quoted,
    vfs::OsVfs,
};

/// Look into a data directory: its manifest, its tables, its log, one key's versions. Changes
/// nothing, and works beside a server that has the directory open.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// What to look at.
    #[command(subcommand)]
    pub what: Subject,
    /// Answer in JSON, an object a line.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to look at.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Subject {
    /// The database's id, how far its tables reach, and each of them.
    Manifest {
        /// The data directory.
        directory: PathBuf,
    },
    /// The segments of the log that count.
    Log {
        /// The data directory.
        directory: PathBuf,
        /// Show every record too.
        #[arg(long)]
        records: bool,
    },
    /// Every entry and every range tombstone of a table.
    Table {
        /// The data directory.
        directory: PathBuf,
        /// The table's number.
        number: u64,
    },
    /// One key's versions in the log and in all tables, newest first.
    Key {
        /// The data directory.
        directory: PathBuf,
        /// The key; takes \xNN escapes.
        #[arg(value_parser = parse_bytes)]
        key: Bytes,
        /// The number of the keyspace, which is that of the default one if left out.
        #[arg(long, value_name = "NUMBER")]
        keyspace_id: Option<u32>,
    },
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Exit {
    let directory = match &arguments.what {
        Subject::Manifest { directory }
        | Subject::Log { directory, .. }
        | Subject::Table { directory, .. }
        | Subject::Key { directory, .. } => directory,
    };
    let inspection = match Inspection::open(&OsVfs, directory) {
        Ok(inspection) => inspection,
        Err(error) => {
            complain(&error);
            return Exit::Failure;
        }
    };
    if inspection.is_in_use() {
        complain(
            &"the database is in use: what is in memory alone is not shown, and the end of the log \
              may look torn",
        );
    }
    let mut printer = Printer {
        output: BufWriter::new(stdout()),
        is_json: arguments.json,
        failure: None,
        is_damaged: false,
    };
    let shown = match &arguments.what {
        Subject::Manifest { .. } => {
            printer.manifest(&inspection);
            Ok(())
        }
        Subject::Log { records, .. } => printer.log(&inspection, *records),
        Subject::Table { number, .. } => printer.table(&inspection, *number),
        Subject::Key { key, keyspace_id, .. } => {
            let keyspace = keyspace_id.map_or(KeyspaceId::DEFAULT, KeyspaceId);
            inspection.key(keyspace, key).map(|versions| {
                if versions.is_empty() {
                    complain(&"neither the log nor a table has a version of this key");
                }
                for version in &versions {
                    printer.key_version(version);
                }
            })
        }
    };
    let written = printer.output.flush();
    match (shown, printer.failure.map_or(written, Err)) {
        (Ok(()), Ok(())) if !printer.is_damaged => Exit::Success,
        // Whoever reads has seen enough.
        (_, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        (Ok(()), Ok(())) => Exit::Failure,
        (Err(error), _) => {
            complain(&error);
            Exit::Failure
        }
        (_, Err(error)) => {
            complain(&format_args!("writing failed: {error}"));
            Exit::Failure
        }
    }
}

struct Printer<W: Write> {
    output: W,
    is_json: bool,
    failure: Option<io::Error>,
    is_damaged: bool,
}

impl<W: Write> Printer<W> {
    fn line(&mut self, text: &str, json: impl FnOnce() -> Value) -> ControlFlow<()> {
        let written = if self.is_json {
            writeln!(self.output, "{}", json())
        } else {
            writeln!(self.output, "{text}")
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure.get_or_insert(error);
                ControlFlow::Break(())
            }
        }
    }

    fn manifest(&mut self, inspection: &Inspection<'_>) {
        let tables = inspection.tables();
        let (id, ceiling) = (inspection.database_id(), inspection.ceiling());
        let (flushed, log_start) = inspection
            .flushed()
            .map_or((None, None), |flushed| (Some(flushed.version.0), Some(flushed.log_start)));
        let reach = flushed.map_or_else(
            || "nothing is flushed yet".to_owned(),
            |version| {
                let log_start = log_start.unwrap_or_default();
                format!("flushed up to version {version}, log needed from segment {log_start}")
            },
        );
        let text = format!(
            "database {id}\n{reach}\nversions reserved up to {ceiling}\n{} tables",
            tables.len()
        );
        let json = || {
            json!({
                "database_id": id.to_string(),
                "in_use": inspection.is_in_use(),
                "flushed_version": flushed,
                "log_start": log_start,
                "ceiling": ceiling.0,
                "tables": tables.len(),
            })
        };
        if self.line(&text, json).is_break() {
            return;
        }
        for table in &tables {
            if self.line(&table_text(table), || table_json(table)).is_break() {
                return;
            }
        }
    }

    fn log(
        &mut self,
        inspection: &Inspection<'_>,
        shows_records: bool,
    ) -> Result<(), InspectError> {
        let survey = inspection.log(&mut |place, record| {
            if !shows_records {
                return ControlFlow::Continue(());
            }
            self.line(&record_text(place, record), || record_json(place, record))
        })?;
        for segment in &survey.segments {
            let text = format!(
                "segment {}: {} records, {} transactions, versions above {} to {}, {} of {} bytes{}",
                segment.number,
                segment.records,
                segment.transactions,
                segment.after_version,
                segment.last_version,
                segment.end,
                segment.file_bytes,
                if segment.torn_bytes > 0 { ", the last write is torn" } else { "" },
            );
            let json = || {
                json!({
                    "segment": segment.number,
                    "records": segment.records,
                    "transactions": segment.transactions,
                    "after_version": segment.after_version.0,
                    "last_version": segment.last_version.0,
                    "end": segment.end,
                    "file_bytes": segment.file_bytes,
                    "torn_bytes": segment.torn_bytes,
                })
            };
            if self.line(&text, json).is_break() {
                return Ok(());
            }
        }
        for error in &survey.errors {
            self.is_damaged = true;
            let _ =
                self.line(&format!("damage: {error}"), || json!({ "damage": error.to_string() }));
        }
        Ok(())
    }

    fn table(&mut self, inspection: &Inspection<'_>, number: u64) -> Result<(), InspectError> {
        let ranges = inspection
            .table(number, &mut |entry| self.line(&entry_text(&entry), || entry_json(&entry)))?;
        for range in &ranges {
            if self.line(&range_text(range), || range_json(range)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn key_version(&mut self, version: &KeyVersion) {
        let KeyVersion { layer, version, order, what } = version;
        let place = match layer {
            Layer::Log { segment, offset } => format!("log {segment}:{offset}"),
            Layer::Table { level, number } => format!("level {level} table {number}"),
        };
        let told = match what {
            What::Set(value) => format!("set to {}", quoted(value)),
            What::Cleared => "cleared".to_owned(),
            What::ClearedWithRange { begin, end } => {
                format!("cleared with {} to {}", quoted(begin), quoted(end))
            }
        };
        let json = || {
            let mut object = stamp_json(version.0, *order);
            match layer {
                Layer::Log { segment, offset } => {
                    object.insert("segment".into(), (*segment).into());
                    object.insert("offset".into(), (*offset).into());
                }
                Layer::Table { level, number } => {
                    object.insert("level".into(), (*level).into());
                    object.insert("table".into(), (*number).into());
                }
            }
            match what {
                What::Set(value) => insert(&mut object, "value", value),
                What::Cleared => drop(object.insert("cleared".into(), true.into())),
                What::ClearedWithRange { begin, end } => {
                    object.insert("cleared".into(), true.into());
                    insert(&mut object, "range_begin", begin);
                    insert(&mut object, "range_end", end);
                }
            }
            object.into()
        };
        let _ = self.line(&format!("{version}.{order} {place}: {told}"), json);
    }
}

fn table_text(table: &TableSummary) -> String {
    format!(
        "level {} table {}: {} to {}, {} entries, {} clears, {} superseded, {} range tombstones, \
         versions {} to {}, {} bytes",
        table.level,
        table.number,
        key_text(&table.begin),
        key_text(&table.end),
        table.entries,
        table.clears,
        table.superseded,
        table.range_tombstones,
        table.least_version,
        table.greatest_version,
        table.bytes,
    )
}

fn key_text((keyspace, key): &(u32, Vec<u8>)) -> String {
    format!("{keyspace}:{}", quoted(key))
}

fn table_json(table: &TableSummary) -> Value {
    let mut object = Map::from_iter([
        ("table".to_owned(), table.number.into()),
        ("level".to_owned(), table.level.into()),
        ("begin_keyspace".to_owned(), table.begin.0.into()),
        ("end_keyspace".to_owned(), table.end.0.into()),
        ("bytes".to_owned(), table.bytes.into()),
        ("entries".to_owned(), table.entries.into()),
        ("clears".to_owned(), table.clears.into()),
        ("superseded".to_owned(), table.superseded.into()),
        ("range_tombstones".to_owned(), table.range_tombstones.into()),
        ("key_bytes".to_owned(), table.key_bytes.into()),
        ("value_bytes".to_owned(), table.value_bytes.into()),
        ("least_version".to_owned(), table.least_version.0.into()),
        ("greatest_version".to_owned(), table.greatest_version.0.into()),
    ]);
    insert(&mut object, "begin", &table.begin.1);
    insert(&mut object, "end", &table.end.1);
    object.into()
}

fn record_text(place: RecordPlace, record: &LogRecord) -> String {
    let RecordPlace { segment, offset, bytes } = place;
    let what = match record {
        LogRecord::Ceiling(ceiling) => format!("versions reserved up to {ceiling}"),
        LogRecord::Batch(batch) => {
            let writes: usize = batch.iter().map(|transaction| transaction.writes.len()).sum();
            let versions = batch.first().zip(batch.last()).map_or_else(String::new, |(a, b)| {
                format!(", versions {} to {}", a.version, b.version)
            });
            format!("{} transactions with {writes} writes{versions}", batch.len())
        }
    };
    format!("record {segment}:{offset}, {bytes} bytes: {what}")
}

fn record_json(place: RecordPlace, record: &LogRecord) -> Value {
    let mut object = Map::from_iter([
        ("segment".to_owned(), place.segment.into()),
        ("offset".to_owned(), place.offset.into()),
        ("bytes".to_owned(), place.bytes.into()),
    ]);
    match record {
        LogRecord::Ceiling(ceiling) => {
            object.insert("ceiling".into(), ceiling.0.into());
        }
        LogRecord::Batch(batch) => {
            let transactions: Vec<Value> = batch
                .iter()
                .map(|transaction| {
                    let mut object = stamp_json(transaction.version.0, transaction.order);
                    object.insert("committed_at_ms".into(), transaction.committed_at_ms.into());
                    object.insert("writes".into(), transaction.writes.len().into());
                    object.into()
                })
                .collect();
            object.insert("transactions".into(), transactions.into());
        }
    }
    object.into()
}

fn entry_text(entry: &TableEntry<'_>) -> String {
    let TableEntry { keyspace, key, version, order, value } = entry;
    let told = value.map_or_else(|| "cleared".to_owned(), quoted);
    format!("{keyspace}:{} {version}.{order} {told}", quoted(key))
}

fn entry_json(entry: &TableEntry<'_>) -> Value {
    let mut object = stamp_json(entry.version.0, entry.order);
    object.insert("keyspace".into(), entry.keyspace.into());
    insert(&mut object, "key", entry.key);
    match entry.value {
        Some(value) => insert(&mut object, "value", value),
        None => drop(object.insert("cleared".into(), true.into())),
    }
    object.into()
}

fn range_text(range: &ClearedRange) -> String {
    let stamps: Vec<String> =
        range.stamps.iter().map(|(version, order)| format!("{version}.{order}")).collect();
    let (begin, end) = (key_text(&range.begin), key_text(&range.end));
    format!("cleared {begin} to {end} at {}", stamps.join(" "))
}

fn range_json(range: &ClearedRange) -> Value {
    let mut object = Map::new();
    object.insert("begin_keyspace".into(), range.begin.0.into());
    object.insert("end_keyspace".into(), range.end.0.into());
    insert(&mut object, "range_begin", &range.begin.1);
    insert(&mut object, "range_end", &range.end.1);
    let stamps = range.stamps.iter().map(|(version, order)| stamp_json(version.0, *order).into());
    object.insert("cleared".into(), Value::Array(stamps.collect()));
    object.into()
}

fn stamp_json(version: u64, order: u16) -> Map<String, Value> {
    Map::from_iter([("version".to_owned(), version.into()), ("order".to_owned(), order.into())])
}

//! `plinth export`: the rows of a range into a file.
//!
//! Everything is read from one pinned snapshot, however long it takes: the file shows the database
//! as it was at one version, whatever is written meanwhile. The next chunk is asked for while the
//! last is written. An export that stops says after which key; `--begin` with `--append` goes on
//! there, from a new snapshot.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write, stdout},
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use plinth_client::{Backend, Database, RangeChunk, Snapshot as _};
use plinth_protocol::{
    Error, ErrorCode, KeyRange, KeyspaceId, Version,
    range::{key_after, prefix_end},
    request::RangeOptions,
    response::KeyValue,
};

use super::{
    Exit,
    place::{Errand, Host, Place, parse_bytes},
    progress::{self, megabytes},
    report_error,
    rows::{Format, write_row},
};
use crate::server::text::escape::escape_into;

/// What is asked for at once.
const CHUNK_BYTES: u32 = 1 << 20;

/// The end of a keyspace's keys.
const KEYS_END: &[u8] = b"\xff";

/// Write the rows of a range into a file, all from one snapshot.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The file; standard output if it is - or left out.
    pub file: Option<PathBuf>,
    /// How to write the rows down; told by the file's name, or jsonl.
    #[arg(long)]
    pub format: Option<Format>,
    /// The first key; takes \xNN escapes.
    #[arg(long, value_name = "KEY", value_parser = parse_bytes)]
    pub begin: Option<Bytes>,
    /// The first key that is not written any more; takes \xNN escapes.
    #[arg(long, value_name = "KEY", value_parser = parse_bytes)]
    pub end: Option<Bytes>,
    /// Only keys that begin with this; takes \xNN escapes.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub prefix: Option<Bytes>,
    /// Write at the end of the file, to go on after a stop; else the file must not exist.
    #[arg(long)]
    pub append: bool,
    /// Which database.
    #[command(flatten)]
    pub place: Place,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Exit {
    let place = arguments.place.clone();
    place.run(arguments)
}

impl Arguments {
    fn range(&self) -> KeyRange {
        let prefix = self.prefix.clone().unwrap_or_default();
        let prefix_end = prefix_end(&prefix).unwrap_or(Bytes::from_static(KEYS_END));
        let begin = self.begin.clone().map_or(prefix.clone(), |begin| begin.max(prefix));
        let end = self.end.clone().map_or(prefix_end.clone(), |end| end.min(prefix_end));
        KeyRange { begin, end }
    }

    fn format(&self) -> Format {
        self.format
            .or_else(|| self.file.as_deref().and_then(Format::of_file))
            .unwrap_or(Format::Jsonl)
    }

    fn open(&self) -> Result<Box<dyn Write + Send>, Error> {
        match self.file.as_deref() {
            Some(path) if path.as_os_str() != "-" => {
                let mut options = OpenOptions::new();
                let opened = if self.append {
                    options.append(true).create(true).open(path)
                } else {
                    options.write(true).create_new(true).open(path)
                };
                opened.map(|file: File| Box::new(file) as Box<dyn Write + Send>).map_err(|error| {
                    let hint = match error.kind() {
                        io::ErrorKind::AlreadyExists => ": name another, or go on with --append",
                        _ => "",
                    };
                    let message = format!("can't make {}: {error}{hint}", path.display());
                    Error::new(ErrorCode::IO_ERROR, message)
                })
            }
            _ => Ok(Box::new(stdout())),
        }
    }
}

impl Errand for Arguments {
    async fn run<B: Backend>(self, database: Database<B>, keyspace: KeyspaceId, _: Host) -> Exit {
        if self.format() == Format::Stanzas {
            return progress::usage_error("stanzas can be imported only: say jsonl or tsv");
        }
        let output = match self.open() {
            Ok(output) => BufWriter::with_capacity(1 << 16, output),
            Err(error) => return report_error(&error),
        };
        let mut export = Export {
            output,
            format: self.format(),
            text: String::new(),
            rows: 0,
            bytes: 0,
            last_key: None,
            version: None,
        };
        let bar = progress::bar(None, "{spinner} {pos} rows, {per_sec}");
        let begun = Instant::now();
        let interrupted = tokio::signal::ctrl_c();
        let stopped = tokio::select! {
            stopped = export.copy(database.backend(), keyspace, self.range(), &bar) => stopped,
            _ = interrupted => Err("interrupted".to_owned()),
        };
        let stopped = stopped.and(export.output.flush().map_err(|error| write_failed(&error)));
        bar.finish_and_clear();
        export.report(&stopped, begun.elapsed())
    }
}

fn write_failed(error: &io::Error) -> String {
    format!("writing failed: {error}")
}

/// The export under way.
struct Export<W: Write> {
    output: BufWriter<W>,
    format: Format,
    /// The row that is being written.
    text: String,
    rows: u64,
    bytes: u64,
    last_key: Option<Bytes>,
    version: Option<Version>,
}

impl<W: Write> Export<W> {
    /// Reads the range from one snapshot and writes it.
    async fn copy<B: Backend>(
        &mut self,
        backend: &B,
        keyspace: KeyspaceId,
        range: KeyRange,
        bar: &indicatif::ProgressBar,
    ) -> Result<(), String> {
        let told = |error: Error| progress::error_text(&error);
        let snapshot = backend.pin(None).await.map_err(told)?;
        self.version = Some(snapshot.version());
        let ask = |begin: Bytes| {
            let (backend, snapshot, end) = (backend.clone(), snapshot.clone(), range.end.clone());
            let options = RangeOptions { bytes_target: CHUNK_BYTES, ..RangeOptions::default() };
            tokio::spawn(async move {
                let range = KeyRange { begin, end };
                backend.get_range(Some(&snapshot), keyspace, range, options).await
            })
        };
        if range.is_empty() {
            return Ok(());
        }
        let mut asked = Some(ask(range.begin.clone()));
        while let Some(answer) = asked.take() {
            let read = answer.await.map_err(|error| error.to_string())?.map_err(told)?;
            let RangeChunk { rows, more } = read.value;
            if let Some(last) = rows.last().filter(|_| more) {
                asked = Some(ask(key_after(&last.key)));
            }
            for row in &rows {
                self.write(row).map_err(|error| write_failed(&error))?;
            }
            bar.inc(rows.len() as u64);
        }
        Ok(())
    }

    fn write(&mut self, row: &KeyValue) -> io::Result<()> {
        self.text.clear();
        write_row(&mut self.text, self.format, &row.key, &row.value);
        self.output.write_all(self.text.as_bytes())?;
        self.rows += 1;
        self.bytes += (row.key.len() + row.value.len()) as u64;
        self.last_key = Some(row.key.clone());
        Ok(())
    }

    fn report(&self, stopped: &Result<(), String>, elapsed: Duration) -> Exit {
        let mut lines = Vec::new();
        if let Err(what) = stopped {
            lines.push(format!("plinth: {what}"));
        }
        let version = self.version.map(|version| format!(", as of version {version}"));
        lines.push(format!(
            "exported {} rows, {} of keys and values, in {:.1} s{}",
            self.rows,
            megabytes(self.bytes),
            elapsed.as_secs_f64(),
            version.unwrap_or_default(),
        ));
        if let (Err(_), Some(last)) = (stopped, &self.last_key) {
            let mut key = String::new();
            escape_into(&mut key, &key_after(last));
            // Within a shell's quotes.
            let key = key.replace('\'', "\\x27");
            lines.push(format!("to go on: --append --begin '{key}'"));
        }
        progress::say(&lines);
        if stopped.is_ok() { Exit::Success } else { Exit::Failure }
    }
}

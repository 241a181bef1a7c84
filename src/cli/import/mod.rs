//! `plinth import`: rows from a file into a database.
//!
//! A thread reads and cuts the rows into batches; each batch is a transaction, and several are in
//! flight at once. Two batches that hold the same key are never in flight together, so that of equal
//! keys the last one wins, as though the rows had been written one by one.
//!
//! An import is not one transaction: what is committed when it stops stays. It says then how many
//! rows from the beginning are certainly there, and `--skip-rows` goes on from there. Rows that are
//! written twice do no harm.

mod batches;
mod commits;

use std::{
    fs::File,
    io::{BufReader, stdin},
    path::PathBuf,
    time::Instant,
};

use bytes::Bytes;
use plinth_client::{Backend, Database};
use plinth_protocol::{Error, ErrorCode, KeyspaceId};

use self::{batches::Reader, commits::Import};
use super::{
    Exit,
    place::{Errand, Host, Place, parse_bytes},
    progress, report_error,
    rows::{Format, Rows},
};

/// Write the rows of a file into a database.
///
/// The format is told by the file's name (.jsonl, .tsv) or by --format. A whole Debian package
/// index, each package's stanza under its name:
///
///   apt-cache dumpavail | plinth import --format stanzas --key-field Package
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// The file; standard input if it is - or left out.
    pub file: Option<PathBuf>,
    /// How the rows are written down.
    #[arg(long)]
    pub format: Option<Format>,
    /// Which field of a stanza is its key.
    #[arg(long, value_name = "FIELD", default_value = "Package")]
    pub key_field: String,
    /// What to put in front of every key; takes \xNN escapes.
    #[arg(long, value_name = "BYTES", default_value = "", value_parser = parse_bytes)]
    pub key_prefix: Bytes,
    /// Leave out this many rows at the beginning: those that are in already.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub skip_rows: u64,
    /// Leave out rows that can't be read, instead of stopping at the first; the exit code tells
    /// whether there were any.
    #[arg(long)]
    pub keep_going: bool,
    /// Bytes of keys and values in one transaction.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10,
          value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub batch_bytes: u32,
    /// Transactions in flight at once.
    #[arg(long, value_name = "COUNT", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub in_flight: u16,
    /// Which database.
    #[command(flatten)]
    pub place: Place,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Exit {
    let place = arguments.place.clone();
    place.run(arguments)
}

impl Errand for Arguments {
    async fn run<B: Backend>(self, database: Database<B>, keyspace: KeyspaceId, _: Host) -> Exit {
        let (input, name, length) = match self.open() {
            Ok(opened) => opened,
            Err(error) => return report_error(&error),
        };
        let Some(format) = self.format.or_else(|| self.file.as_deref().and_then(Format::of_file))
        else {
            let message = format!("what {name} holds is not told by its name: say --format");
            return progress::usage_error(&message);
        };
        let bar = progress::bytes(length);
        let begun = Instant::now();
        let rows = Rows::new(BufReader::new(bar.wrap_read(input)), format, &self.key_field);
        let mut import = Import::new(&database, keyspace, &self);
        let stopped = import.run(Reader::new(rows, &self, name, database.limits())).await;
        bar.finish_and_clear();
        import.report(&stopped, begun.elapsed())
    }
}

type Input = Box<dyn std::io::Read + Send>;

impl Arguments {
    /// The input, its name, and its length if that is known.
    fn open(&self) -> Result<(Input, String, Option<u64>), Error> {
        match self.file.as_deref() {
            Some(path) if path.as_os_str() != "-" => {
                let name = path.display().to_string();
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
                match opened {
                    Ok((length, file)) => Ok((Box::new(file), name, Some(length))),
                    Err(error) => {
                        let message = format!("can't open {name}: {error}");
                        Err(Error::new(ErrorCode::IO_ERROR, message))
                    }
                }
            }
            _ => Ok((Box::new(stdin()), "standard input".to_owned(), None)),
        }
    }
}

//! A data directory with tables and a log, to be looked at and damaged.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Said, Server, run, run_with_input};

/// Rows of the sample, of which each is 200 bytes or so.
pub(crate) const ROWS: usize = 3000;
/// A memtable of these bytes is full several times over.
const SMALL: [&str; 2] = ["--memtable-bytes", "200000"];
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A data directory.
pub(crate) struct Sample {
    _directory: TempDir,
    pub(crate) data: PathBuf,
}

/// A place in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// The lines of standard output, each of which is JSON.
pub(crate) fn json_lines(said: &Said) -> Vec<Value> {
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs a command that must succeed, with `--json`.
pub(crate) fn shown(arguments: &[&str]) -> Vec<Value> {
    let said = run(&[arguments, &["--json"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    json_lines(&said)
}

impl Sample {
    /// Rows in at least two tables, and in a log that still has all of them. Nobody has it open.
    pub(crate) fn new() -> Self {
        let (sample, server) = Self::served();
        server.stop();
        sample
    }

    /// The same with the server that has it open.
    pub(crate) fn served() -> (Self, Server) {
        let directory = tempfile::tempdir().unwrap();
        let sample = Self { data: directory.path().join("data"), _directory: directory };
        let server = Server::start_with(&sample.data, &SMALL);
        let mut rows = String::new();
        for number in 0..ROWS {
            writeln!(rows, "row{number:05}\t{}", "v".repeat(200)).unwrap();
        }
        let target = server.target();
        let import = ["import", "--target", &target, "--format", "tsv", "--batch-bytes", "10000"];
        let said = run_with_input(&import, rows.as_bytes());
        assert_eq!(said.code, 0, "{said:?}");
        let begin = Instant::now();
        while sample.tables().len() < 2 {
            assert!(begin.elapsed() < PATIENCE, "memory does not go to tables");
            std::thread::sleep(Duration::from_millis(10));
        }
        (sample, server)
    }

    pub(crate) fn path(&self) -> &str {
        self.data.to_str().unwrap()
    }

    /// The numbers of the tables.
    pub(crate) fn tables(&self) -> Vec<u64> {
        let lines = shown(&["inspect", "manifest", self.path()]);
        lines.iter().filter_map(|line| line["table"].as_u64()).collect()
    }

    /// The records of the log with transactions, in order.
    pub(crate) fn records(&self) -> Vec<Record> {
        let lines = shown(&["inspect", "log", self.path(), "--records"]);
        let records = lines.iter().filter(|line| line["transactions"].is_array());
        let record = |line: &Value| Record {
            segment: line["segment"].as_u64().unwrap(),
            offset: line["offset"].as_u64().unwrap(),
            bytes: line["bytes"].as_u64().unwrap(),
        };
        records.map(record).collect()
    }

    pub(crate) fn table_path(&self, number: u64) -> PathBuf {
        self.data.join(format!("tables/{number:016}.table"))
    }

    pub(crate) fn segment_path(&self, number: u64) -> PathBuf {
        self.data.join(format!("log/{number:016}.log"))
    }

    /// Damages a table; answers its number and where.
    pub(crate) fn damage_table(&self) -> (u64, u64) {
        let number = self.tables()[0];
        let path = self.table_path(number);
        let offset = path.metadata().unwrap().len() / 4;
        flip(&path, offset);
        (number, offset)
    }

    /// Damages a record in the middle of the log, and answers where it is.
    pub(crate) fn damage_log(&self) -> Record {
        let records = self.records();
        let record = records[records.len() / 2];
        flip(&self.segment_path(record.segment), record.offset + record.bytes / 2);
        record
    }

    /// Damages the manifest's first record.
    pub(crate) fn damage_manifest(&self) -> PathBuf {
        let path = self.manifest();
        flip(&path, 530);
        path
    }

    /// The manifest's file.
    pub(crate) fn manifest(&self) -> PathBuf {
        let files = std::fs::read_dir(self.data.join("manifest")).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        files.find(|path| path.extension().is_some_and(|of| of == "manifest")).unwrap()
    }

    /// Serves the database, and counts its rows.
    pub(crate) fn serve_and_count(&self) -> usize {
        let server = Server::start(&self.data);
        let said = run(&["export", "--target", &server.target(), "--format", "tsv"]);
        assert_eq!(said.code, 0, "{said:?}");
        server.stop();
        said.stdout.lines().count()
    }

    /// What `plinth verify` says in JSON, and its exit code.
    pub(crate) fn verify(&self) -> (i32, Value) {
        let said = run(&["verify", self.path(), "--json"]);
        let mut lines = json_lines(&said);
        assert_eq!(lines.len(), 1, "{said:?}");
        (said.code, lines.remove(0))
    }
}

/// Changes a bit of a byte.
fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

//! Reading a history: every line is checked before anything in it is believed.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use super::{
    FORMAT_VERSION, History, Outcome, Transaction,
    format::{Chain, Line, parse_header, parse_line},
};

/// The longest line that is read: a transaction's size has a limit too.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Why a file is no history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// Which line, counted from 1; `None` if the file as such can't be read.
    pub line: Option<u64>,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads a history from a file.
pub fn read(path: &Path) -> Result<History, ReadError> {
    let file = File::open(path)
        .map_err(|error| ReadError { line: None, message: format!("can't be opened: {error}") })?;
    read_from(BufReader::new(file))
}

/// Reads a history from its lines.
pub fn read_from(input: impl BufRead) -> Result<History, ReadError> {
    let mut lines = Lines { input, number: 0, line: Vec::new(), chain: Chain::default() };
    let found = read_lines(&mut lines);
    found.map_err(|message| ReadError { line: Some(lines.number), message })
}

fn read_lines(lines: &mut Lines<impl BufRead>) -> Result<History, String> {
    let empty = "a history begins with a line of its own, and this file is empty";
    let header = parse_header(lines.next()?.ok_or(empty)?)?;
    if header.format_version != FORMAT_VERSION {
        return Err(format!(
            "it is of version {} of the format, and this program reads version {FORMAT_VERSION}",
            header.format_version
        ));
    }
    let mut transactions = Vec::new();
    loop {
        let unfinished = "the history has no last line: its recording was cut short";
        match parse_line(lines.next()?.ok_or(unfinished)?)? {
            Line::Transaction(transaction) => {
                if header.has_versions {
                    check_versions(&transaction)?;
                }
                transactions.push(transaction);
            }
            Line::End(count) if count == transactions.len() as u64 => break,
            Line::End(count) => {
                let found = transactions.len();
                return Err(format!("there were {count} transactions, and {found} are here"));
            }
        }
    }
    match lines.next()? {
        None => Ok(History { header, transactions }),
        Some(_) => Err("there is more behind the last line".to_owned()),
    }
}

/// Whether the versions are there that a history with versions must have.
fn check_versions(transaction: &Transaction) -> Result<(), String> {
    let reads = transaction.ops.iter().any(|op| !op.is_write());
    if reads && transaction.read_version.is_none() {
        return Err("it read, and there is no read version".to_owned());
    }
    if transaction.writes() && transaction.outcome == Outcome::Committed(None) {
        return Err("it committed writes, and there is no version".to_owned());
    }
    Ok(())
}

struct Lines<R> {
    input: R,
    number: u64,
    line: Vec<u8>,
    chain: Chain,
}

impl<R: BufRead> Lines<R> {
    /// The next line, if there is one and its checksum is right.
    fn next(&mut self) -> Result<Option<&[u8]>, String> {
        self.line.clear();
        self.number += 1;
        let mut input = self.input.by_ref().take(LINE_BYTES_MAX as u64);
        let count = input
            .read_until(b'\n', &mut self.line)
            .map_err(|error: io::Error| format!("can't be read: {error}"))?;
        if count == 0 {
            return Ok(None);
        }
        if self.line.pop_if(|byte| *byte == b'\n').is_none() && count == LINE_BYTES_MAX {
            return Err(format!("the line is longer than {LINE_BYTES_MAX} bytes"));
        }
        self.chain.check(&self.line)?;
        Ok(Some(&self.line))
    }
}

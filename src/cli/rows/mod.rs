//! Rows in files: what `plinth import` reads and `plinth export` writes.
//!
//! | format | a row |
//! | --- | --- |
//! | `jsonl` | a line `{"key":"…","value":"…"}`; what is not UTF-8 as `key_base64`, `value_base64` |
//! | `tsv` | a line of key, tab, value, with the escapes `\t` `\n` `\r` `\\` `\xNN` |
//! | `stanzas` | lines of `Field: text` up to an empty line, as in a Debian package index; read only |
//!
//! Any key and value come back from `jsonl` and `tsv` as they were. A reader never holds more than
//! one row, however long the file is, and says by line what it can't understand.

mod jsonl;
mod lines;
mod stanzas;
mod tsv;

use std::{fmt, io::BufRead, path::Path};

use bytes::Bytes;
use clap::ValueEnum;

pub(crate) use self::jsonl::text_or_base64;
pub use self::lines::LINE_BYTES_MAX;
use self::lines::Lines;

/// How rows are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object a line, with `key` and `value`, or `key_base64` and `value_base64`.
    Jsonl,
    /// Key, tab, value, with escapes.
    Tsv,
    /// Paragraphs of `Field: text` lines; the key is the text of a field, the value the paragraph.
    Stanzas,
}

impl Format {
    /// The format that a file's name tells.
    pub fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "tsv" | "tab" => Some(Self::Tsv),
            _ => None,
        }
    }
}

/// A row, and where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// The first line of it, counted from 1.
    pub line: u64,
}

/// Why a row can't be read.
#[derive(Debug)]
pub enum RowError {
    /// The row at this line is not one; the next may be.
    Bad {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file can't be read on.
    Io(std::io::Error),
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad { line, what } => write!(f, "{line}: {what}"),
            Self::Io(error) => write!(f, "reading failed: {error}"),
        }
    }
}

impl std::error::Error for RowError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bad { .. } => None,
            Self::Io(error) => Some(error),
        }
    }
}

/// Reads rows.
pub struct Rows<R> {
    lines: Lines<R>,
    format: Format,
    key_field: String,
}

impl<R: BufRead> Rows<R> {
    /// Reads rows of a format; `key_field` names the field that is a stanza's key.
    pub fn new(input: R, format: Format, key_field: &str) -> Self {
        Self { lines: Lines::new(input), format, key_field: key_field.to_owned() }
    }

    fn read(&mut self) -> Result<Option<Row>, RowError> {
        match self.format {
            Format::Jsonl => self.read_line(jsonl::parse),
            Format::Tsv => self.read_line(tsv::parse),
            Format::Stanzas => stanzas::read(&mut self.lines, &self.key_field),
        }
    }

    /// Reads a row that is a line; empty lines are none.
    fn read_line(
        &mut self,
        parse: impl Fn(&[u8]) -> Result<(Bytes, Bytes), String>,
    ) -> Result<Option<Row>, RowError> {
        loop {
            let Some(text) = self.lines.next()? else {
                return Ok(None);
            };
            if text.is_empty() {
                continue;
            }
            let parsed = parse(text);
            let line = self.lines.number();
            return match parsed {
                Ok((key, value)) => Ok(Some(Row { key, value, line })),
                Err(what) => Err(RowError::Bad { line, what }),
            };
        }
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Row, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Appends a row; `stanzas` are written as `tsv`, for only values that are stanzas already would
/// come back.
pub fn write_row(output: &mut String, format: Format, key: &[u8], value: &[u8]) {
    match format {
        Format::Jsonl => jsonl::write(output, key, value),
        Format::Tsv | Format::Stanzas => tsv::write(output, key, value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Key, value and line.
    type Seen = (Vec<u8>, Vec<u8>, u64);

    fn rows(text: &[u8], format: Format) -> Vec<Result<Seen, String>> {
        Rows::new(text, format, "Package")
            .map(|row| {
                row.map(|row| (row.key.to_vec(), row.value.to_vec(), row.line))
                    .map_err(|error| error.to_string())
            })
            .collect()
    }

    fn row(key: &str, value: &str, line: u64) -> Seen {
        (key.into(), value.into(), line)
    }

    #[test]
    fn json_lines_are_read_and_bad_ones_are_named() {
        let text = br#"{"key":"a","value":"1"}

{"value_base64":"/w==","key":"b"}
{"key":"c"}
{"key":"c","value":1}
{"key":"c","value":"1","valeu":"2"}
{"key":"c","key_base64":"Yw==","value":"1"}
{"key_base64":"?","value":"1"}
not json
{"key":"d","value":"\u00fc"}"#;
        let rows = rows(text, Format::Jsonl);
        assert_eq!(rows[0], Ok(row("a", "1", 1)));
        assert_eq!(rows[1], Ok((b"b".to_vec(), vec![255], 3)));
        let error = |at: usize| rows[at].as_ref().unwrap_err().as_str();
        assert_eq!(error(2), "4: there is neither value nor value_base64");
        assert!(error(3).starts_with("5: "), "{}", error(3));
        assert!(error(4).contains("unknown field `valeu`"), "{}", error(4));
        assert_eq!(error(5), "7: there are both key and key_base64");
        assert!(error(6).starts_with("8: key_base64: "), "{}", error(6));
        assert!(error(7).starts_with("9: "), "{}", error(7));
        assert_eq!(rows[8], Ok(row("d", "ü", 10)));
    }

    #[test]
    fn tab_separated_lines_are_read_and_bad_ones_are_named() {
        let rows = rows(b"a\t1\r\nb\nc\t\\q\nd\t1\t2\n\\t\t\\x00", Format::Tsv);
        assert_eq!(rows[0], Ok(row("a", "1", 1)));
        let error = |at: usize| rows[at].as_ref().unwrap_err().as_str();
        assert_eq!(error(1), "2: there is no tab between key and value");
        assert!(error(2).starts_with("3: \\q is not an escape"), "{}", error(2));
        assert!(error(3).starts_with("4: there is a second tab"), "{}", error(3));
        assert_eq!(rows[4], Ok(row("\t", "\0", 5)));
    }

    #[test]
    fn stanzas_are_keyed_by_a_field() {
        let text = b"\n\nPackage: one\nVersion: 1\nDescription: a\n long\n .\n story\n\n\
                     Version: 2\n\nVersion: 3\npackage:two\r\n\r\n\n";
        let rows = rows(text, Format::Stanzas);
        let first = "Package: one\nVersion: 1\nDescription: a\n long\n .\n story\n";
        assert_eq!(rows[0], Ok(row("one", first, 3)));
        assert_eq!(rows[1].as_ref().unwrap_err(), "10: the stanza has no field Package");
        assert_eq!(rows[2], Ok(row("two", "Version: 3\npackage:two\n", 12)));
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn a_line_without_end_is_refused_and_the_next_is_read() {
        let mut text = vec![b'x'; LINE_BYTES_MAX + 10];
        text.extend_from_slice(b"\na\t1\n");
        let rows = rows(&text, Format::Tsv);
        assert!(rows[0].as_ref().unwrap_err().starts_with("1: the line is longer than"));
        assert_eq!(rows[1], Ok(row("a", "1", 2)));
    }

    proptest! {
        #[test]
        fn any_rows_come_back(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
            for format in [Format::Jsonl, Format::Tsv] {
                let mut text = String::new();
                for (key, value) in &pairs {
                    write_row(&mut text, format, key, value);
                }
                let back: Vec<_> = Rows::new(text.as_bytes(), format, "")
                    .map(|row| row.map(|row| (row.key.to_vec(), row.value.to_vec())).unwrap())
                    .collect();
                prop_assert_eq!(&back, &pairs);
            }
        }

        #[test]
        fn no_input_panics(text: Vec<u8>) {
            for format in [Format::Jsonl, Format::Tsv, Format::Stanzas] {
                prop_assert!(rows(&text, format).len() <= text.len());
            }
        }
    }
}

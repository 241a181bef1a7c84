//! Words: a line cut at its spaces.
//!
//! A word is bare (`greeting`) or between quotes (`"good morning"`); escapes work in both. What is
//! neither is an error that says where: a quote in the middle of a word, a quote that never closes,
//! an escape that isn't one. Bytes that are not UTF-8 stand for themselves.

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, Versionstamp};

use super::escape::{Escape, EscapeError, read_escape};

/// One word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Its bytes, escapes replaced; a versionstamp's place is ten zero bytes.
    pub(crate) bytes: Bytes,
    /// Where a versionstamp's place is, and the column where it was written.
    pub(crate) stamp: Option<Stamp>,
    /// Where the word begins, counted from 1.
    pub(crate) column: usize,
}

/// The place of a versionstamp in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes before it.
    pub(crate) offset: u32,
    /// Where in the line it was written, counted from 1.
    pub(crate) column: usize,
}

/// A syntax error at a column.
pub(crate) fn error_at(column: usize, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::SYNTAX, format!("at column {column}: {what}"))
}

/// Cuts a line into words. A word that begins with `#` begins a comment.
pub(crate) fn words(line: &[u8]) -> Result<Vec<Word>, Error> {
    let mut words = Vec::new();
    let mut lexer = Lexer { line, at: 0 };
    loop {
        lexer.skip_spaces();
        match lexer.peek() {
            None | Some(b'#') => return Ok(words),
            Some(b'"') => words.push(lexer.quoted()?),
            Some(_) => words.push(lexer.bare()?),
        }
    }
}

/// Cuts a text into commands at the semicolons and line ends outside quotes, for callers that take
/// several commands in one argument.
pub fn split_commands(text: &[u8]) -> Vec<&[u8]> {
    let mut commands = Vec::new();
    let (mut begin, mut at, mut in_quotes, mut in_comment) = (0, 0, false, false);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\n' => (in_quotes, in_comment) = (false, false),
            _ if in_comment => {}
            b'\\' => at += 1,
            b'"' => in_quotes = !in_quotes,
            b'#' if !in_quotes && text.get(begin..at).is_some_and(ends_a_word) => in_comment = true,
            _ => {}
        }
        if byte == b'\n' || byte == b';' && !in_quotes && !in_comment {
            commands.push(text.get(begin..at).unwrap_or_default());
            begin = at + 1;
        }
        at += 1;
    }
    commands.push(text.get(begin..).unwrap_or_default());
    commands
}

fn ends_a_word(before: &[u8]) -> bool {
    before.last().is_none_or(|&byte| is_space(byte))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

struct Lexer<'a> {
    line: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn bare(&mut self) -> Result<Word, Error> {
        let mut word = WordBuilder::new(self.at);
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let what = "a quote inside a word: put quotes around the whole, or write \\\"";
                    return Err(error_at(self.at + 1, what));
                }
                b'\\' => self.escape(&mut word)?,
                byte if is_space(byte) => break,
                byte => {
                    word.bytes.push(byte);
                    self.at += 1;
                }
            }
        }
        Ok(word.build())
    }

    fn quoted(&mut self) -> Result<Word, Error> {
        let mut word = WordBuilder::new(self.at);
        self.at += 1;
        loop {
            match self.peek() {
                None => {
                    let what = "this quote is never closed: a line holds a whole command, and \\n \
                                stands for a line end";
                    return Err(error_at(word.column, what));
                }
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut word)?,
                Some(byte) => {
                    word.bytes.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        match self.peek() {
            Some(byte) if !is_space(byte) => {
                Err(error_at(self.at + 1, "a space must follow the closing quote"))
            }
            _ => Ok(word.build()),
        }
    }

    fn escape(&mut self, word: &mut WordBuilder) -> Result<(), Error> {
        let column = self.at + 1;
        let rest = self.line.get(column..).unwrap_or_default();
        let (escape, taken) = read_escape(rest).map_err(|error| error_at(column, error))?;
        self.at += 1 + taken;
        match escape {
            Escape::Byte(byte) => word.bytes.push(byte),
            Escape::Versionstamp if word.stamp.is_none() => {
                word.stamp = Some(Stamp { offset: word.bytes.len() as u32, column });
                word.bytes.extend_from_slice(&[0; Versionstamp::LEN]);
            }
            Escape::Versionstamp => {
                return Err(error_at(column, "a word has room for one versionstamp"));
            }
        }
        Ok(())
    }
}

struct WordBuilder {
    bytes: Vec<u8>,
    stamp: Option<Stamp>,
    column: usize,
}

impl WordBuilder {
    fn new(at: usize) -> Self {
        Self { bytes: Vec::new(), stamp: None, column: at + 1 }
    }

    fn build(self) -> Word {
        Word { bytes: self.bytes.into(), stamp: self.stamp, column: self.column }
    }
}

impl Word {
    /// The bytes of a word that must not hold a versionstamp's place.
    pub(crate) fn plain(self) -> Result<Bytes, Error> {
        match self.stamp {
            None => Ok(self.bytes),
            Some(stamp) => Err(error_at(stamp.column, EscapeError::MisplacedVersionstamp)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::server::text::escape::quoted;

    fn plain(line: &[u8]) -> Vec<Vec<u8>> {
        words(line).unwrap().into_iter().map(|word| word.bytes.to_vec()).collect()
    }

    fn message(line: &[u8]) -> String {
        words(line).unwrap_err().message.into_owned()
    }

    #[test]
    fn words_end_at_spaces_and_quotes_hold_them() {
        assert_eq!(plain(b"  set\tk  \"a value\" \r"), [&b"set"[..], b"k", b"a value"]);
        assert_eq!(plain(br#"set "" \x00\\ "\"" # not this"#), [&b"set"[..], b"", b"\0\\", b"\""]);
        assert_eq!(plain(b"set a#b \xff"), [&b"set"[..], b"a#b", b"\xff"]);
        assert_eq!(plain(b"# nothing"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn errors_say_where() {
        assert!(message(b"get \"abc").starts_with("at column 5: this quote is never closed"));
        assert!(message(b"get a\"b").starts_with("at column 6: a quote inside a word"));
        assert!(message(b"get \"a\"b").starts_with("at column 8: a space must follow"));
        assert!(message(b"get a\\q").starts_with("at column 6: \\q is not an escape"));
        assert!(message(b"get \\v\\v").starts_with("at column 7: a word has room for one"));
    }

    #[test]
    fn a_versionstamp_keeps_its_place() {
        let words = words(br"log/\v/x").unwrap();
        assert_eq!(words[0].bytes, b"log/\0\0\0\0\0\0\0\0\0\0/x".as_slice());
        assert_eq!(words[0].stamp, Some(Stamp { offset: 4, column: 5 }));
        assert!(words[0].clone().plain().is_err());
    }

    #[test]
    fn commands_are_cut_at_semicolons_outside_quotes() {
        let commands = split_commands(br#"begin; set a "x;y\";z" ;commit # ; no"#);
        assert_eq!(commands, [&b"begin"[..], br#" set a "x;y\";z" "#, b"commit # ; no"]);
        assert_eq!(split_commands(b"a\nb # ;\nc"), [&b"a"[..], b"b # ;", b"c"]);
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(values in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let line = values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(plain(line.as_bytes()), values);
        }

        #[test]
        fn no_line_panics(line: Vec<u8>) {
            let _ = words(&line);
            let joined = split_commands(&line).into_iter().map(<[u8]>::len).sum::<usize>();
            prop_assert!(joined <= line.len());
        }
    }
}

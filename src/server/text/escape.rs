//! Escapes: how any bytes are written as text that a person can read, and read back.
//!
//! The same escapes serve the text mode, the shell and tab-separated files:
//!
//! ```text
//! \\  \"  \n  \r  \t     as everywhere
//! \xNN                   the byte with the hexadecimal number NN
//! \v                     ten bytes for the commit's versionstamp, where a command takes one
//! ```
//!
//! Anything else after a backslash is an error, so that a path with a forgotten backslash is not
//! stored as something else. Printed text keeps printable characters, also beyond ASCII, and
//! escapes the rest; what is printed can be typed.

use std::fmt;

/// What a backslash and what follows it stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// A byte.
    Byte(u8),
    /// The place of a versionstamp.
    Versionstamp,
}

/// Why what follows a backslash is not an escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeError {
    /// Nothing follows it.
    Unfinished,
    /// `\x` is not followed by two hexadecimal digits.
    NotHex,
    /// No escape has this letter.
    Unknown(u8),
    /// A versionstamp has no place here.
    MisplacedVersionstamp,
}

impl fmt::Display for EscapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str("a backslash ends it: write \\\\ for a backslash"),
            Self::NotHex => f.write_str("\\x takes two hexadecimal digits, as in \\x0a"),
            Self::Unknown(byte) => write!(
                f,
                "\\{} is not an escape: there are \\xNN \\\\ \\\" \\n \\r \\t",
                byte.escape_ascii()
            ),
            Self::MisplacedVersionstamp => f.write_str(
                "\\v is the place of a versionstamp, which only setstamped takes: write \\x0b for \
                 a vertical tab",
            ),
        }
    }
}

impl std::error::Error for EscapeError {}

/// Reads the escape whose backslash stands just before `rest`; tells how many bytes of `rest` it
/// takes.
pub(crate) fn read_escape(rest: &[u8]) -> Result<(Escape, usize), EscapeError> {
    let byte = match rest.first() {
        None => return Err(EscapeError::Unfinished),
        Some(b'v') => return Ok((Escape::Versionstamp, 1)),
        Some(b'x') => {
            let digit = |at| rest.get(at).and_then(|&digit| (digit as char).to_digit(16));
            let (Some(high), Some(low)) = (digit(1), digit(2)) else {
                return Err(EscapeError::NotHex);
            };
            return Ok((Escape::Byte((high << 4 | low) as u8), 3));
        }
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(&byte @ (b'\\' | b'"')) => byte,
        Some(&byte) => return Err(EscapeError::Unknown(byte)),
    };
    Ok((Escape::Byte(byte), 1))
}

/// The bytes that `text` stands for, every escape replaced.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, EscapeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        let (plain, escaped) = rest.split_at(at);
        bytes.extend_from_slice(plain);
        let escaped = escaped.get(1..).unwrap_or_default();
        match read_escape(escaped)? {
            (Escape::Byte(byte), taken) => {
                bytes.push(byte);
                rest = escaped.get(taken..).unwrap_or_default();
            }
            (Escape::Versionstamp, _) => return Err(EscapeError::MisplacedVersionstamp),
        }
    }
    bytes.extend_from_slice(rest);
    Ok(bytes)
}

/// Appends `bytes` as printable text that can stand between quotes.
pub fn escape_into(text: &mut String, bytes: &[u8]) {
    escape(text, bytes, "\\\"");
}

/// Appends `bytes` as printable text for where quotes mean nothing: a field between tabs.
pub fn escape_field_into(text: &mut String, bytes: &[u8]) {
    escape(text, bytes, "\"");
}

fn escape(text: &mut String, bytes: &[u8], quote: &str) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str(quote),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                ' '..='~' => text.push(char),
                _ if is_printable(char) => text.push(char),
                _ => {
                    let mut buffer = [0; 4];
                    char.encode_utf8(&mut buffer).bytes().for_each(|byte| push_hex(text, byte));
                }
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_hex(text, byte));
    }
}

/// Whether a character beyond ASCII shows on a terminal and only that: no control or formatting
/// character, no combining mark that would change the one before.
fn is_printable(char: char) -> bool {
    !char.is_ascii() && char.escape_debug().len() == 1
}

fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |number: u8| DIGITS.get(usize::from(number)).copied().unwrap_or_default() as char;
    text.push_str("\\x");
    text.push(digit(byte >> 4));
    text.push(digit(byte & 15));
}

/// `bytes` as printable text between quotes.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    quote_into(&mut text, bytes);
    text
}

/// Appends `bytes` as printable text between quotes.
pub fn quote_into(text: &mut String, bytes: &[u8]) {
    text.push('"');
    escape_into(text, bytes);
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn readable_text_stays_and_the_rest_is_escaped() {
        assert_eq!(quoted(b"plain text"), r#""plain text""#);
        assert_eq!(quoted("Zürich \u{1F600}".as_bytes()), "\"Zürich \u{1F600}\"");
        assert_eq!(quoted(b"a\"b\\c\n\r\t\0\x7f\xff"), r#""a\"b\\c\n\r\t\x00\x7f\xff""#);
        // An escape sequence, a direction override and a lone combining mark can't reach a
        // terminal.
        assert_eq!(quoted("\u{1b}[2J\u{202e}".as_bytes()), r#""\x1b[2J\xe2\x80\xae""#);
        assert_eq!(quoted("e\u{301}".as_bytes()), r#""e\xcc\x81""#);
    }

    #[test]
    fn what_is_not_an_escape_is_refused() {
        assert_eq!(unescape(br"a\"), Err(EscapeError::Unfinished));
        assert_eq!(unescape(br"\x0"), Err(EscapeError::NotHex));
        assert_eq!(unescape(br"\xzz"), Err(EscapeError::NotHex));
        assert_eq!(unescape(br"C:\Users"), Err(EscapeError::Unknown(b'U')));
        assert_eq!(unescape(br"\v"), Err(EscapeError::MisplacedVersionstamp));
        assert_eq!(unescape(br"\x41\x4a\\\n"), Ok(b"AJ\\\n".to_vec()));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let mut text = String::new();
            escape_into(&mut text, &bytes);
            prop_assert!(text.chars().all(|char| char == ' ' || !char.is_control()));
            prop_assert!(!text.contains(['\t', '\n']));
            prop_assert_eq!(unescape(text.as_bytes()), Ok(bytes));
        }

        #[test]
        fn unescaping_never_panics(text: Vec<u8>) {
            let _ = unescape(&text);
        }
    }
}

//! RESP2, the protocol of Redis: requests written into a buffer, replies found where they lie.
//!
//! ```text
//! request   *2\r\n  $3\r\nGET\r\n  $16\r\nkey:000000000007\r\n
//! reply     +OK\r\n   -ERR why\r\n   :7\r\n   $5\r\nhello\r\n   $-1\r\n   *2\r\n$1\r\na\r\n$-1\r\n
//! ```
//!
//! A reply is shown when all of it has come, and nothing of it is copied. What a server can make us
//! keep is bounded: lines, strings and whole replies have a greatest length, and arrays hold no
//! arrays. However small the pieces in which a long reply comes, each part of it is looked at once:
//! [`Scanner`] knows how far it has seen.

use std::fmt;

use bytes::{BufMut as _, BytesMut};
use plinth_protocol::{Error, ErrorCode};

/// The longest line: a status, an error, or a number.
const LINE_BYTES_MAX: usize = 16 << 10;

/// The longest string.
const STRING_BYTES_MAX: usize = 64 << 20;

/// The longest array, each element with what stands around it.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// The most elements of an array: each takes five bytes at least.
const ELEMENTS_MAX: usize = REPLY_BYTES_MAX / 5;

/// Appends a number and the end of the line.
fn write_number(output: &mut BytesMut, mark: u8, number: usize) {
    let mut digits = [0; 20];
    let (mut rest, mut at) = (number, digits.len());
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        at -= 1;
        if rest == 0 {
            break;
        }
    }
    output.put_u8(mark);
    output.extend_from_slice(digits.get(at..).unwrap_or_default());
    output.extend_from_slice(b"\r\n");
}

/// Appends the beginning of a request: how many strings follow, the command's name among them.
pub(super) fn write_array(output: &mut BytesMut, strings: usize) {
    write_number(output, b'*', strings);
}

/// Appends a string.
pub(super) fn write_string(output: &mut BytesMut, string: &[u8]) {
    write_number(output, b'$', string.len());
    output.extend_from_slice(string);
    output.extend_from_slice(b"\r\n");
}

/// Appends a whole request.
pub(super) fn write_command(output: &mut BytesMut, strings: &[&[u8]]) {
    write_array(output, strings.len());
    for string in strings {
        write_string(output, string);
    }
}

/// What the server has answered to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A status, such as `OK`.
    Status(&'a [u8]),
    /// The request failed; the first word says how.
    Error(&'a [u8]),
    /// A number.
    Integer(i64),
    /// Bytes.
    String(&'a [u8]),
    /// There is no such thing.
    Nil,
    /// Several replies.
    Array(Elements<'a>),
}

impl Reply<'_> {
    /// The error that the server has answered with, if this is one.
    pub(super) fn check(self) -> Result<Self, Error> {
        match self {
            Self::Error(text) => Err(Error::new(
                ErrorCode::UNKNOWN_ERROR,
                format!("Redis answers: {}", String::from_utf8_lossy(text)),
            )),
            other => Ok(other),
        }
    }

    /// The error that a reply of a kind which the request doesn't have is.
    pub(super) fn unexpected(self, wanted: &str) -> Error {
        let found = match self {
            Self::Status(text) => format!("the status {}", text.escape_ascii()),
            Self::Error(text) => format!("the error {}", text.escape_ascii()),
            Self::Integer(number) => format!("the number {number}"),
            Self::String(bytes) => format!("a string of {} bytes", bytes.len()),
            Self::Nil => "nothing".to_owned(),
            Self::Array(elements) => format!("an array of {}", elements.count),
        };
        violation(format!("Redis answers with {found} where {wanted} is due"))
    }
}

/// The elements of an array, one after the other as they lie. All of them are there and well formed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Elements<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl Elements<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Goes from element to element.
#[derive(Debug)]
pub struct ElementsIter<'a> {
    left: Elements<'a>,
}

impl<'a> IntoIterator for Elements<'a> {
    type Item = Reply<'a>;
    type IntoIter = ElementsIter<'a>;

    fn into_iter(self) -> ElementsIter<'a> {
        ElementsIter { left: self }
    }
}

impl<'a> Iterator for ElementsIter<'a> {
    type Item = Reply<'a>;

    fn next(&mut self) -> Option<Reply<'a>> {
        self.left.count = self.left.count.checked_sub(1)?;
        // The scanner has seen to it that this succeeds.
        let (reply, rest) = match item(self.left.bytes) {
            Ok(Some((Item::Whole(reply), end))) => (reply, self.left.bytes.get(end..)?),
            _ => return None,
        };
        self.left.bytes = rest;
        Some(reply)
    }
}

fn violation(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::PROTOCOL_VIOLATION, message)
}

/// What a mark begins: a reply, or an array of so many replies.
enum Item<'a> {
    Whole(Reply<'a>),
    Array(usize),
}

/// What `input` begins with, and where that ends; `None` if more must come.
fn item(input: &[u8]) -> Result<Option<(Item<'_>, usize)>, Error> {
    let Some((&mark, after)) = input.split_first() else { return Ok(None) };
    let searched = after.get(..LINE_BYTES_MAX).unwrap_or(after);
    let Some(length) = searched.iter().position(|byte| *byte == b'\n') else {
        if searched.len() == LINE_BYTES_MAX {
            return Err(violation(format!(
                "Redis sends a line longer than {LINE_BYTES_MAX} bytes"
            )));
        }
        return Ok(None);
    };
    let Some(line) = searched.get(..length).and_then(|line| line.strip_suffix(b"\r")) else {
        return Err(violation("Redis sends a line that ends without a carriage return"));
    };
    let begin = 1 + length + 1;
    let whole = |reply| Ok(Some((Item::Whole(reply), begin)));
    match mark {
        b'+' => whole(Reply::Status(line)),
        b'-' => whole(Reply::Error(line)),
        b':' => whole(Reply::Integer(number(line)?)),
        b'$' => {
            let Some(length) = bounded(line, STRING_BYTES_MAX)? else { return whole(Reply::Nil) };
            let end = begin + length;
            match (input.get(begin..end), input.get(end..end + 2)) {
                (Some(bytes), Some(b"\r\n")) => {
                    Ok(Some((Item::Whole(Reply::String(bytes)), end + 2)))
                }
                (Some(_), Some(_)) => Err(violation("Redis sends a string longer than it says")),
                _ => Ok(None),
            }
        }
        b'*' => match bounded(line, ELEMENTS_MAX)? {
            Some(count) => Ok(Some((Item::Array(count), begin))),
            None => whole(Reply::Nil),
        },
        other => Err(violation(format!(
            "Redis sends a reply that begins with \"{}\"; is it a Redis server?",
            other.escape_ascii()
        ))),
    }
}

fn number(line: &[u8]) -> Result<i64, Error> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        let begin = line.get(..32).unwrap_or(line);
        violation(format!("Redis sends \"{}\" where a number is due", begin.escape_ascii()))
    })
}

/// A length of `most` at most; `None` for what isn't there.
fn bounded(line: &[u8], most: usize) -> Result<Option<usize>, Error> {
    let length = number(line)?;
    match usize::try_from(length) {
        Ok(length) if length <= most => Ok(Some(length)),
        Err(_) if length == -1 => Ok(None),
        _ => Err(violation(format!("Redis sends a length of {length}, and {most} is the most"))),
    }
}

/// Finds the replies at the beginning of what has come.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The array that has come in part.
    array: Option<Array>,
}

/// How far an array has come.
#[derive(Clone, Copy, Debug)]
struct Array {
    count: usize,
    /// How many elements have not come yet.
    missing: usize,
    /// Where the first element begins.
    begin: usize,
    /// Where the first that has not come yet begins.
    end: usize,
}

impl Scanner {
    /// The reply that `input` begins with, and how long it is; `None` if more must come, and then
    /// the next call's input begins with this one's.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Option<(Reply<'a>, usize)>, Error> {
        let mut array = match self.array.take() {
            Some(array) => array,
            None => match item(input)? {
                None => return Ok(None),
                Some((Item::Whole(reply), end)) => return Ok(Some((reply, end))),
                Some((Item::Array(count), end)) => Array { count, missing: count, begin: end, end },
            },
        };
        while array.missing > 0 {
            match item(input.get(array.end..).unwrap_or_default())? {
                Some((Item::Whole(_), length)) => {
                    array.end += length;
                    array.missing -= 1;
                }
                Some((Item::Array(_), _)) => {
                    return Err(violation("Redis sends an array within an array"));
                }
                None => {
                    if input.len() > REPLY_BYTES_MAX {
                        return Err(violation(format!(
                            "Redis sends a reply longer than {REPLY_BYTES_MAX} bytes"
                        )));
                    }
                    self.array = Some(array);
                    return Ok(None);
                }
            }
        }
        let bytes = input.get(array.begin..array.end).unwrap_or_default();
        Ok(Some((Reply::Array(Elements { count: array.count, bytes }), array.end)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn one(input: &[u8]) -> Result<Option<(Reply<'_>, usize)>, Error> {
        Scanner::default().next(input)
    }

    fn message(input: &[u8]) -> String {
        one(input).unwrap_err().message.into_owned()
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        let mut output = BytesMut::from(&b"before"[..]);
        write_command(&mut output, &[b"SET", b"a key", b""]);
        assert_eq!(&output[..], b"before*3\r\n$3\r\nSET\r\n$5\r\na key\r\n$0\r\n\r\n");
        let long = vec![b'x'; 12_345];
        output.clear();
        write_string(&mut output, &long);
        assert!(output.starts_with(b"$12345\r\nxxx") && output.len() == 12_345 + 10);
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        let cases: [(&[u8], Reply<'_>); 6] = [
            (b"+PONG\r\n", Reply::Status(b"PONG")),
            (b"-LOADING data\r\n", Reply::Error(b"LOADING data")),
            (b":-42\r\n", Reply::Integer(-42)),
            (b"$5\r\na\r\nb\n\r\n", Reply::String(b"a\r\nb\n")),
            (b"$-1\r\n", Reply::Nil),
            (b"*-1\r\n", Reply::Nil),
        ];
        for (bytes, reply) in cases {
            assert_eq!(one(bytes), Ok(Some((reply, bytes.len()))));
            let more = [bytes, b"$9"].concat();
            assert_eq!(one(&more), Ok(Some((reply, bytes.len()))));
        }
        let (reply, _) = one(b"*3\r\n$1\r\na\r\n$-1\r\n:7\r\n").unwrap().unwrap();
        let Reply::Array(elements) = reply else { unreachable!("{reply:?}") };
        assert_eq!(elements.len(), 3);
        let found: Vec<_> = elements.into_iter().collect();
        assert_eq!(found, [Reply::String(b"a"), Reply::Nil, Reply::Integer(7)]);
    }

    #[test]
    fn an_error_of_the_server_is_told_in_its_words() {
        let error = Reply::Error(b"NOAUTH Authentication required.").check().unwrap_err();
        assert_eq!(error.message, "Redis answers: NOAUTH Authentication required.");
        let error = Reply::Integer(3).unexpected("a status");
        assert_eq!(error.message, "Redis answers with the number 3 where a status is due");
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        assert!(message(b"HTTP/1.1 400 Bad Request\r\n").contains("is it a Redis server?"));
        assert!(message(b"+a\n").contains("carriage return"));
        assert!(message(b"$x\r\n").contains("where a number is due"));
        assert!(message(b"$-2\r\n").contains("a length of -2"));
        assert!(message(b"$99999999999\r\n").contains("is the most"));
        assert!(message(b"*99999999999\r\n").contains("is the most"));
        assert!(message(b"$1\r\nab\r\n").contains("longer than it says"));
        assert!(message(b"*1\r\n*0\r\n").contains("an array within an array"));
        let endless = vec![b'+'; LINE_BYTES_MAX + 1];
        assert!(message(&endless).contains("a line longer than"));
        assert_eq!(one(&endless[..LINE_BYTES_MAX]), Ok(None));
    }

    /// A reply as a server would write it.
    #[derive(Clone, Debug)]
    enum Written {
        Status(String),
        Error(String),
        Integer(i64),
        String(Vec<u8>),
        Nil,
        Array(Vec<Written>),
    }

    impl Written {
        fn write(&self, output: &mut BytesMut) {
            match self {
                Self::Status(text) => output.put_slice(format!("+{text}\r\n").as_bytes()),
                Self::Error(text) => output.put_slice(format!("-{text}\r\n").as_bytes()),
                Self::Integer(number) => output.put_slice(format!(":{number}\r\n").as_bytes()),
                Self::String(bytes) => write_string(output, bytes),
                Self::Nil => output.put_slice(b"$-1\r\n"),
                Self::Array(elements) => {
                    write_array(output, elements.len());
                    for element in elements {
                        element.write(output);
                    }
                }
            }
        }

        fn is(&self, reply: Reply<'_>) -> bool {
            match (self, reply) {
                (Self::Status(text), Reply::Status(found))
                | (Self::Error(text), Reply::Error(found)) => text.as_bytes() == found,
                (Self::Integer(number), Reply::Integer(found)) => *number == found,
                (Self::String(bytes), Reply::String(found)) => bytes == found,
                (Self::Nil, Reply::Nil) => true,
                (Self::Array(elements), Reply::Array(found)) => {
                    elements.len() == found.len()
                        && elements.iter().zip(found).all(|(element, found)| element.is(found))
                }
                _ => false,
            }
        }
    }

    fn written() -> impl Strategy<Value = Written> {
        let flat = prop_oneof![
            "[ -~]{0,12}".prop_map(Written::Status),
            "[ -~]{0,12}".prop_map(Written::Error),
            any::<i64>().prop_map(Written::Integer),
            vec(any::<u8>(), 0..40).prop_map(Written::String),
            Just(Written::Nil),
        ];
        prop_oneof![4 => flat.clone(), 1 => vec(flat, 0..5).prop_map(Written::Array)]
    }

    proptest! {
        #[test]
        fn replies_are_found_however_they_are_cut(
            replies in vec(written(), 0..12),
            pieces in vec(1..30_usize, 1..20),
        ) {
            let mut bytes = BytesMut::new();
            for reply in &replies {
                reply.write(&mut bytes);
            }
            let (mut scanner, mut begin, mut come) = (Scanner::default(), 0, 0);
            let (mut due, mut pieces) = (replies.iter(), pieces.iter().cycle());
            while come < bytes.len() {
                come = (come + pieces.next().unwrap()).min(bytes.len());
                while let Some((reply, length)) = scanner.next(&bytes[begin..come]).unwrap() {
                    prop_assert!(due.next().unwrap().is(reply), "{reply:?}");
                    begin += length;
                }
            }
            prop_assert_eq!(begin, bytes.len());
            prop_assert!(due.next().is_none());
        }

        #[test]
        fn any_bytes_at_all_are_replies_or_an_error(
            bytes in vec(prop_oneof![any::<u8>(), prop::sample::select(&b"+-:$*\r\n0123"[..])], 0..80),
        ) {
            let (mut scanner, mut begin) = (Scanner::default(), 0);
            for come in 0..=bytes.len() {
                loop {
                    match scanner.next(&bytes[begin..come]) {
                        Ok(Some((reply, length))) => {
                            prop_assert!(length > 0 && length <= come - begin);
                            if let Reply::Array(elements) = reply {
                                prop_assert_eq!(elements.len(), elements.into_iter().count());
                            }
                            begin += length;
                        }
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
        }
    }
}

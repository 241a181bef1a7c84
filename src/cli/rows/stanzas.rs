//! Rows as stanzas: paragraphs of `Field: text` lines, such as a Debian package index.

use std::io::BufRead;

use bytes::Bytes;

use super::{Row, RowError, lines::Lines};

/// The longest stanza, in bytes.
const STANZA_BYTES_MAX: usize = 16 << 20;

/// Reads the next stanza. Its key is the text of `key_field`, whatever the case of the field's name;
/// its value all of its lines.
pub(super) fn read<R: BufRead>(
    lines: &mut Lines<R>,
    key_field: &str,
) -> Result<Option<Row>, RowError> {
    let (mut key, mut value, mut begin) = (None, Vec::new(), 0);
    while let Some(line) = lines.next()? {
        if line.is_empty() {
            if value.is_empty() {
                continue;
            }
            break;
        }
        if value.len() + line.len() < STANZA_BYTES_MAX {
            value.extend_from_slice(line);
            value.push(b'\n');
        } else {
            let line = lines.number();
            let what = format!("the stanza is longer than {STANZA_BYTES_MAX} bytes");
            return Err(RowError::Bad { line, what });
        }
        if key.is_none() {
            key = field_text(line, key_field).map(Bytes::copy_from_slice);
        }
        if begin == 0 {
            begin = lines.number();
        }
    }
    if value.is_empty() {
        return Ok(None);
    }
    let missing =
        || RowError::Bad { line: begin, what: format!("the stanza has no field {key_field}") };
    let key = key.ok_or_else(missing)?;
    Ok(Some(Row { key, value: value.into(), line: begin }))
}

/// The text of a line `field: text`.
fn field_text<'a>(line: &'a [u8], field: &str) -> Option<&'a [u8]> {
    let (name, rest) = line.split_at_checked(field.len())?;
    let text = rest.strip_prefix(b":")?;
    name.eq_ignore_ascii_case(field.as_bytes()).then(|| text.trim_ascii())
}

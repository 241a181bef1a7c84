//! Rows as `key TAB value`.

use bytes::Bytes;

use crate::server::text::escape::{escape_field_into, unescape};

pub(super) fn parse(line: &[u8]) -> Result<(Bytes, Bytes), String> {
    let mut fields = line.split(|&byte| byte == b'\t');
    let (Some(key), Some(value)) = (fields.next(), fields.next()) else {
        return Err("there is no tab between key and value".to_owned());
    };
    if fields.next().is_some() {
        return Err("there is a second tab: within a key or a value write \\t".to_owned());
    }
    let field = |text| unescape(text).map(Bytes::from).map_err(|error| error.to_string());
    Ok((field(key)?, field(value)?))
}

pub(super) fn write(output: &mut String, key: &[u8], value: &[u8]) {
    escape_field_into(output, key);
    output.push('\t');
    escape_field_into(output, value);
    output.push('\n');
}

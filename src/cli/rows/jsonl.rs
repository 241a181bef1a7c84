//! Rows as JSON objects, one a line.
//!
//! A JSON string holds Unicode text, not bytes. So what is UTF-8 is written as it is, in `key` and
//! `value`, and what is not goes in `key_base64` and `value_base64`; a reader can tell the two
//! apart without knowing what escapes the text may use.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct JsonRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

pub(super) fn parse(line: &[u8]) -> Result<(Bytes, Bytes), String> {
    let row: JsonRow = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Ok((field("key", row.key, row.key_base64)?, field("value", row.value, row.value_base64)?))
}

fn field(name: &str, text: Option<String>, base64: Option<String>) -> Result<Bytes, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into()),
        (None, Some(base64)) => STANDARD
            .decode(base64)
            .map(Bytes::from)
            .map_err(|error| format!("{name}_base64: {error}")),
        (None, None) => Err(format!("there is neither {name} nor {name}_base64")),
        (Some(_), Some(_)) => Err(format!("there are both {name} and {name}_base64")),
    }
}

pub(super) fn write(output: &mut String, key: &[u8], value: &[u8]) {
    let (key, key_base64) = text_or_base64(key);
    let (value, value_base64) = text_or_base64(value);
    let row = JsonRow { key, key_base64, value, value_base64 };
    let json = serde_json::to_string(&row).expect("an object of strings is always JSON");
    output.push_str(&json);
    output.push('\n');
}

/// Bytes as JSON can hold them: as they are, or else in base64.
pub(crate) fn text_or_base64(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

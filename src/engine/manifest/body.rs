//! The body of a manifest's record: an edit, and the next number to give.
//!
//! Encoding and decoding, side by side. A body is decoded after its checksum has passed; what is
//! wrong then was wrong when it was written, and is an error all the same, not a panic.

use bytes::Buf;
use plinth_protocol::{KeyspaceId, Version};

use super::state::{Edit, Flushed};
use crate::engine::{
    key::KeyBuf,
    table::{TableNumber, TableProperties},
};

const FLAG_FLUSHED: u8 = 1;
const FLAG_IDS: u8 = 2;
const FLAG_CEILING: u8 = 4;

/// The bytes of a table but for its keys, by which a count is checked before room is made for it.
const TABLE_BYTES_MIN: usize = 1 + 10 * 8 + 4 * 4;

/// An edit's bytes. `next_number` is the first number that is free after it.
pub(super) fn encode(edit: &Edit, next_number: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(64 + edit.added.len() * 2 * TABLE_BYTES_MIN);
    body.extend_from_slice(&next_number.to_le_bytes());
    let ids = edit.flushed.and_then(|flushed| flushed.ids);
    let flags = [
        (edit.flushed.is_some(), FLAG_FLUSHED),
        (ids.is_some(), FLAG_IDS),
        (edit.ceiling.is_some(), FLAG_CEILING),
    ];
    body.push(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
    if let Some(Flushed { version, log_start, .. }) = edit.flushed {
        body.extend_from_slice(&version.0.to_le_bytes());
        body.extend_from_slice(&log_start.to_le_bytes());
    }
    for number in ids.into_iter().chain(edit.ceiling.map(|ceiling| ceiling.0)) {
        body.extend_from_slice(&number.to_le_bytes());
    }
    body.extend_from_slice(&(edit.removed.len() as u32).to_le_bytes());
    for number in &edit.removed {
        body.extend_from_slice(&number.0.to_le_bytes());
    }
    body.extend_from_slice(&(edit.added.len() as u32).to_le_bytes());
    for (level, properties) in &edit.added {
        encode_table(*level, properties, &mut body);
    }
    body
}

fn encode_table(level: u8, properties: &TableProperties, body: &mut Vec<u8>) {
    body.push(level);
    let numbers = [
        properties.number.0,
        properties.bytes,
        properties.least_version.0,
        properties.greatest_version.0,
        properties.entries,
        properties.clears,
        properties.superseded,
        properties.range_tombstones,
        properties.key_bytes,
        properties.value_bytes,
    ];
    for number in numbers {
        body.extend_from_slice(&number.to_le_bytes());
    }
    for KeyBuf { keyspace, key } in [&properties.begin, &properties.end] {
        body.extend_from_slice(&keyspace.0.to_le_bytes());
        body.extend_from_slice(&(key.len() as u32).to_le_bytes());
    }
    body.extend_from_slice(&properties.begin.key);
    body.extend_from_slice(&properties.end.key);
}

const SHORT: &str = "the record ends in the middle";

/// An edit and the number that is free after it, or what is wrong with the bytes.
pub(super) fn decode(mut body: &[u8]) -> Result<(Edit, u64), &'static str> {
    let body = &mut body;
    let next_number = take_u64(body)?;
    let flags = body.try_get_u8().map_err(|_| SHORT)?;
    let has = |flag| flags & flag != 0;
    if flags & !(FLAG_FLUSHED | FLAG_IDS | FLAG_CEILING) != 0 || has(FLAG_IDS) && !has(FLAG_FLUSHED)
    {
        return Err("the record has unknown flags");
    }
    let mut flushed = if has(FLAG_FLUSHED) {
        let (version, log_start) = (take_version(body)?, take_u64(body)?);
        Some(Flushed { version, log_start, ids: None })
    } else {
        None
    };
    if has(FLAG_IDS) {
        let ids = take_u64(body)?;
        flushed = flushed.map(|flushed| Flushed { ids: Some(ids), ..flushed });
    }
    let ceiling = if has(FLAG_CEILING) { Some(take_version(body)?) } else { None };
    let count = take_count(body, 8)?;
    let mut removed = Vec::with_capacity(count);
    for _ in 0..count {
        removed.push(TableNumber(take_u64(body)?));
    }
    let count = take_count(body, TABLE_BYTES_MIN)?;
    let mut added = Vec::with_capacity(count);
    for _ in 0..count {
        added.push(take_table(body)?);
    }
    if !body.is_empty() {
        return Err("the record goes on behind its end");
    }
    let edit = Edit { added, removed, flushed, ceiling };
    let numbers = edit.added.iter().map(|(_, properties)| properties.number.0);
    let ids = edit.flushed.and_then(|flushed| flushed.ids);
    if numbers.chain(ids).any(|number| number >= next_number) {
        return Err("the record's next number is taken");
    }
    Ok((edit, next_number))
}

fn take_table(body: &mut &[u8]) -> Result<(u8, TableProperties), &'static str> {
    let level = body.try_get_u8().map_err(|_| SHORT)?;
    let number = TableNumber(take_u64(body)?);
    let bytes = take_u64(body)?;
    let (least_version, greatest_version) = (take_version(body)?, take_version(body)?);
    let (entries, clears) = (take_u64(body)?, take_u64(body)?);
    let (superseded, range_tombstones) = (take_u64(body)?, take_u64(body)?);
    let (key_bytes, value_bytes) = (take_u64(body)?, take_u64(body)?);
    let (begin_keyspace, begin_len) = take_key_head(body)?;
    let (end_keyspace, end_len) = take_key_head(body)?;
    let begin = KeyBuf { keyspace: begin_keyspace, key: take(body, begin_len)?.into() };
    let end = KeyBuf { keyspace: end_keyspace, key: take(body, end_len)?.into() };
    if begin >= end || least_version > greatest_version {
        return Err("a table ends before it begins");
    }
    let properties = TableProperties {
        number,
        bytes,
        begin,
        end,
        least_version,
        greatest_version,
        entries,
        clears,
        superseded,
        range_tombstones,
        key_bytes,
        value_bytes,
    };
    Ok((level, properties))
}

fn take_key_head(body: &mut &[u8]) -> Result<(KeyspaceId, usize), &'static str> {
    let keyspace = KeyspaceId(body.try_get_u32_le().map_err(|_| SHORT)?);
    Ok((keyspace, body.try_get_u32_le().map_err(|_| SHORT)? as usize))
}

fn take<'a>(body: &mut &'a [u8], count: usize) -> Result<&'a [u8], &'static str> {
    let (taken, rest) = body.split_at_checked(count).ok_or(SHORT)?;
    *body = rest;
    Ok(taken)
}

fn take_u64(body: &mut &[u8]) -> Result<u64, &'static str> {
    body.try_get_u64_le().map_err(|_| SHORT)
}

fn take_version(body: &mut &[u8]) -> Result<Version, &'static str> {
    let version = Version(take_u64(body)?);
    if version > Version::MAX {
        return Err("the record has a version above the greatest that there is");
    }
    Ok(version)
}

/// A count of things that take so many bytes each at least.
fn take_count(body: &mut &[u8], bytes_min: usize) -> Result<usize, &'static str> {
    let count = body.try_get_u32_le().map_err(|_| SHORT)? as usize;
    if count > body.len() / bytes_min {
        return Err(SHORT);
    }
    Ok(count)
}

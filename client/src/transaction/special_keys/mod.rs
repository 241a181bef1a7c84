//! Special keys: from `0xFF 0xFF` on, what a program can read of its own transaction, of the client
//! and of the server as though it were data.
//!
//! The keys belong to modules. A read stays within one, unless an option allows more; it adds no
//! conflicts, and goes on working when the transaction has failed or is used up. Writes go to few
//! modules, and only when an option allows them; they are carried out at the beginning of the
//! commit.
//!
//! - `modules`: which there are.
//! - `rows`: what each has to read; `conflicts`, `status` and `tracing` make the rows of theirs.
//! - `write`: what can be written, and what becomes of it at commit.

mod conflicts;
mod modules;
mod rows;
mod status;
mod tracing;
mod write;

use bytes::Bytes;
use modules::{Module, module_at};
use plinth_protocol::{
    Error, ErrorCode, KeyRange, KeySelector, range::key_after, response::KeyValue,
};
pub(super) use write::SpecialWrites;

use super::{Page, RangeRead, Transaction, room::Room, selector::fold_or_equal};
use crate::{ApiVersion, Backend};

/// The first special key.
const BEGIN: &[u8] = b"\xFF\xFF";
/// The first key after all special keys.
pub(super) const SPECIAL_KEYS_END: &[u8] = b"\xFF\xFF\xFF";

/// Whether a key is special.
pub(super) fn is_special(key: &[u8]) -> bool {
    key.starts_with(BEGIN)
}

/// Whether a range lies among the special keys.
pub(super) fn is_special_range(read: &RangeRead) -> bool {
    let (begin, end) = (read.begin.key.as_ref(), read.end.key.as_ref());
    (BEGIN..SPECIAL_KEYS_END).contains(&begin) && (BEGIN..=SPECIAL_KEYS_END).contains(&end)
}

/// The keys in which a read may end up.
fn boundary(range: &KeyRange, is_relaxed: bool) -> Result<KeyRange, Error> {
    if is_relaxed {
        return Ok(KeyRange::new(BEGIN, SPECIAL_KEYS_END));
    }
    let module = module_at(&range.begin);
    if range.end < module.range.begin || range.end > module.range.end {
        return Err(ErrorCode::SPECIAL_KEYS_CROSS_MODULE_READ.into());
    }
    if module.module.is_none() {
        return Err(ErrorCode::SPECIAL_KEYS_NO_MODULE_FOUND.into());
    }
    Ok(module.range)
}

/// The place of a selector without `or_equal` among rows in order: how many of them lie before it.
fn place(rows: &[KeyValue], selector: &KeySelector) -> usize {
    let before = rows.partition_point(|row| row.key < selector.key);
    let offset = isize::try_from(selector.offset).unwrap_or(0).saturating_sub(1);
    before.saturating_add_signed(offset).min(rows.len())
}

impl<B: Backend> Transaction<B> {
    /// What may be asked of the special keys at all: nothing that was wrong before.
    fn special_keys_allowed(&self) -> Result<(ApiVersion, bool), Error> {
        let state = self.state();
        if let Some(error) = &state.stored_error {
            return Err(error.clone());
        }
        let options = &state.options;
        Ok((options.api_version, options.special_keys.is_relaxed))
    }

    /// Reads a special key.
    pub(super) async fn read_special_key(&self, key: Bytes) -> Result<Option<Bytes>, Error> {
        let (api_version, is_relaxed) = self.special_keys_allowed()?;
        let range = KeyRange { end: key_after(&key), begin: key };
        if api_version.has_special_key_modules() {
            boundary(&range, is_relaxed)?;
        } else if !modules::is_old(&range.begin) {
            drop(self.admitted()?);
            return Err(super::write::outside(&range.begin));
        }
        let rows = self.special_rows(&range).await?;
        Ok(rows.into_iter().next().map(|row| row.value))
    }

    /// Reads a page of special keys.
    pub(super) async fn read_special_page(
        &self,
        read: RangeRead,
        page_bytes: usize,
    ) -> Result<Page, Error> {
        let (api_version, is_relaxed) = self.special_keys_allowed()?;
        if !api_version.has_special_key_modules() {
            if read.begin.key != modules::WORKERS_BEFORE_MODULES {
                drop(self.admitted()?);
                return Err(super::write::outside(&read.begin.key));
            }
            let rows = self.special_rows(&Module::Workers.range()).await?;
            return Ok(Page { rows, more: false });
        }
        let (begin, end) = (fold_or_equal(read.begin), fold_or_equal(read.end));
        if begin.offset >= end.offset && begin.key >= end.key {
            return Ok(Page::default());
        }
        let asked = KeyRange { begin: begin.key.clone(), end: end.key.clone() };
        let boundary = boundary(&asked, is_relaxed)?;
        // Selectors with offsets may lead anywhere within the boundary.
        let is_plain = begin.offset == 1 && end.offset == 1;
        let rows = self.special_rows(if is_plain { &asked } else { &boundary }).await?;
        let (first, last) = (place(&rows, &begin), place(&rows, &end));
        let rows = rows.get(first..last.max(first)).unwrap_or_default();
        let rows_max = if read.rows_max == 0 { usize::MAX } else { read.rows_max as usize };
        let room = Room::new(rows_max, page_bytes);
        Ok(if read.reverse { fill(rows.iter().rev(), room) } else { fill(rows.iter(), room) })
    }
}

/// The rows that fit; there may be more after them whenever a limit was reached.
fn fill<'a>(rows: impl Iterator<Item = &'a KeyValue>, mut room: Room) -> Page {
    let mut page = Page::default();
    for row in rows {
        page.rows.push(row.clone());
        room.take(row);
        if room.is_full() {
            page.more = true;
            break;
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_resolved_among_the_rows() {
        let row = |key: &'static str| KeyValue { key: key.into(), value: Bytes::new() };
        let rows = [row("b"), row("d")];
        let at = |key: &'static str, offset| {
            place(&rows, &KeySelector { key: key.into(), or_equal: false, offset })
        };
        assert_eq!([at("a", 1), at("b", 1), at("c", 1), at("e", 1)], [0, 0, 1, 2]);
        assert_eq!([at("b", 2), at("b", 9), at("e", 0), at("e", -9)], [1, 2, 1, 0]);
    }
}

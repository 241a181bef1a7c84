//! Pages of ranges: which rows they hold, and what they conflict with.

use super::{
    ranges::{END, Key, after},
    selectors::folded,
    transaction::Verdict,
};
use crate::golden::runner::operations::{Range, Row};

/// Whether a page holds the first of these rows, as many as it should.
pub(super) fn check_page(range: &Range, rows: &[Row], page: &[Row], more: bool) -> Verdict {
    let shown = |rows: &[Row]| format!("{rows:?}");
    if !rows.starts_with(page) {
        return Err(format!("{} are not the first of {}", shown(page), shown(rows)));
    }
    if !more && page.len() < rows.len() {
        return Err(format!("{} end before {}, yet nothing more", shown(page), shown(rows)));
    }
    if more && page.is_empty() {
        return Err("there is more than no rows".to_owned());
    }
    let limit = usize::try_from(range.limit).unwrap();
    if limit > 0 && page.len() > limit {
        return Err(format!("{} are more than {limit}", shown(page)));
    }
    if limit > 0 && page.len() == limit && page.len() < rows.len() && !more {
        return Err("a limit ends the page, yet nothing more".to_owned());
    }
    let has_bytes = range.mode != 0 || range.target_bytes > 0;
    if more && !has_bytes && page.len() != limit {
        return Err(format!("{} rows end a page of {limit}", page.len()));
    }
    Ok(())
}

/// The range that a page conflicts with.
pub(super) fn scanned(
    range: &Range,
    page: &[Row],
    more: bool,
    ran_off: (bool, bool),
) -> (Key, Key) {
    let (begin, end) = (folded(&range.begin), folded(&range.end));
    let (begin_offset, end_offset) = (range.begin.offset, range.end.offset);
    let keys = || page.iter().map(|(key, _)| key);
    let (mut low, mut high) = match (begin < end, range.reverse) {
        (true, false) if more && end_offset > 0 => (begin.clone(), begin),
        (true, true) if more && begin_offset <= 1 => (end.clone(), end),
        (true, _) => (begin, end),
        (false, _) => (end, begin),
    };
    if ran_off.0 && begin_offset <= 0 {
        low = Key::new();
    }
    if ran_off.1 && end_offset > 0 {
        high = END.to_vec();
    }
    if let (Some(least), Some(greatest)) = (keys().min(), keys().max()) {
        if begin_offset <= 0 || range.reverse {
            low = low.min(least.clone());
        }
        if (end_offset > 0 || !range.reverse) && high <= *greatest {
            high = after(greatest);
        }
    }
    (low, high)
}

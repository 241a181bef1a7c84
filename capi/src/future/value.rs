//! What futures hold, and how C sees it: arrays of pointers into bytes that the future owns.

use std::ffi::{CString, c_char, c_int};

use bytes::Bytes;
use plinth_client::{KeySelector, KeyValue};

use crate::{
    abi::{FdbBool, length},
    database::FdbDatabase,
    layout::{
        FdbKey, FdbKeyRange, FdbKeySelector, FdbKeyValue, FdbMappedKeyValue, FdbRangeAndRows,
    },
};

/// What a future can hold.
pub(crate) enum Answer {
    /// Nothing: that it is done is all.
    Void,
    /// A version, a size, a count.
    Int64(i64),
    /// A protocol version.
    Uint64(u64),
    /// Seconds, a share.
    Double(f64),
    /// Yes or no.
    #[expect(dead_code, reason = "only blob granules answer so; programs link its getter")]
    Bool(bool),
    /// A key, a versionstamp, JSON.
    Key(Bytes),
    /// The value of a key, if there is one.
    Value(Option<Bytes>),
    /// Keys in order.
    Keys(Array<Bytes, FdbKey>),
    /// Key ranges.
    #[expect(dead_code, reason = "only blob granules answer so; programs link its getter")]
    KeyRanges(Array<(Bytes, Bytes), FdbKeyRange>),
    /// Addresses.
    Strings(Array<CString, *const c_char>),
    /// A page of rows, and whether there may be more.
    Rows(Array<KeyValue, FdbKeyValue>, bool),
    /// A page of rows with what a mapper found for each, and whether there may be more.
    MappedRows(Array<MappedRow, FdbMappedKeyValue>, bool),
    /// A cluster, of the API before version 610: the database that it would be.
    Cluster(FdbDatabase),
    /// A database, of the same.
    Database(FdbDatabase),
}

/// A row, and the rows that a mapper led to from it.
pub(crate) struct MappedRow {
    /// The row.
    pub(crate) row: KeyValue,
    /// Where the mapped range begins.
    pub(crate) begin: KeySelector,
    /// Where it ends.
    pub(crate) end: KeySelector,
    found: Array<KeyValue, FdbKeyValue>,
}

impl MappedRow {
    /// A row with what was found for it.
    fn new(mapped: plinth_client::MappedRow) -> Self {
        let plinth_client::MappedRow { row, begin, end, found } = mapped;
        Self { row, begin, end, found: Array::new(found, raw_row) }
    }

    fn raw(&self) -> FdbMappedKeyValue {
        FdbMappedKeyValue {
            key: raw_key(&self.row.key),
            value: raw_key(&self.row.value),
            range: FdbRangeAndRows {
                begin: raw_selector(&self.begin),
                end: raw_selector(&self.end),
                data: self.found.raw.as_ptr(),
                size: self.found.len(),
                capacity: self.found.len(),
            },
            buffer: [0; 32],
        }
    }
}

/// An array as C sees it, and what its pointers point to.
pub(crate) struct Array<T, Raw> {
    pub(super) raw: Box<[Raw]>,
    _owned: Vec<T>,
}

impl<T, Raw> Array<T, Raw> {
    fn new(owned: Vec<T>, raw: impl Fn(&T) -> Raw) -> Self {
        Self { raw: owned.iter().map(raw).collect(), _owned: owned }
    }

    pub(super) fn len(&self) -> c_int {
        c_int::try_from(self.raw.len()).unwrap_or(c_int::MAX)
    }
}

// SAFETY: the pointers in `raw` lead to what `_owned` owns on the heap, which moves along and is
// never changed.
unsafe impl<T: Send, Raw> Send for Array<T, Raw> {}

impl Answer {
    /// Keys as C sees them.
    pub(crate) fn keys(keys: Vec<Bytes>) -> Self {
        Self::Keys(Array::new(keys, raw_key))
    }

    /// Strings as C sees them.
    pub(crate) fn strings(strings: Vec<CString>) -> Self {
        Self::Strings(Array::new(strings, |string| string.as_ptr()))
    }

    /// Rows as C sees them.
    pub(crate) fn rows(rows: Vec<KeyValue>, more: bool) -> Self {
        Self::Rows(Array::new(rows, raw_row), more)
    }

    /// Mapped rows as C sees them.
    pub(crate) fn mapped_rows(rows: Vec<plinth_client::MappedRow>, more: bool) -> Self {
        let rows = rows.into_iter().map(MappedRow::new).collect();
        Self::MappedRows(Array::new(rows, MappedRow::raw), more)
    }
}

fn raw_key(key: &Bytes) -> FdbKey {
    FdbKey { key: key.as_ptr(), key_length: length(key) }
}

fn raw_row(row: &KeyValue) -> FdbKeyValue {
    FdbKeyValue {
        key: row.key.as_ptr(),
        key_length: length(&row.key),
        value: row.value.as_ptr(),
        value_length: length(&row.value),
    }
}

fn raw_selector(selector: &KeySelector) -> FdbKeySelector {
    FdbKeySelector {
        key: raw_key(&selector.key),
        or_equal: FdbBool::from(selector.or_equal),
        offset: selector.offset,
    }
}

//! How much a page, or a question that is asked for it, may bring.

use plinth_protocol::response::KeyValue;

/// What FoundationDB's client counts for a row beside its key and value.
pub(super) const ROW_BYTES: usize = 8;

/// What is left of a page's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// The most rows; `usize::MAX` for no limit.
    pub(super) rows: usize,
    /// Enough bytes; `usize::MAX` for no limit.
    pub(super) bytes: usize,
    /// So many rows are wanted, whatever their bytes.
    pub(super) rows_min: usize,
}

impl Room {
    /// Room for a page: it has one row at least, if there is one.
    pub(super) fn new(rows: usize, bytes: usize) -> Self {
        Self { rows, bytes, rows_min: 1 }
    }

    /// Whether a limit was reached.
    pub(super) fn is_full(self) -> bool {
        self.rows == 0 || (self.bytes == 0 && self.rows_min == 0)
    }

    pub(super) fn has_row_limit(self) -> bool {
        self.rows != usize::MAX
    }

    pub(super) fn has_byte_limit(self) -> bool {
        self.bytes != usize::MAX
    }

    /// Whether bytes count, and no more rows have to come whatever they are.
    pub(super) fn may_end(self) -> bool {
        self.has_byte_limit() && self.rows_min == 0
    }

    pub(super) fn take(&mut self, row: &KeyValue) {
        self.take_bytes(row.key.len() + row.value.len());
    }

    /// Takes a row whose key and value have so many bytes.
    pub(super) fn take_bytes(&mut self, bytes: usize) {
        self.rows_min = self.rows_min.saturating_sub(1);
        if self.has_row_limit() {
            self.rows = self.rows.saturating_sub(1);
        }
        if self.has_byte_limit() {
            self.bytes = self.bytes.saturating_sub(bytes + ROW_BYTES);
        }
    }
}

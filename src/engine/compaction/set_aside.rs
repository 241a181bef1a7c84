//! Tables that compactions leave alone because they could not be read.
//!
//! What is damaged stays so: such a table is left as it is, with all that can still be read from
//! it, until somebody repairs the directory. What the operating system could not read may be read
//! later: such a table is tried again after a while.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::table::{TableError, TableNumber};

/// After so many microseconds a table is tried again that the operating system could not read.
const AGAIN_MICROS: u64 = 60_000_000;

/// Tables that are left alone, and until when; for ever if there is no time.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    tables: BTreeMap<TableNumber, Option<u64>>,
}

impl SetAside {
    /// Leaves a table alone from now on.
    pub(super) fn add(&mut self, number: TableNumber, error: &TableError, now_micros: u64) {
        let until = match error {
            TableError::File { .. } => Some(now_micros.saturating_add(AGAIN_MICROS)),
            TableError::Damaged { .. } | TableError::UnknownFormat { .. } => None,
        };
        tracing::error!(%number, %error, "a table can't be read, and compactions leave it alone");
        self.tables.insert(number, until);
    }

    /// The tables that are left alone now, of those that there are.
    pub(super) fn numbers(
        &mut self,
        is_there: impl Fn(TableNumber) -> bool,
        now_micros: u64,
    ) -> BTreeSet<TableNumber> {
        self.tables.retain(|number, until| {
            is_there(*number) && until.is_none_or(|until| now_micros < until)
        });
        self.tables.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;

    #[test]
    fn damage_is_for_ever_and_errors_are_for_a_while() {
        let path = Path::new("/tables/0000000000000001.table");
        let mut aside = SetAside::default();
        aside.add(TableNumber(1), &TableError::damaged(path, 8, "a checksum is wrong"), 5);
        let error = TableError::File {
            path: path.to_path_buf(),
            kind: io::ErrorKind::Other,
            text: "could not read".to_owned(),
        };
        aside.add(TableNumber(2), &error, 5);
        let both = BTreeSet::from([TableNumber(1), TableNumber(2)]);
        assert_eq!(aside.numbers(|_| true, 4 + AGAIN_MICROS), both);
        assert_eq!(aside.numbers(|_| true, 5 + AGAIN_MICROS), BTreeSet::from([TableNumber(1)]));
        assert_eq!(aside.numbers(|_| false, 6 + AGAIN_MICROS), BTreeSet::new());
        assert_eq!(aside.numbers(|_| true, 6 + AGAIN_MICROS), BTreeSet::new());
    }
}

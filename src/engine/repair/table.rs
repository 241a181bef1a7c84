//! Gives up a table.

use super::{Consent, Repair, RepairError, RepairReport};
use crate::engine::{
    compaction::rewrite::table_path,
    manifest::Edit,
    table::{TableNumber, TableProperties},
};

impl Repair {
    /// Takes a table out of the manifest.
    pub fn drop_table(&self, number: u64, consent: Consent) -> Result<RepairReport, RepairError> {
        let state = self.state()?;
        let number = TableNumber(number);
        let Some((level, properties)) = state.tables.get(&number) else {
            let reason = format!("the manifest names no table {}", number.0);
            return Err(RepairError::Pointless(reason));
        };
        let mut report = RepairReport { lines: told(*level, properties), copies: None };
        if consent == Consent::Missing {
            return Ok(report);
        }
        let tables = self.directory.tables_path();
        let path = table_path(&tables, number);
        let copies = self.begin_copies()?;
        copies.keep(&tables, std::slice::from_ref(&path))?;
        self.keep_manifest(&copies)?;
        let edit = Edit { removed: vec![number], ..Edit::default() };
        self.open_manifest()?.commit(&edit)?;
        // From here on the file means nothing; the next start would remove it too.
        if self.vfs.exists(&path)? {
            self.vfs.remove(&path)?;
            self.vfs.sync_directory(&tables)?;
        }
        report.copies = Some(copies.path);
        Ok(report)
    }
}

fn told(level: u8, properties: &TableProperties) -> Vec<String> {
    let TableProperties { number, begin, end, entries, range_tombstones, .. } = properties;
    vec![
        format!(
            "table {} of level {level} is given up: {entries} versions of keys and \
             {range_tombstones} range clears, between {begin:?} and {end:?}, written from version \
             {} to {}",
            number.0, properties.least_version, properties.greatest_version
        ),
        "of the keys that were written or cleared there, what older tables have shows again: old \
         values, and rows that were cleared"
            .to_owned(),
    ]
}

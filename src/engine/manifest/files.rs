//! The names of files that have numbers: manifests, tables, and files of ids.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The path of a numbered file.
pub(in crate::engine) fn numbered(directory: &Path, number: u64, extension: &str) -> PathBuf {
    directory.join(format!("{number:016}.{extension}"))
}

/// The number of a file with this extension; none if the name is another sort of name.
pub(in crate::engine) fn number_of(name: &OsStr, extension: &str) -> Option<u64> {
    let path = Path::new(name);
    let stem = path.file_stem().and_then(OsStr::to_str)?;
    if path.extension() != Some(OsStr::new(extension)) {
        return None;
    }
    let number = stem.parse().ok()?;
    (stem == format!("{number:016}")).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_belong_together() {
        let path = numbered(Path::new("/tables"), 12, "table");
        assert_eq!(path, Path::new("/tables/0000000000000012.table"));
        let number = |name: &str| number_of(OsStr::new(name), "table");
        assert_eq!(number("0000000000000012.table"), Some(12));
        assert_eq!(number(&format!("{}.table", u64::MAX)), Some(u64::MAX));
        for other in ["12.table", "0000000000000012.ids", "+000000000000012.table", ".table", "x"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}

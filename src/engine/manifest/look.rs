//! Reads what counts without changing anything: for whoever checks it or looks at it, also while
//! somebody else has it open.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    ManifestError, ManifestState,
    files::{number_of, numbered},
    reader,
    writer::EXTENSION,
};
use crate::vfs::Vfs;

/// How often a newer manifest is looked for that has replaced the one that was found.
const LOOKS_MAX: usize = 5;

/// The newest manifest of a directory.
#[derive(Debug)]
pub(in crate::engine) struct Look {
    /// The file.
    pub(in crate::engine) path: PathBuf,
    /// The file's length.
    pub(in crate::engine) file_bytes: u64,
    /// Where a record begins that is not whole: a write that was cut short, or is under way.
    pub(in crate::engine) torn_at: Option<u64>,
    /// What it says.
    pub(in crate::engine) state: ManifestState,
}

/// Reads the newest manifest in this directory; none if there is none.
pub(in crate::engine) fn look(
    vfs: &dyn Vfs,
    directory: &Path,
    database_id: [u8; 16],
) -> Result<Option<Look>, ManifestError> {
    let mut looks = 0;
    loop {
        looks += 1;
        let names = if vfs.exists(directory)? { vfs.list(directory)? } else { Vec::new() };
        let newest = names.iter().filter_map(|name| number_of(name, EXTENSION)).max();
        let Some(number) = newest else { return Ok(None) };
        let path = numbered(directory, number, EXTENSION);
        match reader::read(vfs, &path, number, database_id) {
            Ok(read) => {
                let file_bytes = vfs.open_for_reading(&path)?.len()?;
                let reader::ReadManifest { state, torn_at, .. } = read;
                return Ok(Some(Look { path, file_bytes, torn_at, state }));
            }
            // A newer one has replaced it since it was listed.
            Err(ManifestError::File(error))
                if error.kind() == io::ErrorKind::NotFound && looks < LOOKS_MAX => {}
            Err(error) => return Err(error),
        }
    }
}

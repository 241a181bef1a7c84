//! The archive: a directory that gets every segment when it is closed, for a restore to any version
//! or time.
//!
//! A segment gets a second name in the archive; where the file system can't do that, because the
//! archive is on another one, it is copied: written under the name `.new`, synced, renamed. A
//! segment is not given up before the archive has it, so a failing archive makes the log grow.

use std::{io, path::Path};

use super::{
    LogError,
    segment::{SEGMENT_HEADER_BYTES, segment_path, unfinished_path},
};
use crate::vfs::Vfs;

/// How much is copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// How the archive has a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Archived {
    /// As the same file: nobody may write to it any more.
    Linked,
    /// As a file of its own.
    Copied,
}

/// Puts a closed segment with records up to `end` into the archive and makes that durable. One that
/// is there already is left as it is.
pub(super) fn archive_segment(
    vfs: &dyn Vfs,
    segment: &Path,
    archive: &Path,
    number: u64,
    end: u64,
) -> Result<Archived, LogError> {
    let target = segment_path(archive, number);
    vfs.create_directory(archive)?;
    if let Some(parent) = archive.parent() {
        vfs.sync_directory(parent)?;
    }
    let archived = if vfs.exists(&target)? {
        check_same(vfs, segment, &target)?;
        // By a start before this one: perhaps as the same file.
        Archived::Linked
    } else {
        match vfs.link(segment, &target) {
            Ok(()) => Archived::Linked,
            Err(error) if is_refused(error.kind()) => {
                copy(vfs, segment, archive, number, end)?;
                Archived::Copied
            }
            Err(error) => return Err(error.into()),
        }
    };
    vfs.sync_directory(archive)?;
    Ok(archived)
}

/// Whether a second name can't be had here, but a copy may.
fn is_refused(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(kind, CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
}

fn copy(
    vfs: &dyn Vfs,
    segment: &Path,
    archive: &Path,
    number: u64,
    end: u64,
) -> Result<(), LogError> {
    let unfinished = unfinished_path(archive, number);
    if vfs.exists(&unfinished)? {
        vfs.remove(&unfinished)?;
    }
    let (from, to) = (vfs.open_for_reading(segment)?, vfs.create(&unfinished)?);
    let end = end.min(from.len()?);
    let mut buffer = vec![0; COPY_BYTES.min(end) as usize];
    let mut position = 0;
    while position < end {
        let count = (end - position).min(COPY_BYTES) as usize;
        let part = buffer.get_mut(..count).unwrap_or_default();
        from.read_exact_at(part, position)?;
        to.write_all_at(part, position)?;
        position += count as u64;
    }
    to.sync_all()?;
    vfs.rename(&unfinished, &segment_path(archive, number))?;
    Ok(())
}

/// The same database's same segment has the same header, with the same salt.
fn check_same(vfs: &dyn Vfs, segment: &Path, archived: &Path) -> Result<(), LogError> {
    let header = |path: &Path| -> Result<_, LogError> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        vfs.open_for_reading(path)?.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    if header(segment)? == header(archived)? {
        Ok(())
    } else {
        Err(LogError::OtherInArchive { path: archived.to_path_buf() })
    }
}

//! The manifest's writing end.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    ManifestError, ManifestState,
    body::encode,
    files::{number_of, numbered},
    reader::{self, end_of},
    record::{
        MANIFEST_HEADER_BYTES, ManifestHeader, Place, RECORD_BODY_BYTES_MAX, RECORD_HEADER_BYTES,
        RecordHeader, TYPE_EDIT, TYPE_SNAPSHOT,
    },
    state::Edit,
};
use crate::{
    random::Random,
    vfs::{File, Vfs},
};

pub(super) const EXTENSION: &str = "manifest";
const EXTENSION_UNFINISHED: &str = "new";

/// How a manifest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestOptions {
    /// Which database it belongs to; the manifest of another one is refused.
    pub database_id: [u8; 16],
    /// Seeds the salts. Where clients can choose keys, they must not be able to guess it.
    pub seed: u64,
    /// A manifest that is larger is begun anew, unless most of it is what there is now.
    pub bytes_max: u64,
}

/// What opening has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManifestReport {
    /// Whether there was a manifest.
    pub is_found: bool,
    /// How many records it had.
    pub records: u64,
    /// Where a record began that was not whole, hence had never counted, and was cut off.
    pub torn_at: Option<u64>,
}

/// The manifest, open for changes. [`Manifest::open`] opens it.
#[derive(Debug)]
pub struct Manifest {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    options: ManifestOptions,
    state: ManifestState,
    /// The newest number that a file has got, or may have got.
    number: u64,
    /// None after a failure: then nobody knows what the file holds, and the next change begins a
    /// new one.
    file: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: Box<dyn File>,
    salt: u64,
    position: u64,
    previous: u32,
    /// Bytes of its first record: what it can't be smaller than.
    snapshot_bytes: u64,
}

impl Manifest {
    /// Reads the newest manifest in the directory, which is made if need be, and begins a new one
    /// with what it says. Without a manifest there are no tables.
    ///
    /// The new file has two reasons. What was read may have come from the operating system's cache
    /// while the disk, after a sync that failed, has something else. And a torn end is gone then,
    /// so that it is not mistaken for damage later.
    pub fn open(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        options: ManifestOptions,
    ) -> Result<(Self, ManifestReport), ManifestError> {
        // Also where it is there: nobody knows whether it is durable.
        vfs.create_directory(directory)?;
        if let Some(parent) = directory.parent() {
            vfs.sync_directory(parent)?;
        }
        let mut report = ManifestReport::default();
        let mut state = ManifestState { next_number: 1, ..ManifestState::default() };
        let newest = numbers(&**vfs, directory, EXTENSION)?.last().copied();
        if let Some(number) = newest {
            let path = numbered(directory, number, EXTENSION);
            let read = reader::read(&**vfs, &path, number, options.database_id)?;
            report =
                ManifestReport { is_found: true, records: read.records, torn_at: read.torn_at };
            state = read.state;
        }
        let unfinished = numbers(&**vfs, directory, EXTENSION_UNFINISHED)?.last().copied();
        let number = newest.max(unfinished).unwrap_or(0);
        let mut manifest = Self {
            vfs: Arc::clone(vfs),
            directory: directory.to_path_buf(),
            options,
            state,
            number,
            file: None,
        };
        let state = manifest.state.clone();
        manifest.begin(&state)?;
        Ok((manifest, report))
    }

    /// Whether there is a manifest in the directory.
    pub fn is_in(vfs: &dyn Vfs, directory: &Path) -> Result<bool, ManifestError> {
        Ok(vfs.exists(directory)? && !numbers(vfs, directory, EXTENSION)?.is_empty())
    }

    /// What is durable.
    pub fn state(&self) -> &ManifestState {
        &self.state
    }

    /// The file that changes are added to, if the last one succeeded.
    pub fn path(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|_| numbered(&self.directory, self.number, EXTENSION))
    }

    /// Makes a change durable, all or nothing.
    ///
    /// After [`ManifestError::Contradiction`] and [`ManifestError::TooLarge`] nothing has happened.
    /// After [`ManifestError::File`] the change is in doubt: it does not count now, but may turn
    /// out to after a crash. So what it adds and what it removes must stay until a later change has
    /// succeeded, which is written to a new file, from what counts now.
    pub fn commit(&mut self, edit: &Edit) -> Result<(), ManifestError> {
        let mut state = self.state.clone();
        state.apply(edit).map_err(|what| ManifestError::Contradiction { what })?;
        match self.file.take() {
            Some(open) if open.position <= self.bytes_max(&open) => {
                self.file = Some(append(open, edit, state.next_number)?);
            }
            _ => self.begin(&state)?,
        }
        self.state = state;
        Ok(())
    }

    fn bytes_max(&self, open: &Open) -> u64 {
        self.options.bytes_max.max(2 * open.snapshot_bytes)
    }

    /// A number for a table or a file of ids that has not been given before.
    pub fn take_number(&mut self) -> u64 {
        let number = self.state.next_number;
        self.state.next_number += 1;
        number
    }

    /// Numbers up to this one are taken.
    pub fn skip_numbers(&mut self, taken: u64) {
        self.state.next_number = self.state.next_number.max(taken.saturating_add(1));
    }

    /// Begins a new file with this state and removes those before it.
    fn begin(&mut self, state: &ManifestState) -> Result<(), ManifestError> {
        self.file = None;
        // Never the same one twice: after a failure nobody knows what it holds, or is called.
        self.number += 1;
        let salt = Random::new(self.options.seed ^ Random::new(self.number).next_u64()).next_u64();
        let database_id = self.options.database_id;
        let header = ManifestHeader { database_id, number: self.number, salt };
        let unfinished = numbered(&self.directory, self.number, EXTENSION_UNFINISHED);
        let file = self.vfs.create(&unfinished)?;
        let mut open = Open {
            file,
            salt,
            position: MANIFEST_HEADER_BYTES as u64,
            previous: 0,
            snapshot_bytes: 0,
        };
        open.file.write_all_at(&header.encode(), 0)?;
        open.write(TYPE_SNAPSHOT, &encode(&state.as_edit(), state.next_number))?;
        open.snapshot_bytes = open.position;
        open.file.sync_all()?;
        self.vfs.rename(&unfinished, &numbered(&self.directory, self.number, EXTENSION))?;
        self.vfs.sync_directory(&self.directory)?;
        self.file = Some(open);
        self.remove_older();
        Ok(())
    }

    /// They have no meaning any more; what can't be removed now is removed next time.
    fn remove_older(&self) {
        for extension in [EXTENSION, EXTENSION_UNFINISHED] {
            let removed = numbers(&*self.vfs, &self.directory, extension).and_then(|numbers| {
                let older = numbers.iter().filter(|number| **number < self.number);
                older.into_iter().try_for_each(|&number| {
                    Ok(self.vfs.remove(&numbered(&self.directory, number, extension))?)
                })
            });
            if let Err(error) = removed {
                tracing::warn!(%error, "an old manifest was left behind");
            }
        }
    }
}

/// Writes and syncs an edit. What fails takes the file with it.
fn append(mut open: Open, edit: &Edit, next_number: u64) -> Result<Open, ManifestError> {
    open.write(TYPE_EDIT, &encode(edit, next_number))?;
    open.file.sync_data()?;
    Ok(open)
}

impl Open {
    fn write(&mut self, record_type: u8, body: &[u8]) -> Result<(), ManifestError> {
        if body.len() > RECORD_BODY_BYTES_MAX {
            return Err(ManifestError::TooLarge { bytes: body.len() });
        }
        let header = RecordHeader {
            body_bytes: body.len() as u32,
            body_crc: crc32fast::hash(body),
            previous: self.previous,
            record_type,
        };
        let place = Place { salt: self.salt, offset: self.position };
        let (header, crc) = header.encode(place);
        let end = end_of(self.position, body.len());
        let mut bytes = Vec::with_capacity((end - self.position) as usize);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(body);
        debug_assert!(bytes.len() >= RECORD_HEADER_BYTES);
        // Whole sectors, so that the file's length alone says where the next record goes.
        bytes.resize((end - self.position) as usize, 0);
        self.file.write_all_at(&bytes, self.position)?;
        self.position = end;
        self.previous = crc;
        Ok(())
    }
}

/// The numbers of the files with this extension, ascending.
fn numbers(vfs: &dyn Vfs, directory: &Path, extension: &str) -> Result<Vec<u64>, ManifestError> {
    let names = vfs.list(directory)?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| number_of(name, extension)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

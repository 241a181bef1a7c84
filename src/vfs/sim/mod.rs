//! The disk that forgets.
//!
//! [`SimVfs`] keeps files in memory and remembers what is durable and what is not. A [`FaultPlan`]
//! tells it what is to go wrong: errors, full disks, short writes, syncs that forget, a power cut
//! before, during or after any call. After a cut, [`SimVfs::after_cut`] makes the disk that the
//! next start finds; many different ones can be made from one cut. Bytes can also rot at rest.
//!
//! Everything follows from the plan and its seed, so that a run can be repeated from one line.
//!
//! What it doesn't do: it has no links, no permissions, and no renames between directories, and
//! time doesn't pass in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

mod cut;
mod disk;
mod pages;
mod plan;

pub use plan::{Fault, FaultPlan, Keep, KeepNames, PlanError, Trigger};

use self::{
    disk::{Disk, FileEffect, FileId},
    pages::{PAGE_BYTES, SECTOR_BYTES},
};
use super::{File, LockGuard, Vfs, VfsError};
use crate::random::Random;

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimVfs {
    state: Arc<Mutex<State>>,
}

/// The disk and what is to become of it.
struct State {
    disk: Disk,
    plan: FaultPlan,
    random: Random,
    /// Calls so far that change the disk.
    calls: u64,
    /// Calls so far by label.
    labels: BTreeMap<String, u64>,
    locks: BTreeSet<PathBuf>,
    has_power: bool,
}

/// Whether a call has a number.
#[derive(Clone, Copy)]
enum CallKind {
    Look,
    Change,
}

/// What a call has to do.
enum Order {
    /// What it is for.
    Proceed,
    /// What it is for, and then the power fails.
    ProceedAndCut,
    /// A part, and then the power fails.
    PartAndCut,
    /// A part, and then this error.
    PartAndFail(io::Error),
    /// Forget what was to be made durable, and fail.
    Forget,
    /// Say that it is done.
    Lie,
}

impl SimVfs {
    /// An empty disk that works.
    pub fn new() -> Self {
        Self::with_plan(FaultPlan::default())
    }

    /// An empty disk on which this goes wrong.
    pub fn with_plan(plan: FaultPlan) -> Self {
        Self::with_disk(Disk::new(), plan)
    }

    fn with_disk(disk: Disk, plan: FaultPlan) -> Self {
        let random = Random::new(plan.seed);
        let state = State {
            disk,
            plan,
            random,
            calls: 0,
            labels: BTreeMap::new(),
            locks: BTreeSet::new(),
            has_power: true,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// From now on this goes wrong; calls are counted from zero.
    pub fn set_plan(&self, plan: FaultPlan) {
        let mut state = self.lock_state();
        state.random = Random::new(plan.seed);
        state.plan = plan;
        state.calls = 0;
        state.labels.clear();
    }

    /// How many calls there were that change the disk: the range of numbers for a plan.
    pub fn calls(&self) -> u64 {
        self.lock_state().calls
    }

    /// How many calls there were by label.
    pub fn labels(&self) -> BTreeMap<String, u64> {
        self.lock_state().labels.clone()
    }

    /// Cuts the power: from now on every call fails.
    pub fn cut_power(&self) {
        self.lock_state().has_power = false;
    }

    /// Whether the power is cut.
    pub fn is_cut(&self) -> bool {
        !self.lock_state().has_power
    }

    /// The disk that the next start finds if the power fails, or has failed, here; this one is
    /// left as it is. Nothing goes wrong on the new one until it gets a plan.
    pub fn after_cut(&self, keep: Keep, names: KeepNames, seed: u64) -> Self {
        let state = self.lock_state();
        Self::with_disk(cut::after_cut(&state.disk, keep, names, seed), FaultPlan::default())
    }

    /// The disk that the plan's power cut leaves: [`SimVfs::after_cut`] as the plan says.
    pub fn restart(&self) -> Self {
        let plan = self.lock_state().plan.clone();
        self.after_cut(plan.keep, plan.names, plan.seed)
    }

    /// A disk with the same files, durable ones and others, that goes its own way from here, with
    /// power, and with nobody holding locks.
    pub fn duplicate(&self) -> Self {
        Self::with_disk(self.lock_state().disk.clone(), FaultPlan::default())
    }

    /// A file's bytes as they are now. Counts as no call.
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.lock_state();
        let file = state.disk.file(path)?;
        let pages = &state.disk.files[&file].current;
        let mut bytes = vec![0; pages.len() as usize];
        pages.read(&mut bytes, 0);
        Ok(bytes)
    }

    /// Replaces a file's bytes behind the engine's back, durably: bit rot, an older self, another
    /// file's bytes. Counts as no call; the file and its directory are made if need be.
    pub fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock_state();
        let disk = &mut state.disk;
        let missing: Vec<_> =
            path.ancestors().skip(1).filter(|path| !disk.names.contains_key(*path)).collect();
        for directory in missing.into_iter().rev() {
            disk.create_directory(directory)?;
        }
        let file = match disk.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(path)?,
            file => file?,
        };
        disk.add_file_effect(file, FileEffect::SetLen(0));
        disk.add_file_effect(file, FileEffect::Write { offset: 0, bytes: bytes.into() });
        disk.sync_file(file);
        let directories: Vec<_> = disk.pending_names.keys().cloned().collect();
        directories.iter().try_for_each(|directory| disk.sync_directory(directory))
    }

    /// Flips one bit of a file at rest.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) -> io::Result<()> {
        self.damage(path, |bytes| bytes[offset] ^= 1 << (bit % 8))
    }

    /// Zeroes the sector of a file that this offset lies in.
    pub fn zero_sector(&self, path: &Path, offset: usize) -> io::Result<()> {
        self.damage(path, |bytes| {
            let begin = offset / SECTOR_BYTES * SECTOR_BYTES;
            let end = (begin + SECTOR_BYTES).min(bytes.len());
            bytes[begin..end].fill(0);
        })
    }

    /// Swaps two pages of a file, as a write to the wrong place does.
    pub fn swap_pages(&self, path: &Path, first: usize, second: usize) -> io::Result<()> {
        self.damage(path, |bytes| {
            for within in 0..PAGE_BYTES {
                bytes.swap(first * PAGE_BYTES + within, second * PAGE_BYTES + within);
            }
        })
    }

    fn damage(&self, path: &Path, change: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let mut bytes = self.bytes(path)?;
        change(&mut bytes);
        self.put(path, &bytes)
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a call that changes the disk: `whole` does it, `part` a part of it.
    fn change(
        &self,
        operation: &'static str,
        path: &Path,
        label: &str,
        whole: impl FnOnce(&mut State) -> io::Result<()>,
        part: impl FnOnce(&mut State) -> io::Result<()>,
        forget: impl FnOnce(&mut State),
    ) -> Result<(), VfsError> {
        let state = &mut *self.lock_state();
        let done = match state.order(path, label, CallKind::Change) {
            Err(error) => Err(error),
            Ok(Order::Proceed) => whole(state),
            Ok(Order::ProceedAndCut) => whole(state).and_then(|()| Err(state.cut())),
            Ok(Order::PartAndCut) => part(state).and_then(|()| Err(state.cut())),
            Ok(Order::PartAndFail(error)) => part(state).and(Err(error)),
            Ok(Order::Forget) => {
                forget(state);
                Err(input_output_error())
            }
            Ok(Order::Lie) => Ok(()),
        };
        done.map_err(|error| VfsError::new(operation, path, error))
    }

    /// Does a call that reads.
    fn look<T>(
        &self,
        operation: &'static str,
        path: &Path,
        label: &str,
        read: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T, VfsError> {
        let state = &mut *self.lock_state();
        let done = match state.order(path, label, CallKind::Look) {
            Err(error) | Ok(Order::PartAndFail(error)) => Err(error),
            Ok(Order::Proceed | Order::Lie) => read(state),
            Ok(Order::Forget) => Err(input_output_error()),
            Ok(Order::ProceedAndCut | Order::PartAndCut) => Err(state.cut()),
        };
        done.map_err(|error| VfsError::new(operation, path, error))
    }
}

impl State {
    /// Counts a call and says what is to become of it.
    fn order(&mut self, path: &Path, operation: &str, kind: CallKind) -> io::Result<Order> {
        if !self.has_power {
            return Err(no_power());
        }
        let call = match kind {
            CallKind::Look => None,
            CallKind::Change => {
                self.calls += 1;
                Some(self.calls)
            }
        };
        let label = label(path, operation);
        let occurrence = self.labels.entry(label.clone()).or_insert(0);
        *occurrence += 1;
        let (random, occurrence) = (&mut self.random, *occurrence);
        let mut faults = self.plan.faults.iter();
        let fault = faults.find(|(trigger, _)| {
            trigger.fits(call, &label, occurrence, |one_in| random.one_in(one_in))
        });
        let is_sync = operation.starts_with("sync");
        match fault.map(|(_, fault)| *fault) {
            Some(Fault::CutBefore) => Err(self.cut()),
            Some(Fault::CutDuring) => Ok(Order::PartAndCut),
            Some(Fault::CutAfter) => Ok(Order::ProceedAndCut),
            Some(Fault::Eio | Fault::Short | Fault::Enospc) if is_sync => Ok(Order::Forget),
            Some(Fault::Eio) => Err(input_output_error()),
            Some(Fault::Enospc) => Ok(Order::PartAndFail(no_space())),
            Some(Fault::Short) => Ok(Order::PartAndFail(input_output_error())),
            Some(Fault::Lie) if is_sync => Ok(Order::Lie),
            None | Some(Fault::Lie) => Ok(Order::Proceed),
        }
    }

    fn cut(&mut self) -> io::Error {
        self.has_power = false;
        no_power()
    }

    /// How far a file may grow from its length with the space there is.
    fn room(&self, file: FileId) -> u64 {
        let len = self.disk.files[&file].current.len();
        let space = self.plan.space.unwrap_or(u64::MAX);
        len.saturating_add(space.saturating_sub(self.disk.used()))
    }

    fn write(&mut self, file: FileId, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let room = self.room(file).saturating_sub(offset).min(bytes.len() as u64);
        let fitting = &bytes[..room as usize];
        if !fitting.is_empty() {
            self.disk.add_file_effect(file, FileEffect::Write { offset, bytes: fitting.into() });
        }
        if fitting.len() == bytes.len() { Ok(()) } else { Err(no_space()) }
    }

    fn set_len(&mut self, file: FileId, bytes: u64) -> io::Result<()> {
        if bytes > self.room(file) {
            return Err(no_space());
        }
        self.disk.add_file_effect(file, FileEffect::SetLen(bytes));
        Ok(())
    }

    fn write_part(&mut self, file: FileId, bytes: &[u8], offset: u64) -> io::Result<()> {
        let sectors = bytes.len().div_ceil(SECTOR_BYTES) as u64 + 1;
        let sectors = self.random.below(sectors) as u32;
        self.write(file, cut::first_sectors(offset, bytes, sectors), offset)
    }
}

/// How a plan names a call.
fn label(path: &Path, operation: &str) -> String {
    let name = path.extension().or(path.file_name()).unwrap_or_default();
    format!("{}.{operation}", name.to_string_lossy().to_lowercase())
}

fn no_power() -> io::Error {
    io::Error::other("the power is cut")
}

fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn no_space() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Default for SimVfs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock_state();
        f.debug_struct("SimVfs")
            .field("files", &state.disk.names.keys())
            .field("calls", &state.calls)
            .field("has_power", &state.has_power)
            .finish_non_exhaustive()
    }
}

impl Vfs for SimVfs {
    fn create(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let create = |state: &mut State| state.disk.create(path).map(drop);
        self.change("create", path, "create", create, create, |_| ())?;
        self.opened(path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        self.look("open", path, "open", |state| state.disk.file(path))?;
        self.opened(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        let rename = |state: &mut State| state.disk.rename(from, to);
        self.change("rename a file to", to, "rename", rename, rename, |_| ())
    }

    fn remove(&self, path: &Path) -> Result<(), VfsError> {
        let remove = |state: &mut State| state.disk.remove(path);
        self.change("remove", path, "remove", remove, remove, |_| ())
    }

    fn create_directory(&self, path: &Path) -> Result<(), VfsError> {
        let create = |state: &mut State| state.disk.create_directory(path);
        let operation = "create the directory";
        self.change(operation, path, "create_directory", create, create, |_| ())
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, VfsError> {
        self.look("list", directory, "list", |state| {
            let children = state.disk.children(directory)?;
            Ok(children.filter_map(|path| path.file_name()).map(Into::into).collect())
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, VfsError> {
        self.look("look for", path, "exists", |state| Ok(state.disk.names.contains_key(path)))
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), VfsError> {
        let sync = |state: &mut State| state.disk.sync_directory(directory);
        let part = |_: &mut State| Ok(());
        // Names go through a file system's journal: one that fails to write it stops altogether,
        // and doesn't forget.
        self.change("sync the directory", directory, "sync_directory", sync, part, |_| ())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, VfsError> {
        self.look("lock", path, "lock", |state| {
            if !state.disk.names.contains_key(path) {
                state.disk.create(path)?;
            }
            if state.locks.insert(path.to_path_buf()) {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })?;
        Ok(Box::new(SimLock { vfs: self.clone(), path: path.to_path_buf() }))
    }
}

impl SimVfs {
    fn opened(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        let file = self.lock_state().disk.file(path);
        let file = file.map_err(|error| VfsError::new("open", path, error))?;
        Ok(Box::new(SimFile { vfs: self.clone(), file }))
    }
}

/// An open file of a simulated disk.
#[derive(Debug)]
struct SimFile {
    vfs: SimVfs,
    file: FileId,
}

impl SimFile {
    /// Its present name, which it may have got after it was opened.
    fn path(&self) -> PathBuf {
        self.vfs.lock_state().disk.files[&self.file].path.clone()
    }

    fn sync(&self, label: &str) -> Result<(), VfsError> {
        let sync = |state: &mut State| {
            state.disk.sync_file(self.file);
            Ok(())
        };
        let forget = |state: &mut State| {
            if let Some(file) = state.disk.files.get_mut(&self.file) {
                cut::forget(file, &mut state.random);
            }
        };
        self.vfs.change("sync", &self.path(), label, sync, |_| Ok(()), forget)
    }

    fn change_len(
        &self,
        operation: &'static str,
        label: &str,
        change: impl Fn(&mut State) -> io::Result<()> + Copy,
    ) -> Result<(), VfsError> {
        self.vfs.change(operation, &self.path(), label, change, change, |_| ())
    }
}

impl File for SimFile {
    fn len(&self) -> Result<u64, VfsError> {
        let len = |state: &mut State| Ok(state.disk.files[&self.file].current.len());
        self.vfs.look("measure", &self.path(), "len", len)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), VfsError> {
        self.vfs.look("read", &self.path(), "read", |state| {
            if state.disk.files[&self.file].current.read(buffer, offset) {
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), VfsError> {
        let write = |state: &mut State| state.write(self.file, bytes, offset);
        let part = |state: &mut State| state.write_part(self.file, bytes, offset);
        self.vfs.change("write", &self.path(), "write", write, part, |_| ())
    }

    fn allocate(&self, bytes: u64) -> Result<(), VfsError> {
        self.change_len("reserve space for", "allocate", |state| {
            let len = state.disk.files[&self.file].current.len();
            if bytes > len { state.set_len(self.file, bytes) } else { Ok(()) }
        })
    }

    fn set_len(&self, bytes: u64) -> Result<(), VfsError> {
        self.change_len("set the length of", "set_len", |state| state.set_len(self.file, bytes))
    }

    fn sync_data(&self) -> Result<(), VfsError> {
        self.sync("sync_data")
    }

    fn sync_all(&self) -> Result<(), VfsError> {
        self.sync("sync_all")
    }
}

/// The lock of a file of a simulated disk.
#[derive(Debug)]
struct SimLock {
    vfs: SimVfs,
    path: PathBuf,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.vfs.lock_state().locks.remove(&self.path);
    }
}

#[cfg(test)]
mod tests;

//! The disk that forgets.
//!
//! [`SimVfs`] keeps files in memory and remembers what is durable and what is not. A [`FaultPlan`]
//! tells it what is to go wrong: errors, full disks, short writes, syncs that forget, a power cut
//! before, during or after any call. After a cut, [`SimVfs::after_cut`] makes the disk that the
//! next start finds; many different ones can be made from one cut. Bytes can also rot at rest.
//!
//! Everything follows from the plan and its seed, so that a run can be repeated from one line.
//!
//! What it doesn't do: it has no symbolic links, no permissions, and no renames between
//! directories. Time passes in it only where a plan makes calls slow.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

mod calls;
mod cold;
mod cut;
mod disk;
mod pages;
mod plan;
mod rot;

pub(super) use cold::ColdPages;
pub use plan::{Fault, FaultPlan, Keep, KeepNames, PlanError, Trigger};

use self::{
    disk::{Disk, FileEffect, FileId},
    pages::SECTOR_BYTES,
};
use super::VfsError;
use crate::{clock::ManualClock, random::Random};

/// The free bytes of a disk that a plan doesn't limit.
const ENDLESS: u64 = 1 << 60;

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
    labels: BTreeMap<Arc<str>, u64>,
    /// The labels of the calls that have a number, in order.
    numbered: Vec<Arc<str>>,
    /// Where a call's label is put together.
    label: String,
    locks: BTreeSet<PathBuf>,
    /// Directories that other file systems are mounted at.
    mounts: BTreeSet<PathBuf>,
    /// Where the time that slow calls take passes.
    clock: Option<Arc<ManualClock>>,
    has_power: bool,
}

/// What a call is about.
#[derive(Clone, Copy)]
enum Target<'a> {
    Path(&'a Path),
    /// An open file, by whatever name it has now.
    File(FileId),
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
            numbered: Vec::new(),
            label: String::new(),
            locks: BTreeSet::new(),
            mounts: BTreeSet::new(),
            clock: None,
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
        state.numbered.clear();
    }

    /// What is under this directory is on another file system from now on: no file is linked or
    /// renamed across. Disks that are made of this one know nothing of it.
    pub fn mount(&self, directory: &Path) {
        self.lock_state().mounts.insert(directory.to_path_buf());
    }

    /// From now on the time that slow calls take passes on this clock.
    pub fn set_clock(&self, clock: &Arc<ManualClock>) {
        self.lock_state().clock = Some(Arc::clone(clock));
    }

    /// How many calls there were that change the disk: the range of numbers for a plan.
    pub fn calls(&self) -> u64 {
        self.lock_state().calls
    }

    /// How many calls there were by label.
    pub fn labels(&self) -> BTreeMap<Arc<str>, u64> {
        self.lock_state().labels.clone()
    }

    /// The labels of the calls that change the disk, in order: the first is call 1's.
    pub fn numbered_labels(&self) -> Vec<Arc<str>> {
        self.lock_state().numbered.clone()
    }

    /// A number that disks with the same names and bytes share, and others as good as never.
    /// Looks only at what is there now, not at what is durable of it.
    pub fn fingerprint(&self) -> u64 {
        self.lock_state().disk.fingerprint()
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
        Self::with_disk(self.lock_state().disk.duplicate(), FaultPlan::default())
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a call that changes the disk: `whole` does it, `part` a part of it.
    fn change(
        &self,
        operation: &'static str,
        target: Target<'_>,
        label: &str,
        whole: impl FnOnce(&mut State) -> io::Result<()>,
        part: impl FnOnce(&mut State) -> io::Result<()>,
        forget: impl FnOnce(&mut State),
    ) -> Result<(), VfsError> {
        let state = &mut *self.lock_state();
        let done = match state.order(target, label, CallKind::Change) {
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
        done.map_err(|error| VfsError::new(operation, state.path(target), error))
    }

    /// Does a call that reads.
    fn look<T>(
        &self,
        operation: &'static str,
        target: Target<'_>,
        label: &str,
        read: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> Result<T, VfsError> {
        let state = &mut *self.lock_state();
        let done = match state.order(target, label, CallKind::Look) {
            Err(error) | Ok(Order::PartAndFail(error)) => Err(error),
            Ok(Order::Proceed | Order::Lie) => read(state),
            Ok(Order::Forget) => Err(input_output_error()),
            Ok(Order::ProceedAndCut | Order::PartAndCut) => Err(state.cut()),
        };
        done.map_err(|error| VfsError::new(operation, state.path(target), error))
    }
}

impl State {
    /// The path that a call is about.
    fn path<'a>(&'a self, target: Target<'a>) -> &'a Path {
        match target {
            Target::Path(path) => path,
            Target::File(file) => &self.disk.files[&file].path,
        }
    }

    /// Counts a call and says what is to become of it.
    fn order(&mut self, target: Target<'_>, operation: &str, kind: CallKind) -> io::Result<Order> {
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
        let (label, occurrence) = self.count_label(target, operation);
        if call.is_some() {
            self.numbered.push(Arc::clone(&label));
        }
        let random = &mut self.random;
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
            Some(Fault::Slow { micros }) => {
                if let Some(clock) = &self.clock {
                    clock.advance(Duration::from_micros(micros));
                }
                Ok(Order::Proceed)
            }
            None | Some(Fault::Lie) => Ok(Order::Proceed),
        }
    }

    /// Makes the call's label, as a plan names it, and says how many there were with this one.
    fn count_label(&mut self, target: Target<'_>, operation: &str) -> (Arc<str>, u64) {
        let mut label = std::mem::take(&mut self.label);
        label.clear();
        let path = self.path(target);
        let name = path.extension().or(path.file_name()).unwrap_or_default();
        label.extend(name.to_string_lossy().chars().flat_map(char::to_lowercase));
        label.push('.');
        label.push_str(operation);
        let shared = match self.labels.get_key_value(label.as_str()) {
            Some((shared, _)) => Arc::clone(shared),
            None => label.as_str().into(),
        };
        self.label = label;
        let count = self.labels.entry(Arc::clone(&shared)).or_insert(0);
        *count += 1;
        (shared, *count)
    }

    /// Fails where a file would have to go from one file system to another.
    fn check_same_device(&self, from: &Path, to: &Path) -> io::Result<()> {
        let is_same = self.device(from) == self.device(to);
        if is_same { Ok(()) } else { Err(io::ErrorKind::CrossesDevices.into()) }
    }

    /// The nearest mount that the path is under; none for the root's.
    fn device<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.ancestors().skip(1).find(|path| self.mounts.contains(*path))
    }

    /// The bytes that are free.
    fn free(&self) -> u64 {
        self.plan.space.map_or(ENDLESS, |space| space.saturating_sub(self.disk.used()))
    }

    fn cut(&mut self) -> io::Error {
        self.has_power = false;
        no_power()
    }

    /// How far a file may grow from its length with the space there is.
    fn room(&self, file: FileId) -> u64 {
        self.disk.files[&file].current.len().saturating_add(self.free())
    }

    fn write(&mut self, file: FileId, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.disk.assert_not_mapped(file);
        let room = self.room(file).saturating_sub(offset).min(bytes.len() as u64);
        let fitting = &bytes[..room as usize];
        if !fitting.is_empty() {
            self.disk.add_file_effect(file, FileEffect::Write { offset, bytes: fitting.into() });
        }
        if fitting.len() == bytes.len() { Ok(()) } else { Err(no_space()) }
    }

    fn set_len(&mut self, file: FileId, bytes: u64) -> io::Result<()> {
        self.disk.assert_not_mapped(file);
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

#[cfg(test)]
mod tests;

//! The engine as its users hold it: one cheap handle for reads, commits, watches and pins.

use std::{fmt, path::Path, sync::Arc};

use bytes::Bytes;
use plinth_protocol::{
    Commit, CommitResult, Error, ErrorCode, KeyRange, KeyspaceId, Version, limits::Limits,
};

use super::{
    background::{BackgroundThreads, CompactStage, FlushStage},
    commit::{
        CommitSink,
        log::LogStage,
        mark::Marked,
        sequencer::Sequencer,
        threads::{EngineSeats, Manual, Stage, Threads},
        validate::validate_row,
    },
    directory::{DataDirectory, DatabaseId, DirectoryError},
    options::{EngineOptions, Pipeline},
    pin::Pin,
    reader::{EngineReader, TryReader},
    recovery::{OpenError, Recovered, recover},
    shared::Shared,
    stats::EngineStats,
    table::Patience,
    verify::{Observer, VerifyReport, verify_open},
    wal::{LogMark, Segments},
    watch::Notify,
    watching::{UncheckedWatch, WatchHandle, WatchPlace},
};
use crate::sync::{Condvar, Mutex};

/// A database engine. Clones are handles of the same one; when the last is dropped it is closed.
///
/// Blocking, but for commits, whose outcome goes to a [`CommitSink`]. Reads may wait for the disk,
/// those of [`try_reader`](Self::try_reader) excepted; no call waits for another one's disk except
/// [`commit_blocking`](Self::commit_blocking) and [`close`](Self::close).
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    driver: Driver,
    directory: Arc<DataDirectory>,
    segments: Arc<Segments>,
}

enum Driver {
    Threads { seats: Arc<EngineSeats>, threads: Mutex<Option<(Threads, BackgroundThreads)>> },
    Manual(Box<Mutex<Manual>>),
}

impl Engine {
    /// Opens the data directory, creating it if it isn't there, and recovers what it holds.
    pub fn open(options: EngineOptions) -> Result<Self, OpenError> {
        let pipeline = options.pipeline;
        let Recovered { shared, writer, log, directory, last } = recover(options)?;
        let shared = Arc::new(shared);
        let sequencer = Sequencer::new(Arc::clone(&shared), writer, last);
        let segments = log.segments();
        let flush = FlushStage::new(Arc::clone(&shared));
        let compact = CompactStage::new(Arc::clone(&shared));
        let log = LogStage::new(Arc::clone(&shared), log, Arc::clone(&directory));
        let driver = match pipeline {
            Pipeline::Threads => {
                let background = BackgroundThreads::start(&shared, flush, compact)
                    .map_err(OpenError::Threads)?;
                let (threads, seats) =
                    Threads::start(&shared, sequencer, log).map_err(OpenError::Threads)?;
                Driver::Threads { seats, threads: Mutex::new(Some((threads, background))) }
            }
            Pipeline::Manual => {
                let manual = Manual::new(&shared, sequencer, log, flush, compact);
                Driver::Manual(Box::new(Mutex::new(manual)))
            }
        };
        Ok(Self { inner: Arc::new(Inner { shared, driver, directory, segments }) })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// The newest version that may be read: at least every commit version that anyone was told of.
    pub fn read_version(&self) -> Version {
        self.shared().publisher.published()
    }

    /// A short look at the database, for a batch of reads at versions that are known already. Its
    /// reads may wait for the disk. It holds back the reclaiming of memory, so it is not for
    /// keeping.
    pub fn reader(&self) -> EngineReader {
        // The version comes first: what the reader then sees holds at least all of it.
        let newest = self.read_version();
        EngineReader::new(TryReader::new(self.shared().store.reader(), newest))
    }

    /// A look like [`reader`](Self::reader) whose reads don't wait for the disk but say that they
    /// would have to.
    pub fn try_reader(&self) -> TryReader {
        let newest = self.read_version();
        TryReader::new(self.shared().store.reader_with(Patience::DontWait), newest)
    }

    /// Lines a commit up. Its outcome is pushed to `sink` with `token`, whatever becomes of who
    /// submitted it. A commit that can't line up comes back with the reason: it is illegal, too
    /// many wait, or the engine is closed or has failed.
    #[expect(clippy::result_large_err, reason = "a refused commit goes back to its owner")]
    pub fn submit(
        &self,
        commit: Commit,
        sink: Arc<dyn CommitSink>,
        token: u64,
    ) -> Result<(), (Commit, Error)> {
        self.shared().line_up(commit, sink, token)?;
        self.shared().queue.wake();
        Ok(())
    }

    /// Like [`submit`](Self::submit), but nobody looks at the commit before [`drive`](Self::drive):
    /// so that several can line up first.
    #[expect(clippy::result_large_err, reason = "a refused commit goes back to its owner")]
    pub fn line_up(
        &self,
        commit: Commit,
        sink: Arc<dyn CommitSink>,
        token: u64,
    ) -> Result<(), (Commit, Error)> {
        self.shared().line_up(commit, sink, token)
    }

    /// Decides on the commits that have lined up, on this thread if nobody else is at it and it takes
    /// no waiting; outcomes may be pushed before this returns. Does not wait for any disk.
    pub fn drive(&self) {
        match &self.inner.driver {
            Driver::Threads { seats, .. } => seats.help_quickly(),
            Driver::Manual(_) => {}
        }
    }

    /// Like [`drive`](Self::drive), but only if enough commits have lined up and the log has nothing
    /// to do; false if not, and they wait for more. For those who line up many in a row, and drive
    /// after the last.
    pub fn drive_early(&self) -> bool {
        match &self.inner.driver {
            Driver::Threads { seats, .. } => seats.help_early(),
            Driver::Manual(_) => false,
        }
    }

    /// Commits, and waits for the outcome.
    pub fn commit_blocking(&self, commit: Commit) -> Result<CommitResult, Error> {
        let sink = Arc::new(BlockingSink::default());
        let submitted = Arc::clone(&sink) as Arc<dyn CommitSink>;
        self.shared().line_up(commit, submitted, 0).map_err(|(_, error)| error)?;
        match &self.inner.driver {
            Driver::Threads { seats, .. } => {
                seats.help(|| sink.is_there());
                sink.wait()
            }
            Driver::Manual(_) => loop {
                if let Some(outcome) = sink.take() {
                    return outcome;
                }
                self.step();
            },
        }
    }

    /// Where in history the commit with this idempotency id stands. `None` if none is remembered:
    /// it did not happen, is not yet decided, or happened too long ago.
    pub fn commit_status(&self, idempotency_id: &[u8]) -> Option<CommitResult> {
        let place = self.shared().idempotency.find(idempotency_id)?;
        (place.version <= self.read_version())
            .then_some(CommitResult::Committed { version: place.version, order: place.order })
    }

    /// Calls `notify` once when the key's value is another than `value`, at once if it is already,
    /// on some thread and with the version at which it was seen to differ; or with an error when
    /// the engine closes or the key can't be read. `version` is where the caller knows the value
    /// from, and must be readable. The key is read first, which may wait for the disk.
    pub fn watch(
        &self,
        version: Version,
        keyspace: KeyspaceId,
        key: &[u8],
        value: Option<&[u8]>,
        notify: Box<dyn FnOnce(Result<Version, Error>) + Send>,
    ) -> Result<WatchHandle, Error> {
        let (handle, unchecked) = self.enter_watch(version, keyspace, key, value, notify)?;
        unchecked.check();
        Ok(handle)
    }

    /// Like [`watch`](Self::watch), but doesn't wait for the disk: where it would have to, the
    /// caller is to have the watch checked on a thread that may. Until then changes are noticed,
    /// but not that the value differed from the beginning.
    pub fn try_watch(
        &self,
        version: Version,
        keyspace: KeyspaceId,
        key: &[u8],
        value: Option<&[u8]>,
        notify: Box<dyn FnOnce(Result<Version, Error>) + Send>,
    ) -> Result<(WatchHandle, Option<UncheckedWatch>), Error> {
        let (handle, unchecked) = self.enter_watch(version, keyspace, key, value, notify)?;
        Ok((handle, unchecked.try_check()))
    }

    fn enter_watch(
        &self,
        version: Version,
        keyspace: KeyspaceId,
        key: &[u8],
        value: Option<&[u8]>,
        notify: Notify,
    ) -> Result<(WatchHandle, UncheckedWatch), Error> {
        validate_row(key, value, &self.shared().options.limits)?;
        if version > self.read_version() {
            return Err(ErrorCode::FUTURE_VERSION.into());
        }
        // Copies: a watch may live long, and must not keep the buffer that it came in.
        let key = Bytes::copy_from_slice(key);
        let known = value.map(Bytes::copy_from_slice);
        let watches = &self.shared().watches;
        let id = watches.enter(keyspace, key.clone(), known.clone(), notify)?;
        Ok(WatchPlace::new(self.clone(), keyspace, key, id).watch(known))
    }

    /// Holds a snapshot readable until the pin is dropped: the newest, or one that still is.
    pub fn pin(&self, version: Option<Version>) -> Result<Pin, Error> {
        let shared = self.shared();
        shared.pins.pin(version, || shared.publisher.published())
    }

    /// About how many bytes of keys and values the range holds.
    pub fn estimate_size(&self, keyspace: KeyspaceId, range: &KeyRange) -> Result<u64, Error> {
        Ok(self.shared().store.reader().estimate_size(keyspace, range)?)
    }

    /// Keys that cut the range into pieces of about `chunk_bytes`; its ends are the first and last.
    pub fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        chunk_bytes: u64,
    ) -> Result<Vec<Bytes>, Error> {
        Ok(self.shared().store.reader().split_points(keyspace, range, chunk_bytes)?)
    }

    /// Checks every byte of the database on the disk, while it is in use: see
    /// [`verify`](mod@super::verify). Fails if it can't begin.
    pub fn verify(&self, observer: Observer<'_>) -> Result<VerifyReport, DirectoryError> {
        verify_open(&*self.shared().options.vfs, self.directory(), observer)
    }

    /// What the engine has done and holds.
    pub fn stats(&self) -> EngineStats {
        self.shared().stats()
    }

    /// What a commit may hold.
    pub fn limits(&self) -> Limits {
        self.shared().options.limits
    }

    /// The name that the database got when its directory was created.
    pub fn database_id(&self) -> DatabaseId {
        self.inner.directory.database_id()
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        self.inner.directory.path()
    }

    pub(in crate::engine) fn data_directory(&self) -> &DataDirectory {
        &self.inner.directory
    }

    /// The segments of the log.
    pub(in crate::engine) fn segments(&self) -> &Arc<Segments> {
        &self.inner.segments
    }

    /// Makes durable everything that was answered so far, and says how far the log reaches then.
    /// `None` if the log has failed or is closed.
    pub(in crate::engine) fn mark_log(&self) -> Option<LogMark> {
        let shared = self.shared();
        let ticket = shared.marks.ask();
        match &self.inner.driver {
            Driver::Threads { .. } => {
                shared.hand_off.nudge();
                shared.marks.wait(ticket)
            }
            Driver::Manual(manual) => loop {
                match shared.marks.look(ticket) {
                    Marked::At(mark) => return Some(mark),
                    Marked::Never => return None,
                    Marked::NotYet => {
                        manual.lock().step(Stage::Log);
                    }
                }
            },
        }
    }

    /// Whether the log has failed: reads go on, commits are refused until a restart.
    pub fn is_poisoned(&self) -> bool {
        self.shared().poison.is_set()
    }

    /// Takes one step of every stage on this thread. False if there was nothing to do, or if the
    /// pipeline has threads of its own. Not for use within a [`CommitSink`].
    pub fn step(&self) -> bool {
        let sequenced = self.step_stage(Stage::Sequence);
        let logged = self.step_stage(Stage::Log);
        let flushed = self.step_stage(Stage::Flush);
        let compacted = self.step_stage(Stage::Compact);
        sequenced || logged || flushed || compacted
    }

    /// Takes one step of one stage on this thread, like [`step`](Self::step).
    pub fn step_stage(&self, stage: Stage) -> bool {
        match &self.inner.driver {
            Driver::Threads { .. } => false,
            Driver::Manual(manual) => manual.lock().step(stage),
        }
    }

    /// Refuses new commits, carries out and answers those that wait, syncs the log, and ends the
    /// watches. Reads go on. Further calls do nothing.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        self.shared.queue.close();
        match &self.driver {
            Driver::Threads { threads, .. } => {
                let threads = threads.lock().take();
                if let Some((threads, background)) = threads {
                    // In this order: commits that wait for the background are still carried out.
                    threads.join();
                    drop(background);
                }
            }
            Driver::Manual(manual) => manual.lock().finish(&self.shared),
        }
        self.shared.watches.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("directory", &self.shared().options.directory)
            .field("read_version", &self.read_version())
            .finish_non_exhaustive()
    }
}

/// One caller who waits.
#[derive(Default)]
struct BlockingSink {
    state: Mutex<Awaited>,
    arrived: Condvar,
}

#[derive(Default)]
struct Awaited {
    outcome: Option<Result<CommitResult, Error>>,
    is_awaited: bool,
}

impl BlockingSink {
    fn is_there(&self) -> bool {
        self.state.lock().outcome.is_some()
    }

    fn take(&self) -> Option<Result<CommitResult, Error>> {
        self.state.lock().outcome.take()
    }

    fn wait(&self) -> Result<CommitResult, Error> {
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome;
            }
            state.is_awaited = true;
            state = self.arrived.wait(state);
        }
    }
}

impl CommitSink for BlockingSink {
    fn push(&self, _token: u64, outcome: Result<CommitResult, Error>) {
        self.state.lock().outcome = Some(outcome);
    }

    fn wake(&self) {
        let is_awaited = self.state.lock().is_awaited;
        if is_awaited {
            self.arrived.notify_one();
        }
    }
}

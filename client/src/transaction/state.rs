//! The state of one transaction: what it has read and written, and whether it may go on.
//!
//! ```text
//!            commit                     reset, on_error
//!   open ───────────────► used up ─────────────────────────► open, the next generation
//!     │                      │
//!     │ cancel, timeout, misuse, an error that on_error can't mend
//!     ▼                      ▼
//!   ended: every call fails with the reason, until a reset
//! ```
//!
//! The first error of a call that returns nothing is stored, and comes out of every later call that
//! can fail. What a read of an earlier generation brings home late is thrown away.

use bytes::Bytes;
use plinth_protocol::{
    ConflictRange, Error, ErrorCode, KeyRange, KeyspaceId, Version, Versionstamp, WriteConflict,
    limits::Limits,
};
use tokio::{sync::oneshot, time::Instant};

use super::{
    cache::Cache,
    conflicts::{Joining, ReadConflicts},
    options::{SystemKeys, TransactionOptions},
    overlay::WriteLog,
    retry::Retries,
    special_keys::SpecialWrites,
    watch::WatchSlot,
};
use crate::Snapshot;

/// What FoundationDB counts for a mutation beside its keys and values.
const MUTATION_BYTES: usize = 44;
/// What FoundationDB counts for a conflict range beside its ends.
const CONFLICT_BYTES: usize = 24;

/// The metadata-version key: readable by all, written only as a versionstamp.
pub(super) const METADATA_VERSION_KEY: &[u8] = b"\xFF/metadataVersion";

/// Conflict ranges of which it is not known yet how far they will reach: reads under way.
pub(super) type UnderWay = Vec<(u64, KeyspaceId, KeyRange)>;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact, independent of the others")]
pub(super) struct State<S> {
    /// Counts resets: a read that began before one must not write into what came after.
    pub(super) generation: u64,
    /// Whether commit was called.
    pub(super) is_used_up: bool,
    /// Why every call fails, if it does.
    pub(super) ended: Option<Error>,
    /// The first error of a call that returns nothing.
    pub(super) stored_error: Option<Error>,
    /// The first error of a read that got under way; the commit fails with it.
    pub(super) read_failure: Option<Error>,
    /// Where reads are made, once known.
    pub(super) read_point: Option<S>,
    /// Whether anything was read or written.
    pub(super) is_touched: bool,
    /// Whether a read has gone to the backend.
    pub(super) has_asked: bool,
    pub(super) writes: WriteLog,
    /// What was read, by keyspace; a transaction reads few.
    caches: Vec<(KeyspaceId, Cache)>,
    pub(super) read_conflicts: ReadConflicts,
    /// Those that FoundationDB would not count.
    pub(super) unseen_conflicts: ReadConflicts,
    pub(super) under_way: UnderWay,
    pub(super) next_read: u64,
    /// How many reads have begun and not ended.
    pub(super) pending_reads: usize,
    /// Whether someone waits for there to be none.
    pub(super) awaits_reads: bool,
    /// Whether the commit waits for reads: what they bring still belongs to the transaction.
    pub(super) commit_awaits_reads: bool,
    /// Whether the commit has taken what it sends: what reads bring from now on comes too late.
    pub(super) is_prepared: bool,
    pub(super) write_conflicts: Vec<WriteConflict>,
    /// Whether the next write adds no write conflict range.
    pub(super) is_next_write_silent: bool,
    /// What FoundationDB would say this transaction's size is.
    pub(super) size: usize,
    pub(super) options: TransactionOptions,
    pub(super) watches: Vec<WatchSlot>,
    pub(super) stamps: Vec<oneshot::Sender<Result<Versionstamp, Error>>>,
    /// The commit version, after a commit that had one.
    pub(super) committed_version: Option<Version>,
    /// The reads that were hit, after a conflict that was to be reported.
    pub(super) conflicting: Vec<(KeyspaceId, KeyRange)>,
    /// What was written among the special keys.
    pub(super) special: SpecialWrites,
    pub(super) retries: Retries,
    /// When the timeout's clock began.
    pub(super) began: Instant,
}

impl<S: Snapshot> State<S> {
    pub(super) fn new(options: TransactionOptions) -> Self {
        Self {
            generation: 0,
            is_used_up: false,
            ended: None,
            stored_error: None,
            read_failure: None,
            read_point: None,
            is_touched: false,
            has_asked: false,
            writes: WriteLog::default(),
            caches: Vec::new(),
            read_conflicts: ReadConflicts::default(),
            unseen_conflicts: ReadConflicts::default(),
            under_way: UnderWay::new(),
            next_read: 0,
            pending_reads: 0,
            awaits_reads: false,
            commit_awaits_reads: false,
            is_prepared: false,
            write_conflicts: Vec::new(),
            is_next_write_silent: false,
            size: 0,
            options,
            watches: Vec::new(),
            stamps: Vec::new(),
            committed_version: None,
            conflicting: Vec::new(),
            special: SpecialWrites::default(),
            retries: Retries::default(),
            began: Instant::now(),
        }
    }

    /// Begins again with `options`, keeping the retries and the timeout's clock.
    pub(super) fn begin_again(&mut self, options: TransactionOptions) {
        self.fail_waiters(&ErrorCode::TRANSACTION_CANCELLED.into());
        let began = self.began;
        let next = Self {
            generation: self.generation + 1,
            retries: std::mem::take(&mut self.retries),
            ..Self::new(options)
        };
        *self = Self { began, ..next };
    }

    /// Ends the transaction: every call from now on fails with `error`, unless it fails already.
    pub(super) fn end(&mut self, error: Error) {
        if self.ended.is_none() {
            self.fail_waiters(&error);
            self.ended = Some(error);
        }
    }

    /// Tells the versionstamps and watches that wait for the commit that it won't come.
    pub(super) fn fail_waiters(&mut self, error: &Error) {
        for stamp in self.stamps.drain(..) {
            // Nobody waits any more: nothing to tell.
            let _ = stamp.send(Err(error.clone()));
        }
        for watch in self.watches.drain(..) {
            watch.fail(error);
        }
    }

    /// When the transaction times out.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.options.timeout.and_then(|timeout| self.began.checked_add(timeout))
    }

    /// Ends the transaction if its time is over.
    pub(super) fn check_deadline(&mut self) {
        if self.ended.is_none()
            && self.deadline().is_some_and(|deadline| deadline <= Instant::now())
        {
            self.end(ErrorCode::TRANSACTION_TIMED_OUT.into());
        }
    }

    /// Whether the transaction is of this generation and goes on.
    pub(super) fn check_alive(&mut self, generation: u64) -> Result<(), Error> {
        if self.generation != generation {
            return Err(ErrorCode::TRANSACTION_CANCELLED.into());
        }
        self.check_deadline();
        self.ended.clone().map_or(Ok(()), Err)
    }

    /// Whether a call that can fail may go on: no error stored, not used up, not ended. The errors
    /// come in this order, as they do in FoundationDB.
    pub(super) fn admit(&mut self) -> Result<(), Error> {
        self.check_deadline();
        if let Some(error) = &self.stored_error {
            return Err(error.clone());
        }
        if self.is_used_up {
            return Err(self.misuse());
        }
        self.ended.clone().map_or(Ok(()), Err)
    }

    /// The transaction was used during or after its commit: that fails, and with the protection on
    /// so does everything else, the commit included.
    fn misuse(&mut self) -> Error {
        let error = Error::from(ErrorCode::USED_DURING_COMMIT);
        if self.options.used_during_commit_protection {
            self.end(error.clone());
        }
        error
    }

    /// Whether a call that returns nothing does anything. After a cancel it still does: what is
    /// wrong with it is stored, and comes out of the next call that can fail.
    pub(super) fn admits_void_call(&mut self) -> bool {
        self.check_deadline();
        if self.stored_error.is_some() {
            return false;
        }
        if self.is_used_up {
            let error = self.misuse();
            self.store_error(error);
            return false;
        }
        true
    }

    pub(super) fn store_error(&mut self, error: impl Into<Error>) {
        self.stored_error.get_or_insert(error.into());
    }

    pub(super) fn read_version(&self) -> Option<Version> {
        self.read_point.as_ref().map(Snapshot::version)
    }

    /// The first key that reads can't see.
    pub(super) fn max_read_key(&self) -> &'static [u8] {
        if self.options.system_keys >= SystemKeys::Read { b"\xFF\xFF" } else { b"\xFF" }
    }

    /// The first key that writes can't reach.
    pub(super) fn max_write_key(&self) -> &'static [u8] {
        if self.options.system_keys >= SystemKeys::ReadWrite { b"\xFF\xFF" } else { b"\xFF" }
    }

    /// The longest that a key to be read can be: there is none beyond it.
    pub(super) fn readable_key_bytes_max(&self, key: &[u8], limits: &Limits) -> usize {
        if key.first() == Some(&0xFF) {
            limits.system_key_bytes_max
        } else {
            limits.key_bytes_max + self.extra_key_bytes()
        }
    }

    /// The longest that a key to be written may be.
    pub(super) fn writable_key_bytes_max(&self, key: &[u8], limits: &Limits) -> usize {
        self.readable_key_bytes_max(key, limits)
    }

    fn extra_key_bytes(&self) -> usize {
        let extends = self.options.raw_access || self.options.system_keys > SystemKeys::Closed;
        if extends { 8 } else { 0 }
    }

    /// An end of a range, cut to what is one byte longer than any key: the same keys lie before it.
    pub(super) fn cut_end(&self, key: Bytes, limits: &Limits) -> Bytes {
        let length = self.readable_key_bytes_max(&key, limits) + 1;
        if key.len() > length { key.slice(..length) } else { key }
    }

    pub(super) fn count_mutation(&mut self, bytes: usize) {
        self.size = self.size.saturating_add(MUTATION_BYTES + bytes);
    }

    pub(super) fn count_conflict(&mut self, bytes: usize) {
        self.size = self.size.saturating_add(CONFLICT_BYTES + bytes);
    }

    /// What was read in a keyspace.
    pub(super) fn cache(&mut self, keyspace: KeyspaceId) -> &mut Cache {
        let at = self.caches.iter().position(|(id, _)| *id == keyspace).unwrap_or_else(|| {
            self.caches.push((keyspace, Cache::default()));
            self.caches.len() - 1
        });
        &mut self.caches[at].1
    }

    /// Which read conflicts become one. Past the cache each read has its own, as in FoundationDB;
    /// only a report shows it.
    pub(super) fn joining(&self) -> Joining {
        let is_told = !self.options.read_your_writes && self.options.report_conflicting_keys;
        if is_told { Joining::Same } else { Joining::Touching }
    }

    /// Adds the read conflict of one key, which this transaction hasn't overwritten.
    pub(super) fn add_read_key(&mut self, keyspace: KeyspaceId, key: Bytes) {
        self.count_conflict(2 * key.len() + 1);
        let joining = self.joining();
        self.read_conflicts.push(keyspace, ConflictRange::Key(key), joining);
    }

    /// Adds the read conflict of a range.
    pub(super) fn add_read_range(&mut self, keyspace: KeyspaceId, range: KeyRange) {
        if !range.is_empty() {
            self.count_conflict(range.begin.len() + range.end.len());
            let joining = self.joining();
            self.read_conflicts.push(keyspace, range.into(), joining);
        }
    }
}

//! Options: how one transaction behaves.
//!
//! A transaction begins with its database's defaults. Setting an option changes this transaction
//! alone. After `on_error` the timeout, the retry limit and the greatest retry delay stay as they
//! were set (before API version 610 they don't), everything else is back to the defaults; after
//! `reset` everything is.

use std::time::Duration;

use bytes::Bytes;
use plinth_protocol::Durability;

use crate::ApiVersion;

/// The most tags of a transaction.
pub(super) const TAGS_MAX: usize = 5;
/// The longest tag.
pub(super) const TAG_BYTES_MAX: usize = 255;
/// The longest name under which a transaction can be logged.
pub(super) const DEBUG_ID_BYTES_MAX: usize = 100;

/// Which keys beyond `0xFF` a transaction may touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SystemKeys {
    /// None.
    #[default]
    Closed,
    /// It may read those below `0xFF 0xFF`.
    Read,
    /// It may read and write those below `0xFF 0xFF`.
    ReadWrite,
}

/// How a transaction stands to a locked database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockAware {
    /// It can't use one.
    #[default]
    No,
    /// It may read, and can't write whether the database is locked or not.
    Read,
    /// It may do everything.
    ReadWrite,
}

/// What a transaction may do with the special keys, from `0xFF 0xFF` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialKeys {
    /// Whether one read may go over several modules.
    pub is_relaxed: bool,
    /// Whether those can be written that can be.
    pub is_writable: bool,
}

/// Everything that can be set on a transaction; as defaults of a database, on all of them.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one option, independent of the others")]
pub struct TransactionOptions {
    /// As which of FoundationDB's versions it behaves. Only a database's defaults can say so.
    pub api_version: ApiVersion,
    /// How long it may take, from its creation or its last explicit reset, all tries together.
    pub timeout: Option<Duration>,
    /// How often `on_error` may say "try again".
    pub retry_limit: Option<u32>,
    /// The first wait of `on_error` is a random part of this; each further one of twice the last.
    pub first_retry_delay: Duration,
    /// The most that `on_error` waits.
    pub max_retry_delay: Duration,
    /// The most bytes it may come to; no more than the backend's own limit.
    pub size_limit: Option<usize>,
    /// Whether reads see the transaction's own writes.
    pub read_your_writes: bool,
    /// Whether snapshot reads do: while this is greater than 0.
    pub snapshot_read_your_writes: i32,
    /// Whether a commit gets an idempotency id, so that a lost answer can be asked for again.
    pub automatic_idempotency: bool,
    /// An idempotency id chosen by the application, for one commit.
    pub idempotency_id: Option<Bytes>,
    /// Which keys beyond `0xFF` are open.
    pub system_keys: SystemKeys,
    /// Whether keys may be a little longer than the limit, as tools that add a prefix need.
    pub raw_access: bool,
    /// Whether versionstamped values read as FoundationDB's clients are given them, instead of
    /// failing: the stamp not filled in, and its offset in four bytes at the end.
    pub bypass_unreadable: bool,
    /// Whether using the transaction during its commit makes the commit fail too.
    pub used_during_commit_protection: bool,
    /// Whether a conflict names the reads that were hit.
    pub report_conflicting_keys: bool,
    /// A weaker durability than the server's, for the commit.
    pub durability: Option<Durability>,
    /// Milliseconds since 1970 after which the commit must not happen any more.
    pub not_after_ms: Option<u64>,
    /// Whether a commit that has read nothing may use a read version that is too old.
    pub causal_write_risky: bool,
    /// How it stands to a locked database.
    pub lock_aware: LockAware,
    /// What it may do with the special keys.
    pub special_keys: SpecialKeys,
    /// Whether addresses come with ports, before API version 630.
    pub include_port_in_address: bool,
    /// What it is counted under.
    pub tags: Vec<Bytes>,
    /// The name under which it is logged.
    pub debug_id: Option<Bytes>,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self {
            api_version: ApiVersion::NEWEST,
            timeout: None,
            retry_limit: None,
            first_retry_delay: Duration::from_millis(10),
            max_retry_delay: Duration::from_secs(1),
            size_limit: None,
            read_your_writes: true,
            snapshot_read_your_writes: 1,
            automatic_idempotency: true,
            idempotency_id: None,
            system_keys: SystemKeys::Closed,
            raw_access: false,
            bypass_unreadable: false,
            used_during_commit_protection: true,
            report_conflicting_keys: false,
            durability: None,
            not_after_ms: None,
            causal_write_risky: false,
            lock_aware: LockAware::No,
            special_keys: SpecialKeys::default(),
            include_port_in_address: false,
            tags: Vec::new(),
            debug_id: None,
        }
    }
}

/// A change of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionOption {
    /// How long the transaction may take, from its creation or last reset; `None` for ever.
    Timeout(Option<Duration>),
    /// How often `on_error` may say "try again"; `None` for no limit.
    RetryLimit(Option<u32>),
    /// The most that `on_error` waits.
    MaxRetryDelay(Duration),
    /// The most bytes the transaction may come to, from 32 to the backend's own limit.
    SizeLimit(usize),
    /// Reads don't see the transaction's own writes; only before any read or write.
    ReadYourWritesDisable,
    /// Takes back one [`Self::SnapshotReadYourWritesDisable`].
    SnapshotReadYourWritesEnable,
    /// Snapshot reads don't see the transaction's own writes, until as many `Enable`s follow.
    SnapshotReadYourWritesDisable,
    /// The next write adds no write conflict range.
    NextWriteNoWriteConflictRange,
    /// Whether a conflict names the reads that were hit.
    ReportConflictingKeys,
    /// Whether the commit gets an idempotency id of its own.
    AutomaticIdempotency(bool),
    /// The idempotency id of the commit, 16 to 255 bytes.
    IdempotencyId(Bytes),
    /// Opens keys from `0xFF` to `0xFF 0xFF` for reading.
    ReadSystemKeys,
    /// Opens them for writing too.
    AccessSystemKeys,
    /// Lets keys be eight bytes longer than the limit.
    RawAccess,
    /// Versionstamped values read as they were given instead of failing.
    BypassUnreadable,
    /// Using the transaction during its commit fails alone, the commit goes on.
    UsedDuringCommitProtectionDisable,
    /// A weaker durability than the server's, for the commit.
    Durability(Durability),
    /// Milliseconds since 1970 after which the commit must not happen any more.
    NotAfter(u64),
    /// A commit that has read nothing may use a read version that is too old.
    CausalWriteRisky,
    /// For the first transaction of a new database: it reads nothing that was written since.
    InitializeNewDatabase,
    /// Works on a locked database.
    LockAware,
    /// Reads a locked database, and can't write.
    ReadLockAware,
    /// One read of special keys may go over several modules.
    SpecialKeysRelaxed,
    /// Special keys can be written.
    SpecialKeysWritable,
    /// Addresses come with ports, before API version 630.
    IncludePortInAddress,
    /// Counts the transaction under a tag, one of five at most.
    Tag(Bytes),
    /// Names the transaction for logs, once.
    DebugTransactionIdentifier(Bytes),
    /// Logs the transaction, which has to have a name.
    LogTransaction,
}

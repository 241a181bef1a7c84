//! Setting options, and what a transaction tells of itself.

use bytes::Bytes;
use plinth_protocol::{
    ConflictRange, Error, ErrorCode, KeyRange, MutationOp, Version, limits::IDEMPOTENCY_ID_BYTES,
};

use super::{
    Transaction,
    conflicts::merge_ranges,
    options::{
        DEBUG_ID_BYTES_MAX, LockAware, SystemKeys, TAG_BYTES_MAX, TAGS_MAX, TransactionOption,
        TransactionOptions,
    },
    overlay::possible_keys,
    state::State,
};
use crate::Backend;

/// Older than everything: what the first transaction of a new database reads at.
const FIRST_VERSION: Version = Version(1);
/// The least size limit that can be set.
const SIZE_LIMIT_MIN: usize = 32;

impl<B: Backend> Transaction<B> {
    /// Sets an option. A value that can't be is a stored error: the next read or the commit fails.
    /// After a stored error nothing is set any more.
    pub fn set_option(&self, option: TransactionOption) {
        let mut state = self.state();
        if state.stored_error.is_none()
            && let Err(error) = self.apply_option(&mut state, option)
        {
            state.store_error(error);
        }
        drop(state);
        // What waits has to look at the deadline again.
        self.inner.changed.notify_waiters();
    }

    /// Makes every later call that can fail fail with this error, unless there was one before: what
    /// was asked for and returns nothing can't be.
    pub fn refuse(&self, error: impl Into<Error>) {
        self.state().store_error(error);
    }

    fn apply_option(
        &self,
        state: &mut State<B::Snapshot>,
        option: TransactionOption,
    ) -> Result<(), Error> {
        let is_touched = state.is_touched;
        let options = &mut state.options;
        match option {
            TransactionOption::Timeout(timeout) => options.timeout = timeout,
            TransactionOption::RetryLimit(limit) => options.retry_limit = limit,
            TransactionOption::MaxRetryDelay(delay) => options.max_retry_delay = delay,
            TransactionOption::SizeLimit(limit) => {
                let max = self.limits().transaction_bytes_max;
                if !(SIZE_LIMIT_MIN..=max).contains(&limit) {
                    let text = format!("A size limit is between {SIZE_LIMIT_MIN} and {max} bytes");
                    return Err(Error::new(ErrorCode::INVALID_OPTION_VALUE, text));
                }
                options.size_limit = Some(limit);
            }
            TransactionOption::ReadYourWritesDisable => {
                if is_touched {
                    return Err(Error::new(
                        ErrorCode::CLIENT_INVALID_OPERATION,
                        "Read-your-writes can only be disabled before any read or write",
                    ));
                }
                options.read_your_writes = false;
            }
            TransactionOption::SnapshotReadYourWritesEnable => {
                options.snapshot_read_your_writes += 1;
            }
            TransactionOption::SnapshotReadYourWritesDisable => {
                options.snapshot_read_your_writes -= 1;
            }
            TransactionOption::NextWriteNoWriteConflictRange => state.is_next_write_silent = true,
            TransactionOption::ReportConflictingKeys => options.report_conflicting_keys = true,
            TransactionOption::AutomaticIdempotency(on) => options.automatic_idempotency = on,
            TransactionOption::IdempotencyId(id) => {
                if !IDEMPOTENCY_ID_BYTES.contains(&id.len()) {
                    return Err(Error::new(
                        ErrorCode::INVALID_OPTION,
                        "An idempotency id has 16 to 255 bytes",
                    ));
                }
                options.idempotency_id = Some(id);
            }
            TransactionOption::ReadSystemKeys => {
                options.system_keys = options.system_keys.max(SystemKeys::Read);
            }
            TransactionOption::AccessSystemKeys => options.system_keys = SystemKeys::ReadWrite,
            TransactionOption::RawAccess => options.raw_access = true,
            TransactionOption::BypassUnreadable => options.bypass_unreadable = true,
            TransactionOption::UsedDuringCommitProtectionDisable => {
                options.used_during_commit_protection = false;
            }
            TransactionOption::Durability(durability) => options.durability = Some(durability),
            TransactionOption::NotAfter(ms) => options.not_after_ms = Some(ms),
            TransactionOption::CausalWriteRisky => options.causal_write_risky = true,
            TransactionOption::InitializeNewDatabase => {
                if state.read_point.is_some() || state.has_asked {
                    return Err(ErrorCode::READ_VERSION_ALREADY_SET.into());
                }
                options.causal_write_risky = true;
                state.read_point = Some(self.backend().snapshot_at(FIRST_VERSION));
            }
            TransactionOption::LockAware => options.lock_aware = LockAware::ReadWrite,
            TransactionOption::ReadLockAware => {
                if options.lock_aware == LockAware::No {
                    options.lock_aware = LockAware::Read;
                }
            }
            TransactionOption::SpecialKeysRelaxed => options.special_keys.is_relaxed = true,
            TransactionOption::SpecialKeysWritable => options.special_keys.is_writable = true,
            TransactionOption::IncludePortInAddress => options.include_port_in_address = true,
            TransactionOption::Tag(tag) => add_tag(options, tag)?,
            TransactionOption::DebugTransactionIdentifier(id) => set_debug_id(options, id)?,
            TransactionOption::LogTransaction => {
                if options.debug_id.is_none() {
                    return Err(Error::new(
                        ErrorCode::CLIENT_INVALID_OPERATION,
                        "A transaction can be logged only when it has a name",
                    ));
                }
            }
        }
        Ok(())
    }

    /// About how many bytes the transaction has come to: what the size limit looks at. Also known
    /// after the commit.
    pub fn approximate_size(&self) -> Result<usize, Error> {
        let mut state = self.state();
        state.check_deadline();
        match state.stored_error.as_ref().or(state.ended.as_ref()) {
            Some(error) => Err(error.clone()),
            None => Ok(state.size),
        }
    }

    /// The commit version; `None` before the commit, and after one that wrote nothing.
    pub fn committed_version(&self) -> Option<Version> {
        self.state().committed_version
    }

    /// What the transaction has read in this keyspace, as far as the conflict check is concerned:
    /// ranges in order, none overlapping or adjacent.
    pub fn read_conflict_ranges(&self) -> Result<Vec<KeyRange>, Error> {
        let state = self.telling()?;
        Ok(state.read_conflicts.ranges(self.keyspace))
    }

    /// What the transaction will be seen to have written in this keyspace: ranges in order, none
    /// overlapping or adjacent. A versionstamped key counts with all that it can become.
    pub fn write_conflict_ranges(&self) -> Result<Vec<KeyRange>, Error> {
        Ok(self.own_write_conflicts(&*self.telling()?))
    }

    pub(super) fn own_write_conflicts(&self, state: &State<B::Snapshot>) -> Vec<KeyRange> {
        let own =
            state.writes.mutations.iter().enumerate().filter(|(_, mutation)| {
                mutation.adds_conflict && mutation.keyspace == self.keyspace
            });
        let mut ranges: Vec<_> = own
            .map(|(index, mutation)| written_keys(&mutation.op, state.writes.stamp_floor(index)))
            .collect();
        let explicit = state.write_conflicts.iter();
        let explicit = explicit.filter(|conflict| conflict.keyspace == self.keyspace);
        ranges.extend(explicit.map(|conflict| ConflictRange::to_range(&conflict.range)));
        merge_ranges(ranges)
    }

    /// Which of the transaction's reads in this keyspace made its commit conflict, if it did and
    /// [`TransactionOption::ReportConflictingKeys`] was set: ranges in order.
    pub fn conflicting_ranges(&self) -> Vec<KeyRange> {
        let state = self.state();
        let own = state.conflicting.iter().filter(|(keyspace, _)| *keyspace == self.keyspace);
        merge_ranges(own.map(|(_, range)| range.clone()).collect())
    }

    /// The state, if nothing has gone wrong with the transaction that makes it unknowable.
    fn telling(&self) -> Result<std::sync::MutexGuard<'_, State<B::Snapshot>>, Error> {
        let mut state = self.state();
        state.check_deadline();
        let error = state.stored_error.as_ref().or(state.ended.as_ref());
        match error.or(state.read_failure.as_ref()).cloned() {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }
}

/// The keys that a mutation writes; all that it can come to write, if a stamp with a version above
/// `floor` will decide.
pub(super) fn written_keys(op: &MutationOp, floor: Version) -> KeyRange {
    match op {
        MutationOp::ClearRange { begin, end } => {
            KeyRange { begin: begin.clone(), end: end.clone() }
        }
        MutationOp::SetVersionstampedKey { key, offset, .. } => possible_keys(key, *offset, floor),
        MutationOp::Set { key, .. }
        | MutationOp::Clear { key }
        | MutationOp::Atomic { key, .. }
        | MutationOp::SetVersionstampedValue { key, .. } => KeyRange::point(key),
    }
}

fn add_tag(options: &mut TransactionOptions, tag: Bytes) -> Result<(), Error> {
    if tag.len() > TAG_BYTES_MAX {
        let text = format!("A tag is no longer than {TAG_BYTES_MAX} bytes");
        return Err(Error::new(ErrorCode::TAG_TOO_LONG, text));
    }
    if options.tags.contains(&tag) {
        return Ok(());
    }
    if options.tags.len() == TAGS_MAX {
        let text = format!("A transaction has at most {TAGS_MAX} tags");
        return Err(Error::new(ErrorCode::TOO_MANY_TAGS, text));
    }
    options.tags.push(tag);
    Ok(())
}

fn set_debug_id(options: &mut TransactionOptions, id: Bytes) -> Result<(), Error> {
    if id.is_empty() || id.len() > DEBUG_ID_BYTES_MAX {
        let text = format!("A transaction's name has 1 to {DEBUG_ID_BYTES_MAX} bytes");
        return Err(Error::new(ErrorCode::INVALID_OPTION_VALUE, text));
    }
    if options.debug_id.as_ref().is_some_and(|present| *present != id) {
        return Err(Error::new(
            ErrorCode::CLIENT_INVALID_OPERATION,
            "The transaction has another name already",
        ));
    }
    options.debug_id = Some(id);
    Ok(())
}

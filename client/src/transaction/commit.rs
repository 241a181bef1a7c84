//! The commit: what was read and written goes to the backend, once.

use std::{future::Future, pin::pin};

use bytes::Bytes;
use plinth_protocol::{
    Commit, CommitResult, ConflictRange, Error, ErrorCode, KeyspaceId, ReadConflict, Version,
    Versionstamp,
};
use tokio::sync::oneshot;

use super::{Transaction, conflicts::Joining, options::LockAware, state::State};
use crate::{Backend, Snapshot};

/// Never written by anybody.
const PRIVATE_KEY: &[u8] = b"\xFF/SC/";

/// Whether a commit lets the reads that are under way end first.
#[derive(Clone, Copy)]
enum AwaitsReads {
    Yes,
    No,
}

impl<B: Backend> Transaction<B> {
    /// Commits: the version, or `None` if the transaction has written nothing. Uses the transaction
    /// up; [`Transaction::on_error`] or [`Transaction::reset`] begin it again.
    ///
    /// An error with `is_maybe_committed` leaves open what happened; any other says that nothing
    /// did. Dropping the future leaves it open too.
    pub async fn commit(&self) -> Result<Option<Version>, Error> {
        let generation = self.use_up(AwaitsReads::No)?;
        self.send_commit(generation).await
    }

    /// [`Transaction::commit`] after all reads that are under way have ended: exactly what they read
    /// counts in the conflict check, and if one fails so does the commit. Whoever holds on to a read
    /// without polling it waits for ever.
    pub async fn commit_after_reads(&self) -> Result<Option<Version>, Error> {
        let generation = self.use_up(AwaitsReads::Yes)?;
        let done = self.reads_done(generation).await;
        {
            let mut state = self.state();
            state.check_alive(generation)?;
            state.commit_awaits_reads = false;
            if let Err(error) = done {
                state.fail_commit(&error);
                return Err(error);
            }
        }
        self.send_commit(generation).await
    }

    /// From here on the transaction can't be used any more; its generation.
    fn use_up(&self, awaits_reads: AwaitsReads) -> Result<u64, Error> {
        let mut state = self.admitted()?;
        state.is_used_up = true;
        state.commit_awaits_reads = matches!(awaits_reads, AwaitsReads::Yes);
        if !state.special.is_empty()
            && let Err(error) = state.special.carry_out()
        {
            state.fail_commit(&error);
            return Err(error);
        }
        Ok(state.generation)
    }

    async fn send_commit(&self, generation: u64) -> Result<Option<Version>, Error> {
        let (at, conflicts, commit) = {
            let mut state = self.state();
            state.check_alive(generation)?;
            let at = state.read_point.clone();
            match self.prepare(&mut state) {
                Ok(Some(commit)) => {
                    let is_told = commit.reports_conflicts;
                    let conflicts = is_told.then(|| commit.read_conflicts.clone());
                    (at, conflicts.unwrap_or_default(), commit)
                }
                Ok(None) => {
                    state.finish_read_only();
                    return Ok(None);
                }
                Err(error) => {
                    state.fail_commit(&error);
                    return Err(error);
                }
            }
        };
        let sent = pin!(self.backend().commit(at.as_ref(), commit));
        let outcome = self.guarded(generation, sent).await;
        let mut state = self.state();
        state.check_alive(generation)?;
        let error = match outcome {
            Ok(CommitResult::Committed { version, order }) => {
                state.finish(version, order);
                return Ok(Some(version));
            }
            Ok(CommitResult::Conflicted { read_conflicts: hit }) => {
                let hit = hit.iter().filter_map(|index| conflicts.get(*index as usize));
                state.conflicting =
                    hit.map(|conflict| (conflict.keyspace, conflict.range.to_range())).collect();
                ErrorCode::NOT_COMMITTED.into()
            }
            Err(error) => error,
        };
        state.fail_commit(&error);
        Err(error)
    }

    /// The transaction as a commit; `None` if there is nothing to commit.
    fn prepare(&self, state: &mut State<B::Snapshot>) -> Result<Option<Commit>, Error> {
        if let Some(error) = &state.read_failure {
            return Err(error.clone());
        }
        if state.writes.mutations.is_empty() && state.write_conflicts.is_empty() {
            return Ok(None);
        }
        if state.options.lock_aware == LockAware::Read && !state.writes.mutations.is_empty() {
            return Err(ErrorCode::LOCK_AWARE_READ_ONLY.into());
        }
        let limit = self.limits().transaction_bytes_max;
        let limit = state.options.size_limit.map_or(limit, |chosen| chosen.min(limit));
        if state.size > limit {
            let size = state.size;
            let text = format!("A transaction of {size} bytes is larger than the limit of {limit}");
            return Err(Error::new(ErrorCode::TRANSACTION_TOO_LARGE, text));
        }
        for (_, keyspace, widest) in std::mem::take(&mut state.under_way) {
            let joining = state.joining();
            state.read_conflicts.push(keyspace, ConflictRange::from(widest), joining);
        }
        state.is_prepared = true;
        let joining = state.joining();
        let mut read_conflicts = state.read_conflicts.take(joining);
        read_conflicts.append(&mut state.unseen_conflicts.take(Joining::Touching));
        if read_conflicts.is_empty()
            && state.read_point.is_some()
            && !state.options.causal_write_risky
        {
            read_conflicts.push(private_conflict(self.keyspace));
        }
        let idempotency_id = match &state.options.idempotency_id {
            Some(id) => Some(id.clone()),
            None if state.options.automatic_idempotency && self.backend().may_lose_answers() => {
                Some(self.database().idempotency_id())
            }
            None => None,
        };
        Ok(Some(Commit {
            read_version: state.read_version(),
            read_conflicts,
            write_conflicts: std::mem::take(&mut state.write_conflicts),
            mutations: state.writes.take(),
            idempotency_id,
            not_after_ms: state.options.not_after_ms,
            durability: state.options.durability,
            reports_conflicts: state.options.report_conflicting_keys,
        }))
    }

    /// The versionstamp that this transaction's commit will have. To be asked for before the commit;
    /// the future is done after it. It fails if the commit does, or if that writes nothing.
    pub fn get_versionstamp(
        &self,
    ) -> impl Future<Output = Result<Versionstamp, Error>> + Send + 'static {
        let registered = self.admitted().map(|mut state| {
            let (sender, receiver) = oneshot::channel();
            // Those whose receivers are gone make room.
            state.stamps.retain(|stamp| !stamp.is_closed());
            state.stamps.push(sender);
            receiver
        });
        let deadline = self.watched_deadline();
        async move {
            let cancelled = || Err(ErrorCode::TRANSACTION_CANCELLED.into());
            deadline.guard(registered?).await.unwrap_or_else(|_| cancelled())
        }
    }
}

/// A read that nobody's write can hit: it makes a commit that has read nothing fail if its read
/// version is too old, as FoundationDB's conflicts of transactions with themselves do.
fn private_conflict(keyspace: KeyspaceId) -> ReadConflict {
    let range = ConflictRange::Key(Bytes::from_static(PRIVATE_KEY));
    ReadConflict { keyspace, range, since: None }
}

impl<S: Snapshot> State<S> {
    fn finish(&mut self, version: Version, order: u16) {
        self.committed_version = Some(version);
        let versionstamp = Versionstamp::new(version, order);
        for stamp in self.stamps.drain(..) {
            // Nobody waits any more: nothing to tell.
            let _ = stamp.send(Ok(versionstamp));
        }
        for watch in self.watches.drain(..) {
            watch.activate(version);
        }
        self.let_go();
    }

    fn finish_read_only(&mut self) {
        let version = self.read_version().unwrap_or(Version::ZERO);
        for stamp in self.stamps.drain(..) {
            let _ = stamp.send(Err(ErrorCode::NO_COMMIT_VERSION.into()));
        }
        for watch in self.watches.drain(..) {
            watch.activate(version);
        }
        self.let_go();
    }

    fn fail_commit(&mut self, error: &Error) {
        for stamp in self.stamps.drain(..) {
            let _ = stamp.send(Err(ErrorCode::TRANSACTION_INVALID_VERSION.into()));
        }
        for watch in self.watches.drain(..) {
            watch.fail(error);
        }
    }

    /// Lets go of what only an open transaction needs. The read point stays where it may still be
    /// asked for.
    fn let_go(&mut self) {
        if !self.options.api_version.keeps_read_version_after_commit() {
            self.read_point = None;
        }
        self.read_conflicts = super::conflicts::ReadConflicts::default();
        self.unseen_conflicts = super::conflicts::ReadConflicts::default();
        self.under_way.clear();
    }
}

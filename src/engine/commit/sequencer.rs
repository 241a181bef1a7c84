//! The sequencer: decides commits one by one, in order of arrival, and gives them versions.
//!
//! It takes whatever waits as one batch, without a timer: alone, a commit is a batch of one and
//! waits for nothing; under load, batches grow by themselves while the log is busy. It owns the
//! conflict index and the writer of the store, and applies what it sequenced while the log syncs:
//! what is applied but not published is invisible.
//!
//! A transaction whose reads are older than the conflict index is not refused when its version is
//! still readable, because it is pinned: its reads are checked against the store, which holds every
//! write since. What others only *claimed* to write, without a mutation, is not in the store, and
//! kept apart for as long as there are pins.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use plinth_protocol::{
    Commit, CommitResult, Durability, Error, ErrorCode, KeyspaceId, Mutation, MutationOp,
    ReadConflict, Version, Versionstamp,
};

use super::{
    admission::{Admitted, admit},
    batch::{Batch, Waiter},
    hand_off::Wake,
    log::LogJob,
    queue::{Bounds, Taken},
    resolve::{ResolveLimits, Resolved, resolve, stamped},
    seats::{Decides, Step},
    throttle::{Gate, Throttle},
};
use crate::engine::{
    background::Work,
    conflict::ConflictIndex,
    idempotency::Place,
    recovery::ceiling_ahead,
    shared::{Queued, Shared},
    stats::add,
    store::StoreWriter,
    version_clock::VersionClock,
    wal::{Admission, LogError},
    write::{CommittedTransaction, Write},
};

/// How many claims beyond the window are kept for pinned transactions.
const CLAIMS_MAX: usize = 100_000;

/// What the results of a batch's atomic operations may take: their operands don't bound it.
const RESOLVED_BYTES_MAX: usize = 256 << 20;

/// Decides commits. One thread at a time.
pub(crate) struct Sequencer {
    shared: Arc<Shared>,
    writer: StoreWriter,
    clock: VersionClock,
    /// Who wrote what, or claimed to, within the window.
    conflicts: ConflictIndex,
    /// Who claimed what without a mutation, since the horizon.
    claims: ConflictIndex,
    taken: Vec<Queued>,
    window_begin: Version,
    store_has_work: bool,
    throttle: Throttle,
    /// Who is told of what is sent to the log.
    wake: Wake,
    /// Whether what lies in tables may be looked at.
    waits_for_disk: bool,
}

/// A batch in the making.
struct Sequenced {
    transactions: Vec<CommittedTransaction>,
    /// How many of them are in the store.
    applied: usize,
    waiters: Vec<Waiter>,
    level: Durability,
    /// What the results of atomic operations take, and what they may take.
    resolved_bytes: usize,
    results_bytes_max: usize,
    now_micros: u64,
    wall_ms: u64,
}

impl Sequencer {
    /// A sequencer that goes on after `last`.
    pub(crate) fn new(shared: Arc<Shared>, writer: StoreWriter, last: Version) -> Self {
        let clock = VersionClock::new(
            last,
            shared.options.clock.monotonic_micros(),
            shared.ceiling(),
            ceiling_ahead(&shared.options),
        );
        Self {
            writer,
            clock,
            conflicts: ConflictIndex::new(last, shared.options.seed),
            claims: ConflictIndex::new(last, shared.options.seed),
            taken: Vec::new(),
            window_begin: last.saturating_sub(shared.window_versions()),
            store_has_work: true,
            throttle: Throttle::default(),
            wake: Wake::Taker,
            waits_for_disk: true,
            shared,
        }
    }

    /// Whether deciding on a commit may take a look into tables.
    fn may_read(&self, commit: &Commit) -> bool {
        let is_old = |since: Option<Version>| since.is_some_and(|at| at < self.conflicts.oldest());
        is_old(commit.read_version)
            || commit.read_conflicts.iter().any(|conflict| is_old(conflict.since))
            || commit
                .mutations
                .iter()
                .any(|mutation| matches!(mutation.op, MutationOp::Atomic { .. }))
    }

    /// Whether the log keeps up and there are versions for a batch.
    fn readiness(&mut self, limit: Duration) -> Gate {
        if self.shared.poison.is_set() {
            return Gate::Open;
        }
        let due = self.clock.ceiling_due(self.shared.options.clock.monotonic_micros());
        let admission = due.map(|ceiling| self.send_ceiling(ceiling));
        let left = self.shared.ceiling().0.saturating_sub(self.clock.last().0);
        let has_versions = left > self.shared.options.batch_items_max as u64;
        let batch_bytes_max = self.shared.options.batch_bytes_max;
        let has_room = |job: &LogJob| has_versions && job.bytes() < batch_bytes_max;
        if !has_versions && matches!(admission, Some(Admission::Full(_))) {
            // There will be none before there is room on the disk.
            return Gate::Refuses(ErrorCode::DISK_FULL);
        }
        let is_ready = self.shared.hand_off.wait_for_room(has_room, limit) && has_versions;
        if is_ready { Gate::Open } else { Gate::Shut }
    }

    /// Has a ceiling made durable, if the log has room for it; else it is tried again.
    fn send_ceiling(&mut self, ceiling: Version) -> Admission {
        let segments = &self.shared.segments;
        let admission = segments.ask_for_ceiling();
        if !matches!(admission, Admission::Room(_)) {
            return admission;
        }
        self.clock.ceiling_sent(ceiling);
        let mut job = self.shared.hand_off.reclaim().unwrap_or_default();
        match job.add_ceiling(ceiling) {
            Ok(footprint) => segments.enter(footprint),
            Err(error) => self.shared.fail(&error),
        }
        self.shared.hand_off.put(job, self.wake);
        admission
    }

    /// Nothing waits: the read version moves on by itself, and the store is tidied up.
    fn rest(&mut self) {
        if self.shared.publisher.is_at_rest() && !self.shared.poison.is_set() {
            let now = self.shared.options.clock.monotonic_micros();
            if let Some(version) = self.clock.tick(now, self.shared.ceiling()) {
                self.shared.publisher.tick(version);
            }
        }
        self.keep_house();
    }

    /// Freezes what is full, moves the horizon with the read version, and does a bit of the store's
    /// garbage collection.
    fn keep_house(&mut self) {
        self.rotate_if_full();
        let window = self.shared.window_versions();
        let begin = self.shared.publisher.published().saturating_sub(window);
        // Often enough for the bounds of memory, seldom enough to cost nothing.
        let stride = (window / 16).clamp(1, 10_000);
        if begin.0 >= self.window_begin.0.saturating_add(stride) {
            self.window_begin = begin;
            self.conflicts.expire(begin);
            let horizon = self.shared.pins.advance(begin);
            self.writer.set_horizon(horizon);
            self.writer.set_time(self.shared.options.clock.monotonic_micros() / 1_000_000);
            let is_crowded = self.claims.writes() > CLAIMS_MAX;
            self.claims.expire(if is_crowded { begin } else { horizon });
            self.shared.idempotency.expire(self.shared.options.clock.wall_millis());
            self.store_has_work = true;
        }
        if self.store_has_work {
            self.store_has_work = self.writer.maintain();
        }
    }

    /// Freezes the memtable if it is full and there is room for one more frozen one. Also an empty
    /// one, where the log is long all the same, of ceilings: a flush lets the log go.
    fn rotate_if_full(&mut self) {
        let frozen_max = self.shared.options.storage.frozen_max.max(1);
        if self.shared.poison.is_set()
            || !self.throttle.is_memtable_full(&self.shared, &self.writer)
            || self.shared.store.frozen_len() >= frozen_max
        {
            return;
        }
        self.writer.freeze();
        self.shared.background.wake(Work::Flush);
        self.throttle.rotated(&self.shared);
    }

    /// Answers what was taken: certainly not committed.
    fn refuse(&mut self, code: ErrorCode) {
        let refused = self.taken.drain(..).map(|queued| queued.into_waiter(Err(code.into())));
        let batch = Batch { waiters: refused.collect(), transactions: Vec::new() };
        self.shared.give_up(vec![batch], code);
    }

    fn sequence(&mut self, results_bytes_max: usize) {
        let mut taken = std::mem::take(&mut self.taken);
        if let Some(error) = self.shared.poison.error() {
            let refused = taken.drain(..).map(|queued| queued.into_waiter(Err(error.clone())));
            let batch = Batch { waiters: refused.collect(), transactions: Vec::new() };
            self.taken = taken;
            self.shared.give_up(vec![batch], ErrorCode::STORAGE_FAILED);
            return;
        }
        let mut batch = Sequenced {
            transactions: Vec::with_capacity(taken.len()),
            applied: 0,
            waiters: Vec::with_capacity(taken.len()),
            level: Durability::None,
            results_bytes_max: results_bytes_max.min(RESOLVED_BYTES_MAX),
            resolved_bytes: 0,
            now_micros: self.shared.options.clock.monotonic_micros(),
            wall_ms: self.shared.options.clock.wall_millis(),
        };
        for mut queued in taken.drain(..) {
            let commit = std::mem::take(&mut queued.commit);
            let outcome = self.decide(commit, &mut batch);
            batch.waiters.push(queued.into_waiter(outcome));
        }
        self.taken = taken;
        self.dispatch(batch);
    }

    /// Sends a batch to the log, applies it meanwhile, and publishes it if the log was faster.
    fn dispatch(&mut self, mut batch: Sequenced) {
        let job = match self.encode(&batch.transactions) {
            Ok(job) => job,
            Err(error) => {
                // Ids and conflicts have been entered for what can't happen now: no way on.
                self.shared.fail(&error);
                None
            }
        };
        let needs_no_log = job.is_none() || batch.level == Durability::None;
        let waiting =
            Batch { waiters: std::mem::take(&mut batch.waiters), transactions: Vec::new() };
        let entered = self.shared.publisher.begin(self.clock.last(), waiting, needs_no_log);
        let number = match entered {
            Ok(number) => number,
            Err(refused) => {
                self.shared.give_up(vec![refused], ErrorCode::STORAGE_FAILED);
                if let Some((job, _)) = job {
                    self.shared.hand_off.put(job, self.wake);
                }
                return;
            }
        };
        if let Some((mut job, bytes)) = job {
            job.add_batch(number, batch.level);
            self.shared.hand_off.put(job, self.wake);
            self.throttle.passed(&self.shared, bytes);
        }
        self.apply(&mut batch);
        let finish = |waiting: &mut Batch| waiting.transactions = batch.transactions;
        self.shared.finish(self.shared.publisher.applied(number, finish));
    }

    /// The job with this batch in it, to be put down for the log, and the batch's bytes; `None` if it
    /// needs none.
    fn encode(
        &self,
        transactions: &[CommittedTransaction],
    ) -> Result<Option<(LogJob, u64)>, LogError> {
        if transactions.is_empty() {
            return Ok(None);
        }
        let mut job = self.shared.hand_off.reclaim().unwrap_or_default();
        let before = job.bytes();
        match job.encode(transactions) {
            Ok(footprint) => {
                self.shared.segments.enter(footprint);
                let bytes = (job.bytes() - before) as u64;
                Ok(Some((job, bytes)))
            }
            Err(error) => {
                self.shared.hand_off.put(job, self.wake);
                Err(error)
            }
        }
    }

    /// Brings into the store what of the batch is not there yet.
    fn apply(&mut self, batch: &mut Sequenced) {
        if let Some(new @ [_, ..]) = batch.transactions.get(batch.applied..) {
            self.writer.apply_all(new);
        }
        batch.applied = batch.transactions.len();
    }

    fn decide(&mut self, commit: Commit, batch: &mut Sequenced) -> Result<CommitResult, Error> {
        batch.level = batch.level.max(self.shared.level_of(&commit));
        if let Some(id) = &commit.idempotency_id
            && let Some(Place { version, order }) = self.shared.idempotency.find(id)
        {
            add(&self.shared.counters.repeats, 1);
            return Ok(CommitResult::Committed { version, order });
        }
        if commit.not_after_ms.is_some_and(|last_ms| batch.wall_ms > last_ms) {
            return Ok(CommitResult::Conflicted { read_conflicts: Vec::new() });
        }
        if let Some(read_conflicts) = self.conflicts_of(&commit, batch)? {
            return Ok(CommitResult::Conflicted { read_conflicts });
        }
        let version = self
            .clock
            .next(batch.now_micros, self.shared.ceiling())
            .ok_or(ErrorCode::COMMIT_OVERLOADED)?;
        self.carry_out(commit, version, batch)?;
        Ok(CommitResult::Committed { version, order: 0 })
    }

    /// Which read conflicts were hit, if any was; the list is empty unless the commit asked for it.
    fn conflicts_of(
        &mut self,
        commit: &Commit,
        batch: &mut Sequenced,
    ) -> Result<Option<Vec<u32>>, Error> {
        let published = self.shared.publisher.published();
        let read_version = commit.read_version.unwrap_or(self.clock.last());
        if commit.read_version > Some(published) {
            return Err(ErrorCode::FUTURE_VERSION.into());
        }
        let mut hits = Vec::new();
        let mut is_hit = false;
        for (index, conflict) in (0..).zip(&commit.read_conflicts) {
            if conflict.since > Some(published) {
                return Err(ErrorCode::FUTURE_VERSION.into());
            }
            let since = conflict.since.unwrap_or(read_version);
            if !self.is_written_since(conflict, since, batch)? {
                continue;
            }
            is_hit = true;
            if !commit.reports_conflicts {
                break;
            }
            hits.push(index);
        }
        Ok(is_hit.then_some(hits))
    }

    fn is_written_since(
        &mut self,
        ReadConflict { keyspace, range, .. }: &ReadConflict,
        since: Version,
        batch: &mut Sequenced,
    ) -> Result<bool, Error> {
        if since >= self.conflicts.oldest() {
            return Ok(self.conflicts.check(*keyspace, range, since));
        }
        if since < self.shared.store.horizon() || since < self.claims.oldest() {
            return Err(ErrorCode::TRANSACTION_TOO_OLD.into());
        }
        self.apply(batch);
        if self.claims.check(*keyspace, range, since) {
            return Ok(true);
        }
        // What can't be read may have been written: nobody commits on that.
        Ok(self.shared.store.reader().written_since(*keyspace, range, since)?)
    }

    /// The commit happens, at `version`, unless what it comes to is too much.
    fn carry_out(
        &mut self,
        commit: Commit,
        version: Version,
        batch: &mut Sequenced,
    ) -> Result<(), Error> {
        let stamp = Versionstamp::new(version, 0);
        // Also of what then can't be carried out: others conflict with it in vain, once.
        for mutation in commit.mutations.iter().filter(|mutation| mutation.adds_conflict) {
            self.note_written(mutation, version, stamp);
        }
        let writes = self.resolve(commit.mutations, stamp, batch)?;
        for claim in &commit.write_conflicts {
            self.conflicts.insert(claim.keyspace, &claim.range, version);
            self.claims.insert(claim.keyspace, &claim.range, version);
        }
        if let Some(id) = &commit.idempotency_id {
            let place = Place { version, order: 0 };
            self.shared.idempotency.remember(id, place, batch.wall_ms, batch.wall_ms);
        }
        if !writes.is_empty() || commit.idempotency_id.is_some() {
            batch.transactions.push(CommittedTransaction {
                version,
                order: 0,
                idempotency_id: commit.idempotency_id,
                committed_at_ms: batch.wall_ms,
                writes,
            });
        }
        Ok(())
    }

    /// Enters what a mutation writes into the conflict index.
    fn note_written(
        &mut self,
        Mutation { keyspace, op, .. }: &Mutation,
        version: Version,
        stamp: Versionstamp,
    ) {
        match op {
            MutationOp::Set { key, .. }
            | MutationOp::Clear { key }
            | MutationOp::Atomic { key, .. }
            | MutationOp::SetVersionstampedValue { key, .. } => {
                self.conflicts.insert_key(*keyspace, key, version);
            }
            MutationOp::ClearRange { begin, end } => {
                self.conflicts.insert_range(*keyspace, (begin, end), version);
            }
            MutationOp::SetVersionstampedKey { key, offset, .. } => {
                self.conflicts.insert_key(*keyspace, &stamped(key, *offset, stamp), version);
            }
        }
    }

    fn resolve(
        &mut self,
        mutations: Vec<Mutation>,
        stamp: Versionstamp,
        batch: &mut Sequenced,
    ) -> Result<Vec<Write>, Error> {
        if mutations.iter().any(|mutation| matches!(mutation.op, MutationOp::Atomic { .. })) {
            self.apply(batch);
        }
        let store = &self.shared.store;
        let newest = |keyspace: KeyspaceId, key: &[u8]| -> Result<Option<Bytes>, Error> {
            // The newest version is never below the horizon.
            let reader = store.reader();
            let found = reader.get(keyspace, key, Version::MAX)?;
            Ok(found.map(|found| Bytes::copy_from_slice(found.value)))
        };
        let limits = ResolveLimits {
            value_bytes_max: self.shared.options.limits.value_bytes_max,
            bytes_max: batch.results_bytes_max - batch.resolved_bytes,
        };
        let Some(Resolved { writes, bytes }) = resolve(mutations, stamp, limits, newest)? else {
            // In a later batch it may fit, alone or with more room, unless it had all there can be.
            let had_all =
                batch.resolved_bytes == 0 && batch.results_bytes_max == RESOLVED_BYTES_MAX;
            if batch.resolved_bytes == 0 {
                self.shared.segments.want(batch.results_bytes_max.saturating_mul(2) as u64);
            }
            return Err(Error::from(if had_all {
                ErrorCode::TRANSACTION_TOO_LARGE
            } else {
                ErrorCode::COMMIT_OVERLOADED
            }));
        };
        batch.resolved_bytes += bytes;
        Ok(writes)
    }
}

impl Decides for Sequencer {
    fn has_work(&self) -> bool {
        self.store_has_work
    }

    fn step_for(&mut self, waits_for_disk: bool) -> Step {
        self.wake = Wake::Nobody;
        self.waits_for_disk = waits_for_disk;
        let step = self.step(Duration::ZERO);
        self.waits_for_disk = true;
        self.wake = Wake::Taker;
        step
    }

    fn step(&mut self, limit: Duration) -> Step {
        let limit = if self.store_has_work { Duration::ZERO } else { limit };
        let gate = match self.readiness(limit) {
            Gate::Open => self.throttle.pass(&self.shared, &self.writer, limit),
            gate => gate,
        };
        if gate == Gate::Shut {
            self.rest();
            return Step::Idle;
        }
        let options = &self.shared.options;
        let bounds =
            Bounds { items_max: options.batch_items_max, bytes_max: options.batch_bytes_max };
        if self.taken.is_empty() {
            match self.shared.queue.take(&mut self.taken, bounds) {
                Taken::Items => {}
                Taken::Nothing => {
                    self.rest();
                    return Step::Idle;
                }
                Taken::Closed => return Step::Closed,
            }
        }
        if !self.waits_for_disk && self.taken.iter().any(|queued| self.may_read(&queued.commit)) {
            return Step::Idle;
        }
        if let Gate::Refuses(code) = gate {
            self.refuse(code);
            self.keep_house();
            return Step::Worked;
        }
        let admitted = if self.shared.poison.is_set() {
            Admitted::Yes { results_bytes_max: 0 }
        } else {
            admit(&self.shared, &mut self.taken)
        };
        match admitted {
            Admitted::Yes { results_bytes_max } => {
                if !self.taken.is_empty() {
                    self.sequence(results_bytes_max);
                }
                self.keep_house();
                Step::Worked
            }
            Admitted::Later => {
                self.shared.segments.wait_for_room(limit);
                self.keep_house();
                Step::Idle
            }
        }
    }
}

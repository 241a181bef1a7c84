//! The log stage: one write and one sync for everything that was sequenced meanwhile.

use std::{sync::Arc, time::Duration};

use plinth_protocol::{Durability, ErrorCode, Version};

use super::{
    hand_off::{Handed, Job},
    mark::Ticket,
    publish::BatchNumber,
    seats::{Step, Writes},
};
use crate::{
    engine::{
        directory::DataDirectory,
        options::DurabilityMode,
        shared::Shared,
        stats::add,
        wal::{Log, LogError, RecordEncoder, footprint},
        write::CommittedTransaction,
    },
    sync::Ordering,
};

/// How much is written at once, at least, while nobody waits for the log.
const WRITE_BYTES_MIN: usize = 256 << 10;

/// How long the log rests after it wrote what nobody waits for.
const REST: Duration = Duration::from_millis(1);

/// What is written and synced together.
#[derive(Default)]
pub(crate) struct LogJob {
    encoder: RecordEncoder,
    /// The first and the last batch in it, and all between.
    batches: Option<(BatchNumber, BatchNumber)>,
    ceiling: Option<Version>,
    /// The strongest durability that a batch asks for.
    level: Option<Durability>,
    /// How much of the log's room is taken by what is in it.
    footprint: u64,
}

impl LogJob {
    /// Adds a batch's record; [`add_batch`](Self::add_batch) is to follow.
    /// Answers what it takes of the log's room.
    pub(crate) fn encode(
        &mut self,
        transactions: &[CommittedTransaction],
    ) -> Result<u64, LogError> {
        let before = self.encoder.bytes();
        self.encoder.batch(transactions)?;
        Ok(self.count(before))
    }

    fn count(&mut self, before: usize) -> u64 {
        let footprint = footprint((self.encoder.bytes() - before) as u64);
        self.footprint += footprint;
        footprint
    }

    /// Adds a batch that was encoded.
    pub(crate) fn add_batch(&mut self, number: BatchNumber, level: Durability) {
        let first = self.batches.map_or(number, |(first, _)| first);
        self.batches = Some((first, number));
        self.level = self.level.max(Some(level));
    }

    /// Adds a ceiling, which is always synced.
    /// Answers what it takes of the log's room.
    pub(crate) fn add_ceiling(&mut self, ceiling: Version) -> Result<u64, LogError> {
        let before = self.encoder.bytes();
        self.encoder.ceiling(ceiling)?;
        self.ceiling = Some(ceiling);
        self.level = Some(Durability::Sync);
        Ok(self.count(before))
    }

    /// How large the write will be.
    pub(crate) fn bytes(&self) -> usize {
        self.encoder.bytes()
    }

    fn clear(&mut self) {
        self.encoder.clear();
        *self = Self { encoder: std::mem::take(&mut self.encoder), ..Self::default() };
    }
}

impl Job for LogJob {
    fn is_urgent(&self) -> bool {
        self.level > Some(Durability::None) || self.bytes() >= WRITE_BYTES_MIN
    }
}

/// Carries out jobs. The one owner of the log.
pub(crate) struct LogStage {
    shared: Arc<Shared>,
    log: Log,
    /// Since when something is written that is to be synced before long.
    unsynced_since_micros: Option<u64>,
    has_unsynced: bool,
    sync_interval: Duration,
    /// Nobody else may open the directory while this may write.
    _directory: Arc<DataDirectory>,
}

impl LogStage {
    pub(crate) fn new(shared: Arc<Shared>, log: Log, directory: Arc<DataDirectory>) -> Self {
        let sync_interval = match shared.options.durability {
            DurabilityMode::Interval(interval) => interval,
            DurabilityMode::Sync | DurabilityMode::None => shared.options.lowered_sync_interval,
        };
        shared.segments.arrived(0, log.room_left());
        Self {
            shared,
            log,
            unsynced_since_micros: None,
            has_unsynced: false,
            sync_interval,
            _directory: directory,
        }
    }

    fn carry_out_job(&mut self, job: &mut LogJob) {
        if self.shared.poison.is_set() {
            // Never written: certainly not committed.
            self.hand_back(job, ErrorCode::STORAGE_FAILED);
            return;
        }
        let done = self.write(job);
        if self.poison_on_error(done) {
            self.hand_back(job, ErrorCode::COMMIT_UNKNOWN_RESULT);
            return;
        }
        if let Some(ceiling) = job.ceiling {
            self.shared.ceiling.fetch_max(ceiling.0, Ordering::AcqRel);
        }
        if let Some((_, last)) = job.batches {
            self.shared.finish(self.shared.publisher.logged(last));
        }
    }

    fn write(&mut self, job: &mut LogJob) -> Result<(), LogError> {
        self.log.append(&mut job.encoder)?;
        self.shared.segments.arrived(job.footprint, self.log.room_left());
        let counters = &self.shared.counters;
        add(&counters.log_writes, 1);
        counters.log_bytes.store(self.log.bytes(), Ordering::Relaxed);
        counters.log_end.store(self.log.end(), Ordering::Relaxed);
        self.has_unsynced = true;
        match job.level {
            Some(Durability::Sync) => self.sync()?,
            Some(Durability::Interval) => {
                let now = self.shared.options.clock.monotonic_micros();
                self.unsynced_since_micros.get_or_insert(now);
            }
            Some(Durability::None) | None => {}
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.log.sync()?;
        self.count_sync();
        Ok(())
    }

    fn count_sync(&mut self) {
        add(&self.shared.counters.log_syncs, 1);
        self.unsynced_since_micros = None;
        self.has_unsynced = false;
    }

    /// Whether it was due.
    fn sync_if_due(&mut self) -> bool {
        if self.shared.poison.is_set() || self.until_due().is_none_or(|left| !left.is_zero()) {
            return false;
        }
        let synced = self.sync();
        self.poison_on_error(synced);
        true
    }

    /// Whether there was an error.
    fn poison_on_error(&mut self, done: Result<(), LogError>) -> bool {
        let Err(error) = done else { return false };
        self.unsynced_since_micros = None;
        self.shared.fail(&error);
        true
    }

    fn hand_back(&self, job: &LogJob, code: ErrorCode) {
        if let Some((first, _)) = job.batches {
            self.shared.give_up(self.shared.publisher.fail(first), code);
        }
    }
}

impl Writes for LogStage {
    type Lines = Shared;

    fn lines(&self) -> &Shared {
        &self.shared
    }

    fn carry_out(&mut self, handed: Handed<LogJob>) -> Step {
        match handed {
            Handed::Job(mut job) => {
                self.carry_out_job(&mut job);
                job.clear();
                self.shared.hand_off.give_back(job);
                self.sync_if_due();
                Step::Worked
            }
            Handed::Nothing | Handed::Out => {
                if self.sync_if_due() {
                    Step::Worked
                } else {
                    Step::Idle
                }
            }
            Handed::Closed => {
                if self.has_unsynced && !self.shared.poison.is_set() {
                    let synced = self.sync();
                    self.poison_on_error(synced);
                }
                Step::Closed
            }
        }
    }

    fn make_mark(&mut self, ticket: Ticket) {
        if self.shared.poison.is_set() {
            return;
        }
        match self.log.mark() {
            Ok(mark) => {
                self.count_sync();
                self.shared.marks.answer(ticket, mark);
            }
            Err(error) => {
                self.poison_on_error(Err(error));
            }
        }
    }

    fn until_due(&self) -> Option<Duration> {
        let since = self.unsynced_since_micros?;
        let now = self.shared.options.clock.monotonic_micros();
        Some(self.sync_interval.saturating_sub(Duration::from_micros(now.saturating_sub(since))))
    }

    /// Not at all if the last was synced, as the next is likely to be waited for too.
    fn may_rest(&self) -> Option<Duration> {
        self.has_unsynced.then(|| self.until_due().map_or(REST, |due| due.min(REST)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use plinth_protocol::KeyspaceId;

    use super::*;
    use crate::engine::write::Write;

    #[test]
    fn a_job_is_urgent_if_an_answer_waits_for_it_or_it_is_large() {
        let job = |level| {
            let mut job = LogJob::default();
            job.add_batch(BatchNumber(0), level);
            job
        };
        assert!(!job(Durability::None).is_urgent());
        assert!(job(Durability::Interval).is_urgent(), "it is answered when it is written");
        assert!(job(Durability::Sync).is_urgent());
        let mut ceiling = LogJob::default();
        assert!(!ceiling.is_urgent());
        ceiling.add_ceiling(Version(1)).unwrap();
        assert!(ceiling.is_urgent());
        let with_value = |bytes: usize| {
            let (key, value) = (Bytes::from_static(b"k"), Bytes::from(vec![0; bytes]));
            let transaction = CommittedTransaction {
                version: Version(1),
                order: 0,
                idempotency_id: None,
                committed_at_ms: 0,
                writes: vec![Write::Set { keyspace: KeyspaceId::DEFAULT, key, value }],
            };
            let mut job = job(Durability::None);
            job.encode(&[transaction]).unwrap();
            job
        };
        assert!(!with_value(WRITE_BYTES_MIN / 2).is_urgent());
        assert!(with_value(WRITE_BYTES_MIN).is_urgent());
    }
}

//! Transactions, one after the other, each tried until it commits.

use std::{sync::Arc, time::Instant};

use plinth_protocol::{Error, ErrorCode};

use super::{
    bell::Turns,
    pace::Pace,
    tally::{Run, SharedTally},
};
use crate::cli::bench::{
    keys::Random,
    target::transact::{Store, Transact as _},
    workload::{ground::Ground, script::Script},
};

/// One that does transactions, one at a time.
pub(crate) struct Worker<S> {
    pub(crate) store: S,
    pub(crate) script: Arc<Script>,
    pub(crate) ground: Ground,
    pub(crate) random: Random,
    pub(crate) tally: Arc<SharedTally>,
}

impl<S: Store> Worker<S> {
    /// Works until the run is over or a transaction fails for good.
    pub(crate) async fn work(mut self, run: Arc<Run>, turns: Option<Turns>) {
        let begun = run.begun().await;
        let worked = match turns {
            None => self.closed(&run).await,
            Some(turns) => self.open(&run, &turns, turns.pace(begun)).await,
        };
        let ended = match worked {
            Ok(()) => self.finish().await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            self.tally.lock().fail(error);
        }
    }

    /// One after the other.
    async fn closed(&mut self, run: &Run) -> Result<(), Error> {
        while run.admit(1) > 0 {
            let begun = Instant::now();
            self.once().await?;
            self.tally.lock().complete(1, begun.elapsed());
        }
        Ok(())
    }

    /// Each when it is due, or as soon as the one before it lets it.
    async fn open(&mut self, run: &Run, turns: &Turns, mut pace: Pace) -> Result<(), Error> {
        loop {
            let now = Instant::now();
            if run.is_over() {
                self.tally.lock().unsent += pace.missed(now);
                return Ok(());
            }
            let Some(due) = pace.take(now) else {
                turns.rung().await;
                continue;
            };
            if run.admit(1) == 0 {
                return Ok(());
            }
            self.once().await?;
            self.tally.lock().complete(1, due.elapsed());
        }
    }

    /// The last look, as often as it takes to be answered.
    async fn finish(&self) -> Result<(), Error> {
        let mut transaction = self.store.begin();
        loop {
            let Err(error) = self.script.finish(&mut transaction, &self.ground).await else {
                return Ok(());
            };
            transaction.on_error(error).await?;
        }
    }

    /// A transaction, until it commits.
    async fn once(&mut self) -> Result<(), Error> {
        let seed = self.random.next_u64();
        let mut transaction = self.store.begin();
        let mut new = None;
        loop {
            let mut random = Random::new(seed);
            let error = match self
                .script
                .attempt(&mut transaction, &self.ground, &mut random, &mut new)
                .await
            {
                Ok(found) => {
                    if found.misses > 0 {
                        self.tally.lock().misses += found.misses;
                    }
                    if let Some(number) = new {
                        self.ground.growth.written(number);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            if error.code == ErrorCode::NOT_COMMITTED {
                self.tally.lock().conflicts += 1;
            }
            transaction.on_error(error).await?;
        }
    }
}

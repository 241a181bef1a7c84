//! Transactions, one after the other, each tried until it commits.

use std::{sync::Arc, time::Instant};

use plinth_protocol::{Error, ErrorCode};

use super::tally::{Run, SharedTally};
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
    pub(crate) async fn work(mut self, run: Arc<Run>) {
        while !run.is_over() {
            let begun = Instant::now();
            match self.once().await {
                Ok(()) => self.tally.lock().complete(1, begun.elapsed()),
                Err(error) => {
                    self.tally.lock().fail(error);
                    return;
                }
            }
        }
        if let Err(error) = self.finish().await {
            self.tally.lock().fail(error);
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
        let seed = self.random.next();
        let mut transaction = self.store.begin();
        loop {
            let mut random = Random::new(seed);
            let error = match self.script.attempt(&mut transaction, &self.ground, &mut random).await
            {
                Ok(found) => {
                    if found.misses > 0 {
                        self.tally.lock().misses += found.misses;
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

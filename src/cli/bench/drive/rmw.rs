//! The workload `rmw`: read a key and write it, in a transaction of the native client.

use std::{
    ops::Range,
    sync::{Arc, mpsc},
    time::Instant,
};

use bytes::Bytes;
use plinth_client::{Backend, Database, Transaction};
use plinth_protocol::{Error, ErrorCode};
use tokio::task::JoinSet;

use super::tally::{Run, SharedTally};
use crate::cli::bench::{
    arguments::RunArguments,
    keys::{KEY_BYTES, Random, check_value, key_bytes, value_of, value_pattern},
    target::plinth::Connection,
};

/// Works until the run is over, as many transactions at once as `connections` times the pipeline.
pub(crate) async fn work(
    arguments: &RunArguments,
    run: &Arc<Run>,
    tally: &Arc<SharedTally>,
    connections: Range<u32>,
    ready: &mpsc::Sender<Result<Option<String>, Error>>,
) -> Result<(), Error> {
    let address = arguments.target.address();
    let (_, hello) = Connection::open(address).await?;
    let database = Database::connect(address).await?;
    let mut workers = JoinSet::new();
    for number in connections {
        for depth in 0..arguments.pipeline as u64 {
            let worker = Worker {
                database: database.clone(),
                pattern: value_pattern(arguments.value_size).into(),
                key_count: arguments.keys,
                random: arguments.random(u64::from(number) << 32 | depth),
                tally: Arc::clone(tally),
            };
            workers.spawn(worker.work(Arc::clone(run)));
        }
    }
    let _ = ready.send(Ok(Some(String::from_utf8_lossy(&hello.server).into_owned())));
    workers.join_all().await;
    Ok(())
}

/// One transaction after the other.
struct Worker<B: Backend> {
    database: Database<B>,
    /// What a value begins as.
    pattern: Bytes,
    key_count: u64,
    random: Random,
    tally: Arc<SharedTally>,
}

impl<B: Backend> Worker<B> {
    async fn work(mut self, run: Arc<Run>) {
        while !run.is_over() {
            let key = key_bytes(self.random.below(self.key_count));
            let begun = Instant::now();
            let transaction = self.database.transaction();
            let committed = loop {
                let Err(error) = self.attempt(&transaction, key).await else {
                    break Ok(());
                };
                if error.code == ErrorCode::NOT_COMMITTED {
                    self.tally.lock().conflicts += 1;
                }
                if let Err(error) = transaction.on_error(error).await {
                    break Err(error);
                }
            };
            match committed {
                Ok(()) => self.tally.lock().complete(1, begun.elapsed()),
                Err(error) => {
                    self.tally.lock().fail(error);
                    break;
                }
            }
        }
    }

    /// Reads a value, counts up within it, writes it back.
    async fn attempt(
        &mut self,
        transaction: &Transaction<B>,
        key: [u8; KEY_BYTES],
    ) -> Result<(), Error> {
        let mut value = if let Some(value) = transaction.get(key).await? {
            check_value(&value, &key, self.pattern.len())?;
            value.to_vec()
        } else {
            self.tally.lock().misses += 1;
            value_of(&self.pattern, &key)
        };
        // The key at the beginning stays, so that every reader knows the value again.
        for byte in value.iter_mut().skip(KEY_BYTES).take(8) {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        transaction.set(key, value);
        transaction.commit().await.map(|_| ())
    }
}

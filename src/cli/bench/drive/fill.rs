//! Fills the database before it is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use plinth_protocol::{Error, ErrorCode};
use tokio::task::JoinSet;

use super::runtime;
use crate::cli::{
    bench::{
        arguments::RunArguments,
        keys::Random,
        target::{
            embedded,
            opened::Opened,
            pipe::{Answer, KeyList, Operation, Pipe},
            plinth::Connection,
            redis,
        },
        workload::ground::Ground,
    },
    progress,
};

/// Connections that fill the database.
const LOAD_CONNECTIONS: usize = 8;

/// The most rows that are written at once.
const LOAD_ROWS: u64 = 500;

/// About how many bytes are written at once: far below the limit of a transaction's size.
const LOAD_BYTES: usize = 1_000_000;

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Writes all keys; tells how long it took.
pub(crate) fn fill(arguments: &RunArguments, opened: &Opened) -> Result<f64, Error> {
    let begun = Instant::now();
    let bar =
        progress::bar(Some(arguments.keys), "loading {bar:30} {percent}% {pos} keys, {eta} left");
    let filling = Filling::new(arguments);
    runtime()?.block_on(async {
        let mut loaders = JoinSet::new();
        for _ in 0..LOAD_CONNECTIONS {
            let filling = filling.clone();
            match opened {
                Opened::Plinth(address) => {
                    let (pipe, _) = Connection::open(address).await?;
                    loaders.spawn(filling.through_pipe(pipe));
                }
                Opened::Embedded(database) => {
                    let pipe = embedded::Connection::new(database.backend().engine());
                    loaders.spawn(filling.through_pipe(pipe));
                }
                Opened::Redis(address) => {
                    let pipe = redis::Connection::open(address).await?;
                    loaders.spawn(filling.through_pipe(pipe));
                }
                #[cfg(feature = "fdb")]
                Opened::FoundationDb(library) => {
                    loaders.spawn(filling.through_transactions(library.clone()));
                }
            }
        }
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => bar.set_position(filling.next.load(Ordering::Relaxed)),
                loaded = loaders.join_next() => match loaded {
                    Some(Ok(result)) => result?,
                    Some(Err(error)) => {
                        return Err(Error::new(ErrorCode::INTERNAL_ERROR, error.to_string()));
                    }
                    None => return Ok(()),
                },
            }
        }
    })?;
    bar.finish_and_clear();
    Ok(begun.elapsed().as_secs_f64())
}

/// What is to be written, and how far it is: copies take from the same.
#[derive(Clone)]
struct Filling {
    ground: Ground,
    next: Arc<AtomicU64>,
    /// Rows that are written at once.
    rows: u64,
    /// For the sizes of values.
    random: Random,
}

/// Rows that are written at once.
struct Batch {
    keys: Vec<u8>,
    values: Vec<Vec<u8>>,
}

impl Filling {
    fn new(arguments: &RunArguments) -> Self {
        let ground = Ground::new(arguments);
        let row = ground.values.size_max() + ground.keys.size() + 64;
        let rows = ((LOAD_BYTES / row) as u64).clamp(1, LOAD_ROWS);
        Self { ground, next: Arc::default(), rows, random: Random::new(arguments.seed) }
    }

    /// The next rows; nothing if all are taken.
    fn take(&mut self) -> Option<Batch> {
        let count = self.ground.key_count();
        let begin = self.next.fetch_add(self.rows, Ordering::Relaxed);
        let end = (begin + self.rows).min(count);
        let mut batch = Batch { keys: Vec::new(), values: Vec::new() };
        for number in begin..end {
            let key = self.ground.keys.name(number);
            batch.values.push(self.ground.values.make(&key, &mut self.random));
            batch.keys.extend(key);
        }
        (begin < count).then_some(batch)
    }

    async fn through_pipe(mut self, mut pipe: impl Pipe) -> Result<(), Error> {
        let key_size = self.ground.keys.size();
        while let Some(batch) = self.take() {
            let keys = KeyList { bytes: &batch.keys, key_size };
            pipe.push(0, &Operation::SetMany { keys, values: &batch.values });
            pipe.send().await?;
            let mut done = None;
            while done.is_none() {
                pipe.receive(|_, answer| {
                    done = Some(match answer {
                        Answer::Done => Ok(()),
                        Answer::Conflict => Err(ErrorCode::NOT_COMMITTED.into()),
                        Answer::Failed(error) => Err(error),
                        _ => {
                            let message = "a write was answered by a read";
                            Err(Error::new(ErrorCode::PROTOCOL_VIOLATION, message))
                        }
                    });
                })
                .await?;
            }
            done.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    #[cfg(feature = "fdb")]
    async fn through_transactions(
        mut self,
        store: impl crate::cli::bench::target::transact::Store,
    ) -> Result<(), Error> {
        use crate::cli::bench::target::transact::Transact as _;

        let key_size = self.ground.keys.size();
        while let Some(batch) = self.take() {
            let keys = KeyList { bytes: &batch.keys, key_size };
            let mut transaction = store.begin();
            loop {
                for (key, value) in keys.iter().zip(&batch.values) {
                    transaction.set(key, value);
                }
                match transaction.commit().await {
                    Ok(_) => break,
                    Err(error) => transaction.on_error(error).await?,
                }
            }
        }
        Ok(())
    }
}

//! Recording: workers hand over what they did, and a thread writes it down.
//!
//! A worker gathers some records before it hands them over, so that the queue's cost is shared by
//! many. The queue is bounded: where the disk doesn't keep up, workers wait, rather than memory fill
//! up. That shows in the latencies, as it should.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use plinth_protocol::{Error, ErrorCode};

use super::{
    Header, History, Op, Transaction,
    format::{Chain, push_end, push_header, push_transaction},
};

/// Ops and rows that a worker gathers before it hands them over.
const BATCH_WEIGHT: usize = 512;

/// Batches that wait for the thread.
const BATCHES_MAX: usize = 64;

/// The thread that writes a history.
#[derive(Debug)]
pub struct RecorderThread {
    path: PathBuf,
    sender: SyncSender<Vec<Transaction>>,
    thread: JoinHandle<std::io::Result<u64>>,
    shared: Arc<Shared>,
}

/// What all recorders of a history have in common.
#[derive(Debug)]
struct Shared {
    started: Instant,
    clients: AtomicU32,
    /// The next number for a value. It begins at random, so that no other run has the same.
    values: AtomicU64,
}

impl RecorderThread {
    /// Creates the file, in the place of one that is there, and begins.
    pub fn start(path: &Path, header: &Header) -> Result<Self, Error> {
        let failed = |error: &std::io::Error| cannot_write(path, error);
        let file = File::create(path).map_err(|error| failed(&error))?;
        let (sender, receiver) = sync_channel(BATCHES_MAX);
        let first_value = getrandom::u64().map_err(|error| {
            Error::new(ErrorCode::INTERNAL_ERROR, format!("there is no random number: {error}"))
        })?;
        let shared = Arc::new(Shared {
            started: Instant::now(),
            clients: AtomicU32::new(0),
            values: AtomicU64::new(first_value),
        });
        let header = header.clone();
        let thread = thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || {
                write_batches(BufWriter::with_capacity(1 << 20, file), &header, receiver)
            })
            .map_err(|error| failed(&error))?;
        Ok(Self { path: path.to_owned(), sender, thread, shared })
    }

    /// A recorder for a client.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(self.sender.clone(), Arc::clone(&self.shared))
    }

    /// Ends the file once all recorders are gone; tells how many transactions are in it.
    pub fn finish(self) -> Result<u64, Error> {
        drop(self.sender);
        match self.thread.join() {
            Ok(written) => written.map_err(|error| cannot_write(&self.path, &error)),
            Err(_) => Err(Error::new(ErrorCode::INTERNAL_ERROR, "the history's thread panicked")),
        }
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    let message = format!("can't write the history {}: {error}", path.display());
    Error::new(ErrorCode::UNKNOWN_ERROR, message)
}

/// Writes a whole history, as a recording does.
pub fn write(output: impl Write, history: &History) -> std::io::Result<()> {
    write_batches(output, &history.header, [&history.transactions]).map(|_| ())
}

/// Writes a history batch by batch; tells how many transactions there were.
fn write_batches(
    mut output: impl Write,
    header: &Header,
    batches: impl IntoIterator<Item: AsRef<[Transaction]>>,
) -> std::io::Result<u64> {
    let (mut chain, mut line, mut count) = (Chain::default(), Vec::new(), 0);
    push_header(&mut line, header);
    chain.close(&mut line, 0);
    for batch in batches {
        for transaction in batch.as_ref() {
            let begin = line.len();
            push_transaction(&mut line, transaction);
            chain.close(&mut line, begin);
            count += 1;
        }
        output.write_all(&line)?;
        line.clear();
    }
    let begin = line.len();
    push_end(&mut line, count);
    chain.close(&mut line, begin);
    output.write_all(&line)?;
    output.flush()?;
    Ok(count)
}

/// A client's end of the recording. What it has gathered is handed over when it is dropped.
#[derive(Debug)]
pub struct Recorder {
    sender: SyncSender<Vec<Transaction>>,
    shared: Arc<Shared>,
    client: u32,
    /// How many tries it has noted.
    tries: u64,
    batch: Vec<Transaction>,
    weight: usize,
}

impl Recorder {
    fn new(sender: SyncSender<Vec<Transaction>>, shared: Arc<Shared>) -> Self {
        let client = shared.clients.fetch_add(1, Ordering::Relaxed);
        Self { sender, shared, client, tries: 0, batch: Vec::new(), weight: 0 }
    }

    /// A recorder for another client.
    pub fn another(&self) -> Self {
        Self::new(self.sender.clone(), Arc::clone(&self.shared))
    }

    /// Nanoseconds since the recording began, which is what a history's times are.
    pub fn now(&self) -> u64 {
        u64::try_from(self.shared.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A number that no other value has.
    pub fn next_value(&self) -> u64 {
        self.shared.values.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes a try of a transaction, as the client's next.
    pub fn record(&mut self, mut transaction: Transaction) {
        (transaction.client, transaction.number) = (self.client, self.tries);
        self.tries += 1;
        let weigh = |op: &Op| match op {
            Op::Range { rows, .. } => rows.len() + 1,
            _ => 1,
        };
        self.weight += transaction.ops.iter().map(weigh).sum::<usize>() + 1;
        self.batch.push(transaction);
        if self.weight >= BATCH_WEIGHT {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        self.weight = 0;
        if !self.batch.is_empty() {
            // If the thread has ended, it failed, and `finish` says why.
            let _ = self.sender.send(std::mem::take(&mut self.batch));
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.hand_over();
    }
}

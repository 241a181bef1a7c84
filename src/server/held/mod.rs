//! Server-held transactions: for clients that can't keep a transaction to themselves.
//!
//! Each is an ordinary [`Transaction`] of the client crate on the engine in process, with a random
//! id that works from any connection, a time to live, and its share of a common memory. [`requests`]
//! carries out what is asked of one.
//!
//! How many there are and how much memory they take together is bounded. What a transaction holds
//! is counted as FoundationDB counts its size, mutations and conflict ranges with their overhead,
//! and a request that would exceed a bound is refused before it is carried out. An expired
//! transaction is ended by the reaper, or by the request that comes too late, whichever is first;
//! its id is remembered for a while, so that such a request is told what happened.

mod requests;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use plinth_client::{Database, Transaction};
use plinth_protocol::{Error, ErrorCode, request::TransactionId};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::config::ServerLimits;
use crate::embedded::EngineBackend;

/// How many expired ids are remembered.
const EXPIRED_MAX: usize = 10_000;

/// What a transaction counts beside its mutations and conflict ranges.
const TRANSACTION_BYTES: usize = 2048;

/// All server-held transactions.
pub(super) struct HeldTransactions {
    database: Database<EngineBackend>,
    limits: ServerLimits,
    table: Mutex<Table>,
    /// Told when a transaction expires before those that the reaper knows of.
    sooner: Notify,
}

/// How much there is of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) open: u64,
    pub(super) bytes: u64,
    pub(super) aborted: u64,
    pub(super) expired: u64,
}

#[derive(Default)]
struct Table {
    open: HashMap<TransactionId, Entry>,
    by_expiry: BTreeSet<(Instant, TransactionId)>,
    /// What the open ones count together.
    bytes: usize,
    expired: HashSet<TransactionId>,
    expired_order: VecDeque<TransactionId>,
    usage: Usage,
}

struct Entry {
    held: Arc<Held>,
    bytes: usize,
}

/// A server-held transaction.
struct Held {
    id: TransactionId,
    transaction: Transaction<EngineBackend>,
    is_read_only: bool,
    expires_at: Instant,
}

impl HeldTransactions {
    pub(super) fn new(backend: EngineBackend, limits: ServerLimits) -> Self {
        Self {
            database: Database::new(backend),
            limits,
            table: Mutex::default(),
            sooner: Notify::new(),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let table = self.table();
        Usage { open: table.open.len() as u64, bytes: table.bytes as u64, ..table.usage }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a transaction, if there is room.
    fn enter(&self, held: Held) -> Result<Arc<Held>, Error> {
        let mut table = self.table();
        let count = table.open.len();
        if count >= self.limits.transactions_max {
            let text = format!(
                "the server holds {count} transactions, which is the limit: end some, or raise \
                 the limit"
            );
            return Err(Error::new(ErrorCode::TOO_MANY_TRANSACTIONS, text));
        }
        self.check_room(&table, TRANSACTION_BYTES)?;
        let is_first = table.by_expiry.first().is_none_or(|(first, _)| held.expires_at < *first);
        let held = Arc::new(held);
        table.by_expiry.insert((held.expires_at, held.id));
        table.bytes += TRANSACTION_BYTES;
        let entry = Entry { held: Arc::clone(&held), bytes: TRANSACTION_BYTES };
        table.open.insert(held.id, entry);
        drop(table);
        if is_first {
            self.sooner.notify_one();
        }
        Ok(held)
    }

    fn check_room(&self, table: &Table, bytes: usize) -> Result<(), Error> {
        let limit = self.limits.transactions_bytes_max;
        if table.bytes.saturating_add(bytes) <= limit {
            return Ok(());
        }
        let text = format!(
            "the server-held transactions take {} of the {limit} bytes that they may together: \
             end some, or raise the limit",
            table.bytes
        );
        Err(Error::new(ErrorCode::TOO_MANY_TRANSACTIONS, text))
    }

    /// The open transaction with this id.
    fn find(&self, id: &TransactionId) -> Result<Arc<Held>, Error> {
        let mut table = self.table();
        match table.open.get(id) {
            Some(entry) if entry.held.expires_at > Instant::now() => Ok(Arc::clone(&entry.held)),
            Some(_) => {
                table.expire(id);
                Err(expired())
            }
            None if table.expired.contains(id) => Err(expired()),
            None => Err(ErrorCode::TRANSACTION_NOT_FOUND.into()),
        }
    }

    /// Takes the open transaction with this id out: nobody else can use it any more.
    fn take(&self, id: &TransactionId, is_aborted: bool) -> Result<Arc<Held>, Error> {
        let held = self.find(id)?;
        let mut table = self.table();
        if table.remove(id).is_none() {
            // Another request took it in between.
            return Err(ErrorCode::TRANSACTION_NOT_FOUND.into());
        }
        table.usage.aborted += u64::from(is_aborted);
        Ok(held)
    }

    /// Makes sure that there is room for so many more bytes in a transaction.
    fn reserve(&self, held: &Held, bytes: usize) -> Result<(), Error> {
        self.count(held)?;
        let table = self.table();
        let limit = self.database.limits().transaction_bytes_max;
        let size = table.open.get(&held.id).map_or(0, |entry| entry.bytes);
        if size.saturating_add(bytes) > limit.saturating_add(TRANSACTION_BYTES) {
            let text = format!(
                "the transaction has {size} bytes and would exceed the limit of {limit}: split it"
            );
            return Err(Error::new(ErrorCode::TRANSACTION_TOO_LARGE, text));
        }
        self.check_room(&table, bytes)
    }

    /// Counts what the transaction holds now; fails if the transaction has failed.
    fn count(&self, held: &Held) -> Result<(), Error> {
        let size = held.transaction.approximate_size()?.saturating_add(TRANSACTION_BYTES);
        let mut table = self.table();
        let table = &mut *table;
        if let Some(entry) = table.open.get_mut(&held.id) {
            table.bytes = table.bytes - entry.bytes + size;
            entry.bytes = size;
        }
        Ok(())
    }

    /// Ends transactions as they expire, for ever.
    pub(super) async fn reap(&self) {
        loop {
            let first = self.table().by_expiry.first().map(|(at, _)| *at);
            let due = async {
                match first {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => self.table().expire_due(Instant::now()),
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Ends all of them.
    pub(super) fn abort_all(&self) {
        let mut table = self.table();
        let ids: Vec<_> = table.open.keys().copied().collect();
        for id in ids {
            if let Some(held) = table.remove(&id) {
                held.transaction.cancel();
                table.usage.aborted += 1;
            }
        }
    }
}

impl fmt::Debug for HeldTransactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldTransactions").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

impl Table {
    fn remove(&mut self, id: &TransactionId) -> Option<Arc<Held>> {
        let Entry { held, bytes } = self.open.remove(id)?;
        self.by_expiry.remove(&(held.expires_at, *id));
        self.bytes -= bytes;
        Some(held)
    }

    /// Ends an open transaction whose time is over, and remembers that.
    fn expire(&mut self, id: &TransactionId) {
        let Some(held) = self.remove(id) else { return };
        // What still waits for one of its reads is told.
        held.transaction.cancel();
        self.usage.expired += 1;
        if self.expired_order.len() == EXPIRED_MAX
            && let Some(oldest) = self.expired_order.pop_front()
        {
            self.expired.remove(&oldest);
        }
        self.expired.insert(*id);
        self.expired_order.push_back(*id);
    }

    fn expire_due(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.by_expiry.first()
            && at <= now
        {
            self.expire(&id);
        }
    }
}

fn expired() -> Error {
    let text = "the transaction has expired: begin another, with a longer timeout if it needs one";
    Error::new(ErrorCode::TRANSACTION_NOT_FOUND, text)
}

/// How long a transaction lives that asks for `timeout_ms`.
fn lifetime(limits: &ServerLimits, timeout_ms: u32) -> Duration {
    match timeout_ms {
        0 => limits.transaction_timeout,
        ms => Duration::from_millis(ms.into()).min(limits.transaction_timeout_max),
    }
}

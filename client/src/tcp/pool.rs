//! The few connections that all transactions of a database share, and how they come back.
//!
//! A connection that breaks is made again when somebody needs it: the first who does starts the
//! task, everybody waits for its result no longer than their own patience. After a failure the next
//! try waits, longer each time. Where the server is, is looked up again each time; if the cluster
//! file can't be read, it is where it was before.
//!
//! A server with another database than before is refused: the versions that transactions hold mean
//! nothing there. Who waits for the server however long it takes goes on with the other database, as
//! those who test with one server after the other expect. The old one's connections are closed then,
//! so that all transactions go to the same.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use plinth_protocol::{Error, ErrorCode, limits::Limits};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    connection::{Agreed, Connection, DatabaseId},
    handshake::{connect, unreachable},
    options::{ConnectOptions, ServerAddress},
};
use crate::lock::lock;

const FIRST_DELAY: Duration = Duration::from_millis(20);
const DELAY_MAX: Duration = Duration::from_millis(500);
/// The most connections of one pool.
const CONNECTIONS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) options: ConnectOptions,
    agreed: OnceLock<Agreed>,
    /// The database that connections lead to. Held while a connection takes its place, so that
    /// there is only ever one.
    database: Mutex<Option<DatabaseId>>,
    /// Where the server was found last.
    found_at: Mutex<Option<String>>,
    lanes: Vec<Lane>,
    next: AtomicUsize,
}

/// The place of one connection.
#[derive(Debug)]
struct Lane {
    state: Mutex<LaneState>,
    changed: Notify,
}

#[derive(Debug)]
struct LaneState {
    connection: Option<Arc<Connection>>,
    is_connecting: bool,
    /// Why the last try failed.
    failure: Option<Error>,
    delay: Duration,
    retry_at: Instant,
}

impl Pool {
    /// Connects the first of the connections; the others come when they are needed.
    pub(super) async fn open(options: ConnectOptions) -> Result<Arc<Self>, Error> {
        let pool = Self::new(options);
        let first = connect(&pool.options, &pool.address()?).await?;
        if let Some(lane) = pool.lanes.first() {
            pool.settle(lane, first)?;
        }
        Ok(pool)
    }

    /// Connects nothing yet.
    pub(super) fn new(options: ConnectOptions) -> Arc<Self> {
        let lanes = options.connections.clamp(1, CONNECTIONS_MAX);
        let lanes = (0..lanes).map(|_| Lane::new()).collect();
        Arc::new(Self {
            options,
            agreed: OnceLock::new(),
            database: Mutex::new(None),
            found_at: Mutex::new(None),
            lanes,
            next: AtomicUsize::new(0),
        })
    }

    pub(super) fn limits(&self) -> Limits {
        self.agreed.get().map_or(Limits::DEFAULT, |agreed| agreed.limits)
    }

    /// A connection that is there, made if need be.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Error> {
        if let ServerAddress::Nowhere(error) = &self.options.address {
            return Err(error.clone());
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        let Some(lane) = self.lanes.get(index) else {
            return Err(ErrorCode::INTERNAL_ERROR.into());
        };
        if let Some(connection) = &lock(&lane.state).connection
            && !connection.is_closed()
        {
            return Ok(Arc::clone(connection));
        }
        // Rare, and large: those who find a connection pay no room for it.
        Box::pin(self.connected(lane, index, deadline)).await
    }

    /// Waits until a lane has a connection.
    async fn connected(
        self: &Arc<Self>,
        lane: &Lane,
        index: usize,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Error> {
        loop {
            let changed = lane.changed.notified();
            {
                let mut state = lock(&lane.state);
                if let Some(connection) = &state.connection {
                    if !connection.is_closed() {
                        return Ok(Arc::clone(connection));
                    }
                    state.connection = None;
                }
                if let Some(failure) = &state.failure
                    && self.is_final(failure)
                    && !state.is_connecting
                    && Instant::now() < state.retry_at
                {
                    return Err(failure.clone());
                }
                if !state.is_connecting {
                    state.is_connecting = true;
                    tokio::spawn(connect_lane(Arc::clone(self), index, state.retry_at));
                }
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = sleep_until(deadline) => {
                    let failure = lock(&lane.state).failure.clone();
                    return Err(failure.unwrap_or_else(|| {
                        let waited = self.options.operation_timeout.as_secs_f64();
                        unreachable(&self.options, &format!("no connection within {waited} s"))
                    }));
                }
            }
        }
    }

    /// Where the server is to be found now.
    fn address(&self) -> Result<String, Error> {
        let mut found_at = lock(&self.found_at);
        match (self.options.address.resolve(), &*found_at) {
            (Ok(address), _) => Ok(found_at.insert(address.into_owned()).clone()),
            (Err(_), Some(before)) => Ok(before.clone()),
            (Err(error), None) => Err(error),
        }
    }

    /// Puts a new connection in its place, if it leads where it may.
    fn settle(&self, lane: &Lane, connection: Arc<Connection>) -> Result<(), Error> {
        // Another database's limits may be others; the server knows them, and says so.
        self.agreed.get_or_init(|| connection.agreed);
        let mut database = lock(&self.database);
        let new = connection.database_id();
        if database.is_some_and(|present| present != new) {
            let address = &self.options.address;
            let text = format!("The server at {address} has another database than it had before");
            let error = Error::new(ErrorCode::WRONG_PEER, text);
            if !self.options.waits_for_server {
                connection.close(&error);
                return Err(error);
            }
            for lane in &self.lanes {
                if let Some(old) = lock(&lane.state).connection.take() {
                    old.close(&error);
                }
            }
        }
        *database = Some(new);
        let mut state = lock(&lane.state);
        state.connection = Some(connection);
        state.failure = None;
        state.delay = FIRST_DELAY;
        // A server that hangs up at once is not asked again without a break.
        state.retry_at = Instant::now() + FIRST_DELAY;
        Ok(())
    }

    /// Whether waiting won't mend it, or shouldn't: what may be there for a moment only is waited
    /// for if the server has been there before.
    fn is_final(&self, error: &Error) -> bool {
        let may_come_back = self.options.waits_for_server && self.agreed.get().is_some();
        !may_come_back
            && matches!(
                error.code,
                ErrorCode::WRONG_PEER
                    | ErrorCode::PROTOCOL_VERSION_UNSUPPORTED
                    | ErrorCode::UNKNOWN_FEATURE
                    | ErrorCode::NO_CLUSTER_FILE_FOUND
                    | ErrorCode::CONNECTION_STRING_INVALID
            )
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for lane in &self.lanes {
            if let Some(connection) = lock(&lane.state).connection.take() {
                connection.close(&ErrorCode::OPERATION_CANCELLED.into());
            }
        }
    }
}

impl Lane {
    fn new() -> Self {
        let state = LaneState {
            connection: None,
            is_connecting: false,
            failure: None,
            delay: FIRST_DELAY,
            retry_at: Instant::now(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

/// One try to connect a lane. Ends within the connect timeout and the delay before it.
async fn connect_lane(pool: Arc<Pool>, index: usize, at: Instant) {
    let Some(lane) = pool.lanes.get(index) else { return };
    let _done = Connecting { lane };
    sleep_until(at).await;
    let connected = match pool.address() {
        Ok(address) => connect(&pool.options, &address).await,
        Err(error) => Err(error),
    };
    if let Err(error) = connected.and_then(|connection| pool.settle(lane, connection)) {
        let mut state = lock(&lane.state);
        state.failure = Some(error);
        state.retry_at = Instant::now() + state.delay;
        state.delay = (state.delay * 2).min(DELAY_MAX);
    }
}

/// Says that the try is over, whatever way its task ends.
struct Connecting<'a> {
    lane: &'a Lane,
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        lock(&self.lane.state).is_connecting = false;
        self.lane.changed.notify_waiters();
    }
}

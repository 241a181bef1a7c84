//! The few connections that all transactions of a database share, and how they come back.
//!
//! A connection that breaks is made again when somebody needs it: the first who does starts the
//! task, everybody waits for its result no longer than their own patience. After a failure the next
//! try waits, longer each time. A server with another database than before is refused: the versions
//! that transactions hold mean nothing there.

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
    connection::{Agreed, Connection},
    handshake::{connect, unreachable},
    options::{ConnectOptions, ServerAddress},
};
use crate::lock::lock;

const FIRST_DELAY: Duration = Duration::from_millis(20);
const DELAY_MAX: Duration = Duration::from_secs(1);
/// The most connections of one pool.
const CONNECTIONS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) options: ConnectOptions,
    agreed: OnceLock<Agreed>,
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
        let first = connect(&options).await?;
        let pool = Self::new(options);
        pool.agreed.get_or_init(|| first.agreed);
        if let Some(lane) = pool.lanes.first() {
            lock(&lane.state).connection = Some(first);
        }
        Ok(pool)
    }

    /// Connects nothing yet.
    pub(super) fn new(options: ConnectOptions) -> Arc<Self> {
        let lanes = options.connections.clamp(1, CONNECTIONS_MAX);
        let lanes = (0..lanes).map(|_| Lane::new()).collect();
        Arc::new(Self { options, agreed: OnceLock::new(), lanes, next: AtomicUsize::new(0) })
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
                    && is_final(failure)
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

    /// Makes sure that a new connection leads to the same database as the earlier ones.
    fn check(&self, connection: &Connection) -> Result<(), Error> {
        let agreed = self.agreed.get_or_init(|| connection.agreed);
        if agreed.database_id == connection.agreed.database_id {
            return Ok(());
        }
        let address = &self.options.address;
        let text = format!("The server at {address} has another database than it had before");
        let error = Error::new(ErrorCode::WRONG_PEER, text);
        connection.close(&error);
        Err(error)
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
    let result = connect(&pool.options).await;
    let result = result.and_then(|connection| pool.check(&connection).map(|()| connection));
    let mut state = lock(&lane.state);
    match result {
        Ok(connection) => {
            state.connection = Some(connection);
            state.failure = None;
            state.delay = FIRST_DELAY;
            // A server that hangs up at once is not asked again without a break.
            state.retry_at = Instant::now() + FIRST_DELAY;
        }
        Err(error) => {
            state.failure = Some(error);
            state.retry_at = Instant::now() + state.delay;
            state.delay = (state.delay * 2).min(DELAY_MAX);
        }
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

/// Whether waiting won't mend it.
fn is_final(error: &Error) -> bool {
    matches!(
        error.code,
        ErrorCode::WRONG_PEER
            | ErrorCode::PROTOCOL_VERSION_UNSUPPORTED
            | ErrorCode::UNKNOWN_FEATURE
            | ErrorCode::NO_CLUSTER_FILE_FOUND
            | ErrorCode::CONNECTION_STRING_INVALID
    )
}

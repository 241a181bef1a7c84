//! The backend over TCP: a Plinth server somewhere else.
//!
//! ```text
//!  transactions ──► Pool ──► Connection ──► Driver ──► socket
//!                   which      request        one task: writes what has come
//!                   one?       slots          together, reads what there is
//! ```
//!
//! - `handshake`: connects and says hello.
//! - `pool`: few shared connections, made again when they break.
//! - `connection`: requests and their answers, bounded.
//! - `driver`: the task between a connection and its socket.
//! - `pin`: snapshots that are kept alive, and survive a broken connection if they can.
//!
//! A read whose answer was lost is asked again: it names its version, so it can't be answered
//! differently. A commit whose answer was lost is sent again with its idempotency id, which the
//! server carries out once; without an id, or if the server doesn't come back in time, it fails
//! with `commit_unknown_result`. Nothing waits longer than the operation timeout, watches excepted,
//! unless it is to wait for the server however long it takes; then what was read before a server came
//! back with another database is `transaction_too_old`.

mod connection;
mod driver;
mod handshake;
mod options;
mod pin;
mod pool;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use connection::{Connection, DatabaseId, Patience, Unanswered};
pub use options::{ConnectOptions, PORT_DEFAULT, ServerAddress};
pub use pin::TcpSnapshot;
use plinth_protocol::{
    Commit, CommitResult, Error, ErrorCode, KeyRange, KeySelector, KeyspaceId, Version,
    frame::Frame,
    job::Job,
    limits::Limits,
    request::{RangeOptions, Request},
    response::{Response, ServerInfo, VersionedValue},
};
use pool::Pool;
use tokio::time::{Instant, sleep};

use crate::{Backend, Database, Place, RangeChunk, Read, ServerStatus, copied};

/// Values up to this length are copied out of the buffer that they were read into, so that a small
/// value that is kept doesn't keep the buffer.
const COPIED_VALUE_BYTES_MAX: usize = 1024;
/// How long to wait before asking a server again that is just shutting down.
const SHUTDOWN_DELAY: Duration = Duration::from_millis(50);
/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_hours(30 * 365 * 24);

/// A Plinth server. Cheap to clone; the clones share their connections.
#[derive(Clone, Debug)]
pub struct TcpBackend {
    pool: Arc<Pool>,
}

impl Database<TcpBackend> {
    /// Connects to the server at `host:port` or `plinth://host:port`.
    pub async fn connect(address: impl AsRef<str>) -> Result<Self, Error> {
        Self::connect_with(ConnectOptions::new(address)?).await
    }

    /// Connects to a server with options.
    pub async fn connect_with(options: ConnectOptions) -> Result<Self, Error> {
        TcpBackend::connect(options).await.map(Self::new)
    }
}

impl TcpBackend {
    /// Connects; fails if no Plinth server answers at once.
    pub async fn connect(options: ConnectOptions) -> Result<Self, Error> {
        Ok(Self { pool: Pool::open(options).await? })
    }

    /// Connects when there is something to ask, and again for as long as that fails. Must be used
    /// within a tokio runtime from then on.
    pub fn lazy(options: ConnectOptions) -> Self {
        Self { pool: Pool::new(options) }
    }

    /// The IP address and port of the server, at this moment.
    pub async fn server_address(&self) -> Result<SocketAddr, Error> {
        let options = &self.pool.options;
        let address = options.address.resolve()?;
        let found = tokio::net::lookup_host(address.as_ref()).await;
        let first = found.map_err(|error| error.to_string()).map(|mut found| found.next());
        match first {
            Ok(Some(address)) => Ok(address),
            Ok(None) => Err(handshake::unreachable(options, "the name has no address")),
            Err(why) => Err(handshake::unreachable(options, &why)),
        }
    }

    /// How this backend reaches its server.
    pub fn options(&self) -> &ConnectOptions {
        &self.pool.options
    }

    /// Sends bytes to the server and waits until they come back.
    pub async fn ping(&self, payload: Bytes) -> Result<Bytes, Error> {
        match self.call(&Request::Ping { payload }).await? {
            Response::Ping { payload } => Ok(payload),
            other => Err(self.unexpected(&other)),
        }
    }

    /// What the server says of itself.
    pub async fn server_info(&self) -> Result<ServerInfo, Error> {
        match self.call(&Request::ServerInfo).await? {
            Response::ServerInfo(info) => Ok(info),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Has the server do long work in the background; the job's number. Asked for what is under way
    /// already, it is that job's.
    pub async fn start_job(&self, kind: Bytes, argument: Bytes) -> Result<u64, Error> {
        match self.call(&Request::JobStart { kind, argument }).await? {
            Response::JobStart { job } => Ok(job),
            other => Err(self.unexpected(&other)),
        }
    }

    /// How a job stands, or all that the server remembers, oldest first.
    pub async fn jobs(&self, job: Option<u64>) -> Result<Vec<Job>, Error> {
        match self.call(&Request::Jobs { job: job.unwrap_or(0) }).await? {
            Response::Jobs { jobs } => Ok(jobs),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Ends a job before it is done.
    pub async fn cancel_job(&self, job: u64) -> Result<(), Error> {
        match self.call(&Request::JobCancel { job }).await? {
            Response::Done(_) => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// When an operation that begins now gives up.
    fn deadline(&self) -> Instant {
        let options = &self.pool.options;
        Instant::now() + if options.waits_for_server { FOR_EVER } else { options.operation_timeout }
    }

    /// Asks what may be asked again.
    async fn call(&self, request: &Request) -> Result<Response, Error> {
        self.call_at(None, request).await.map(|(response, _)| response)
    }

    /// The same at a version, which means something in its own database alone; answers which one
    /// was asked.
    async fn call_at(
        &self,
        at: Option<&TcpSnapshot>,
        request: &Request,
    ) -> Result<(Response, DatabaseId), Error> {
        let deadline = self.deadline();
        loop {
            let connection = self.pool.acquire(deadline).await?;
            at.map_or(Ok(()), |at| at.check(&connection))?;
            let answer = connection.request(request, Patience::Limited).await;
            let failure = match self.understood(&connection, answer) {
                Ok(answer) => return answer.map(|answer| (answer, connection.database_id())),
                Err(failure) => failure,
            };
            if failure.code == ErrorCode::SHUTTING_DOWN {
                // Rare, and large: no request pays the room for it.
                Box::pin(sleep(SHUTDOWN_DELAY)).await;
            }
            if Instant::now() >= deadline {
                return Err(failure);
            }
        }
    }

    /// Commits, again and again if the answer is lost and the server can tell a repetition, which it
    /// can by an id.
    async fn send_commit(
        &self,
        at: Option<&TcpSnapshot>,
        has_id: bool,
        request: &Request,
    ) -> Result<CommitResult, Error> {
        let deadline = self.deadline();
        // Where it may have happened already.
        let mut in_doubt: Option<DatabaseId> = None;
        loop {
            let connection = match self.pool.acquire(deadline).await {
                Ok(connection) => connection,
                Err(error) if in_doubt.is_some() => return Err(unknown_result(&error)),
                Err(error) => return Err(error),
            };
            let checked = at.map_or(Ok(()), |at| at.check(&connection));
            match in_doubt {
                None => checked?,
                // Another database knows nothing of what happened in the one before.
                Some(tried) if tried != connection.database_id() => {
                    return Err(unknown_result(&ErrorCode::WRONG_PEER.into()));
                }
                Some(_) => {}
            }
            match connection.request(request, Patience::Limited).await {
                Ok(frame) => match self.understand(&connection, frame) {
                    Ok(Response::Commit { result, .. }) => return Ok(result),
                    Ok(other) => return Err(self.unexpected(&other)),
                    Err(error) if error.code == ErrorCode::SHUTTING_DOWN => {
                        if Instant::now() >= deadline {
                            let unknown = in_doubt.map(|_| unknown_result(&error));
                            return Err(unknown.unwrap_or(error));
                        }
                        Box::pin(sleep(SHUTDOWN_DELAY)).await;
                    }
                    Err(error) => return Err(error),
                },
                Err(Unanswered::NotSent(_)) if Instant::now() < deadline => {}
                Err(Unanswered::NotSent(error)) if in_doubt.is_none() => return Err(error),
                Err(Unanswered::Lost(_) | Unanswered::TimedOut)
                    if has_id && Instant::now() < deadline =>
                {
                    in_doubt = Some(connection.database_id());
                }
                Err(Unanswered::NotSent(error) | Unanswered::Lost(error)) => {
                    return Err(unknown_result(&error));
                }
                Err(Unanswered::TimedOut) => return Err(unknown_result(&self.timed_out())),
            }
        }
    }

    /// An answer to what may be asked again; or why it is to be, if there is time.
    fn understood(
        &self,
        connection: &Connection,
        answer: Result<Frame, Unanswered>,
    ) -> Result<Result<Response, Error>, Error> {
        match answer {
            Ok(frame) => match self.understand(connection, frame) {
                Err(error) if error.code == ErrorCode::SHUTTING_DOWN => Err(error),
                answer => Ok(answer),
            },
            Err(Unanswered::TimedOut) => Err(self.timed_out()),
            Err(Unanswered::NotSent(error) | Unanswered::Lost(error)) => Err(error),
        }
    }

    /// An answer, as a result.
    fn understand(&self, connection: &Connection, frame: Frame) -> Result<Response, Error> {
        match Response::decode(frame) {
            Ok(Response::Error(error)) => Err(error),
            Ok(response) => Ok(response),
            Err(error) => {
                let address = &self.pool.options.address;
                let text = format!("What {address} answers can't be understood: {error}");
                let error = Error::new(ErrorCode::PROTOCOL_VIOLATION, text);
                connection.close(&error);
                Err(error)
            }
        }
    }

    fn unexpected(&self, response: &Response) -> Error {
        let (address, opcode) = (&self.pool.options.address, response.opcode());
        let text = format!("{address} answers with opcode {opcode:#04x}, which was not asked for");
        Error::new(ErrorCode::PROTOCOL_VIOLATION, text)
    }

    fn timed_out(&self) -> Error {
        let options = &self.pool.options;
        let (address, limit) = (&options.address, options.operation_timeout.as_secs_f64());
        let text = format!("The server at {address} did not answer within {limit} s");
        Error::new(ErrorCode::TIMED_OUT, text)
    }
}

fn unknown_result(cause: &Error) -> Error {
    let text = format!("The transaction may or may not have committed: {}", cause.message);
    Error::new(ErrorCode::COMMIT_UNKNOWN_RESULT, text)
}

/// A value that doesn't keep a large buffer alive for a few bytes.
fn settle(value: VersionedValue) -> VersionedValue {
    if value.value.len() <= COPIED_VALUE_BYTES_MAX {
        VersionedValue { value: copied(&value.value), ..value }
    } else {
        value
    }
}

impl Backend for TcpBackend {
    type Snapshot = TcpSnapshot;

    fn limits(&self) -> Limits {
        self.pool.limits()
    }

    fn snapshot_at(&self, version: Version) -> TcpSnapshot {
        TcpSnapshot::at(version, None)
    }

    async fn read_version(&self) -> Result<TcpSnapshot, Error> {
        match self.call_at(None, &Request::ReadVersion).await? {
            (Response::ReadVersion { version }, database) => {
                Ok(TcpSnapshot::at(version, Some(database)))
            }
            (other, _) => Err(self.unexpected(&other)),
        }
    }

    async fn pin(&self, version: Option<Version>) -> Result<TcpSnapshot, Error> {
        self.pin_snapshot(version).await
    }

    #[expect(clippy::manual_async_fn, reason = "the arguments of an async fn have two places each")]
    fn get(
        &self,
        at: Option<&TcpSnapshot>,
        keyspace: KeyspaceId,
        key: Bytes,
    ) -> impl Future<Output = Result<Read<Option<VersionedValue>, TcpSnapshot>, Error>> + Send {
        async move {
            let version = self.place(at).await?;
            let request = Request::Get { version, keyspace, key };
            match self.call_at(at, &request).await? {
                (Response::Get { version, value }, database) => {
                    let snapshot = TcpSnapshot::of(at, version, database);
                    Ok(Read { value: value.map(settle), snapshot })
                }
                (other, _) => Err(self.unexpected(&other)),
            }
        }
    }

    async fn get_key(
        &self,
        at: Option<&TcpSnapshot>,
        keyspace: KeyspaceId,
        selector: KeySelector,
        end: Bytes,
    ) -> Result<Read<Bytes, TcpSnapshot>, Error> {
        let version = self.place(at).await?;
        match self.call_at(at, &Request::GetKey { version, keyspace, selector, end }).await? {
            (Response::GetKey { version, key, .. }, database) => {
                let value = copied(&key);
                Ok(Read { value, snapshot: TcpSnapshot::of(at, version, database) })
            }
            (other, _) => Err(self.unexpected(&other)),
        }
    }

    async fn get_range(
        &self,
        at: Option<&TcpSnapshot>,
        keyspace: KeyspaceId,
        range: KeyRange,
        options: RangeOptions,
    ) -> Result<Read<RangeChunk, TcpSnapshot>, Error> {
        let version = self.place(at).await?;
        let options = RangeOptions { streams: false, ..options };
        match self.call_at(at, &Request::GetRange { version, keyspace, range, options }).await? {
            (Response::GetRange { version, rows, more, .. }, database) => {
                let value = RangeChunk { more: more && !rows.is_empty(), rows };
                Ok(Read { value, snapshot: TcpSnapshot::of(at, version, database) })
            }
            (other, _) => Err(self.unexpected(&other)),
        }
    }

    fn commit(
        &self,
        at: Option<&TcpSnapshot>,
        commit: Commit,
    ) -> impl Future<Output = Result<CommitResult, Error>> + Send {
        let has_id = commit.idempotency_id.is_some();
        let request = Request::Commit(commit);
        async move { self.send_commit(at, has_id, &request).await }
    }

    async fn commit_status(&self, idempotency_id: Bytes) -> Result<Option<CommitResult>, Error> {
        match self.call(&Request::CommitStatus { idempotency_id }).await? {
            Response::CommitStatus { result } => Ok(result),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn watch(
        &self,
        version: Version,
        keyspace: KeyspaceId,
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<Version, Error> {
        let request = Request::Watch { version, keyspace, key, value };
        let mut set_at: Option<DatabaseId> = None;
        let waits = self.pool.options.waits_for_server;
        loop {
            let connection = self.pool.acquire(self.deadline()).await?;
            // In another database the value is another one, or may as well be.
            if *set_at.get_or_insert(connection.database_id()) != connection.database_id() {
                return Ok(version);
            }
            // A lost watch is set again: it fires at once if it has missed the change.
            let Ok(frame) = connection.request(&request, Patience::Endless).await else { continue };
            match self.understand(&connection, frame) {
                Ok(Response::Watch { version }) => return Ok(version),
                Ok(other) => return Err(self.unexpected(&other)),
                Err(error) if error.code == ErrorCode::SHUTTING_DOWN => connection.close(&error),
                // Its transaction was committed in another database.
                Err(error) if error.code == ErrorCode::FUTURE_VERSION && waits => {
                    return Ok(version);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn estimate_size(&self, keyspace: KeyspaceId, range: KeyRange) -> Result<u64, Error> {
        match self.call(&Request::EstimateSize { keyspace, range }).await? {
            Response::EstimateSize { bytes } => Ok(bytes),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn split_points(
        &self,
        keyspace: KeyspaceId,
        range: KeyRange,
        chunk_bytes: u64,
    ) -> Result<Vec<Bytes>, Error> {
        match self.call(&Request::SplitPoints { keyspace, range, chunk_bytes }).await? {
            Response::SplitPoints { keys } => Ok(keys),
            other => Err(self.unexpected(&other)),
        }
    }

    fn place(&self) -> Place {
        self.pool.options.address.place()
    }

    async fn status(&self) -> Result<ServerStatus, Error> {
        let info = self.server_info().await?;
        Ok(ServerStatus {
            address: Some(self.server_address().await?.to_string()),
            version: String::from_utf8_lossy(&info.server_version).into_owned(),
            uptime_seconds: info.uptime_seconds,
        })
    }
}

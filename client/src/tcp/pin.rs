//! Snapshots of a server, and pins that keep them readable.
//!
//! A pin belongs to the connection that it was made on and ends with it. Before a read, a pin whose
//! connection has broken is made again on another; if its version is gone by then, the read fails
//! with `transaction_too_old`.
//!
//! A version means something in its own database alone. So a snapshot knows which one that is, and
//! is too old in any other.

use std::sync::{Arc, Mutex};

use plinth_protocol::{Error, ErrorCode, Version, request::Request, response::Response};
use tokio::time::Instant;

use super::{
    TcpBackend,
    connection::{Connection, DatabaseId, Patience, Unanswered},
};
use crate::{Snapshot, lock::lock};

/// A read version of a server, pinned or not.
#[derive(Clone, Debug)]
pub struct TcpSnapshot {
    version: Version,
    /// The database that has the version; `None` for one that somebody has named.
    database: Option<DatabaseId>,
    pin: Option<Arc<Pin>>,
}

/// Where a snapshot is pinned now.
#[derive(Debug)]
struct Pin {
    place: Mutex<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    connection: Arc<Connection>,
    id: u64,
}

impl Snapshot for TcpSnapshot {
    fn version(&self) -> Version {
        self.version
    }
}

impl TcpSnapshot {
    /// A version that nothing keeps readable.
    pub(super) fn at(version: Version, database: Option<DatabaseId>) -> Self {
        Self { version, database, pin: None }
    }

    /// The snapshot of an answer: the one that was asked for, or a new one.
    pub(super) fn of(asked: Option<&Self>, version: Version, database: DatabaseId) -> Self {
        asked.cloned().unwrap_or_else(|| Self::at(version, Some(database)))
    }

    /// Fails if the connection leads to another database.
    pub(super) fn check(&self, connection: &Connection) -> Result<(), Error> {
        match self.database {
            Some(own) if own != connection.database_id() => Err(Error::new(
                ErrorCode::TRANSACTION_TOO_OLD,
                "The server has another database than when this transaction began",
            )),
            _ => Ok(()),
        }
    }
}

impl Place {
    fn unpin(&self) {
        self.connection.tell(&Request::Unpin { pin: self.id });
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        lock(&self.place).unpin();
    }
}

impl TcpBackend {
    pub(super) async fn pin_snapshot(
        &self,
        version: Option<Version>,
    ) -> Result<TcpSnapshot, Error> {
        let asked = version.map(|version| TcpSnapshot::at(version, None));
        let (version, place) = self.make_pin(asked.as_ref()).await?;
        let database = Some(place.connection.database_id());
        let pin = Pin { place: Mutex::new(place) };
        Ok(TcpSnapshot { version, database, pin: Some(Arc::new(pin)) })
    }

    /// The version to read at; its pin is mended first if it has to be.
    pub(super) async fn place(&self, at: Option<&TcpSnapshot>) -> Result<Option<Version>, Error> {
        let Some(snapshot) = at else { return Ok(None) };
        if let Some(pin) = &snapshot.pin
            && lock(&pin.place).connection.is_closed()
        {
            let (_, place) = Box::pin(self.make_pin(Some(snapshot))).await?;
            let mut present = lock(&pin.place);
            if present.connection.is_closed() {
                *present = place;
            } else {
                // Another read has mended it meanwhile.
                place.unpin();
            }
        }
        Ok(Some(snapshot.version))
    }

    async fn make_pin(&self, at: Option<&TcpSnapshot>) -> Result<(Version, Place), Error> {
        let deadline = self.deadline();
        let request = Request::Pin { version: at.map(|at| at.version) };
        loop {
            let connection = self.pool.acquire(deadline).await?;
            at.map_or(Ok(()), |at| at.check(&connection))?;
            match connection.request(&request, Patience::Limited).await {
                Ok(frame) => match self.understand(&connection, frame)? {
                    Response::Pin { pin, version } => {
                        return Ok((version, Place { connection, id: pin }));
                    }
                    other => return Err(self.unexpected(&other)),
                },
                Err(Unanswered::NotSent(_) | Unanswered::Lost(_)) if Instant::now() < deadline => {}
                Err(Unanswered::NotSent(error) | Unanswered::Lost(error)) => return Err(error),
                Err(Unanswered::TimedOut) => return Err(self.timed_out()),
            }
        }
    }
}

//! What the target says of itself, beside the load.

use plinth_protocol::{
    Error,
    request::Request,
    response::{Response, ServerInfo},
};

use super::{opened::Opened, plinth::Connection, redis};
use crate::cli::progress::float;

/// The name of the server's statistic of processor time.
const CPU_STATISTIC: &[u8] = b"cpu_us";

/// One who asks the target how it is.
pub(crate) enum Witness {
    /// On a connection of its own.
    Plinth(Box<Connection>),
    /// As `Plinth`.
    Redis(Box<redis::Connection>),
    /// Nobody knows.
    Nobody,
}

impl Witness {
    /// The witness of a target.
    pub(crate) async fn open(opened: &Opened) -> Result<Self, Error> {
        match opened {
            Opened::Plinth(address) => {
                let (connection, _) = Connection::open(address).await?;
                Ok(Self::Plinth(Box::new(connection)))
            }
            Opened::Redis(address) => {
                Ok(Self::Redis(Box::new(redis::Connection::open(address).await?)))
            }
            // This process tells its time anyway.
            Opened::Embedded(_) => Ok(Self::Nobody),
            // A library doesn't know what its servers use.
            #[cfg(feature = "fdb")]
            Opened::FoundationDb(_) => Ok(Self::Nobody),
        }
    }

    /// What the target has used of the processors since it was started, if it tells.
    pub(crate) async fn cpu_seconds(&mut self) -> Option<f64> {
        match self {
            Self::Plinth(connection) => match connection.ask(&Request::ServerInfo).await {
                Ok(Response::ServerInfo(info)) => cpu_seconds(&info),
                _ => None,
            },
            Self::Redis(connection) => connection.cpu_seconds().await.ok().flatten(),
            Self::Nobody => None,
        }
    }
}

fn cpu_seconds(info: &ServerInfo) -> Option<f64> {
    let mut statistics = info.statistics.iter();
    statistics.find(|(name, _)| name == CPU_STATISTIC).map(|(_, us)| float(*us) / 1e6)
}

//! How to reach a server.

use std::{borrow::Cow, fmt, path::PathBuf, time::Duration};

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode};

use crate::{ClusterFile, backend::Place};

/// The port that a server listens on unless told otherwise.
pub const PORT_DEFAULT: u16 = 4500;

/// The most requests that a connection may carry at once, whatever is asked for.
pub(super) const IN_FLIGHT_CEILING: usize = 1 << 16;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// At `host:port`.
    Fixed(String),
    /// Where a cluster file says, read anew for every connection; the usual one if none is named.
    ClusterFile(Option<PathBuf>),
    /// Where a connection string says, which is what a cluster file holds.
    ConnectionString(String),
    /// Nowhere: every operation fails with this error.
    Nowhere(Error),
}

impl ServerAddress {
    /// `host:port`, at this moment.
    pub(super) fn resolve(&self) -> Result<Cow<'_, str>, Error> {
        match self {
            Self::Fixed(address) => Ok(Cow::Borrowed(address)),
            Self::ClusterFile(path) => {
                let path = path.clone().unwrap_or_else(ClusterFile::default_path);
                let mut file = ClusterFile::read(&path)?;
                Ok(Cow::Owned(file.addresses.swap_remove(0)))
            }
            Self::ConnectionString(text) => {
                Ok(Cow::Owned(ClusterFile::parse(text)?.addresses.swap_remove(0)))
            }
            Self::Nowhere(error) => Err(error.clone()),
        }
    }
}

impl ServerAddress {
    /// How programs find the server.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Fixed(_) | Self::Nowhere(_) => Place::default(),
            Self::ConnectionString(text) => {
                Place { connection_string: Some(text.clone()), cluster_file: None }
            }
            Self::ClusterFile(path) => {
                let path = path.clone().unwrap_or_else(ClusterFile::default_path);
                Place {
                    connection_string: ClusterFile::read(&path).ok().map(|file| file.to_string()),
                    cluster_file: path.to_str().map(ToOwned::to_owned),
                }
            }
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(address) => f.write_str(address),
            Self::ClusterFile(Some(path)) => write!(f, "the address in {}", path.display()),
            Self::ClusterFile(None) => f.write_str("the address in the cluster file"),
            Self::ConnectionString(text) => f.write_str(text),
            Self::Nowhere(error) => write!(f, "nowhere ({error})"),
        }
    }
}

/// How to connect to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Where it is.
    pub address: ServerAddress,
    /// How many connections all transactions share.
    pub connections: usize,
    /// How long connecting may take, the hello included.
    pub connect_timeout: Duration,
    /// How long a read or a commit may take, reconnecting included.
    pub operation_timeout: Duration,
    /// Whether operations wait for a server that can't be reached, however long it takes, instead of
    /// failing after the operation timeout.
    pub waits_for_server: bool,
    /// How many requests may wait for their answers on one connection; further ones wait to be sent.
    pub in_flight_max: usize,
    /// Whether every frame carries a checksum, against networks that damage data.
    pub checksum: bool,
    /// Who this is, for the server's log.
    pub client: String,
    /// Proof of who it is; empty for none.
    pub credentials: Bytes,
}

impl ConnectOptions {
    /// The defaults for a server at `host:port`, `host`, or the same after `plinth://`.
    pub fn new(address: impl AsRef<str>) -> Result<Self, Error> {
        parse_address(address.as_ref()).map(|address| Self::at(ServerAddress::Fixed(address)))
    }

    /// The defaults for the server that a cluster file names, the usual file if `path` is `None`.
    pub fn cluster_file(path: Option<PathBuf>) -> Self {
        Self::at(ServerAddress::ClusterFile(path))
    }

    /// The defaults for a server wherever it is.
    pub fn at(address: ServerAddress) -> Self {
        Self {
            address,
            connections: 2,
            connect_timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(10),
            waits_for_server: false,
            in_flight_max: 1024,
            checksum: false,
            client: concat!("plinth-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            credentials: Bytes::new(),
        }
    }
}

fn parse_address(text: &str) -> Result<String, Error> {
    let invalid = |why: &str| {
        let text = format!("'{text}' is not the address of a server, host:port: {why}");
        Error::new(ErrorCode::CLIENT_INVALID_OPERATION, text)
    };
    let address = text.strip_prefix("plinth://").unwrap_or(text).trim_end_matches('/');
    if address.contains("://") {
        return Err(invalid("the scheme is plinth"));
    }
    // The colons of an IPv6 address are within brackets.
    let is_after_host = |at: &usize| !address.get(*at..).is_some_and(|rest| rest.contains(']'));
    let (host, port) = match address.rfind(':').filter(is_after_host) {
        Some(at) => (address.get(..at).unwrap_or_default(), address.get(at + 1..)),
        None => (address, None),
    };
    if host.is_empty() || host.contains(['/', ' ']) {
        return Err(invalid("the host is missing"));
    }
    if host.contains(':') && !host.starts_with('[') {
        return Err(invalid("an IPv6 address goes into brackets"));
    }
    let port = match port {
        None => PORT_DEFAULT,
        Some(port) => port.parse().map_err(|_| invalid("the port is a number up to 65535"))?,
    };
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_or_refused_with_a_reason() {
        for (given, understood) in [
            ("localhost:4500", "localhost:4500"),
            ("plinth://10.0.0.1:99", "10.0.0.1:99"),
            ("plinth://db/", "db:4500"),
            ("[::1]:7", "[::1]:7"),
            ("[::1]", "[::1]:4500"),
        ] {
            assert_eq!(parse_address(given).unwrap(), understood);
        }
        for given in ["", ":4500", "host:", "host:70000", "http://host:1", "::1", "a b:1"] {
            let error = parse_address(given).unwrap_err();
            assert_eq!(error.code, ErrorCode::CLIENT_INVALID_OPERATION, "{given}");
        }
    }
}

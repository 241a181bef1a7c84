//! The server's cluster file: how programs made for FoundationDB find it.
//!
//! `fdb.cluster` in the data directory is written anew at every start, before anyone can connect:
//! the port may be another than before. Its id is the database's, so that it stays the same over
//! restarts and moves.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use plinth_client::{ClusterFile, Error};

use crate::engine::directory::DatabaseId;

/// The name of the file in the data directory.
pub(super) const NAME: &str = "fdb.cluster";
/// For people who look into the file.
const DESCRIPTION: &str = "plinth";

/// The cluster file of a database at this address, `host:port`.
pub(super) fn of(id: DatabaseId, address: &str) -> Result<ClusterFile, Error> {
    ClusterFile::new(DESCRIPTION, &id.to_string(), address)
}

/// Where programs on this machine reach a server that listens here: one that listens everywhere is
/// reached by the loopback address.
pub(super) fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// Writes the cluster file; if that fails, says what to do. A full disk is no reason not to serve: who
/// knows the address finds the server, and the next start tries again.
pub(super) fn write(file: &ClusterFile, path: &Path) -> Result<(), String> {
    let shown = path.display();
    match file.write(path) {
        Ok(()) => {}
        Err(error)
            if [ErrorKind::StorageFull, ErrorKind::QuotaExceeded].contains(&error.kind()) =>
        {
            tracing::warn!(%error, file = %shown, "the cluster file can't be written");
            return Ok(());
        }
        Err(error) => {
            return Err(format!(
                "can't write the cluster file {shown}: {error}; it tells clients where the server \
                 is, so let the server write to this directory, and move away what stands in the \
                 file's place"
            ));
        }
    }
    let address = file.addresses.join(",");
    tracing::info!(file = %shown, address, "clients of FoundationDB find the server by this file");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_is_told_as_the_loopback_address() {
        for (listening, told) in [
            ("0.0.0.0:4500", "127.0.0.1:4500"),
            ("[::]:4500", "[::1]:4500"),
            ("10.0.0.5:4501", "10.0.0.5:4501"),
            ("[fe80::1%3]:4500", "[fe80::1]:4500"),
        ] {
            let told_now = reachable(listening.parse().unwrap()).to_string();
            assert_eq!(told_now, told);
            assert_eq!(of(DatabaseId([7; 16]), &told_now).unwrap().addresses, [told]);
        }
    }
}

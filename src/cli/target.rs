//! Targets: which server a command talks to.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use plinth_client::{ClusterFile, ConnectOptions, Database, Error, TcpBackend};

/// What comes before the address.
const SCHEME: &str = "plinth://";

/// Where a server listens unless told otherwise.
const ADDRESS_DEFAULT: &str = "127.0.0.1:4500";

/// Names a cluster file, for all programs of FoundationDB.
const CLUSTER_FILE_VARIABLE: &str = "FDB_CLUSTER_FILE";

/// How a command is told of a server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Whereabouts {
    /// The server; 127.0.0.1:4500 if nothing says where it is
    #[arg(long, value_name = "plinth://HOST:PORT")]
    pub target: Option<Target>,
    /// The cluster file that says where the server is; without it and --target, the one that
    /// `FDB_CLUSTER_FILE` in the environment names
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub cluster_file: Option<PathBuf>,
}

impl Whereabouts {
    /// Which server it is, as the cluster file says now if there is one.
    pub fn find(&self) -> Result<Target, Error> {
        let variable = || std::env::var_os(CLUSTER_FILE_VARIABLE).filter(|name| !name.is_empty());
        match (&self.target, &self.cluster_file) {
            (Some(target), _) => Ok(target.clone()),
            (None, Some(path)) => Target::from_cluster_file(path),
            (None, None) => match variable() {
                Some(path) => Target::from_cluster_file(Path::new(&path)),
                None => Ok(Target::default()),
            },
        }
    }

    /// Connects to it.
    pub(super) async fn connect(&self) -> Result<Database<TcpBackend>, Error> {
        Database::connect(self.find()?.address()).await
    }
}

/// A server's address, written `plinth://HOST:PORT`; the scheme and the port may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    address: String,
}

impl Target {
    /// Where a cluster file says the server is.
    fn from_cluster_file(path: &Path) -> Result<Self, Error> {
        let mut file = ClusterFile::read(path)?;
        // The first counts: a server is one.
        Ok(Self { address: file.addresses.swap_remove(0) })
    }

    /// The address as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Default for Target {
    fn default() -> Self {
        Self { address: ADDRESS_DEFAULT.to_owned() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.address)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match ConnectOptions::new(text) {
            Ok(options) => Ok(Self { address: options.address.to_string() }),
            Err(error) => Err(error.message.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_port_may_be_left_out() {
        let address = |text: &str| text.parse::<Target>().map(|target| target.address);
        assert_eq!(address("plinth://db:4501").as_deref(), Ok("db:4501"));
        assert_eq!(address("db").as_deref(), Ok("db:4500"));
        assert_eq!(address("[::1]").as_deref(), Ok("[::1]:4500"));
        assert_eq!(address("plinth://[::1]:9").as_deref(), Ok("[::1]:9"));
        for wrong in ["", ":4500", "plinth://", "redis://h:1", "h:99999", "::1", "a b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        let default = Target::default();
        assert_eq!(default.to_string().parse(), Ok(default));
    }
}

//! Where the target is.

use std::{fmt, path::PathBuf, str::FromStr};

use plinth_protocol::{Error, ErrorCode};

use crate::cli::target::{Target, Whereabouts};

/// A Redis server's port, unless told otherwise.
const REDIS_PORT: u16 = 6379;

/// How a benchmark is told of its target.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PlaceArguments {
    /// Whom to measure: plinth://HOST:PORT, redis://HOST:PORT, or fdb:CLUSTERFILE for FoundationDB
    /// through its own client; the Plinth at 127.0.0.1:4500 if nothing says where
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Option<Place>,
    /// Measure the engine in this process, without a server: the data directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["target", "cluster_file"])]
    pub(crate) embedded: Option<PathBuf>,
    /// The cluster file that says where the Plinth server is; without it and --target, the one that
    /// `FDB_CLUSTER_FILE` in the environment names
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub(crate) cluster_file: Option<PathBuf>,
}

impl PlaceArguments {
    /// Which it is.
    pub(crate) fn find(&self) -> Result<Place, Error> {
        if let Some(place) = &self.target {
            return Ok(place.clone());
        }
        if let Some(directory) = &self.embedded {
            return Ok(Place::Embedded(directory.clone()));
        }
        let cluster_file = self.cluster_file.clone();
        Whereabouts { target: None, cluster_file }.find().map(Place::Plinth)
    }
}

/// A target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A Plinth server.
    Plinth(Target),
    /// A Redis server, as `HOST:PORT`.
    Redis(String),
    /// FoundationDB, by its cluster file.
    FoundationDb(PathBuf),
    /// The engine in this process, on this data directory.
    Embedded(PathBuf),
}

impl Default for Place {
    fn default() -> Self {
        Self::Plinth(Target::default())
    }
}

impl Place {
    /// That this target can't do what it was asked for, and what can.
    pub(crate) fn cannot(&self, what: &str, instead: &str) -> Error {
        Error::new(ErrorCode::UNSUPPORTED_OPERATION, format!("{self} can't do {what}: {instead}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plinth(target) => target.fmt(f),
            Self::Redis(address) => write!(f, "redis://{address}"),
            Self::FoundationDb(path) => write!(f, "fdb:{}", path.display()),
            Self::Embedded(path) => write!(f, "embedded:{}", path.display()),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(address) = text.strip_prefix("redis://") {
            return redis_address(address.trim_end_matches('/')).map(Self::Redis);
        }
        if let Some(path) = text.strip_prefix("fdb:") {
            if path.is_empty() {
                return Err("a cluster file is expected after fdb:".to_owned());
            }
            return Ok(Self::FoundationDb(path.into()));
        }
        if let Some(path) = text.strip_prefix("embedded:") {
            if path.is_empty() {
                return Err("a data directory is expected after embedded:".to_owned());
            }
            return Ok(Self::Embedded(path.into()));
        }
        match text.split_once("://") {
            Some((scheme, _)) if scheme != "plinth" => Err(format!(
                "'{scheme}' is no target that there is: plinth://HOST:PORT, redis://HOST:PORT, \
                 fdb:CLUSTERFILE and embedded:DIR are"
            )),
            _ => text.parse().map(Self::Plinth),
        }
    }
}

/// The address with its port; Redis needs no more than a Plinth target's syntax.
fn redis_address(text: &str) -> Result<String, String> {
    let has_port = text.rsplit_once(':').is_some_and(|(host, _)| {
        !host.is_empty() && (!host.starts_with('[') || host.ends_with(']'))
    });
    let text = if has_port { text.to_owned() } else { format!("{text}:{REDIS_PORT}") };
    match text.parse::<Target>() {
        Ok(target) if !text.contains('@') => Ok(target.address().to_owned()),
        _ => Err(format!(
            "'{text}' is no address: redis://HOST:PORT is expected, without user or database"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_told_by_its_scheme() {
        for (text, shown) in [
            ("plinth://h:1", "plinth://h:1"),
            ("h", "plinth://h:4500"),
            ("redis://h", "redis://h:6379"),
            ("redis://h:1/", "redis://h:1"),
            ("redis://[::1]", "redis://[::1]:6379"),
            ("fdb:/etc/fdb.cluster", "fdb:/etc/fdb.cluster"),
            ("embedded:data", "embedded:data"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), shown);
        }
        for wrong in ["", "redis://", "redis://u@h", "fdb:", "embedded:", "http://h", "redis://h:x"]
        {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
        let told = "mysql://h".parse::<Place>().unwrap_err();
        assert!(told.contains("redis://HOST:PORT"), "{told}");
    }
}

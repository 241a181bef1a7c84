//! Where the target is.

use std::{fmt, path::PathBuf, str::FromStr};

use plinth_protocol::{Error, ErrorCode};

use super::{fdb, redis};
use crate::cli::target::{Target, Whereabouts};

/// What comes before a cluster file that is for FoundationDB's C library.
const FDB_SCHEME: &str = "fdb:";

/// How a benchmark is told of its target.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PlaceArguments {
    /// Whom to measure: plinth://HOST:PORT, redis://HOST:PORT, or fdb:CLUSTERFILE for what
    /// FoundationDB's C library finds; the Plinth at 127.0.0.1:4500 if nothing says where
    ///
    /// A Redis server is written redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]. The C library is
    /// used by programs that were built with it (cargo build --features fdb), and fdb: alone stands
    /// for its default cluster file.
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
    /// A Redis server.
    Redis(redis::RedisAddress),
    /// What FoundationDB's C library finds by a cluster file, or by its default one.
    FoundationDb(Option<PathBuf>),
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
            Self::Redis(address) => address.fmt(f),
            Self::FoundationDb(None) => f.write_str(FDB_SCHEME),
            Self::FoundationDb(Some(path)) => write!(f, "{FDB_SCHEME}{}", path.display()),
            Self::Embedded(path) => write!(f, "embedded:{}", path.display()),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(redis::SCHEME) {
            return text.parse().map(Self::Redis);
        }
        if let Some(path) = text.strip_prefix(FDB_SCHEME) {
            fdb::check_built()?;
            let path = Some(path).filter(|path| !path.is_empty());
            return Ok(Self::FoundationDb(path.map(PathBuf::from)));
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
            ("embedded:data", "embedded:data"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), shown);
        }
        for wrong in ["", "redis://", "embedded:", "http://h"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
        let told = "mysql://h".parse::<Place>().unwrap_err();
        assert!(told.contains("redis://HOST:PORT"), "{told}");
    }

    #[test]
    fn the_c_library_must_be_built_in() {
        for text in ["fdb:/etc/fdb.cluster", "fdb:"] {
            match text.parse::<Place>() {
                Ok(place) => assert_eq!(place.to_string(), text),
                Err(reason) => assert!(reason.contains("--features fdb"), "{reason}"),
            }
            assert_eq!(text.parse::<Place>().is_ok(), cfg!(feature = "fdb"));
        }
    }
}

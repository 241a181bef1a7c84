//! A target that is ready to be measured.

use plinth_protocol::Error;

use super::{
    embedded,
    place::Place,
    redis::{NO_SCANS, RedisAddress},
};
use crate::{
    Database,
    cli::{
        bench::{
            arguments::RunArguments,
            workload::{Workload, single::Single},
        },
        settings::DurabilitySetting,
    },
};

/// A target, opened once for a run.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    /// A Plinth server, by its address: each connection and each thread's client is opened by who
    /// uses it.
    Plinth(String),
    /// The engine in this process, which all threads share.
    Embedded(Database),
    /// A Redis server, to which each connection is opened by who uses it.
    Redis(RedisAddress),
    /// FoundationDB's C library, which all threads share.
    #[cfg(feature = "fdb")]
    FoundationDb(super::fdb::Library),
}

impl Opened {
    /// Opens the target of a run; refused if it can't do the run's workload at all.
    pub(crate) fn open(arguments: &RunArguments) -> Result<Self, Error> {
        let place = &arguments.target;
        match place {
            Place::Plinth(target) => Ok(Self::Plinth(target.address().to_owned())),
            Place::Embedded(directory) => {
                let durability = arguments.durability.unwrap_or(DurabilitySetting::Sync);
                embedded::open(directory, durability.into()).map(Self::Embedded)
            }
            Place::Redis(address) => match &arguments.workload {
                Workload::Single(Single::Scan) => Err(place.cannot(
                    "scan",
                    &format!("{NO_SCANS}, but get, set, batch-get and ping are possible"),
                )),
                Workload::Single(_) => Ok(Self::Redis(address.clone())),
                other => Err(place.cannot(
                    &other.to_string(),
                    "it has no transactions, but get, set, batch-get and ping are possible",
                )),
            },
            #[cfg(feature = "fdb")]
            Place::FoundationDb(path) => {
                super::fdb::Library::open(path.as_deref()).map(Self::FoundationDb)
            }
            // A command line that asks for it was refused already.
            #[cfg(not(feature = "fdb"))]
            Place::FoundationDb(_) => {
                let reason = super::fdb::check_built().err().unwrap_or_default();
                Err(Error::new(plinth_protocol::ErrorCode::UNSUPPORTED_OPERATION, reason))
            }
        }
    }
}

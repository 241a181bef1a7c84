//! A target that is ready to be measured.

use plinth_protocol::{Error, ErrorCode};

use super::place::Place;
use crate::Database;

/// A target, opened once for a run.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    /// A Plinth server, by its address: each connection and each thread's client is opened by who
    /// uses it.
    Plinth(String),
    /// The engine in this process, which all threads share.
    Embedded(Database),
}

impl Opened {
    /// Opens it.
    pub(crate) fn open(place: &Place) -> Result<Self, Error> {
        match place {
            Place::Plinth(target) => Ok(Self::Plinth(target.address().to_owned())),
            Place::Embedded(directory) => Database::open(directory).map(Self::Embedded),
            Place::Redis(_) | Place::FoundationDb(_) => {
                let message = format!("this build of plinth has no client for {place}");
                Err(Error::new(ErrorCode::UNSUPPORTED_OPERATION, message))
            }
        }
    }
}

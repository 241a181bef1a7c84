//! Single requests.

use std::fmt;

/// The single requests there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Single {
    /// Nothing but the round trip.
    Ping,
    /// Read a random key.
    Get,
    /// Write a random key, in a transaction of its own.
    Set,
    /// Read rows in order, from a random key on.
    Scan,
    /// Read several random keys at once.
    BatchGet,
}

impl Single {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Ping, Self::Get, Self::Set, Self::Scan, Self::BatchGet];

    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Get => "get",
            Self::Set => "set",
            Self::Scan => "scan",
            Self::BatchGet => "batch-get",
        }
    }
}

impl fmt::Display for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! Keyspaces: independent ordered maps in one database, what RocksDB calls column families.
//!
//! Every key belongs to one keyspace. Applications use [`KeyspaceId::DEFAULT`] unless they name
//! another. The names live in the [`KeyspaceId::CATALOG`] keyspace as ordinary rows, so that
//! creating and dropping keyspaces are ordinary transactions.

use std::fmt;

/// A keyspace's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyspaceId(pub u32);

impl KeyspaceId {
    /// The keyspace of everybody who names none; FoundationDB's programs see this one.
    pub const DEFAULT: Self = Self(0);
    /// Where the names and numbers of the other keyspaces are kept; clients don't write it raw.
    pub const CATALOG: Self = Self(1);
    /// The first number given to a named keyspace; those between are kept for the project.
    pub const FIRST_NAMED: Self = Self(16);
}

impl fmt::Display for KeyspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

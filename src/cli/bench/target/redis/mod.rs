//! Redis, and whatever speaks as it does: the workloads of single requests, but for scans.
//!
//! [`resp`] is its protocol, [`connection`] the generator's end of a connection.

mod address;
mod connection;
pub mod resp;

pub(crate) use self::{
    address::{RedisAddress, SCHEME},
    connection::{Connection, NO_SCANS},
};

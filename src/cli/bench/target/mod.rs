//! Whom the load is put on.
//!
//! There are two ways to do so. Single requests go through a [`pipe`], with many of them in flight;
//! transactions go through [`transact`]. A target has one of them or both.

pub(crate) mod embedded;
pub(crate) mod fdb;
mod fields;
pub(crate) mod opened;
pub(crate) mod pipe;
pub(crate) mod place;
pub(crate) mod plinth;
pub(crate) mod redis;
mod socket;
mod template;
pub(crate) mod transact;
pub(crate) mod witness;

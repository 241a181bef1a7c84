//! `FDBCluster`: the way to a database that programs of API versions below 610 go. A cluster has one
//! database, `DB`.

use std::ffi::{c_char, c_int};

use plinth_client::ErrorCode;

use crate::{
    abi::{FdbError, bytes, code, guarded},
    database::FdbDatabase,
    future::{Answer, FdbFuture, ready},
    network,
};

/// `invalid_database_name`.
const INVALID_DATABASE_NAME: FdbError = 2013;

/// The object behind `FDBCluster*`.
pub struct FdbCluster(FdbDatabase);

impl FdbCluster {
    /// Hands a cluster to the program.
    pub(crate) fn into_raw(database: FdbDatabase) -> *mut Self {
        Box::into_raw(Box::new(Self(database)))
    }
}

/// The cluster of a cluster file; of the usual one if the path is null or empty.
///
/// # Safety
///
/// `path` is null or a string that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_create_cluster(path: *const c_char) -> *mut FdbFuture {
    guarded(None, || {
        let outcome = network::require_set_up().map(|()| {
            // SAFETY: by this function's contract.
            Answer::Cluster(unsafe { FdbDatabase::of_cluster_file(path) })
        });
        Some(ready(outcome))
    })
    .unwrap_or_else(crate::future::failed)
}

/// Gives a cluster back. Its databases go on.
///
/// # Safety
///
/// `cluster` is null or has not been destroyed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_cluster_destroy(cluster: *mut FdbCluster) {
    if cluster.is_null() {
        return;
    }
    guarded((), || {
        // SAFETY: the program gives back what it got from `into_raw`.
        drop(unsafe { Box::from_raw(cluster) });
    });
}

/// Clusters have no options: fails.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_cluster_set_option(
    _cluster: *mut FdbCluster,
    _option: c_int,
    _value: *const u8,
    _value_length: c_int,
) -> FdbError {
    code(ErrorCode::INVALID_OPTION)
}

/// The database of a cluster, by the only name there is.
///
/// # Safety
///
/// `cluster` has not been destroyed; the bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_cluster_create_database(
    cluster: *mut FdbCluster,
    name: *const u8,
    name_length: c_int,
) -> *mut FdbFuture {
    guarded(None, || {
        // SAFETY: by this function's contract.
        let cluster = unsafe { &*cluster };
        // SAFETY: by this function's contract.
        let name = unsafe { bytes(name, name_length) };
        let is_known = name.as_ref() == b"DB";
        let database = Answer::Database(cluster.0.clone());
        Some(ready(if is_known { Ok(database) } else { Err(INVALID_DATABASE_NAME) }))
    })
    .unwrap_or_else(crate::future::failed)
}

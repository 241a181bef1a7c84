//! `FDBTenant`: part of a database under a name. This server has none, and says so as a FoundationDB
//! does whose tenants are disabled: a tenant can be opened, every operation on it fails with
//! `tenants_disabled`.

use std::ffi::c_int;

use plinth_client::{Error, ErrorCode, ServerAddress};

use crate::{
    abi::{FdbError, guarded, guarded_error, put},
    database::FdbDatabase,
    future::{FdbFuture, ready},
    transaction::FdbTransaction,
};

/// `tenants_disabled`.
pub(crate) const TENANTS_DISABLED: ErrorCode = ErrorCode(2136);

/// The object behind `FDBTenant*`.
pub struct FdbTenant(FdbDatabase);

/// Opens a tenant, whatever its name.
///
/// # Safety
///
/// `database` has not been destroyed; `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_open_tenant(
    _database: *mut FdbDatabase,
    _name: *const u8,
    _name_length: c_int,
    out: *mut *mut FdbTenant,
) -> FdbError {
    guarded_error(|| {
        let nowhere = ServerAddress::Nowhere(disabled());
        let tenant = Box::into_raw(Box::new(FdbTenant(FdbDatabase::at(nowhere))));
        // SAFETY: by this function's contract.
        unsafe { put(out, tenant) };
        Ok(())
    })
}

/// Gives a tenant back. Its transactions go on.
///
/// # Safety
///
/// `tenant` is null or has not been destroyed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_tenant_destroy(tenant: *mut FdbTenant) {
    if tenant.is_null() {
        return;
    }
    guarded((), || {
        // SAFETY: the program gives back what it got from `fdb_database_open_tenant`.
        drop(unsafe { Box::from_raw(tenant) });
    });
}

/// A new transaction of a tenant.
///
/// # Safety
///
/// `tenant` has not been destroyed; `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_tenant_create_transaction(
    tenant: *mut FdbTenant,
    out: *mut *mut FdbTransaction,
) -> FdbError {
    guarded_error(|| {
        // SAFETY: by this function's contract.
        let tenant = unsafe { &*tenant };
        let transaction = FdbTransaction::into_raw(tenant.0.database.transaction());
        // SAFETY: by this function's contract.
        unsafe { put(out, transaction) };
        Ok(())
    })
}

/// The number of a tenant, which it hasn't.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_tenant_get_id(_tenant: *mut FdbTenant) -> *mut FdbFuture {
    ready(Err(FdbError::from(TENANTS_DISABLED.0)))
}

fn disabled() -> Error {
    Error::new(TENANTS_DISABLED, "Tenants have been disabled in the cluster")
}

//! What a database tells of its server and of itself, and what an operator asks of a cluster.

use std::{
    ffi::{c_char, c_int},
    time::Duration,
};

use bytes::Bytes;
use plinth_client::{ClusterFile, ErrorCode, ServerAddress, TcpBackend};
use tokio::time::timeout;

use crate::{
    abi::{FdbBool, FdbError, bytes, code, guarded},
    database::FdbDatabase,
    future::{Answer, FdbFuture, OnCancel, failed, ready, start},
    json::quoted,
};

/// The protocol version of FoundationDB 7.3, which this library stands in for.
const PROTOCOL: u64 = 0x0FDB_00B0_7300_0000;
/// A server that answers within this is a healthy one.
const PATIENCE: Duration = Duration::from_secs(1);
/// `snap_path_not_whitelisted`.
const SNAPSHOT_COMMAND_NOT_ALLOWED: FdbError = 2505;
/// `snap_invalid_uid_string`.
const SNAPSHOT_ID_INVALID: FdbError = 2509;
/// How many hexadecimal digits the id of a snapshot has.
const SNAPSHOT_ID_LENGTH: usize = 32;

/// Release, source, protocol of what this library stands in for; the source is our own version.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_get_client_version() -> *const c_char {
    const TEXT: &str = concat!("7.3.0,plinth-", env!("CARGO_PKG_VERSION"), ",fdb00b073000000\0");
    TEXT.as_ptr().cast()
}

/// The server's protocol version, once it is another one than `expected`.
///
/// # Safety
///
/// `database` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_get_server_protocol(
    database: *mut FdbDatabase,
    expected: u64,
) -> *mut FdbFuture {
    guarded(None, || {
        // SAFETY: by this function's contract.
        let backend = unsafe { &*database }.database.backend().clone();
        Some(start(OnCancel::End, async move {
            backend.ping(Bytes::new()).await?;
            if expected == PROTOCOL {
                // A server never changes its protocol while this library can talk to it.
                std::future::pending::<()>().await;
            }
            Ok(Answer::Uint64(PROTOCOL))
        }))
    })
    .unwrap_or_else(failed)
}

/// How the database stands, as JSON.
///
/// # Safety
///
/// `database` has not been destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_get_client_status(
    database: *mut FdbDatabase,
) -> *mut FdbFuture {
    guarded(None, || {
        // SAFETY: by this function's contract.
        let backend = unsafe { &*database }.database.backend().clone();
        Some(start(OnCancel::End, async move {
            let answer = timeout(PATIENCE, backend.ping(Bytes::new())).await;
            let failure = match answer {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.code),
                Err(_) => Some(ErrorCode::TIMED_OUT),
            };
            Ok(Answer::Key(describe(&backend, failure).into()))
        }))
    })
    .unwrap_or_else(failed)
}

fn describe(backend: &TcpBackend, failure: Option<ErrorCode>) -> String {
    let record = quoted(&connection_record(&backend.options().address));
    let healthy = failure.is_none();
    let connections = u8::from(healthy);
    let error = failure.map_or(0, crate::errors::foreign);
    let protocol = format!("{PROTOCOL:x}");
    format!(
        "{{\"Healthy\":{healthy},\"InitializationState\":\"created\",\
         \"InitializationError\":{error},\"ProtocolVersion\":\"{protocol}\",\
         \"ConnectionRecord\":{record},\"DatabaseStatus\":{{\"Healthy\":{healthy},\
         \"ClusterID\":\"\",\"Coordinators\":[{record}],\"CurrentCoordinator\":{record},\
         \"GrvProxies\":[{record}],\"CommitProxies\":[{record}],\"StorageServers\":[],\
         \"Connections\":[],\"NumConnectionsFailed\":{}}},\"AvailableClients\":\
         [{{\"ProtocolVersion\":\"{protocol}\",\"ReleaseVersion\":\"7.3.0\",\"ThreadIndex\":0}}]}}",
        1 - connections,
    )
}

/// What the cluster file holds, if it can be read, or where it is.
fn connection_record(address: &ServerAddress) -> String {
    if let ServerAddress::ClusterFile(path) = address {
        let path = path.clone().unwrap_or_else(ClusterFile::default_path);
        ClusterFile::read(&path).map_or_else(|_| address.to_string(), |file| file.to_string())
    } else {
        address.to_string()
    }
}

/// Would start a server process again: this one can't, as its own supervisor does that. Says that
/// nothing was sent.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_database_reboot_worker(
    _database: *mut FdbDatabase,
    _address: *const u8,
    _address_length: c_int,
    _check: FdbBool,
    _duration: c_int,
) -> *mut FdbFuture {
    ready(Ok(Answer::Int64(0)))
}

/// Would give up on a lost data centre: there is one server and none to fall back on.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_database_force_recovery_with_data_loss(
    _database: *mut FdbDatabase,
    _datacenter: *const u8,
    _datacenter_length: c_int,
) -> *mut FdbFuture {
    ready(Err(code(ErrorCode::UNSUPPORTED_OPERATION)))
}

/// Would have a program of the operator's copy the disks: no command is allowed, as on a FoundationDB
/// that is not told of any.
///
/// # Safety
///
/// The bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_create_snapshot(
    _database: *mut FdbDatabase,
    id: *const u8,
    id_length: c_int,
    _command: *const u8,
    _command_length: c_int,
) -> *mut FdbFuture {
    guarded(None, || {
        // SAFETY: by this function's contract.
        let id = unsafe { bytes(id, id_length) };
        let is_id = id.len() == SNAPSHOT_ID_LENGTH && id.iter().all(u8::is_ascii_hexdigit);
        Some(ready(Err(if is_id { SNAPSHOT_COMMAND_NOT_ALLOWED } else { SNAPSHOT_ID_INVALID })))
    })
    .unwrap_or_else(failed)
}

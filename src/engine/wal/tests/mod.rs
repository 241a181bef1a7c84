//! The log as a whole, on the simulated disk.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use plinth_protocol::{KeyspaceId, Version};

use super::{
    segment::{SEGMENT_HEADER_BYTES, segment_path},
    *,
};
use crate::{
    engine::write::{CommittedTransaction, Write},
    vfs::{OsVfs, SimVfs, Vfs},
};

mod archive;
mod behaviour;
mod crash;
mod damage;
mod format;
mod recycling;
mod retirement;
mod scan;

const DIRECTORY: &str = "/log";

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 4096,
        zero_fill_bytes: 1024,
        spares_max: 2,
        archive: None,
        reads_ahead: false,
        progress: Arc::default(),
        database_id: *b"the test's own d",
        seed: 42,
    }
}

/// A transaction that writes a value of this many bytes.
fn transaction(version: u64, value_bytes: usize) -> CommittedTransaction {
    let key = Bytes::from(format!("key {version}"));
    let value = Bytes::from(vec![version as u8; value_bytes]);
    CommittedTransaction {
        version: Version(version),
        order: 0,
        idempotency_id: Some(Bytes::from(format!("idempotency id {version}"))),
        committed_at_ms: 1_700_000_000_000 + version,
        writes: vec![
            Write::Set { keyspace: KeyspaceId::DEFAULT, key: key.clone(), value },
            Write::Clear { keyspace: KeyspaceId(16), key },
        ],
    }
}

fn batch(version: u64, value_bytes: usize) -> LogRecord {
    LogRecord::Batch(vec![transaction(version, value_bytes)])
}

fn append(log: &mut Log, record: &LogRecord) -> Result<(), LogError> {
    let mut encoder = RecordEncoder::new();
    match record {
        LogRecord::Batch(transactions) => encoder.batch(transactions)?,
        LogRecord::Ceiling(ceiling) => encoder.ceiling(*ceiling)?,
    }
    log.append(&mut encoder)
}

/// Recovers the log and gathers its records.
fn recover_on(
    vfs: &(impl Vfs + Clone + 'static),
    directory: &Path,
    options: LogOptions,
) -> Result<(Log, RecoveryReport, Vec<LogRecord>), LogError> {
    recover_start(vfs, directory, options, LogStart::default())
}

fn recover_start(
    vfs: &(impl Vfs + Clone + 'static),
    directory: &Path,
    options: LogOptions,
    start: LogStart,
) -> Result<(Log, RecoveryReport, Vec<LogRecord>), LogError> {
    let vfs: Arc<dyn Vfs> = Arc::new(vfs.clone());
    let mut records = vec![];
    let (log, report) = Log::recover(&vfs, directory, options, start, &mut |record| {
        records.push(record);
        Ok(())
    })?;
    Ok((log, report, records))
}

fn recover(vfs: &SimVfs) -> Result<(Log, RecoveryReport, Vec<LogRecord>), LogError> {
    recover_on(vfs, Path::new(DIRECTORY), options())
}

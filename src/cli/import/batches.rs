//! The reading half of an import: rows, cut into batches on a thread of its own.

use std::io::BufRead;

use bytes::{BufMut, Bytes, BytesMut};
use plinth_protocol::limits::Limits;
use tokio::sync::mpsc;

use super::Arguments;
use crate::cli::rows::{Row, RowError, Rows};

/// Rows in one transaction, whatever their size.
const BATCH_ROWS_MAX: u64 = 10_000;

/// Batches that are read ahead of the commits.
const READ_AHEAD: usize = 2;

/// Rows that go into one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// How many rows of the file come before it.
    pub(super) rows_before: u64,
    /// How many rows of the file it accounts for, bad ones included.
    pub(super) rows: u64,
    pub(super) bytes: usize,
    pub(super) pairs: Vec<(Bytes, Bytes)>,
}

/// What the reading thread has to say.
pub(super) enum Message {
    Batch(Batch),
    /// A row was left out.
    Bad(String),
    /// Reading ends here, before the end of the file.
    Stop(String),
}

/// Cuts the rows into batches, on a thread of its own.
pub(super) struct Reader<R> {
    rows: Rows<R>,
    name: String,
    limits: Limits,
    key_prefix: Bytes,
    skip_rows: u64,
    keep_going: bool,
    batch_bytes: usize,
}

impl<R: BufRead + Send + 'static> Reader<R> {
    pub(super) fn new(rows: Rows<R>, arguments: &Arguments, name: String, limits: Limits) -> Self {
        Self {
            rows,
            name,
            limits,
            key_prefix: arguments.key_prefix.clone(),
            skip_rows: arguments.skip_rows,
            keep_going: arguments.keep_going,
            batch_bytes: arguments.batch_bytes as usize,
        }
    }

    /// Starts the thread. It ends with the input, or when nobody takes its batches any more; one
    /// that waits for input then ends with the process.
    pub(super) fn start(mut self) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        std::thread::spawn(move || {
            let mut batch = Batch { rows_before: self.skip_rows, ..Batch::default() };
            let mut number = 0;
            while let Some(row) = self.rows.next() {
                number += 1;
                let row = match row {
                    Ok(_) if number <= self.skip_rows => continue,
                    Ok(row) => self.checked(row),
                    Err(error) => Err(error),
                };
                match row {
                    Ok((key, value)) => {
                        batch.bytes += key.len() + value.len();
                        batch.pairs.push((key, value));
                    }
                    Err(RowError::Bad { .. }) if number <= self.skip_rows => continue,
                    Err(error @ RowError::Bad { .. }) if self.keep_going => {
                        if sender.blocking_send(Message::Bad(self.located(&error))).is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        let stop = Message::Stop(self.located(&error));
                        let _ = sender
                            .blocking_send(Message::Batch(batch))
                            .and_then(|()| sender.blocking_send(stop));
                        return;
                    }
                }
                batch.rows += 1;
                if batch.bytes >= self.batch_bytes || batch.rows >= BATCH_ROWS_MAX {
                    let next = Batch { rows_before: number, ..Batch::default() };
                    let full = std::mem::replace(&mut batch, next);
                    if sender.blocking_send(Message::Batch(full)).is_err() {
                        return;
                    }
                }
            }
            let _ = sender.blocking_send(Message::Batch(batch));
        });
        receiver
    }

    /// A row as it will be written, if the database takes it.
    fn checked(&self, row: Row) -> Result<(Bytes, Bytes), RowError> {
        let key = if self.key_prefix.is_empty() {
            row.key
        } else {
            let mut key = BytesMut::with_capacity(self.key_prefix.len() + row.key.len());
            key.put_slice(&self.key_prefix);
            key.put_slice(&row.key);
            key.freeze()
        };
        let too_long = |what: &str, length: usize, limit: usize| RowError::Bad {
            line: row.line,
            what: format!("the {what} has {length} bytes, {limit} are allowed"),
        };
        if key.len() > self.limits.key_bytes_max {
            return Err(too_long("key", key.len(), self.limits.key_bytes_max));
        }
        if key.first() == Some(&0xFF) {
            let what = "keys that begin with \\xff are the database's own".to_owned();
            return Err(RowError::Bad { line: row.line, what });
        }
        if row.value.len() > self.limits.value_bytes_max {
            return Err(too_long("value", row.value.len(), self.limits.value_bytes_max));
        }
        Ok((key, row.value))
    }

    fn located(&self, error: &RowError) -> String {
        format!("{}:{error}", self.name)
    }
}

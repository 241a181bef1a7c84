//! What a transaction can be asked about sizes and places: none of it is read, so that none of it
//! counts in the conflict check.

use std::{future::Future, pin::pin};

use bytes::Bytes;
use plinth_protocol::{Error, KeyRange};

use super::{
    Transaction,
    write::{inverted, outside},
};
use crate::Backend;

impl<B: Backend> Transaction<B> {
    /// About how many bytes of keys and values the range holds.
    pub async fn estimate_size(&self, range: KeyRange) -> Result<u64, Error> {
        check_upright(&range)?;
        self.ask(self.backend().estimate_size(self.keyspace, range)).await
    }

    /// Keys that cut the range into pieces of about `chunk_bytes`; its ends are the first and last.
    pub async fn split_points(
        &self,
        range: KeyRange,
        chunk_bytes: u64,
    ) -> Result<Vec<Bytes>, Error> {
        check_upright(&range)?;
        {
            let state = self.admitted()?;
            for key in [&range.begin, &range.end] {
                if key.as_ref() > state.max_read_key() {
                    return Err(outside(key));
                }
            }
        }
        self.ask(self.backend().split_points(self.keyspace, range, chunk_bytes)).await
    }

    /// Waits for something that is asked of the database beside the reads, as though it were one:
    /// not if the transaction has ended or is used up, and no longer than it goes on.
    pub async fn ask<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let generation = self.admitted()?.generation;
        self.guarded(generation, pin!(work)).await
    }

    /// Whether the addresses that this transaction tells of have ports.
    pub fn shows_ports(&self) -> bool {
        let state = self.state();
        state.options.api_version.addresses_have_ports() || state.options.include_port_in_address
    }
}

fn check_upright(range: &KeyRange) -> Result<(), Error> {
    if range.begin > range.end {
        return Err(inverted(&range.begin, &range.end));
    }
    Ok(())
}

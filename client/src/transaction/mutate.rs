//! Atomic operations as FoundationDB's programs ask for them: by number, and with the place of a
//! versionstamp written behind the key or the value that gets it.

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, MutationOp, Versionstamp};

use super::{
    Transaction,
    state::State,
    write::{check_stamp, metadata_version_form},
};
use crate::{ApiVersion, Backend, IntoBytes};

/// FoundationDB's number for setting a versionstamped key.
const SET_VERSIONSTAMPED_KEY: i32 = 14;
/// And a versionstamped value.
const SET_VERSIONSTAMPED_VALUE: i32 = 15;

/// The only thing that the metadata version can be set to: a stamp at offset 0 and nothing else.
const METADATA_VERSION_OPERAND: [u8; Versionstamp::LEN + 4] = [0; Versionstamp::LEN + 4];

impl<B: Backend> Transaction<B> {
    /// Changes the value of `key` by the atomic operation with FoundationDB's number
    /// `mutation_type`, in the form that the API version says: a versionstamped key (14) or value
    /// (15) ends with the offset of its stamp, little-endian.
    pub fn mutate(&self, mutation_type: i32, key: impl IntoBytes, operand: impl IntoBytes) {
        let (key, operand) = (key.into_bytes(), operand.into_bytes());
        self.write(|state| self.plan_mutation(state, mutation_type, key, operand).map(Some));
    }

    fn plan_mutation(
        &self,
        state: &State<B::Snapshot>,
        mutation_type: i32,
        key: Bytes,
        operand: Bytes,
    ) -> Result<MutationOp, Error> {
        if !self.is_metadata_version(&key) {
            self.check_place(state, &key)?;
        } else if mutation_type != SET_VERSIONSTAMPED_VALUE
            || operand.as_ref() != METADATA_VERSION_OPERAND
        {
            return Err(metadata_version_form());
        }
        let api_version = state.options.api_version;
        let op = api_version.atomic_op(mutation_type);
        let is_stamp = [SET_VERSIONSTAMPED_KEY, SET_VERSIONSTAMPED_VALUE].contains(&mutation_type);
        if op.is_none() && !is_stamp {
            return Err(ErrorCode::INVALID_MUTATION_TYPE.into());
        }
        self.check_key_length(state, &key)?;
        self.check_value(&operand)?;
        Ok(match op {
            Some(op) => MutationOp::Atomic { op, key, operand },
            None if mutation_type == SET_VERSIONSTAMPED_KEY => {
                let (key, offset) = split_offset(key, api_version.stamp_offset_bytes())?;
                MutationOp::SetVersionstampedKey { key, offset, value: operand }
            }
            None => {
                let (value, offset) = split_value(operand, api_version)?;
                MutationOp::SetVersionstampedValue { key, value, offset }
            }
        })
    }
}

fn split_value(operand: Bytes, api_version: ApiVersion) -> Result<(Bytes, u32), Error> {
    if api_version.values_have_stamp_offsets() {
        split_offset(operand, 4)
    } else {
        check_stamp(&operand, 0).map(|offset| (operand, offset))
    }
}

/// The bytes before the offset of a stamp, and the offset, which the last bytes say.
fn split_offset(mut bytes: Bytes, suffix_bytes: usize) -> Result<(Bytes, u32), Error> {
    let Some(at) = bytes.len().checked_sub(suffix_bytes) else {
        return Err(Error::new(
            ErrorCode::CLIENT_INVALID_OPERATION,
            "The offset of the versionstamp is missing",
        ));
    };
    let suffix = bytes.split_off(at);
    let offset = suffix.iter().rev().fold(0_usize, |sum, &byte| (sum << 8) | usize::from(byte));
    check_stamp(&bytes, offset).map(|offset| (bytes, offset))
}

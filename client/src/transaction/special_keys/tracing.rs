//! The numbers under which a transaction is traced.

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, response::KeyValue};

use super::{super::Transaction, modules::Module, write::SpecialWrites};
use crate::Backend;

const TOKEN: &[u8] = b"token";
const TRANSACTION_ID: &[u8] = b"transaction_id";

/// How a transaction is traced: its number, and the number of its span, 0 for no trace.
#[derive(Debug, Default)]
pub(super) struct Tracing {
    transaction_id: Option<u64>,
    token: Option<u64>,
}

fn key(name: &[u8]) -> Bytes {
    [Module::Tracing.prefix(), name].concat().into()
}

/// A random number of the bits of a random fraction; not 0.
fn number(fraction: f64) -> u64 {
    fraction.to_bits() | 1
}

impl<B: Backend> Transaction<B> {
    pub(super) fn tracing_rows(&self) -> Vec<KeyValue> {
        let fresh = number(self.database().random_fraction());
        let mut state = self.state();
        let tracing = &mut state.special.tracing;
        let transaction_id = *tracing.transaction_id.get_or_insert(fresh);
        let token = tracing.token.unwrap_or(0);
        [(TOKEN, token), (TRANSACTION_ID, transaction_id)]
            .map(|(name, number)| KeyValue { key: key(name), value: number.to_string().into() })
            .to_vec()
    }

    /// Sets one of the two, before anything else is done.
    pub(super) fn set_tracing(
        &self,
        special: &mut SpecialWrites,
        set: &Bytes,
        value: &Bytes,
        is_first: bool,
    ) -> Result<(), Error> {
        if !is_first {
            special.error_message = Some("tracing options must be set first".into());
            special.has_failed = true;
            return Ok(());
        }
        let mut fail = |text: &'static str| {
            special.error_message = Some(text.into());
            Error::new(ErrorCode::SPECIAL_KEYS_API_FAILURE, text)
        };
        if *set == key(TRANSACTION_ID) {
            let text = std::str::from_utf8(value).ok();
            let number = text.and_then(|text| text.trim().parse().ok());
            let number = number.ok_or_else(|| fail("transaction_id must be a number"))?;
            special.tracing.transaction_id = Some(number);
        } else if *set == key(TOKEN) {
            special.tracing.token = match value.as_ref() {
                b"true" => Some(number(self.database().random_fraction())),
                b"false" => Some(0),
                _ => return Err(fail("token must be set to true/false")),
            };
        }
        Ok(())
    }
}

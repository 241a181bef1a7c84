//! Turns batches and ceilings into records.
//!
//! Encoding needs to know nothing of the log, so that one thread can encode the next batch while
//! another syncs the last one. [`super::Log::append`] then only fills in the headers, which name
//! the records' places.

use plinth_protocol::Version;

use super::{
    LogError, body,
    record::{
        Place, RECORD_BODY_BYTES_MAX, RECORD_HEADER_BYTES, RecordHeader, TYPE_BATCH, TYPE_CEILING,
        padded,
    },
};
use crate::engine::write::CommittedTransaction;

/// A buffer that has grown beyond this is given back when it is cleared.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// Records on their way to the log, in one buffer that can be used again.
#[derive(Debug, Default)]
pub struct RecordEncoder {
    buffer: Vec<u8>,
    records: Vec<Encoded>,
}

/// One record in the buffer, whose header is still to be filled in.
#[derive(Debug)]
struct Encoded {
    begin: usize,
    header: RecordHeader,
}

impl RecordEncoder {
    /// An encoder without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a batch. An empty one adds nothing, and neither does one that is refused: because its
    /// transactions are not in the order of their versions, or because it is too large.
    pub fn batch(&mut self, transactions: &[CommittedTransaction]) -> Result<(), LogError> {
        let (Some(first), Some(last)) = (transactions.first(), transactions.last()) else {
            return Ok(());
        };
        for pair in transactions.windows(2) {
            if let [before, after] = pair
                && (before.version, before.order) >= (after.version, after.order)
            {
                return Err(LogError::OutOfOrder { version: after.version, after: before.version });
            }
        }
        if let Some(before) = self.last_batch_version()
            && before >= first.version
        {
            return Err(LogError::OutOfOrder { version: first.version, after: before });
        }
        self.record(TYPE_BATCH, first.version, last.version, |buffer| {
            body::encode_batch(transactions, buffer)
        })
    }

    /// Adds a ceiling.
    pub fn ceiling(&mut self, ceiling: Version) -> Result<(), LogError> {
        self.record(TYPE_CEILING, ceiling, ceiling, |buffer| {
            body::encode_ceiling(ceiling, buffer);
            Ok(())
        })
    }

    /// How many bytes the records take.
    pub fn bytes(&self) -> usize {
        self.records.last().map_or(0, |record| record.begin + record.header.record_bytes())
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets the records; the buffer stays for the next ones.
    pub fn clear(&mut self) {
        self.records.clear();
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
    }

    /// The first version of the first batch.
    pub(super) fn first_batch_version(&self) -> Option<Version> {
        let batch = self.records.iter().find(|record| record.header.record_type == TYPE_BATCH);
        batch.map(|record| record.header.first_version)
    }

    /// The last version of the last batch.
    pub(super) fn last_batch_version(&self) -> Option<Version> {
        let mut records = self.records.iter().rev();
        let batch = records.find(|record| record.header.record_type == TYPE_BATCH);
        batch.map(|record| record.header.last_version)
    }

    /// Fills in the headers for this place of a segment and answers the bytes to be written there,
    /// with so many zeros behind them, and the checksum by which the next record names the last of
    /// these.
    pub(super) fn seal(
        &mut self,
        place: Place,
        durable_to: u64,
        previous: u32,
        padding: usize,
    ) -> (&[u8], u32) {
        let mut previous = previous;
        let bytes = self.bytes();
        self.buffer.truncate(bytes);
        self.buffer.resize(bytes + padding, 0);
        for record in &mut self.records {
            record.header.durable_to = durable_to;
            record.header.previous = previous;
            let place = Place { offset: place.offset + record.begin as u64, ..place };
            let (header, crc) = record.header.encode(place);
            let end = record.begin + RECORD_HEADER_BYTES;
            if let Some(room) = self.buffer.get_mut(record.begin..end) {
                room.copy_from_slice(&header);
            }
            previous = crc;
        }
        (&self.buffer, previous)
    }

    fn record(
        &mut self,
        record_type: u8,
        first_version: Version,
        last_version: Version,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let begin = self.bytes();
        self.buffer.truncate(begin);
        let body_begin = begin + RECORD_HEADER_BYTES;
        self.buffer.resize(body_begin, 0);
        let encoded = encode(&mut self.buffer);
        let body_bytes = self.buffer.len() - body_begin;
        if encoded.is_err() || body_bytes > RECORD_BODY_BYTES_MAX {
            self.buffer.truncate(begin);
            return encoded.and(Err(LogError::TooLarge { bytes: body_bytes }));
        }
        let body_crc = crc32fast::hash(self.buffer.get(body_begin..).unwrap_or_default());
        self.buffer.resize(padded(self.buffer.len()), 0);
        let header = RecordHeader {
            body_bytes: body_bytes as u32,
            body_crc,
            previous: 0,
            record_type,
            durable_to: 0,
            first_version,
            last_version,
        };
        self.records.push(Encoded { begin, header });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(version: u64, order: u16) -> CommittedTransaction {
        CommittedTransaction {
            version: Version(version),
            order,
            idempotency_id: None,
            committed_at_ms: 0,
            writes: vec![],
        }
    }

    #[test]
    fn transactions_out_of_order_add_nothing() {
        let mut encoder = RecordEncoder::new();
        encoder.batch(&[transaction(2, 0), transaction(2, 1)]).unwrap();
        encoder.ceiling(Version(9)).unwrap();
        let bytes = encoder.bytes();
        for batch in [
            [transaction(4, 0), transaction(3, 0)],
            [transaction(3, 1), transaction(3, 1)],
            [transaction(2, 2), transaction(3, 0)],
        ] {
            let error = encoder.batch(&batch).unwrap_err();
            assert!(matches!(error, LogError::OutOfOrder { .. }), "{error}");
        }
        let mut id_too_long = transaction(3, 0);
        id_too_long.idempotency_id = Some(vec![0; 256].into());
        assert!(matches!(encoder.batch(&[id_too_long]), Err(LogError::TooLarge { .. })));
        encoder.batch(&[]).unwrap();
        assert_eq!(encoder.bytes(), bytes);
        encoder.clear();
        assert!(encoder.is_empty() && encoder.bytes() == 0);
    }
}

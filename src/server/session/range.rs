//! Ranges: answered a chunk at a time, once or until they are exhausted.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use plinth_protocol::{
    Error, ErrorCode, KeyRange, KeyspaceId, Version,
    codec::FrameWriter,
    direct::RangeWriter,
    frame::Flags,
    range::key_after,
    request::{Opcode, RangeOptions},
};

use super::{ROUND_OUTPUT_BYTES, Session, view::View};
use crate::server::mailbox::ReplyTo;

/// The bytes of keys and values after which an answer ends if the client doesn't say.
const CHUNK_BYTES: usize = 80_000;

/// The bytes of keys and values after which an answer ends whatever the client says.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// What is left to read of a range.
#[derive(Debug)]
pub(super) struct RangeStream {
    pub(super) to: ReplyTo,
    pub(super) version: Version,
    pub(super) keyspace: KeyspaceId,
    pub(super) range: KeyRange,
    pub(super) options: RangeOptions,
}

impl RangeStream {
    /// Appends the next chunk as a frame; true if the stream goes on after it.
    pub(super) fn answer_chunk(
        &mut self,
        view: &mut View<'_>,
        output: &mut BytesMut,
    ) -> Result<bool, Error> {
        let frame = FrameWriter::begin(output, Opcode::GetRange.response(), self.to.request_id);
        let mut rows = RangeWriter::begin(output, self.version);
        let last = match self.read_chunk(view, output, &mut rows) {
            Ok(last) => last,
            Err(error) => {
                frame.cancel(output);
                return Err(error);
            }
        };
        let (rows_max, row_count) = (self.options.rows_max, rows.rows());
        rows.finish(output, last.is_some());
        let goes_on =
            self.options.streams && last.is_some() && (rows_max == 0 || row_count < rows_max);
        let more = if goes_on { Flags::MORE } else { Flags::NONE };
        frame.finish(output, self.to.flags.with(more));
        if let Some(last) = last {
            self.options.rows_max = rows_max.saturating_sub(row_count);
            if self.options.reverse {
                self.range.end = last;
            } else {
                self.range.begin = key_after(&last);
            }
        }
        Ok(goes_on)
    }

    /// Writes rows until a limit ends them; the last key then, `None` if the range is exhausted.
    fn read_chunk(
        &self,
        view: &mut View<'_>,
        output: &mut BytesMut,
        rows: &mut RangeWriter,
    ) -> Result<Option<Bytes>, Error> {
        let bytes_target = match self.options.bytes_target {
            0 => CHUNK_BYTES,
            bytes => (bytes as usize).min(CHUNK_BYTES_MAX),
        };
        let rows_max = match self.options.rows_max {
            0 => u32::MAX,
            count => count,
        };
        let (mut bytes, mut last) = (0, None);
        let reader = view.reader();
        let RangeOptions { reverse, keys_only, .. } = self.options;
        reader.scan(self.keyspace, &self.range, self.version, reverse, &mut |key, found| {
            let value = if keys_only { &[] } else { found.value };
            rows.row(output, key, value);
            bytes += key.len() + value.len();
            if bytes < bytes_target && rows.rows() < rows_max {
                return ControlFlow::Continue(());
            }
            last = Some(Bytes::copy_from_slice(key));
            ControlFlow::Break(())
        })?;
        Ok(last)
    }
}

impl Session {
    /// Answers a range, or begins to.
    pub(super) fn begin_range(&mut self, view: &mut View<'_>, mut stream: RangeStream) {
        self.tally.reads += 1;
        if stream.options.streams {
            let streams_max = self.context.limits.streams_max;
            if self.streams.len() >= streams_max {
                let text = format!("{streams_max} ranges are streamed already, the limit");
                return self
                    .answer_error(stream.to, Error::new(ErrorCode::TOO_MANY_REQUESTS, text));
            }
            // Its position must not keep the buffer alive in which the request came.
            stream.range.begin = Bytes::copy_from_slice(&stream.range.begin);
            stream.range.end = Bytes::copy_from_slice(&stream.range.end);
            self.streams.push_back(stream);
        } else if let Err(error) = stream.answer_chunk(view, &mut self.wire.output) {
            self.answer_error(stream.to, error);
        }
    }

    /// Moves the streams on while there is room for their output, one chunk each in turn; true if
    /// the round was too short.
    pub(super) fn pump_streams(&mut self, view: &mut View<'_>) -> bool {
        let begin = self.wire.output.len();
        while self.wire.output.len() < self.context.limits.output_bytes_max {
            if self.wire.output.len() - begin > ROUND_OUTPUT_BYTES {
                return true;
            }
            let Some(mut stream) = self.streams.pop_front() else { break };
            match stream.answer_chunk(view, &mut self.wire.output) {
                Ok(true) => self.streams.push_back(stream),
                Ok(false) => {}
                Err(error) => self.answer_error(stream.to, error),
            }
        }
        false
    }

    /// Ends a stream, if it is still there.
    pub(super) fn cancel_stream(&mut self, request_id: u32) {
        let place = self.streams.iter().position(|stream| stream.to.request_id == request_id);
        if let Some(stream) = place.and_then(|place| self.streams.remove(place)) {
            self.answer_error(stream.to, ErrorCode::OPERATION_CANCELLED.into());
        }
    }
}

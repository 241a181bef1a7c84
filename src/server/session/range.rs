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

use super::{Done, ROUND_OUTPUT_BYTES, Session, view::View};
use crate::{
    engine::{NotRead, TryReader},
    server::mailbox::ReplyTo,
};

/// The bytes of keys and values after which an answer ends if the client doesn't say.
const CHUNK_BYTES: usize = 80_000;

/// The bytes of keys and values after which an answer ends whatever the client says.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// What is left to read of a range.
#[derive(Clone, Debug)]
pub(in crate::server) struct RangeStream {
    pub(super) to: ReplyTo,
    pub(super) version: Version,
    pub(super) keyspace: KeyspaceId,
    pub(super) range: KeyRange,
    pub(super) options: RangeOptions,
}

/// A stream of a session.
pub(super) struct Streaming {
    /// Tells it from an earlier one with the same request id.
    serial: u64,
    pub(super) stream: RangeStream,
}

impl RangeStream {
    /// Appends the next chunk as a frame; true if the stream goes on after it. Where it fails,
    /// nothing has changed.
    pub(super) fn answer_chunk(
        &mut self,
        reader: &TryReader,
        output: &mut BytesMut,
    ) -> Result<bool, NotRead> {
        let frame = FrameWriter::begin(output, Opcode::GetRange.response(), self.to.request_id);
        let mut rows = RangeWriter::begin(output, self.version);
        let last = match self.read_chunk(reader, output, &mut rows) {
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
        reader: &TryReader,
        output: &mut BytesMut,
        rows: &mut RangeWriter,
    ) -> Result<Option<Bytes>, NotRead> {
        let bytes_target = match self.options.bytes_target {
            0 => CHUNK_BYTES,
            bytes => (bytes as usize).min(CHUNK_BYTES_MAX),
        };
        let rows_max = match self.options.rows_max {
            0 => u32::MAX,
            count => count,
        };
        let (mut bytes, mut last) = (0, None);
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
    /// Begins to answer a range chunk by chunk.
    pub(super) fn begin_stream(&mut self, mut stream: RangeStream) {
        let streams_max = self.context.limits.streams_max;
        if self.streams.len() + self.cold_streams.len() >= streams_max {
            let text = format!("{streams_max} ranges are streamed already, the limit");
            return self.answer_error(stream.to, Error::new(ErrorCode::TOO_MANY_REQUESTS, text));
        }
        // Its position must not keep the buffer alive in which the request came.
        stream.range.begin = Bytes::copy_from_slice(&stream.range.begin);
        stream.range.end = Bytes::copy_from_slice(&stream.range.end);
        self.stream_serial += 1;
        self.streams.push_back(Streaming { serial: self.stream_serial, stream });
    }

    /// Moves the streams on while there is room for their output, one chunk each in turn; true if
    /// the round was too short.
    pub(super) fn pump_streams(&mut self, view: &mut View<'_>) -> bool {
        let begin = self.wire.output.len();
        while self.wire.output.len() < self.context.limits.output_bytes_max {
            if self.wire.output.len() - begin > ROUND_OUTPUT_BYTES {
                return true;
            }
            let Some(mut streaming) = self.streams.pop_front() else { break };
            match streaming.stream.answer_chunk(view.reader(), &mut self.wire.output) {
                Ok(true) => self.streams.push_back(streaming),
                Ok(false) => {}
                Err(NotRead::Cold) => {
                    self.read_chunk_aside(streaming.serial, streaming.stream.clone());
                    self.cold_streams.push(streaming);
                }
                Err(NotRead::Failed(error)) => self.answer_error(streaming.stream.to, error),
            }
        }
        false
    }

    /// Takes a chunk that was fetched from the disk, unless the stream was ended meanwhile.
    pub(super) fn take_chunk(&mut self, serial: u64, outcome: Result<Done, Error>) {
        let place = self.cold_streams.iter().position(|streaming| streaming.serial == serial);
        let Some(ended) = place.map(|place| self.cold_streams.swap_remove(place)) else { return };
        match outcome {
            Ok(Done::Chunk(frames, goes_on)) => {
                self.wire.output.extend_from_slice(&frames);
                self.streams.extend(goes_on.map(|stream| Streaming { serial, stream }));
            }
            Ok(_) => {}
            Err(error) => self.answer_error(ended.stream.to, error),
        }
    }

    /// Ends a stream, if it is still there.
    pub(super) fn cancel_stream(&mut self, request_id: u32) {
        let is_meant = |streaming: &Streaming| streaming.stream.to.request_id == request_id;
        let ended = if let Some(place) = self.streams.iter().position(is_meant) {
            self.streams.remove(place)
        } else if let Some(place) = self.cold_streams.iter().position(is_meant) {
            Some(self.cold_streams.swap_remove(place))
        } else {
            None
        };
        if let Some(ended) = ended {
            self.answer_error(ended.stream.to, ErrorCode::OPERATION_CANCELLED.into());
        }
    }
}

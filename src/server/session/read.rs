//! Reads, answered from the engine's memory straight into the output.

use bytes::BytesMut;
use plinth_protocol::{
    Error, ErrorCode, KeyspaceId, Version,
    codec::FrameWriter,
    direct::{BatchWriter, GetView},
    frame::Flags,
    request::{Opcode, Request},
    response::{Response, write_get},
};

use super::{range::RangeStream, view::View};
use crate::{
    engine::{NotRead, TryReader},
    server::mailbox::ReplyTo,
};

/// Answers a read; a range with its first chunk. Where it fails, nothing is written.
pub(super) fn answer(
    reader: &TryReader,
    output: &mut BytesMut,
    to: ReplyTo,
    version: Version,
    request: &Request,
    frame_bytes_max: usize,
) -> Result<(), NotRead> {
    match request {
        Request::Get { keyspace, key, .. } => {
            answer_get(reader, output, to, version, *keyspace, key)
        }
        Request::GetBatch { keyspace, keys, .. } => {
            let place = (version, *keyspace);
            answer_get_batch(reader, output, to, place, keys, frame_bytes_max)
        }
        Request::GetKey { keyspace, selector, end, .. } => {
            let key = reader.get_key(*keyspace, selector, end, version)?;
            let response = Response::GetKey { opcode: Opcode::GetKey, version, key };
            response.write_frame(output, to.flags, to.request_id);
            Ok(())
        }
        Request::GetRange { keyspace, range, options, .. } => {
            let (keyspace, range, options) = (*keyspace, range.clone(), *options);
            let mut stream = RangeStream { to, version, keyspace, range, options };
            stream.answer_chunk(reader, output).map(drop)
        }
        other => {
            let text = format!("the request {:?} reads nothing", other.opcode());
            Err(Error::new(ErrorCode::INTERNAL_ERROR, text).into())
        }
    }
}

/// Answers a get that still lies in the input; false if it isn't as simple as that, and then
/// nothing was written.
#[inline]
pub(super) fn answer_get_view(
    view: &mut View<'_>,
    output: &mut BytesMut,
    get: &GetView<'_>,
) -> bool {
    let to = ReplyTo { request_id: get.request_id, flags: Flags::NONE };
    let version = get.version.unwrap_or_else(|| view.newest());
    version <= view.newest()
        && answer_get(view.reader(), output, to, version, get.keyspace, get.key).is_ok()
}

/// Answers a get.
#[inline]
fn answer_get(
    reader: &TryReader,
    output: &mut BytesMut,
    to: ReplyTo,
    version: Version,
    keyspace: KeyspaceId,
    key: &[u8],
) -> Result<(), NotRead> {
    let found = reader.get(keyspace, key, version)?;
    let frame = FrameWriter::begin(output, Opcode::Get.response(), to.request_id);
    write_get(output, version, found.map(|found| (found.version, found.value)));
    frame.finish(output, to.flags);
    Ok(())
}

/// Answers a batch of gets; the whole answer must fit into a frame.
fn answer_get_batch(
    reader: &TryReader,
    output: &mut BytesMut,
    to: ReplyTo,
    (version, keyspace): (Version, KeyspaceId),
    keys: &[impl AsRef<[u8]>],
    frame_bytes_max: usize,
) -> Result<(), NotRead> {
    let begin = output.len();
    let frame = FrameWriter::begin(output, Opcode::GetBatch.response(), to.request_id);
    let mut values = BatchWriter::begin(output, version, keys.len());
    for key in keys {
        let found = reader.get(keyspace, key.as_ref(), version);
        let room = (begin + frame_bytes_max).saturating_sub(output.len() + 16);
        let found = found.and_then(|found| match found {
            Some(found) if found.value.len() > room => Err(too_large(frame_bytes_max).into()),
            found => Ok(found),
        });
        match found {
            Ok(found) => values.value(output, found.map(|found| found.value)),
            Err(error) => {
                frame.cancel(output);
                return Err(error);
            }
        }
    }
    frame.finish(output, to.flags);
    Ok(())
}

fn too_large(frame_bytes_max: usize) -> Error {
    let text = format!(
        "the answer would be longer than a frame may be, which is {frame_bytes_max} bytes: \
         ask for fewer keys at once"
    );
    Error::new(ErrorCode::TRANSACTION_TOO_LARGE, text)
}

//! Point reads, answered from the engine's memory straight into the output.

use bytes::BytesMut;
use plinth_protocol::{
    Error, ErrorCode, KeyspaceId, Version,
    codec::FrameWriter,
    direct::{BatchWriter, GetView},
    frame::Flags,
    request::Opcode,
    response::write_get,
};

use super::view::View;
use crate::server::mailbox::ReplyTo;

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
    version <= view.newest() && answer_get(view, output, to, version, get.keyspace, get.key).is_ok()
}

/// Answers a get.
#[inline]
pub(super) fn answer_get(
    view: &mut View<'_>,
    output: &mut BytesMut,
    to: ReplyTo,
    version: Version,
    keyspace: KeyspaceId,
    key: &[u8],
) -> Result<(), Error> {
    let reader = view.reader();
    let found = reader.get(keyspace, key, version)?;
    let frame = FrameWriter::begin(output, Opcode::Get.response(), to.request_id);
    write_get(output, version, found.map(|found| (found.version, found.value)));
    frame.finish(output, to.flags);
    Ok(())
}

/// Answers a batch of gets; the whole answer must fit into a frame.
pub(super) fn answer_get_batch(
    view: &mut View<'_>,
    output: &mut BytesMut,
    to: ReplyTo,
    (version, keyspace): (Version, KeyspaceId),
    keys: &[impl AsRef<[u8]>],
    frame_bytes_max: usize,
) -> Result<(), Error> {
    let reader = view.reader();
    let begin = output.len();
    let frame = FrameWriter::begin(output, Opcode::GetBatch.response(), to.request_id);
    let mut values = BatchWriter::begin(output, version, keys.len());
    for key in keys {
        let found = reader.get(keyspace, key.as_ref(), version);
        let room = (begin + frame_bytes_max).saturating_sub(output.len() + 16);
        let found = found.and_then(|found| match found {
            Some(found) if found.value.len() > room => Err(too_large(frame_bytes_max)),
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

pub(super) fn too_large(frame_bytes_max: usize) -> Error {
    let text = format!(
        "the answer would be longer than a frame may be, which is {frame_bytes_max} bytes: \
         ask for fewer keys at once"
    );
    Error::new(ErrorCode::TRANSACTION_TOO_LARGE, text)
}

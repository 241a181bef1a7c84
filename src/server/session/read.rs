//! Reads, answered from the engine's memory straight into the output.

use std::{ops::ControlFlow, slice};

use bytes::BytesMut;
use plinth_protocol::{
    Error, ErrorCode, KeyspaceId, Version,
    codec::FrameWriter,
    direct::{BatchWriter, GetView, write_get_frame},
    request::{Opcode, Request},
    response::{Response, write_get},
};

use super::{range::RangeStream, view::View};
use crate::{
    engine::{NotRead, PointRead, TOGETHER_MAX, TryReader},
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

/// What was answered of an input.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answered {
    pub(super) gets: usize,
    /// The bytes of their frames.
    pub(super) bytes: usize,
}

/// How far a round goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) frame_bytes_max: usize,
    pub(super) gets_max: usize,
    /// So long may the output become before a get that nothing more is taken after.
    pub(super) output_bytes: usize,
}

/// Answers the gets with which the input begins, where they lie, up to the first that isn't as
/// simple as that: of what is not among those that were answered, nothing was written.
#[inline]
pub(super) fn answer_gets(
    view: &mut View<'_>,
    input: &[u8],
    output: &mut BytesMut,
    bounds: Bounds,
) -> Answered {
    let mut answered = Answered::default();
    let peek = |at: usize| GetView::peek(input.get(at..)?, bounds.frame_bytes_max);
    let Some(first) = peek(0) else { return answered };
    let several;
    let gets = match peek(first.1) {
        // Most often one comes alone.
        None => slice::from_ref(&first),
        Some(second) => {
            several = gather(first, second, peek, bounds.gets_max);
            several.0.get(..several.1).unwrap_or_default()
        }
    };
    let newest = view.newest();
    let version_of = |get: &GetView<'_>| get.version.unwrap_or(newest);
    let _ = view.reader().get_together(
        gets,
        |(get, _)| PointRead { keyspace: get.keyspace, key: get.key, version: version_of(get) },
        |(get, bytes), found| {
            let Ok(found) = found else { return ControlFlow::Break(()) };
            let found = found.map(|found| (found.version, found.value));
            write_get_frame(output, get.request_id, version_of(get), found);
            answered.gets += 1;
            answered.bytes += bytes;
            if output.len() < bounds.output_bytes {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    );
    answered
}

/// The gets at the beginning of the input, with the bytes of their frames, and how many they are.
fn gather<'i>(
    first: (GetView<'i>, usize),
    second: (GetView<'i>, usize),
    peek: impl Fn(usize) -> Option<(GetView<'i>, usize)>,
    gets_max: usize,
) -> ([(GetView<'i>, usize); TOGETHER_MAX], usize) {
    let mut gets = [first; TOGETHER_MAX];
    let (mut next, mut begin, mut count) = (Some(second), first.1, 1);
    while count < gets_max
        && let Some(place) = gets.get_mut(count)
        && let Some(get) = next
    {
        *place = get;
        count += 1;
        begin += get.1;
        next = peek(begin);
    }
    (gets, count)
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
    let mut failed = None;
    let _ = reader.get_together(
        keys,
        |key| PointRead { keyspace, key: key.as_ref(), version },
        |_, found| {
            let room = (begin + frame_bytes_max).saturating_sub(output.len() + 16);
            let found = found.and_then(|found| match found {
                Some(found) if found.value.len() > room => Err(too_large(frame_bytes_max).into()),
                found => Ok(found),
            });
            match found {
                Ok(found) => values.value(output, found.map(|found| found.value)),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        },
    );
    if let Some(error) = failed {
        frame.cancel(output);
        return Err(error);
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

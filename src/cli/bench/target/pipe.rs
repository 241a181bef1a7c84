//! A connection for single requests, many of them in flight.
//!
//! A load generator must not be what it measures: requests are written straight into what is to be
//! sent, a whole pipeline leaves in one write, and answers are looked at where they lie.

use plinth_protocol::Error;

/// A single request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation<'a> {
    /// Nothing but the round trip.
    Ping,
    /// Read a key.
    Get {
        /// Which.
        key: &'a [u8],
    },
    /// Read several keys at once.
    GetMany {
        /// Which.
        keys: KeyList<'a>,
    },
    /// Read rows in order.
    Scan {
        /// From this key on.
        begin: &'a [u8],
        /// Before this one.
        end: &'a [u8],
        /// At most as many.
        rows: u32,
    },
    /// Write a key.
    Set {
        /// Which.
        key: &'a [u8],
        /// What.
        value: &'a [u8],
    },
    /// Write several keys at once.
    SetMany {
        /// Which.
        keys: KeyList<'a>,
        /// What; as many.
        values: &'a [Vec<u8>],
    },
}

/// Keys of the same size, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyList<'a> {
    /// All of them.
    pub(crate) bytes: &'a [u8],
    /// Of one; not 0.
    pub(crate) key_size: usize,
}

impl<'a> KeyList<'a> {
    /// Each key.
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.bytes.chunks_exact(self.key_size)
    }
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) enum Answer<'a> {
    /// It is done.
    Done,
    /// To a get: the value.
    Value(&'a [u8]),
    /// To a get: there is none.
    Missing,
    /// To a get of many: their values, in the order of the keys.
    Values(Vec<Option<&'a [u8]>>),
    /// To a scan: keys and values.
    Rows(Vec<(&'a [u8], &'a [u8])>),
    /// To a set: another came in between. A set alone can't conflict; a server may say so all the
    /// same.
    Conflict,
    /// It failed.
    Failed(Error),
}

/// A connection with many requests in flight.
pub(crate) trait Pipe: Send + 'static {
    /// Appends a request to what is sent next. Answers come with its id.
    fn push(&mut self, id: u32, operation: &Operation<'_>);

    /// Sends what was appended.
    fn send(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Reads once and shows each whole answer to `visit`; there may be none. Nothing is lost if the
    /// future is dropped.
    fn receive(
        &mut self,
        visit: impl FnMut(u32, Answer<'_>) + Send,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

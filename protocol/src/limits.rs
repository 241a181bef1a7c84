//! Every limit of the protocol and its default, in one place.
//!
//! The defaults of [`Limits`] are FoundationDB's. They are configuration: a server states its own in
//! its hello, and clients go by that.

/// The first four bytes of a frame count what follows; a legal count stays below this, so that a
/// frame begins with a byte of 0x00 to 0x03.
pub const FRAME_BYTES_CEILING: usize = 64 << 20;

/// Bytes of a frame that its length counts beside the payload: opcode, flags, request id.
pub const FRAME_HEADER_BYTES: usize = 6;

/// The longest error message on the wire; longer ones are cut.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 4096;

/// The shortest and longest idempotency id.
pub const IDEMPOTENCY_ID_BYTES: std::ops::RangeInclusive<usize> = 16..=255;

/// The longest list of features in a hello.
pub const FEATURES_MAX: usize = 64;

/// The longest name in a hello: of a feature, of the client, of the server.
pub const NAME_BYTES_MAX: usize = 255;

/// The longest credentials in a hello, in bytes.
pub const CREDENTIALS_BYTES_MAX: usize = 16 << 10;

/// The longest hello frame, counted as its length field counts. Until a server knows whom it talks
/// to, it buffers no more than this.
pub const HELLO_FRAME_BYTES_MAX: usize = 64 << 10;

/// What a server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame, counted as its length field counts.
    pub frame_bytes_max: usize,
    /// The longest key.
    pub key_bytes_max: usize,
    /// The longest key that begins with `0xFF`.
    pub system_key_bytes_max: usize,
    /// The longest value, and the longest operand of an atomic operation.
    pub value_bytes_max: usize,
    /// The largest transaction: mutations and conflict ranges with their overhead.
    pub transaction_bytes_max: usize,
}

impl Limits {
    /// FoundationDB's limits.
    pub const DEFAULT: Self = Self {
        frame_bytes_max: 16 << 20,
        key_bytes_max: 10_000,
        system_key_bytes_max: 30_000,
        value_bytes_max: 100_000,
        transaction_bytes_max: 10_000_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const _: () = {
    assert!(Limits::DEFAULT.frame_bytes_max < FRAME_BYTES_CEILING);
    assert!(Limits::DEFAULT.transaction_bytes_max < Limits::DEFAULT.frame_bytes_max);
    assert!(Limits::DEFAULT.value_bytes_max < Limits::DEFAULT.transaction_bytes_max);
    assert!(Limits::DEFAULT.key_bytes_max <= Limits::DEFAULT.system_key_bytes_max);
    let names = (FEATURES_MAX + 1) * (4 + NAME_BYTES_MAX);
    assert!(FRAME_HEADER_BYTES + 32 + names + CREDENTIALS_BYTES_MAX <= HELLO_FRAME_BYTES_MAX);
};

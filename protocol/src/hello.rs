//! The first frame of a connection: who are you, and what do you speak?

use std::fmt;

use bytes::Bytes;

use crate::{
    field::{FieldError, FieldReader, FieldSink},
    limits::{CREDENTIALS_BYTES_MAX, FEATURES_MAX, Limits, NAME_BYTES_MAX},
};

/// The first bytes of a hello's payload.
pub const MAGIC: [u8; 4] = *b"PLTH";

/// The protocol version that this library speaks.
pub const PROTOCOL_VERSION: u16 = 1;

/// The oldest protocol version that this library still speaks.
pub const PROTOCOL_VERSION_MIN: u16 = 1;

/// The feature under which every frame after the hello's answer carries a checksum.
pub const FEATURE_CHECKSUM: &str = "checksum";

/// What a client says first.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// The newest protocol version that the client speaks.
    pub version: u16,
    /// The oldest that it speaks.
    pub version_min: u16,
    /// Features that it can't do without. A server refuses those that it doesn't know, by name.
    pub features: Vec<Bytes>,
    /// Who it is, for logs: `name/version`.
    pub client: Bytes,
    /// Proof of who it is; empty for none.
    pub credentials: Bytes,
}

impl fmt::Debug for Hello {
    /// All but the credentials, which belong into no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("version", &self.version)
            .field("version_min", &self.version_min)
            .field("features", &self.features)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// The protocol version that both will speak.
    pub version: u16,
    /// The features that are on, of those that were asked for.
    pub features: Vec<Bytes>,
    /// Who it is: `plinth/version`.
    pub server: Bytes,
    /// The database's own identity, 16 random bytes from its creation: tells a client that
    /// reconnects whether it still talks to the same data.
    pub database_id: [u8; 16],
    /// What the server accepts.
    pub limits: Limits,
}

impl Hello {
    /// A hello of this library, asking for `features`.
    pub fn new(client: impl Into<Bytes>, features: &[&'static str]) -> Self {
        Self {
            version: PROTOCOL_VERSION,
            version_min: PROTOCOL_VERSION_MIN,
            features: features.iter().map(|name| Bytes::from_static(name.as_bytes())).collect(),
            client: client.into(),
            credentials: Bytes::new(),
        }
    }

    /// The version that both speak, if there is one.
    pub fn negotiate(&self) -> Option<u16> {
        let version = self.version.min(PROTOCOL_VERSION);
        (version >= self.version_min.max(PROTOCOL_VERSION_MIN)).then_some(version)
    }

    pub(crate) fn write<S: FieldSink>(&self, sink: &mut S) {
        sink.raw("magic", &MAGIC);
        sink.u16("version", self.version);
        sink.u16("version_min", self.version_min);
        sink.list("features", &self.features, |sink, name| sink.bytes("feature", name));
        sink.bytes("client", &self.client);
        sink.bytes("credentials", &self.credentials);
    }

    pub(crate) fn read(fields: &mut FieldReader) -> Result<Self, FieldError> {
        let magic = fields.raw("magic", MAGIC.len())?;
        if magic != MAGIC.as_slice() {
            let value = magic.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
            return Err(FieldError::Invalid { field: "magic", value });
        }
        let version = fields.u16("version")?;
        let version_min = fields.u16("version_min")?;
        let features = read_features(fields)?;
        let client = fields.short_bytes("client", NAME_BYTES_MAX)?;
        let credentials = fields.short_bytes("credentials", CREDENTIALS_BYTES_MAX)?;
        Ok(Self { version, version_min, features, client, credentials })
    }
}

impl HelloReply {
    pub(crate) fn write<S: FieldSink>(&self, sink: &mut S) {
        sink.u16("version", self.version);
        sink.list("features", &self.features, |sink, name| sink.bytes("feature", name));
        sink.bytes("server", &self.server);
        sink.raw("database_id", &self.database_id);
        sink.u64("frame_bytes_max", self.limits.frame_bytes_max as u64);
        sink.u64("key_bytes_max", self.limits.key_bytes_max as u64);
        sink.u64("system_key_bytes_max", self.limits.system_key_bytes_max as u64);
        sink.u64("value_bytes_max", self.limits.value_bytes_max as u64);
        sink.u64("transaction_bytes_max", self.limits.transaction_bytes_max as u64);
    }

    pub(crate) fn read(fields: &mut FieldReader) -> Result<Self, FieldError> {
        let version = fields.u16("version")?;
        let features = read_features(fields)?;
        let server = fields.short_bytes("server", NAME_BYTES_MAX)?;
        let database_id = fields.array("database_id")?;
        let limits = Limits {
            frame_bytes_max: read_size(fields, "frame_bytes_max")?,
            key_bytes_max: read_size(fields, "key_bytes_max")?,
            system_key_bytes_max: read_size(fields, "system_key_bytes_max")?,
            value_bytes_max: read_size(fields, "value_bytes_max")?,
            transaction_bytes_max: read_size(fields, "transaction_bytes_max")?,
        };
        Ok(Self { version, features, server, database_id, limits })
    }
}

fn read_features(fields: &mut FieldReader) -> Result<Vec<Bytes>, FieldError> {
    fields.short_list("features", 4, FEATURES_MAX, |fields| {
        fields.short_bytes("feature", NAME_BYTES_MAX)
    })
}

fn read_size(fields: &mut FieldReader, name: &'static str) -> Result<usize, FieldError> {
    let value = fields.u64(name)?;
    usize::try_from(value).map_err(|_| FieldError::Invalid { field: name, value })
}

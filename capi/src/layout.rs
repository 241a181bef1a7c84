//! The structs that C reads through pointers, byte for byte.

use std::ffi::c_int;

use crate::abi::FdbBool;

/// `FDBKey`: 12 bytes.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct FdbKey {
    /// The key's bytes.
    pub key: *const u8,
    /// How many.
    pub key_length: c_int,
}

/// `FDBKeyValue`: 24 bytes.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct FdbKeyValue {
    /// The key's bytes.
    pub key: *const u8,
    /// How many.
    pub key_length: c_int,
    /// The value's bytes.
    pub value: *const u8,
    /// How many.
    pub value_length: c_int,
}

/// `FDBKeyRange`: 24 bytes.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct FdbKeyRange {
    /// The bytes of the first key.
    pub begin: *const u8,
    /// How many.
    pub begin_length: c_int,
    /// The bytes of the key after the last.
    pub end: *const u8,
    /// How many.
    pub end_length: c_int,
}

/// `FDBKeySelector`: 20 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FdbKeySelector {
    /// The key that it starts from.
    pub key: FdbKey,
    /// Whether an equal key counts as smaller.
    pub or_equal: FdbBool,
    /// How many keys further.
    pub offset: c_int,
}

/// `FDBGetRangeReqAndResult`: 56 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FdbRangeAndRows {
    /// Where the range begins.
    pub begin: FdbKeySelector,
    /// Where it ends.
    pub end: FdbKeySelector,
    /// The rows found there.
    pub data: *const FdbKeyValue,
    /// How many.
    pub size: c_int,
    /// The room for them: as many.
    pub capacity: c_int,
}

/// `FDBMappedKeyValue`: 112 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FdbMappedKeyValue {
    /// The key of the row.
    pub key: FdbKey,
    /// Its value.
    pub value: FdbKey,
    /// What the mapper made of it, and what was found there.
    pub range: FdbRangeAndRows,
    /// FoundationDB's own; zeros here.
    pub buffer: [u8; 32],
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    #[test]
    fn structs_have_the_sizes_that_programs_were_compiled_for() {
        assert_eq!(size_of::<FdbKey>(), 12);
        assert_eq!(size_of::<FdbKeyValue>(), 24);
        assert_eq!(size_of::<FdbKeyRange>(), 24);
        assert_eq!(size_of::<FdbKeySelector>(), 20);
        assert_eq!(size_of::<FdbRangeAndRows>(), 56);
        assert_eq!(size_of::<FdbMappedKeyValue>(), 112);
        assert_eq!(offset_of!(FdbKeyValue, value), 12);
        assert_eq!(offset_of!(FdbRangeAndRows, data), 40);
        assert_eq!(offset_of!(FdbMappedKeyValue, range), 24);
        assert_eq!(offset_of!(FdbMappedKeyValue, buffer), 80);
    }
}

//! The functions of the library, by their names and types in FoundationDB's header.

use std::{
    ffi::{c_char, c_double, c_int, c_void},
    sync::OnceLock,
};

use crate::support::library_directory;

/// A function that is called when a future is ready.
pub(super) type Callback = extern "C" fn(*mut c_void, *mut c_void);

/// `FDBKey`.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub(super) struct RawKey {
    pub(super) key: *const u8,
    pub(super) key_length: c_int,
}

/// `FDBKeyValue`.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub(super) struct RawRow {
    pub(super) key: *const u8,
    pub(super) key_length: c_int,
    pub(super) value: *const u8,
    pub(super) value_length: c_int,
}

macro_rules! symbols {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// What is exported. A name that is missing is an error where it is called.
        pub(super) struct Symbols {
            $($name: Option<unsafe extern "C" fn($($argument),*) $(-> $result)?>,)*
            /// Keeps the library loaded.
            _library: libloading::Library,
        }

        impl Symbols {
            fn of(library: libloading::Library) -> Self {
                Self {
                    $($name: {
                        // SAFETY: the type is that of the header.
                        let symbol = unsafe { library.get(stringify!($name)) };
                        symbol.ok().map(|symbol| *symbol)
                    },)*
                    _library: library,
                }
            }

            $(pub(super) fn $name(
                &self,
            ) -> unsafe extern "C" fn($($argument),*) $(-> $result)? {
                self.$name.expect(concat!(stringify!($name), " is exported"))
            })*
        }
    };
}

/// An object of the library.
type Object = *mut c_void;
/// Readable bytes.
type Bytes = *const u8;

symbols! {
    fdb_select_api_version_impl: fn(c_int, c_int) -> c_int;
    fdb_get_max_api_version: fn() -> c_int;
    fdb_get_client_version: fn() -> *const c_char;
    fdb_get_error: fn(c_int) -> *const c_char;
    fdb_error_predicate: fn(c_int, c_int) -> c_int;

    fdb_network_set_option: fn(c_int, Bytes, c_int) -> c_int;
    fdb_setup_network: fn() -> c_int;
    fdb_run_network: fn() -> c_int;
    fdb_stop_network: fn() -> c_int;
    fdb_add_network_thread_completion_hook: fn(extern "C" fn(*mut c_void), *mut c_void) -> c_int;

    fdb_future_cancel: fn(Object);
    fdb_future_release_memory: fn(Object);
    fdb_future_destroy: fn(Object);
    fdb_future_block_until_ready: fn(Object) -> c_int;
    fdb_future_is_ready: fn(Object) -> c_int;
    fdb_future_set_callback: fn(Object, Option<Callback>, *mut c_void) -> c_int;
    fdb_future_get_error: fn(Object) -> c_int;
    fdb_future_get_bool: fn(Object, *mut c_int) -> c_int;
    fdb_future_get_int64: fn(Object, *mut i64) -> c_int;
    fdb_future_get_uint64: fn(Object, *mut u64) -> c_int;
    fdb_future_get_double: fn(Object, *mut c_double) -> c_int;
    fdb_future_get_key: fn(Object, *mut Bytes, *mut c_int) -> c_int;
    fdb_future_get_value: fn(Object, *mut c_int, *mut Bytes, *mut c_int) -> c_int;
    fdb_future_get_key_array: fn(Object, *mut *const RawKey, *mut c_int) -> c_int;
    fdb_future_get_string_array: fn(Object, *mut *const *const c_char, *mut c_int) -> c_int;
    fdb_future_get_keyvalue_array:
        fn(Object, *mut *const RawRow, *mut c_int, *mut c_int) -> c_int;

    fdb_create_database: fn(*const c_char, *mut Object) -> c_int;
    fdb_create_database_from_connection_string: fn(*const c_char, *mut Object) -> c_int;
    fdb_database_destroy: fn(Object);
    fdb_database_set_option: fn(Object, c_int, Bytes, c_int) -> c_int;
    fdb_database_create_transaction: fn(Object, *mut Object) -> c_int;
    fdb_database_get_client_status: fn(Object) -> Object;
    fdb_database_get_server_protocol: fn(Object, u64) -> Object;
    fdb_database_get_main_thread_busyness: fn(Object) -> c_double;

    fdb_transaction_destroy: fn(Object);
    fdb_transaction_cancel: fn(Object);
    fdb_transaction_reset: fn(Object);
    fdb_transaction_set_option: fn(Object, c_int, Bytes, c_int) -> c_int;
    fdb_transaction_set_read_version: fn(Object, i64);
    fdb_transaction_get_read_version: fn(Object) -> Object;
    fdb_transaction_get: fn(Object, Bytes, c_int, c_int) -> Object;
    fdb_transaction_get_key: fn(Object, Bytes, c_int, c_int, c_int, c_int) -> Object;
    fdb_transaction_get_range: fn(
        Object, Bytes, c_int, c_int, c_int, Bytes, c_int, c_int, c_int,
        c_int, c_int, c_int, c_int, c_int, c_int) -> Object;
    fdb_transaction_get_addresses_for_key: fn(Object, Bytes, c_int) -> Object;
    fdb_transaction_get_estimated_range_size_bytes:
        fn(Object, Bytes, c_int, Bytes, c_int) -> Object;
    fdb_transaction_get_range_split_points:
        fn(Object, Bytes, c_int, Bytes, c_int, i64) -> Object;
    fdb_transaction_get_tag_throttled_duration: fn(Object) -> Object;
    fdb_transaction_get_total_cost: fn(Object) -> Object;
    fdb_transaction_set: fn(Object, Bytes, c_int, Bytes, c_int);
    fdb_transaction_atomic_op: fn(Object, Bytes, c_int, Bytes, c_int, c_int);
    fdb_transaction_clear: fn(Object, Bytes, c_int);
    fdb_transaction_clear_range: fn(Object, Bytes, c_int, Bytes, c_int);
    fdb_transaction_watch: fn(Object, Bytes, c_int) -> Object;
    fdb_transaction_commit: fn(Object) -> Object;
    fdb_transaction_get_committed_version: fn(Object, *mut i64) -> c_int;
    fdb_transaction_get_approximate_size: fn(Object) -> Object;
    fdb_transaction_get_versionstamp: fn(Object) -> Object;
    fdb_transaction_on_error: fn(Object, c_int) -> Object;
    fdb_transaction_add_conflict_range: fn(Object, Bytes, c_int, Bytes, c_int, c_int) -> c_int;
}

/// The library, loaded once.
pub(super) fn symbols() -> &'static Symbols {
    static SYMBOLS: OnceLock<Symbols> = OnceLock::new();
    SYMBOLS.get_or_init(|| {
        let path = library_directory().join("libfdb_c.so");
        // SAFETY: our own library, whose loading runs nothing of ours.
        let library = unsafe { libloading::Library::new(path) };
        Symbols::of(library.expect("the library loads"))
    })
}

//! FoundationDB's C library as a target: FoundationDB itself where that library is theirs, a Plinth
//! server where it is ours.
//!
//! Behind the cargo feature `fdb`, because it links `libfdb_c` and runs bindgen, which wants libclang;
//! neither must be needed to build Plinth.

#[cfg(feature = "fdb")]
mod library;
#[cfg(feature = "fdb")]
mod transaction;

#[cfg(feature = "fdb")]
pub(crate) use self::library::{Library, stop};

/// Fails if this program can't use the library.
pub(crate) fn check_built() -> Result<(), String> {
    if cfg!(feature = "fdb") {
        return Ok(());
    }
    Err("this program was built without FoundationDB's C library: with libfdb_c.so and libclang \
         installed, `cargo build --release --features fdb` builds one that has it"
        .to_owned())
}

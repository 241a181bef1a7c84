//! Options by their numbers: which there are, and what values they take.
//!
//! A number that isn't an option is refused at once. A value that can't be is refused at once by the
//! network and by a database; it is a stored error of a transaction, which comes out of its next call
//! that can fail.

use std::ops::RangeInclusive;

use plinth_client::{Error, ErrorCode};

pub(crate) mod database;
pub(crate) mod environment;
pub(crate) mod network;
pub(crate) mod settings;
pub(crate) mod transaction;

/// The number that an option's value holds: 8 bytes, little-endian.
pub(crate) fn integer(value: &[u8], range: RangeInclusive<i64>) -> Result<i64, Error> {
    let number = value.try_into().map(i64::from_le_bytes).ok();
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| ErrorCode::INVALID_OPTION_VALUE.into())
}

/// That an option that takes no value has none.
pub(crate) fn no_value(value: &[u8]) -> Result<(), Error> {
    if value.is_empty() { Ok(()) } else { Err(ErrorCode::INVALID_OPTION_VALUE.into()) }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, ffi::c_int};

    use plinth_client::{ConnectOptions, Database, TcpBackend};

    use super::*;

    /// The numbers that the header gives to the options whose names begin so.
    fn in_header(prefix: &str) -> BTreeSet<c_int> {
        let header = include_str!("../../include/foundationdb/fdb_c_options.g.h");
        let options = header.lines().filter(|line| line.trim_start().starts_with(prefix));
        options
            .map(|line| line.rsplit("= ").next().unwrap().trim_end_matches(',').parse().unwrap())
            .collect()
    }

    /// The numbers that aren't refused as unknown.
    fn known(check: impl Fn(c_int) -> Option<ErrorCode>) -> BTreeSet<c_int> {
        (-2..5000).filter(|number| check(*number) != Some(ErrorCode::INVALID_OPTION)).collect()
    }

    #[test]
    fn the_header_names_the_options_there_are() {
        let no_value = |number| network::check(number, b"").err().map(|error| error.code);
        assert_eq!(known(no_value), in_header("FDB_NET_OPTION_"));
        let database = Database::new(TcpBackend::lazy(ConnectOptions::cluster_file(None)));
        let no_value =
            |number| database::apply(&database, number, b"").err().map(|error| error.code);
        assert_eq!(known(no_value), in_header("FDB_DB_OPTION_"));
        let no_value = |number| {
            let change = transaction::change(number, &bytes::Bytes::new());
            change.is_none().then_some(ErrorCode::INVALID_OPTION)
        };
        assert_eq!(known(no_value), in_header("FDB_TR_OPTION_"));
    }

    #[test]
    fn values_of_the_network_are_checked() {
        let check = |number, value: &[u8]| network::check(number, value).map_err(|e| e.code.0);
        let number = |number: i64| number.to_le_bytes();
        assert_eq!(check(34, b"json"), Ok(()));
        assert_eq!(check(34, b"yaml"), Err(2006));
        assert_eq!(check(35, b"now"), Ok(()));
        assert_eq!(check(40, b"DEFAULT_BACKOFF=0.1"), Ok(()));
        assert_eq!(check(40, b"DEFAULT_BACKOFF"), Err(2006));
        assert_eq!(check(40, b"=1"), Err(2006));
        assert_eq!(check(60, b""), Ok(()));
        assert_eq!(check(60, b"x"), Err(2006));
        assert_eq!(check(62, b"/nowhere/libfdb_c.so"), Err(1511));
        assert_eq!(check(62, b"/"), Ok(()));
        assert_eq!(check(62, b""), Err(2006));
        assert_eq!(check(65, &number(0)), Err(2006));
        assert_eq!(check(65, &number(4)), Ok(()));
        assert_eq!(check(65, b"4"), Err(2006));
        assert_eq!(check(82, &number(101)), Err(2006));
        assert_eq!(check(0, b""), Err(2007));
    }
}

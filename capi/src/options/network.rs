//! The options of the network: set before `fdb_setup_network`, by the program or by environment
//! variables.

use std::{
    ffi::{OsStr, c_int},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use plinth_client::{Error, ErrorCode};

use super::{integer, no_value};

/// `file_not_found`.
const FILE_NOT_FOUND: ErrorCode = ErrorCode(1511);
/// The most threads per client that can be asked for.
const THREADS_MAX: i64 = 1024;

/// What an option must come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Nothing,
    /// Bytes or a string, maybe empty.
    Bytes,
    /// A number that is not negative.
    Int,
    /// A share of a hundred.
    Percent,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `name=value`.
    Assignment,
    /// The path of a file that exists.
    File,
    /// A number of threads.
    Threads,
}

/// Every option: number, name, what it must come with.
const TABLE: &[(c_int, &str, Kind)] = &[
    (10, "local_address", Kind::Bytes),
    (20, "cluster_file", Kind::Bytes),
    (30, "trace_enable", Kind::Bytes),
    (31, "trace_roll_size", Kind::Int),
    (32, "trace_max_logs_size", Kind::Int),
    (33, "trace_log_group", Kind::Bytes),
    (34, "trace_format", Kind::OneOf(&["xml", "json"])),
    (35, "trace_clock_source", Kind::OneOf(&["now", "realtime"])),
    (36, "trace_file_identifier", Kind::Bytes),
    (37, "trace_share_among_client_threads", Kind::Nothing),
    (38, "trace_initialize_on_setup", Kind::Nothing),
    (39, "trace_partial_file_suffix", Kind::Bytes),
    (40, "knob", Kind::Assignment),
    (41, "TLS_plugin", Kind::Bytes),
    (42, "TLS_cert_bytes", Kind::Bytes),
    (43, "TLS_cert_path", Kind::Bytes),
    (45, "TLS_key_bytes", Kind::Bytes),
    (46, "TLS_key_path", Kind::Bytes),
    (47, "TLS_verify_peers", Kind::Bytes),
    (48, "Buggify_enable", Kind::Nothing),
    (49, "Buggify_disable", Kind::Nothing),
    (50, "Buggify_section_activated_probability", Kind::Percent),
    (51, "Buggify_section_fired_probability", Kind::Percent),
    (52, "TLS_ca_bytes", Kind::Bytes),
    (53, "TLS_ca_path", Kind::Bytes),
    (54, "TLS_password", Kind::Bytes),
    (55, "TLS_disable_plaintext_connection", Kind::Nothing),
    (60, "disable_multi_version_client_api", Kind::Nothing),
    (61, "callbacks_on_external_threads", Kind::Nothing),
    (62, "external_client_library", Kind::File),
    (63, "external_client_directory", Kind::Bytes),
    (64, "disable_local_client", Kind::Nothing),
    (65, "client_threads_per_version", Kind::Threads),
    (66, "future_version_client_library", Kind::Bytes),
    (67, "retain_client_library_copies", Kind::Nothing),
    (68, "ignore_external_client_failures", Kind::Nothing),
    (69, "fail_incompatible_client", Kind::Nothing),
    (70, "disable_client_statistics_logging", Kind::Nothing),
    (71, "enable_run_loop_profiling", Kind::Nothing),
    (72, "disable_client_bypass", Kind::Nothing),
    (80, "client_buggify_enable", Kind::Nothing),
    (81, "client_buggify_disable", Kind::Nothing),
    (82, "client_buggify_section_activated_probability", Kind::Percent),
    (83, "client_buggify_section_fired_probability", Kind::Percent),
    (84, "trace_ip", Kind::Bytes),
    (90, "distributed_client_tracer", Kind::OneOf(&["none", "log_file", "network_lossy"])),
    (91, "client_tmp_dir", Kind::Bytes),
    (1000, "supported_client_versions", Kind::Bytes),
    (1001, "external_client", Kind::Nothing),
    (1002, "external_client_transport_id", Kind::Int),
];

/// Whether an option may be set when the network has been set up.
pub(crate) fn may_be_late(code: c_int) -> bool {
    (80..=83).contains(&code)
}

/// The options that the environment may set: number, name, whether the value is a number.
pub(super) fn named() -> impl Iterator<Item = (c_int, &'static str, bool)> {
    let is_for_users = |(code, ..): &&(c_int, &str, Kind)| *code < 1000;
    TABLE.iter().filter(is_for_users).map(|(code, name, kind)| {
        (*code, *name, matches!(kind, Kind::Int | Kind::Percent | Kind::Threads))
    })
}

/// Makes sure that there is such an option and that the value is one of its.
pub(crate) fn check(code: c_int, value: &[u8]) -> Result<(), Error> {
    let at = TABLE.binary_search_by_key(&code, |(code, ..)| *code);
    let Some((.., kind)) = at.ok().and_then(|at| TABLE.get(at)) else {
        return Err(ErrorCode::INVALID_OPTION.into());
    };
    let is_valid = match *kind {
        Kind::Nothing => return no_value(value),
        Kind::Int => return integer(value, 0..=i64::MAX).map(drop),
        Kind::Percent => return integer(value, 0..=100).map(drop),
        Kind::Threads => return integer(value, 1..=THREADS_MAX).map(drop),
        Kind::Bytes => true,
        Kind::OneOf(words) => words.iter().any(|word| word.as_bytes() == value),
        Kind::Assignment => value.iter().position(|byte| *byte == b'=').is_some_and(|at| at > 0),
        Kind::File if value.is_empty() => false,
        Kind::File if Path::new(OsStr::from_bytes(value)).exists() => true,
        Kind::File => return Err(FILE_NOT_FOUND.into()),
    };
    if is_valid { Ok(()) } else { Err(ErrorCode::INVALID_OPTION_VALUE.into()) }
}

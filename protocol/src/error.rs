//! Error codes, and errors as they travel.
//!
//! Where FoundationDB has a code for what happened, the number and the name are FoundationDB's.
//! Codes of our own lie between 8000 and 8099.

use std::{borrow::Cow, fmt};

/// What went wrong, as a number. Codes that this library doesn't know travel unharmed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub u16);

struct Entry {
    code: u16,
    name: &'static str,
    text: &'static str,
    advice: &'static str,
}

macro_rules! error_codes {
    ($($code:literal $constant:ident $name:literal, $text:literal, $advice:literal;)*) => {
        impl ErrorCode {
            $(#[doc = $text] pub const $constant: Self = Self($code);)*
        }

        const TABLE: &[Entry] = &[$(Entry {
            code: $code, name: $name, text: $text, advice: $advice,
        }),*];
    };
}

error_codes! {
    1004 TIMED_OUT "timed_out",
        "Operation timed out", "the server did not answer in time: check that it runs, then try again";
    1007 TRANSACTION_TOO_OLD "transaction_too_old",
        "Transaction is too old to perform reads or be committed",
        "begin again; pin a snapshot for reads that take longer than the window";
    1009 FUTURE_VERSION "future_version",
        "Request for future version", "use a version that this server has handed out";
    1020 NOT_COMMITTED "not_committed",
        "Transaction not committed due to conflict with another transaction",
        "something that it read was written meanwhile: begin again";
    1021 COMMIT_UNKNOWN_RESULT "commit_unknown_result",
        "Transaction may or may not have committed",
        "read back what it wrote, or commit again with the same idempotency id";
    1025 TRANSACTION_CANCELLED "transaction_cancelled",
        "Operation aborted because the transaction was cancelled", "reset it, or begin another";
    1026 CONNECTION_FAILED "connection_failed",
        "Network connection failed", "check the address and that the server runs";
    1031 TRANSACTION_TIMED_OUT "transaction_timed_out",
        "Operation aborted because the transaction timed out",
        "make it shorter, or give it a longer timeout";
    1032 TOO_MANY_WATCHES "too_many_watches",
        "Too many watches currently set", "cancel some, or raise the limit";
    1034 WATCHES_DISABLED "watches_disabled",
        "Watches cannot be set if read your writes is disabled", "leave read-your-writes on";
    1036 ACCESSED_UNREADABLE "accessed_unreadable",
        "Read or wrote an unreadable key",
        "a versionstamped key has no value before its commit: read it afterwards";
    1037 PROCESS_BEHIND "process_behind",
        "Storage process does not have recent mutations", "the server is overloaded: try again";
    1038 DATABASE_LOCKED "database_locked", "Database is locked", "unlock it, or wait";
    1039 CLUSTER_VERSION_CHANGED "cluster_version_changed",
        "Cluster has been upgraded to a new protocol version", "try again";
    1042 COMMIT_OVERLOADED "commit_proxy_memory_limit_exceeded",
        "Commit proxy memory limit exceeded", "too many commits are waiting: try again later";
    1051 BATCH_TRANSACTION_THROTTLED "batch_transaction_throttled",
        "Batch GRV request rate limit exceeded", "try again later";
    1078 READ_VERSION_OVERLOADED "grv_proxy_memory_limit_exceeded",
        "GRV proxy memory limit exceeded", "too many requests are waiting: try again later";
    1101 OPERATION_CANCELLED "operation_cancelled",
        "Asynchronous operation cancelled", "it was cancelled on purpose";
    1213 TAG_THROTTLED "tag_throttled",
        "Transaction tag is being throttled", "try again later";
    1223 PROXY_TAG_THROTTLED "proxy_tag_throttled",
        "Transaction exceeded the proxy tag throttling limit", "try again later";
    1510 IO_ERROR "io_error", "Disk i/o operation failed", "see the server's log";
    1515 NO_CLUSTER_FILE_FOUND "no_cluster_file_found",
        "Unable to find or read the cluster file", "name the file that the server has written";
    2000 CLIENT_INVALID_OPERATION "client_invalid_operation",
        "Invalid API call", "see the documentation of the call";
    2004 KEY_OUTSIDE_LEGAL_RANGE "key_outside_legal_range",
        "Key outside legal range", "keys from \\xff on are the system's";
    2005 INVERTED_RANGE "inverted_range",
        "Range begin key larger than end key", "swap the two";
    2006 INVALID_OPTION_VALUE "invalid_option_value",
        "Option set with an invalid value", "see the documentation of the option";
    2007 INVALID_OPTION "invalid_option",
        "Option not valid in this context", "see the documentation of the option";
    2010 READ_VERSION_ALREADY_SET "read_version_already_set",
        "Transaction already has a read version set", "set it before the first read";
    2011 VERSION_INVALID "version_invalid", "Version not valid", "versions are greater than 0";
    2012 RANGE_LIMITS_INVALID "range_limits_invalid",
        "Range limits not valid", "limits are not negative";
    2017 USED_DURING_COMMIT "used_during_commit",
        "Operation issued while a commit was outstanding",
        "wait for the commit, then reset or begin another";
    2018 INVALID_MUTATION_TYPE "invalid_mutation_type",
        "Unrecognized atomic mutation type", "see the list of atomic operations";
    2020 TRANSACTION_INVALID_VERSION "transaction_invalid_version",
        "Transaction does not have a valid commit version", "its commit failed";
    2021 NO_COMMIT_VERSION "no_commit_version",
        "Transaction is read-only and therefore does not have a commit version",
        "only a transaction that writes has one";
    2023 LOCK_AWARE_READ_ONLY "transaction_read_only",
        "Attempted to commit a transaction specified as read-only",
        "a transaction that reads locked databases can't write";
    2030 MAPPER_BAD_INDEX "mapper_bad_index",
        "Invalid index in K[] or V[] descriptor",
        "indices begin at 0 and stay below the number of elements of the row's tuple";
    2032 MAPPER_BAD_RANGE_DESCRIPTOR "mapper_bad_range_decriptor",
        "\"{...}\" must be the last element of the mapper tuple", "move it to the end";
    2033 MAPPED_RANGE_TOO_LARGE "quick_get_key_values_has_more",
        "One of the mapped range queries is too large", "read that range by itself";
    2039 MAPPED_RANGE_READS_OWN_WRITES "get_mapped_range_reads_your_writes",
        "getMappedRange tries to read data that were previously written in the transaction",
        "read with a transaction that has not written there";
    2041 KEY_NOT_TUPLE "key_not_tuple",
        "The key cannot be parsed as a tuple", "map rows whose keys are packed tuples";
    2042 VALUE_NOT_TUPLE "value_not_tuple",
        "The value cannot be parsed as a tuple", "map rows whose values are packed tuples";
    2043 MAPPER_NOT_TUPLE "mapper_not_tuple",
        "The mapper cannot be parsed as a tuple", "pack the mapper as a tuple";
    2101 TRANSACTION_TOO_LARGE "transaction_too_large",
        "Transaction exceeds byte limit", "split it";
    2102 KEY_TOO_LARGE "key_too_large", "Key length exceeds limit", "use a shorter key";
    2103 VALUE_TOO_LARGE "value_too_large",
        "Value length exceeds limit", "split the value over several keys";
    2104 CONNECTION_STRING_INVALID "connection_string_invalid",
        "Connection string invalid", "a cluster file has one line, description:id@host:port";
    2108 UNSUPPORTED_OPERATION "unsupported_operation",
        "Operation is not supported", "this server can't do it";
    2109 TOO_MANY_TAGS "too_many_tags",
        "Too many tags set on transaction", "set no more than five";
    2110 TAG_TOO_LONG "tag_too_long",
        "Tag set on transaction is too long", "tags have at most 255 bytes";
    2112 SPECIAL_KEYS_CROSS_MODULE_READ "special_keys_cross_module_read",
        "Special key space range read crosses modules",
        "read each module by itself, or relax the rule by an option";
    2113 SPECIAL_KEYS_NO_MODULE_FOUND "special_keys_no_module_found",
        "Special key space range read does not intersect a module",
        "see the documentation for the special keys that there are";
    2114 SPECIAL_KEYS_WRITE_DISABLED "special_keys_write_disabled",
        "Special key space is not allowed to write by default",
        "allow it by an option";
    2115 SPECIAL_KEYS_NO_WRITE_MODULE_FOUND "special_keys_no_write_module_found",
        "Special key space key or keyrange in set or clear does not intersect a module",
        "see the documentation for the special keys that can be written";
    2116 SPECIAL_KEYS_CROSS_MODULE_CLEAR "special_keys_cross_module_clear",
        "Special key space clear crosses modules", "clear each module by itself";
    2117 SPECIAL_KEYS_API_FAILURE "special_keys_api_failure",
        "Api call through special keys failed",
        "read \\xff\\xff/error_message";
    2136 TENANTS_DISABLED "tenants_disabled",
        "Tenants have been disabled in the cluster", "use keyspaces, or prefixes of keys";
    2210 EXACT_MODE_WITHOUT_LIMITS "exact_mode_without_limits",
        "EXACT streaming mode requires limits, but none were given", "give a limit";
    4000 UNKNOWN_ERROR "unknown_error", "An unknown error occurred", "see the server's log";
    4100 INTERNAL_ERROR "internal_error", "An internal error occurred", "see the server's log";
    8000 PROTOCOL_VIOLATION "protocol_violation",
        "The bytes received are not the protocol's", "see protocol/SPEC.md, or type help";
    8001 UNKNOWN_OPCODE "unknown_opcode",
        "The frame's opcode is not known", "the peer may be newer: see its version";
    8002 FRAME_TOO_LARGE "frame_too_large",
        "The frame is longer than the limit", "send less at once";
    8003 BAD_CHECKSUM "bad_checksum",
        "The frame's checksum does not match its bytes", "the connection damages data";
    8004 MALFORMED_PAYLOAD "malformed_payload",
        "The frame's payload can't be understood", "see protocol/SPEC.md";
    8005 PROTOCOL_VERSION_UNSUPPORTED "protocol_version_unsupported",
        "The protocol version is not supported", "upgrade the older side";
    8006 UNKNOWN_FEATURE "unknown_feature",
        "A feature that the client asked for is not known", "do without, or upgrade the server";
    8007 HELLO_EXPECTED "hello_expected",
        "The first frame of a connection must be a hello", "send a hello first";
    8010 SHUTTING_DOWN "shutting_down",
        "The server is shutting down", "connect again when it is back";
    8011 TOO_MANY_CONNECTIONS "too_many_connections",
        "The server has as many connections as it may have", "close some, or raise the limit";
    8012 TOO_SLOW "too_slow",
        "A deadline of the connection has passed", "send and read frames without long breaks";
    8013 TOO_MANY_REQUESTS "too_many_requests",
        "Too many requests are in flight on this connection", "wait for answers first";
    8020 TRANSACTION_NOT_FOUND "transaction_not_found",
        "No open transaction has this id", "it was ended, has expired, or never was: begin another";
    8021 TOO_MANY_TRANSACTIONS "too_many_transactions",
        "The server holds as many open transactions as it may", "end some, or raise the limit";
    8022 TRANSACTION_READ_ONLY "transaction_read_only",
        "The transaction was begun as read-only", "begin one that may write";
    8030 KEYSPACE_NOT_FOUND "keyspace_not_found",
        "No keyspace has this name", "create it first";
    8031 KEYSPACE_EXISTS "keyspace_exists",
        "A keyspace of this name exists", "open it instead";
    8032 INVALID_KEYSPACE_NAME "invalid_keyspace_name",
        "A keyspace's name is 1 to 255 bytes of UTF-8", "choose another name";
    8040 STORAGE_FAILED "storage_failed",
        "A write or sync of the log failed: nothing can be committed until a restart",
        "mend the disk, then restart the server; reads go on meanwhile";
    8041 STORAGE_DAMAGED "storage_damaged",
        "A file on disk is damaged", "see the server's log for file and offset";
    8042 DISK_FULL "disk_full",
        "The disk is full: nothing can be committed until there is room",
        "make room on the server's disk; commits then go on by themselves";
    8050 PIN_NOT_FOUND "pin_not_found", "No pinned snapshot has this id", "pin one first";
    8051 TOO_MANY_PINS "too_many_pins",
        "The server holds as many pinned snapshots as it may", "unpin some";
    8060 SYNTAX "syntax", "The line can't be understood", "type help for the commands";
    8061 UNKNOWN_COMMAND "unknown_command",
        "No such command", "type help for the commands";
    8062 WRONG_STATE "wrong_state",
        "The command does not fit here", "type help for the commands";
    8070 SERVER_UNREACHABLE "server_unreachable",
        "The server can't be reached", "check the address and that the server runs";
    8071 WRONG_PEER "wrong_peer",
        "What answers at the address is not a Plinth server", "check the address";
    8080 JOB_NOT_FOUND "job_not_found",
        "The server remembers no job with this number", "ask for all jobs to see their numbers";
    8081 UNKNOWN_JOB "unknown_job",
        "The server has no such kind of job", "see protocol/SPEC.md for the kinds";
    8082 TOO_MANY_JOBS "too_many_jobs",
        "The server runs as many jobs as it may", "wait until one has ended, or cancel one";
    8083 JOB_REFUSED "job_refused",
        "The job can't be done with this argument", "choose another argument";
}

impl ErrorCode {
    fn entry(self) -> Option<&'static Entry> {
        TABLE.binary_search_by_key(&self.0, |entry| entry.code).ok().and_then(|at| TABLE.get(at))
    }

    /// Every code that this library knows.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|entry| Self(entry.code))
    }

    /// The name of the code, FoundationDB's where the number is.
    pub fn name(self) -> &'static str {
        self.entry().map_or("unknown_error", |entry| entry.name)
    }

    /// What it means, as a sentence without a full stop.
    pub fn text(self) -> &'static str {
        self.entry().map_or("An unknown error occurred", |entry| entry.text)
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        self.entry().map_or("see the server's log", |entry| entry.advice)
    }

    /// Whether the transaction may succeed if it is tried again from the beginning.
    pub fn is_retryable(self) -> bool {
        self.is_maybe_committed() || self.is_retryable_not_committed()
    }

    /// Whether the commit may have happened in spite of the error.
    pub fn is_maybe_committed(self) -> bool {
        matches!(self, Self::COMMIT_UNKNOWN_RESULT | Self::CLUSTER_VERSION_CHANGED)
    }

    /// Whether it may be tried again, and has certainly not happened yet.
    pub fn is_retryable_not_committed(self) -> bool {
        matches!(
            self,
            Self::TRANSACTION_TOO_OLD
                | Self::FUTURE_VERSION
                | Self::NOT_COMMITTED
                | Self::PROCESS_BEHIND
                | Self::DATABASE_LOCKED
                | Self::COMMIT_OVERLOADED
                | Self::BATCH_TRANSACTION_THROTTLED
                | Self::READ_VERSION_OVERLOADED
                | Self::TAG_THROTTLED
                | Self::PROXY_TAG_THROTTLED
                | Self::DISK_FULL
        )
    }

    /// Whether whoever sends this error closes the connection after it.
    pub fn closes_connection(self) -> bool {
        matches!(
            self,
            Self::PROTOCOL_VIOLATION
                | Self::FRAME_TOO_LARGE
                | Self::BAD_CHECKSUM
                | Self::PROTOCOL_VERSION_UNSUPPORTED
                | Self::UNKNOWN_FEATURE
                | Self::HELLO_EXPECTED
                | Self::TOO_MANY_CONNECTIONS
                | Self::TOO_SLOW
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A code and what it is about here. Small, and free to make when the code says it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub code: ErrorCode,
    /// The particulars: which key, which limit, which file. The code's text if there are none.
    pub message: Cow<'static, str>,
}

impl Error {
    /// An error with particulars.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: Cow::Borrowed(code.text()) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_by_code() {
        assert!(TABLE.is_sorted_by(|a, b| a.code < b.code));
        assert_eq!(ErrorCode::NOT_COMMITTED.name(), "not_committed");
        assert_eq!(ErrorCode(9999).name(), "unknown_error");
    }

    /// The codes for which a real `libfdb_c` 7.3.79 answers true: retryable, maybe committed. Behind
    /// them our own, which it does not know.
    #[test]
    fn the_predicates_are_foundationdbs() {
        let real = [
            (1007, false),
            (1009, false),
            (1020, false),
            (1021, true),
            (1037, false),
            (1038, false),
            (1039, true),
            (1042, false),
            (1051, false),
            (1078, false),
            (1213, false),
            (1223, false),
            (8042, false),
        ];
        for code in (0..u16::MAX).map(ErrorCode) {
            let known = real.iter().find(|(number, _)| *number == code.0);
            assert_eq!(code.is_retryable(), known.is_some(), "{code}");
            assert_eq!(code.is_maybe_committed(), known.is_some_and(|(_, maybe)| *maybe), "{code}");
        }
    }
}

/* The numbers of options, operations and modes.
 *
 * Values are given as bytes: a string without a zero at its end, a number in eight bytes, the lowest
 * first. */

#ifndef FDB_C_OPTIONS_G_H
#define FDB_C_OPTIONS_G_H

/* Of the network: set before fdb_setup_network. */
typedef enum {
    /* String; old, has no effect. */
    FDB_NET_OPTION_LOCAL_ADDRESS = 10,
    /* String; old, has no effect: name the file to fdb_create_database. */
    FDB_NET_OPTION_CLUSTER_FILE = 20,
    /* String: write a trace file into this directory, the working directory if empty. */
    FDB_NET_OPTION_TRACE_ENABLE = 30,
    /* Number: bytes of a trace file. */
    FDB_NET_OPTION_TRACE_ROLL_SIZE = 31,
    /* Number: bytes of all trace files. */
    FDB_NET_OPTION_TRACE_MAX_LOGS_SIZE = 32,
    /* String: the LogGroup of trace events. */
    FDB_NET_OPTION_TRACE_LOG_GROUP = 33,
    /* String: xml (the default) or json. */
    FDB_NET_OPTION_TRACE_FORMAT = 34,
    /* String: now or realtime. */
    FDB_NET_OPTION_TRACE_CLOCK_SOURCE = 35,
    /* String: goes into the names of trace files. */
    FDB_NET_OPTION_TRACE_FILE_IDENTIFIER = 36,
    /* No value. */
    FDB_NET_OPTION_TRACE_SHARE_AMONG_CLIENT_THREADS = 37,
    /* No value. */
    FDB_NET_OPTION_TRACE_INITIALIZE_ON_SETUP = 38,
    /* String: behind the name of a trace file that is still written to. */
    FDB_NET_OPTION_TRACE_PARTIAL_FILE_SUFFIX = 39,
    /* String: name=value. */
    FDB_NET_OPTION_KNOB = 40,
    /* String; old, has no effect. */
    FDB_NET_OPTION_TLS_PLUGIN = 41,
    /* Bytes. */
    FDB_NET_OPTION_TLS_CERT_BYTES = 42,
    /* String. */
    FDB_NET_OPTION_TLS_CERT_PATH = 43,
    /* Bytes. */
    FDB_NET_OPTION_TLS_KEY_BYTES = 45,
    /* String. */
    FDB_NET_OPTION_TLS_KEY_PATH = 46,
    /* Bytes. */
    FDB_NET_OPTION_TLS_VERIFY_PEERS = 47,
    /* No value. */
    FDB_NET_OPTION_BUGGIFY_ENABLE = 48,
    /* No value. */
    FDB_NET_OPTION_BUGGIFY_DISABLE = 49,
    /* Number: 0 to 100. */
    FDB_NET_OPTION_BUGGIFY_SECTION_ACTIVATED_PROBABILITY = 50,
    /* Number: 0 to 100. */
    FDB_NET_OPTION_BUGGIFY_SECTION_FIRED_PROBABILITY = 51,
    /* Bytes. */
    FDB_NET_OPTION_TLS_CA_BYTES = 52,
    /* String. */
    FDB_NET_OPTION_TLS_CA_PATH = 53,
    /* String. */
    FDB_NET_OPTION_TLS_PASSWORD = 54,
    /* No value. */
    FDB_NET_OPTION_TLS_DISABLE_PLAINTEXT_CONNECTION = 55,
    /* No value. */
    FDB_NET_OPTION_DISABLE_MULTI_VERSION_CLIENT_API = 60,
    /* No value: callbacks may come on any thread. */
    FDB_NET_OPTION_CALLBACKS_ON_EXTERNAL_THREADS = 61,
    /* String: a file that must exist; it is not loaded. */
    FDB_NET_OPTION_EXTERNAL_CLIENT_LIBRARY = 62,
    /* String: nothing is loaded from it. */
    FDB_NET_OPTION_EXTERNAL_CLIENT_DIRECTORY = 63,
    /* No value. */
    FDB_NET_OPTION_DISABLE_LOCAL_CLIENT = 64,
    /* Number: 1 to 1024. */
    FDB_NET_OPTION_CLIENT_THREADS_PER_VERSION = 65,
    /* String. */
    FDB_NET_OPTION_FUTURE_VERSION_CLIENT_LIBRARY = 66,
    /* No value. */
    FDB_NET_OPTION_RETAIN_CLIENT_LIBRARY_COPIES = 67,
    /* No value. */
    FDB_NET_OPTION_IGNORE_EXTERNAL_CLIENT_FAILURES = 68,
    /* No value. */
    FDB_NET_OPTION_FAIL_INCOMPATIBLE_CLIENT = 69,
    /* No value. */
    FDB_NET_OPTION_DISABLE_CLIENT_STATISTICS_LOGGING = 70,
    /* No value. */
    FDB_NET_OPTION_ENABLE_RUN_LOOP_PROFILING = 71,
    /* The same by its older name. */
    FDB_NET_OPTION_ENABLE_SLOW_TASK_PROFILING = 71,
    /* No value. */
    FDB_NET_OPTION_DISABLE_CLIENT_BYPASS = 72,
    /* No value. */
    FDB_NET_OPTION_CLIENT_BUGGIFY_ENABLE = 80,
    /* No value. */
    FDB_NET_OPTION_CLIENT_BUGGIFY_DISABLE = 81,
    /* Number: 0 to 100. */
    FDB_NET_OPTION_CLIENT_BUGGIFY_SECTION_ACTIVATED_PROBABILITY = 82,
    /* Number: 0 to 100. */
    FDB_NET_OPTION_CLIENT_BUGGIFY_SECTION_FIRED_PROBABILITY = 83,
    /* String. */
    FDB_NET_OPTION_TRACE_IP = 84,
    /* String: none, log_file or network_lossy. */
    FDB_NET_OPTION_DISTRIBUTED_CLIENT_TRACER = 90,
    /* String. */
    FDB_NET_OPTION_CLIENT_TMP_DIR = 91,
    /* String. */
    FDB_NET_OPTION_SUPPORTED_CLIENT_VERSIONS = 1000,
    /* No value. */
    FDB_NET_OPTION_EXTERNAL_CLIENT = 1001,
    /* Number. */
    FDB_NET_OPTION_EXTERNAL_CLIENT_TRANSPORT_ID = 1002
} FDBNetworkOption;

/* Of a cluster, in API versions below 610: there are none. */
typedef enum {
    /* An enumeration needs a member. */
    FDB_CLUSTER_OPTION_DUMMY_DO_NOT_USE = -1
} FDBClusterOption;

/* Of a database: what its transactions begin with. */
typedef enum {
    /* Number. */
    FDB_DB_OPTION_LOCATION_CACHE_SIZE = 10,
    /* Number: 0 to 1000000; one watch more fails. */
    FDB_DB_OPTION_MAX_WATCHES = 20,
    /* String. */
    FDB_DB_OPTION_MACHINE_ID = 21,
    /* String. */
    FDB_DB_OPTION_DATACENTER_ID = 22,
    /* No value: snapshot reads see own writes, unless disabled as often. */
    FDB_DB_OPTION_SNAPSHOT_RYW_ENABLE = 26,
    /* No value: takes one of those back. */
    FDB_DB_OPTION_SNAPSHOT_RYW_DISABLE = 27,
    /* Number. */
    FDB_DB_OPTION_TRANSACTION_LOGGING_MAX_FIELD_LENGTH = 405,
    /* Number: milliseconds, 0 for none. */
    FDB_DB_OPTION_TRANSACTION_TIMEOUT = 500,
    /* Number: -1 for none. */
    FDB_DB_OPTION_TRANSACTION_RETRY_LIMIT = 501,
    /* Number: milliseconds. */
    FDB_DB_OPTION_TRANSACTION_MAX_RETRY_DELAY = 502,
    /* Number: bytes, 32 to 10000000. */
    FDB_DB_OPTION_TRANSACTION_SIZE_LIMIT = 503,
    /* No value. */
    FDB_DB_OPTION_TRANSACTION_CAUSAL_READ_RISKY = 504,
    /* No value. */
    FDB_DB_OPTION_TRANSACTION_INCLUDE_PORT_IN_ADDRESS = 505,
    /* No value. */
    FDB_DB_OPTION_TRANSACTION_AUTOMATIC_IDEMPOTENCY = 506,
    /* No value. */
    FDB_DB_OPTION_TRANSACTION_BYPASS_UNREADABLE = 700,
    /* No value. */
    FDB_DB_OPTION_TRANSACTION_USED_DURING_COMMIT_PROTECTION_DISABLE = 701,
    /* No value. */
    FDB_DB_OPTION_TRANSACTION_REPORT_CONFLICTING_KEYS = 702,
    /* No value. */
    FDB_DB_OPTION_USE_CONFIG_DATABASE = 800,
    /* Number. */
    FDB_DB_OPTION_TEST_CAUSAL_READ_RISKY = 900
} FDBDatabaseOption;

/* Of a transaction. */
typedef enum {
    /* No value. */
    FDB_TR_OPTION_CAUSAL_WRITE_RISKY = 10,
    /* No value. */
    FDB_TR_OPTION_CAUSAL_READ_RISKY = 20,
    /* No value. */
    FDB_TR_OPTION_CAUSAL_READ_DISABLE = 21,
    /* No value: addresses have ports, as from version 630 on anyway. */
    FDB_TR_OPTION_INCLUDE_PORT_IN_ADDRESS = 23,
    /* No value: the next write conflicts with no read. */
    FDB_TR_OPTION_NEXT_WRITE_NO_WRITE_CONFLICT_RANGE = 30,
    /* No value. */
    FDB_TR_OPTION_COMMIT_ON_FIRST_PROXY = 40,
    /* No value. */
    FDB_TR_OPTION_CHECK_WRITES_ENABLE = 50,
    /* No value: before the first read or write. */
    FDB_TR_OPTION_READ_YOUR_WRITES_DISABLE = 51,
    /* No value. */
    FDB_TR_OPTION_READ_AHEAD_DISABLE = 52,
    /* No value; old, has no effect. */
    FDB_TR_OPTION_DURABILITY_DATACENTER = 110,
    /* No value; old, has no effect. */
    FDB_TR_OPTION_DURABILITY_RISKY = 120,
    /* No value; old, has no effect. */
    FDB_TR_OPTION_DURABILITY_DEV_NULL_IS_WEB_SCALE = 130,
    /* No value. */
    FDB_TR_OPTION_PRIORITY_SYSTEM_IMMEDIATE = 200,
    /* No value. */
    FDB_TR_OPTION_PRIORITY_BATCH = 201,
    /* No value. */
    FDB_TR_OPTION_INITIALIZE_NEW_DATABASE = 300,
    /* No value: keys from \xff on may be read and written. */
    FDB_TR_OPTION_ACCESS_SYSTEM_KEYS = 301,
    /* No value: they may be read. */
    FDB_TR_OPTION_READ_SYSTEM_KEYS = 302,
    /* No value. */
    FDB_TR_OPTION_RAW_ACCESS = 303,
    /* No value. */
    FDB_TR_OPTION_BYPASS_STORAGE_QUOTA = 304,
    /* No value. */
    FDB_TR_OPTION_DEBUG_DUMP = 400,
    /* String. */
    FDB_TR_OPTION_DEBUG_RETRY_LOGGING = 401,
    /* String. */
    FDB_TR_OPTION_TRANSACTION_LOGGING_ENABLE = 402,
    /* String: 1 to 100 bytes. */
    FDB_TR_OPTION_DEBUG_TRANSACTION_IDENTIFIER = 403,
    /* No value: after an identifier was set. */
    FDB_TR_OPTION_LOG_TRANSACTION = 404,
    /* Number. */
    FDB_TR_OPTION_TRANSACTION_LOGGING_MAX_FIELD_LENGTH = 405,
    /* No value. */
    FDB_TR_OPTION_SERVER_REQUEST_TRACING = 406,
    /* Number: milliseconds from the beginning or the last reset, 0 for none. */
    FDB_TR_OPTION_TIMEOUT = 500,
    /* Number: -1 for none. */
    FDB_TR_OPTION_RETRY_LIMIT = 501,
    /* Number: milliseconds. */
    FDB_TR_OPTION_MAX_RETRY_DELAY = 502,
    /* Number: bytes, 32 to 10000000. */
    FDB_TR_OPTION_SIZE_LIMIT = 503,
    /* Bytes: 16 to 255 of them. */
    FDB_TR_OPTION_IDEMPOTENCY_ID = 504,
    /* No value. */
    FDB_TR_OPTION_AUTOMATIC_IDEMPOTENCY = 505,
    /* No value. */
    FDB_TR_OPTION_READ_SERVER_SIDE_CACHE_ENABLE = 507,
    /* No value. */
    FDB_TR_OPTION_READ_SERVER_SIDE_CACHE_DISABLE = 508,
    /* No value. */
    FDB_TR_OPTION_READ_PRIORITY_NORMAL = 509,
    /* No value. */
    FDB_TR_OPTION_READ_PRIORITY_LOW = 510,
    /* No value. */
    FDB_TR_OPTION_READ_PRIORITY_HIGH = 511,
    /* No value: snapshot reads see own writes, unless disabled as often. */
    FDB_TR_OPTION_SNAPSHOT_RYW_ENABLE = 600,
    /* No value: takes one of those back. */
    FDB_TR_OPTION_SNAPSHOT_RYW_DISABLE = 601,
    /* No value: works on a locked database. */
    FDB_TR_OPTION_LOCK_AWARE = 700,
    /* No value. */
    FDB_TR_OPTION_USED_DURING_COMMIT_PROTECTION_DISABLE = 701,
    /* No value: may read a locked database. */
    FDB_TR_OPTION_READ_LOCK_AWARE = 702,
    /* No value. */
    FDB_TR_OPTION_FIRST_IN_BATCH = 710,
    /* No value. */
    FDB_TR_OPTION_USE_PROVISIONAL_PROXIES = 711,
    /* No value: a conflict tells which reads were hit. */
    FDB_TR_OPTION_REPORT_CONFLICTING_KEYS = 712,
    /* No value: reads of special keys may cross modules. */
    FDB_TR_OPTION_SPECIAL_KEY_SPACE_RELAXED = 713,
    /* No value: special keys may be written. */
    FDB_TR_OPTION_SPECIAL_KEY_SPACE_ENABLE_WRITES = 714,
    /* String: at most 255 bytes, at most five of them. */
    FDB_TR_OPTION_TAG = 800,
    /* String: the same. */
    FDB_TR_OPTION_AUTO_THROTTLE_TAG = 801,
    /* Bytes: 33 of them. */
    FDB_TR_OPTION_SPAN_PARENT = 900,
    /* No value. */
    FDB_TR_OPTION_EXPENSIVE_CLEAR_COST_ESTIMATION_ENABLE = 1000,
    /* No value: versionstamped writes can be read before the commit. */
    FDB_TR_OPTION_BYPASS_UNREADABLE = 1100,
    /* No value. */
    FDB_TR_OPTION_USE_GRV_CACHE = 1101,
    /* No value. */
    FDB_TR_OPTION_SKIP_GRV_CACHE = 1102,
    /* Number. */
    FDB_TR_OPTION_MAX_GRV_QUEUE_DELAY = 1103,
    /* String. */
    FDB_TR_OPTION_AUTHORIZATION_TOKEN = 2000,
    /* No value. */
    FDB_TR_OPTION_ENABLE_REPLICA_CONSISTENCY_CHECK = 4000,
    /* Number. */
    FDB_TR_OPTION_CONSISTENCY_CHECK_REQUIRED_REPLICAS = 4001
} FDBTransactionOption;

/* How fdb_transaction_get_range cuts a range into pages. */
typedef enum {
    /* The program wants the whole range. */
    FDB_STREAMING_MODE_WANT_ALL = -2,
    /* Pages grow with the iteration. */
    FDB_STREAMING_MODE_ITERATOR = -1,
    /* A page of the given limits. */
    FDB_STREAMING_MODE_EXACT = 0,
    /* Small pages. */
    FDB_STREAMING_MODE_SMALL = 1,
    /* Medium pages. */
    FDB_STREAMING_MODE_MEDIUM = 2,
    /* Large pages. */
    FDB_STREAMING_MODE_LARGE = 3,
    /* Pages for the fastest single reader. */
    FDB_STREAMING_MODE_SERIAL = 4
} FDBStreamingMode;

/* Operations that fdb_transaction_atomic_op can carry out. */
typedef enum {
    /* Adds little-endian numbers. */
    FDB_MUTATION_TYPE_ADD = 2,
    /* The same as BIT_AND, by its older name. */
    FDB_MUTATION_TYPE_AND = 6,
    /* Bitwise and; a missing value gives the operand. */
    FDB_MUTATION_TYPE_BIT_AND = 6,
    /* The same as BIT_OR, by its older name. */
    FDB_MUTATION_TYPE_OR = 7,
    /* Bitwise or. */
    FDB_MUTATION_TYPE_BIT_OR = 7,
    /* The same as BIT_XOR, by its older name. */
    FDB_MUTATION_TYPE_XOR = 8,
    /* Bitwise exclusive or. */
    FDB_MUTATION_TYPE_BIT_XOR = 8,
    /* Appends, unless the value would grow too long. */
    FDB_MUTATION_TYPE_APPEND_IF_FITS = 9,
    /* The larger of two little-endian numbers. */
    FDB_MUTATION_TYPE_MAX = 12,
    /* The smaller of two little-endian numbers; a missing value gives the operand. */
    FDB_MUTATION_TYPE_MIN = 13,
    /* Ten bytes of the key become the versionstamp; the last four say where. */
    FDB_MUTATION_TYPE_SET_VERSIONSTAMPED_KEY = 14,
    /* Ten bytes of the value do; the last four say where. */
    FDB_MUTATION_TYPE_SET_VERSIONSTAMPED_VALUE = 15,
    /* The one that sorts first. */
    FDB_MUTATION_TYPE_BYTE_MIN = 16,
    /* The one that sorts last. */
    FDB_MUTATION_TYPE_BYTE_MAX = 17,
    /* Clears the key if the value equals the operand. */
    FDB_MUTATION_TYPE_COMPARE_AND_CLEAR = 20
} FDBMutationType;

/* What fdb_transaction_add_conflict_range adds to. */
typedef enum {
    /* As though the range had been read. */
    FDB_CONFLICT_RANGE_TYPE_READ = 0,
    /* As though it had been written. */
    FDB_CONFLICT_RANGE_TYPE_WRITE = 1
} FDBConflictRangeType;

/* What fdb_error_predicate can be asked. */
typedef enum {
    /* Trying again may help. */
    FDB_ERROR_PREDICATE_RETRYABLE = 50000,
    /* The commit may have happened. */
    FDB_ERROR_PREDICATE_MAYBE_COMMITTED = 50001,
    /* Trying again may help, and nothing was committed. */
    FDB_ERROR_PREDICATE_RETRYABLE_NOT_COMMITTED = 50002
} FDBErrorPredicate;

#endif

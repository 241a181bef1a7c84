//! The settings of a server, from four sources: defaults, then a TOML file, then the environment,
//! then the command line; each overrides those before it, setting by setting.
//!
//! Every setting has one name: `--frame-bytes-max` on the command line, `frame-bytes-max` in the
//! file, `PLINTH_FRAME_BYTES_MAX` in the environment. A name in the file that is none is an error.

use std::{
    fmt, fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    thread,
    time::Duration,
};

use plinth_protocol::limits::{FRAME_BYTES_CEILING, Limits};
use serde::Deserialize;

use crate::{
    engine::{DurabilityMode, StorageOptions},
    server::{Backups, ServerConfig, ServerLimits, text},
};

/// More threads that serve connections than any machine has a use for.
const WORKER_THREADS_MAX: usize = 1024;

/// The durability that a server is started with: when it answers a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DurabilitySetting {
    /// When it is on the disk.
    Sync,
    /// When the operating system has it; the disk is synced this often.
    Interval(Duration),
    /// When it is in memory.
    None,
}

impl FromStr for DurabilitySetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sync" => Ok(Self::Sync),
            "none" => Ok(Self::None),
            _ => text
                .strip_prefix("interval=")
                .and_then(|ms| ms.parse().ok())
                .filter(|&ms| ms > 0)
                .map(|ms| Self::Interval(Duration::from_millis(ms)))
                .ok_or_else(|| {
                    format!("'{text}' is no durability: say sync, interval=<milliseconds> or none")
                }),
        }
    }
}

impl TryFrom<String> for DurabilitySetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DurabilitySetting> for DurabilityMode {
    fn from(setting: DurabilitySetting) -> Self {
        match setting {
            DurabilitySetting::Sync => Self::Sync,
            DurabilitySetting::Interval(interval) => Self::Interval(interval),
            DurabilitySetting::None => Self::None,
        }
    }
}

/// Declares [`Settings`]: a flag, a key of the file and a variable of the environment each.
macro_rules! settings {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty, $variable:literal, $placeholder:literal;)*) => {
        /// Settings as one source gives them; what it doesn't mention is `None`.
        #[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Settings {
            $($(#[doc = $doc])*
            #[arg(long, env = $variable, value_name = $placeholder)]
            pub $name: Option<$type>,)*
        }

        impl Settings {
            /// These, and where they say nothing, `lower`.
            pub fn or(self, lower: Self) -> Self {
                Self { $($name: self.$name.or(lower.$name),)* }
            }
        }
    };
}

settings! {
    /// Where to listen; port 0 takes any that is free [default: 127.0.0.1:4500]
    listen: String, "PLINTH_LISTEN", "HOST:PORT";
    /// Where clients are told to find the server, in the file fdb.cluster of the data directory
    /// [default: where it listens, or the loopback address if it listens on all]
    advertise: String, "PLINTH_ADVERTISE", "HOST:PORT";
    /// The directory that holds the data; created if it isn't there [default: plinth-data]
    data_dir: PathBuf, "PLINTH_DATA_DIR", "DIR";
    /// Backups are written below this directory and nowhere else [default: backups in the data
    /// directory]
    backup_dir: PathBuf, "PLINTH_BACKUP_DIR", "DIR";
    /// Every segment of the log is kept in this directory for good once it is closed, for a restore
    /// to any version or time behind a backup [default: none are kept]
    archive: PathBuf, "PLINTH_ARCHIVE", "DIR";
    /// When a commit is answered: 'sync', once it is on the disk; 'interval=MS', at once, the disk
    /// being synced that often; 'none', at once [default: sync]
    durability: DurabilitySetting, "PLINTH_DURABILITY", "MODE";
    /// What goes to standard error: error, warn, info, debug or trace, also by module, as in
    /// 'info,mine=debug' [default: info]
    log_level: String, "PLINTH_LOG_LEVEL", "LEVEL";
    /// Threads that serve connections [default: one a processor, but one processor is left for what
    /// commits and works in the background]
    worker_threads: usize, "PLINTH_WORKER_THREADS", "N";
    /// How long a transaction may read at its read version without pinning it [default: 5000]
    window_ms: u64, "PLINTH_WINDOW_MS", "MS";
    /// Memory for what was written last; when it is full, it goes to a table in the background, and
    /// up to three times as much is taken meanwhile [default: a 24th of the memory that the machine
    /// has or the control group allows, but 64 MiB to 1 GiB]
    memtable_bytes: u64, "PLINTH_MEMTABLE_BYTES", "BYTES";
    /// Log that a restart may have to read; beyond it, memory goes to a table though it isn't full
    /// [default: 1073741824]
    log_bytes_max: u64, "PLINTH_LOG_BYTES_MAX", "BYTES";
    /// Bytes of tables that compactions write a second as long as they keep up; 0 for as many as
    /// they can [default: 67108864]
    compaction_bytes_per_second: u64, "PLINTH_COMPACTION_BYTES_PER_SECOND", "BYTES";
    /// Tables that are larger than this together are packed, by LZ4, where that halves them: it saves
    /// room, and reads of the disk, and costs each read of what is in memory [default: half of the
    /// memory that the machine has or the control group allows]
    packed_from_bytes: u64, "PLINTH_PACKED_FROM_BYTES", "BYTES";
    /// Connections at a time [default: 4096]
    connections_max: usize, "PLINTH_CONNECTIONS_MAX", "N";
    /// Requests of one connection under way at a time; beyond it, its input waits [default: 1024]
    requests_max: usize, "PLINTH_REQUESTS_MAX", "N";
    /// Ranges streamed on one connection at a time [default: 64]
    streams_max: usize, "PLINTH_STREAMS_MAX", "N";
    /// Bytes of answers that wait for one peer; beyond it, its input waits [default: 1048576]
    output_bytes_max: usize, "PLINTH_OUTPUT_BYTES_MAX", "BYTES";
    /// The longest frame, at most 67108863 [default: 16777216]
    frame_bytes_max: usize, "PLINTH_FRAME_BYTES_MAX", "BYTES";
    /// The longest line in text mode [default: 1048576]
    line_bytes_max: usize, "PLINTH_LINE_BYTES_MAX", "BYTES";
    /// The longest key [default: 10000]
    key_bytes_max: usize, "PLINTH_KEY_BYTES_MAX", "BYTES";
    /// The longest value [default: 100000]
    value_bytes_max: usize, "PLINTH_VALUE_BYTES_MAX", "BYTES";
    /// The largest transaction, mutations and conflict ranges together [default: 10000000]
    transaction_bytes_max: usize, "PLINTH_TRANSACTION_BYTES_MAX", "BYTES";
    /// Watches of one connection [default: 10000]
    watches_max: usize, "PLINTH_WATCHES_MAX", "N";
    /// Pinned snapshots of one connection [default: 64]
    pins_max: usize, "PLINTH_PINS_MAX", "N";
    /// Server-held transactions open at a time [default: 10000]
    transactions_max: usize, "PLINTH_TRANSACTIONS_MAX", "N";
    /// Memory of all server-held transactions together [default: 268435456]
    transactions_bytes_max: usize, "PLINTH_TRANSACTIONS_BYTES_MAX", "BYTES";
    /// How long a server-held transaction lives if it doesn't say [default: 5000]
    transaction_timeout_ms: u64, "PLINTH_TRANSACTION_TIMEOUT_MS", "MS";
    /// How long a server-held transaction may ask to live [default: 300000]
    transaction_timeout_ms_max: u64, "PLINTH_TRANSACTION_TIMEOUT_MS_MAX", "MS";
    /// How long a new connection may take until it has said hello, or its first line
    /// [default: 60000]
    hello_timeout_ms: u64, "PLINTH_HELLO_TIMEOUT_MS", "MS";
    /// How long a frame or a line may take from its first byte to its last [default: 30000]
    frame_timeout_ms: u64, "PLINTH_FRAME_TIMEOUT_MS", "MS";
    /// How long a connection may be silent with nothing under way; 0 for ever [default: 0]
    idle_timeout_ms: u64, "PLINTH_IDLE_TIMEOUT_MS", "MS";
    /// How long a peer may leave answers untouched before it is given up [default: 30000]
    write_timeout_ms: u64, "PLINTH_WRITE_TIMEOUT_MS", "MS";
    /// How long a stop waits for what is under way [default: 10000]
    shutdown_timeout_ms: u64, "PLINTH_SHUTDOWN_TIMEOUT_MS", "MS";
}

/// Why settings can't be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file can't be read.
    Unreadable(PathBuf, io::Error),
    /// The file holds what it must not.
    Invalid(PathBuf, toml::de::Error),
    /// A setting has a value that can't be.
    OutOfBounds {
        /// Its name.
        name: &'static str,
        /// What it may be.
        bounds: String,
    },
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "the configuration file {} can't be read: {error}", path.display())
            }
            Self::Invalid(path, error) => {
                write!(f, "the configuration file {} is wrong: {error}", path.display())
            }
            Self::OutOfBounds { name, bounds } => {
                write!(f, "the setting {name} must be {bounds}")
            }
        }
    }
}

impl std::error::Error for SettingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) => Some(error),
            Self::Invalid(_, error) => Some(error),
            Self::OutOfBounds { .. } => None,
        }
    }
}

impl Settings {
    /// The settings of a TOML file.
    pub fn from_file(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path)
            .map_err(|error| SettingsError::Unreadable(path.to_owned(), error))?;
        toml::from_str(&text).map_err(|error| SettingsError::Invalid(path.to_owned(), error))
    }

    /// The directory that holds the data.
    pub fn data_directory(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| PathBuf::from("plinth-data"))
    }

    /// How durable an answered commit is.
    pub fn durability(&self) -> DurabilitySetting {
        self.durability.unwrap_or(DurabilitySetting::Sync)
    }

    /// The window in which unpinned read versions are readable.
    pub fn window(&self) -> Result<Duration, SettingsError> {
        bounded("window-ms", self.window_ms.unwrap_or(5000), 1, 86_400_000)
            .map(Duration::from_millis)
    }

    /// When memory goes to tables, where the settings say something else than these.
    pub fn storage(&self, default: &StorageOptions) -> Result<StorageOptions, SettingsError> {
        let bytes = |name, setting: Option<u64>, default| {
            bounded(name, setting.unwrap_or(default), 64 << 10, 1 << 40)
        };
        Ok(StorageOptions {
            memtable_bytes: bytes("memtable-bytes", self.memtable_bytes, default.memtable_bytes)?,
            log_bytes_max: bytes("log-bytes-max", self.log_bytes_max, default.log_bytes_max)?,
            compaction_bytes_per_second: self
                .compaction_bytes_per_second
                .unwrap_or(default.compaction_bytes_per_second),
            packed_from_bytes: self.packed_from_bytes.unwrap_or(default.packed_from_bytes),
            ..default.clone()
        })
    }

    /// What the server proper is set up with.
    pub fn server_config(&self) -> Result<ServerConfig, SettingsError> {
        let default = ServerConfig::default();
        Ok(ServerConfig {
            listen: self.listen.clone().unwrap_or(default.listen),
            worker_threads: Some(self.worker_threads()?),
            limits: self.server_limits(&default.limits)?,
            backups: self.backup_dir.clone().map_or(default.backups, Backups::Below),
            shutdown_timeout: millis(self.shutdown_timeout_ms, default.shutdown_timeout),
        })
    }

    fn worker_threads(&self) -> Result<NonZeroUsize, SettingsError> {
        let of_machine = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let count = self.worker_threads.unwrap_or_else(|| of_machine.saturating_sub(1).max(1));
        bounded("worker-threads", count, 1, WORKER_THREADS_MAX)
            .map(|count| NonZeroUsize::MIN.saturating_add(count - 1))
    }

    fn server_limits(&self, default: &ServerLimits) -> Result<ServerLimits, SettingsError> {
        let count = |name, setting: Option<usize>, default| {
            bounded(name, setting.unwrap_or(default), 1, usize::MAX)
        };
        let limits = ServerLimits {
            connections_max: count(
                "connections-max",
                self.connections_max,
                default.connections_max,
            )?,
            requests_max: count("requests-max", self.requests_max, default.requests_max)?,
            streams_max: count("streams-max", self.streams_max, default.streams_max)?,
            output_bytes_max: count(
                "output-bytes-max",
                self.output_bytes_max,
                default.output_bytes_max,
            )?,
            line_bytes_max: count(
                "line-bytes-max",
                self.line_bytes_max,
                // Raised limits of keys and values must fit into a line too.
                default.line_bytes_max.max(text::line_bytes_max(&self.protocol_limits()?)),
            )?,
            watches_max: self.watches_max.unwrap_or(default.watches_max),
            pins_max: self.pins_max.unwrap_or(default.pins_max),
            transactions_max: self.transactions_max.unwrap_or(default.transactions_max),
            transactions_bytes_max: self
                .transactions_bytes_max
                .unwrap_or(default.transactions_bytes_max),
            window: self.window()?,
            transaction_timeout: millis(self.transaction_timeout_ms, default.transaction_timeout),
            transaction_timeout_max: millis(
                self.transaction_timeout_ms_max,
                default.transaction_timeout_max,
            ),
            hello_timeout: millis(self.hello_timeout_ms, default.hello_timeout),
            frame_timeout: millis(self.frame_timeout_ms, default.frame_timeout),
            idle_timeout: self
                .idle_timeout_ms
                .map_or(default.idle_timeout, |ms| (ms > 0).then(|| Duration::from_millis(ms))),
            write_timeout: millis(self.write_timeout_ms, default.write_timeout),
        };
        if limits.transaction_timeout > limits.transaction_timeout_max {
            return Err(SettingsError::OutOfBounds {
                name: "transaction-timeout-ms",
                bounds: "at most transaction-timeout-ms-max".to_owned(),
            });
        }
        Ok(limits)
    }

    /// The protocol's limits, each fitting into the next.
    pub fn protocol_limits(&self) -> Result<Limits, SettingsError> {
        let default = Limits::DEFAULT;
        let frame_bytes_max = bounded(
            "frame-bytes-max",
            self.frame_bytes_max.unwrap_or(default.frame_bytes_max),
            64 << 10,
            FRAME_BYTES_CEILING - 1,
        )?;
        let transaction_bytes_max = bounded(
            "transaction-bytes-max",
            self.transaction_bytes_max
                .unwrap_or(default.transaction_bytes_max.min(frame_bytes_max)),
            1024,
            frame_bytes_max,
        )?;
        let value_bytes_max = bounded(
            "value-bytes-max",
            self.value_bytes_max.unwrap_or(default.value_bytes_max.min(transaction_bytes_max)),
            1,
            transaction_bytes_max,
        )?;
        let key_bytes_max = bounded(
            "key-bytes-max",
            self.key_bytes_max.unwrap_or(default.key_bytes_max.min(transaction_bytes_max)),
            1,
            transaction_bytes_max,
        )?;
        Ok(Limits {
            frame_bytes_max,
            key_bytes_max,
            system_key_bytes_max: default.system_key_bytes_max.max(key_bytes_max),
            value_bytes_max,
            transaction_bytes_max,
        })
    }
}

fn millis(setting: Option<u64>, default: Duration) -> Duration {
    setting.map_or(default, Duration::from_millis)
}

fn bounded<T: Copy + PartialOrd + fmt::Display>(
    name: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<T, SettingsError> {
    if min <= value && value <= max {
        Ok(value)
    } else {
        let bounds = format!("from {min} to {max}, and is {value}");
        Err(SettingsError::OutOfBounds { name, bounds })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn a_higher_source_overrides_a_lower_one_setting_by_setting() {
        let file: Settings = toml::from_str("listen = 'file:1'\npins-max = 7").expect("valid");
        let flags = Flags::try_parse_from(["plinth", "--listen", "flag:2"]).expect("valid");
        let merged = flags.settings.or(file);
        assert_eq!(merged.listen.as_deref(), Some("flag:2"));
        assert_eq!(merged.pins_max, Some(7));
        assert_eq!(merged.window().expect("the default"), Duration::from_secs(5));
    }

    #[test]
    fn an_unknown_key_of_the_file_is_an_error_that_names_key_and_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("plinth.toml");
        fs::write(&path, "listen = 'a:1'\nlisen = 'b:2'\n").expect("a file");
        let error = Settings::from_file(&path).expect_err("no such key").to_string();
        assert!(error.contains("plinth.toml") && error.contains("`lisen`"), "{error}");
        let missing = Settings::from_file(&directory.path().join("none")).expect_err("no file");
        assert!(missing.to_string().contains("can't be read"), "{missing}");
    }

    #[test]
    fn a_setting_out_of_bounds_is_refused_by_name() {
        let too_large = Settings { frame_bytes_max: Some(FRAME_BYTES_CEILING), ..<_>::default() };
        let error = too_large.protocol_limits().expect_err("out of bounds").to_string();
        assert!(error.contains("frame-bytes-max"), "{error}");
        let none = Settings { connections_max: Some(0), ..<_>::default() };
        assert!(none.server_config().is_err());
    }

    #[test]
    fn durability_is_one_of_three_words() {
        assert_eq!("sync".parse(), Ok(DurabilitySetting::Sync));
        assert_eq!("none".parse(), Ok(DurabilitySetting::None));
        let interval = DurabilitySetting::Interval(Duration::from_millis(20));
        assert_eq!("interval=20".parse(), Ok(interval));
        for wrong in ["interval=0", "interval=", "fsync", ""] {
            assert!(wrong.parse::<DurabilitySetting>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_settings_are_the_defaults() {
        let config = Settings::default().server_config().expect("the defaults are valid");
        assert!(config.worker_threads.is_some());
        assert_eq!(ServerConfig { worker_threads: None, ..config }, ServerConfig::default());
        assert_eq!(Settings::default().protocol_limits().expect("valid"), Limits::DEFAULT);
    }

    #[test]
    fn packing_is_as_the_memory_says_unless_it_is_set() {
        let default = StorageOptions::for_memory(1 << 30);
        let of = |packed_from_bytes| {
            let settings = Settings { packed_from_bytes, ..Settings::default() };
            settings.storage(&default).ok().map(|storage| storage.packed_from_bytes)
        };
        assert_eq!((of(None), of(Some(0))), (Some(1 << 29), Some(0)));
    }

    #[test]
    fn a_server_has_one_thread_that_serves_or_more() {
        let of = |worker_threads| {
            Settings { worker_threads, ..Settings::default() }.server_config().ok()
        };
        let three = of(Some(3)).and_then(|config| config.worker_threads);
        assert_eq!(three, NonZeroUsize::new(3));
        assert_eq!(of(Some(0)), None);
        assert_eq!(of(Some(WORKER_THREADS_MAX + 1)), None);
    }

    /// The help repeats the defaults by hand; this keeps it true.
    #[test]
    fn the_help_states_the_defaults_and_variables_are_named_after_flags() {
        let (limits, protocol) = (ServerLimits::default(), Limits::DEFAULT);
        let stated = [
            ("connections-max", limits.connections_max),
            ("requests-max", limits.requests_max),
            ("streams-max", limits.streams_max),
            ("output-bytes-max", limits.output_bytes_max),
            ("frame-bytes-max", protocol.frame_bytes_max),
            ("line-bytes-max", limits.line_bytes_max),
            ("key-bytes-max", protocol.key_bytes_max),
            ("value-bytes-max", protocol.value_bytes_max),
            ("transaction-bytes-max", protocol.transaction_bytes_max),
            ("watches-max", limits.watches_max),
            ("pins-max", limits.pins_max),
            ("transactions-max", limits.transactions_max),
            ("transactions-bytes-max", limits.transactions_bytes_max),
            ("transaction-timeout-ms", limits.transaction_timeout.as_millis() as usize),
            ("transaction-timeout-ms-max", limits.transaction_timeout_max.as_millis() as usize),
            ("hello-timeout-ms", limits.hello_timeout.as_millis() as usize),
            ("frame-timeout-ms", limits.frame_timeout.as_millis() as usize),
            ("write-timeout-ms", limits.write_timeout.as_millis() as usize),
        ];
        let command = Flags::command();
        for (name, value) in stated {
            let argument = command
                .get_arguments()
                .find(|argument| argument.get_long() == Some(name))
                .unwrap_or_else(|| panic!("no flag --{name}"));
            let help = argument.get_help().expect("a help text").to_string();
            assert!(help.ends_with(&format!("[default: {value}]")), "--{name}: {help}");
        }
        for argument in command.get_arguments().filter(|a| a.get_id() != "help") {
            let name = argument.get_long().expect("every setting has a flag");
            let variable = argument.get_env().expect("every setting has a variable");
            let expected = format!("PLINTH_{}", name.replace('-', "_").to_uppercase());
            assert_eq!(variable.to_string_lossy(), expected);
        }
    }
}

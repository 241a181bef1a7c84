//! Cluster files: how FoundationDB's programs are told where their database is.
//!
//! One line, `description:id@address[,address…]`, where an address is `host:port` or `[IPv6]:port`,
//! with `:tls` after it for an encrypted connection; lines that begin with `#` are comments. Plinth
//! is one server, so that the first address is the one that counts.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use plinth_protocol::{Error, ErrorCode};

/// Names a cluster file for programs that are not told of one.
const VARIABLE: &str = "FDB_CLUSTER_FILE";
/// The name of a cluster file in the working directory.
const FILE_NAME: &str = "fdb.cluster";
/// Where the cluster file of a machine lies.
const SYSTEM_FILE: &str = "/etc/foundationdb/fdb.cluster";
/// No cluster file is longer than this.
const BYTES_MAX: u64 = 1 << 20;

/// What a cluster file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFile {
    /// A name for people: letters, digits and `_`.
    pub description: String,
    /// Tells databases apart: letters and digits.
    pub id: String,
    /// Where the servers are, `host:port` each; one at least.
    pub addresses: Vec<String>,
}

impl ClusterFile {
    /// The file that a program uses if it is not told of one: the one that the environment variable
    /// `FDB_CLUSTER_FILE` names, else `fdb.cluster` in the working directory if it exists, else
    /// `/etc/foundationdb/fdb.cluster`.
    pub fn default_path() -> PathBuf {
        if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            return named.into();
        }
        let here = Path::new(FILE_NAME);
        if here.exists() { here.to_path_buf() } else { SYSTEM_FILE.into() }
    }

    /// What leads to one server, at `host:port`. Fails with `connection_string_invalid` if the parts
    /// are not what they must be.
    pub fn new(description: &str, id: &str, address: &str) -> Result<Self, Error> {
        Self::parse(&format!("{description}:{id}@{address}"))
    }

    /// Writes the file. Who reads meanwhile finds what was there before, or all of this; a file that
    /// says the same already is left alone.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = format!("{self}\n");
        if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = Path::new(&unfinished);
        let written = fs::write(unfinished, text).and_then(|()| fs::rename(unfinished, path));
        if written.is_err() {
            // What went wrong is said already.
            let _ = fs::remove_file(unfinished);
        }
        written
    }

    /// Reads a cluster file. Fails with `no_cluster_file_found` if there is none, with
    /// `connection_string_invalid` if it says something else than where servers are.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let failed = |error: io::Error| {
            let text = if error.kind() == ErrorKind::NotFound {
                format!("There is no cluster file {shown}")
            } else {
                format!("The cluster file {shown} can't be read: {error}")
            };
            Error::new(ErrorCode::NO_CLUSTER_FILE_FOUND, text)
        };
        if fs::metadata(path).map_err(failed)?.len() > BYTES_MAX {
            let text = format!("{shown} is too long for a cluster file");
            return Err(Error::new(ErrorCode::CONNECTION_STRING_INVALID, text));
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).map_err(|error| {
            let text = format!("The cluster file {shown} is wrong: {}", error.message);
            Error::new(error.code, text)
        })
    }

    /// Understands the text of a cluster file, or a connection string, which is the same.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::new(ErrorCode::CONNECTION_STRING_INVALID, why);
        let mut lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(wrong("it has one line, description:id@host:port".to_owned()));
        };
        let parts = line.split_once('@').and_then(|(name, addresses)| {
            name.split_once(':').map(|(description, id)| (description, id, addresses))
        });
        let Some((description, id, addresses)) = parts else {
            return Err(wrong(format!("'{line}' is not of the form description:id@host:port")));
        };
        let is_name = |text: &str, also: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        if !is_name(description, "_") {
            return Err(wrong(format!(
                "the description '{description}' has other than letters, digits and _"
            )));
        }
        if !is_name(id, "") {
            return Err(wrong(format!("the id '{id}' has other than letters and digits")));
        }
        let mut understood: Vec<String> = Vec::new();
        for address in addresses.split(',') {
            let address = parse_address(address).map_err(wrong)?;
            if understood.contains(&address) {
                return Err(wrong(format!("the address {address} is there twice")));
            }
            understood.push(address);
        }
        Ok(Self { description: description.to_owned(), id: id.to_owned(), addresses: understood })
    }
}

impl fmt::Display for ClusterFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.description, self.id, self.addresses.join(","))
    }
}

fn parse_address(text: &str) -> Result<String, String> {
    if text.ends_with(":tls") {
        return Err(format!("{text} asks for an encrypted connection, which this client has not"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("the address '{text}' has no port"));
    };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(format!("the port of '{text}' is not a number from 1 to 65535"));
    }
    let is_bare = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let is_bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    if host.is_empty() || !(is_bare || is_bracketed) {
        return Err(format!("'{host}' is not the name or address of a host"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_files_are_understood() {
        for (text, addresses) in [
            ("desc:id@127.0.0.1:4500", vec!["127.0.0.1:4500"]),
            ("# a comment\n\n  a_b:A1@db.example:1,[::1]:2  \n", vec!["db.example:1", "[::1]:2"]),
        ] {
            assert_eq!(ClusterFile::parse(text).unwrap().addresses, addresses);
        }
        let file = ClusterFile::parse("a:b@c:1,d:2\n").unwrap();
        assert_eq!(file.to_string(), "a:b@c:1,d:2");
    }

    #[test]
    fn bad_files_are_refused_with_a_reason() {
        for (text, reason) in [
            ("", "one line"),
            ("a:b@c:1\na:b@c:2", "one line"),
            ("a@c:1", "form"),
            ("a-b:c@d:1", "description"),
            (":c@d:1", "description"),
            ("a:b_c@d:1", "id"),
            ("a:b@", "port"),
            ("a:b@d", "port"),
            ("a:b@d:0", "port"),
            ("a:b@d:1,d:1", "twice"),
            ("a:b@d e:1", "host"),
            ("a:b@::1:1", "host"),
            ("a:b@d:1:tls", "encrypted"),
        ] {
            let error = ClusterFile::parse(text).unwrap_err();
            assert_eq!(error.code, ErrorCode::CONNECTION_STRING_INVALID);
            assert!(error.message.contains(reason), "{text}: {}", error.message);
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fdb.cluster");
        for address in ["127.0.0.1:4500", "[::1]:4501"] {
            let file = ClusterFile::new("plinth", "0a1b", address).unwrap();
            file.write(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("plinth:0a1b@{address}\n"));
            assert_eq!(ClusterFile::read(&path).unwrap(), file);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        }
        assert!(ClusterFile::new("plinth", "0a1b", "fe80::1%2:4500").is_err());
    }

    #[test]
    fn what_says_the_same_is_not_written_and_what_fails_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fdb.cluster");
        let file = ClusterFile::new("plinth", "0a1b", "127.0.0.1:4500").unwrap();
        file.write(&path).unwrap();
        // Neither can be written any more.
        fs::create_dir(directory.path().join("fdb.cluster.new")).unwrap();
        file.write(&path).unwrap();
        let other = ClusterFile::new("plinth", "0a1b", "127.0.0.1:4501").unwrap();
        other.write(&path).unwrap_err();
        assert_eq!(ClusterFile::read(&path).unwrap(), file);
        fs::remove_dir(directory.path().join("fdb.cluster.new")).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        file.write(&path).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = ClusterFile::read(Path::new("/nowhere/fdb.cluster")).unwrap_err();
        assert_eq!(error.code, ErrorCode::NO_CLUSTER_FILE_FOUND);
        assert!(error.message.contains("/nowhere/fdb.cluster"));
    }
}

//! The library, the server, and the programs between them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// No program takes longer than this unless something hangs.
const PROGRAM_LIMIT: Duration = Duration::from_mins(2);

/// The folder with our `libfdb_c.so`, built by the same cargo into the same place as this test.
pub(crate) fn library_directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let profile = own.parent().and_then(Path::parent).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "plinth-capi"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        cargo.env("CARGO_TARGET_DIR", profile.parent().unwrap());
        assert!(cargo.status().unwrap().success(), "libfdb_c.so is built");
        assert!(profile.join("libfdb_c.so").exists());
        profile.to_path_buf()
    })
}

/// The folder that programs in C are told to look for headers in.
pub(crate) fn headers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("capi/include")
}

/// The folder with the programs of this test.
pub(crate) fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fdb")
}

/// The names of the scenarios that a program has in a list, each in a line that begins with `before`
/// and its name in quotes: what it says when all of them went well.
pub(crate) fn said_names(source: &Path, before: &str) -> Vec<String> {
    let text = fs::read_to_string(source).unwrap();
    let name = |line: &str| {
        let (_, rest) = line.split_once(before)?;
        rest.split_once('"').map(|(name, _)| name.to_owned())
    };
    let names: Vec<_> = text.lines().filter_map(name).collect();
    assert!(!names.is_empty(), "{} lists scenarios", source.display());
    names
}

/// Whether a machine may lack what a test needs: anywhere but in CI. Says what is left out.
pub(crate) fn may_be_skipped(what: &str, why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{what} must run in CI: {why}");
    // The one place where a test speaks: whoever runs it should know what it has not shown.
    std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("left out: {what}: {why}\n").as_bytes(),
    )
    .is_ok()
}

/// An ephemeral server: an empty database, and a cluster file that leads to it.
pub(crate) struct Server {
    child: Child,
    cluster_file: PathBuf,
    /// Where its temporary files are, which it can't remove when it is killed.
    _directory: TempDir,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_plinth"))
            .args(["serve", "--ephemeral"])
            .env("TMPDIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let cluster_file = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("cluster file ").map(PathBuf::from))
            .expect("the server listens");
        Self { child, cluster_file, _directory: directory }
    }

    /// A cluster file that leads to the server.
    pub(crate) fn cluster_file(&self) -> PathBuf {
        self.cluster_file.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program that talks to the server: our library is the one it finds, and the cluster file is
/// its default. Gives what it printed; fails with all of it if it does not succeed in time.
pub(crate) fn run(server: &Server, command: &mut Command) -> String {
    let mut child = command
        .env("LD_LIBRARY_PATH", library_directory())
        .env("FDB_CLUSTER_FILE", server.cluster_file())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic_with(&format!("{command:?}: {error}")));
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text).unwrap_or_default()
    });
    let writer = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text).unwrap_or_default()
    });
    let deadline = Instant::now() + PROGRAM_LIMIT;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let (out, err) = (writer.join().unwrap(), reader.join().unwrap());
    let ended = status.is_some_and(|status| status.success());
    assert!(ended, "{command:?} ended with {status:?}\n{out}\n{err}");
    out
}

#[expect(clippy::panic, reason = "a test that can't go on has failed")]
fn panic_with(text: &str) -> ! {
    panic!("{text}")
}

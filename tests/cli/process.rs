//! The real binary: servers and commands.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// The binary with these arguments.
pub(crate) fn plinth(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plinth"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// What a finished command has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the command ends by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Said {
    plinth(arguments).output().unwrap().into()
}

/// Runs the binary to its end, with this on its standard input.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Said {
    let mut child = plinth(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin: ChildStdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that stops early closes the pipe; what it said is what counts.
    let feeder = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let said = child.wait_with_output().unwrap().into();
    feeder.join().unwrap();
    said
}

/// A server on a directory, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// The same with more options.
    pub(crate) fn start_with(directory: &Path, options: &[&str]) -> Self {
        Self::listen(directory, "127.0.0.1:0", options)
    }

    /// Asks the server to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Kills the server at once, as a crash would, and starts another in its place.
    pub(crate) fn crash_and_start_again(self, directory: &Path) -> Self {
        let address = self.address.to_string();
        drop(self);
        Self::listen(directory, &address, &[])
    }

    fn listen(directory: &Path, address: &str, options: &[&str]) -> Self {
        let directory = directory.to_str().unwrap();
        let mut child = plinth(&["serve", "--listen", address, "--data-dir", directory])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ")?.parse().ok());
        let mut stderr = child.stderr.take().unwrap();
        let mut said = String::new();
        if address.is_none() {
            stderr.read_to_string(&mut said).unwrap();
        }
        let address = address.ok_or(said).expect("the server listens");
        // What it says must not fill a pipe that nobody reads.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        std::thread::spawn(move || lines.count());
        Self { child, address }
    }

    /// Where its directory says that it is, as `--cluster-file` takes it.
    pub(crate) fn cluster_file(directory: &Path) -> String {
        directory.join("fdb.cluster").to_str().unwrap().to_owned()
    }

    /// Its address as `--target` takes it.
    pub(crate) fn target(&self) -> String {
        format!("plinth://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! `plinth serve` as a child process: started, killed, asked to stop.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; killed when dropped.
pub(crate) struct Plinth {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// The binary under test with these arguments.
pub(crate) fn plinth<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plinth"));
    command.args(arguments).stdin(Stdio::null());
    command
}

impl Plinth {
    /// Starts a server on `directory` and any free port, and waits until it listens.
    pub(crate) fn serve(directory: &Path, options: &[&str]) -> Self {
        Self::serve_at("127.0.0.1:0", directory, options)
    }

    /// The same on a given address.
    pub(crate) fn serve_at(address: &str, directory: &Path, options: &[&str]) -> Self {
        let mut child = plinth(["serve", "--listen", address, "--log-level", "error"])
            .arg("--data-dir")
            .arg(directory)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address =
            line.strip_prefix("listening on ").and_then(|rest| rest.trim_end().parse().ok());
        let Some(address) = address else {
            let status = child.wait().expect("the server ends");
            panic!("the server said {line:?} and ended with {status}");
        };
        Self { child, address }
    }

    /// Takes its life, as a crash of the process would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a child can be asked to stop");
    }

    /// The most memory that it has had so far, where the system tells (Linux).
    pub(crate) fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(self) {
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "the server ended with {status}");
    }
}

impl Drop for Plinth {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

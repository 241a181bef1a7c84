//! The Python binding of FoundationDB, in several releases, each as pip fetches it.
//!
//! The releases lie in `fdb-python` of cargo's target folder; what isn't there yet, pip fetches.
//! Every release runs all programs, each as a process of its own, against one server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::support::{Server, library_directory, may_be_skipped, programs, run};

/// What every release runs.
const PROGRAMS: &[&str] = &[
    "transactions",
    "ranges",
    "atomics",
    "watches",
    "stamps",
    "tuples",
    "directories",
    "class_scheduling",
    "job_queue",
    "bank",
    "limits",
    "special_keys",
    "placement",
    "tenants",
    "callbacks",
    "older_versions",
];

/// API versions at which something changed, and which a present-day release may ask for.
const OLDER_VERSIONS: &[u32] = &[510, 520, 600, 610, 620, 630, 700];

fn python() -> Command {
    Command::new("python3")
}

/// The folder with a release of the binding; `None` if this machine can't have it.
fn release(version: &str) -> Option<PathBuf> {
    let here = library_directory().parent().unwrap().join("fdb-python");
    let place = here.join(version);
    if place.exists() {
        return Some(place);
    }
    fs::create_dir_all(&here).unwrap();
    // Under its name only when it is whole.
    let fetched = TempDir::with_prefix_in("fetching", &here).unwrap();
    let pip = python()
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--no-compile", "--retries", "2", "--timeout", "20", "--target"])
        .arg(fetched.path())
        .arg(format!("foundationdb=={version}"))
        .output();
    match pip {
        Ok(Output { status, .. }) if status.success() => {
            let renamed = fs::rename(fetched.path(), &place);
            // Another test may have been faster.
            assert!(renamed.is_ok() || place.exists(), "{renamed:?}");
            Some(place)
        }
        Ok(Output { stderr, .. }) => {
            let why = String::from_utf8_lossy(&stderr);
            may_be_skipped(&format!("Python's binding {version}"), &why);
            None
        }
        Err(error) => {
            may_be_skipped(&format!("Python's binding {version}"), &error.to_string());
            None
        }
    }
}

/// Runs a program with a release, and sees that it came to its end.
fn program(server: &Server, release: &Path, name: &str, api_version: u32) {
    let mut command = python();
    command
        .args(["-B", "-X", "faulthandler"])
        .arg(programs().join("python").join(name).with_extension("py"))
        .env("PYTHONPATH", release)
        .env("PLINTH_TEST_API_VERSION", api_version.to_string());
    let said = run(server, &mut command);
    assert!(said.ends_with(&format!("API version {api_version}\n")), "{name} said: {said}");
}

/// Runs all programs with a release.
fn programs_run_with(version: &str, api_version: u32) {
    let Some(release) = release(version) else { return };
    let server = Server::start();
    for name in PROGRAMS {
        program(&server, &release, name, api_version);
    }
}

#[test]
fn programs_run_with_release_7_1() {
    programs_run_with("7.1.67", 710);
}

#[test]
fn programs_run_with_release_7_3() {
    programs_run_with("7.3.79", 730);
}

#[test]
fn programs_run_with_release_7_4() {
    programs_run_with("7.4.8", 740);
}

#[test]
fn programs_run_with_release_8_0() {
    programs_run_with("8.0.0", 800);
}

#[test]
fn a_release_may_ask_for_older_api_versions() {
    let Some(release) = release("7.3.79") else { return };
    let server = Server::start();
    for &api_version in OLDER_VERSIONS {
        program(&server, &release, "older_versions", api_version);
    }
}

//! A program in C that does what 3FS does: as it is, with sanitizers, and under valgrind.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    c::compile,
    support::{Server, library_directory, may_be_skipped, programs, run, said_names},
};

/// What finds wrong uses of memory, leaks among them, and of the language.
const SANITIZERS: [&str; 3] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];

fn compiled(directory: &TempDir, flags: &[&str]) -> Option<PathBuf> {
    compile(directory, "threefs", &[flags, &["-D_GNU_SOURCE"]].concat())
}

/// The arguments of the program: where traces go, and what it may name as another client's library.
fn arguments(directory: &TempDir) -> [PathBuf; 2] {
    [directory.path().to_path_buf(), library_directory().join("libfdb_c.so")]
}

fn all_cases_went_well(said: &str) {
    let cases = said_names(&programs().join("c/threefs/cases.c"), "    {\"");
    assert_eq!(said.lines().collect::<Vec<_>>(), cases);
}

/// Whether the compiler has the sanitizers, and what they need at run time.
fn has_sanitizers() -> bool {
    let mut compiler = Command::new("cc");
    compiler.args(SANITIZERS).args(["-xc", "-", "-o", "/dev/null"]);
    let Ok(mut child) = compiler.stdin(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        return false;
    };
    child.stdin.take().unwrap().write_all(b"int main(void) { return 0; }").unwrap();
    child.wait().unwrap().success()
}

fn is_trace(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("trace.") && name.ends_with(".json")
}

#[test]
fn a_program_in_the_style_of_3fs_sees_what_foundationdb_shows() {
    let directory = TempDir::new().unwrap();
    let Some(program) = compiled(&directory, &[]) else { return };
    let said = run(&Server::start(), Command::new(program).args(arguments(&directory)));
    all_cases_went_well(&said);
    let mut files = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
    assert!(files.any(|path| is_trace(&path)), "it asked for traces");
}

#[test]
fn a_program_in_the_style_of_3fs_is_clean_under_address_sanitizer() {
    if !has_sanitizers() {
        may_be_skipped("3FS's calls under AddressSanitizer", "the compiler does not have it");
        return;
    }
    let directory = TempDir::new().unwrap();
    let Some(program) = compiled(&directory, &SANITIZERS) else { return };
    let server = Server::start();
    all_cases_went_well(&run(&server, Command::new(&program).args(arguments(&directory))));
    // A future that is never destroyed must be found, or nothing would be.
    let leaks = Command::new(&program)
        .args(arguments(&directory))
        .arg("leaks")
        .env("LD_LIBRARY_PATH", library_directory())
        .env("FDB_CLUSTER_FILE", server.cluster_file())
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&leaks.stderr);
    assert!(!leaks.status.success() && found.contains("LeakSanitizer"), "{found}");
}

#[test]
fn a_program_in_the_style_of_3fs_is_clean_under_valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        may_be_skipped("3FS's calls under valgrind", "it is not installed");
        return;
    }
    let directory = TempDir::new().unwrap();
    let Some(program) = compiled(&directory, &[]) else { return };
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--error-exitcode=9", "--fair-sched=yes", "--leak-check=full"])
        .args(["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"])
        .arg(program)
        .args(arguments(&directory))
        .arg("small");
    all_cases_went_well(&run(&Server::start(), &mut valgrind));
}

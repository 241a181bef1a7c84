//! Programs in C, compiled by the machine's compiler.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::support::{Server, headers, library_directory, may_be_skipped, programs, run};

/// The files of a program of `tests/fdb/c`: those in the folder of its name, or the one.
fn sources(name: &str) -> Vec<PathBuf> {
    let place = programs().join("c").join(name);
    if !place.is_dir() {
        return vec![place.with_extension("c")];
    }
    let files = fs::read_dir(place).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "c")).collect()
}

/// Compiles a program of `tests/fdb/c`; `None` if there is no compiler.
pub(crate) fn compile(into: &TempDir, name: &str, flags: &[&str]) -> Option<PathBuf> {
    if Command::new("cc").arg("--version").output().is_err() {
        may_be_skipped("programs in C", "there is no C compiler");
        return None;
    }
    let program = into.path().join(name);
    let status = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-pthread"])
        .args(flags)
        .arg("-I")
        .arg(headers())
        .args(sources(name))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(library_directory())
        .arg("-lfdb_c")
        .status()
        .unwrap();
    assert!(status.success(), "{name} is compiled");
    Some(program)
}

#[test]
fn a_small_program_reads_what_it_has_written() {
    let directory = TempDir::new().unwrap();
    let Some(program) = compile(&directory, "smoke", &[]) else { return };
    let server = Server::start();
    assert_eq!(run(&server, &mut Command::new(&program)), "absent\nhello\n");
}

#[test]
fn a_mapped_range_has_the_layout_of_the_header() {
    let directory = TempDir::new().unwrap();
    let Some(program) = compile(&directory, "mapped", &[]) else { return };
    let server = Server::start();
    // The bytes of the tuple of "record" and an id.
    let expected = "2 rows, more: 0\n\
                    2 leads from 11 bytes to 0 rows:\n\
                    1 leads from 11 bytes to 2 rows: apple cherry\n";
    assert_eq!(run(&server, &mut Command::new(&program)), expected);
}

//! The headers, the command that installs them with the library, and programs in C that need them
//! most.

use std::{fs, process::Command};

use tempfile::TempDir;

use crate::{
    c::compile,
    support::{Server, headers, library_directory, may_be_skipped, programs, run},
};

/// What programs may ask for, among them the first and the last and those around a change.
const API_VERSIONS: [u16; 9] = [510, 609, 610, 620, 629, 630, 710, 730, 800];
/// What FoundationDB's headers have not either: what only its own copies of the library use, and
/// names of API versions that are no longer supported, and streams of changes, whose functions still
/// change from one release to the next.
const NOT_FOR_PROGRAMS: [&str; 7] = [
    "fdb_database_create_shared_state",
    "fdb_database_set_shared_state",
    "fdb_future_get_shared_state",
    "fdb_future_is_error",
    "fdb_transaction_get_range_selector",
    "fdb_transaction_read_blob_granules_",
    "fdb_use_future_protocol_version",
];

#[test]
fn the_headers_compile_for_every_version_and_both_languages() {
    let source = programs().join("c/headers.c");
    for (compiler, flags) in [("cc", ["-std=c11", "-xc"]), ("c++", ["-std=c++17", "-xc++"])] {
        if Command::new(compiler).arg("--version").output().is_err() {
            may_be_skipped("the headers", &format!("there is no {compiler}"));
            continue;
        }
        for version in API_VERSIONS {
            let mut command = Command::new(compiler);
            command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]);
            command.args(flags).arg(format!("-DFDB_API_VERSION={version}"));
            command.arg("-I").arg(headers()).arg(&source);
            assert!(command.status().unwrap().success(), "{command:?}");
        }
        // A version that the library does not have is refused where it can be seen.
        for version in [509, 801] {
            let mut command = Command::new(compiler);
            command.args(flags).arg("-fsyntax-only").arg(format!("-DFDB_API_VERSION={version}"));
            let output = command.arg("-I").arg(headers()).arg(&source).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("API version"), "{version}: {said}");
        }
    }
}

#[test]
fn everything_for_programs_is_declared() {
    let header = fs::read_to_string(headers().join("foundationdb/fdb_c.h")).unwrap();
    let names = include_str!("symbols.txt").lines().filter(|line| !line.starts_with('#'));
    for name in names {
        let is_hidden = name.contains("_cdc_")
            || NOT_FOR_PROGRAMS.iter().any(|hidden| {
                name == *hidden || (hidden.ends_with('_') && name.starts_with(hidden))
            });
        let is_hidden = is_hidden && name != "fdb_transaction_read_blob_granules_description";
        let is_declared = header.contains(&format!("{name}("));
        assert_eq!(is_declared, !is_hidden, "{name}");
    }
}

#[test]
fn what_is_installed_is_enough_to_build_and_run_a_program() {
    let prefix = TempDir::new().unwrap();
    let script = headers().with_file_name("install");
    let mut install = Command::new(&script);
    install.arg(prefix.path().join("usr")).arg(library_directory().join("libfdb_c.so"));
    // Once more over itself, as an upgrade does.
    for _ in 0..2 {
        assert!(install.status().unwrap().success(), "{install:?}");
    }
    let prefix = prefix.path().join("usr").canonicalize().unwrap();
    for file in ["lib/libfdb_c.so", "include/foundationdb/fdb_c.h"] {
        assert!(prefix.join(file).is_file(), "{file}");
    }
    let Ok(answer) = Command::new("pkg-config")
        .args(["--cflags", "--libs", "foundationdb-client"])
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
        .output()
    else {
        may_be_skipped("the pkg-config file", "there is no pkg-config");
        return;
    };
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let flags = String::from_utf8(answer.stdout).unwrap();
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let (include, library) =
        (format!("-I{}/include", prefix.display()), format!("-L{}/lib", prefix.display()));
    assert_eq!(flags, [include.as_str(), library.as_str(), "-lfdb_c"]);

    let directory = TempDir::new().unwrap();
    let run_path = format!("-Wl,-rpath,{}/lib", prefix.display());
    let flags = [include.as_str(), library.as_str(), run_path.as_str()];
    let Some(program) = compile(&directory, "smoke", &flags) else { return };
    let server = Server::start();
    assert_eq!(run(&server, &mut Command::new(&program)), "absent\nhello\n");
}

#[test]
fn what_one_server_cannot_mean_fails_as_foundationdbs_does() {
    let directory = TempDir::new().unwrap();
    let Some(program) = compile(&directory, "odds", &[]) else { return };
    let server = Server::start();
    assert_eq!(run(&server, &mut Command::new(&program)), "");
}

#[test]
fn a_program_of_an_old_api_version_finds_its_database_through_a_cluster() {
    let directory = TempDir::new().unwrap();
    let Some(program) = compile(&directory, "old", &[]) else { return };
    let server = Server::start();
    let expected = "another name: 2013\na version: 1\nan address: 127.0.0.1\n";
    assert_eq!(run(&server, &mut Command::new(&program)), expected);
}

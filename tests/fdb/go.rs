//! The Go binding of FoundationDB 7.3, from the module proxy, linked to our library by cgo.
//!
//! Its module and what Go compiles lie in `fdb-go` of cargo's target folder.

use std::{ffi::OsString, fs, path::PathBuf, process::Command};

use crate::support::{Server, library_directory, may_be_skipped, programs, run, said_names};

/// Go, in the folder of the program, with folders and flags of its own.
fn go(kept: &std::path::Path) -> Command {
    let flag = |option: &str, folder: PathBuf| {
        let mut flag = OsString::from(option);
        flag.push(folder);
        flag
    };
    let include = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("capi/include");
    let mut command = Command::new("go");
    command
        .current_dir(programs().join("go"))
        // Modules are read-only files, unless asked for otherwise: nobody could clean up.
        .env("GOFLAGS", "-modcacherw -mod=readonly -buildvcs=false")
        .env("GOTOOLCHAIN", "local")
        .env("GOMODCACHE", kept.join("modules"))
        .env("GOCACHE", kept.join("compiled"))
        .env("CGO_ENABLED", "1")
        .env("CGO_CFLAGS", flag("-I", include))
        .env("CGO_LDFLAGS", flag("-L", library_directory().to_path_buf()));
    command
}

/// The program; `None` if this machine can't have it.
fn program() -> Option<PathBuf> {
    let kept = library_directory().parent().unwrap().join("fdb-go");
    fs::create_dir_all(&kept).unwrap();
    match go(&kept).args(["mod", "download"]).output() {
        Err(error) => {
            may_be_skipped("Go's binding", &error.to_string());
            return None;
        }
        Ok(fetched) if !fetched.status.success() => {
            may_be_skipped("Go's binding", &String::from_utf8_lossy(&fetched.stderr));
            return None;
        }
        Ok(_) => {}
    }
    let program = kept.join("program");
    let built = go(&kept).args(["build", "-o"]).arg(&program).arg(".").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

#[test]
fn a_program_in_go_sees_what_foundationdb_shows() {
    let Some(program) = program() else { return };
    let scenarios = said_names(&programs().join("go/main.go"), "\t{\"");
    for api_version in ["730", "630"] {
        let server = Server::start();
        let said = run(&server, Command::new(&program).arg(api_version));
        assert_eq!(said.lines().collect::<Vec<_>>(), scenarios, "API version {api_version}");
    }
}

//! Rust's `foundationdb` crate, linked to our library by a package of its own in `tests/fdb/rust`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Server, library_directory, may_be_skipped, programs, run};

/// The programs of the package, by the names that it knows them by.
const PROGRAMS: &[&str] =
    &["loops", "contention", "ranges", "stamps", "directories", "watches", "errors", "joins"];

/// What cargo says where a machine lacks something, and not the package.
const LACKING: &[(&str, &str)] = &[
    ("libclang", "bindgen wants libclang"),
    ("'stddef.h' file not found", "bindgen wants clang's headers"),
    ("failed to download", "the crate can't be fetched"),
    ("failed to get", "the crate can't be fetched"),
    ("offline mode", "the crate can't be fetched"),
];

/// Builds what a package's manifest describes, with these options, and links it to our library;
/// answers where programs are then, or `None` if this machine can't.
///
/// What several packages have in common is built once, so all are built alike.
pub(crate) fn build_with_the_crate(
    what: &str,
    manifest: &Path,
    options: &[&str],
) -> Option<PathBuf> {
    let library = library_directory();
    let target = library.parent().unwrap().join("fdb-rust");
    let built = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .args(options)
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "-L"])
        .arg(format!("native={}", library.display()))
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .output()
        .unwrap();
    if built.status.success() {
        return Some(target.join("debug"));
    }
    let said = String::from_utf8_lossy(&built.stderr);
    let lacking = LACKING.iter().find(|(sign, _)| said.contains(sign));
    assert!(lacking.is_some(), "{what} can be built: {said}");
    may_be_skipped(what, lacking.map_or("", |(_, why)| why));
    None
}

#[test]
fn programs_run_with_the_crate() {
    let manifest = programs().join("rust/Cargo.toml");
    let Some(built) = build_with_the_crate("programs with Rust's crate", &manifest, &[]) else {
        return;
    };
    let binary = built.join("plinth-fdb-rust");
    let server = Server::start();
    for name in PROGRAMS {
        let said = run(&server, Command::new(&binary).arg(name));
        assert_eq!(said.lines().count(), 1, "{name} said: {said}");
    }
}

//! What the library shows to the dynamic linker: FoundationDB's names, all of them and no other.

use std::process::Command;

use crate::support::{library_directory, may_be_skipped};

/// One name a line; comments begin with `#`.
const EXPECTED: &str = include_str!("symbols.txt");

/// What a tool for object files prints about the library; `None` where there is no such tool.
fn tool(name: &str, arguments: &[&str]) -> Option<String> {
    let library = library_directory().join("libfdb_c.so");
    let Ok(output) = Command::new(name).args(arguments).arg(library).output() else {
        may_be_skipped("the symbols of libfdb_c.so", &format!("there is no {name}"));
        return None;
    };
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn exactly_foundationdbs_names_are_exported() {
    let Some(listing) = tool("nm", &["-D", "--defined-only"]) else { return };
    let mut exported: Vec<&str> =
        listing.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    exported.sort_unstable();
    let expected: Vec<&str> = EXPECTED.lines().filter(|line| !line.starts_with('#')).collect();
    let missing: Vec<_> = expected.iter().filter(|name| !exported.contains(name)).collect();
    let surplus: Vec<_> = exported.iter().filter(|name| !expected.contains(name)).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, surplus {surplus:?}");
}

#[test]
fn the_library_goes_by_foundationdbs_name_and_stays_loaded() {
    let Some(dynamic) = tool("readelf", &["-d"]) else { return };
    let has = |tag: &str, text: &str| {
        dynamic.lines().any(|line| line.contains(tag) && line.contains(text))
    };
    assert!(has("(SONAME)", "[libfdb_c.so]"), "{dynamic}");
    assert!(has("(FLAGS_1)", "NODELETE"), "{dynamic}");
}

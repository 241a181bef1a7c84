//! What the documents say is there, is there: links, paths, and the tests that prove the guarantees.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents, with their texts.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = vec![root().join("README.md"), root().join("protocol/SPEC.md")];
    for entry in fs::read_dir(root().join("docs")).expect("there are documents") {
        let path = entry.expect("an entry").path();
        // Beside the documents there are their pictures.
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a document is text");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// What stands between single backticks, outside of fenced blocks.
fn code_spans(text: &str) -> Vec<&str> {
    let mut is_fenced = false;
    let prose = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        !is_fence && !is_fenced
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let place = path.parent().expect("a directory").join(file);
            assert!(place.exists(), "{} links to {link}", path.display());
        }
    }
}

#[test]
fn every_path_that_is_named_exists() {
    let rooms =
        ["src/", "client/", "capi/", "protocol/", "tests/", "benches/", "fuzz/", "docs/", ".ci/"];
    for (path, text) in documents() {
        for span in code_spans(&text) {
            let is_path = rooms.iter().any(|room| span.starts_with(room))
                && span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            assert!(!is_path || root().join(span).exists(), "{} names {span}", path.display());
        }
    }
}

/// Every function of the project's Rust files.
fn functions(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("source is text");
            let names = text.split("fn ").skip(1).map(|rest| {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                rest.chars().take_while(|c| is_name(*c)).collect::<String>()
            });
            found.extend(names);
        }
    }
}

#[test]
fn every_guarantee_and_every_planted_bug_names_tests_that_exist() {
    let mut known = BTreeSet::new();
    for room in ["src", "client", "protocol", "tests", "fuzz"] {
        functions(&root().join(room), &mut known);
    }
    let read = |name: &str| fs::read_to_string(root().join(name)).expect("a document");
    let (guarantees, testing) = (read("docs/guarantees.md"), read("docs/testing.md"));
    let promises = guarantees.lines().filter(|line| line.starts_with("| P"));
    let planted = testing.lines().skip_while(|line| !line.starts_with("| planted")).skip(2);
    let planted = planted.take_while(|line| line.starts_with('|'));
    let rows: Vec<&str> = promises.chain(planted).collect();
    assert!(rows.len() > 20, "there are guarantees and planted bugs");
    for row in rows {
        let tests: Vec<&str> = code_spans(row)
            .into_iter()
            .filter(|span| {
                span.matches('_').count() >= 2
                    && span
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            })
            .collect();
        assert!(!tests.is_empty(), "no test is named in {row}");
        for test in tests {
            assert!(known.contains(test), "there is no test {test}, named in {row}");
        }
    }
}

//! What the fuzz targets have been given and have found, replayed on a stable toolchain: every file
//! of `fuzz/seeds/TARGET/` and `fuzz/regressions/TARGET/` goes through the target's check.

use std::path::{Path, PathBuf};

#[path = "../../fuzz/checks/frame.rs"]
mod frame;
#[cfg(feature = "cli")]
#[path = "../../fuzz/checks/history.rs"]
mod history;
#[path = "../../fuzz/checks/log_recovery.rs"]
mod log_recovery;
#[path = "../../fuzz/checks/manifest.rs"]
mod manifest;
#[path = "../../fuzz/checks/request.rs"]
mod request;
#[cfg(feature = "cli")]
#[path = "../../fuzz/checks/resp.rs"]
mod resp;
#[path = "../../fuzz/checks/response.rs"]
mod response;
#[path = "../../fuzz/checks/table.rs"]
mod table;
#[cfg(feature = "server")]
#[path = "../../fuzz/checks/text_line.rs"]
mod text_line;

fn files(kind: &str, target: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target);
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.expect("a readable directory").path()).collect()
}

fn replay(target: &str, check: fn(&[u8])) {
    let seeds = files("seeds", target);
    assert!(!seeds.is_empty(), "{target} has seeds");
    for path in seeds.into_iter().chain(files("regressions", target)) {
        let data = std::fs::read(&path).expect("a readable file");
        let ends = (0..data.len().min(200)).chain([data.len()]);
        for end in ends {
            let outcome = std::panic::catch_unwind(|| check(&data[..end]));
            assert!(outcome.is_ok(), "the first {end} bytes of {}", path.display());
        }
    }
}

#[test]
fn frame() {
    replay("frame", frame::frame);
}

#[cfg(feature = "cli")]
#[test]
fn history() {
    replay("history", history::history);
}

#[test]
fn log_recovery() {
    replay("log_recovery", log_recovery::log_recovery);
}

#[test]
fn manifest() {
    replay("manifest", manifest::manifest);
}

#[test]
fn request() {
    replay("request", request::request);
}

#[cfg(feature = "cli")]
#[test]
fn resp() {
    replay("resp", resp::resp);
}

#[test]
fn response() {
    replay("response", response::response);
}

#[test]
fn table() {
    replay("table", table::table);
}

#[cfg(feature = "server")]
#[test]
fn text_line() {
    replay("text_line", text_line::text_line);
}

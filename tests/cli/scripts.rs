//! The golden scripts of `tests/scripts/`, each run over every door that takes text.
//!
//! A script is a dialogue: `> ` begins what is typed (`2> ` in a second session), the lines until
//! the next are the answer, and `! ` is a line that comes by itself. Versions and versionstamps
//! differ from run to run and stand as `VERSION` and `STAMP1`, `STAMP2` …; `#` in the first column
//! before a command is a comment.

use std::{collections::HashMap, fs, path::PathBuf};

/// A way to a session: types lines and reads answers.
pub(crate) trait Door {
    /// Types a line in a session; what it answers, line by line.
    fn line(&mut self, session: usize, line: &str) -> Vec<String>;
    /// The next line that came by itself.
    fn event(&mut self, session: usize) -> String;
}

/// All scripts, by name.
pub(crate) fn all() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    scripts.sort();
    scripts
}

/// Plays a script and compares what it answers.
pub(crate) fn play(name: &str, script: &str, door: &mut dyn Door) {
    let mut stamps = HashMap::new();
    let mut lines = script.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let at = format!("{name}.txt:{}: {line}", number + 1);
        if let Some((session, expected)) = split(line, '!') {
            assert_eq!(door.event(session), expected, "{at}");
            continue;
        }
        let Some((session, typed)) = split(line, '>') else {
            assert!(line.starts_with('#') || line.is_empty(), "{at}: what is this?");
            continue;
        };
        let mut expected = Vec::new();
        while let Some((_, line)) = lines.peek() {
            let ends = split(line, '>').or_else(|| split(line, '!')).is_some();
            if ends || is_comment(line) {
                break;
            }
            expected.push((*line).to_owned());
            lines.next();
        }
        let answer: Vec<_> =
            door.line(session, typed).iter().map(|line| normal(line, &mut stamps)).collect();
        assert_eq!(answer.join("\n"), expected.join("\n"), "{at}");
    }
}

/// A comment of the script, not a line of a trace.
fn is_comment(line: &str) -> bool {
    line.starts_with("# ") && !line.starts_with("#  ") && !line.contains(": a frame of")
}

/// The session and the rest of a line with this mark.
fn split(line: &str, mark: char) -> Option<(usize, &str)> {
    let (session, rest) = line.split_once(mark)?;
    let session = if session.is_empty() { 1 } else { session.parse().ok()? };
    Some((session, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// A line with what differs from run to run replaced.
fn normal(line: &str, stamps: &mut HashMap<String, String>) -> String {
    let mut line = line.to_owned();
    if let Some(rest) = line.strip_prefix("ok ") {
        let (version, stamp) = rest.split_once(' ').unwrap_or((rest, ""));
        assert!(version.parse::<u64>().is_ok_and(|version| version > 0), "{line}");
        if let Some(stamp) = stamp.strip_prefix('"').and_then(|stamp| stamp.strip_suffix('"')) {
            let name = format!("STAMP{}", stamps.len() + 1);
            stamps.insert(stamp.to_owned(), name);
        }
        line = line.replacen(version, "VERSION", 1);
    }
    for (stamp, name) in stamps {
        line = line.replace(stamp.as_str(), name);
    }
    line
}

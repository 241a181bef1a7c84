//! Whether a disk that a crash left is one that was promised.

use std::collections::BTreeMap;

use plinth_protocol::{CommitResult, MutationOp, Version};
use plinthdb::{
    engine::Engine,
    vfs::{SimVfs, Vfs},
};

use super::{
    afterwards::{commit, work},
    history::{History, Rows, Told, id_of, marker},
    script::{SPACE, open, rows_at},
};

/// One in so many disks is worked on after all else.
const WORK_ONE_IN: u64 = 3;

/// Opens what is left, and looks for a broken promise.
pub(crate) fn verdict(disk: &SimVfs, history: &History) -> Result<(), String> {
    if let Some(complaint) = &history.complaint {
        return Err(complaint.clone());
    }
    let engine = open(disk).map_err(|error| format!("it does not open: {error}"))?;
    let happened = happened(&engine, history)?;
    check_promises(history, &happened)?;
    check_rows(&engine, history, &happened)?;
    check_ids(&engine, history, &happened)?;
    let version = check_versions(&engine, history, &happened)?;
    engine.close();
    drop(engine);
    check_again(disk, history, &happened, version)
}

/// Which commits happened, by their markers, and when.
fn happened(engine: &Engine, history: &History) -> Result<BTreeMap<usize, Version>, String> {
    let version = engine.read_version();
    let reader = engine.reader();
    let mut happened = BTreeMap::new();
    for token in 0..history.submitted.len() {
        let found = reader.get(SPACE, &marker(token), version);
        let found = found.map_err(|error| format!("marker {token} can't be read: {error}"))?;
        happened.extend(found.map(|found| (token, found.version)));
    }
    Ok(happened)
}

fn check_promises(history: &History, happened: &BTreeMap<usize, Version>) -> Result<(), String> {
    for token in history.promised() {
        if !happened.contains_key(&token) {
            return Err(format!("commit {token} was promised to survive, and is lost"));
        }
    }
    let mut first_missing = None;
    let mut last = Version::ZERO;
    for (token, submitted) in history.submitted.iter().enumerate() {
        let Some(&version) = happened.get(&token) else {
            let may_be_missing = matches!(submitted.told, Told::Conflicted | Told::Refused(_))
                || history.must_conflict(token);
            if !may_be_missing {
                first_missing.get_or_insert(token);
            }
            continue;
        };
        if let Some(missing) = first_missing {
            return Err(format!("commit {token} is there without {missing}, which came before"));
        }
        if version <= last {
            return Err(format!("commit {token} is at {version}, not after {last}"));
        }
        last = version;
        match submitted.told {
            Told::Committed(told) if told != version => {
                return Err(format!(
                    "commit {token} was told to be at {told}, and is at {version}"
                ));
            }
            Told::Conflicted | Told::Refused(_) => {
                return Err(format!("commit {token} was {:?}, and happened", submitted.told));
            }
            Told::Committed(_) | Told::Nothing => {}
        }
    }
    Ok(())
}

/// The rows are those of the commits that happened, each of them whole; and whatever was ever read
/// is part of that history.
fn check_rows(
    engine: &Engine,
    history: &History,
    happened: &BTreeMap<usize, Version>,
) -> Result<(), String> {
    if rows(engine)? != history.rows_after(happened) {
        return Err("the rows are not those of the commits that happened".to_owned());
    }
    for (token, version) in history.known() {
        let was_read = history.read_at.iter().any(|&read_at| version <= read_at);
        if was_read && !happened.contains_key(&token) {
            return Err(format!("commit {token} was read, and is lost"));
        }
    }
    Ok(())
}

/// Every row there is now.
fn rows(engine: &Engine) -> Result<Rows, String> {
    rows_at(engine, engine.read_version()).map_err(|error| format!("rows can't be read: {error}"))
}

fn check_ids(
    engine: &Engine,
    history: &History,
    happened: &BTreeMap<usize, Version>,
) -> Result<(), String> {
    for (token, submitted) in history.submitted.iter().enumerate() {
        if submitted.commit.idempotency_id.is_none() {
            continue;
        }
        let status = engine.commit_status(&id_of(token));
        let expected =
            happened.get(&token).map(|&version| CommitResult::Committed { version, order: 0 });
        if status != expected {
            return Err(format!("the id of commit {token} says {status:?}, not {expected:?}"));
        }
        if let Some(expected) = expected {
            let again = engine.commit_blocking(submitted.commit.clone());
            if again != Ok(expected) {
                return Err(format!("commit {token}, sent again, is answered {again:?}"));
            }
        }
    }
    Ok(())
}

fn write_after(engine: &Engine) -> Result<Version, String> {
    commit(engine, vec![MutationOp::Set { key: "after".into(), value: "crash".into() }])
}

/// Versions go on above everything that was handed out and everything that is there.
fn check_versions(
    engine: &Engine,
    history: &History,
    happened: &BTreeMap<usize, Version>,
) -> Result<Version, String> {
    let before = engine.read_version();
    let version = write_after(engine)?;
    let newest = happened.values().copied().max().unwrap_or_default().max(history.newest);
    if before < newest || version <= newest {
        return Err(format!("versions go on at {before} and {version}, not above {newest}"));
    }
    Ok(version)
}

/// After a clean close it opens again, with what was there and what was written since.
fn check_again(
    disk: &SimVfs,
    history: &History,
    happened: &BTreeMap<usize, Version>,
    version: Version,
) -> Result<(), String> {
    let engine = open(disk).map_err(|error| format!("it does not open again: {error}"))?;
    check_files(disk, &engine)?;
    let mut expected = history.rows_after(happened);
    expected.insert("after".into(), "crash".into());
    if rows(&engine)? != expected {
        return Err("the rows are others after a clean close".to_owned());
    }
    let next = write_after(&engine)?;
    if next <= version {
        return Err(format!("{next} follows {version}"));
    }
    if disk.fingerprint().is_multiple_of(WORK_ONE_IN) {
        work(&engine, &mut expected)?;
        engine.close();
        drop(engine);
        let engine = open(disk).map_err(|error| format!("it does not open at last: {error}"))?;
        if rows(&engine)? != expected {
            return Err("the rows are others after work and a clean close".to_owned());
        }
    }
    Ok(())
}

/// Nothing lies about that counts for nothing: every table is one of the engine's, there is one
/// manifest and at most one file of ids, and nothing is unfinished.
fn check_files(disk: &SimVfs, engine: &Engine) -> Result<(), String> {
    let names = |directory: &str| {
        let names = disk.list(&engine.directory().join(directory));
        names.map_err(|error| error.to_string()).map(|names| {
            names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        })
    };
    let (tables, manifests) = (names("tables")?, names("manifest")?);
    let count = |names: &[String], extension: &str| {
        names.iter().filter(|name| name.ends_with(extension)).count()
    };
    let known: u64 = engine.stats().levels.iter().map(|level| level.tables).sum();
    let is_tidy = tables.len() as u64 == known
        && count(&manifests, ".manifest") <= 1
        && count(&manifests, ".ids") <= 1
        && count(&manifests, ".new") + count(&names("log")?, ".new") == 0;
    let complaint = || format!("{known} tables count, and there are {tables:?} and {manifests:?}");
    if is_tidy { Ok(()) } else { Err(complaint()) }
}

//! What a manifest keeps, through restarts, power cuts and errors.

use super::*;
use crate::vfs::sim::{Keep, KeepNames};

#[test]
fn changes_are_there_after_a_restart() {
    let vfs = SimVfs::new();
    let (mut manifest, report) = open(&vfs).unwrap();
    assert_eq!(report, ManifestReport::default());
    assert_eq!(manifest.take_number(), 1);
    for edit in [flush(1), flush(2), compact(1, 3), flush(9)] {
        manifest.commit(&edit).unwrap();
    }
    let state = manifest.state().clone();
    assert_eq!(state.tables.keys().map(|number| number.0).collect::<Vec<_>>(), [2, 3, 9]);
    assert_eq!((state.tables[&TableNumber(3)].0, state.next_number), (1, 10));
    assert_eq!(state.flushed, Some(Flushed { version: Version(14), log_start: 9, ids: None }));
    assert_eq!(state.ceiling, Version(900));
    let vfs = vfs.restart();
    let (manifest, report) = open(&vfs).unwrap();
    assert_eq!(report, ManifestReport { is_found: true, records: 5, torn_at: None });
    assert_eq!(*manifest.state(), state);
    assert_eq!(vfs.list(Path::new(DIRECTORY)).unwrap(), ["0000000000000002.manifest"]);
}

#[test]
fn a_change_that_makes_no_sense_is_refused_and_changes_nothing() {
    let vfs = SimVfs::new();
    let (mut manifest, _) = open(&vfs).unwrap();
    manifest.commit(&flush(3)).unwrap();
    let before = (manifest.state().clone(), vfs.bytes(&path(1)).unwrap());
    let deep = Edit { added: vec![(LEVELS, table(4))], ..Edit::default() };
    for edit in [flush(3), flush(2), compact(1, 4), deep] {
        let error = manifest.commit(&edit).unwrap_err();
        assert!(matches!(error, ManifestError::Contradiction { .. }), "{error}");
    }
    assert_eq!((manifest.state().clone(), vfs.bytes(&path(1)).unwrap()), before);
    manifest.commit(&flush(4)).unwrap();
}

#[test]
fn a_manifest_that_has_grown_is_begun_anew() {
    let vfs = SimVfs::new();
    let options = ManifestOptions { bytes_max: 4096, ..options() };
    let (mut manifest, _) = open_with(&vfs, options.clone()).unwrap();
    for number in 1..60 {
        manifest.commit(&flush(2 * number)).unwrap();
        if number > 1 {
            manifest.commit(&compact(2 * number - 2, 2 * number + 1)).unwrap();
            let edit = Edit { removed: vec![TableNumber(2 * number + 1)], ..Edit::default() };
            manifest.commit(&edit).unwrap();
        }
        let names = vfs.list(Path::new(DIRECTORY)).unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
        let bytes = vfs.bytes(&manifest.path().unwrap()).unwrap().len();
        assert!(bytes <= 4096 + 1024, "{bytes} bytes");
    }
    assert!(manifest.path().unwrap() > path(10));
    let state = manifest.state().clone();
    assert_eq!(*open_with(&vfs.restart(), options).unwrap().0.state(), state);
}

/// Opens, makes changes with a small bound, and answers the states it has been in. The last one may
/// have been refused.
fn work(vfs: &SimVfs) -> Vec<ManifestState> {
    let mut states = vec![];
    let options = ManifestOptions { bytes_max: 2048, ..options() };
    let Ok((mut manifest, _)) = open_with(vfs, options) else { return states };
    states.push(manifest.state().clone());
    let begin = manifest.state().next_number;
    for number in begin..begin + 6 {
        let edit = flush(number);
        let mut state = manifest.state().clone();
        state.apply(&edit).unwrap();
        states.push(state);
        if manifest.commit(&edit).is_err() {
            break;
        }
    }
    states
}

#[test]
fn a_power_cut_at_any_call_leaves_the_last_state_or_the_one_that_was_being_written() {
    let whole = SimVfs::new();
    assert_eq!(work(&whole).len(), 7);
    for call in 1..=whole.calls() {
        for fault in ["cut-before", "cut-during", "cut-after"] {
            for seed in 0..6 {
                let vfs = SimVfs::with_plan(format!("{call}={fault}").parse().unwrap());
                let states = work(&vfs);
                let cut = vfs.after_cut(Keep::Random, KeepNames::Any, seed);
                let (manifest, _) = open(&cut)
                    .unwrap_or_else(|error| panic!("call {call} {fault} seed {seed}: {error}"));
                let found = manifest.state();
                let is_known = states.iter().rev().take(2).any(|state| state == found);
                let is_new = states.len() < 2 && found.tables.is_empty();
                assert!(is_known || is_new, "call {call} {fault} seed {seed}");
                // What was found is durable now, also if the next start is cut short.
                drop(manifest);
                let again = cut.after_cut(Keep::Nothing, KeepNames::Any, seed);
                assert_eq!(open(&again).unwrap().0.state().tables, states_of(&cut));
            }
        }
    }
}

fn states_of(vfs: &SimVfs) -> std::collections::BTreeMap<TableNumber, (u8, TableProperties)> {
    open(&vfs.duplicate()).unwrap().0.state().tables.clone()
}

#[test]
fn after_an_error_at_any_call_the_next_change_succeeds_in_a_new_file() {
    let whole = SimVfs::new();
    work(&whole);
    for call in 1..=whole.calls() {
        for fault in ["eio", "short", "enospc"] {
            let vfs = SimVfs::with_plan(format!("{call}={fault}").parse().unwrap());
            let options = ManifestOptions { bytes_max: 2048, ..options() };
            let mut manifest = match open_with(&vfs, options.clone()) {
                Ok((manifest, _)) => manifest,
                Err(_) => open_with(&vfs, options).unwrap().0,
            };
            for number in 1..7 {
                let before = manifest.state().clone();
                if let Err(error) = manifest.commit(&flush(number)) {
                    assert!(matches!(error, ManifestError::File(_)), "{error}");
                    assert_eq!(*manifest.state(), before);
                    assert_eq!(manifest.path(), None);
                    manifest.commit(&flush(number)).unwrap();
                }
            }
            let state = manifest.state().clone();
            let cut = vfs.after_cut(Keep::Nothing, KeepNames::Any, 1);
            let (manifest, _) = open(&cut).unwrap();
            assert_eq!(*manifest.state(), state, "call {call} {fault}");
        }
    }
}

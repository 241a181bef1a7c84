//! Every key with up to six writes and six range tombstones, at every horizon, above an older layer
//! and above none: about half a million cases.

use super::*;

const VERSIONS: u64 = 3;
const STAMPS: usize = 2 * VERSIONS as usize;

/// A key: what each stamp wrote, newest first, and which stamps cleared a range over it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    /// True for a value, false for a clear.
    entries: Vec<(Stamp, bool)>,
    tombstones: Vec<Stamp>,
    /// Whether an older layer holds a value of it.
    is_below: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Value(Stamp),
    Below,
    Nothing,
}

fn stamp(at: usize) -> Stamp {
    Stamp { version: Version(1 + at as u64 / 2), order: at as u16 % 2 }
}

impl Key {
    fn seen_at(&self, version: u64) -> Seen {
        let entry = self.entries.iter().find(|(stamp, _)| stamp.version.0 <= version);
        let tombstone = self.tombstones.iter().find(|stamp| stamp.version.0 <= version);
        match (entry, tombstone) {
            (None, None) if self.is_below => Seen::Below,
            (Some((stamp, true)), tombstone) if tombstone.is_none_or(|hider| hider <= stamp) => {
                Seen::Value(*stamp)
            }
            _ => Seen::Nothing,
        }
    }

    fn written_since(&self, since: u64) -> bool {
        let stamps = self.entries.iter().map(|(stamp, _)| stamp).chain(&self.tombstones);
        stamps.into_iter().any(|stamp| stamp.version.0 > since)
    }

    /// What is left of it after garbage collection.
    fn collected(&self, horizon: u64) -> Self {
        let horizon = Version(horizon);
        let mut tombstones = self.tombstones.clone();
        prune(&mut tombstones, horizon);
        let mut retention = KeyRetention::new(horizon, &tombstones);
        let mut entries = self.entries.clone();
        entries.retain(|(stamp, is_set)| retention.keeps(*stamp, !is_set, || !self.is_below));
        if !self.is_below {
            tombstones = needed_at_last(&tombstones, horizon).to_vec();
        }
        Self { entries, tombstones, is_below: self.is_below }
    }
}

fn every_key(mut check: impl FnMut(&Key)) {
    for entries in 0..3usize.pow(STAMPS as u32) {
        let newest_first = (0..STAMPS).rev();
        let written = |at: &usize| entries / 3usize.pow(*at as u32) % 3;
        let entries: Vec<_> = newest_first
            .clone()
            .filter(|at| written(at) > 0)
            .map(|at| (stamp(at), written(&at) == 1))
            .collect();
        for tombstones in 0..1 << STAMPS {
            let is_one = |at: &usize| tombstones >> at & 1 == 1;
            let tombstones: Vec<_> = newest_first.clone().filter(is_one).map(stamp).collect();
            for is_below in [false, true] {
                check(&Key { entries: entries.clone(), tombstones: tombstones.clone(), is_below });
            }
        }
    }
}

#[test]
fn every_version_from_the_horizon_on_sees_the_same_and_nothing_else_is_kept() {
    every_key(|key| {
        for horizon in 0..=VERSIONS + 1 {
            let kept = key.collected(horizon);
            for version in horizon..=VERSIONS + 2 {
                assert_eq!(kept.seen_at(version), key.seen_at(version), "{key:?} {horizon}");
                assert_eq!(
                    kept.written_since(version),
                    key.written_since(version),
                    "{key:?} {horizon}"
                );
            }
            let below: Vec<_> =
                kept.entries.iter().filter(|(stamp, _)| stamp.version.0 <= horizon).collect();
            assert!(below.len() <= 1, "{key:?} {horizon}: {kept:?}");
            let is_seen = |(stamp, is_set): &(Stamp, bool)| {
                let seen = |version: u64| kept.seen_at(version) == Seen::Value(*stamp);
                !is_set || (horizon..=VERSIONS + 2).any(seen)
            };
            assert!(kept.entries.iter().all(is_seen), "{key:?} {horizon}: {kept:?}");
            if !key.is_below {
                let is_needed =
                    |(stamp, is_set): &&(Stamp, bool)| *is_set || stamp.version.0 > horizon;
                assert!(below.iter().all(is_needed), "{key:?} {horizon}: {kept:?}");
                assert!(kept.tombstones.iter().all(|stamp| stamp.version.0 > horizon));
            }
            // What was collected once has nothing left to collect.
            assert_eq!(kept.collected(horizon), kept);
        }
    });
}

/// The planted bug: were a version dropped that a snapshot still sees, the test above would know.
#[test]
fn a_version_dropped_under_a_snapshot_is_caught() {
    let mut caught = 0;
    every_key(|key| {
        for horizon in 0..=VERSIONS {
            let kept = key.collected(horizon + 1);
            caught += u64::from(kept.seen_at(horizon) != key.seen_at(horizon));
        }
    });
    assert!(caught > 1000, "{caught}");
}

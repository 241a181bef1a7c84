//! What must be kept of a key: garbage collection's only rule.
//!
//! Every version not below the *horizon* can be read. A write is seen by the reads from its own
//! version up to before the version of what hides it: the next newer write of the same key, or the
//! next newer range tombstone over it.
//!
//! ```text
//!              horizon
//!  versions ──────┼──────────────▶
//!    a───────b    │                   a: hidden at b, below the horizon: goes
//!            b────┼────c              b: the horizon sees it: stays
//!                 │    c────────▶     c: newest: stays
//! ```
//!
//! So: **a write goes if no version at or above the horizon sees it**; all others stay. A clear that
//! the horizon sees hides nothing any more if nothing older lies beneath: then it goes too. A range
//! tombstone goes by the same two rules.
//!
//! What tells of changes after the horizon stays as well: of the writes of one version the newest,
//! and each clear above the horizon. Whoever asks what was written since a version that can be read
//! gets the same answer as before.

use plinth_protocol::Version;

use crate::engine::visible::Stamp;

/// Decides over the versions of one key, given newest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyRetention<'a> {
    horizon: Version,
    /// The range tombstones over the key, newest first.
    tombstones: &'a [Stamp],
    /// The version of the entry that was given last.
    newer: Option<Version>,
}

impl<'a> KeyRetention<'a> {
    /// For a key under these range tombstones, newest first.
    pub(super) fn new(horizon: Version, tombstones: &'a [Stamp]) -> Self {
        Self { horizon, tombstones, newer: None }
    }

    /// Whether the next older entry must be kept. `is_last` says whether no older layer can hold
    /// the key.
    pub(super) fn keeps(
        &mut self,
        stamp: Stamp,
        is_clear: bool,
        is_last: impl FnOnce() -> bool,
    ) -> bool {
        let newer = self.newer.replace(stamp.version);
        let above = self.tombstones.partition_point(|tombstone| *tombstone > stamp);
        let tombstone = above.checked_sub(1).and_then(|at| self.tombstones.get(at));
        let hidden_from = match (newer, tombstone.map(|tombstone| tombstone.version)) {
            (Some(newer), Some(tombstone)) => Some(newer.min(tombstone)),
            (newer, tombstone) => newer.or(tombstone),
        };
        if hidden_from.is_some_and(|hidden| hidden <= stamp.version.max(self.horizon)) {
            return false;
        }
        !(is_clear && stamp.version <= self.horizon && is_last())
    }
}

/// Takes from the range tombstones over some keys, newest first, those that no version sees because
/// of a newer one.
pub(super) fn prune(stamps: &mut Vec<Stamp>, horizon: Version) {
    let mut newer: Option<Version> = None;
    stamps.retain(|stamp| {
        let newer = newer.replace(stamp.version);
        newer.is_none_or(|newer| newer > stamp.version.max(horizon))
    });
}

/// Which of the range tombstones over some keys are still needed where no older layer can hold
/// any of these keys: those that not all reads see.
pub(super) fn needed_at_last(stamps: &[Stamp], horizon: Version) -> &[Stamp] {
    let above = stamps.partition_point(|stamp| stamp.version > horizon);
    stamps.get(..above).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! Real time: who begins after another was answered reads, and commits, behind it.

use super::{
    model::Model,
    place::Place,
    violation::{Kind, Violation},
};

/// What was known at each moment: the commits that somebody had been told of.
#[derive(Debug)]
pub(super) struct Told {
    /// When somebody was told, and the last commit that anybody knew of from then on, in order.
    moments: Vec<(u64, Place, usize)>,
    /// All commits in order.
    commits: Vec<(Place, usize)>,
}

impl Told {
    pub(super) fn new(model: &Model<'_>) -> Self {
        let mut commits: Vec<(Place, usize)> = Vec::new();
        for (index, node) in model.nodes.iter().enumerate() {
            commits.extend(node.commit_place.map(|place| (place, index)));
        }
        commits.sort_unstable();
        let mut told = Self { moments: Vec::new(), commits };
        for (index, node) in model.nodes.iter().enumerate().filter(|(_, node)| node.is_committed())
        {
            // Who has only read knows of the commits that it may have seen.
            let known = match (node.commit_place, node.read_place) {
                (Some(place), _) => Some((place, index)),
                (None, Some(place)) => told.last_commit(place).map(|(place, _)| (place, index)),
                (None, None) => None,
            };
            told.moments.extend(known.map(|(place, index)| (node.source.end, place, index)));
        }
        told.moments.sort_unstable();
        let mut newest = (Place::BEGINNING, 0);
        for (_, place, index) in &mut told.moments {
            newest = newest.max((*place, *index));
            (*place, *index) = newest;
        }
        told
    }

    fn last_commit(&self, place: Place) -> Option<(Place, usize)> {
        let behind = self.commits.partition_point(|(commit, _)| *commit <= place);
        self.commits.get(behind.checked_sub(1)?).copied()
    }

    /// The last commit that anybody knew of before this moment, and who.
    pub(super) fn before(&self, moment: u64) -> Option<(Place, usize)> {
        let behind = self.moments.partition_point(|(told, ..)| *told < moment);
        let (_, place, index) = self.moments.get(behind.checked_sub(1)?)?;
        Some((*place, *index))
    }

    /// Looks for transactions that come before what was known when they began.
    pub(super) fn check(&self, model: &Model<'_>) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (index, node) in model.nodes.iter().enumerate() {
            let Some((told, teller)) = self.before(node.source.begin) else { continue };
            let (kind, what) = match (node.read_place, node.commit_place) {
                (Some(read), _) if read < told => (Kind::StaleRead, "read"),
                (None, Some(commit)) if commit <= told => (Kind::RealTime, "committed"),
                (Some(_), Some(commit)) if commit <= told => (Kind::RealTime, "committed"),
                _ => continue,
            };
            let text = format!(
                "{} {what} below version {}, which {} had been told before the first began",
                model.name(index),
                told.version(),
                model.name(teller),
            );
            violations.push(Violation::new(kind, text, &[index, teller], &[]));
        }
        violations
    }
}

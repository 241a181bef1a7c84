//! What is tried on every script, and how a failure is told and repeated.

use std::collections::BTreeSet;

use plinthdb::vfs::{
    SimVfs,
    sim::{Fault, FaultPlan, Keep, KeepNames, Trigger},
};

use super::{history::History, script::Script, verdict::verdict};

/// The line of a failure that is to be repeated.
pub(crate) fn line_to_repeat() -> Option<String> {
    std::env::var("PLINTH_CRASH").ok()
}

/// Whether to take minutes instead of seconds: `PLINTH_CRASH_DEEP` is set.
pub(crate) fn is_deep() -> bool {
    std::env::var_os("PLINTH_CRASH_DEEP").is_some()
}

/// A plan of one fault at the call with this number.
pub(crate) fn fault_at(number: u64, onwards: bool, fault: Fault) -> FaultPlan {
    let trigger = Trigger::Call { number, onwards };
    FaultPlan { faults: vec![(trigger, fault)], ..FaultPlan::default() }
}

/// What may be left of what was not synced.
pub(crate) fn remains(seed: u64) -> Vec<FaultPlan> {
    let (torn, mixes): (&[u32], u64) = if is_deep() { (&[0, 1, 2, 5], 4) } else { (&[1], 1) };
    let plan = |keep, names, seed| FaultPlan { seed, keep, names, ..FaultPlan::default() };
    let mut remains = vec![
        plan(Keep::Nothing, KeepNames::Prefix, 0),
        plan(Keep::Everything, KeepNames::Prefix, 0),
        plan(Keep::Newest, KeepNames::Prefix, 0),
    ];
    for &sectors in torn {
        remains.push(plan(Keep::Torn { sectors }, KeepNames::Prefix, 0));
    }
    for mix in 0..mixes {
        remains.push(plan(Keep::Random, KeepNames::Prefix, seed * 8 + mix));
        remains.push(plan(Keep::Random, KeepNames::Any, seed * 8 + 4 + mix));
    }
    remains
}

/// Disks that were looked at, with what clients knew then.
#[derive(Default)]
pub(crate) struct Seen(BTreeSet<(u64, Promises)>);

/// What a verdict looks at besides the disk.
type Promises = (usize, usize, u64, usize);

impl Seen {
    /// Whether the like was not looked at before: the same bytes, with the same promises.
    pub(crate) fn is_new(&mut self, disk: &SimVfs, history: &History) -> bool {
        let promises = (
            history.submitted.len(),
            history.acknowledged(),
            history.newest.0,
            history.read_at.len(),
        );
        self.0.insert((disk.fingerprint(), promises))
    }

    /// How many different ones there were.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Looks at a disk; says how to repeat it if it is wrong.
pub(crate) fn judge(disk: &SimVfs, script: u64, plan: &FaultPlan, history: &History) {
    let complaint = verdict(disk, history).err();
    assert_eq!(
        complaint, None,
        "repeat it with:\nPLINTH_CRASH='script={script} {plan}' cargo test -p plinthdb --test \
         crash"
    );
}

/// Crashes a script's engine at one in so many of its calls, on a disk on which this plan holds,
/// until a verdict finds fault; says what it says.
pub(crate) fn first_complaint(planted: &str, script: u64, one_in: usize) -> Option<String> {
    let whole = SimVfs::with_plan(planted.parse().expect("a plan"));
    let history = Script::new(script).run(&whole);
    if history.complaint.is_some() {
        return history.complaint;
    }
    (1..=whole.calls()).step_by(one_in).find_map(|number| {
        let plan = format!("{planted} {number}=cut-after");
        let disk = SimVfs::with_plan(plan.parse().expect("a plan"));
        let history = Script::new(script).run(&disk);
        [Keep::Nothing, Keep::Newest, Keep::Everything]
            .into_iter()
            .find_map(|keep| verdict(&disk.after_cut(keep, KeepNames::Prefix, 0), &history).err())
    })
}

/// The script of a line, its plan, the disk that it ran on, and what came of it.
pub(crate) fn repeat(line: &str) -> (u64, FaultPlan, SimVfs, History) {
    let (script, plan) = line.split_once(' ').expect("script=<number>, a blank, and a plan");
    let script = script.strip_prefix("script=").expect("script=<number> comes first");
    let script = script.parse().expect("a number");
    let plan: FaultPlan = plan.parse().expect("a plan");
    let disk = SimVfs::with_plan(plan.clone());
    let history = Script::new(script).run(&disk);
    (script, plan, disk, history)
}

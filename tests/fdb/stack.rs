//! The stack machines: programs by chance, through two clients, against a model of the contract.
//!
//! Three machines, each with a stack of answers and a transaction of its own, take turns. Every
//! answer and error code is compared with a model that follows the contract in the most naive way (a
//! map for each version, the plain list of a transaction's calls, lists of ranges) and shares no code
//! with the client. Then the answers of our own client over TCP and of the C ABI are compared with
//! each other.
//!
//! A program is made from a number. `PLINTH_STACK_SEED=… cargo test --test fdb stack` runs that one
//! alone, `PLINTH_STACK_PROGRAMS=…` more or fewer of them. What fails is cut down to the fewest steps
//! that still fail.

mod atomic;
mod client;
mod faulty;
mod machine;
mod model;
mod operation;
mod outcome;
mod overlay;
mod page;
mod ranges;
mod selectors;
mod transaction;

use std::io::Write as _;

use plinth_client::{ConnectOptions, Database, KeyspaceId, testing::MemoryBackend};

use self::{
    client::Machine,
    faulty::{Bug, Faulty},
    machine::{Failure, Trace, run},
    operation::{Step, program},
    ranges::Key,
};
use crate::{
    c_client::impatient,
    ffi,
    golden::runner::{native::Native, operations::Client},
    support::Server,
};

/// The programs that this process runs: all up to a number, or the one that is asked for.
fn seeds(count: u64) -> Vec<u64> {
    let asked = |name| std::env::var(name).ok().map(|number| number.parse().unwrap());
    if let Some(seed) = asked("PLINTH_STACK_SEED") {
        return vec![seed];
    }
    (1..=asked("PLINTH_STACK_PROGRAMS").unwrap_or(count)).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Tells how much was run.
fn tell(what: &str, programs: usize, operations: usize) {
    let text = format!("{what}: {programs} programs, {operations} operations\n");
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// A way to run a program.
trait Runner {
    async fn run(&self, pairs: &[(Key, Vec<u8>)], steps: &[Step]) -> Result<Trace, Failure>;
}

/// One client against the model.
struct Alone<'a, C>(&'a C);

impl<C: Client> Runner for Alone<'_, C>
where
    C::Transaction: Machine,
{
    async fn run(&self, pairs: &[(Key, Vec<u8>)], steps: &[Step]) -> Result<Trace, Failure> {
        run(self.0, pairs, steps).await
    }
}

/// Two clients, each against the model, then against each other.
struct Both<'a, A, B>(&'a A, &'a B);

impl<A: Client, B: Client> Runner for Both<'_, A, B>
where
    A::Transaction: Machine,
    B::Transaction: Machine,
{
    async fn run(&self, pairs: &[(Key, Vec<u8>)], steps: &[Step]) -> Result<Trace, Failure> {
        let named = |name: &str, failure: Failure| Failure {
            what: format!("{name}: {}", failure.what),
            ..failure
        };
        let one = run(self.0, pairs, steps).await.map_err(|failure| named("native", failure))?;
        let other = run(self.1, pairs, steps).await.map_err(|failure| named("C", failure))?;
        match one.iter().zip(&other).find(|(one, other)| one != other) {
            None => Ok(one),
            Some((one, other)) => Err(Failure {
                steps: steps.len(),
                what: format!("native answers {one}, C answers {other}"),
            }),
        }
    }
}

/// Runs the program of a seed; the error shows the fewest steps that fail.
async fn check(runner: &impl Runner, seed: u64) -> Result<usize, String> {
    let (pairs, mut steps) = program(seed);
    let Err(mut failure) = runner.run(&pairs, &steps).await else { return Ok(steps.len()) };
    steps.truncate(failure.steps);
    let mut index = steps.len();
    while index > 0 {
        index -= 1;
        let mut fewer = steps.clone();
        fewer.remove(index);
        if let Err(other) = runner.run(&pairs, &fewer).await {
            fewer.truncate(other.steps);
            (steps, failure) = (fewer, other);
            index = index.min(steps.len());
        }
    }
    let listed: Vec<_> =
        steps.iter().map(|step| format!("  {}: {:?}", step.machine, step.op)).collect();
    Err(format!(
        "{}\nfrom {pairs:?}\n{}\nagain by PLINTH_STACK_SEED={seed} cargo test --test fdb stack",
        failure.what,
        listed.join("\n"),
    ))
}

fn in_memory() -> Native<MemoryBackend> {
    Native::new(&Database::new(MemoryBackend::new()), KeyspaceId::DEFAULT)
}

#[test]
fn the_client_answers_as_the_contract_says() {
    const PROGRAMS: u64 = 3000;
    let seeds = seeds(PROGRAMS);
    let operations: usize = runtime().block_on(async {
        let mut operations = 0;
        for seed in &seeds {
            let client = in_memory();
            match check(&Alone(&client), *seed).await {
                Ok(steps) => operations += steps,
                Err(text) => unreachable!("{text}"),
            }
        }
        operations
    });
    tell("stack machines in memory", seeds.len(), operations);
}

#[test]
fn both_clients_answer_as_the_contract_says() {
    const PROGRAMS: u64 = 3000;
    const LANES: usize = 2;
    /// Beside the keys that the C ABI has to itself.
    const KEYSPACE: KeyspaceId = KeyspaceId::FIRST_NAMED;
    let seeds = seeds(PROGRAMS);
    let lane = |lane: usize| {
        let server = Server::start();
        let cluster_file = server.cluster_file();
        let (mut programs, mut operations) = (0, 0);
        runtime().block_on(async {
            let options = ConnectOptions::cluster_file(Some(cluster_file.clone()));
            let native = Database::connect_with(options).await.unwrap();
            let native = Native::new(&native, KEYSPACE);
            let c = impatient(ffi::open(&cluster_file));
            for seed in seeds.iter().skip(lane).step_by(LANES) {
                let steps = check(&Both(&native, &c), *seed).await;
                operations += steps.unwrap_or_else(|text| unreachable!("{text}"));
                programs += 1;
            }
        });
        (programs, operations)
    };
    let counts: Vec<_> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let sum = |of: fn(&(usize, usize)) -> usize| counts.iter().map(of).sum();
    tell("stack machines through both clients", sum(|lane| lane.0), sum(|lane| lane.1));
}

/// How many programs it takes to find a bug.
fn programs_until_found(bug: Bug) -> u64 {
    const PROGRAMS: u64 = 500;
    runtime().block_on(async {
        for seed in 1..=PROGRAMS {
            let (pairs, steps) = program(seed);
            if run(&Faulty(in_memory(), bug), &pairs, &steps).await.is_err() {
                let sound = run(&in_memory(), &pairs, &steps).await;
                assert!(sound.is_ok(), "it is the bug that is found, not {sound:?}");
                return seed;
            }
        }
        unreachable!("{bug:?} is not found in {PROGRAMS} programs")
    })
}

macro_rules! planted_bugs_are_found {
    ($($name:ident: $bug:ident,)*) => {$(
        #[test]
        fn $name() {
            programs_until_found(Bug::$bug);
        }
    )*};
}

planted_bugs_are_found! {
    a_dropped_conflict_of_a_read_is_found: DropsConflicts,
    a_dropped_conflict_of_an_abandoned_read_is_found: DropsAbandonedReads,
    a_dropped_conflict_of_a_range_is_found: DropsRangeConflicts,
    a_page_that_hides_what_is_left_is_found: SaysNothingIsLeft,
    a_page_that_promises_more_is_found: SaysMoreIsLeft,
    a_forgotten_own_write_is_found: ForgetsOwnWrites,
    a_snapshot_that_conflicts_is_found: SnapshotsConflict,
    a_moved_key_selector_is_found: MovesSelectors,
    a_key_left_by_clear_range_is_found: ClearsLess,
    an_old_atomic_operation_is_found: AndsWithZeros,
    a_hidden_conflict_is_found: HidesConflicts,
    a_conflict_of_a_silent_write_is_found: IgnoresSilence,
    a_lost_explicit_conflict_is_found: LosesExplicitConflicts,
    a_transaction_that_on_error_leaves_as_it_is_is_found: KeepsWritesAfterErrors,
    a_watch_that_fails_is_found: FailsWatches,
    one_try_too_many_is_found: TriesOnceMore,
}

#[test]
fn clients_that_disagree_are_found() {
    const PROGRAMS: u64 = 500;
    let is_found = runtime().block_on(async {
        for seed in 1..=PROGRAMS {
            let (one, other) = (in_memory(), Faulty(in_memory(), Bug::MiscountsSizes));
            let (pairs, steps) = program(seed);
            assert!(Alone(&other).run(&pairs, &steps).await.is_ok(), "the model leaves it open");
            if Both(&one, &other).run(&pairs, &steps).await.is_err() {
                return true;
            }
        }
        false
    });
    assert!(is_found);
}

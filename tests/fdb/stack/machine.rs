//! Carries programs out through a client, and asks the model about each answer.

use std::fmt::Debug;

use plinth_client::KeySelector;

use super::{
    client::Machine,
    model::World,
    operation::{MACHINES, Op, Operand, RangeOperands, SIZE_LIMIT, Selector, Step},
    overlay::Write,
    ranges::{END, Key},
    transaction::{Transaction, Verdict, same},
};
use crate::golden::runner::operations::{Answer, Client, Code, Conflicts, Operations as _, Range};

/// The most bytes that are taken from a stack.
const STACK_BYTES_MAX: usize = 12;
const NOT_COMMITTED: Code = 1020;
const CANCELLED: Code = 1025;
const WATCHES_DISABLED: Code = 1034;

/// Where a program went wrong, and how.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// How many steps it took.
    pub(super) steps: usize,
    pub(super) what: String,
}

/// What the clients of one program must agree on: each answer, as long as no stamp is among them.
pub(super) type Trace = Vec<String>;

/// A watch that has become active, and what it compares with.
struct Active<W> {
    key: Key,
    value: Option<Vec<u8>>,
    watch: W,
}

/// One stack and one transaction, twice: as the client has it, and as the contract does.
struct One<C: Client>
where
    C::Transaction: Machine,
{
    stack: Vec<Vec<u8>>,
    real: C::Transaction,
    model: Transaction,
    failure: Option<Code>,
    watches: Vec<Active<<C::Transaction as Machine>::Watch>>,
}

/// All of a run.
struct Run<'a, C: Client>
where
    C::Transaction: Machine,
{
    client: &'a C,
    world: World,
    machines: Vec<One<C>>,
    active: Vec<Active<<C::Transaction as Machine>::Watch>>,
    /// Stamps are in the database, and no two clients have the same.
    is_stamped: bool,
    trace: Trace,
}

/// Runs a program; says what clients have to agree on, or where the model doesn't.
pub(super) async fn run<C: Client>(
    client: &C,
    pairs: &[(Key, Vec<u8>)],
    steps: &[Step],
) -> Result<Trace, Failure>
where
    C::Transaction: Machine,
{
    let first = client.begin();
    first.clear_range(b"", END);
    for (key, value) in pairs {
        first.set(key, value);
    }
    let begun = first.commit().await;
    let failed = |steps, what| Failure { steps, what };
    let version = begun.map_err(|code| failed(0, format!("the first commit fails with {code}")))?;
    let world = World::new(pairs.iter().cloned().collect(), version);
    let machines = (0..MACHINES).map(|_| One::new(client)).collect();
    let mut run =
        Run { client, world, machines, active: Vec::new(), is_stamped: false, trace: Trace::new() };
    for (index, step) in steps.iter().enumerate() {
        let verdict = run.step(step.machine, &step.op).await;
        verdict.map_err(|what| failed(index + 1, what))?;
    }
    run.compare_pairs().await.map_err(|what| failed(steps.len(), what))?;
    Ok(run.trace)
}

impl<C: Client> Run<'_, C>
where
    C::Transaction: Machine,
{
    async fn step(&mut self, number: usize, op: &Op) -> Verdict {
        let machine = &mut self.machines[number];
        match op {
            Op::Push(value) => machine.stack.push(value.clone()),
            Op::Abandon { key } => {
                machine.fix_version(&self.world).await?;
                let key = machine.bytes(key);
                // A limit would be met sooner or later, as the read is done.
                if machine.model.may_read(&key) && machine.model.size_limit.is_none() {
                    machine.real.abandon(&key);
                    machine.model.read_unseen(&key);
                }
            }
            Op::Get { .. } | Op::GetKey { .. } | Op::GetRange(_) => self.read(number, op).await?,
            Op::GetReadVersion | Op::ShowConflicts(_) | Op::Size | Op::CommittedVersion => {
                self.ask(number, op).await?;
            }
            Op::SetReadVersion(_)
            | Op::Set { .. }
            | Op::Clear { .. }
            | Op::ClearRange { .. }
            | Op::Atomic { .. }
            | Op::SetOption(_)
            | Op::SetValue { .. } => machine.change(op, &self.world)?,
            Op::StampedKey { .. } | Op::StampedValue { .. } => {
                machine.stamped(op, &self.world).await?;
            }
            Op::Conflict { begin, end, kind } => {
                let (begin, end) = (machine.bytes(begin), machine.bytes(end));
                let answer = machine.real.add_conflict_range(&begin, &end, *kind);
                machine.model.add_conflict_range(&begin, &end, *kind, answer)?;
                self.note("add_conflict_range", &answer);
            }
            Op::Watch { key } => self.watch(number, key).await?,
            Op::Commit => self.commit(number).await?,
            Op::Next => {
                if let Some(code) = machine.failure.take() {
                    return self.on_error(number, code).await;
                }
                let stack = std::mem::take(&mut machine.stack);
                self.machines[number] = One { stack, ..One::new(self.client) };
            }
            // Which comes first, a limit or that this is no error, is left open.
            Op::OnError(0) if machine.model.retry_limit.is_some() => {}
            Op::OnError(code) => self.on_error(number, *code).await?,
            Op::Reset => {
                machine.real.reset();
                machine.model = Transaction::default();
                self.end_watches(number, CANCELLED).await?;
            }
            Op::Cancel => {
                machine.real.cancel();
                machine.model.cancel();
                self.end_watches(number, CANCELLED).await?;
            }
        }
        Ok(())
    }

    async fn read(&mut self, number: usize, op: &Op) -> Verdict {
        let machine = &mut self.machines[number];
        match op {
            Op::Get { key, snapshot } => {
                let key = machine.bytes(key);
                let answer = machine.real.get(&key, *snapshot).await;
                machine.model.get(&self.world, &key, *snapshot, &answer)?;
                machine.push(&answer, |value| value.clone().unwrap_or(b"absent".to_vec()));
                self.note("get", &answer);
            }
            Op::GetKey { selector, snapshot } => {
                machine.fix_version(&self.world).await?;
                let selector = machine.selector(selector);
                let answer = machine.real.get_key(&selector, *snapshot).await;
                machine.model.get_key(&self.world, &selector, *snapshot, &answer)?;
                machine.push(&answer, Clone::clone);
                self.note("get_key", &answer);
            }
            Op::GetRange(operands) => {
                machine.fix_version(&self.world).await?;
                let range = machine.range(operands);
                let answer = machine.real.get_range(&range).await;
                machine.model.get_range(&self.world, &range, &answer)?;
                // How many rows follow the first may go by what nobody waits for.
                let rows_max = if machine.model.has_unseen { 1 } else { usize::MAX };
                machine.push(&answer, |(rows, _)| {
                    let rows = rows.iter().take(rows_max);
                    rows.flat_map(|(key, value)| [&key[..], value].concat()).collect()
                });
                if !machine.model.has_unseen {
                    self.note("get_range", &answer);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What a transaction tells of itself.
    async fn ask(&mut self, number: usize, op: &Op) -> Verdict {
        let machine = &mut self.machines[number];
        let (is_used_up, version) = (machine.model.is_used_up(), machine.model.version);
        match op {
            // A commit that has read nothing need not have asked for one.
            Op::GetReadVersion if is_used_up && version.is_none() => {}
            Op::GetReadVersion => {
                let answer = machine.real.get_read_version().await;
                machine.model.get_read_version(&self.world, answer)?;
                self.note("get_read_version", &answer.map(|_| ()));
            }
            Op::ShowConflicts(which) => {
                let is_hit = matches!(which, Conflicts::Hit);
                if machine.model.is_healthy() || is_hit && machine.failure == Some(NOT_COMMITTED) {
                    let answer = machine.real.conflicts(*which).await;
                    machine.model.conflicts(*which, &answer)?;
                    // Where a stamped key may come to lie goes by the read version; what nobody
                    // waits for may be done or not.
                    if !machine.model.has_stamps() && !machine.model.has_unseen {
                        self.note("conflicts", &answer);
                    }
                }
            }
            // After a commit it is left open.
            Op::Size if is_used_up => {}
            Op::Size => {
                let answer = machine.real.get_approximate_size().await;
                machine.model.size(answer)?;
                if !machine.model.has_unseen {
                    self.note("get_approximate_size", &answer);
                }
            }
            _ => machine.model.committed_version(machine.real.get_committed_version())?,
        }
        Ok(())
    }

    async fn on_error(&mut self, number: usize, code: Code) -> Verdict {
        let machine = &mut self.machines[number];
        let answer = machine.real.on_error(code).await;
        machine.model.on_error(code, answer)?;
        machine.failure = None;
        self.note("on_error", &answer);
        self.end_watches(number, CANCELLED).await
    }

    async fn commit(&mut self, number: usize) -> Verdict {
        let machine = &mut self.machines[number];
        // A stamp that is asked for too late is misuse, and would hide what the commit answers.
        let stamp = machine.model.is_open().then(|| machine.real.get_versionstamp());
        let has_stamps = machine.model.has_stamps();
        if machine.model.size_limit.is_some() && machine.model.is_open() {
            let size = machine.real.get_approximate_size().await;
            machine.model.size(size)?;
        }
        let answer = machine.real.commit().await;
        let stamp = match stamp {
            Some(stamp) => Some(C::Transaction::stamp(stamp).await),
            None => None,
        };
        machine.model.commit(&mut self.world, answer, stamp.as_ref())?;
        machine.failure = answer.err();
        self.is_stamped |= answer.is_ok() && has_stamps;
        self.note("commit", &answer.map(i64::signum));
        match answer {
            // It was not even begun: that leaves watches as they are.
            Err(_) if stamp.is_none() => Ok(()),
            Ok(_) => {
                let watches = std::mem::take(&mut self.machines[number].watches);
                self.active.extend(watches);
                self.see_changes().await
            }
            Err(code) => self.end_watches(number, code).await,
        }
    }

    /// Waits for the watches whose keys have another value now.
    async fn see_changes(&mut self) -> Verdict {
        let pairs = self.world.pairs(self.world.newest());
        let (changed, same): (Vec<_>, Vec<_>) =
            self.active.drain(..).partition(|watch| pairs.get(&watch.key) != watch.value.as_ref());
        self.active = same;
        for watch in changed {
            C::Transaction::changed(watch.watch)
                .await
                .map_err(|code| format!("the watch of {:?} fails with {code}", watch.key))?;
        }
        Ok(())
    }

    /// The watches of a transaction that did not commit fail, unless they have told already.
    async fn end_watches(&mut self, number: usize, code: Code) -> Verdict {
        for watch in std::mem::take(&mut self.machines[number].watches) {
            let answer = C::Transaction::changed(watch.watch).await;
            if answer != Ok(()) && answer != Err(code) {
                return Err(format!("a watch ends with {answer:?} instead of {code}"));
            }
        }
        Ok(())
    }

    async fn watch(&mut self, number: usize, key: &Operand) -> Verdict {
        let machine = &mut self.machines[number];
        let key = machine.bytes(key);
        if !machine.model.may_read(&key) {
            return Ok(());
        }
        if !machine.model.sees_writes() {
            let watch = machine.real.watch(&key).await;
            return same(&Err(WATCHES_DISABLED), &C::Transaction::changed(watch).await);
        }
        // What is read here the watch need not ask for.
        let answer = machine.real.get(&key, false).await;
        machine.model.get(&self.world, &key, false, &answer)?;
        if let Ok(value) = answer {
            let watch = machine.real.watch(&key).await;
            machine.watches.push(Active { key, value, watch });
        }
        Ok(())
    }

    /// In the end the database holds what the model does.
    async fn compare_pairs(&mut self) -> Verdict {
        let range = RangeOperands {
            begin: Selector { key: Operand::Literal(Vec::new()), or_equal: false, offset: 1 },
            end: Selector { key: Operand::Literal(END.to_vec()), or_equal: false, offset: 1 },
            limit: 1000,
            target_bytes: 0,
            mode: 0,
            iteration: 1,
            snapshot: true,
            reverse: false,
        };
        self.machines[0] = One::new(self.client);
        self.step(0, &Op::GetRange(range)).await
    }

    fn note(&mut self, what: &str, answer: &impl Debug) {
        if !self.is_stamped {
            self.trace.push(format!("{what}: {answer:?}"));
        }
    }
}

impl<C: Client> One<C>
where
    C::Transaction: Machine,
{
    fn new(client: &C) -> Self {
        Self {
            stack: Vec::new(),
            real: client.begin(),
            model: Transaction::default(),
            failure: None,
            watches: Vec::new(),
        }
    }

    fn bytes(&self, operand: &Operand) -> Vec<u8> {
        match operand {
            Operand::Literal(bytes) => bytes.clone(),
            Operand::TooLong => vec![b'k'; 10_001],
            Operand::Stack(below) => {
                let taken = self.stack.iter().rev().nth(*below);
                let taken = taken.map_or(&[][..], |bytes| bytes.as_slice());
                // Special keys are not the model's business.
                let special = taken.starts_with(b"\xFF\xFF");
                let length = if special { 1 } else { taken.len().min(STACK_BYTES_MAX) };
                taken[..length].to_vec()
            }
        }
    }

    fn value(&self, operand: &Operand) -> Vec<u8> {
        match operand {
            Operand::TooLong => vec![b'v'; 100_001],
            other => self.bytes(other),
        }
    }

    fn selector(&self, selector: &Selector) -> KeySelector {
        KeySelector {
            key: self.bytes(&selector.key).into(),
            or_equal: selector.or_equal,
            offset: selector.offset,
        }
    }

    fn range(&self, operands: &RangeOperands) -> Range {
        Range {
            begin: self.selector(&operands.begin),
            end: self.selector(&operands.end),
            limit: operands.limit,
            target_bytes: operands.target_bytes,
            mode: operands.mode,
            iteration: operands.iteration,
            snapshot: operands.snapshot,
            reverse: operands.reverse,
        }
    }

    fn push<T>(&mut self, answer: &Answer<T>, show: impl FnOnce(&T) -> Vec<u8>) {
        self.stack.push(match answer {
            Ok(value) => show(value),
            Err(code) => code.to_string().into_bytes(),
        });
    }

    /// Lets the transaction read at the newest version from now on. Whether a read that meets own
    /// writes alone needs one is left open.
    async fn fix_version(&mut self, world: &World) -> Verdict {
        if self.model.is_healthy() && !self.model.has_version() {
            let answer = self.real.get_read_version().await;
            self.model.get_read_version(world, answer)?;
        }
        Ok(())
    }

    /// A call that answers nothing.
    fn change(&mut self, op: &Op, world: &World) -> Verdict {
        match op {
            // After a commit it is left open.
            Op::SetReadVersion(back) if !self.model.is_used_up() => {
                let seen = back.map(|back| world.newest().saturating_sub(back).max(1));
                let version = seen.map_or(0, |seen| world.version(seen));
                self.real.set_read_version(version);
                self.model.set_read_version(seen, version);
            }
            Op::Set { key, value } => {
                let (key, value) = (self.bytes(key), self.value(value));
                self.real.set(&key, &value);
                self.model.write(Write::Set { key, value });
            }
            Op::Clear { key } => {
                let key = self.bytes(key);
                self.real.clear(&key);
                self.model.clear(&key);
            }
            Op::ClearRange { begin, end } => {
                let (begin, end) = (self.bytes(begin), self.bytes(end));
                self.real.clear_range(&begin, &end);
                self.model.write(Write::Clear { begin, end });
            }
            Op::Atomic { operation, key, operand } => {
                let (key, operand) = (self.bytes(key), self.value(operand));
                self.real.atomic_op(*operation, &key, &operand);
                self.model.write(Write::Atomic { operation: *operation, key, operand });
            }
            Op::SetValue { option: SIZE_LIMIT, .. } if self.model.has_unseen => {}
            Op::SetValue { option, value } => {
                let answer = self.real.set_value(*option, *value);
                self.model.set_value(*option, *value);
                same(&Ok(()), &answer)?;
            }
            Op::SetOption(option) => {
                let answer = self.real.set_option(*option);
                self.model.set_option(*option);
                same(&Ok(()), &answer)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A key or a value that gets the stamp of the commit.
    async fn stamped(&mut self, op: &Op, world: &World) -> Verdict {
        let parameter = |prefix: &[u8]| {
            let offset = u32::try_from(prefix.len()).unwrap().to_le_bytes();
            [prefix, &[0; 10], &offset].concat()
        };
        match op {
            Op::StampedKey { prefix, value } => {
                let (prefix, value) = (self.bytes(prefix), self.value(value));
                if self.model.is_healthy() && self.model.has_version() {
                    // The model has to know from where on keys are unreadable.
                    let answer = self.real.get_read_version().await;
                    self.model.get_read_version(world, answer)?;
                }
                self.real.atomic_op(14, &parameter(&prefix), &value);
                let read_version = self.model.version.unwrap_or(0);
                let (offset, key) = (prefix.len(), [&prefix[..], &[0; 10]].concat());
                self.model.write(Write::StampedKey { key, offset, value, read_version });
            }
            Op::StampedValue { key, prefix } => {
                let key = self.bytes(key);
                self.real.atomic_op(15, &key, &parameter(prefix));
                let (offset, value) = (prefix.len(), [&prefix[..], &[0; 10]].concat());
                self.model.write(Write::StampedValue { key, value, offset });
            }
            _ => {}
        }
        Ok(())
    }
}

//! Operations, and programs of them by chance.
//!
//! Arguments are literal, or taken from the stack of the machine that carries the operation out:
//! what earlier operations answered.

use super::{atomic::OPERATIONS, ranges::Key};
use crate::golden::runner::operations::Conflicts;

/// A key or value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Literal(Vec<u8>),
    /// So many below the top of the stack.
    Stack(usize),
    /// Longer than anything may be.
    TooLong,
}

/// A key selector.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selector {
    pub(super) key: Operand,
    pub(super) or_equal: bool,
    pub(super) offset: i32,
}

/// What to read of a range.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RangeOperands {
    pub(super) begin: Selector,
    pub(super) end: Selector,
    pub(super) limit: u32,
    pub(super) target_bytes: u32,
    pub(super) mode: i32,
    pub(super) iteration: u32,
    pub(super) snapshot: bool,
    pub(super) reverse: bool,
}

/// What one machine does.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Push(Vec<u8>),
    Get {
        key: Operand,
        snapshot: bool,
    },
    /// Begins to read and lets go before the answer is there. It counts as read all the same.
    Abandon {
        key: Operand,
    },
    GetKey {
        selector: Selector,
        snapshot: bool,
    },
    GetRange(RangeOperands),
    GetReadVersion,
    /// The version of the commit that is so many before the newest; of none at all.
    SetReadVersion(Option<usize>),
    Set {
        key: Operand,
        value: Operand,
    },
    Clear {
        key: Operand,
    },
    ClearRange {
        begin: Operand,
        end: Operand,
    },
    Atomic {
        operation: i32,
        key: Operand,
        operand: Operand,
    },
    StampedKey {
        prefix: Operand,
        value: Operand,
    },
    StampedValue {
        key: Operand,
        prefix: Vec<u8>,
    },
    Conflict {
        begin: Operand,
        end: Operand,
        kind: i32,
    },
    SetOption(i32),
    /// An option with a number.
    SetValue {
        option: i32,
        value: i64,
    },
    ShowConflicts(Conflicts),
    Size,
    Watch {
        key: Operand,
    },
    Commit,
    CommittedVersion,
    /// Begins again: by `on_error` if the commit failed, else with a new transaction.
    Next,
    OnError(u16),
    Reset,
    Cancel,
}

/// An operation and the machine that carries it out.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) machine: usize,
    pub(super) op: Op,
}

/// How many machines there are, each with a stack and a transaction.
pub(super) const MACHINES: usize = 3;

/// Chance, by a seed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Option: how often `on_error` begins again.
pub(super) const RETRY_LIMIT: i32 = 501;
/// Option: how large a transaction may be.
pub(super) const SIZE_LIMIT: i32 = 503;

/// Keys that are close to each other, so that operations meet.
const KEYS: [&[u8]; 15] = [
    b"",
    b"\0",
    b"a",
    b"a\0",
    b"ab",
    b"b",
    b"c",
    b"ca",
    b"d",
    b"d\0",
    b"e",
    b"f",
    b"s",
    b"\xFE",
    b"\xFE\xFF",
];
const BYTES: [u8; 7] = [0x00, 0x01, 0x05, 0x7F, 0x80, 0xFE, 0xFF];
const ERRORS: [u16; 12] = [0, 1007, 1009, 1020, 1021, 1025, 1031, 1037, 1042, 2000, 2004, 4100];

impl Chance {
    fn value(&mut self) -> Vec<u8> {
        let length = if self.one_in(12) { 150 } else { self.below(7) };
        (0..length).map(|_| self.pick(&BYTES)).collect()
    }

    fn key(&mut self) -> Operand {
        match self.below(200) {
            0 => Operand::TooLong,
            1 => Operand::Literal(b"\xFF".to_vec()),
            2 => Operand::Literal(b"\xFF\x01".to_vec()),
            3..30 => Operand::Stack(self.below(4)),
            _ => Operand::Literal(self.pick(&KEYS).to_vec()),
        }
    }

    fn operand(&mut self) -> Operand {
        match self.below(200) {
            0 => Operand::TooLong,
            1..20 => Operand::Stack(self.below(4)),
            _ => Operand::Literal(self.value()),
        }
    }

    fn ends(&mut self) -> (Operand, Operand) {
        let (one, other) = (self.key(), self.key());
        let is_inverted = matches!((&one, &other), (Operand::Literal(one), Operand::Literal(other)) if one > other);
        if is_inverted && !self.one_in(20) { (other, one) } else { (one, other) }
    }

    fn selector(&mut self, key: Operand) -> Selector {
        let offset = match self.below(10) {
            0 => self.pick(&[-20, -3, 20]),
            1..4 => self.pick(&[-1, 0, 2, 3]),
            _ => self.pick(&[0, 1, 1, 1]),
        };
        Selector { key, or_equal: self.one_in(2), offset }
    }

    fn range(&mut self) -> RangeOperands {
        let (begin, end) = self.ends();
        RangeOperands {
            begin: self.selector(begin),
            end: self.selector(end),
            limit: self.pick(&[0, 0, 0, 1, 2, 3, 7, 1000]),
            target_bytes: self.pick(&[0, 0, 0, 1, 20, 100, 1000]),
            mode: self.pick(&[-2, -1, 0, 1, 2, 3, 4]),
            iteration: self.pick(&[1, 1, 1, 1, 1, 2, 3, 12, 0]),
            snapshot: self.one_in(4),
            reverse: self.one_in(3),
        }
    }

    fn op(&mut self) -> Op {
        match self.below(100) {
            0..3 => Op::Abandon { key: self.key() },
            3..16 => Op::Get { key: self.key(), snapshot: self.one_in(4) },
            16..23 => {
                let key = self.key();
                Op::GetKey { selector: self.selector(key), snapshot: self.one_in(4) }
            }
            23..35 => Op::GetRange(self.range()),
            35..38 => Op::GetReadVersion,
            38..40 => Op::SetReadVersion(if self.one_in(8) { None } else { Some(self.below(3)) }),
            40..53 => Op::Set { key: self.key(), value: self.operand() },
            53..57 => Op::Clear { key: self.key() },
            57..61 => {
                let (begin, end) = self.ends();
                Op::ClearRange { begin, end }
            }
            61..69 => Op::Atomic {
                operation: self.pick(&OPERATIONS),
                key: self.key(),
                operand: self.operand(),
            },
            69 => {
                let prefix = Operand::Literal(self.pick(&[b"s", b"b"]).to_vec());
                Op::StampedKey { prefix, value: Operand::Literal(self.value()) }
            }
            70 => Op::StampedValue { key: self.key(), prefix: self.value() },
            71..75 => {
                let (begin, end) = self.ends();
                Op::Conflict { begin, end, kind: self.pick(&[0, 1]) }
            }
            75..78 => Op::SetOption(self.pick(&[30, 30, 30, 51, 600, 601, 701, 712, 712])),
            78 => match self.below(2) {
                0 => Op::SetValue { option: RETRY_LIMIT, value: self.pick(&[-1, 0, 1, 2]) },
                _ => Op::SetValue { option: SIZE_LIMIT, value: self.pick(&[31, 32, 200, 500]) },
            },
            79..82 => Op::ShowConflicts(self.pick(&[Conflicts::Read, Conflicts::Write])),
            82 => Op::Size,
            83 => Op::Watch { key: self.key() },
            84..86 => Op::Push(self.value()),
            86 => Op::CommittedVersion,
            87 => match self.below(4) {
                0 => Op::OnError(self.pick(&ERRORS)),
                1 => Op::Cancel,
                _ => Op::Reset,
            },
            _ => Op::Commit,
        }
    }
}

/// The pairs that a program begins with, and its steps.
pub(super) fn program(seed: u64) -> (Vec<(Key, Vec<u8>)>, Vec<Step>) {
    let mut chance = Chance::new(seed);
    let pairs = (0..chance.below(12)).map(|_| (chance.pick(&KEYS).to_vec(), chance.value()));
    let pairs = pairs.collect();
    let mut steps = Vec::new();
    let mut is_new = [true; MACHINES];
    let wanted = 10 + chance.below(50);
    while steps.len() < wanted {
        let machine = chance.below(MACHINES);
        if std::mem::take(&mut is_new[machine]) {
            // What only counts, or is mostly done, at the beginning.
            let first = match chance.below(12) {
                0 => Some(Op::SetOption(51)),
                1 => Some(Op::SetOption(601)),
                2..4 => Some(Op::SetOption(712)),
                4 => Some(Op::SetReadVersion(Some(chance.below(3)))),
                5..8 => Some(Op::GetReadVersion),
                _ => None,
            };
            steps.extend(first.map(|op| Step { machine, op }));
        }
        let op = chance.op();
        let ends = matches!(op, Op::Commit);
        steps.push(Step { machine, op });
        if ends {
            if chance.one_in(3) {
                steps.push(Step { machine, op: Op::ShowConflicts(Conflicts::Hit) });
            }
            // Seldom it is used on, as it must not be.
            if !chance.one_in(20) {
                steps.push(Step { machine, op: Op::Next });
                is_new[machine] = true;
            }
        }
    }
    (pairs, steps)
}

//! What a transaction has written, as the plain list of its calls. What they make of a key is found
//! by going through all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    atomic::apply,
    ranges::{END, Key, after},
};

/// All pairs at some version.
pub(super) type Pairs = BTreeMap<Key, Vec<u8>>;

/// One call.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Set {
        key: Key,
        value: Vec<u8>,
    },
    Clear {
        begin: Key,
        end: Key,
    },
    Atomic {
        operation: i32,
        key: Key,
        operand: Vec<u8>,
    },
    /// Ten bytes of the key become the stamp.
    StampedKey {
        key: Key,
        offset: usize,
        value: Vec<u8>,
        read_version: i64,
    },
    /// Ten bytes of the value become the stamp.
    StampedValue {
        key: Key,
        value: Vec<u8>,
        offset: usize,
    },
}

/// A key or value with its stamp filled in.
fn stamped(bytes: &[u8], offset: usize, stamp: &[u8]) -> Vec<u8> {
    [&bytes[..offset], stamp, &bytes[offset + stamp.len()..]].concat()
}

impl Write {
    /// The keys that a stamped key can become.
    fn possible(&self) -> Option<(Key, Key)> {
        let Self::StampedKey { key, offset, read_version, .. } = self else { return None };
        let floor = [&read_version.to_be_bytes()[..], &[0; 2]].concat();
        Some((stamped(key, *offset, &floor), after(&stamped(key, *offset, &[0xFF; 10]))))
    }

    /// The keys that another transaction sees written; those of stamped keys are known late.
    pub(super) fn written(&self, stamp: Option<&[u8]>) -> (Key, Key) {
        match self {
            Self::Set { key, .. } | Self::Atomic { key, .. } | Self::StampedValue { key, .. } => {
                (key.clone(), after(key))
            }
            Self::Clear { begin, end } => (begin.clone(), end.clone()),
            Self::StampedKey { key, offset, .. } => match stamp {
                Some(stamp) => {
                    let key = stamped(key, *offset, stamp);
                    (key.clone(), after(&key))
                }
                None => self.possible().unwrap(),
            },
        }
    }

    pub(super) fn is_stamped(&self) -> bool {
        matches!(self, Self::StampedKey { .. } | Self::StampedValue { .. })
    }

    /// What the database does with it.
    pub(super) fn carry_out(&self, pairs: &mut Pairs, stamp: &[u8]) {
        match self {
            Self::Set { key, value } => {
                pairs.insert(key.clone(), value.clone());
            }
            Self::Clear { begin, end } => {
                pairs.retain(|key, _| key < begin || key >= end);
            }
            Self::Atomic { operation, key, operand } => {
                let value = pairs.remove(key);
                if let Some(value) = apply(*operation, value, operand) {
                    pairs.insert(key.clone(), value);
                }
            }
            Self::StampedKey { key, offset, value, .. } => {
                pairs.insert(stamped(key, *offset, stamp), value.clone());
            }
            Self::StampedValue { key, value, offset } => {
                pairs.insert(key.clone(), stamped(value, *offset, stamp));
            }
        }
    }
}

/// What a transaction's writes make of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// The database's value counts.
    Untouched,
    /// The database's value doesn't matter.
    Known(Option<Vec<u8>>),
    /// Operations on the database's value.
    Pending(Vec<(i32, Vec<u8>)>),
    /// A stamp that isn't known yet may make a difference.
    Unreadable,
}

pub(super) fn local(writes: &[Write], key: &[u8]) -> Local {
    let mut local = Local::Untouched;
    for write in writes {
        match write {
            Write::Clear { begin, end } if begin.as_slice() <= key && key < end.as_slice() => {
                local = Local::Known(None);
            }
            Write::StampedKey { .. } => {
                let (begin, end) = write.possible().unwrap();
                if begin.as_slice() <= key && key < end.as_slice() {
                    local = Local::Unreadable;
                }
            }
            Write::StampedValue { key: written, .. } if written == key => {
                local = Local::Unreadable;
            }
            Write::Set { key: written, value } if written == key && local != Local::Unreadable => {
                local = Local::Known(Some(value.clone()));
            }
            Write::Atomic { operation, key: written, operand } if written == key => {
                let op = (*operation, operand.clone());
                match &mut local {
                    Local::Untouched => local = Local::Pending(vec![op]),
                    Local::Pending(ops) => ops.push(op),
                    Local::Known(value) => *value = apply(op.0, value.take(), &op.1),
                    Local::Unreadable => {}
                }
            }
            _ => {}
        }
    }
    local
}

/// The value that a transaction sees; absent where it can't see.
pub(super) fn value(pairs: &Pairs, writes: &[Write], key: &[u8]) -> Option<Vec<u8>> {
    let there = || pairs.get(key).cloned();
    match local(writes, key) {
        Local::Untouched => there(),
        Local::Known(value) => value,
        Local::Pending(ops) => ops
            .iter()
            .fold(there(), |value, (operation, operand)| apply(*operation, value, operand)),
        Local::Unreadable => None,
    }
}

/// What a transaction sees of all keys.
pub(super) struct View {
    /// The pairs.
    pub(super) pairs: Pairs,
    /// The keys that selectors count: FoundationDB counts those too whose value an operation of the
    /// transaction has taken away.
    pub(super) counted: Vec<Key>,
}

pub(super) fn view(pairs: &Pairs, writes: &[Write]) -> View {
    let own = writes.iter().map(|write| write.written(None).0);
    let keys: BTreeSet<Key> = pairs.keys().cloned().chain(own).collect();
    let mut view = View { pairs: Pairs::new(), counted: Vec::new() };
    for key in keys {
        let value = value(pairs, writes, &key);
        if value.is_some() || ends_with_operation(writes, &key) {
            view.counted.push(key.clone());
        }
        if let Some(value) = value {
            view.pairs.insert(key, value);
        }
    }
    view
}

/// Whether the last write of a key is an atomic operation.
fn ends_with_operation(writes: &[Write], key: &[u8]) -> bool {
    let is_of_key = |write: &&Write| {
        let (begin, end) = write.written(None);
        begin.as_slice() <= key && key < end.as_slice()
    };
    matches!(writes.iter().rev().find(is_of_key), Some(Write::Atomic { .. }))
}

/// The pieces of `begin..end` on each of which the writes do one and the same.
pub(super) fn pieces(writes: &[Write], begin: &[u8], end: &[u8]) -> Vec<(Key, Key, Local)> {
    let end = end.min(END);
    let mut points: BTreeSet<Key> = writes
        .iter()
        .flat_map(|write| {
            let (first, last) = write.written(None);
            [first, last]
        })
        .filter(|point| begin < point.as_slice() && point.as_slice() < end)
        .collect();
    if begin < end {
        points.extend([begin.to_vec(), end.to_vec()]);
    }
    let points: Vec<_> = points.into_iter().collect();
    points
        .windows(2)
        .map(|pair| (pair[0].clone(), pair[1].clone(), local(writes, &pair[0])))
        .collect()
}

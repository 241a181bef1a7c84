//! Transactions given as a string, in the notation of FoundationDB's benchmark `mako`.
//!
//! A string is a list of operations: a name, how often (once, if that is left out), and with ranges
//! after a colon how many keys each has: `g18ui` is 18 gets, an update and an insert, `gr10:100` is
//! ten ranges of 100 keys; a range that is negative is read from its end. An operation that occurs
//! twice is done as often as both say. They are done in the order of [`Op::ALL`], whatever the
//! string's, one after the other; the transaction is committed if it has written.

use std::{fmt, str::FromStr};

/// The most operations in a transaction, and keys in a range.
const COUNT_MAX: u32 = 100_000;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// `grv`: ask for a read version.
    ReadVersion,
    /// `g`: read a key.
    Get,
    /// `gr`: read a range.
    GetRange,
    /// `sg`: read a key, without a check for conflicts.
    SnapshotGet,
    /// `sgr`: read a range, without a check for conflicts.
    SnapshotGetRange,
    /// `u`: read a key and write it.
    Update,
    /// `i`: write a new key.
    Insert,
    /// `ir`: write new keys side by side.
    InsertRange,
    /// `o`: write a key, without reading it.
    Overwrite,
    /// `c`: remove a key.
    Clear,
    /// `sc`: write a new key, commit, remove it.
    SetClear,
    /// `cr`: remove a range.
    ClearRange,
    /// `scr`: write new keys side by side, commit, remove them.
    SetClearRange,
}

impl Op {
    /// All of them, in the order in which a transaction does them.
    pub(crate) const ALL: [Self; 13] = [
        Self::ReadVersion,
        Self::Get,
        Self::GetRange,
        Self::SnapshotGet,
        Self::SnapshotGetRange,
        Self::Update,
        Self::Insert,
        Self::InsertRange,
        Self::Overwrite,
        Self::Clear,
        Self::SetClear,
        Self::ClearRange,
        Self::SetClearRange,
    ];

    /// In the string.
    fn name(self) -> &'static str {
        match self {
            Self::ReadVersion => "grv",
            Self::Get => "g",
            Self::GetRange => "gr",
            Self::SnapshotGet => "sg",
            Self::SnapshotGetRange => "sgr",
            Self::Update => "u",
            Self::Insert => "i",
            Self::InsertRange => "ir",
            Self::Overwrite => "o",
            Self::Clear => "c",
            Self::SetClear => "sc",
            Self::ClearRange => "cr",
            Self::SetClearRange => "scr",
        }
    }

    fn has_range(self) -> bool {
        matches!(
            self,
            Self::GetRange
                | Self::SnapshotGetRange
                | Self::InsertRange
                | Self::ClearRange
                | Self::SetClearRange
        )
    }

    fn may_reverse(self) -> bool {
        matches!(self, Self::GetRange | Self::SnapshotGetRange)
    }

    /// Whether a transaction with it has something to commit at its end.
    pub(crate) fn writes(self) -> bool {
        !matches!(
            self,
            Self::ReadVersion
                | Self::Get
                | Self::GetRange
                | Self::SnapshotGet
                | Self::SnapshotGetRange
        )
    }
}

/// An operation, how often, and over how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// What.
    pub(crate) op: Op,
    /// How often.
    pub(crate) count: u32,
    /// Keys of a range; 1 for what is no range.
    pub(crate) range: u32,
    /// Whether it is read from its end.
    pub(crate) reverse: bool,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mako {
    text: String,
    /// In the order in which it does it.
    pub(crate) parts: Vec<Part>,
}

impl Mako {
    /// A transaction of one kind of operation.
    pub(crate) fn of(op: Op, count: u32, range: u32) -> Self {
        let text = op.name().to_owned();
        Self { text, parts: vec![Part { op, count, range, reverse: false }] }
    }
}

impl fmt::Display for Mako {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Mako {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mut parts: Vec<Part> = Vec::new();
        while !rest.is_empty() {
            let part = take_part(&mut rest).map_err(|reason| format!("in '{text}', {reason}"))?;
            let same = |other: &&mut Part| other.op == part.op;
            match parts.iter_mut().find(same) {
                None => parts.push(part),
                Some(other) if (other.range, other.reverse) == (part.range, part.reverse) => {
                    other.count = (other.count + part.count).min(COUNT_MAX);
                }
                Some(_) => {
                    let name = part.op.name();
                    return Err(format!("in '{text}', {name} occurs with two different ranges"));
                }
            }
        }
        if parts.is_empty() {
            return Err("it is empty".to_owned());
        }
        parts.sort_by_key(|part| part.op as u8);
        Ok(Self { text: text.to_owned(), parts })
    }
}

/// Takes an operation off the text.
fn take_part(rest: &mut &str) -> Result<Part, String> {
    // The longest name that fits: `scr` is not `sc` and something that begins with r.
    let fits = |op: &Op| rest.starts_with(op.name());
    let op =
        Op::ALL.into_iter().filter(fits).max_by_key(|op| op.name().len()).ok_or_else(|| {
            let names = Op::ALL.map(Op::name).join(", ");
            format!("no operation is called '{rest}'; there are {names}")
        })?;
    let name = op.name();
    *rest = rest.get(name.len()..).unwrap_or_default();
    let count = match digits(rest) {
        "" => 1,
        digits => number(digits)?,
    };
    *rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(after) = rest.strip_prefix(':') else {
        if op.has_range() {
            return Err(format!(
                "{name} needs to know how many keys a range has: {name}{count}:100"
            ));
        }
        return Ok(Part { op, count, range: 1, reverse: false });
    };
    if !op.has_range() {
        return Err(format!("{name} has no range, so that no ':' may follow it"));
    }
    let (reverse, after) = match after.strip_prefix('-') {
        Some(after) if op.may_reverse() => (true, after),
        Some(_) => return Err(format!("{name} has no direction: its range can't be negative")),
        None => (false, after),
    };
    let range = number(digits(after))?;
    *rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    Ok(Part { op, count, range, reverse })
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn number(digits: &str) -> Result<u32, String> {
    match digits.parse() {
        Ok(number) if (1..=COUNT_MAX).contains(&number) => Ok(number),
        _ => Err(format!("a number from 1 to {COUNT_MAX} is expected, not '{digits}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(Op, u32, i64)> {
        let sign =
            |part: &Part| if part.reverse { -i64::from(part.range) } else { part.range.into() };
        let mako: Mako = text.parse().unwrap();
        mako.parts.iter().map(|part| (part.op, part.count, sign(part))).collect()
    }

    #[test]
    fn strings_of_mako_say_the_same_here() {
        assert_eq!(parts("g18ui"), [(Op::Get, 18, 1), (Op::Update, 1, 1), (Op::Insert, 1, 1)]);
        assert_eq!(parts("gr10:100"), [(Op::GetRange, 10, 100)]);
        assert_eq!(parts("sgr10:-50"), [(Op::SnapshotGetRange, 10, -50)]);
        assert_eq!(parts("g90u10"), [(Op::Get, 90, 1), (Op::Update, 10, 1)]);
        assert_eq!(parts("grv"), [(Op::ReadVersion, 1, 1)]);
        assert_eq!(parts("scr2:5sc3"), [(Op::SetClear, 3, 1), (Op::SetClearRange, 2, 5)]);
        assert_eq!(parts("cr:7c"), [(Op::Clear, 1, 1), (Op::ClearRange, 1, 7)]);
        assert_eq!(parts("ir:7o2"), [(Op::InsertRange, 1, 7), (Op::Overwrite, 2, 1)]);
        assert_eq!(parts("ug2g3"), [(Op::Get, 5, 1), (Op::Update, 1, 1)]);
        assert_eq!("ug".parse::<Mako>().unwrap().to_string(), "ug");
    }

    #[test]
    fn what_is_wrong_with_a_string_is_said() {
        for (text, told) in [
            ("", "it is empty"),
            ("x", "no operation is called 'x'; there are grv, g, gr, sg, sgr, u, i,"),
            ("g2z", "in 'g2z', no operation is called 'z'"),
            ("gr", "gr1:100"),
            ("gr5", "gr5:100"),
            ("gr:", "a number from 1 to 100000 is expected, not ''"),
            ("gr:0", "not '0'"),
            ("g0", "not '0'"),
            ("g99999999999", "not '99999999999'"),
            ("g:5", "g has no range"),
            ("cr:-5", "cr has no direction"),
            ("gr:5gr:6", "two different ranges"),
            ("gé", "no operation is called 'é'"),
        ] {
            let error = text.parse::<Mako>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}

//! What is asked, over and over.
//!
//! [`single`] requests go through a pipelined connection where the target has one. All else is a
//! [`script`]: a transaction that is drawn, attempted and, if it conflicts, attempted again.

pub(crate) mod bank;
pub(crate) mod ground;
mod growth;
pub(crate) mod mako;
pub(crate) mod script;
pub(crate) mod single;
pub(crate) mod ycsb;

use std::{fmt, str::FromStr};

use self::{
    mako::{Mako, Op},
    script::Script,
    single::Single,
    ycsb::Ycsb,
};
use super::keys::Distribution;

/// A workload, by its name on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Single requests.
    Single(Single),
    /// Read a key and write it, in a transaction.
    Rmw,
    /// Transfers between accounts, whose sum never changes.
    Bank,
    /// Read a key and write it, always the same one.
    Hot,
    /// One of YCSB's.
    Ycsb(Ycsb),
    /// Transactions as the string says.
    Mako(Mako),
}

impl Workload {
    /// Which keys it picks, unless told otherwise.
    pub(crate) fn distribution(&self) -> Distribution {
        match self {
            Self::Ycsb(ycsb) => ycsb.distribution(),
            _ => Distribution::Uniform,
        }
    }

    /// The transaction that does it; nothing where there is none.
    pub(crate) fn script(&self, batch: u32, rows: u32) -> Option<Script> {
        let mako = |op, count, range| Some(Script::Mako(Mako::of(op, count, range)));
        match self {
            Self::Single(Single::Ping) => None,
            Self::Single(Single::Get) => mako(Op::Get, 1, 1),
            Self::Single(Single::Set) => mako(Op::Overwrite, 1, 1),
            Self::Single(Single::Scan) => mako(Op::GetRange, 1, rows),
            Self::Single(Single::BatchGet) => mako(Op::Get, batch, 1),
            Self::Rmw => Some(Script::Rmw),
            Self::Bank => Some(Script::Bank),
            Self::Hot => Some(Script::Hot),
            Self::Ycsb(ycsb) => Some(Script::Ycsb(*ycsb)),
            Self::Mako(mako) => Some(Script::Mako(mako.clone())),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(single) => single.fmt(f),
            Self::Rmw => f.write_str("rmw"),
            Self::Bank => f.write_str("bank"),
            Self::Hot => f.write_str("hot"),
            Self::Ycsb(ycsb) => f.write_str(ycsb.name()),
            Self::Mako(mako) => mako.fmt(f),
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(single) = Single::ALL.into_iter().find(|single| single.name() == text) {
            return Ok(Self::Single(single));
        }
        if let Some((_, ycsb)) = Ycsb::ALL.into_iter().find(|(name, _)| *name == text) {
            return Ok(Self::Ycsb(ycsb));
        }
        match text {
            "rmw" => return Ok(Self::Rmw),
            "hot" => return Ok(Self::Hot),
            "bank" => return Ok(Self::Bank),
            _ => {}
        }
        text.parse().map(Self::Mako).map_err(|reason| {
            format!(
                "there is no workload of this name (ping, get, set, scan, batch-get, rmw, hot, bank, \
                 ycsb-a to ycsb-f), and it doesn't read as a transaction either: {reason}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_told_by_their_names() {
        for name in [
            "ping",
            "get",
            "set",
            "scan",
            "batch-get",
            "rmw",
            "hot",
            "bank",
            "ycsb-a",
            "ycsb-f",
            "g18ui",
            "gr10:100",
        ] {
            assert_eq!(name.parse::<Workload>().unwrap().to_string(), name);
        }
        let told = "gets".parse::<Workload>().unwrap_err();
        assert!(told.contains("no workload of this name"), "{told}");
    }
}

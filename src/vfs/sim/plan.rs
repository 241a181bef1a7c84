//! What goes wrong on a simulated disk, and when: [`FaultPlan`], which can be written as one line, so
//! that a run that has failed can be repeated.

use std::{error, fmt, str::FromStr};

/// What goes wrong, and when. Written and read as one line of words, such as `seed=7 17=eio`.
///
/// A plan is words with blanks between them; an empty one is a disk that works.
///
/// | word | meaning |
/// | --- | --- |
/// | `seed=7` | what is left to chance follows from this |
/// | `keep=nothing`, `everything`, `newest`, `torn:3`, `random` | what a power cut leaves of what was not synced: see [`Keep`] |
/// | `names=prefix`, `any` | which changes to a directory a random cut may leave: see [`KeepNames`] |
/// | `space=65536` | bytes of files that the disk holds |
/// | `cold=3` | one in three pages of a file that is mapped is not in memory |
/// | `17=eio` | the 17th call that changes the disk fails; calls that read have no number |
/// | `17+=eio` | it fails, and all later ones |
/// | `log.write#2=short` | the second call with the label `log.write` |
/// | `log.write#2+=short` | this one and all later ones with that label |
/// | `log.write~100=eio` | each of them, once in 100 times |
/// | `*~100=eio` | every call, once in 100 times |
///
/// A label is the file's extension, or its name in lower case where it has none, and the
/// operation: `identity.create`, `log.sync_data`, `log.read`. What can go wrong is in [`Fault`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// What is left to chance follows from this.
    pub seed: u64,
    /// What a power cut leaves of what was not synced.
    pub keep: Keep,
    /// Which changes to a directory a random cut may leave.
    pub names: KeepNames,
    /// Bytes of files that the disk holds.
    pub space: Option<u64>,
    /// One in so many pages of a file that is mapped is not in memory until it is read; without it,
    /// all are.
    pub cold: Option<u64>,
    /// What else goes wrong; the first that fits a call happens.
    pub faults: Vec<(Trigger, Fault)>,
}

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    #[default]
    Nothing,
    /// Everything.
    Everything,
    /// The newest change alone, as though the disk had done it first.
    Newest,
    /// Everything, but of the newest write only its first so many sectors of 512 bytes.
    Torn {
        /// How many.
        sectors: u32,
    },
    /// Whatever the seed says, of every page, length and directory for itself.
    Random,
}

/// Which changes to a directory a random cut may leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepNames {
    /// The first so many, as a journalling file system does.
    #[default]
    Prefix,
    /// Any of them.
    Any,
}

/// When something goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At the call with this number among those that change the disk, counted from 1.
    Call {
        /// Which one.
        number: u64,
        /// Whether at all later ones too.
        onwards: bool,
    },
    /// At a call with this label.
    Label {
        /// The label.
        label: String,
        /// The how manieth of them, counted from 1.
        number: u64,
        /// Whether at all later ones too.
        onwards: bool,
    },
    /// By chance.
    Chance {
        /// At calls with this label; without one, at all.
        label: Option<String>,
        /// Once in so many calls.
        one_in: u64,
    },
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power fails and the call has done nothing.
    CutBefore,
    /// The power fails and the call has done a part: the first sectors of a write, and the rest
    /// of what a sync had to do.
    CutDuring,
    /// The power fails when the call is done, before the caller learns of it.
    CutAfter,
    /// An input/output error. A file's sync that fails forgets what it should have written.
    Eio,
    /// No space left. A write has done a part.
    Enospc,
    /// A write does a part and fails; other calls do nothing and fail.
    Short,
    /// A sync says that it is done and has done nothing; other calls are not affected.
    Lie,
    /// The call takes this long, on the disk's clock if it has one, and does what it is for.
    Slow {
        /// Microseconds.
        micros: u64,
    },
}

impl Trigger {
    /// Whether this fits a call. `chance` answers once in so many times.
    pub(super) fn fits(
        &self,
        call: Option<u64>,
        label: &str,
        occurrence: u64,
        chance: impl FnOnce(u64) -> bool,
    ) -> bool {
        let reached = |number: u64, wanted: u64, onwards: bool| {
            number == wanted || (onwards && number > wanted)
        };
        match self {
            Self::Call { number, onwards } => {
                call.is_some_and(|call| reached(call, *number, *onwards))
            }
            Self::Label { label: wanted, number, onwards } => {
                wanted == label && reached(occurrence, *number, *onwards)
            }
            Self::Chance { label: wanted, one_in } => {
                wanted.as_ref().is_none_or(|wanted| wanted == label) && chance(*one_in)
            }
        }
    }
}

const FAULTS: [(&str, Fault); 7] = [
    ("cut-before", Fault::CutBefore),
    ("cut-during", Fault::CutDuring),
    ("cut-after", Fault::CutAfter),
    ("eio", Fault::Eio),
    ("enospc", Fault::Enospc),
    ("short", Fault::Short),
    ("lie", Fault::Lie),
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Slow { micros } = self {
            return write!(f, "slow:{micros}");
        }
        let name = FAULTS.iter().find(|(_, fault)| fault == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Everything => f.write_str("everything"),
            Self::Newest => f.write_str("newest"),
            Self::Torn { sectors } => write!(f, "torn:{sectors}"),
            Self::Random => f.write_str("random"),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plus = |onwards: &bool| if *onwards { "+" } else { "" };
        match self {
            Self::Call { number, onwards } => write!(f, "{number}{}", plus(onwards)),
            Self::Label { label, number, onwards } => {
                write!(f, "{label}#{number}{}", plus(onwards))
            }
            Self::Chance { label, one_in } => {
                write!(f, "{}~{one_in}", label.as_deref().unwrap_or("*"))
            }
        }
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed={} keep={}", self.seed, self.keep)?;
        if self.names == KeepNames::Any {
            f.write_str(" names=any")?;
        }
        if let Some(space) = self.space {
            write!(f, " space={space}")?;
        }
        if let Some(cold) = self.cold {
            write!(f, " cold={cold}")?;
        }
        self.faults.iter().try_for_each(|(trigger, fault)| write!(f, " {trigger}={fault}"))
    }
}

/// A word of a plan that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    word: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is not part of a fault plan; write for example \
             \"seed=7 keep=random 17=cut-after log.sync_data#2=eio\"",
            self.word
        )
    }
}

impl error::Error for PlanError {}

impl FromStr for FaultPlan {
    type Err = PlanError;

    fn from_str(line: &str) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        for word in line.split_whitespace() {
            plan.word(word).ok_or_else(|| PlanError { word: word.to_owned() })?;
        }
        Ok(plan)
    }
}

impl FaultPlan {
    fn word(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=')?;
        match name {
            "seed" => self.seed = value.parse().ok()?,
            "space" => self.space = Some(value.parse().ok()?),
            "cold" => self.cold = Some(value.parse().ok()?),
            "keep" => self.keep = parse_keep(value)?,
            "names" => {
                self.names = match value {
                    "prefix" => KeepNames::Prefix,
                    "any" => KeepNames::Any,
                    _ => return None,
                }
            }
            trigger => {
                self.faults.push((parse_trigger(trigger)?, parse_fault(value)?));
            }
        }
        Some(())
    }
}

fn parse_keep(value: &str) -> Option<Keep> {
    Some(match value {
        "nothing" => Keep::Nothing,
        "everything" => Keep::Everything,
        "newest" => Keep::Newest,
        "random" => Keep::Random,
        torn => Keep::Torn { sectors: torn.strip_prefix("torn:")?.parse().ok()? },
    })
}

fn parse_fault(value: &str) -> Option<Fault> {
    if let Some(micros) = value.strip_prefix("slow:") {
        return Some(Fault::Slow { micros: micros.parse().ok()? });
    }
    FAULTS.iter().find(|(name, _)| *name == value).map(|(_, fault)| *fault)
}

fn parse_trigger(word: &str) -> Option<Trigger> {
    let number = |word: &str| {
        let (number, onwards) = match word.strip_suffix('+') {
            Some(number) => (number, true),
            None => (word, false),
        };
        Some((number.parse().ok()?, onwards))
    };
    if let Some((label, one_in)) = word.split_once('~') {
        let label = (label != "*").then(|| label.to_owned());
        return Some(Trigger::Chance { label, one_in: one_in.parse().ok()? });
    }
    if let Some((label, which)) = word.split_once('#') {
        let (number, onwards) = number(which)?;
        return Some(Trigger::Label { label: label.to_owned(), number, onwards });
    }
    let (number, onwards) = number(word)?;
    Some(Trigger::Call { number, onwards })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_printed_as_it_is_read() {
        let line = "seed=7 keep=torn:3 names=any space=65536 cold=3 17=cut-during 20+=eio \
                    log.write#2=short log.sync_data#1+=lie log.read~100=eio *~1000=enospc \
                    log.sync_data~9=slow:500";
        let plan: FaultPlan = line.parse().unwrap();
        assert_eq!(plan.to_string(), line);
        assert_eq!(plan.faults.len(), 7);
        let empty: FaultPlan = "".parse().unwrap();
        assert_eq!(empty, FaultPlan::default());
        assert_eq!(empty.to_string().parse::<FaultPlan>().unwrap(), empty);
    }

    #[test]
    fn a_word_that_means_nothing_is_named() {
        for word in ["seed=x", "17", "17=what", "log.write=eio", "log.write#x=eio", "keep=torn"] {
            let error = format!("seed=1 {word}").parse::<FaultPlan>().unwrap_err();
            assert!(error.to_string().contains(&format!("\"{word}\"")), "{error}");
        }
    }
}

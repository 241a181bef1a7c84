//! What can be written among the special keys, and what becomes of it.
//!
//! There is one server and nothing to manage about it: options of management commands are kept for
//! the transaction, things that are not there can be cleared, and everything else fails at commit
//! with a word on why, which `\xff\xff/error_message` then holds.

use std::collections::BTreeMap;

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, KeyRange, range::key_after, response::KeyValue};

use super::{super::Transaction, tracing::Tracing};
use crate::{Backend, transaction::state::State};

/// What a transaction has written there.
#[derive(Debug, Default)]
pub(in crate::transaction) struct SpecialWrites {
    pub(super) tracing: Tracing,
    /// Why the last command failed.
    pub(super) error_message: Option<Bytes>,
    /// Whether the commit is to fail.
    pub(super) has_failed: bool,
    /// What was set and not cleared, of the management.
    sets: BTreeMap<Bytes, Bytes>,
}

impl SpecialWrites {
    /// Whether the commit has nothing to do here.
    pub(in crate::transaction) fn is_empty(&self) -> bool {
        self.sets.is_empty() && !self.has_failed
    }

    /// Carries out what was written; the commit fails if that can't be.
    pub(in crate::transaction) fn carry_out(&mut self) -> Result<(), Error> {
        if self.has_failed {
            return Err(ErrorCode::SPECIAL_KEYS_API_FAILURE.into());
        }
        let parts = self.sets.keys().filter_map(|key| part_at(key));
        let parts: Vec<Part> =
            parts.filter_map(|part| PARTS.get(part)).map(|(part, _)| *part).collect();
        if parts.contains(&Part::Tenants) {
            return Err(ErrorCode::TENANTS_DISABLED.into());
        }
        let command = parts.iter().find_map(|part| match part {
            Part::Command(name) => Some(name),
            _ => None,
        });
        let Some(command) = command else { return Ok(()) };
        let text = format!(
            "{{\"command\":\"{command}\",\"message\":\"ERROR: this database is one server: there is \
             nothing that this command could change\\n\",\"retriable\":false}}"
        );
        self.error_message = Some(text.into());
        Err(ErrorCode::SPECIAL_KEYS_API_FAILURE.into())
    }

    /// What is set, to be read.
    pub(super) fn management_rows(&self) -> Vec<KeyValue> {
        let row =
            |(key, value): (&Bytes, &Bytes)| KeyValue { key: key.clone(), value: value.clone() };
        self.sets.iter().map(row).collect()
    }
}

/// A range that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Options of commands.
    Options,
    Tenants,
    Tracing,
    /// Something for a cluster of several processes, by the name of its command.
    Command(&'static str),
}

/// What can be written: what ends in a slash is a prefix, else a single key.
const PARTS: [(Part, &[u8]); 17] = [
    (Part::Command("profile"), b"\xFF\xFF/actor_profiler_conf/"),
    (Part::Command("coordinators"), b"\xFF\xFF/configuration/coordinators/"),
    (Part::Command("setclass"), b"\xFF\xFF/configuration/process/class_type/"),
    (Part::Command("globalconfig"), b"\xFF\xFF/global_config/"),
    (Part::Command("consistencycheck"), b"\xFF\xFF/management/consistency_check_suspended"),
    (Part::Command("datadistribution"), b"\xFF\xFF/management/data_distribution/"),
    (Part::Command("lock"), b"\xFF\xFF/management/db_locked"),
    (Part::Command("exclude"), b"\xFF\xFF/management/excluded/"),
    (Part::Command("exclude"), b"\xFF\xFF/management/excluded_locality/"),
    (Part::Command("exclude failed"), b"\xFF\xFF/management/failed/"),
    (Part::Command("exclude failed"), b"\xFF\xFF/management/failed_locality/"),
    (Part::Command("maintenance"), b"\xFF\xFF/management/maintenance/"),
    (Part::Command("advanceversion"), b"\xFF\xFF/management/min_required_commit_version"),
    (Part::Options, b"\xFF\xFF/management/options/"),
    (Part::Tenants, b"\xFF\xFF/management/tenant/map/"),
    (Part::Tenants, b"\xFF\xFF/management/tenant/rename/"),
    (Part::Tracing, b"\xFF\xFF/tracing/"),
];

/// The options of commands that there are.
const OPTIONS: [&[u8]; 4] =
    [b"excluded/force", b"excluded_locality/force", b"failed/force", b"failed_locality/force"];

/// The part that a key belongs to, by its number.
fn part_at(key: &[u8]) -> Option<usize> {
    PARTS.iter().position(|(_, prefix)| {
        if prefix.ends_with(b"/") { key.starts_with(prefix) } else { key == *prefix }
    })
}

impl<B: Backend> Transaction<B> {
    /// Sets a special key.
    pub(in crate::transaction) fn set_special_key(&self, key: Bytes, value: Bytes) {
        self.write_special_keys(|state| {
            let part = part_at(&key).and_then(|part| PARTS.get(part));
            let (part, prefix) = part.ok_or(ErrorCode::SPECIAL_KEYS_NO_WRITE_MODULE_FOUND)?;
            let is_first = state.size == 0;
            match part {
                Part::Tracing => {
                    return self.set_tracing(&mut state.special, &key, &value, is_first);
                }
                // Options that there are not are passed over.
                Part::Options if !OPTIONS.iter().any(|option| key.ends_with(option)) => {}
                Part::Options => {
                    debug_assert!(key.starts_with(prefix), "the part is the key's");
                    state.special.sets.insert(key, Bytes::new());
                }
                Part::Tenants | Part::Command(_) => {
                    state.special.sets.insert(key, value);
                }
            }
            Ok(())
        });
    }

    /// Clears a range of special keys.
    pub(in crate::transaction) fn clear_special_keys(&self, range: &KeyRange) {
        self.write_special_keys(|state| {
            if range.is_empty() {
                return Ok(());
            }
            let part = part_at(&range.begin);
            let is_within = part.and_then(|part| PARTS.get(part)).is_some_and(|(_, prefix)| {
                let end = match prefix.split_last() {
                    Some((b'/', parent)) => [parent, b"0"].concat(),
                    _ => key_after(&Bytes::from_static(prefix)).to_vec(),
                };
                range.end.as_ref() <= end.as_slice()
            });
            if part.is_none() {
                let meets_one = PARTS.iter().any(|(_, prefix)| range.contains(prefix));
                return Err(if meets_one {
                    ErrorCode::SPECIAL_KEYS_CROSS_MODULE_CLEAR.into()
                } else {
                    ErrorCode::SPECIAL_KEYS_NO_WRITE_MODULE_FOUND.into()
                });
            }
            if !is_within {
                return Err(ErrorCode::SPECIAL_KEYS_CROSS_MODULE_CLEAR.into());
            }
            if part.and_then(|part| PARTS.get(part)).is_some_and(|(part, _)| *part == Part::Tracing)
            {
                state.special.error_message = Some("clear range disabled".into());
                return Err(ErrorCode::SPECIAL_KEYS_API_FAILURE.into());
            }
            state.special.sets.retain(|key, _| !range.contains(key));
            Ok(())
        });
    }

    fn write_special_keys(&self, write: impl FnOnce(&mut State<B::Snapshot>) -> Result<(), Error>) {
        let mut state = self.state();
        if state.stored_error.is_some() {
            return;
        }
        let written = if state.options.special_keys.is_writable {
            write(&mut state)
        } else {
            Err(ErrorCode::SPECIAL_KEYS_WRITE_DISABLED.into())
        };
        if let Err(error) = written {
            state.store_error(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_their_keys() {
        let part = |key: &[u8]| part_at(key).map(|part| PARTS[part].0);
        assert_eq!(part(b"\xFF\xFF/management/tenant/map/a"), Some(Part::Tenants));
        assert_eq!(part(b"\xFF\xFF/management/db_locked"), Some(Part::Command("lock")));
        assert_eq!(part(b"\xFF\xFF/management/db_locked/x"), None);
        assert_eq!(part(b"\xFF\xFF/status/json"), None);
    }
}

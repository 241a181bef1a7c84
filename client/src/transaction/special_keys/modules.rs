//! The modules of the special keys, and where each has its keys.

use bytes::Bytes;
use plinth_protocol::{KeyRange, range::key_after};

use super::{BEGIN, SPECIAL_KEYS_END};

/// The key under which workers were listed before there were modules.
pub(super) const WORKERS_BEFORE_MODULES: &[u8] = b"\xFF\xFF/worker_interfaces";

/// A module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Module {
    ActorLineage,
    ActorProfiler,
    ClusterFilePath,
    ClusterId,
    Configuration,
    ConnectionString,
    ErrorMessage,
    GlobalConfiguration,
    Management,
    Metrics,
    Status,
    Tracing,
    Transaction,
    Workers,
}

/// All modules in the order of their keys, which either begin with what ends in a slash, or are the
/// one key.
const MODULES: [(Module, &[u8]); 14] = [
    (Module::ActorLineage, b"\xFF\xFF/actor_lineage/"),
    (Module::ActorProfiler, b"\xFF\xFF/actor_profiler_conf/"),
    (Module::ClusterFilePath, b"\xFF\xFF/cluster_file_path"),
    (Module::ClusterId, b"\xFF\xFF/cluster_id"),
    (Module::Configuration, b"\xFF\xFF/configuration/"),
    (Module::ConnectionString, b"\xFF\xFF/connection_string"),
    (Module::ErrorMessage, b"\xFF\xFF/error_message"),
    (Module::GlobalConfiguration, b"\xFF\xFF/global_config/"),
    (Module::Management, b"\xFF\xFF/management/"),
    (Module::Metrics, b"\xFF\xFF/metrics/"),
    (Module::Status, b"\xFF\xFF/status/json"),
    (Module::Tracing, b"\xFF\xFF/tracing/"),
    (Module::Transaction, b"\xFF\xFF/transaction/"),
    (Module::Workers, b"\xFF\xFF/worker_interfaces/"),
];

/// The range of keys that begin with `prefix`, if that ends with a slash; else the range of the one
/// key.
fn range_of(prefix: &'static [u8]) -> KeyRange {
    let begin = Bytes::from_static(prefix);
    let end = match prefix.split_last() {
        Some((b'/', parent)) => [parent, b"0"].concat().into(),
        _ => key_after(&begin),
    };
    KeyRange { begin, end }
}

impl Module {
    /// All of them, in the order of their keys.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        MODULES.iter().map(|(module, _)| *module)
    }

    /// What its keys begin with, or its only key.
    pub(super) fn prefix(self) -> &'static [u8] {
        let named = MODULES.iter().find(|(module, _)| *module == self);
        named.map_or(BEGIN, |(_, prefix)| prefix)
    }

    /// Where its keys are.
    pub(super) fn range(self) -> KeyRange {
        range_of(self.prefix())
    }
}

/// A module, or a gap between two, and where it is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) module: Option<Module>,
    pub(super) range: KeyRange,
}

/// What is at a special key.
pub(super) fn module_at(key: &[u8]) -> Place {
    let mut begin = Bytes::from_static(BEGIN);
    for module in Module::all() {
        let range = module.range();
        if key < range.begin.as_ref() {
            return Place { module: None, range: KeyRange { begin, end: range.begin } };
        }
        if key < range.end.as_ref() {
            return Place { module: Some(module), range };
        }
        begin = range.end;
    }
    Place { module: None, range: KeyRange { begin, end: Bytes::from_static(SPECIAL_KEYS_END) } }
}

/// Whether a key was there before there were modules.
pub(super) fn is_old(key: &[u8]) -> bool {
    [Module::Status, Module::ClusterFilePath, Module::ConnectionString]
        .iter()
        .any(|module| module.prefix() == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_in_order_and_apart() {
        let ranges: Vec<_> = Module::all().map(Module::range).collect();
        assert!(ranges.iter().all(|range| range.begin < range.end));
        assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].begin));
    }

    #[test]
    fn every_key_is_in_a_module_or_between_two() {
        let place = module_at(b"\xFF\xFF/status/json");
        assert_eq!(place.module, Some(Module::Status));
        assert_eq!(place.range.end, &b"\xFF\xFF/status/json\0"[..]);
        assert_eq!(module_at(b"\xFF\xFF/transaction/x").module, Some(Module::Transaction));
        let gap = module_at(b"\xFF\xFF/status/other");
        assert_eq!(gap.module, None);
        assert_eq!(gap.range.begin, &b"\xFF\xFF/status/json\0"[..]);
        assert_eq!(module_at(b"\xFF\xFF/zebra").range.end, SPECIAL_KEYS_END);
    }
}

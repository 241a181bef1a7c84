//! Key selectors over a list of all keys.

use plinth_client::KeySelector;

use super::ranges::{END, Key, after};

/// One byte more than any key has.
const SELECTOR_BYTES_MAX: usize = 10_001;

/// The selector's key as though it had no `or_equal`, as far as it matters.
pub(super) fn folded(selector: &KeySelector) -> Key {
    let mut key = if selector.or_equal { after(&selector.key) } else { selector.key.to_vec() };
    key.truncate(SELECTOR_BYTES_MAX);
    key
}

/// What a selector comes to among the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) key: Key,
    /// There were not so many keys before.
    pub(super) is_before_all: bool,
    /// There were not so many keys after.
    pub(super) is_after_all: bool,
    /// One key more would not have been enough either: as the end of a range it would have let one
    /// more row in.
    pub(super) lacks_keys: bool,
}

/// Resolves a selector among keys in order.
pub(super) fn resolve(keys: &[Key], selector: &KeySelector) -> Resolved {
    let folded = folded(selector);
    let before = keys.iter().filter(|key| **key < folded).count();
    let at = i64::try_from(before).unwrap() - 1 + i64::from(selector.offset);
    let found = usize::try_from(at).ok().map(|at| keys.get(at));
    Resolved {
        key: match found {
            None => Key::new(),
            Some(None) => END.to_vec(),
            Some(Some(key)) => key.clone(),
        },
        is_before_all: found.is_none(),
        is_after_all: found == Some(None),
        lacks_keys: at > i64::try_from(keys.len()).unwrap(),
    }
}

//! A watch in its owner's hand, and the first look at its key.

use std::fmt;

use bytes::Bytes;
use plinth_protocol::{ErrorCode, KeyspaceId};

use super::{
    facade::Engine,
    reader::{NotRead, TryReader},
    watch::Notify,
};

/// Where a watch is entered.
#[derive(Clone)]
pub(super) struct WatchPlace {
    engine: Engine,
    keyspace: KeyspaceId,
    key: Bytes,
    id: u64,
}

impl WatchPlace {
    pub(super) fn new(engine: Engine, keyspace: KeyspaceId, key: Bytes, id: u64) -> Self {
        Self { engine, keyspace, key, id }
    }

    /// The watch there, of a key that is taken to have this value.
    pub(super) fn watch(self, value: Option<Bytes>) -> (WatchHandle, UncheckedWatch) {
        (WatchHandle { place: self.clone() }, UncheckedWatch { place: self, value })
    }

    fn remove(&self) -> Option<Notify> {
        self.engine.shared().watches.remove(self.keyspace, &self.key, self.id)
    }
}

/// A watch that is set; dropping it ends it without a word.
pub struct WatchHandle {
    place: WatchPlace,
}

impl fmt::Debug for WatchHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchHandle").field("key", &self.place.key).finish_non_exhaustive()
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        drop(self.place.remove());
    }
}

/// A watch that is set, but whose key has not been looked at since.
pub struct UncheckedWatch {
    place: WatchPlace,
    value: Option<Bytes>,
}

impl UncheckedWatch {
    /// Looks at the key, and fires the watch if the value is another or can't be read. May wait for
    /// the disk.
    pub fn check(self) {
        loop {
            let reader = self.place.engine.reader();
            if self.look(reader.as_try()) {
                return;
            }
        }
    }

    /// Like [`check`](Self::check), but where that would wait for the disk, gives the watch back.
    pub(super) fn try_check(self) -> Option<Self> {
        let is_checked = self.look(&self.place.engine.try_reader());
        (!is_checked).then_some(self)
    }

    /// Whether the key could be looked at, or can't ever.
    fn look(&self, reader: &TryReader) -> bool {
        let WatchPlace { keyspace, key, .. } = &self.place;
        let newest = reader.newest();
        let told = match reader.get(*keyspace, key, newest) {
            Ok(found) if found.map(|found| found.value) == self.value.as_deref() => return true,
            Ok(_) => Ok(newest),
            Err(NotRead::Cold) => return false,
            // The window went by in between, and there is a newer version.
            Err(NotRead::Failed(error)) if error.code == ErrorCode::TRANSACTION_TOO_OLD => {
                return false;
            }
            Err(NotRead::Failed(error)) => Err(error),
        };
        if let Some(notify) = self.place.remove() {
            notify(told);
        }
        true
    }
}

impl fmt::Debug for UncheckedWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UncheckedWatch").field("key", &self.place.key).finish_non_exhaustive()
    }
}

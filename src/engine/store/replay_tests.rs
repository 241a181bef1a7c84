//! What is hidden while a log is replayed. That it is read as it should be afterwards is the matter
//! of `layered_tests.rs`.

use plinth_protocol::KeyspaceId;

use super::*;
use crate::engine::{key::KeyRef, layer::Lookup, write::WriteRef};

const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

fn replay(writer: &mut StoreWriter, version: u64, key: &[u8], value: &[u8]) {
    let write = WriteRef::Set { keyspace: SPACE, key, value };
    let mut replaying = writer.replay();
    replaying.apply(Stamp { version: Version(version), order: 0 }, &[write]);
    replaying.end();
}

#[test]
fn nothing_is_read_before_it_is_shown() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    writer.hide();
    replay(&mut writer, 1, b"a", b"one");
    assert_eq!(store.reader().get(SPACE, b"a", Version(1)), Ok(None));
    writer.show();
    let expected = Found { value: b"one", version: Version(1) };
    assert_eq!(store.reader().get(SPACE, b"a", Version(1)), Ok(Some(expected)));
}

#[test]
fn a_version_takes_no_ones_place_in_a_memtable_that_somebody_looks_at() {
    let (store, mut writer) = Store::new(StoreOptions { seed: 1 });
    writer.hide();
    replay(&mut writer, 1, b"a", b"one");
    let held = Arc::clone(writer.table.table());
    let guard = ReadGuard::pin();
    let seen = held.lookup(KeyRef::new(SPACE, b"a"), Version(1), &guard);
    replay(&mut writer, 2, b"a", b"two");
    assert!(matches!(seen, Lookup::Value(b"one", Version(1))));
    let again = held.lookup(KeyRef::new(SPACE, b"a"), Version(1), &guard);
    assert!(matches!(again, Lookup::Value(b"one", Version(1))));
    writer.show();
    let expected = Found { value: b"two", version: Version(2) };
    assert_eq!(store.reader().get(SPACE, b"a", Version(2)), Ok(Some(expected)));
}

#[test]
fn what_is_replayed_takes_the_memory_that_it_would_take_after_collection() {
    let (replayed, mut hidden) = Store::new(StoreOptions { seed: 1 });
    let (applied, mut writer) = Store::new(StoreOptions { seed: 1 });
    hidden.hide();
    for version in 1..=3000_u64 {
        let key = (version * 7 % 1000).to_be_bytes();
        let value = vec![b'v'; version as usize % 5];
        replay(&mut hidden, version, &key, &value);
        let (key, value) = (key.to_vec().into(), value.into());
        writer.apply(Version(version), 0, &[Write::Set { keyspace: SPACE, key, value }]);
    }
    hidden.count();
    writer.set_horizon(Version(3000));
    tests::finish(&mut writer);
    let stats = replayed.stats();
    assert_eq!((stats.keys, stats.entries), (1000, 1000));
    assert_eq!(stats, applied.stats());
}

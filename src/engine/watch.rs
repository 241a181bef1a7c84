//! Watches: told when a key's value is another than the one they know.
//!
//! A watch is entered first and the key read afterwards; a commit is published first and the
//! watches looked at afterwards. So a change is seen by one of the two, whichever way they
//! interleave. A watch fires once. It may miss a value that came and went within one batch.
//! Without watches a commit pays one atomic load.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode, KeyspaceId, Version};

use super::write::{CommittedTransaction, Write};
use crate::sync::{AtomicU64, Mutex, Ordering, fence};

/// What a watch does when it fires.
pub(crate) type Notify = Box<dyn FnOnce(Result<Version, Error>) + Send>;

/// All watches of an engine.
pub(crate) struct Watches {
    count: AtomicU64,
    set: Mutex<Set>,
    bounds: WatchBounds,
}

/// How many watches there may be, and how much memory they may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchBounds {
    pub(crate) count_max: usize,
    pub(crate) bytes_max: usize,
}

/// What a watch takes beside its key and value, about.
const WATCH_OVERHEAD_BYTES: usize = 160;

#[derive(Default)]
struct Set {
    /// By keyspace, key and the watch's own number.
    watches: BTreeMap<(KeyspaceId, Bytes, u64), Watch>,
    bytes: usize,
    next_id: u64,
    is_closed: bool,
}

struct Watch {
    value: Option<Bytes>,
    notify: Notify,
}

impl Watches {
    pub(crate) fn new(bounds: WatchBounds) -> Self {
        Self { count: AtomicU64::new(0), set: Mutex::new(Set::default()), bounds }
    }

    /// Enters a watch on a key that has `value`; the caller reads the key afterwards.
    pub(crate) fn enter(
        &self,
        keyspace: KeyspaceId,
        key: Bytes,
        value: Option<Bytes>,
        notify: Notify,
    ) -> Result<u64, Error> {
        let mut set = self.set.lock();
        if set.is_closed {
            return Err(ErrorCode::SHUTTING_DOWN.into());
        }
        let bytes = watch_bytes(&key, value.as_ref());
        if set.watches.len() >= self.bounds.count_max
            || set.bytes.saturating_add(bytes) > self.bounds.bytes_max
        {
            let text = format!(
                "{} watches on {} bytes are set, and no more may be: cancel some, or raise the \
                 limit",
                set.watches.len(),
                set.bytes
            );
            return Err(Error::new(ErrorCode::TOO_MANY_WATCHES, text));
        }
        set.bytes += bytes;
        let id = set.next_id;
        set.next_id += 1;
        set.watches.insert((keyspace, key, id), Watch { value, notify });
        self.count.store(set.watches.len() as u64, Ordering::Relaxed);
        // Against the one in `published`: the entry is seen there, or what was published is read by
        // the caller.
        fence(Ordering::SeqCst);
        Ok(id)
    }

    /// Takes a watch out, if it is still there: it won't be told any more.
    pub(crate) fn remove(&self, keyspace: KeyspaceId, key: &Bytes, id: u64) -> Option<Notify> {
        let mut set = self.set.lock();
        let watch = set.watches.remove(&(keyspace, key.clone(), id))?;
        set.bytes -= watch_bytes(key, watch.value.as_ref());
        self.count.store(set.watches.len() as u64, Ordering::Relaxed);
        Some(watch.notify)
    }

    /// Tells the watches whose values these transactions, visible now, have changed.
    pub(crate) fn published(&self, transactions: &[CommittedTransaction]) {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut fired = Vec::new();
        let mut set = self.set.lock();
        for transaction in transactions {
            for write in &transaction.writes {
                set.collect(write, transaction.version, &mut fired);
            }
        }
        self.count.store(set.watches.len() as u64, Ordering::Relaxed);
        drop(set);
        for (notify, version) in fired {
            notify(Ok(version));
        }
    }

    /// Ends all watches, and refuses new ones.
    pub(crate) fn close(&self) {
        let mut set = self.set.lock();
        set.is_closed = true;
        set.bytes = 0;
        let ended = std::mem::take(&mut set.watches);
        self.count.store(0, Ordering::Relaxed);
        drop(set);
        for watch in ended.into_values() {
            (watch.notify)(Err(ErrorCode::SHUTTING_DOWN.into()));
        }
    }

    /// How many watches there are.
    pub(crate) fn len(&self) -> usize {
        self.set.lock().watches.len()
    }
}

impl Set {
    fn collect(&mut self, write: &Write, version: Version, fired: &mut Vec<(Notify, Version)>) {
        let (range, value) = match write {
            Write::Set { keyspace, key, value } => (key_range(*keyspace, key), Some(value)),
            Write::Clear { keyspace, key } => (key_range(*keyspace, key), None),
            Write::ClearRange { keyspace, begin, end } => {
                if begin >= end {
                    return;
                }
                ((*keyspace, begin.clone(), 0)..(*keyspace, end.clone(), 0), None)
            }
        };
        let changed = self.watches.extract_if(range, |_, watch| watch.value.as_ref() != value);
        for ((_, key, _), watch) in changed {
            self.bytes -= watch_bytes(&key, watch.value.as_ref());
            fired.push((watch.notify, version));
        }
    }
}

fn watch_bytes(key: &Bytes, value: Option<&Bytes>) -> usize {
    WATCH_OVERHEAD_BYTES + key.len() + value.map_or(0, Bytes::len)
}

/// Where the watches on one key are.
fn key_range(keyspace: KeyspaceId, key: &Bytes) -> Range<(KeyspaceId, Bytes, u64)> {
    (keyspace, key.clone(), 0)..(keyspace, key.clone(), u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    const SPACE: KeyspaceId = KeyspaceId::DEFAULT;

    fn transaction(version: u64, writes: Vec<Write>) -> CommittedTransaction {
        CommittedTransaction {
            version: Version(version),
            order: 0,
            idempotency_id: None,
            committed_at_ms: 0,
            writes,
        }
    }

    fn set(key: &'static str, value: &'static str) -> Write {
        Write::Set { keyspace: SPACE, key: key.into(), value: value.into() }
    }

    struct Bench {
        watches: Arc<Watches>,
        sender: mpsc::Sender<(&'static str, Result<Version, Error>)>,
        told: mpsc::Receiver<(&'static str, Result<Version, Error>)>,
    }

    impl Bench {
        fn new(count_max: usize) -> Self {
            let (sender, told) = mpsc::channel();
            let bounds = WatchBounds { count_max, bytes_max: 3 * (WATCH_OVERHEAD_BYTES + 2) };
            Self { watches: Arc::new(Watches::new(bounds)), sender, told }
        }

        fn watch(&self, key: &'static str, value: Option<&'static str>) -> Result<u64, Error> {
            let sender = self.sender.clone();
            let notify = Box::new(move |told| sender.send((key, told)).unwrap());
            self.watches.enter(SPACE, key.into(), value.map(Bytes::from), notify)
        }
    }

    #[test]
    fn a_watch_fires_once_and_only_for_another_value() {
        let bench = Bench::new(9);
        bench.watch("a", Some("1")).unwrap();
        bench.watch("b", None).unwrap();
        bench.watches.published(&[transaction(10, vec![set("a", "1"), set("c", "1")])]);
        assert!(bench.told.try_recv().is_err());
        bench.watches.published(&[
            transaction(20, vec![set("a", "2"), set("a", "3")]),
            transaction(30, vec![set("b", "1")]),
        ]);
        assert_eq!(bench.told.try_recv(), Ok(("a", Ok(Version(20)))));
        assert_eq!(bench.told.try_recv(), Ok(("b", Ok(Version(30)))));
        assert_eq!((bench.watches.len(), bench.watches.set.lock().bytes), (0, 0));
    }

    #[test]
    fn clearing_a_range_tells_the_watches_on_present_keys_in_it() {
        let bench = Bench::new(9);
        bench.watch("a", Some("1")).unwrap();
        bench.watch("b", None).unwrap();
        bench.watch("z", Some("1")).unwrap();
        let clear = Write::ClearRange { keyspace: SPACE, begin: "a".into(), end: "z".into() };
        bench.watches.published(&[transaction(10, vec![clear])]);
        assert_eq!(bench.told.try_recv(), Ok(("a", Ok(Version(10)))));
        assert!(bench.told.try_recv().is_err());
        assert_eq!(bench.watches.len(), 2);
    }

    #[test]
    fn watches_are_bounded_and_end_with_the_engine() {
        let bench = Bench::new(1);
        let id = bench.watch("a", None).unwrap();
        assert_eq!(bench.watch("b", None).unwrap_err().code, ErrorCode::TOO_MANY_WATCHES);
        assert!(bench.watches.remove(SPACE, &Bytes::from("a"), id).is_some());
        let long = "x".repeat(1_000).leak();
        assert_eq!(bench.watch("b", Some(long)).unwrap_err().code, ErrorCode::TOO_MANY_WATCHES);
        bench.watch("b", None).unwrap();
        bench.watches.close();
        let (key, told) = bench.told.try_recv().unwrap();
        assert_eq!((key, told.unwrap_err().code), ("b", ErrorCode::SHUTTING_DOWN));
        assert_eq!(bench.watch("c", None).unwrap_err().code, ErrorCode::SHUTTING_DOWN);
    }
}

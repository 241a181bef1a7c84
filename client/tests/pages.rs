//! Pages of ranges against a model that is as simple as it can be: whatever a transaction has read
//! and written before, a page is the beginning of what there is, it says whether there may be more,
//! it keeps to its limits, and what it has depended on is in the transaction's read conflicts.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use plinth_client::{
    AtomicOp, Database, ErrorCode, KeySelector, RangeRead, StreamingMode, Transaction,
    TransactionOption, testing::MemoryBackend,
};
use proptest::prelude::*;

type Key = &'static [u8];
type Rows = BTreeMap<Key, Vec<u8>>;

/// All keys that are ever written.
const KEYS: [Key; 14] = [
    b"", b"\0", b"a", b"a\0", b"a\0\0", b"b", b"c", b"ca", b"d", b"d\0", b"e", b"f", b"x", b"\xFE",
];
const END: Key = b"\xFF";
const ROW_BYTES: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    Get(Key),
    GetKey(KeySelector),
    Page(RangeRead),
    Write(Write),
}

#[derive(Clone, Debug)]
enum Write {
    Set(Key, Vec<u8>),
    Clear(Key),
    ClearRange(Key, Key),
    Append(Key, Vec<u8>),
    CompareAndClear(Key, Vec<u8>),
}

/// What a transaction sees: the database under its own writes.
#[derive(Clone, Debug)]
struct View {
    rows: Rows,
    /// Keys that it has written and not cleared: selectors count them, whether they are there or
    /// not.
    written: BTreeSet<Key>,
}

impl View {
    fn new(rows: Rows, writes: &[Write]) -> Self {
        let mut view = Self { rows, written: BTreeSet::new() };
        for write in writes {
            view.apply(write);
        }
        view
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Set(key, value) => {
                self.rows.insert(key, value.clone());
                self.written.insert(key);
            }
            Write::Clear(key) => {
                self.rows.remove(key);
                self.written.remove(key);
            }
            Write::ClearRange(begin, end) => {
                self.rows.retain(|key, _| key < begin || key >= end);
                self.written.retain(|key| key < begin || key >= end);
            }
            Write::Append(key, value) => {
                self.rows.entry(key).or_default().extend_from_slice(value);
                self.written.insert(key);
            }
            Write::CompareAndClear(key, value) => {
                if self.rows.get(key) == Some(value) {
                    self.rows.remove(key);
                }
                self.written.insert(key);
            }
        }
    }

    /// Before which of the keys a selector points, and that key.
    fn resolve(&self, selector: &KeySelector) -> Vec<u8> {
        let keys: BTreeSet<Key> = self.rows.keys().chain(&self.written).copied().collect();
        let is_before =
            |key: &&Key| **key < selector.key || (selector.or_equal && **key == selector.key);
        let before = i64::try_from(keys.iter().filter(is_before).count()).unwrap();
        match usize::try_from(before - 1 + i64::from(selector.offset)) {
            Ok(at) => keys.iter().nth(at).unwrap_or(&END).to_vec(),
            Err(_) => Vec::new(),
        }
    }

    /// What a selector gives: a key that it counts and that is not there is passed over.
    fn key(&self, selector: &KeySelector) -> Vec<u8> {
        let at = self.resolve(selector);
        let mut keys = self.rows.keys().map(|key| key.to_vec());
        if selector.offset > 0 {
            keys.find(|key| *key >= at).unwrap_or_else(|| END.to_vec())
        } else {
            keys.rfind(|key| *key <= at).unwrap_or_default()
        }
    }

    /// Whether a range is one that the model has a say in. FoundationDB sometimes takes a selector
    /// that counts back for what `get_key` gives, which passes over keys that are not there.
    fn knows(&self, read: &RangeRead) -> bool {
        let counts_back = read.begin.offset < 1 || read.end.offset < 1;
        !counts_back || self.written.iter().all(|key| self.rows.contains_key(key))
    }

    /// All that a range has, in the order of reading.
    fn range(&self, read: &RangeRead) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (begin, end) = (self.resolve(&read.begin), self.resolve(&read.end));
        let within = self.rows.iter().filter(|(key, _)| **key >= &begin[..] && **key < &end[..]);
        let mut rows: Vec<_> = within.map(|(key, value)| (key.to_vec(), value.clone())).collect();
        if read.reverse {
            rows.reverse();
        }
        rows
    }
}

/// The bytes that end a page.
fn budget(read: &RangeRead) -> usize {
    let by_mode = match read.mode {
        StreamingMode::Small => 256,
        StreamingMode::Medium => 1000,
        StreamingMode::Exact => usize::MAX,
        _ => 4096,
    };
    by_mode.min(if read.bytes_target == 0 { usize::MAX } else { read.bytes_target as usize })
}

fn key() -> impl Strategy<Value = Key> {
    prop::sample::select(&KEYS[..])
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![0, 1, 5, 40, 120]).prop_map(|length| vec![b'v'; length])
}

fn rows() -> impl Strategy<Value = Rows> {
    prop::collection::btree_map(key(), value(), 0..KEYS.len())
}

fn selector() -> impl Strategy<Value = KeySelector> {
    let offset = prop_oneof![6 => Just(1), 4 => -3..5, 1 => Just(-200), 1 => Just(200)];
    (key(), any::<bool>(), offset).prop_map(|(key, or_equal, offset)| KeySelector {
        key: key.into(),
        or_equal,
        offset,
    })
}

fn page() -> impl Strategy<Value = RangeRead> {
    let modes = vec![StreamingMode::Small, StreamingMode::Medium, StreamingMode::Exact];
    let modes = prop::sample::select(modes);
    (selector(), selector(), 0..5_u32, modes, 0..4_usize, any::<bool>()).prop_map(
        |(begin, end, rows_max, mode, target, reverse)| {
            let bytes_target = [0, 1, 60, 150][target];
            let is_bounded = rows_max + bytes_target > 0 || mode != StreamingMode::Exact;
            let mode = if is_bounded { mode } else { StreamingMode::Small };
            let read = RangeRead::between(begin, end).mode(mode);
            RangeRead { rows_max, bytes_target, reverse, ..read }
        },
    )
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        3 => (key(), value()).prop_map(|(key, value)| Write::Set(key, value)),
        3 => key().prop_map(Write::Clear),
        1 => (key(), key()).prop_map(|(a, b)| Write::ClearRange(a.min(b), a.max(b))),
        2 => (key(), value()).prop_map(|(key, value)| Write::Append(key, value)),
        2 => (key(), value()).prop_map(|(key, value)| Write::CompareAndClear(key, value)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => key().prop_map(Step::Get),
        1 => selector().prop_map(Step::GetKey),
        2 => page().prop_map(Step::Page),
        4 => write().prop_map(Step::Write),
    ]
}

fn perform(tx: &Transaction<MemoryBackend>, write: &Write) {
    match write {
        Write::Set(key, value) => tx.set(*key, value.clone()),
        Write::Clear(key) => tx.clear(*key),
        Write::ClearRange(begin, end) => tx.clear_range(*begin, *end),
        Write::Append(key, value) => tx.atomic(AtomicOp::AppendIfFits, *key, value.clone()),
        Write::CompareAndClear(key, value) => {
            tx.atomic(AtomicOp::CompareAndClear, *key, value.clone());
        }
    }
}

async fn database(rows: &Rows) -> Database<MemoryBackend> {
    let database = Database::new(MemoryBackend::new());
    let tx = database.transaction();
    for (key, value) in rows {
        tx.set(*key, value.clone());
    }
    tx.commit().await.unwrap();
    database
}

/// A transaction after some steps, and what it has written.
async fn after(
    rows: &Rows,
    steps: &[Step],
    sees_writes: bool,
) -> (Transaction<MemoryBackend>, Vec<Write>) {
    let tx = database(rows).await.transaction();
    if !sees_writes {
        tx.set_option(TransactionOption::ReadYourWritesDisable);
    }
    let mut writes = Vec::new();
    for step in steps {
        match step {
            Step::Get(key) => drop(tx.get(*key).await.unwrap()),
            Step::GetKey(selector) => drop(tx.get_key(selector.clone()).await.unwrap()),
            Step::Page(read) => drop(tx.get_range(read.clone()).await.unwrap()),
            Step::Write(write) => {
                perform(&tx, write);
                writes.push(write.clone());
            }
        }
    }
    (tx, if sees_writes { writes } else { Vec::new() })
}

/// The database with one key in another state.
fn changed(rows: &Rows, key: Key) -> Rows {
    let mut changed = rows.clone();
    if changed.remove(key).is_none() {
        changed.insert(key, b"v".to_vec());
    }
    changed
}

/// Whether a transaction of these steps conflicts with another that changes `key` meanwhile.
async fn is_hit(rows: &Rows, steps: &[Step], last: Step, sees_writes: bool, key: Key) -> bool {
    let steps: Vec<_> = steps.iter().cloned().chain([last]).collect();
    let (tx, _) = after(rows, &steps, sees_writes).await;
    let other = tx.database().transaction();
    other.set(key, "other");
    other.commit().await.unwrap();
    tx.set("written", "");
    tx.commit().await.is_err_and(|error| error.code == ErrorCode::NOT_COMMITTED)
}

/// The keys that the transaction's conflict ranges leave out, as it shows them.
fn independent(tx: &Transaction<MemoryBackend>) -> Vec<Key> {
    let ranges = tx.read_conflict_ranges().unwrap();
    let is_left_out = |key: &Key| ranges.iter().all(|range| !range.contains(key));
    KEYS.into_iter().filter(is_left_out).collect()
}

async fn check_page(
    rows: &Rows,
    steps: &[Step],
    read: &RangeRead,
    sees_writes: bool,
) -> Result<(), TestCaseError> {
    let (tx, writes) = after(rows, steps, sees_writes).await;
    let page = tx.get_range(read.clone()).await.unwrap();
    let found: Vec<_> =
        page.rows.iter().map(|row| (row.key.to_vec(), row.value.to_vec())).collect();
    let view = View::new(rows.clone(), &writes);
    if !view.knows(read) {
        return Ok(());
    }
    let all = view.range(read);
    prop_assert!(all.starts_with(&found), "{found:?} does not begin {all:?}");
    prop_assert!(page.more || found == all, "nothing more than {found:?}, but {all:?}");
    prop_assert!(!page.more || !found.is_empty(), "more, and no row");
    if read.rows_max > 0 {
        prop_assert!(found.len() <= read.rows_max as usize);
        prop_assert!(page.more || found.len() < read.rows_max as usize || found.is_empty());
    }
    let bytes: Vec<_> =
        found.iter().map(|(key, value)| key.len() + value.len() + ROW_BYTES).collect();
    let (_, before) = bytes.split_last().unwrap_or((&0, &[]));
    prop_assert!(before.iter().sum::<usize>() < budget(read) || before.is_empty());

    let is_valid = |rows: Rows| {
        let view = View::new(rows, &writes);
        let all = view.range(read);
        !view.knows(read) || (all.starts_with(&found) && (page.more || all == found))
    };
    // Past the cache FoundationDB counts too little where both ends may be before the first key.
    if !sees_writes && read.begin.offset < 1 && read.end.offset < 1 {
        return Ok(());
    }
    for key in independent(&tx) {
        if !is_valid(changed(rows, key)) {
            let step = Step::Page(read.clone());
            prop_assert!(is_hit(rows, steps, step, sees_writes, key).await, "{key:?} matters");
        }
    }
    Ok(())
}

async fn check_key(
    rows: &Rows,
    steps: &[Step],
    selector: &KeySelector,
    sees_writes: bool,
) -> Result<(), TestCaseError> {
    let (tx, writes) = after(rows, steps, sees_writes).await;
    let key = tx.get_key(selector.clone()).await.unwrap();
    let view = View::new(rows.clone(), &writes);
    prop_assert_eq!(&key[..], &view.key(selector)[..]);
    for other in independent(&tx) {
        let view = View::new(changed(rows, other), &writes);
        prop_assert_eq!(&key[..], &view.key(selector)[..], "{:?} matters", other);
    }
    Ok(())
}

async fn check_pages(rows: &Rows, steps: &[Step], read: &RangeRead) -> Result<(), TestCaseError> {
    let (tx, writes) = after(rows, steps, true).await;
    let view = View::new(rows.clone(), &writes);
    if !view.knows(read) {
        return Ok(());
    }
    let all = view.range(read);
    let limit = if read.rows_max == 0 { usize::MAX } else { read.rows_max as usize };
    let found = tx.range(read.clone()).collect().await.unwrap();
    let found: Vec<_> = found.iter().map(|row| (row.key.to_vec(), row.value.to_vec())).collect();
    prop_assert_eq!(&found[..], &all[..all.len().min(limit)]);
    Ok(())
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_page_is_the_beginning_of_what_there_is_and_depends_on_its_conflicts_alone(
        rows in rows(),
        steps in prop::collection::vec(step(), 0..8),
        read in page(),
        sees_writes in prop::bool::weighted(0.8),
    ) {
        run(check_page(&rows, &steps, &read, sees_writes))?;
    }

    #[test]
    fn a_selector_resolves_to_its_key_and_depends_on_its_conflicts_alone(
        rows in rows(),
        steps in prop::collection::vec(step(), 0..8),
        selector in selector(),
        sees_writes in prop::bool::weighted(0.8),
    ) {
        run(check_key(&rows, &steps, &selector, sees_writes))?;
    }

    #[test]
    fn page_after_page_brings_everything_once(
        rows in rows(),
        steps in prop::collection::vec(step(), 0..8),
        read in page(),
    ) {
        run(check_pages(&rows, &steps, &read))?;
    }
}

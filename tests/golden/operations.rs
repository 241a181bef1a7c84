//! What programs do with transactions, whatever client carries it out.
//!
//! Error codes, options, modes and operation types are FoundationDB's numbers.

use plinth_client::KeySelector;

/// An error code.
pub(crate) type Code = u16;
/// What an operation answers.
pub(crate) type Answer<T> = Result<T, Code>;
/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// One page of a range.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) begin: KeySelector,
    pub(crate) end: KeySelector,
    pub(crate) limit: u32,
    pub(crate) target_bytes: u32,
    pub(crate) mode: i32,
    pub(crate) iteration: u32,
    pub(crate) snapshot: bool,
    pub(crate) reverse: bool,
}

/// Which conflict ranges of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conflicts {
    /// What it has read.
    Read,
    /// What it has written.
    Write,
    /// Which of its reads made its commit fail.
    Hit,
}

/// A way to a database.
pub(crate) trait Client {
    /// Its transactions. They wait no time before they try again.
    type Transaction: Operations;

    /// A new transaction.
    fn begin(&self) -> Self::Transaction;
}

/// A transaction.
pub(crate) trait Operations {
    async fn get(&self, key: &[u8], snapshot: bool) -> Answer<Option<Vec<u8>>>;
    async fn get_key(&self, selector: &KeySelector, snapshot: bool) -> Answer<Vec<u8>>;
    async fn get_range(&self, range: &Range) -> Answer<(Vec<Row>, bool)>;
    async fn get_read_version(&self) -> Answer<i64>;
    fn set(&self, key: &[u8], value: &[u8]);
    fn clear(&self, key: &[u8]);
    fn clear_range(&self, begin: &[u8], end: &[u8]);
    /// The parameter of versionstamped operations ends with the offset.
    fn atomic_op(&self, operation: i32, key: &[u8], parameter: &[u8]);
    /// Of reads (0) or writes (1).
    fn add_conflict_range(&self, begin: &[u8], end: &[u8], kind: i32) -> Answer<()>;
    /// One without a value.
    fn set_option(&self, option: i32) -> Answer<()>;
    /// Where conflict ranges begin ("1") and end ("0"), each key after a slash.
    async fn conflicts(&self, which: Conflicts) -> Answer<Vec<Row>>;
    /// The commit version, -1 if nothing was written.
    async fn commit(&self) -> Answer<i64>;
    async fn on_error(&self, code: Code) -> Answer<()>;
    fn reset(&self);
    fn cancel(&self);
}

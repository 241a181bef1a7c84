//! A session: lines in, answers out, one transaction at a time.
//!
//! A session owns at most one open transaction and a bounded number of watches. What a line costs is
//! bounded too: a range answers no more than [`RANGE_BYTES_MAX`] at once, and a transaction that
//! grows beyond the database's limit is refused at the write that would be too much, not at its
//! commit, so that a client can't make the server hold more than that.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use plinth_client::{
    Backend, Database, RangeRead, StreamingMode, Transaction, TransactionOption, Watch,
};
use plinth_protocol::{
    Error, ErrorCode, KeyspaceId, MutationOp, Version, Versionstamp, range::key_after,
    request::Request, response::ServerInfo,
};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    allowance::{Allowance, Share},
    answer::Answer,
    command::{Command, RANGE_LIMIT_DEFAULT, RangeCommand},
    escape::quoted,
    help,
    jobs::{self, JobSource},
    trace::{Trace, Traced},
};

/// The most watches that a session may have at once.
pub const SESSION_WATCHES_MAX: usize = 100;

/// The most bytes of keys and values that a range answers at once.
const RANGE_BYTES_MAX: usize = 1 << 20;

/// How long a lone command may take, all its retries together.
const LONE_TIMEOUT: Duration = Duration::from_secs(30);

/// The end of a keyspace's keys.
const KEYS_END: &[u8] = b"\xff";

/// What [`InfoSource`] answers with.
pub type InfoFuture = Pin<Box<dyn Future<Output = Result<ServerInfo, Error>> + Send>>;

/// Where a session's host says what it is.
pub type InfoSource = Arc<dyn Fn() -> InfoFuture + Send + Sync>;

/// What to print, and whether that was the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The frames that were traced; lines that begin with `#`, or nothing.
    pub trace: String,
    /// What the line came to.
    pub answer: Answer,
    /// Whether the session is over.
    pub is_last: bool,
}

impl Reply {
    /// All of it as lines.
    pub fn to_text(&self) -> String {
        format!("{}{}", self.trace, self.answer.to_text())
    }
}

/// One session's interpreter.
pub struct TextSession<B: Backend> {
    allowance: Allowance,
    database: Database<Traced<B>>,
    info: InfoSource,
    jobs: JobSource,
    trace: Trace,
    /// The number of the last request that was traced.
    request_id: u32,
    keyspace: KeyspaceId,
    keyspace_name: Option<String>,
    open: Option<OpenTransaction<B>>,
    watches: JoinSet<()>,
    events: mpsc::Sender<String>,
}

struct OpenTransaction<B: Backend> {
    /// What it has taken of the allowance.
    share: Share,
    transaction: Transaction<Traced<B>>,
    /// Whether the commit's versionstamp is wanted.
    is_stamped: bool,
    watches: Vec<(Bytes, Watch<Traced<B>>)>,
}

impl<B: Backend> TextSession<B> {
    /// A session on a backend, and where its watches' lines come out: whole lines, to be printed
    /// between answers.
    pub fn new(backend: B, info: InfoSource) -> (Self, mpsc::Receiver<String>) {
        let (events, receiver) = mpsc::channel(SESSION_WATCHES_MAX);
        let trace = Trace::default();
        let session = Self {
            allowance: Allowance::new(usize::MAX),
            database: Database::new(Traced::new(backend, trace.clone())),
            info,
            jobs: jobs::no_jobs(),
            trace,
            request_id: 0,
            keyspace: KeyspaceId::DEFAULT,
            keyspace_name: None,
            open: None,
            watches: JoinSet::new(),
            events,
        };
        (session, receiver)
    }

    /// Whether a transaction is open.
    pub fn has_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// The keyspace in use, unless it is the default one.
    pub fn keyspace_name(&self) -> Option<&str> {
        self.keyspace_name.as_deref()
    }

    /// Works in this keyspace from now on, as the command `use` makes it.
    pub fn set_keyspace(&mut self, name: String, keyspace: KeyspaceId) {
        (self.keyspace, self.keyspace_name) = (keyspace, Some(name));
    }

    /// Waits until one of the watches has fired and its line is there; false if there is none.
    pub async fn next_watch(&mut self) -> bool {
        self.watches.join_next().await.is_some()
    }

    fn forget_fired_watches(&mut self) {
        while self.watches.try_join_next().is_some() {}
    }

    /// Carries out a line, given without its end.
    pub async fn line(&mut self, line: &[u8]) -> Reply {
        let command = match Command::parse(line) {
            Ok(Some(command)) => command,
            Ok(None) => return Self::reply(String::new(), Answer::Nothing),
            Err(error) => return Self::reply(String::new(), Answer::Failed(error)),
        };
        let is_last = command == Command::Quit;
        let answer = match self.carry_out(command).await.and_then(|answer| self.bounded(answer)) {
            Ok(answer) => answer,
            Err(error) => Answer::Failed(error),
        };
        let trace = self.trace.take(&mut self.request_id);
        Reply { is_last, ..Self::reply(trace, answer) }
    }

    fn reply(trace: String, answer: Answer) -> Reply {
        Reply { trace, answer, is_last: false }
    }

    async fn carry_out(&mut self, command: Command) -> Result<Answer, Error> {
        match command {
            Command::Help(None) => Ok(Answer::Text(help::overview())),
            Command::Help(Some(command)) => Ok(Answer::Text(help::explain(command))),
            Command::Ping => {
                self.trace.record(|| Request::Ping { payload: Bytes::new() });
                Ok(Answer::Pong)
            }
            Command::Info => {
                self.trace.record(|| Request::ServerInfo);
                (self.info)().await.map(Answer::Info)
            }
            Command::Get(key) => self.reader().get(key).await.map(Answer::Value),
            Command::GetKey(selector) => {
                self.reader().get_key(selector).await.map(|key| Answer::Value(Some(key)))
            }
            Command::GetRange(range) => self.get_range(range).await,
            Command::Write(write) => self.write(write).await,
            Command::Begin => self.begin(),
            Command::Commit => self.commit().await,
            Command::Rollback => self.take_open("rollback").map(|_| Answer::Done(None, None)),
            Command::Reset => self.reset(),
            Command::Watch(key) => self.watch(key).await,
            Command::Trace(on) => {
                self.trace.switch(on);
                Ok(Answer::Done(None, None))
            }
            Command::Keyspaces => self.keyspaces().await,
            Command::CreateKeyspace(name) => self.change_catalog(Change::Create, &name).await,
            Command::DropKeyspace(name) => self.change_catalog(Change::Drop, &name).await,
            Command::Use(name) => self.use_keyspace(name).await,
            Command::Job(request) => {
                self.trace.record(|| request.clone());
                (self.jobs)(request).await.and_then(jobs::answer)
            }
            Command::Quit => Ok(Answer::Done(None, None)),
        }
    }

    /// Lets the open transactions of this session and of others hold no more than this together.
    pub fn with_allowance(self, allowance: Allowance) -> Self {
        Self { allowance, ..self }
    }

    /// Lets this one carry out what the session asks about jobs.
    pub fn with_jobs(self, jobs: JobSource) -> Self {
        Self { jobs, ..self }
    }

    /// Ends a transaction that has grown beyond what could be committed, or beyond what is left for
    /// it.
    fn bounded(&mut self, answer: Answer) -> Result<Answer, Error> {
        let Some(open) = &mut self.open else {
            return Ok(answer);
        };
        // One that has failed tells no size, and grows no more.
        let Ok(size) = open.transaction.approximate_size() else {
            return Ok(answer);
        };
        let limit = self.database.limits().transaction_bytes_max;
        let error = if size > limit {
            let message = format!(
                "The transaction has come to {size} bytes, {limit} are allowed; it is ended"
            );
            Error::new(ErrorCode::TRANSACTION_TOO_LARGE, message)
        } else if let Err(limit) = open.share.resize(size) {
            let message = format!(
                "The open transactions of all text sessions would hold more than the {limit} bytes \
                 allowed; this one is ended"
            );
            Error::new(ErrorCode::TOO_MANY_TRANSACTIONS, message)
        } else {
            return Ok(answer);
        };
        self.open = None;
        Err(error)
    }

    /// A transaction of its own for one command.
    fn lone(&self) -> Transaction<Traced<B>> {
        let transaction = self.database.transaction();
        transaction.set_option(TransactionOption::Timeout(Some(LONE_TIMEOUT)));
        transaction
    }

    /// The open transaction, or one of its own, in the keyspace in use.
    fn reader(&self) -> Transaction<Traced<B>> {
        let transaction = match &self.open {
            Some(open) => open.transaction.clone(),
            None => self.lone(),
        };
        transaction.in_keyspace(self.keyspace)
    }

    async fn get_range(&self, range: RangeCommand) -> Result<Answer, Error> {
        let RangeCommand { begin, end, limit, reverse } = range;
        let end = end.unwrap_or(Bytes::from_static(KEYS_END));
        let rows_max = limit.unwrap_or(RANGE_LIMIT_DEFAULT);
        let transaction = self.reader();
        let (mut from, mut to) = (begin.clone(), end.clone());
        let (mut rows, mut bytes, mut more) = (Vec::new(), 0, true);
        while more && rows.len() < rows_max as usize && bytes < RANGE_BYTES_MAX {
            let read = RangeRead {
                rows_max: rows_max - rows.len() as u32,
                bytes_target: (RANGE_BYTES_MAX - bytes) as u32,
                mode: StreamingMode::WantAll,
                reverse,
                ..RangeRead::new(&from, &to)
            };
            let page = transaction.get_range(read).await?;
            more = page.more;
            let Some(last) = page.rows.last() else {
                break;
            };
            if reverse {
                to = last.key.clone();
            } else {
                from = key_after(&last.key);
            }
            bytes += page.rows.iter().map(|row| row.key.len() + row.value.len()).sum::<usize>();
            rows.extend(page.rows);
        }
        let next = more.then(|| {
            let limit = limit.map(|limit| format!(" {limit}")).unwrap_or_default();
            let direction = if reverse { " reverse" } else { "" };
            format!("getrange {} {}{limit}{direction}", quoted(&from), quoted(&to))
        });
        Ok(Answer::Rows { rows, next })
    }

    /// Writes: within the open transaction, or in one of its own, tried until it is decided.
    async fn write(&mut self, write: MutationOp) -> Result<Answer, Error> {
        let is_stamped = matches!(
            write,
            MutationOp::SetVersionstampedKey { .. } | MutationOp::SetVersionstampedValue { .. }
        );
        if let Some(open) = &mut self.open {
            apply(&open.transaction.in_keyspace(self.keyspace), &write);
            open.transaction.approximate_size()?;
            open.is_stamped |= is_stamped;
            return Ok(Answer::Done(None, None));
        }
        let transaction = self.lone();
        loop {
            apply(&transaction.in_keyspace(self.keyspace), &write);
            match commit(&transaction, is_stamped).await {
                Ok((version, stamp)) => return Ok(Answer::Done(version, stamp)),
                Err(error) => try_again(&transaction, error).await?,
            }
        }
    }

    fn begin(&mut self) -> Result<Answer, Error> {
        if self.open.is_some() {
            let message = "a transaction is open already: commit or rollback ends it";
            return Err(Error::new(ErrorCode::WRONG_STATE, message));
        }
        let transaction = self.database.transaction();
        self.open = Some(OpenTransaction {
            share: self.allowance.share(),
            transaction,
            is_stamped: false,
            watches: Vec::new(),
        });
        Ok(Answer::Done(None, None))
    }

    fn take_open(&mut self, command: &str) -> Result<OpenTransaction<B>, Error> {
        self.open.take().ok_or_else(|| no_transaction(command))
    }

    async fn commit(&mut self) -> Result<Answer, Error> {
        let open = self.take_open("commit")?;
        let (version, stamp) = commit(&open.transaction, open.is_stamped).await?;
        for (key, watch) in open.watches {
            self.follow(key, watch).await;
        }
        Ok(Answer::Done(version, stamp))
    }

    fn reset(&mut self) -> Result<Answer, Error> {
        let open = self.open.as_mut().ok_or_else(|| no_transaction("reset"))?;
        open.transaction.reset();
        open.is_stamped = false;
        open.watches.clear();
        Ok(Answer::Done(None, None))
    }

    async fn watch(&mut self, key: Bytes) -> Result<Answer, Error> {
        self.forget_fired_watches();
        let waiting = self.open.as_ref().map_or(0, |open| open.watches.len());
        if self.watches.len() + waiting >= SESSION_WATCHES_MAX {
            let message = format!("A session has {SESSION_WATCHES_MAX} watches at most");
            return Err(Error::new(ErrorCode::TOO_MANY_WATCHES, message));
        }
        let keyspace = self.keyspace;
        if let Some(open) = &mut self.open {
            let watch = open.transaction.in_keyspace(keyspace).watch(key.clone()).await?;
            open.watches.push((key, watch));
            return Ok(Answer::Done(None, None));
        }
        let transaction = self.lone();
        let watch = loop {
            let set = async {
                let watch = transaction.in_keyspace(keyspace).watch(key.clone()).await?;
                transaction.commit().await.map(|_| watch)
            };
            match set.await {
                Ok(watch) => break watch,
                Err(error) => try_again(&transaction, error).await?,
            }
        };
        self.follow(key, watch).await;
        Ok(Answer::Done(None, None))
    }

    async fn keyspaces(&self) -> Result<Answer, Error> {
        let keyspaces = self.reader().list_keyspaces().await?;
        Ok(Answer::Keyspaces(keyspaces.into_iter().map(|keyspace| keyspace.name).collect()))
    }

    async fn use_keyspace(&mut self, name: Option<String>) -> Result<Answer, Error> {
        self.keyspace = match &name {
            None => KeyspaceId::DEFAULT,
            Some(name) => self.reader().open_keyspace(name).await?.keyspace(),
        };
        self.keyspace_name = name;
        Ok(Answer::Done(None, None))
    }

    /// Creates or drops a keyspace: within the open transaction, or in one of its own.
    async fn change_catalog(&mut self, change: Change, name: &str) -> Result<Answer, Error> {
        if let Some(open) = &self.open {
            change.make(&open.transaction, name).await?;
            return Ok(Answer::Done(None, None));
        }
        let transaction = self.lone();
        loop {
            let changed = async {
                change.make(&transaction, name).await?;
                transaction.commit().await
            };
            match changed.await {
                Ok(version) => return Ok(Answer::Done(version, None)),
                Err(error) => try_again(&transaction, error).await?,
            }
        }
    }

    /// Sends a line when the watch fires.
    async fn follow(&mut self, key: Bytes, watch: Watch<Traced<B>>) {
        let events = self.events.clone();
        let mut changed = Box::pin(watch.changed());
        // Asking for the watch belongs to this line, so that the trace shows it here.
        let first = poll_fn(|context| Poll::Ready(changed.as_mut().poll(context))).await;
        self.watches.spawn(async move {
            let result = match first {
                Poll::Ready(result) => result,
                Poll::Pending => changed.await,
            };
            let line = match result {
                Ok(()) => format!("changed {}\n", quoted(&key)),
                Err(error) => Answer::Failed(error).to_text(),
            };
            // A session that nobody listens to any more needs no line.
            let _ = events.send(line).await;
        });
    }
}

/// A change of the list of keyspaces.
#[derive(Clone, Copy)]
enum Change {
    Create,
    Drop,
}

impl Change {
    async fn make<B: Backend>(self, transaction: &Transaction<B>, name: &str) -> Result<(), Error> {
        match self {
            Self::Create => transaction.create_keyspace(name).await.map(|_| ()),
            Self::Drop => transaction.drop_keyspace(name).await,
        }
    }
}

fn no_transaction(command: &str) -> Error {
    let message = format!("there is no transaction to {command}: begin begins one");
    Error::new(ErrorCode::WRONG_STATE, message)
}

/// Waits before the next try. Where the time is over meanwhile, the answer is what was in the way, which
/// says what to do: that the time is over says nothing.
async fn try_again<B: Backend>(transaction: &Transaction<B>, error: Error) -> Result<(), Error> {
    match transaction.on_error(error.clone()).await {
        Err(ended) if ended.code == ErrorCode::TRANSACTION_TIMED_OUT => Err(error),
        tried => tried,
    }
}

/// Commits; where it is wanted, with the versionstamp.
async fn commit<B: Backend>(
    transaction: &Transaction<B>,
    is_stamped: bool,
) -> Result<(Option<Version>, Option<Versionstamp>), Error> {
    let stamp = is_stamped.then(|| transaction.get_versionstamp());
    let version = transaction.commit().await?;
    let stamp = match stamp {
        Some(stamp) => Some(stamp.await?),
        None => None,
    };
    Ok((version, stamp))
}

/// Writes into a transaction.
fn apply<B: Backend>(transaction: &Transaction<B>, write: &MutationOp) {
    match write {
        MutationOp::Set { key, value } => transaction.set(key, value),
        MutationOp::Clear { key } => transaction.clear(key),
        MutationOp::ClearRange { begin, end } => transaction.clear_range(begin, end),
        MutationOp::Atomic { op, key, operand } => transaction.atomic(*op, key, operand),
        MutationOp::SetVersionstampedKey { key, offset, value } => {
            transaction.set_versionstamped_key(key, value, *offset as usize);
        }
        MutationOp::SetVersionstampedValue { key, value, offset } => {
            transaction.set_versionstamped_value(key, value, *offset as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use plinth_client::testing::MemoryBackend;

    use super::*;

    #[tokio::test]
    async fn a_command_that_runs_out_of_time_says_what_was_in_its_way() {
        let transaction = Database::new(MemoryBackend::default()).transaction();
        transaction.set_option(TransactionOption::Timeout(Some(Duration::from_millis(100))));
        let mut tries = 0;
        let error = loop {
            tries += 1;
            match try_again(&transaction, ErrorCode::DISK_FULL.into()).await {
                Ok(()) => assert!(tries < 1000, "the time never ends"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code, ErrorCode::DISK_FULL);
        assert!(tries > 1, "it was tried again before");
        let other = try_again(&transaction, ErrorCode::KEY_TOO_LARGE.into()).await;
        assert!(other.is_err_and(|error| error.code == ErrorCode::KEY_TOO_LARGE));
    }
}

//! Transactions that are done over and over.

use plinth_protocol::Error;

use super::{
    ground::Ground,
    mako::{Mako, Op, Part},
    ycsb::{Kind, SCAN_ROWS_MAX, Ycsb},
};
use crate::cli::bench::{
    keys::{Keys, Random},
    target::transact::{Isolation, Span, Transact},
};

/// What a transaction does.
///
/// It draws all that is random from what it is given, so that an attempt after a conflict does the
/// same as the one before.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// Reads a key and writes it.
    Rmw,
    /// Transfers money, or adds it up.
    Bank,
    /// Reads the first key and writes it.
    Hot,
    /// An operation of YCSB.
    Ycsb(Ycsb),
    /// As a string says.
    Mako(Mako),
}

/// What an attempt has found beside what it looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Keys that were not there.
    pub(crate) misses: u64,
}

impl Script {
    /// Does it once, with the commit. The number of a new key is kept in `new`, for further attempts
    /// and for who counts the keys.
    pub(crate) async fn attempt<T: Transact>(
        &self,
        transaction: &mut T,
        ground: &Ground,
        random: &mut Random,
        new: &mut Option<u64>,
    ) -> Result<Found, Error> {
        let mut attempt = Attempt { transaction, ground, random, found: Found::default() };
        match self {
            Self::Rmw => {
                let key = ground.pick_key(attempt.random);
                attempt.update(&key).await?;
                attempt.transaction.commit().await?;
            }
            Self::Bank => ground.bank.attempt(attempt.transaction, attempt.random).await?,
            Self::Hot => {
                attempt.update(&ground.keys.name(0)).await?;
                attempt.transaction.commit().await?;
            }
            Self::Ycsb(ycsb) => attempt.ycsb(*ycsb, new).await?,
            Self::Mako(mako) => attempt.mako(mako).await?,
        }
        Ok(attempt.found)
    }

    /// What is looked at once more before a worker goes home: whether the bank's money is all there.
    pub(crate) async fn finish<T: Transact>(
        &self,
        transaction: &mut T,
        ground: &Ground,
    ) -> Result<(), Error> {
        match self {
            Self::Bank => ground.bank.audit(transaction).await,
            Self::Rmw | Self::Hot | Self::Ycsb(_) | Self::Mako(_) => Ok(()),
        }
    }
}

/// An attempt under way.
struct Attempt<'a, T> {
    transaction: &'a mut T,
    ground: &'a Ground,
    random: &'a mut Random,
    found: Found,
}

impl<T: Transact> Attempt<'_, T> {
    async fn mako(&mut self, mako: &Mako) -> Result<(), Error> {
        for part in &mako.parts {
            for _ in 0..part.count {
                self.part(*part).await?;
            }
        }
        if mako.parts.iter().any(|part| part.op.writes()) {
            self.transaction.commit().await?;
        }
        Ok(())
    }

    async fn ycsb(&mut self, ycsb: Ycsb, new: &mut Option<u64>) -> Result<(), Error> {
        match ycsb.draw(self.random) {
            Kind::Read => return self.get(Isolation::Serializable).await,
            Kind::Scan => return self.scan().await,
            Kind::Update => {
                let key = self.ground.pick_key(self.random);
                self.set(&key);
            }
            Kind::ReadModifyWrite => {
                let key = self.ground.pick_key(self.random);
                self.update(&key).await?;
            }
            Kind::Insert => {
                let number = *new.get_or_insert_with(|| self.ground.growth.next());
                let key = self.ground.keys.name(number);
                self.set(&key);
            }
        }
        self.transaction.commit().await.map(|_| ())
    }

    /// Reads up to a hundred records from one on; there may be fewer at the end.
    async fn scan(&mut self) -> Result<(), Error> {
        let begin = self.ground.pick(self.random);
        let rows = 1 + self.random.below(SCAN_ROWS_MAX.into());
        let end = begin + rows;
        let (begin, end) = (self.ground.keys.name(begin), self.ground.keys.name(end));
        let span = Span { begin: &begin, end: &end, rows: SCAN_ROWS_MAX, reverse: false };
        let rows = self.transaction.get_range(span, Isolation::Serializable).await?;
        for (key, value) in &rows {
            self.ground.values.check(value, key)?;
        }
        self.found.misses += u64::from(rows.is_empty());
        Ok(())
    }

    async fn part(&mut self, part: Part) -> Result<(), Error> {
        match part.op {
            Op::ReadVersion => {
                self.transaction.read_version().await?;
            }
            Op::Get => self.get(Isolation::Serializable).await?,
            Op::SnapshotGet => self.get(Isolation::Snapshot).await?,
            Op::GetRange => self.get_range(part, Isolation::Serializable).await?,
            Op::SnapshotGetRange => self.get_range(part, Isolation::Snapshot).await?,
            Op::Update => {
                let key = self.ground.pick_key(self.random);
                self.update(&key).await?;
            }
            Op::Overwrite => {
                let key = self.ground.pick_key(self.random);
                self.set(&key);
            }
            Op::Insert | Op::InsertRange => {
                self.insert(part.range);
            }
            Op::Clear => {
                let key = self.ground.pick_key(self.random);
                self.transaction.clear(&key);
            }
            Op::ClearRange => {
                let (begin, end) = self.range(part.range);
                self.transaction.clear_range(&begin, &end);
            }
            Op::SetClear | Op::SetClearRange => {
                let (first, end) = self.insert(part.range);
                self.transaction.commit().await?;
                self.transaction.reset();
                if part.op == Op::SetClear {
                    self.transaction.clear(&first);
                } else {
                    self.transaction.clear_range(&first, &end);
                }
            }
        }
        Ok(())
    }

    async fn get(&mut self, isolation: Isolation) -> Result<(), Error> {
        let key = self.ground.pick_key(self.random);
        match self.transaction.get(&key, isolation).await? {
            Some(value) => self.ground.values.check(&value, &key)?,
            None => self.found.misses += 1,
        }
        Ok(())
    }

    /// Reads a key and writes it.
    async fn update(&mut self, key: &[u8]) -> Result<(), Error> {
        match self.transaction.get(key, Isolation::Serializable).await? {
            Some(value) => self.ground.values.check(&value, key)?,
            None => self.found.misses += 1,
        }
        self.set(key);
        Ok(())
    }

    fn set(&mut self, key: &[u8]) {
        let value = self.ground.values.make(key, self.random);
        self.transaction.set(key, &value);
    }

    async fn get_range(&mut self, part: Part, isolation: Isolation) -> Result<(), Error> {
        let (begin, end) = self.range(part.range);
        let span = Span { begin: &begin, end: &end, rows: part.range, reverse: part.reverse };
        let rows = self.transaction.get_range(span, isolation).await?;
        for (key, value) in &rows {
            self.ground.values.check(value, key)?;
        }
        self.found.misses += u64::from(part.range).saturating_sub(rows.len() as u64);
        Ok(())
    }

    /// Writes as many new keys side by side; tells the first, and what comes after the last.
    fn insert(&mut self, count: u32) -> (Vec<u8>, Vec<u8>) {
        let first = self.ground.keys.fresh(self.random);
        let mut key = first.clone();
        for number in 0..count {
            if number > 0 {
                Keys::next_fresh(&mut key);
            }
            self.set(&key);
        }
        Keys::next_fresh(&mut key);
        (first, key)
    }

    /// As many keys side by side, all of which are there.
    fn range(&mut self, count: u32) -> (Vec<u8>, Vec<u8>) {
        let last = self.ground.key_count().saturating_sub(count.into());
        let begin = self.ground.pick(self.random).min(last);
        (self.ground.keys.name(begin), self.ground.keys.name(begin + u64::from(count)))
    }
}

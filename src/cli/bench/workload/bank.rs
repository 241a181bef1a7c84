//! The bank: money goes from account to account, and none is made or lost.
//!
//! Each account has begun with the same balance; an account that has no value still has it, so that
//! nothing needs to be filled in. A transfer reads two accounts and writes both. Every twentieth
//! transaction reads all accounts in one snapshot and adds them up. Each worker does so once more
//! before it goes home, so that the last one sees what all have left.
//!
//! A transfer whose answer was lost is asked for again by its idempotency id, where the target has
//! such ids, before it is carried out again.

use plinth_protocol::{Error, ErrorCode};

use crate::cli::bench::{
    keys::{NUMBER_BYTES, Random, Sizes, Values},
    target::transact::{Isolation, Span, Transact},
};

/// The most accounts: all of them are read at once.
const ACCOUNTS_MAX: u64 = 1_000;

/// What each account has at first.
const BALANCE: u64 = 1_000;

/// Of so many transactions one adds everything up.
const AUDITS: u64 = 20;

/// Bytes of a balance.
const BALANCE_BYTES: usize = 8;

/// Bytes of an account's key.
const KEY_BYTES: usize = 18;

/// The bank.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    accounts: u64,
    values: Values,
}

impl Bank {
    /// A bank of so many accounts, as far as there may be. Its values have the size that is asked
    /// for, or as much as they need.
    pub(crate) fn new(accounts: u64, size: usize) -> Self {
        let needed = KEY_BYTES + NUMBER_BYTES + BALANCE_BYTES + 4;
        let values = Values::new(Sizes::Fixed(size.max(needed)));
        // A transfer needs two.
        Self { accounts: accounts.clamp(2, ACCOUNTS_MAX), values }
    }

    /// Banks of different sizes have accounts of their own, so that each has its own sum.
    fn key(&self, account: u64) -> Vec<u8> {
        format!("bank:{:06}/{account:06}", self.accounts).into_bytes()
    }

    /// Does a transaction of the bank, with its commit.
    pub(crate) async fn attempt<T: Transact>(
        &self,
        transaction: &mut T,
        random: &mut Random,
    ) -> Result<(), Error> {
        if random.below(AUDITS) == 0 {
            return self.audit(transaction).await;
        }
        let from = random.below(self.accounts);
        let to = (from + 1 + random.below(self.accounts - 1)) % self.accounts;
        let (from, to) = (self.key(from), self.key(to));
        let has = self.balance(transaction, &from).await?;
        let other_has = self.balance(transaction, &to).await?;
        let amount = random.below(100).min(has);
        self.set_balance(transaction, &from, has - amount, random);
        self.set_balance(transaction, &to, other_has + amount, random);
        transaction.commit().await.map(|_| ())
    }

    async fn balance<T: Transact>(&self, transaction: &mut T, key: &[u8]) -> Result<u64, Error> {
        match transaction.get(key, Isolation::Serializable).await? {
            Some(value) => self.balance_in(&value, key),
            None => Ok(BALANCE),
        }
    }

    fn balance_in(&self, value: &[u8], key: &[u8]) -> Result<u64, Error> {
        self.values.check(value, key)?;
        let balance = value.get(KEY_BYTES + NUMBER_BYTES..).unwrap_or_default();
        let balance = balance.first_chunk::<BALANCE_BYTES>().copied().unwrap_or_default();
        Ok(u64::from_be_bytes(balance))
    }

    fn set_balance<T: Transact>(
        &self,
        transaction: &mut T,
        key: &[u8],
        balance: u64,
        random: &mut Random,
    ) {
        let mut value = self.values.make(key, random);
        let at = KEY_BYTES + NUMBER_BYTES;
        if let Some(place) = value.get_mut(at..at + BALANCE_BYTES) {
            place.copy_from_slice(&balance.to_be_bytes());
        }
        Values::seal(&mut value, key);
        transaction.set(key, &value);
    }

    /// Adds all accounts up, in one snapshot.
    pub(crate) async fn audit<T: Transact>(&self, transaction: &mut T) -> Result<(), Error> {
        let (begin, end) = (self.key(0), self.key(self.accounts));
        let rows = self.accounts as u32;
        let span = Span { begin: &begin, end: &end, rows, reverse: false };
        let rows = transaction.get_range(span, Isolation::Serializable).await?;
        let mut sum = BALANCE * self.accounts.saturating_sub(rows.len() as u64);
        for (key, value) in &rows {
            sum = sum.saturating_add(self.balance_in(value, key)?);
        }
        // Ends the transaction, so that a history has it as one that happened.
        transaction.commit().await?;
        let expected = BALANCE * self.accounts;
        if sum == expected {
            return Ok(());
        }
        let message = format!(
            "the bank's {} accounts hold {sum} in one snapshot, where {expected} is expected: \
             money was {}",
            self.accounts,
            if sum < expected { "lost" } else { "made" },
        );
        Err(Error::new(ErrorCode::UNKNOWN_ERROR, message))
    }
}

#[cfg(test)]
mod tests {
    use plinth_client::{Database, testing::MemoryBackend};

    use super::*;
    use crate::cli::bench::target::transact::Store as _;

    #[tokio::test]
    async fn transfers_keep_the_sum_and_what_breaks_it_is_told() {
        let store = Database::new(MemoryBackend::new());
        let bank = Bank::new(3, 100);
        let mut random = Random::new(1);
        for _ in 0..200 {
            bank.attempt(&mut store.begin(), &mut random).await.unwrap();
        }
        bank.audit(&mut store.begin()).await.unwrap();
        let mut thief = store.begin();
        let key = bank.key(1);
        let has = bank.balance(&mut thief, &key).await.unwrap();
        bank.set_balance(&mut thief, &key, has + 5, &mut random);
        Transact::commit(&mut thief).await.unwrap();
        let told = bank.audit(&mut store.begin()).await.unwrap_err().to_string();
        assert!(told.contains("hold 3005") && told.contains("3000 is expected"), "{told}");
    }

    #[test]
    fn a_key_has_its_size_and_the_smallest_values_have_room() {
        let bank = Bank::new(1_000_000, 0);
        assert_eq!((bank.key(7).len(), bank.accounts), (KEY_BYTES, ACCOUNTS_MAX));
        assert!(bank.values.have_room_for_numbers(KEY_BYTES));
    }
}

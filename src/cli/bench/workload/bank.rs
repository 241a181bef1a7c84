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
    keys::{Distribution, NUMBER_BYTES, Picker, Random, Sizes, Values},
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

/// How often a second account is drawn that is to be another than the first.
const DRAWS_MAX: usize = 16;

/// The bank.
#[derive(Clone, Debug)]
pub(crate) struct Bank {
    accounts: u64,
    /// Which accounts have how much to do.
    picker: Picker,
    values: Values,
}

impl Bank {
    /// A bank of so many accounts, as far as there may be. Its values have the size that is asked
    /// for, or as much as they need.
    pub(crate) fn new(accounts: u64, distribution: Distribution, size: usize) -> Self {
        let needed = KEY_BYTES + NUMBER_BYTES + BALANCE_BYTES + 4;
        let values = Values::new(Sizes::Fixed(size.max(needed)));
        let accounts = Self::accounts_of(accounts);
        Self { accounts, picker: Picker::new(distribution, accounts), values }
    }

    /// How many accounts there are where so many are asked for. A transfer needs two.
    pub(crate) fn accounts_of(keys: u64) -> u64 {
        keys.clamp(2, ACCOUNTS_MAX)
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
        let [from, to] = self.pick(random).map(|account| self.key(account));
        let has = self.balance(transaction, &from).await?;
        let other_has = self.balance(transaction, &to).await?;
        let amount = random.below(100).min(has);
        self.set_balance(transaction, &from, has - amount, random);
        self.set_balance(transaction, &to, other_has + amount, random);
        transaction.commit().await.map(|_| ())
    }

    /// Two accounts.
    fn pick(&self, random: &mut Random) -> [u64; 2] {
        let from = self.picker.pick(self.accounts, random);
        let mut others = (0..DRAWS_MAX).map(|_| self.picker.pick(self.accounts, random));
        let other = others.find(|other| *other != from);
        // Where nearly all goes to one account: its neighbour.
        [from, other.unwrap_or((from + 1) % self.accounts)]
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
        let bank = Bank::new(3, Distribution::Uniform, 100);
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
    fn accounts_are_two_and_have_to_do_as_the_distribution_says() {
        for distribution in ["uniform", "zipfian", "latest", "hot:10:90"] {
            for accounts in [2, 3, 1_000] {
                let bank = Bank::new(accounts, distribution.parse().unwrap(), 100);
                let mut random = Random::new(1);
                for _ in 0..1_000 {
                    let [from, to] = bank.pick(&mut random);
                    assert!(from != to && from < accounts && to < accounts, "{from} {to}");
                }
            }
        }
        let bank = Bank::new(1_000, "hot:10:90".parse().unwrap(), 100);
        let mut random = Random::new(1);
        let hot = (0..10_000).flat_map(|_| bank.pick(&mut random)).filter(|account| *account < 100);
        let hot = hot.count();
        assert!((17_700..18_300).contains(&hot), "{hot}");
    }

    #[test]
    fn a_key_has_its_size_and_the_smallest_values_have_room() {
        let bank = Bank::new(1_000_000, Distribution::Uniform, 0);
        assert_eq!((bank.key(7).len(), bank.accounts), (KEY_BYTES, ACCOUNTS_MAX));
        assert!(bank.values.have_room_for_numbers(KEY_BYTES));
    }
}

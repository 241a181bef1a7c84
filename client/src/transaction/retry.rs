//! Trying again: which errors it helps against, and how long to wait first.

use std::{pin::pin, time::Duration};

use plinth_protocol::{Error, ErrorCode};

use super::{Transaction, TransactionOptions, state::State};
use crate::Backend;

/// How long to wait before a read at another version: the one that was used is too old or too new.
const VERSION_DELAY: Duration = Duration::from_millis(10);
/// A server that has no room for more commits is given more time than a conflict needs.
const OVERLOAD_DELAY_MAX: Duration = Duration::from_secs(30);

/// What programs pass on when nothing went wrong.
const SUCCESS: ErrorCode = ErrorCode(0);

/// How often a transaction was tried, and how long the next wait may be. Outlives every try, and
/// ends with an explicit reset.
#[derive(Debug, Default)]
pub(super) struct Retries {
    count: u32,
    /// The most that the next wait may be, from the second on.
    delay: Option<Duration>,
}

/// How long to wait before the next try.
enum Wait {
    /// A random part of a delay that doubles each time.
    BackOff(Duration),
    /// Just this.
    Exactly(Duration),
}

impl Retries {
    /// Whether and after which wait to try again.
    fn next(&mut self, code: ErrorCode, options: &TransactionOptions) -> Option<Wait> {
        let (api_version, delay_max) = (options.api_version, options.max_retry_delay);
        let is_last = options.retry_limit.is_some_and(|limit| self.count >= limit);
        self.count = self.count.saturating_add(1);
        if is_last {
            return None;
        }
        match code {
            ErrorCode::TRANSACTION_TOO_OLD | ErrorCode::FUTURE_VERSION => {
                Some(Wait::Exactly(VERSION_DELAY.min(delay_max)))
            }
            ErrorCode::CLUSTER_VERSION_CHANGED => Some(Wait::Exactly(Duration::ZERO)),
            ErrorCode::COMMIT_OVERLOADED
            | ErrorCode::READ_VERSION_OVERLOADED
            | ErrorCode::DISK_FULL => Some(self.back_off(options, OVERLOAD_DELAY_MAX)),
            code if code.is_retryable() || api_version.is_retryable(code) => {
                Some(self.back_off(options, delay_max))
            }
            _ => None,
        }
    }

    fn back_off(&mut self, options: &TransactionOptions, delay_max: Duration) -> Wait {
        let first = options.first_retry_delay;
        let delay = self.delay.unwrap_or(first);
        self.delay = Some(delay.saturating_mul(2).min(delay_max.max(first)));
        Wait::BackOff(delay.min(delay_max))
    }
}

impl<B: Backend> Transaction<B> {
    /// What to do after an error: if trying again can help, this waits a little, begins the
    /// transaction again and succeeds; then the work is to be done again from its first read. Else
    /// it fails with the same error, and the transaction is over until a reset.
    ///
    /// The waits grow with each try. Timeout, retry limit and greatest delay stay as set; all other
    /// options are back to the defaults. Success is no error: it can't be mended.
    pub async fn on_error(&self, error: impl Into<Error>) -> Result<(), Error> {
        let mut error = error.into();
        let (wait, generation) = {
            let mut state = self.state();
            state.check_deadline();
            if let Some(ended) = &state.ended {
                return Err(ended.clone());
            }
            let State { options, retries, .. } = &mut *state;
            let api_version = options.api_version;
            let is_over_limit = options.retry_limit.is_some_and(|limit| retries.count >= limit);
            let Some(wait) = retries.next(error.code, options) else {
                if error.code == SUCCESS && !is_over_limit {
                    error = ErrorCode::CLIENT_INVALID_OPERATION.into();
                }
                if api_version.keeps_limits_through_retries() {
                    state.end(ErrorCode::TRANSACTION_CANCELLED.into());
                } else {
                    self.begin_next_try(&mut state);
                }
                drop(state);
                self.inner.changed.notify_waiters();
                return Err(error);
            };
            (wait, state.generation)
        };
        let wait = match wait {
            Wait::Exactly(delay) => delay,
            Wait::BackOff(delay) => delay.mul_f64(self.database().random_fraction()),
        };
        if !wait.is_zero() {
            let sleep = async {
                tokio::time::sleep(wait).await;
                Ok(())
            };
            self.guarded(generation, pin!(sleep)).await?;
        }
        let mut state = self.state();
        state.check_alive(generation)?;
        self.begin_next_try(&mut state);
        drop(state);
        self.inner.changed.notify_waiters();
        Ok(())
    }

    /// Begins again, with what outlives a try.
    fn begin_next_try(&self, state: &mut State<B::Snapshot>) {
        let mut options = self.database().defaults();
        if options.api_version.keeps_limits_through_retries() {
            options.timeout = state.options.timeout;
            options.retry_limit = state.options.retry_limit;
            options.max_retry_delay = state.options.max_retry_delay;
            state.begin_again(options);
        } else {
            state.begin_again(options);
            state.began = tokio::time::Instant::now();
        }
    }

    /// Begins a new transaction with this handle: nothing read, nothing written, all options at
    /// their defaults, the timeout's clock at zero. Whatever was under way fails with
    /// `transaction_cancelled`.
    pub fn reset(&self) {
        let mut state = self.state();
        state.begin_again(self.database().defaults());
        state.retries = Retries::default();
        state.began = tokio::time::Instant::now();
        drop(state);
        self.inner.changed.notify_waiters();
    }

    /// Ends the transaction: everything under way and every later call fails with
    /// `transaction_cancelled`, until a reset. A commit that has been sent may still happen.
    pub fn cancel(&self) {
        self.state().end(ErrorCode::TRANSACTION_CANCELLED.into());
        self.inner.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(wait: Option<Wait>) -> Option<(bool, u128)> {
        wait.map(|wait| match wait {
            Wait::BackOff(delay) => (true, delay.as_millis()),
            Wait::Exactly(delay) => (false, delay.as_millis()),
        })
    }

    #[test]
    fn the_back_off_doubles_up_to_its_limit() {
        let mut retries = Retries::default();
        let options = TransactionOptions {
            max_retry_delay: Duration::from_millis(35),
            ..TransactionOptions::default()
        };
        let mut next = |code| delay(retries.next(code, &options));
        assert_eq!(next(ErrorCode::NOT_COMMITTED), Some((true, 10)));
        assert_eq!(next(ErrorCode::NOT_COMMITTED), Some((true, 20)));
        assert_eq!(next(ErrorCode::TRANSACTION_TOO_OLD), Some((false, 10)));
        assert_eq!(next(ErrorCode::COMMIT_UNKNOWN_RESULT), Some((true, 35)));
        assert_eq!(next(ErrorCode::CLUSTER_VERSION_CHANGED), Some((false, 0)));
        assert_eq!(next(ErrorCode::KEY_TOO_LARGE), None);
    }

    #[test]
    fn the_first_delay_can_be_set_even_beyond_the_greatest() {
        let mut retries = Retries::default();
        let mut options = TransactionOptions {
            first_retry_delay: Duration::from_millis(3),
            ..TransactionOptions::default()
        };
        assert_eq!(delay(retries.next(ErrorCode::NOT_COMMITTED, &options)), Some((true, 3)));
        assert_eq!(delay(retries.next(ErrorCode::NOT_COMMITTED, &options)), Some((true, 6)));
        options.max_retry_delay = Duration::ZERO;
        assert_eq!(delay(retries.next(ErrorCode::NOT_COMMITTED, &options)), Some((true, 0)));
    }

    #[test]
    fn every_call_counts_against_the_limit() {
        let mut retries = Retries::default();
        let options = TransactionOptions { retry_limit: Some(2), ..TransactionOptions::default() };
        let mut next = |code| retries.next(code, &options);
        assert!(next(ErrorCode::NOT_COMMITTED).is_some());
        assert!(next(ErrorCode::KEY_TOO_LARGE).is_none());
        assert!(next(ErrorCode::NOT_COMMITTED).is_none());
    }
}

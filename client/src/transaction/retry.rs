//! Trying again: which errors it helps against, and how long to wait first.

use std::time::Duration;

use plinth_protocol::{Error, ErrorCode};

use super::{Transaction, state::State};
use crate::{ApiVersion, Backend};

/// The first wait is a random part of this; each further one of twice the last.
const FIRST_DELAY: Duration = Duration::from_millis(10);
/// A server that has no room for more commits is given more time than a conflict needs.
const OVERLOAD_DELAY_MAX: Duration = Duration::from_secs(30);

/// What programs pass on when nothing went wrong.
const SUCCESS: ErrorCode = ErrorCode(0);

/// How often a transaction was tried, and how long the next wait may be. Outlives every try, and
/// ends with an explicit reset.
#[derive(Debug)]
pub(super) struct Retries {
    count: u32,
    delay: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { count: 0, delay: FIRST_DELAY }
    }
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
    fn next(
        &mut self,
        code: ErrorCode,
        api_version: ApiVersion,
        limit: Option<u32>,
        delay_max: Duration,
    ) -> Option<Wait> {
        let is_last = limit.is_some_and(|limit| self.count >= limit);
        self.count = self.count.saturating_add(1);
        if is_last {
            return None;
        }
        match code {
            ErrorCode::TRANSACTION_TOO_OLD | ErrorCode::FUTURE_VERSION => {
                Some(Wait::Exactly(FIRST_DELAY.min(delay_max)))
            }
            ErrorCode::CLUSTER_VERSION_CHANGED => Some(Wait::Exactly(Duration::ZERO)),
            ErrorCode::COMMIT_OVERLOADED
            | ErrorCode::READ_VERSION_OVERLOADED
            | ErrorCode::DISK_FULL => Some(self.back_off(OVERLOAD_DELAY_MAX)),
            code if code.is_retryable() || api_version.is_retryable(code) => {
                Some(self.back_off(delay_max))
            }
            _ => None,
        }
    }

    fn back_off(&mut self, delay_max: Duration) -> Wait {
        let delay = self.delay.min(delay_max);
        self.delay = self.delay.saturating_mul(2).min(delay_max.max(FIRST_DELAY));
        Wait::BackOff(delay)
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
            let (limit, delay_max) = (state.options.retry_limit, state.options.max_retry_delay);
            let api_version = state.options.api_version;
            let is_over_limit = limit.is_some_and(|limit| state.retries.count >= limit);
            let Some(wait) = state.retries.next(error.code, api_version, limit, delay_max) else {
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
            self.guarded(generation, sleep).await?;
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
        let max = Duration::from_millis(35);
        let mut next = |code| delay(retries.next(code, ApiVersion::NEWEST, None, max));
        assert_eq!(next(ErrorCode::NOT_COMMITTED), Some((true, 10)));
        assert_eq!(next(ErrorCode::NOT_COMMITTED), Some((true, 20)));
        assert_eq!(next(ErrorCode::TRANSACTION_TOO_OLD), Some((false, 10)));
        assert_eq!(next(ErrorCode::COMMIT_UNKNOWN_RESULT), Some((true, 35)));
        assert_eq!(next(ErrorCode::CLUSTER_VERSION_CHANGED), Some((false, 0)));
        assert_eq!(next(ErrorCode::KEY_TOO_LARGE), None);
    }

    #[test]
    fn every_call_counts_against_the_limit() {
        let mut retries = Retries::default();
        let max = Duration::from_secs(1);
        let mut next = |code| retries.next(code, ApiVersion::NEWEST, Some(2), max);
        assert!(next(ErrorCode::NOT_COMMITTED).is_some());
        assert!(next(ErrorCode::KEY_TOO_LARGE).is_none());
        assert!(next(ErrorCode::NOT_COMMITTED).is_none());
    }
}

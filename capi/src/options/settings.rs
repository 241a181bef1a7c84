//! What the network's options come to: the few of them that have an effect here.

use std::{ffi::c_int, time::Duration};

use plinth_client::{Error, TransactionOptions};

use super::network::check;
use crate::trace::{Format, TraceSettings};

/// What the options before `fdb_setup_network` have asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Whether and where to write a trace.
    pub(crate) trace: TraceSettings,
    /// FoundationDB's knob `DEFAULT_BACKOFF`.
    first_retry_delay: Option<Duration>,
    /// FoundationDB's knob `DEFAULT_MAX_BACKOFF`.
    max_retry_delay: Option<Duration>,
}

impl Settings {
    /// Nothing was asked for.
    pub(crate) const fn new() -> Self {
        Self { trace: TraceSettings::new(), first_retry_delay: None, max_retry_delay: None }
    }

    /// Takes an option; fails if there is none of this number, or its value can't be.
    pub(crate) fn set(&mut self, code: c_int, value: &[u8]) -> Result<(), Error> {
        check(code, value)?;
        let text = || String::from_utf8_lossy(value).into_owned();
        match code {
            30 => self.trace.directory = Some(text()),
            33 => self.trace.log_group = Some(text()),
            34 if value == b"json" => self.trace.format = Format::Json,
            34 => self.trace.format = Format::Xml,
            36 => self.trace.identifier = Some(text()),
            39 => self.trace.partial_suffix = text(),
            84 => self.trace.ip = Some(text()),
            40 => self.set_knob(&text()),
            _ => {}
        }
        Ok(())
    }

    /// Takes a knob. Those that this client has not, and values that can't be, have no effect: a
    /// knob is FoundationDB's own affair, and differs from one release to the next.
    fn set_knob(&mut self, assignment: &str) {
        let Some((name, value)) = assignment.split_once('=') else { return };
        let seconds = value.trim().parse().ok();
        let delay = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match name.to_ascii_lowercase().as_str() {
            "default_backoff" => self.first_retry_delay = delay.or(self.first_retry_delay),
            "default_max_backoff" => self.max_retry_delay = delay.or(self.max_retry_delay),
            _ => {}
        }
    }

    /// What databases' transactions begin with.
    pub(crate) fn apply(&self, defaults: &mut TransactionOptions) {
        defaults.first_retry_delay = self.first_retry_delay.unwrap_or(defaults.first_retry_delay);
        defaults.max_retry_delay = self.max_retry_delay.unwrap_or(defaults.max_retry_delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_change_what_transactions_begin_with() {
        let mut settings = Settings::new();
        for knob in ["DEFAULT_BACKOFF=0.5", "default_max_backoff=2", "DEFAULT_BACKOFF=x", "a=b"] {
            settings.set(40, knob.as_bytes()).unwrap();
        }
        let mut defaults = TransactionOptions::default();
        settings.apply(&mut defaults);
        assert_eq!(defaults.first_retry_delay, Duration::from_millis(500));
        assert_eq!(defaults.max_retry_delay, Duration::from_secs(2));
    }
}

//! Options of the network from environment variables: `FDB_NETWORK_OPTION_` and the option's name.
//!
//! A variable may hold several values, with colons between them; a backslash takes the meaning from a
//! colon or a backslash. Numbers are decimal.

use std::ffi::c_int;

use super::{network::named, settings::Settings};
use crate::abi::FdbError;

/// `environment_variable_network_option_failed`.
const FAILED: FdbError = 2022;

/// Takes all options that the environment sets.
pub(crate) fn load(settings: &mut Settings) -> Result<(), FdbError> {
    load_from(settings, |name| std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes))
}

fn load_from(
    settings: &mut Settings,
    variable: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<(), FdbError> {
    for (code, name, takes_number) in named() {
        let name = format!("FDB_NETWORK_OPTION_{}", name.to_ascii_uppercase());
        for value in variable(&name).map(|values| split(&values)).unwrap_or_default() {
            set(settings, code, &value, takes_number)?;
        }
    }
    Ok(())
}

fn set(
    settings: &mut Settings,
    code: c_int,
    value: &[u8],
    takes_number: bool,
) -> Result<(), FdbError> {
    let set = if takes_number {
        let number: i64 =
            str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(FAILED)?;
        settings.set(code, &number.to_le_bytes())
    } else {
        settings.set(code, value)
    };
    set.map_err(|_| FAILED)
}

/// The values between colons.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut values, mut is_escaped) = (vec![Vec::new()], false);
    for byte in text {
        match byte {
            b'\\' if !is_escaped => {
                is_escaped = true;
                continue;
            }
            b':' if !is_escaped => values.push(Vec::new()),
            _ => values.last_mut().into_iter().for_each(|value| value.push(*byte)),
        }
        is_escaped = false;
    }
    values
}

#[cfg(test)]
mod tests {
    use plinth_client::TransactionOptions;

    use super::*;

    #[test]
    fn values_are_split_at_colons() {
        let split = |text: &str| -> Vec<String> {
            split(text.as_bytes()).into_iter().map(|v| String::from_utf8(v).unwrap()).collect()
        };
        assert_eq!(split(""), [""]);
        assert_eq!(split("a"), ["a"]);
        assert_eq!(split("a:b:"), ["a", "b", ""]);
        assert_eq!(split(r"a\:b:\\c"), ["a:b", r"\c"]);
    }

    #[test]
    fn variables_set_options() {
        let mut settings = Settings::new();
        let load = |settings: &mut Settings, name: &str, value: &str| {
            load_from(settings, |asked| (asked == name).then(|| value.as_bytes().to_vec()))
        };
        let knobs = "default_backoff=0.1:default_backoff=0.2";
        assert_eq!(load(&mut settings, "FDB_NETWORK_OPTION_KNOB", knobs), Ok(()));
        let mut defaults = TransactionOptions::default();
        settings.apply(&mut defaults);
        assert_eq!(defaults.first_retry_delay.as_millis(), 200);
        for (name, value, outcome) in [
            ("FDB_NETWORK_OPTION_TLS_CERT_PATH", "/x", Ok(())),
            ("FDB_NETWORK_OPTION_CLIENT_THREADS_PER_VERSION", "4", Ok(())),
            ("FDB_NETWORK_OPTION_CLIENT_THREADS_PER_VERSION", "0", Err(FAILED)),
            ("FDB_NETWORK_OPTION_CLIENT_THREADS_PER_VERSION", "four", Err(FAILED)),
            ("FDB_NETWORK_OPTION_TRACE_FORMAT", "yaml", Err(FAILED)),
            ("FDB_NETWORK_OPTION_NO_SUCH_OPTION", "1", Ok(())),
            // Not for users.
            ("FDB_NETWORK_OPTION_EXTERNAL_CLIENT_TRANSPORT_ID", "x", Ok(())),
        ] {
            assert_eq!(load(&mut settings, name, value), outcome, "{name}={value}");
        }
    }
}

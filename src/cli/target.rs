//! Targets: which server a command talks to.

use std::{fmt, str::FromStr};

use plinth_client::ConnectOptions;

/// What comes before the address.
const SCHEME: &str = "plinth://";

/// Where a server listens unless told otherwise.
const ADDRESS_DEFAULT: &str = "127.0.0.1:4500";

/// A server's address, written `plinth://HOST:PORT`; the scheme and the port may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    address: String,
}

impl Target {
    /// The address as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Default for Target {
    fn default() -> Self {
        Self { address: ADDRESS_DEFAULT.to_owned() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.address)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match ConnectOptions::new(text) {
            Ok(options) => Ok(Self { address: options.address.to_string() }),
            Err(error) => Err(error.message.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_port_may_be_left_out() {
        let address = |text: &str| text.parse::<Target>().map(|target| target.address);
        assert_eq!(address("plinth://db:4501").as_deref(), Ok("db:4501"));
        assert_eq!(address("db").as_deref(), Ok("db:4500"));
        assert_eq!(address("[::1]").as_deref(), Ok("[::1]:4500"));
        assert_eq!(address("plinth://[::1]:9").as_deref(), Ok("[::1]:9"));
        for wrong in ["", ":4500", "plinth://", "redis://h:1", "h:99999", "::1", "a b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        let default = Target::default();
        assert_eq!(default.to_string().parse(), Ok(default));
    }
}

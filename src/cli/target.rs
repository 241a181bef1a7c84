//! Targets: which server a command talks to.

use std::{fmt, str::FromStr};

/// What comes before the address.
const SCHEME: &str = "plinth://";

/// The port of a server that names none.
const PORT_DEFAULT: u16 = 4500;

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
        Self { address: format!("127.0.0.1:{PORT_DEFAULT}") }
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
        let bad = |why: &str| format!("{why}: a server is plinth://HOST:PORT");
        let address = text.strip_prefix(SCHEME).unwrap_or(text);
        if address.contains(['/', '@', ' ']) {
            return Err(bad("that is another kind of address"));
        }
        // An IPv6 address stands in brackets, and has colons of its own.
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (address, None),
        };
        if host.is_empty() || host.contains(':') && !(host.starts_with('[') && host.ends_with(']'))
        {
            return Err(bad("there is no host"));
        }
        let port = match port.map(str::parse) {
            None => PORT_DEFAULT,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(bad("the port is no number from 1 to 65535")),
        };
        Ok(Self { address: format!("{host}:{port}") })
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
        for wrong in ["", ":4500", "plinth://", "redis://h:1", "h:0", "h:99999", "::1", "a b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        let default = Target::default();
        assert_eq!(default.to_string().parse(), Ok(default));
    }
}

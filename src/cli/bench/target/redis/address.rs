//! Where a Redis server is: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`.

use std::{fmt, str::FromStr};

/// What comes before the address.
pub(crate) const SCHEME: &str = "redis://";

/// Where Redis listens unless told otherwise.
const PORT: u16 = 6379;

/// A Redis server, and how to log in there. Shown without the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisAddress {
    /// `HOST:PORT`.
    pub(super) address: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Which of the server's databases.
    pub(super) database: u32,
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.address)?;
        match self.database {
            0 => Ok(()),
            database => write!(f, "/{database}"),
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RedisAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Err(format!("a Redis server is written {SCHEME}HOST:PORT"));
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(Some((user, password))) => {
                let user = Some(unescape(user)?).filter(|user| !user.is_empty());
                (user, Some(unescape(password)?))
            }
            Some(None) => {
                return Err("a password follows a colon: redis://:PASSWORD@HOST:PORT".to_owned());
            }
        };
        let (place, database) = match rest.split_once('/') {
            Some((place, "")) => (place, 0),
            Some((place, number)) => match number.parse() {
                Ok(database) => (place, database),
                Err(_) => return Err(format!("'{number}' is no number of a Redis database")),
            },
            None => (rest, 0),
        };
        Ok(Self { address: with_port(place)?, user, password, database })
    }
}

/// `HOST:PORT`, where the port may be missing.
fn with_port(place: &str) -> Result<String, String> {
    let wrong = || format!("'{place}' is not written HOST:PORT");
    let host_bytes = if place.starts_with('[') {
        place.find(']').map(|at| at + 1).ok_or_else(wrong)?
    } else {
        place.find(':').unwrap_or(place.len())
    };
    let (host, port) = place.split_at(host_bytes);
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(wrong());
    }
    let port = match port.strip_prefix(':') {
        Some(number) => number.parse().map_err(|_| wrong())?,
        None if port.is_empty() => PORT,
        None => return Err(wrong()),
    };
    Ok(format!("{host}:{port}"))
}

/// Undoes `%41` for `A`: passwords may hold what otherwise ends them.
fn unescape(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = after.split_at_checked(2).and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            Some((is_hexadecimal.then(|| u8::from_str_radix(digits, 16).ok())??, after))
        });
        let Some((byte, after)) = digits else {
            return Err("a percent sign is followed by two hexadecimal digits".to_owned());
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| "the user and the password are UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_host_may_be_left_out() {
        let of = |text: &str| text.parse::<RedisAddress>().unwrap();
        let plain = of("redis://db");
        assert_eq!((plain.address.as_str(), plain.database), ("db:6379", 0));
        assert_eq!((plain.user, plain.password), (None, None));
        assert_eq!(of("redis://[::1]/").address, "[::1]:6379");
        assert_eq!(of("redis://[::1]:7/3"), RedisAddress { database: 3, ..of("redis://[::1]:7") });
        let full = of("redis://me:p%40%3A:@10.0.0.1:1234/15");
        assert_eq!(full.address, "10.0.0.1:1234");
        assert_eq!((full.user.as_deref(), full.password.as_deref()), (Some("me"), Some("p@::")));
        assert_eq!(of("redis://:a@b@h").password.as_deref(), Some("a@b"));
    }

    #[test]
    fn passwords_are_not_shown() {
        let address: RedisAddress = "redis://me:secret@h:1/2".parse().unwrap();
        assert_eq!(address.to_string(), "redis://me@h:1/2");
        assert_eq!(format!("{address:?}"), "redis://me@h:1/2");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "plinth://h:1",
            "redis://",
            "redis://:1",
            "redis://h:99999",
            "redis://h:x",
            "redis://::1",
            "redis://[::1",
            "redis://[::1]x",
            "redis://a b",
            "redis://h/x",
            "redis://h/1/2",
            "redis://secret@h",
            "redis://:%4@h",
            "redis://:%+1@h",
            "redis://:%ff@h",
        ] {
            let error = wrong.parse::<RedisAddress>().unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

//! A connection to a Redis server: requests leave together, replies come in the same order.

use std::collections::VecDeque;

use bytes::BufMut as _;
use plinth_protocol::{Error, ErrorCode};

use super::{
    address::RedisAddress,
    resp::{Reply, Scanner, write_array, write_command, write_string},
};
use crate::cli::bench::target::{
    pipe::{Answer, Operation, Pipe},
    socket::Socket,
};

/// Why a scan is refused.
pub(crate) const NO_SCANS: &str = "Redis keeps its keys in no order";

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// One connection, logged in.
pub(crate) struct Connection {
    socket: Socket,
    scanner: Scanner,
    /// What is not answered yet, in order.
    asked: VecDeque<Asked>,
}

/// A request that was not answered yet.
#[derive(Clone, Copy)]
struct Asked {
    id: u32,
    wanted: Wanted,
}

/// What the reply to a request must be.
#[derive(Clone, Copy)]
enum Wanted {
    Pong,
    Ok,
    Value,
    /// As many values.
    Values(usize),
    /// It can't be asked for.
    Nothing,
}

impl Wanted {
    /// What a reply says.
    fn read(self, reply: Reply<'_>) -> Result<Answer<'_>, Error> {
        let reply = reply.check()?;
        match (self, reply) {
            (Self::Pong, Reply::Status(b"PONG")) | (Self::Ok, Reply::Status(b"OK")) => {
                Ok(Answer::Done)
            }
            (Self::Value, Reply::String(value)) => Ok(Answer::Value(value)),
            (Self::Value, Reply::Nil) => Ok(Answer::Missing),
            (Self::Values(count), Reply::Array(elements)) if elements.len() == count => {
                let value = |element| match element {
                    Reply::String(value) => Ok(Some(value)),
                    Reply::Nil => Ok(None),
                    other => Err(other.unexpected("a value")),
                };
                Ok(Answer::Values(elements.into_iter().map(value).collect::<Result<_, _>>()?))
            }
            (Self::Nothing, _) => Err(Error::new(ErrorCode::CLIENT_INVALID_OPERATION, NO_SCANS)),
            (Self::Pong, _) => Err(reply.unexpected("PONG")),
            (Self::Ok, _) => Err(reply.unexpected("OK")),
            (Self::Value, _) => Err(reply.unexpected("a value")),
            (Self::Values(count), _) => Err(reply.unexpected(&format!("an array of {count}"))),
        }
    }
}

/// A field of the server's answer to `INFO`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(value).map(str::trim_end)
}

/// What the server's process has used of the processors, in the system and for itself, as its
/// answer to `INFO` says.
fn cpu_seconds(info: &str) -> Option<f64> {
    let seconds = |name| field(info, name)?.parse::<f64>().ok();
    let sum = seconds("used_cpu_sys")? + seconds("used_cpu_user")?;
    Some(sum).filter(|sum| sum.is_finite())
}

impl Connection {
    /// Connects, logs in, picks the database, and sees that the server answers.
    pub(crate) async fn open(to: &RedisAddress) -> Result<Self, Error> {
        let mut connection = Self {
            socket: Socket::connect(&to.address, to).await?,
            scanner: Scanner::default(),
            asked: VecDeque::new(),
        };
        let ok = |reply: Reply<'_>| Wanted::Ok.read(reply).map(drop);
        if let Some(password) = &to.password {
            let user = to.user.as_ref().map(String::as_bytes);
            let login: Vec<_> = [Some(&b"AUTH"[..]), user, Some(password.as_bytes())]
                .into_iter()
                .flatten()
                .collect();
            connection.ask(&login, ok).await?;
        }
        if to.database != 0 {
            connection.ask(&[b"SELECT", to.database.to_string().as_bytes()], ok).await?;
        }
        // A server that is still loading, or wants a password, says so here.
        connection.ask(&[b"PING"], |reply| Wanted::Pong.read(reply).map(drop)).await?;
        Ok(connection)
    }

    /// Who answers; just Redis if it doesn't want to tell.
    pub(crate) async fn server(&mut self) -> Result<String, Error> {
        let info = self.info(b"server").await?;
        let version = info.as_deref().and_then(|info| field(info, "redis_version"));
        Ok(version.map_or_else(|| "redis".to_owned(), |version| format!("redis/{version}")))
    }

    /// What the server has used of the processors since it was started, if it wants to tell.
    pub(crate) async fn cpu_seconds(&mut self) -> Result<Option<f64>, Error> {
        Ok(self.info(b"cpu").await?.as_deref().and_then(cpu_seconds))
    }

    /// What the server says of itself under this heading; nothing if it doesn't want to.
    async fn info(&mut self, section: &[u8]) -> Result<Option<String>, Error> {
        self.ask(&[b"INFO", section], |reply| match reply {
            Reply::String(text) => Ok(Some(String::from_utf8_lossy(text).into_owned())),
            Reply::Error(_) => Ok(None),
            other => Err(other.unexpected("a text")),
        })
        .await
    }

    /// Sends one request while there is no other, and makes something of its reply.
    async fn ask<T>(
        &mut self,
        command: &[&[u8]],
        read: impl Fn(Reply<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        write_command(self.socket.output(), command);
        self.send().await?;
        loop {
            let mut answer = None;
            self.read(|_, reply| {
                answer = Some(read(reply));
                Ok(())
            })
            .await?;
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    /// Reads once and shows each whole reply to `visit`, with what is not answered yet.
    async fn read(
        &mut self,
        mut visit: impl FnMut(&mut VecDeque<Asked>, Reply<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Self { socket, scanner, asked } = self;
        socket
            .receive(|input| {
                let mut rest = input;
                while let Some((reply, length)) = scanner.next(rest)? {
                    visit(asked, reply)?;
                    rest = rest.get(length..).unwrap_or_default();
                }
                Ok(input.len() - rest.len())
            })
            .await
    }
}

impl Pipe for Connection {
    fn push(&mut self, id: u32, operation: &Operation<'_>) {
        let output = self.socket.output();
        let wanted = match *operation {
            Operation::Ping => {
                output.put_slice(PING);
                Wanted::Pong
            }
            // Something must be asked for it to be answered in its turn.
            Operation::Scan { .. } => {
                output.put_slice(PING);
                Wanted::Nothing
            }
            Operation::Get { key } => {
                output.put_slice(b"*2\r\n$3\r\nGET\r\n");
                write_string(output, key);
                Wanted::Value
            }
            Operation::Set { key, value } => {
                output.put_slice(b"*3\r\n$3\r\nSET\r\n");
                write_string(output, key);
                write_string(output, value);
                Wanted::Ok
            }
            Operation::GetMany { keys } => {
                let keys = keys.iter();
                let count = keys.len();
                write_array(output, 1 + count);
                write_string(output, b"MGET");
                for key in keys {
                    write_string(output, key);
                }
                Wanted::Values(count)
            }
            Operation::SetMany { keys, values } => {
                let rows = keys.iter().zip(values);
                write_array(output, 1 + 2 * rows.len());
                write_string(output, b"MSET");
                for (key, value) in rows {
                    write_string(output, key);
                    write_string(output, value);
                }
                Wanted::Ok
            }
        };
        self.asked.push_back(Asked { id, wanted });
    }

    async fn send(&mut self) -> Result<(), Error> {
        self.socket.send().await
    }

    async fn receive(
        &mut self,
        mut visit: impl FnMut(u32, Answer<'_>) + Send,
    ) -> Result<(), Error> {
        self.read(|asked, reply| {
            let Some(Asked { id, wanted }) = asked.pop_front() else {
                return Err(reply.unexpected("no reply"));
            };
            visit(id, wanted.read(reply).unwrap_or_else(Answer::Failed));
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_among_all_else() {
        let info = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n";
        assert_eq!(field(info, "redis_version"), Some("7.0.15"));
        assert_eq!(field("redis_mode:standalone\r\n", "redis_version"), None);
    }

    #[test]
    fn processor_time_is_that_of_the_whole_process() {
        let info = "# CPU\r\nused_cpu_sys:1.250000\r\nused_cpu_user:0.500000\r\n\
                    used_cpu_sys_children:8.0\r\nused_cpu_sys_main_thread:1.0\r\n";
        assert_eq!(cpu_seconds(info), Some(1.75));
        for silent in ["", "used_cpu_sys:1.0\r\n", "used_cpu_sys:1\r\nused_cpu_user:soon\r\n"] {
            assert_eq!(cpu_seconds(silent), None, "{silent}");
        }
    }
}

//! A socket to a server: what is to be sent leaves at once, what has come is looked at where it lies.

use std::{fmt, io};

use bytes::{Buf as _, BytesMut};
use plinth_protocol::{Error, ErrorCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What a read of the socket asks for.
const READ_BYTES: usize = 64 << 10;

/// A connected socket, with what is on its way in and out.
pub(crate) struct Socket {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
}

fn io_error(what: &str, error: &io::Error) -> Error {
    Error::new(ErrorCode::CONNECTION_FAILED, format!("{what}: {error}"))
}

impl Socket {
    /// Connects to this address, which is called so in an error.
    pub(crate) async fn connect(address: &str, name: &impl fmt::Display) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await.map_err(|error| {
            let message = format!("can't connect to {name}: {error}");
            Error::new(ErrorCode::SERVER_UNREACHABLE, message)
        })?;
        stream.set_nodelay(true).map_err(|error| io_error("TCP_NODELAY", &error))?;
        Ok(Self { stream, input: BytesMut::new(), output: BytesMut::new() })
    }

    /// What is sent next, to append to.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Sends what was appended.
    pub(crate) async fn send(&mut self) -> Result<(), Error> {
        let sent = self.stream.write_all(&self.output).await;
        self.output.clear();
        sent.map_err(|error| io_error("sending failed", &error))
    }

    /// Reads once and shows all that has come and was not taken yet to `take`, which tells how many
    /// bytes of it it takes. Nothing is lost if the future is dropped.
    pub(crate) async fn receive(
        &mut self,
        take: impl FnOnce(&[u8]) -> Result<usize, Error>,
    ) -> Result<(), Error> {
        self.input.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => {
                let message = "the server closed the connection";
                return Err(Error::new(ErrorCode::CONNECTION_FAILED, message));
            }
            Ok(_) => {}
            Err(error) => return Err(io_error("receiving failed", &error)),
        }
        let taken = take(&self.input)?;
        self.input.advance(taken.min(self.input.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn what_was_not_taken_is_shown_again_with_what_comes_after_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut socket = Socket::connect(&address, &"a server").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        socket.output().extend_from_slice(b"ask ");
        socket.output().extend_from_slice(b"ed");
        socket.send().await.unwrap();
        let mut asked = [0; 6];
        server.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"ask ed");
        assert!(socket.output().is_empty());

        server.write_all(b"first sec").await.unwrap();
        let mut seen = Vec::new();
        while seen != b"first sec" {
            let look = |input: &[u8]| {
                seen = input.to_vec();
                Ok(if seen == b"first sec" { 6 } else { 0 })
            };
            socket.receive(look).await.unwrap();
        }
        server.write_all(b"ond").await.unwrap();
        while seen != b"second" {
            let look = |input: &[u8]| {
                seen = input.to_vec();
                Ok(0)
            };
            socket.receive(look).await.unwrap();
            assert!(b"second".starts_with(&seen), "{seen:?}");
        }
        drop(server);
        let closed = socket.receive(|_| Ok(0)).await.unwrap_err();
        assert!(closed.message.contains("closed the connection"), "{closed}");
    }
}

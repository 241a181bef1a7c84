//! The first words of a connection: is a Plinth server there, and what does it accept?

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use plinth_protocol::{
    Error, ErrorCode,
    codec::FrameCodec,
    frame::{Flags, Frame},
    hello::{FEATURE_CHECKSUM, Hello, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN},
    request::{Opcode, Request},
    response::Response,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::codec::Decoder;

use super::{
    connection::{Agreed, Connection},
    driver::Driver,
    options::{ConnectOptions, IN_FLIGHT_CEILING},
};

/// Connects to this address, says hello, and starts the connection's driver.
pub(super) async fn connect(
    options: &ConnectOptions,
    address: &str,
) -> Result<Arc<Connection>, Error> {
    let limit = options.connect_timeout;
    match timeout(limit, establish(options, address)).await {
        Ok(result) => result,
        Err(_) => Err(unreachable(options, &format!("no hello within {}", seconds(limit)))),
    }
}

async fn establish(options: &ConnectOptions, address: &str) -> Result<Arc<Connection>, Error> {
    let failed = |error: std::io::Error| unreachable(options, &error.to_string());
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;

    let features: &[&'static str] = if options.checksum { &[FEATURE_CHECKSUM] } else { &[] };
    let mut hello = Hello::new(options.client.clone(), features);
    hello.credentials = options.credentials.clone();
    let mut buffer = BytesMut::new();
    Request::Hello(hello).write_frame(&mut buffer, Flags::NONE, 0);
    stream.write_all(&buffer).await.map_err(failed)?;
    buffer.clear();

    let mut codec = FrameCodec::default();
    let frame = loop {
        if let Some(frame) = decode_first(&mut codec, &mut buffer, options)? {
            break frame;
        }
        if stream.read_buf(&mut buffer).await.map_err(failed)? == 0 {
            return Err(unreachable(options, "it closed the connection without a hello"));
        }
    };
    let agreed = judge(frame, options)?;
    let in_flight_max = options.in_flight_max.clamp(1, IN_FLIGHT_CEILING);
    let connection = Arc::new(Connection::new(agreed, in_flight_max));
    let driver = Driver {
        connection: Arc::clone(&connection),
        stream,
        codec: FrameCodec::new(agreed.limits.frame_bytes_max),
        input: buffer,
        address: Arc::from(address),
        operation_timeout: options.operation_timeout,
    };
    tokio::spawn(driver.run());
    Ok(connection)
}

fn decode_first(
    codec: &mut FrameCodec,
    buffer: &mut BytesMut,
    options: &ConnectOptions,
) -> Result<Option<Frame>, Error> {
    codec.decode(buffer).map_err(|error| wrong_peer(options, &error.to_string()))
}

/// What was agreed on, by the answer to the hello.
fn judge(frame: Frame, options: &ConnectOptions) -> Result<Agreed, Error> {
    let is_answer = frame.opcode == Opcode::Hello.response() || frame.opcode == Opcode::ERROR;
    if !is_answer {
        let text = format!("it answers a hello with opcode {:#04x}", frame.opcode);
        return Err(wrong_peer(options, &text));
    }
    let reply = match Response::decode(frame) {
        Ok(Response::Hello(reply)) => reply,
        Ok(Response::Error(error)) => {
            let text = format!("{} refuses the connection: {}", options.address, error.message);
            return Err(Error::new(error.code, text));
        }
        Ok(_) => return Err(wrong_peer(options, "its answer is none to a hello")),
        Err(error) => return Err(wrong_peer(options, &error.to_string())),
    };
    if !(PROTOCOL_VERSION_MIN..=PROTOCOL_VERSION).contains(&reply.version) {
        let text = format!("{} speaks version {} alone", options.address, reply.version);
        return Err(Error::new(ErrorCode::PROTOCOL_VERSION_UNSUPPORTED, text));
    }
    let has_checksum = reply.features.iter().any(|name| name == FEATURE_CHECKSUM);
    if options.checksum && !has_checksum {
        let text = format!("{} can't add checksums to frames", options.address);
        return Err(Error::new(ErrorCode::UNKNOWN_FEATURE, text));
    }
    let flags = if has_checksum { Flags::CHECKSUM } else { Flags::NONE };
    Ok(Agreed { limits: reply.limits, database_id: reply.database_id, flags })
}

pub(super) fn unreachable(options: &ConnectOptions, why: &str) -> Error {
    let text = format!("The server at {} can't be reached: {why}", options.address);
    Error::new(ErrorCode::SERVER_UNREACHABLE, text)
}

fn wrong_peer(options: &ConnectOptions, why: &str) -> Error {
    let text = format!("What answers at {} is not a Plinth server: {why}", options.address);
    Error::new(ErrorCode::WRONG_PEER, text)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

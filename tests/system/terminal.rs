//! A person at a terminal: the text mode through `nc`, and through a line so slow that every byte
//! comes alone.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
};

use crate::support::process::{PATIENCE, Plinth};

/// Everything but versions, which are different every time.
const SESSION: &str = "\
set greeting \"hello, world\"
get greeting
get nothing
begin
get greeting
set greeting goodbye
set \"two words\\x00\" 'x'
commit
getrange a z
add counter 5
del greeting
get greeting
begin
set a 1
rollback
get a
gett a
ping
quit
";

const ANSWERS: &str = "\
ok VERSION
\"hello, world\"
(none)
ok
\"hello, world\"
ok
ok
ok VERSION
\"greeting\" \"goodbye\"
\"two words\\x00\" \"'x'\"
(2 rows)
ok VERSION
ok VERSION
(none)
ok
ok
ok
(none)
error 8061 unknown_command: …
pong
ok
";

/// Puts a word in place of what differs from run to run.
fn normalised(text: &str) -> String {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["ok", version] if version.parse::<u64>().is_ok() => "ok VERSION\n".to_owned(),
            ["error", code, name, ..] => format!("error {code} {name} …\n"),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

fn with_server(test: impl FnOnce(SocketAddr)) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Plinth::serve(directory.path(), &[]);
    test(server.address);
    server.stop();
}

#[test]
fn a_session_over_nc_answers_in_lines() {
    with_server(|address| {
        let nc = Command::new("nc")
            .args([address.ip().to_string(), address.port().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut nc) = nc else {
            println!("skipped: there is no nc on this machine");
            return;
        };
        let mut stdin = nc.stdin.take().expect("a pipe");
        stdin.write_all(SESSION.as_bytes()).expect("nc takes the lines");
        // The server answers every line, also after the end of the input.
        drop(stdin);
        let output = nc.wait_with_output().expect("nc ends when the server closes");
        assert_eq!(normalised(&String::from_utf8_lossy(&output.stdout)), ANSWERS);
    });
}

#[test]
fn a_session_a_byte_at_a_time_answers_the_same() {
    with_server(|address| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        for byte in SESSION.as_bytes() {
            stream.write_all(&[*byte]).expect("the server takes a byte");
        }
        let mut answers = String::new();
        stream.read_to_string(&mut answers).expect("lines until the server closes");
        assert_eq!(normalised(&answers), ANSWERS);
    });
}

/// Whatever is neither a frame nor text gets a line that says so, and the server goes on.
#[test]
fn strangers_are_told_and_shown_out() {
    with_server(|address| {
        let strangers: [&[u8]; 4] =
            [b"\x16\x03\x01\x02\x00\x01\x00", b"*1\r\n$4\r\nPING\r\n", b"\x7fELF", b"\xFF\xFE\xFD"];
        for bytes in strangers {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            stream.write_all(bytes).expect("the server takes it");
            let mut answer = Vec::new();
            // The end may be a reset, since the server leaves what it doesn't understand unread.
            stream.read_to_end(&mut answer).ok();
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("error 8000 protocol_violation"), "{answer:?}");
            assert_eq!(answer.lines().count(), 1, "{answer:?}");
        }
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(b"ping\nquit\n").expect("the server takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, "pong\nok\n");
    });
}

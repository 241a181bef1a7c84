//! Text mode on a server's port, through a bare socket.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    process::Server,
    scripts::{self, Door},
};

/// What no command is called: its answer ends the one before.
const SENTINEL: &str = "end-of-answer";

/// Connections to one server; what is typed arrives in pieces of this many bytes.
struct Sockets {
    address: SocketAddr,
    piece_bytes: usize,
    open: HashMap<usize, Socket>,
}

struct Socket {
    input: BufReader<TcpStream>,
    /// Lines that came by themselves.
    events: VecDeque<String>,
}

impl Sockets {
    fn socket(&mut self, session: usize) -> &mut Socket {
        self.open.entry(session).or_insert_with(|| {
            let stream = TcpStream::connect(self.address).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            Socket { input: BufReader::new(stream), events: VecDeque::new() }
        })
    }
}

impl Socket {
    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.input.read_line(&mut line).expect("the line comes within ten seconds");
        assert!(line.ends_with('\n'), "the connection ends within '{line}'");
        line.trim_end_matches('\n').to_owned()
    }
}

impl Door for Sockets {
    fn line(&mut self, session: usize, line: &str) -> Vec<String> {
        let piece_bytes = self.piece_bytes;
        let socket = self.socket(session);
        let typed = format!("{line}\r\n{SENTINEL}\n");
        for piece in typed.as_bytes().chunks(piece_bytes) {
            socket.input.get_mut().write_all(piece).unwrap();
        }
        let mut answer = Vec::new();
        loop {
            let line = socket.read_line();
            if line.contains(SENTINEL) {
                return answer;
            }
            if line.starts_with("changed ") {
                socket.events.push_back(line);
            } else {
                answer.push(line);
            }
        }
    }

    fn event(&mut self, session: usize) -> String {
        let socket = self.socket(session);
        socket.events.pop_front().unwrap_or_else(|| socket.read_line())
    }
}

#[test]
fn every_script_holds_on_a_port_whatever_the_pieces() {
    for (name, script) in scripts::all() {
        for piece_bytes in [1, 7, usize::MAX] {
            let directory = tempfile::tempdir().unwrap();
            let server = Server::start(directory.path());
            let (address, open) = (server.address, HashMap::new());
            scripts::play(&name, &script, &mut Sockets { address, piece_bytes, open });
        }
    }
}

#[test]
fn what_is_piped_into_the_port_is_answered_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut stream = TcpStream::connect(server.address).unwrap();
    // As `printf … | nc` does: everything at once, then the end; the last line has no line end.
    stream.write_all(b"set a 1\nget a\nbegin\nset a 2\nget a\nrollback\nget a").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let answers: Vec<&str> = answers.lines().collect();
    assert!(answers[0].starts_with("ok "), "{answers:?}");
    assert_eq!(answers[1..], ["\"1\"", "ok", "ok", "\"2\"", "ok", "\"1\""]);
}

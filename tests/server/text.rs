//! Text mode through the port; its grammar has tests of its own.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use crate::harness::{PATIENCE, TestServer};

pub(crate) struct Terminal {
    lines: BufReader<TcpStream>,
}

impl Terminal {
    pub(crate) fn connect(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option that exists");
        stream.set_nodelay(true).expect("an option that exists");
        Self { lines: BufReader::new(stream) }
    }

    fn send(&mut self, text: &[u8]) {
        self.lines.get_mut().write_all(text).expect("the server reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n").as_bytes());
        self.line()
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("text, then the end");
        rest
    }
}

#[test]
fn a_person_sets_and_gets() {
    let server = TestServer::start();
    let mut terminal = Terminal::connect(&server);
    assert_eq!(terminal.ask("ping"), "pong");
    assert!(terminal.ask("set greeting hello").starts_with("ok "));
    assert_eq!(terminal.ask("get greeting"), "\"hello\"");
    assert_eq!(terminal.ask("get nothing"), "(none)");
    assert!(terminal.ask("frobnicate").starts_with("error 8061 unknown_command"));
    assert_eq!(server.greet().get("greeting").as_deref(), Some(&b"hello"[..]));
    terminal.send(b"info\nquit\n");
    let info = terminal.rest();
    for counted in ["committed_transactions 1\n", "total_transactions 1\n"] {
        assert!(info.contains(counted), "not in the info: {counted}{info}");
    }
}

#[test]
fn input_may_come_a_byte_at_a_time_with_either_line_end() {
    let server = TestServer::start();
    let mut terminal = Terminal::connect(&server);
    for byte in b"set a 1\r\nget a\nget b\r\n" {
        terminal.send(&[*byte]);
    }
    assert!(terminal.line().starts_with("ok "));
    assert_eq!(terminal.line(), "\"1\"");
    assert_eq!(terminal.line(), "(none)");
}

#[test]
fn pipelined_lines_are_answered_in_order_and_the_last_needs_no_end() {
    let server = TestServer::start();
    let mut terminal = Terminal::connect(&server);
    let mut text = String::new();
    for row in 0..300 {
        writeln!(text, "set k{row:03} v{row}\nget k{row:03}").expect("a string takes all");
    }
    text.push_str("get k007");
    terminal.send(text.as_bytes());
    terminal.lines.get_mut().shutdown(Shutdown::Write).expect("an open socket");
    for row in 0..300 {
        assert!(terminal.line().starts_with("ok "));
        assert_eq!(terminal.line(), format!("\"v{row}\""));
    }
    assert_eq!(terminal.rest(), "\"v7\"\n");
}

#[test]
fn a_watch_speaks_up_between_the_answers() {
    let server = TestServer::start();
    let (mut terminal, mut other) = (Terminal::connect(&server), Terminal::connect(&server));
    other.ask("set k old");
    assert_eq!(terminal.ask("watch k"), "ok");
    assert_eq!(terminal.ask("ping"), "pong");
    other.ask("set k new");
    let line = terminal.line();
    assert!(line.contains("changed") && line.contains('k'), "{line}");
    assert_eq!(terminal.ask("ping"), "pong");
}

#[test]
fn a_line_without_end_is_cut_off() {
    let server = TestServer::start_with(|config, _| config.limits.line_bytes_max = 1000);
    let mut terminal = Terminal::connect(&server);
    assert_eq!(terminal.ask(&format!("get {}", "k".repeat(996))), "(none)");
    terminal.send(&[b'x'; 1001]);
    let rest = terminal.rest();
    assert!(rest.starts_with("error 8002 ") && rest.contains("1000"), "{rest}");
}

#[test]
fn a_line_that_comes_too_slowly_is_cut_off() {
    let server = TestServer::start_with(|config, _| {
        config.limits.frame_timeout = Duration::from_millis(50);
    });
    let mut terminal = Terminal::connect(&server);
    assert_eq!(terminal.ask("ping"), "pong");
    terminal.send(b"pin");
    let rest = terminal.rest();
    assert!(rest.starts_with("error 8012 too_slow"), "{rest}");
}

#[test]
fn a_browsers_request_is_turned_away_before_its_body_is_read() {
    let server = TestServer::start();
    let mut terminal = Terminal::connect(&server);
    terminal.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nset hacked yes\n");
    let rest = terminal.rest();
    assert!(rest.starts_with("error 8000 ") && rest.contains("HTTP"), "{rest}");
    assert_eq!(server.greet().get("hacked"), None);
}

#[test]
fn quit_ends_the_connection() {
    let server = TestServer::start();
    let mut terminal = Terminal::connect(&server);
    terminal.send(b"quit\nset k v\n");
    terminal.rest();
    assert_eq!(server.greet().get("k"), None);
}

//! Answers: what a command comes to, and how that reads.
//!
//! Each answer ends with a line that a program can recognise: a value `"…"`, `(none)`, `ok`, `pong`,
//! `error …`, or a count in parentheses.

use std::fmt::Write as _;

use bytes::Bytes;
use plinth_protocol::{
    Error, ErrorCode, Version, Versionstamp,
    job::Job,
    response::{KeyValue, ServerInfo},
};

use super::{
    escape::{quote_into, quoted},
    jobs::write_job,
};

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, to a line with nothing on it.
    Nothing,
    /// It is done; a commit has a version, and one with a versionstamp that too.
    Done(Option<Version>, Option<Versionstamp>),
    /// A value, or a key, or that there is none.
    Value(Option<Bytes>),
    /// Rows of a range.
    Rows {
        /// The rows.
        rows: Vec<KeyValue>,
        /// The command that shows the rows after these, if there may be more.
        next: Option<String>,
    },
    /// The names of the keyspaces.
    Keyspaces(Vec<String>),
    /// What the server says of itself.
    Info(ServerInfo),
    /// A job runs, under this number.
    JobStarted(u64),
    /// How jobs stand.
    Jobs(Vec<Job>),
    /// To a ping.
    Pong,
    /// Lines for a person.
    Text(String),
    /// It failed.
    Failed(Error),
}

impl Answer {
    /// The answer as lines, each with its end.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Nothing => {}
            Self::Done(version, stamp) => {
                text.push_str("ok");
                if let Some(version) = version {
                    let _ = write!(text, " {version}");
                }
                if let Some(stamp) = stamp {
                    text.push(' ');
                    quote_into(text, &stamp.0);
                }
                text.push('\n');
            }
            Self::Value(None) => text.push_str("(none)\n"),
            Self::Value(Some(value)) => {
                quote_into(text, value);
                text.push('\n');
            }
            Self::Rows { rows, next } => {
                for row in rows {
                    write_row(text, row);
                }
                let count = counted(rows.len(), "row");
                let _ = match next {
                    None => writeln!(text, "({count})"),
                    Some(next) => writeln!(text, "({count}, perhaps more: {next})"),
                };
            }
            Self::Keyspaces(names) => {
                for name in names {
                    let _ = writeln!(text, "{}", quoted(name.as_bytes()));
                }
                let _ = writeln!(text, "({})", counted(names.len(), "keyspace"));
            }
            Self::Info(info) => write_info(text, info),
            Self::JobStarted(number) => {
                let _ = writeln!(text, "ok job {number}");
            }
            Self::Jobs(jobs) => {
                for job in jobs {
                    write_job(text, job);
                }
                let _ = writeln!(text, "({})", counted(jobs.len(), "job"));
            }
            Self::Pong => text.push_str("pong\n"),
            Self::Text(lines) => text.push_str(lines),
            Self::Failed(error) => write_error(text, error),
        }
    }
}

/// Appends the line of a row.
pub(crate) fn write_row(text: &mut String, row: &KeyValue) {
    quote_into(text, &row.key);
    text.push(' ');
    quote_into(text, &row.value);
    text.push('\n');
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn write_info(text: &mut String, info: &ServerInfo) {
    let _ = writeln!(text, "server_version {}", info.server_version.escape_ascii());
    let _ = writeln!(text, "uptime_seconds {}", info.uptime_seconds);
    let features: Vec<String> =
        info.features.iter().map(|name| name.escape_ascii().to_string()).collect();
    let _ = writeln!(text, "features {}", features.join(" "));
    for (name, value) in &info.statistics {
        let _ = writeln!(text, "{} {value}", name.escape_ascii());
    }
    let _ = writeln!(text, "({})", counted(3 + info.statistics.len(), "line"));
}

/// Appends an error: its code, what happened, and what to do, all on one line.
fn write_error(text: &mut String, error: &Error) {
    let _ = write!(text, "error {}: ", error.code);
    // A message may quote what a client sent; it stays one line of printable characters.
    for char in error.message.chars() {
        if char.is_control() {
            let _ = write!(text, "{}", char.escape_default());
        } else {
            text.push(char);
        }
    }
    // What the grammar says tells already what to do.
    let says_all = matches!(
        error.code,
        ErrorCode::SYNTAX | ErrorCode::UNKNOWN_COMMAND | ErrorCode::WRONG_STATE
    );
    if !says_all {
        let _ = write!(text, "; {}", error.code.advice());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use plinth_protocol::job::JobState;

    use super::*;

    #[test]
    fn every_answer_ends_with_a_line_that_tells_what_it_is() {
        let text = |answer: Answer| answer.to_text();
        assert_eq!(text(Answer::Done(None, None)), "ok\n");
        assert_eq!(text(Answer::Done(Some(Version(7)), None)), "ok 7\n");
        let stamp = Versionstamp::new(Version(7), 1);
        assert_eq!(
            text(Answer::Done(Some(Version(7)), Some(stamp))),
            "ok 7 \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x07\\x00\\x01\"\n"
        );
        assert_eq!(text(Answer::Value(None)), "(none)\n");
        assert_eq!(text(Answer::Value(Some(Bytes::from("a\n")))), "\"a\\n\"\n");
        let row = KeyValue { key: Bytes::from("k"), value: Bytes::from("v w") };
        let rows = vec![row.clone()];
        assert_eq!(text(Answer::Rows { rows, next: None }), "\"k\" \"v w\"\n(1 row)\n");
        let (rows, next) = (vec![row.clone(), row], Some("getrange x".to_owned()));
        let two = text(Answer::Rows { rows, next });
        assert!(two.ends_with("\n(2 rows, perhaps more: getrange x)\n"), "{two}");
        assert_eq!(text(Answer::Keyspaces(vec![])), "(0 keyspaces)\n");
        assert_eq!(text(Answer::JobStarted(3)), "ok job 3\n");
        let job = Job {
            number: 3,
            kind: Bytes::from("backup"),
            argument: Bytes::from("monday"),
            state: JobState::Failed(ErrorCode::IO_ERROR),
            started_at_ms: 1,
            ended_at_ms: 2,
            done_bytes: 5,
            total_bytes: 9,
            message: Bytes::from("no\nroom"),
        };
        assert_eq!(
            text(Answer::Jobs(vec![job])),
            "3 backup \"monday\" failed 5 of 9 bytes \"no\\nroom\"\n(1 job)\n"
        );
        assert_eq!(
            text(Answer::Info(ServerInfo::default())),
            "server_version \nuptime_seconds 0\nfeatures \n(3 lines)\n"
        );
    }

    #[test]
    fn an_error_is_one_line_that_says_what_to_do() {
        assert_eq!(
            Answer::Failed(ErrorCode::NOT_COMMITTED.into()).to_text(),
            "error 1020 not_committed: Transaction not committed due to conflict with another \
             transaction; something that it read was written meanwhile: begin again\n"
        );
        let error = Error::new(ErrorCode::SYNTAX, "two\nlines \u{1b}[2J");
        assert_eq!(Answer::Failed(error).to_text(), "error 8060 syntax: two\\nlines \\u{1b}[2J\n");
    }
}

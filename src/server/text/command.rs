//! Commands: what a line asks for.

use bytes::Bytes;
use plinth_protocol::{AtomicOp, Error, ErrorCode, KeySelector, MutationOp, request::Request};

use super::{
    escape::quoted,
    help,
    lexer::{Word, error_at, words},
};

/// The rows that a range shows if no limit is given.
pub(crate) const RANGE_LIMIT_DEFAULT: u32 = 25;

/// The most bytes that a line may have if keys and values may have these: both wholly in escapes,
/// and room for the command.
pub fn line_bytes_max(limits: &plinth_protocol::limits::Limits) -> usize {
    4 * (2 * limits.key_bytes_max + limits.value_bytes_max) + 1024
}

/// A line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help(Option<&'static help::CommandHelp>),
    Ping,
    Info,
    Get(Bytes),
    GetKey(KeySelector),
    GetRange(RangeCommand),
    Write(MutationOp),
    Begin,
    Commit,
    Rollback,
    Reset,
    Watch(Bytes),
    Trace(bool),
    Keyspaces,
    CreateKeyspace(String),
    DropKeyspace(String),
    Use(Option<String>),
    Job(Request),
    Quit,
}

/// A range to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RangeCommand {
    pub(crate) begin: Bytes,
    /// `None` for the end of the keys.
    pub(crate) end: Option<Bytes>,
    pub(crate) limit: Option<u32>,
    pub(crate) reverse: bool,
}

impl PartialEq for help::CommandHelp {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for help::CommandHelp {}

impl Command {
    /// Understands a line; `None` if there is nothing on it.
    pub(crate) fn parse(line: &[u8]) -> Result<Option<Self>, Error> {
        let mut words = words(line)?.into_iter();
        let Some(first) = words.next() else {
            return Ok(None);
        };
        let name = String::from_utf8_lossy(&first.bytes).to_ascii_lowercase();
        let name = if name == "exit" { "quit".to_owned() } else { name };
        let Some(help) = help::find(&name) else {
            return Err(unknown(&first.bytes, &name));
        };
        Arguments { help, words: words.collect::<Vec<_>>().into() }.command().map(Some)
    }
}

fn unknown(typed: &[u8], name: &str) -> Error {
    let typed = quoted(typed.get(..40).unwrap_or(typed));
    let hint = help::nearest(name).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let message = format!("no command is called {typed}: {hint}help lists the commands");
    Error::new(ErrorCode::UNKNOWN_COMMAND, message)
}

/// The words after the command's name.
struct Arguments {
    help: &'static help::CommandHelp,
    words: std::collections::VecDeque<Word>,
}

impl Arguments {
    fn command(mut self) -> Result<Command, Error> {
        let command = match self.help.name {
            "help" => Command::Help(self.help_topic()?),
            "ping" => Command::Ping,
            "info" => Command::Info,
            "get" => Command::Get(self.bytes()?),
            "getkey" => Command::GetKey(self.selector()?),
            "getrange" => Command::GetRange(self.range()?),
            "set" => Command::Write(MutationOp::Set { key: self.bytes()?, value: self.bytes()? }),
            "setstamped" => Command::Write(self.stamped()?),
            "del" => Command::Write(MutationOp::Clear { key: self.bytes()? }),
            "clearrange" => Command::Write(self.clear_range()?),
            "add" => Command::Write(self.add()?),
            "begin" => Command::Begin,
            "commit" => Command::Commit,
            "rollback" => Command::Rollback,
            "reset" => Command::Reset,
            "watch" => Command::Watch(self.bytes()?),
            "trace" => Command::Trace(self.on_or_off()?),
            "keyspaces" => Command::Keyspaces,
            "createkeyspace" => Command::CreateKeyspace(self.name()?),
            "dropkeyspace" => Command::DropKeyspace(self.name()?),
            "use" if self.words.is_empty() => Command::Use(None),
            "use" => Command::Use(Some(self.name()?)),
            "backup" => Command::Job(Request::JobStart {
                kind: Bytes::from_static(b"backup"),
                argument: self.bytes()?,
            }),
            "verify" => Command::Job(Request::JobStart {
                kind: Bytes::from_static(b"verify"),
                argument: Bytes::new(),
            }),
            "jobs" => Command::Job(Request::Jobs { job: self.job_or_all()? }),
            "canceljob" => Command::Job(Request::JobCancel { job: self.job()? }),
            "quit" => Command::Quit,
            name => match atomic(name) {
                Some(op) => {
                    let (key, operand) = (self.bytes()?, self.bytes()?);
                    Command::Write(MutationOp::Atomic { op, key, operand })
                }
                None => return Err(unknown(name.as_bytes(), name)),
            },
        };
        match self.words.pop_front() {
            None => Ok(command),
            Some(word) => Err(self.usage_error(word.column, "too many words")),
        }
    }

    fn usage_error(&self, column: usize, what: &str) -> Error {
        let usage = self.help.usage();
        error_at(column, format_args!("{what}: {usage}; a word with spaces goes in quotes"))
    }

    fn word(&mut self) -> Result<Word, Error> {
        self.words.pop_front().ok_or_else(|| {
            let usage = self.help.usage();
            Error::new(ErrorCode::SYNTAX, format!("a word is missing: {usage}"))
        })
    }

    fn bytes(&mut self) -> Result<Bytes, Error> {
        self.word()?.plain()
    }

    /// The next word as text, for words that the grammar itself knows.
    fn keyword(&mut self) -> Result<(String, usize), Error> {
        let word = self.word()?;
        let column = word.column;
        Ok((String::from_utf8_lossy(&word.plain()?).to_ascii_lowercase(), column))
    }

    fn name(&mut self) -> Result<String, Error> {
        let word = self.word()?;
        let column = word.column;
        String::from_utf8(word.plain()?.into())
            .map_err(|_| error_at(column, "a keyspace's name is text, in UTF-8"))
    }

    fn help_topic(&mut self) -> Result<Option<&'static help::CommandHelp>, Error> {
        if self.words.is_empty() {
            return Ok(None);
        }
        let (name, _) = self.keyword()?;
        help::find(&name).map(Some).ok_or_else(|| unknown(name.as_bytes(), &name))
    }

    fn job_or_all(&mut self) -> Result<u64, Error> {
        if self.words.is_empty() { Ok(0) } else { self.job() }
    }

    fn job(&mut self) -> Result<u64, Error> {
        let (number, column) = self.keyword()?;
        match number.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(self.usage_error(column, "JOB is the number of a job, as jobs lists them")),
        }
    }

    fn on_or_off(&mut self) -> Result<bool, Error> {
        let (word, column) = self.keyword()?;
        match word.as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(self.usage_error(column, "on or off is expected")),
        }
    }

    fn selector(&mut self) -> Result<KeySelector, Error> {
        let (relation, column) = self.keyword()?;
        let make = match relation.as_str() {
            "lt" => KeySelector::last_less_than,
            "le" => KeySelector::last_less_or_equal,
            "gt" => KeySelector::first_greater_than,
            "ge" => KeySelector::first_greater_or_equal,
            _ => return Err(self.usage_error(column, "lt, le, gt or ge is expected")),
        };
        let selector = make(self.bytes()?);
        if self.words.is_empty() {
            return Ok(selector);
        }
        let (offset, column) = self.keyword()?;
        match offset.parse() {
            Ok(offset) => Ok(selector + offset),
            Err(_) => Err(self.usage_error(column, "OFFSET is a small whole number")),
        }
    }

    fn range(&mut self) -> Result<RangeCommand, Error> {
        let begin = self.bytes()?;
        let end = if self.words.is_empty() { None } else { Some(self.bytes()?) };
        let (mut limit, mut reverse) = (None, false);
        while !self.words.is_empty() {
            let (word, column) = self.keyword()?;
            match word.parse() {
                Ok(rows) if rows > 0 && limit.is_none() && !reverse => limit = Some(rows),
                Err(_) if word == "reverse" && !reverse => reverse = true,
                _ => {
                    let what = "a LIMIT from 1 to 4294967295, then reverse, is all that may follow";
                    return Err(self.usage_error(column, what));
                }
            }
        }
        Ok(RangeCommand { begin, end, limit, reverse })
    }

    fn clear_range(&mut self) -> Result<MutationOp, Error> {
        Ok(MutationOp::ClearRange { begin: self.bytes()?, end: self.bytes()? })
    }

    fn add(&mut self) -> Result<MutationOp, Error> {
        let key = self.bytes()?;
        let (number, column) = self.keyword()?;
        // Beyond the signed range, unsigned numbers are taken too: the bytes are the same.
        let parsed = number.parse::<i64>().map(i64::cast_unsigned).or_else(|_| number.parse());
        match parsed {
            Ok(number) => {
                let operand = Bytes::copy_from_slice(&number.to_le_bytes());
                Ok(MutationOp::Atomic { op: AtomicOp::Add, key, operand })
            }
            Err(_) => Err(self.usage_error(column, "NUMBER is a whole decimal number of 64 bits")),
        }
    }

    fn stamped(&mut self) -> Result<MutationOp, Error> {
        let (key, value) = (self.word()?, self.word()?);
        match (key.stamp, value.stamp) {
            (Some(stamp), None) => Ok(MutationOp::SetVersionstampedKey {
                key: key.bytes,
                offset: stamp.offset,
                value: value.bytes,
            }),
            (None, Some(stamp)) => Ok(MutationOp::SetVersionstampedValue {
                key: key.bytes,
                value: value.bytes,
                offset: stamp.offset,
            }),
            _ => {
                let what = "exactly one of KEY and VALUE holds \\v, the versionstamp's place";
                Err(self.usage_error(key.column, what))
            }
        }
    }
}

/// The atomic operation of this name, in FoundationDB's present form; `add` has its own syntax.
fn atomic(name: &str) -> Option<AtomicOp> {
    Some(match name {
        "and" => AtomicOp::And,
        "or" => AtomicOp::Or,
        "xor" => AtomicOp::Xor,
        "max" => AtomicOp::Max,
        "min" => AtomicOp::Min,
        "byte_max" => AtomicOp::ByteMax,
        "byte_min" => AtomicOp::ByteMin,
        "append_if_fits" => AtomicOp::AppendIfFits,
        "compare_and_clear" => AtomicOp::CompareAndClear,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Command {
        Command::parse(line.as_bytes()).unwrap().unwrap()
    }

    fn message(line: &str) -> String {
        Command::parse(line.as_bytes()).unwrap_err().message.into_owned()
    }

    #[test]
    fn every_command_that_help_lists_is_understood() {
        for help in help::COMMANDS {
            let arguments = help
                .arguments
                .replace("lt|le|gt|ge", "ge")
                .replace("on|off", "on")
                .replace(['[', ']'], "")
                .replace("LIMIT", "7")
                .replace("OFFSET", "-1")
                .replace("NUMBER", "12")
                .replace("JOB", "12")
                .replace("COMMAND", "get");
            let line = format!("{} {arguments}", help.name.to_uppercase());
            let line = if help.name == "setstamped" { line.replace("KEY", "\\v") } else { line };
            assert!(Command::parse(line.as_bytes()).unwrap().is_some(), "{line}");
        }
        assert_eq!(parse("exit"), Command::Quit);
        assert_eq!(Command::parse(b"  # note"), Ok(None));
    }

    #[test]
    fn ranges_take_a_limit_and_a_direction() {
        let range = |end: Option<&'static str>, limit, reverse| {
            let end = end.map(Bytes::from);
            Command::GetRange(RangeCommand { begin: Bytes::from("a"), end, limit, reverse })
        };
        assert_eq!(parse("getrange a"), range(None, None, false));
        assert_eq!(parse("getrange a 9"), range(Some("9"), None, false));
        assert_eq!(parse("getrange a b 9 reverse"), range(Some("b"), Some(9), true));
        assert_eq!(parse("getrange a b REVERSE"), range(Some("b"), None, true));
        assert!(message("getrange a b 0").contains("a LIMIT from 1"));
        assert!(message("getrange a b backwards").starts_with("at column 14: a LIMIT"));
    }

    #[test]
    fn numbers_to_add_are_eight_bytes_little_endian() {
        let operand = |line| match parse(line) {
            Command::Write(MutationOp::Atomic { op: AtomicOp::Add, operand, .. }) => operand,
            other => panic!("{other:?}"),
        };
        assert_eq!(operand("add k 258"), [2, 1, 0, 0, 0, 0, 0, 0].as_slice());
        assert_eq!(operand("add k -1"), [255; 8].as_slice());
        assert_eq!(operand("add k 18446744073709551615"), [255; 8].as_slice());
        assert!(message("add k 1.5").contains("whole decimal number"));
        assert!(message("add k 99999999999999999999").contains("whole decimal number"));
    }

    #[test]
    fn selectors_move_by_their_offset() {
        assert_eq!(
            parse("getkey ge k -2"),
            Command::GetKey(KeySelector::first_greater_or_equal("k") - 2)
        );
        assert!(message("getkey eq k").contains("lt, le, gt or ge"));
    }

    #[test]
    fn a_versionstamp_stands_in_the_key_or_in_the_value() {
        assert_eq!(
            parse(r"setstamped q/\v x"),
            Command::Write(MutationOp::SetVersionstampedKey {
                key: Bytes::from_static(b"q/\0\0\0\0\0\0\0\0\0\0"),
                offset: 2,
                value: Bytes::from("x"),
            })
        );
        assert!(message("setstamped k v").contains("exactly one"));
        assert!(message(r"setstamped \v \v").contains("exactly one"));
        assert!(message(r"set k \v").contains("only setstamped"));
    }

    #[test]
    fn errors_teach() {
        assert_eq!(message("get"), "a word is missing: get KEY");
        assert_eq!(
            message("set k two words"),
            "at column 11: too many words: set KEY VALUE; a word with spaces goes in quotes"
        );
        assert_eq!(
            message("gte k"),
            "no command is called \"gte\": did you mean get? help lists the commands"
        );
        assert_eq!(message("\\xff"), "no command is called \"\\xff\": help lists the commands");
    }

    proptest! {
        #[test]
        fn no_line_panics(line: Vec<u8>) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn arguments_come_through(key: Vec<u8>, value: Vec<u8>) {
            let line = format!("set {} {}", quoted(&key), quoted(&value));
            let expected = MutationOp::Set { key: key.into(), value: value.into() };
            prop_assert_eq!(
                Command::parse(line.as_bytes()).unwrap(),
                Some(Command::Write(expected))
            );
        }
    }
}

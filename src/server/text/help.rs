//! The commands, described once: for `help`, for error messages, and for completion.

use std::fmt::Write as _;

/// A command as a person knows it.
#[derive(Clone, Copy, Debug)]
pub struct CommandHelp {
    /// What is typed.
    pub name: &'static str,
    /// What follows it; optional words stand in brackets.
    pub arguments: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What else there is to know; may be empty.
    pub detail: &'static str,
}

macro_rules! commands {
    ($($name:literal $arguments:literal, $summary:literal, $detail:literal;)*) => {
        &[$(CommandHelp {
            name: $name, arguments: $arguments, summary: $summary, detail: $detail,
        }),*]
    };
}

/// All commands, in the order in which `help` shows them.
pub const COMMANDS: &[CommandHelp] = commands! {
    "get" "KEY", "print the value of KEY, or (none)", "";
    "getrange" "BEGIN [END] [LIMIT] [reverse]",
        "print the rows from BEGIN to before END",
        "Without END it goes on to \\xff, the end of the keys. It prints 25 rows if LIMIT names no\n\
         other number, and says how to go on if there may be more. With reverse it begins at the\n\
         end.";
    "getkey" "lt|le|gt|ge KEY [OFFSET]",
        "print the key found by a key selector",
        "lt is the last key less than KEY, le the last less or equal, gt the first greater, ge the\n\
         first greater or equal; OFFSET moves that many keys on, or back if negative.";
    "set" "KEY VALUE", "give KEY a value", "";
    "del" "KEY", "remove KEY", "";
    "clearrange" "BEGIN END", "remove all keys from BEGIN to before END", "";
    "add" "KEY NUMBER",
        "add to the number in KEY",
        "The number is kept as 8 bytes, little-endian; a missing key counts as 0. NUMBER is decimal\n\
         and may be negative. Like all atomic operations it never conflicts.";
    "and" "KEY OPERAND", "bitwise and, atomically", "";
    "or" "KEY OPERAND", "bitwise or, atomically", "";
    "xor" "KEY OPERAND", "bitwise exclusive or, atomically", "";
    "max" "KEY OPERAND", "keep the larger little-endian number, atomically", "";
    "min" "KEY OPERAND", "keep the smaller little-endian number, atomically", "";
    "byte_max" "KEY OPERAND", "keep the lexicographically larger bytes, atomically", "";
    "byte_min" "KEY OPERAND", "keep the lexicographically smaller bytes, atomically", "";
    "append_if_fits" "KEY OPERAND",
        "append to the value unless it would be too long, atomically", "";
    "compare_and_clear" "KEY OPERAND", "remove KEY if its value equals OPERAND, atomically", "";
    "setstamped" "KEY VALUE",
        "set, with the commit's versionstamp in place of \\v",
        "Exactly one of KEY and VALUE holds \\v, which becomes the ten bytes of the commit's\n\
         versionstamp: setstamped log/\\v \"an entry\" appends to a log without conflicts.";
    "begin" "",
        "begin a transaction",
        "What follows is part of it until commit or rollback. Reads see its own writes. A write\n\
         outside a transaction is one of its own, tried again as often as needed.";
    "commit" "",
        "commit the transaction; prints ok and its commit version",
        "A transaction that wrote nothing has no commit version: ok alone. If something that it read\n\
         was written meanwhile: error 1020 not_committed. Either way it is ended.";
    "rollback" "", "end the transaction without a trace", "";
    "reset" "", "begin the transaction anew, at a newer read version", "";
    "watch" "KEY",
        "print changed KEY as soon as its value changes",
        "The line comes whenever it happens, between the answers to other commands. In a\n\
         transaction the watch begins with its commit.";
    "keyspaces" "", "list the keyspaces", "";
    "createkeyspace" "NAME", "create a keyspace, an ordered map of its own", "";
    "dropkeyspace" "NAME", "drop a keyspace with everything in it", "";
    "use" "[NAME]", "work in keyspace NAME from now on; without NAME, in the default one", "";
    "backup" "NAME",
        "have the server write a backup, NAME, while it goes on; a job",
        "It goes to the directory NAME below the server's backup directory; plinth restore makes a\n\
         database of it. A name is letters, digits, - _ and . and begins with a letter or a digit.\n\
         jobs shows how far it is.";
    "verify" "",
        "have the server check every byte of the database while it goes on; a job", "";
    "jobs" "[JOB]",
        "show how jobs stand: all, or the one with this number",
        "A job is long work that the server does in the background. A line has its number, what it\n\
         does and with what, how it stands, how far it is, and what came of it.";
    "canceljob" "JOB", "end the job with this number before it is done", "";
    "trace" "on|off",
        "show each request as the binary protocol's frame, in hex, field by field",
        "The frames come before the answer, on lines that begin with #.";
    "info" "", "print the server's version, features and statistics", "";
    "ping" "", "print pong", "";
    "help" "[COMMAND]", "list the commands, or explain one", "";
    "quit" "", "end the session; exit does the same", "";
};

/// The command with this name.
pub fn find(name: &str) -> Option<&'static CommandHelp> {
    COMMANDS.iter().find(|command| command.name == name)
}

impl CommandHelp {
    /// How it is typed.
    pub fn usage(&self) -> String {
        format!("{} {}", self.name, self.arguments).trim_end().to_owned()
    }
}

/// What `help` prints.
pub(crate) fn overview() -> String {
    let mut text = String::new();
    for command in COMMANDS {
        let _ = writeln!(text, "{:<44} {}", command.usage(), command.summary);
    }
    text.push_str(
        "Words with spaces go in quotes; \\xNN is any byte, and \\\\ \\\" \\n \\r \\t are as usual.\n",
    );
    text
}

/// What `help COMMAND` prints.
pub(crate) fn explain(command: &CommandHelp) -> String {
    let mut text = format!("{}: {}\n", command.usage(), command.summary);
    if !command.detail.is_empty() {
        text.push_str(command.detail);
        text.push('\n');
    }
    text
}

/// The command whose name is nearest to `name`, if any is near.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    // Long words are no misspelt commands, and the distance would cost their square.
    if name.len() > 32 {
        return None;
    }
    COMMANDS
        .iter()
        .map(|command| (distance(name.as_bytes(), command.name.as_bytes()), command.name))
        .min()
        .filter(|(distance, found)| *distance <= 2 && *distance < found.len())
        .map(|(_, found)| found)
}

/// How many letters must be inserted, removed, changed or swapped to get from `a` to `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == &b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_commands_are_recognised() {
        assert_eq!(nearest("gte"), Some("get"));
        assert_eq!(nearest("getrang"), Some("getrange"));
        assert_eq!(nearest("comit"), Some("commit"));
        assert_eq!(nearest("xyzzy"), None);
        assert_eq!(nearest(&"x".repeat(1000)), None);
    }

    #[test]
    fn the_overview_names_every_command_on_a_line_of_its_own() {
        let overview = overview();
        assert_eq!(overview.lines().count(), COMMANDS.len() + 1);
        assert!(overview.lines().all(|line| line.len() <= 120));
        assert!(COMMANDS.iter().all(|command| overview.contains(&command.usage())));
    }
}

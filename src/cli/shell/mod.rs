//! `plinth shell`: the text mode's grammar at a prompt, or without one.
//!
//! At a terminal there is a prompt with editing, history and completion. Otherwise commands come
//! from `-c` or from standard input, answers go to standard output and errors to standard error; the
//! first error ends it, with exit code 1, so that a script never goes on from where it isn't. With
//! `--json` every answer is a JSON object on a line of its own.

pub(super) mod json;
mod prompt;

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _, stderr, stdin, stdout};

use plinth_client::{Backend, Database};
use plinth_protocol::{Error, ErrorCode, KeyspaceId};
use tokio::{sync::mpsc, task::block_in_place};

use super::{
    Exit,
    place::{Errand, Host, Place},
    report_error,
};
use crate::server::text::{
    answer::Answer,
    command::line_bytes_max,
    lexer::split_commands,
    session::{Reply, TextSession},
};

/// Talk to a database, at a prompt or from a script.
///
/// Without -c, commands are read from standard input; `help` lists them.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Carry out these commands, with ; between them, and exit.
    #[arg(short = 'c', long, value_name = "COMMANDS")]
    pub command: Option<String>,
    /// Print every answer as a JSON object on a line.
    #[arg(long)]
    pub json: bool,
    /// Which database.
    #[command(flatten)]
    pub place: Place,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Exit {
    let place = arguments.place.clone();
    place.run(arguments)
}

impl Errand for Arguments {
    async fn run<B: Backend>(
        self,
        database: Database<B>,
        keyspace: KeyspaceId,
        host: Host,
    ) -> Exit {
        let line_bytes_max = line_bytes_max(&database.limits());
        let (session, events) = TextSession::new(database.backend().clone(), host.info);
        let mut session = session.with_jobs(host.jobs);
        if let Some(name) = &self.place.keyspace {
            session.set_keyspace(name.clone(), keyspace);
        }
        let mut shell = Shell { session, events, is_json: self.json, line_bytes_max };
        let ended = match &self.command {
            Some(commands) => shell.carry_out(commands.as_bytes()).await,
            None if stdin().is_terminal() && stdout().is_terminal() && !self.json => {
                return prompt::run(shell.session, shell.events).await;
            }
            None => shell.read_input().await,
        };
        match ended {
            Ok(()) => Exit::Success,
            Err(Ended::Failed) => Exit::Failure,
            Err(Ended::Error(error)) => report_error(&error),
        }
    }
}

/// Why a script doesn't go on.
enum Ended {
    /// A command failed, and its answer has been printed.
    Failed,
    /// Something else failed.
    Error(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// A session without a person at it.
struct Shell<B: Backend> {
    session: TextSession<B>,
    events: mpsc::Receiver<String>,
    is_json: bool,
    line_bytes_max: usize,
}

impl<B: Backend> Shell<B> {
    /// Carries out what `-c` says.
    async fn carry_out(&mut self, commands: &[u8]) -> Result<(), Ended> {
        for command in split_commands(commands) {
            if self.line(command).await? {
                return Ok(());
            }
        }
        self.finish().await
    }

    /// Carries out what comes on standard input, a command a line.
    async fn read_input(&mut self) -> Result<(), Ended> {
        let mut input = stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = self.line_bytes_max as u64 + 1;
            let read = block_in_place(|| input.by_ref().take(limit).read_until(b'\n', &mut line));
            let read = read.map_err(|error| {
                let message = format!("standard input can't be read: {error}");
                Error::new(ErrorCode::IO_ERROR, message)
            })?;
            if read == 0 {
                return self.finish().await;
            }
            if line.len() > self.line_bytes_max {
                let message = format!("a line has {} bytes at most", self.line_bytes_max);
                return Err(Error::new(ErrorCode::SYNTAX, message).into());
            }
            if self.line(line.strip_suffix(b"\n").unwrap_or(&line)).await? {
                return Ok(());
            }
        }
    }

    /// Carries out a line and prints its answer; tells whether that was the last.
    async fn line(&mut self, line: &[u8]) -> Result<bool, Ended> {
        let reply = self.session.line(line).await;
        self.print_events();
        self.print(&reply);
        match reply.answer {
            Answer::Failed(_) => Err(Ended::Failed),
            _ => Ok(reply.is_last),
        }
    }

    /// After the last command: waits for the watches, and complains about an open transaction.
    async fn finish(&mut self) -> Result<(), Ended> {
        if self.session.has_transaction() {
            let message = "a transaction was begun and not committed: nothing of it is written";
            return Err(Error::new(ErrorCode::WRONG_STATE, message).into());
        }
        while self.session.next_watch().await {
            self.print_events();
        }
        Ok(())
    }

    fn print(&self, reply: &Reply) {
        let _ = stdout().write_all(reply.trace.as_bytes());
        let text = if self.is_json { json::line(&reply.answer) } else { reply.answer.to_text() };
        // Whoever has closed the output wants no more; the exit code still tells.
        let _ = match reply.answer {
            Answer::Failed(_) if !self.is_json => stderr().write_all(text.as_bytes()),
            _ => stdout().write_all(text.as_bytes()),
        };
    }

    fn print_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            let text = if self.is_json { json::event(&event) } else { event };
            let _ = stdout().write_all(text.as_bytes());
        }
    }
}

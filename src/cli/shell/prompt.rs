//! The prompt: line editing, history, completion, and watches that speak up in between.

use std::{
    env, fs,
    io::{Write as _, stderr, stdout},
    path::PathBuf,
};

use plinth_client::Backend;
use rustyline::{
    Context, Editor, ExternalPrinter as _, Helper, completion::Completer, error::ReadlineError,
    highlight::Highlighter, hint::Hinter, history::FileHistory, validate::Validator,
};
use tokio::{sync::mpsc, task::block_in_place};

use crate::{
    cli::Exit,
    server::text::{help::COMMANDS, session::TextSession},
};

/// Lines that are kept.
const HISTORY_LINES_MAX: usize = 10_000;

/// Completes the names of commands.
struct Commands;

impl Completer for Commands {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..at).unwrap_or(line);
        let names = COMMANDS.iter().map(|command| command.name);
        let (begin, word) = match typed.rsplit_once(' ') {
            None => (0, typed),
            Some(("help", word)) => (at - word.len(), word),
            Some(_) => return Ok((at, Vec::new())),
        };
        Ok((
            begin,
            names.filter(|name| name.starts_with(word)).map(|name| format!("{name} ")).collect(),
        ))
    }
}

impl Hinter for Commands {
    type Hint = String;
}
impl Highlighter for Commands {}
impl Validator for Commands {}
impl Helper for Commands {}

/// Reads, carries out and prints until the person has enough.
pub(super) async fn run<B: Backend>(
    mut session: TextSession<B>,
    mut events: mpsc::Receiver<String>,
) -> Exit {
    let mut editor = match editor() {
        Ok(editor) => editor,
        Err(error) => {
            let _ = writeln!(stderr(), "plinth: the terminal can't be used: {error}");
            return Exit::Failure;
        }
    };
    let history = history_file();
    if let Some(file) = &history {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    if let Ok(mut printer) = editor.create_external_printer() {
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if printer.print(event).is_err() {
                    break;
                }
            }
        });
    }
    let _ = writeln!(stdout(), "Type help for the commands, quit or Ctrl-D to leave.");
    loop {
        let prompt = prompt(&session);
        let line = match block_in_place(|| editor.readline(&prompt)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                let _ = writeln!(stderr(), "plinth: the terminal can't be read: {error}");
                return Exit::Failure;
            }
        };
        if !line.trim().is_empty() {
            // A line that isn't remembered can still be carried out.
            let _ = editor.add_history_entry(line.as_str());
        }
        let interrupted = tokio::signal::ctrl_c();
        let reply = tokio::select! {
            reply = session.line(line.as_bytes()) => reply,
            _ = interrupted => {
                let _ = writeln!(stdout(), "interrupted: whether it happened is not known");
                continue;
            }
        };
        let _ = stdout().write_all(reply.to_text().as_bytes());
        if reply.is_last {
            break;
        }
    }
    if session.has_transaction() {
        let _ = writeln!(stdout(), "the open transaction is rolled back");
    }
    if let Some(file) = &history {
        let saved = file.parent().map_or(Ok(()), fs::create_dir_all);
        if saved.is_ok() {
            let _ = editor.append_history(file);
        }
    }
    Exit::Success
}

fn editor() -> rustyline::Result<Editor<Commands, FileHistory>> {
    let config = rustyline::Config::builder()
        .max_history_size(HISTORY_LINES_MAX)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(rustyline::CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Commands));
    Ok(editor)
}

/// `plinth> `, with the keyspace, and a star while a transaction is open.
fn prompt<B: Backend>(session: &TextSession<B>) -> String {
    let keyspace = session.keyspace_name().map(|name| format!(":{name}")).unwrap_or_default();
    let star = if session.has_transaction() { "*" } else { "" };
    format!("plinth{keyspace}{star}> ")
}

/// The history's place in the user's state directory, if there is a user.
fn history_file() -> Option<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/state")))?;
    Some(state.join("plinth").join("history"))
}

//! The settings of `plinth serve`, from all their sources.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::process::{Said, plinth};

/// A directory with a configuration file, and the command that serves by it.
fn configured(toml: &str) -> (TempDir, PathBuf, Command) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("server.toml");
    fs::write(&file, toml).unwrap();
    let mut command = plinth(&["serve", "--config", file.to_str().unwrap(), "--data-dir"]);
    command.arg(directory.path().join("data"));
    (directory, file, command)
}

fn fails(command: &mut Command) -> Said {
    let said = Said::from(command.output().unwrap());
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{}", said.stderr);
    said
}

/// Starts the server, and wants it to say where it listens.
fn listens(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

#[test]
fn an_unknown_key_of_the_file_is_named_with_the_file() {
    let (_directory, file, mut command) = configured("listen = '127.0.0.1:0'\nlisten_on = 'x'\n");
    let said = fails(&mut command);
    assert!(said.stderr.contains("listen_on"), "{}", said.stderr);
    assert!(said.stderr.contains(file.to_str().unwrap()), "{}", said.stderr);
}

#[test]
fn a_wrong_value_is_named_wherever_it_comes_from() {
    let (_directory, _, mut command) = configured("durability = 'sometimes'\n");
    assert!(fails(&mut command).stderr.contains("sometimes"));
    let (_directory, _, mut command) = configured("");
    let said = fails(command.env("PLINTH_PINS_MAX", "many"));
    assert!(said.stderr.contains("--pins-max") && said.stderr.contains("many"), "{}", said.stderr);
    let (_directory, _, mut command) = configured("");
    let said = fails(command.args(["--frame-bytes-max", "100"]));
    assert!(said.stderr.contains("frame-bytes-max"), "{}", said.stderr);
    let (_directory, _, mut command) = configured("");
    let said = fails(command.args(["--log-level", "info,=="]));
    assert!(said.stderr.contains("log-level"), "{}", said.stderr);
}

#[test]
fn a_missing_file_is_an_error_and_not_the_defaults() {
    let said = fails(&mut plinth(&["serve", "--config", "there/is/no/such.toml"]));
    assert!(said.stderr.contains("there/is/no/such.toml"), "{}", said.stderr);
}

#[test]
fn the_environment_overrides_the_file_and_the_command_line_both() {
    let nowhere = "listen = 'nowhere.invalid:1'\n";
    let (_directory, _, mut command) = configured("listen = '127.0.0.1:0'\n");
    assert!(listens(&mut command).starts_with("listening on 127.0.0.1:"));
    let (_directory, _, mut command) = configured(nowhere);
    assert_eq!(listens(&mut command), "");
    let (_directory, _, mut command) = configured(nowhere);
    let line = listens(command.env("PLINTH_LISTEN", "127.0.0.1:0"));
    assert!(line.starts_with("listening on 127.0.0.1:"), "{line}");
    let (_directory, _, mut command) = configured(nowhere);
    command.env("PLINTH_LISTEN", "elsewhere.invalid:2").args(["--listen", "127.0.0.1:0"]);
    let line = listens(&mut command);
    assert!(line.starts_with("listening on 127.0.0.1:"), "{line}");
}

//! Tests in processes of their own.

use std::{
    any::type_name_of_val,
    process::{Command, Stdio},
};

/// What tells a process which test it is there for.
const TEST: &str = "PLINTH_FDB_ALONE";

/// Runs a test's body in a process of its own, where nothing has touched the library yet. To be
/// called as the whole of a test, with a closure, whose name leads to that of the test.
pub(crate) fn alone(body: impl FnOnce()) {
    // `fdb::module::test::{{closure}}`
    let name = type_name_of_val(&body);
    let name = name.strip_suffix("::{{closure}}").expect("the body is a closure in the test");
    let (_, name) = name.split_once("::").expect("a path in this crate");
    if std::env::var(TEST).is_ok_and(|test| test == name) {
        return body();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(TEST, name)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} ended with {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{name} is no test\n{out}");
}

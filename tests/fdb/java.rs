//! The Java binding of FoundationDB 7.1, from Maven Central, whose native part finds our library.
//!
//! The jar, and what is compiled against it, lies in `fdb-java` of cargo's target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::{Server, library_directory, may_be_skipped, programs, run, said_names};

/// The newest release that Maven Central has.
const RELEASE: &str = "7.1.26";

fn kept() -> PathBuf {
    library_directory().parent().unwrap().join("fdb-java")
}

/// The binding; `None` if this machine can't have it.
fn binding() -> Option<PathBuf> {
    let name = format!("fdb-java-{RELEASE}.jar");
    let jar = kept().join(&name);
    if jar.exists() {
        return Some(jar);
    }
    fs::create_dir_all(kept()).unwrap();
    // Under its name only when it is whole.
    let fetched = TempDir::with_prefix_in("fetching", kept()).unwrap();
    let maven = Command::new("mvn")
        .args(["--batch-mode", "--quiet"])
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy")
        .arg(format!("-Dartifact=org.foundationdb:fdb-java:{RELEASE}"))
        .arg(format!("-DoutputDirectory={}", fetched.path().display()))
        .current_dir(fetched.path())
        .output();
    match maven {
        Ok(said) if said.status.success() => {
            fs::rename(fetched.path().join(name), &jar).unwrap();
            Some(jar)
        }
        Ok(said) => {
            may_be_skipped("Java's binding", &String::from_utf8_lossy(&said.stdout));
            None
        }
        Err(error) => {
            may_be_skipped("Java's binding", &format!("mvn: {error}"));
            None
        }
    }
}

/// Compiles the program against the binding; `None` if there is no compiler.
fn compile(jar: &Path, into: &TempDir) -> Option<()> {
    let sources = fs::read_dir(programs().join("java")).unwrap().map(|file| file.unwrap().path());
    let compiler = Command::new("javac")
        .args(["-Xlint:all", "-Werror", "-encoding", "UTF-8", "-cp"])
        .arg(jar)
        .arg("-d")
        .arg(into.path())
        .args(sources.filter(|path| path.extension().is_some_and(|end| end == "java")))
        .output();
    match compiler {
        Ok(said) => {
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            Some(())
        }
        Err(error) => {
            may_be_skipped("Java's binding", &format!("javac: {error}"));
            None
        }
    }
}

#[test]
fn a_program_in_java_sees_what_foundationdb_shows() {
    let Some(jar) = binding() else { return };
    let classes = TempDir::new().unwrap();
    let Some(()) = compile(&jar, &classes) else { return };
    let class_path = std::env::join_paths([jar.as_path(), classes.path()]).unwrap();
    let scenarios = said_names(&programs().join("java/Program.java"), "all.put(\"");
    for (api_version, at_the_end) in [("710", "stop"), ("630", "leave")] {
        let server = Server::start();
        let mut java = Command::new("java");
        // Whatever the binding unpacks goes with the classes.
        let temporary = format!("-Djava.io.tmpdir={}", classes.path().display());
        java.args(["-XX:TieredStopAtLevel=1", &temporary, "-cp"]).arg(&class_path).args([
            "Program",
            api_version,
            at_the_end,
        ]);
        let said = run(&server, &mut java);
        assert_eq!(said.lines().collect::<Vec<_>>(), scenarios, "API version {api_version}");
    }
}

//! The main job on a real amount of rows: an import of a package index through a server that is
//! killed and started again while it goes on, read back by every door.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use plinth_client::{Database, RangeRead};

use crate::support::{
    process::{PATIENCE, Plinth, plinth},
    random::Random,
    wire::Wire,
};

const STANZAS: usize = 20_000;
const KILLS: usize = 4;

/// Package by package what a Debian index holds: a name and a paragraph.
fn index(random: &mut Random) -> BTreeMap<String, String> {
    const WORDS: [&str; 12] = [
        "library",
        "for",
        "reading",
        "ünïcode",
        "and",
        "writing",
        "\\tables",
        "of",
        "tools",
        "\"quoted\"",
        "development",
        "files",
    ];
    let mut index = BTreeMap::new();
    while index.len() < STANZAS {
        let name = format!("lib{}-{:x}", WORDS[random.below(3) as usize], random.below(1 << 40));
        let size = random.next() >> 40;
        let mut stanza = format!(
            "Package: {name}\nVersion: {}.{}-{}\nInstalled-Size: {size}\nDescription: ",
            random.below(20),
            random.below(100),
            random.below(9)
        );
        for line in 0..=random.below(6) {
            stanza.push_str(if line == 0 { "a" } else { " it" });
            for _ in 0..=random.below(20) {
                let word = WORDS[random.below(WORDS.len() as u64) as usize];
                write!(stanza, " {word}").expect("a string takes everything");
            }
            stanza.push('\n');
        }
        index.insert(name, stanza);
    }
    index
}

fn import(file: &Path, address: SocketAddr, skip_rows: usize) -> Child {
    plinth(["import", "--format", "stanzas", "--target"])
        .arg(format!("plinth://{address}"))
        .arg("--skip-rows")
        .arg(skip_rows.to_string())
        // Slow enough that each kill finds it at work: a look at the rows takes longer than large
        // batches do.
        .args(["--batch-bytes", "512", "--in-flight", "4"])
        .arg(file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

/// Waits until the database holds so many rows; false if the import ends before.
fn is_at(address: SocketAddr, child: &mut Child, count: usize) -> bool {
    let mut wire = Wire::connect(address).expect("a connection");
    let start = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        let (_, rows) = wire.rows(b"", b"\xFF").expect("the server answers");
        if rows.len() >= count {
            return true;
        }
        assert!(start.elapsed() < PATIENCE, "the import stands still at {} rows", rows.len());
        thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Looks for rows that the import says are in.
fn check_acknowledged(address: SocketAddr, stanzas: &[(&String, &String)]) {
    let mut wire = Wire::connect(address).expect("a connection");
    let (_, rows) = wire.rows(b"", b"\xFF").expect("the server answers");
    let found: BTreeMap<&[u8], &[u8]> =
        rows.iter().map(|row| (row.key.as_ref(), row.value.as_ref())).collect();
    for (name, stanza) in stanzas {
        let value = found.get(name.as_bytes());
        assert_eq!(value, Some(&stanza.as_bytes()), "{name} was acknowledged");
    }
}

/// The number after `--skip-rows` in what a stopped import says.
fn rows_in(stderr: &str) -> usize {
    let number = stderr.rsplit("--skip-rows ").next().and_then(|rest| rest.trim().parse().ok());
    number.unwrap_or_else(|| panic!("a stopped import says how to go on: {stderr}"))
}

#[test]
fn an_import_through_a_server_that_is_killed_loses_nothing_that_was_acknowledged() {
    let (mut random, seed) = Random::from_environment();
    println!("PLINTH_TEST_SEED={seed}");
    let directory = tempfile::tempdir().expect("a directory");
    let (data, file) = (directory.path().join("data"), directory.path().join("Packages"));
    let index = index(&mut random);
    // The order of the file is not that of the keys.
    let mut stanzas: Vec<(&String, &String)> = index.iter().collect();
    for at in (1..stanzas.len()).rev() {
        stanzas.swap(at, random.below(at as u64 + 1) as usize);
    }
    let text: Vec<&str> = stanzas.iter().map(|(_, stanza)| stanza.as_str()).collect();
    fs::write(&file, text.join("\n")).expect("a file");

    let mut server = Plinth::serve(&data, &[]);
    let address = server.address;
    let (mut acknowledged, mut kills, mut imports) = (0, 0, 0);
    while acknowledged < STANZAS {
        let mut child = import(&file, address, acknowledged);
        imports += 1;
        while kills < KILLS && is_at(address, &mut child, STANZAS * (kills + 1) / (KILLS + 2)) {
            server.kill();
            server = Plinth::serve_at(&address.to_string(), &data, &[]);
            kills += 1;
        }
        let output = child.wait_with_output().expect("the import ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        acknowledged = if output.status.success() { STANZAS } else { rows_in(&stderr) };
        check_acknowledged(address, &stanzas[..acknowledged]);
        assert!(imports <= KILLS + 1, "the import comes to its end: {stderr}");
    }
    println!("{kills} kills, {imports} imports");
    assert_eq!(kills, KILLS, "the server was killed during the import");
    server.stop();
    check_by_every_door(&data, directory.path(), &index);
}

fn check_by_every_door(data: &Path, scratch: &Path, index: &BTreeMap<String, String>) {
    let server = Plinth::serve(data, &[]);
    let target = format!("plinth://{}", server.address);
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let range: Vec<(&String, &String)> = index.range("liband".to_owned()..).take(20).collect();

    // The shell, by range.
    let command = format!("getrange {} \\xff 20", range[0].0);
    let shell = plinth(["shell", "--target", &target, "-c", &command]).output().expect("a shell");
    let answer = String::from_utf8_lossy(&shell.stdout).into_owned();
    for (name, stanza) in &range {
        let row = format!("{} {}", quoted(name), quoted(stanza).replace('\n', "\\n"));
        assert!(answer.contains(&row), "the shell prints {row} in {answer}");
    }

    // The export, whole.
    let tsv = scratch.join("rows.tsv");
    let export = plinth(["export", "--target", &target]).arg(&tsv).output().expect("an export");
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let rows = fs::read_to_string(&tsv).expect("text").lines().count();
    assert_eq!(rows, index.len());

    // Rust, by range and by key.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let rows = runtime.block_on(async {
        let database = Database::connect(&target).await.expect("a connection");
        let tx = database.transaction();
        let (name, stanza) = range[7];
        let value = tx.get(name).await.expect("a value").expect("a value");
        assert_eq!(value, stanza.as_bytes());
        tx.range(RangeRead::new(&b""[..], &b"\xFF"[..])).collect().await.expect("all rows")
    });
    assert_eq!(rows.len(), index.len());
    for (row, (name, stanza)) in rows.iter().zip(index) {
        assert_eq!((&row.key[..], &row.value[..]), (name.as_bytes(), stanza.as_bytes()));
    }
    server.stop();
}

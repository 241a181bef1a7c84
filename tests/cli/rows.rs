//! `plinth import` and `plinth export`.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::Write as _,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::process::{Said, Server, plinth, run, run_with_input};

#[test]
fn any_bytes_survive_an_export_and_an_import() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let target = server.target();
    let mut rows = String::new();
    for number in 0..2000 {
        // Every byte value, in keys and in values, of all small lengths.
        let bytes = (0..number % 70).map(|at| (number + at) % 256);
        let value = bytes.fold(String::new(), |text, byte| format!("{text}\\x{byte:02x}"));
        writeln!(rows, "row\\x{:02x}\\x{:02x}\t{value}", number / 256, number % 256).unwrap();
    }
    let said = run_with_input(
        &["import", "--target", &target, "--format", "tsv", "--batch-bytes", "2000"],
        rows.as_bytes(),
    );
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.starts_with("imported 2000 rows"), "{said:?}");

    for format in ["jsonl", "tsv"] {
        let file = directory.path().join(format!("rows.{format}"));
        let file = file.to_str().unwrap();
        let said = run(&["export", "--target", &target, file]);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.stderr.starts_with("exported 2000 rows"), "{said:?}");
        let said = run(&["export", "--target", &target, file]);
        assert_eq!(said.code, 1, "a file that exists is left alone: {said:?}");

        let copy = directory.path().join(format!("copy-{format}"));
        let copy = copy.to_str().unwrap();
        let said = run(&["import", "--embedded", copy, file]);
        assert_eq!(said.code, 0, "{said:?}");
        let original = run(&["export", "--target", &target, "--format", "jsonl"]);
        let copied = run(&["export", "--embedded", copy, "--format", "jsonl"]);
        assert_eq!(original.stdout.lines().count(), 2000);
        assert!(original.stdout == copied.stdout, "the copy of {format} differs");
    }
}

#[test]
fn a_bad_row_is_named_and_the_import_can_go_on_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let file = directory.path().join("rows.tsv");
    fs::write(&file, "a\t1\nb\t2\nbroken\nd\t4\n").unwrap();
    let file = file.to_str().unwrap();
    let keys = || {
        let said = run(&["export", "--embedded", data, "--format", "tsv"]);
        said.stdout.lines().map(|line| line[..1].to_owned()).collect::<String>()
    };

    let said = run(&["import", "--embedded", data, file]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(&format!("{file}:3: there is no tab")), "{said:?}");
    assert!(said.stderr.contains("go on with --skip-rows 2\n"), "{said:?}");
    assert_eq!(keys(), "ab");

    let said = run(&["import", "--embedded", data, "--skip-rows", "3", file]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("imported 1 rows"), "{said:?}");
    assert_eq!(keys(), "abd");

    let said = run(&["import", "--embedded", data, "--keep-going", "--key-prefix", "e", file]);
    assert_eq!(said.code, 1, "rows that were left out are no success: {said:?}");
    assert!(
        said.stderr.contains("imported 3 rows") && said.stderr.contains("1 left out"),
        "{said:?}"
    );
    assert_eq!(keys(), "abdeee");
}

#[test]
fn the_last_of_equal_keys_wins() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let rows: Vec<String> =
        (0..3000).map(|number| format!("k{}\t{number}\n", number % 7)).collect();
    let arguments = ["import", "--embedded", data, "--format", "tsv", "--batch-bytes", "1"];
    let said = run_with_input(&arguments, rows.concat().as_bytes());
    assert_eq!(said.code, 0, "{said:?}");
    let said = run(&["export", "--embedded", data, "--format", "tsv"]);
    let expected: BTreeSet<String> =
        (2993..3000).map(|number| format!("k{}\t{number}", number % 7)).collect();
    assert_eq!(said.stdout.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn an_index_of_packages_is_imported_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let index = "Package: zlib1g\nVersion: 1.3\nDescription: compression\n library\n\n\
                 Package: bash\nVersion: 5.2\n\n";
    let arguments = ["import", "--embedded", data, "--format", "stanzas"];
    let said = run_with_input(&arguments, index.as_bytes());
    assert_eq!(said.code, 0, "{said:?}");
    let said = run(&["shell", "--embedded", data, "-c", "getrange a"]);
    assert_eq!(
        said.stdout,
        "\"bash\" \"Package: bash\\nVersion: 5.2\\n\"\n\
         \"zlib1g\" \"Package: zlib1g\\nVersion: 1.3\\nDescription: compression\\n library\\n\"\n\
         (2 rows)\n"
    );
}

#[test]
fn an_export_takes_a_range_or_a_prefix() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let rows = "a\t1\nb1\t2\nb2\t3\nc\t4\n";
    run_with_input(&["import", "--embedded", data, "--format", "tsv"], rows.as_bytes());
    let export = |more: &[&str]| {
        let mut arguments = vec!["export", "--embedded", data, "--format", "tsv"];
        arguments.extend(more);
        run(&arguments).stdout
    };
    assert_eq!(export(&["--prefix", "b"]), "b1\t2\nb2\t3\n");
    assert_eq!(export(&["--prefix", "b", "--begin", "b1\\x00"]), "b2\t3\n");
    assert_eq!(export(&["--begin", "b2"]), "b2\t3\nc\t4\n");
    assert_eq!(export(&["--end", "b"]), "a\t1\n");
    assert_eq!(export(&["--begin", "x", "--end", "b"]), "");
}

#[test]
fn an_import_survives_a_crash_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let rows: Vec<String> = (0..4000).map(|number| format!("row{number:04}\t{number}\n")).collect();
    let server = Server::start(&data);
    let target = server.target();
    let mut import = plinth(&["import", "--target", &target, "--format", "tsv"])
        .args(["--batch-bytes", "20"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = import.stdin.take().unwrap();
    // The second half is held back, so that the import can't be over before the crash.
    let (first, second) = rows.split_at(2000);
    input.write_all(first.concat().as_bytes()).unwrap();
    let is_under_way =
        || run(&["shell", "--target", &target, "-c", "get row0050"]).stdout == "\"50\"\n";
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_under_way() {
        assert!(Instant::now() < deadline, "the import writes nothing");
    }
    let _server = server.crash_and_start_again(&data);
    input.write_all(second.concat().as_bytes()).unwrap();
    drop(input);
    let said: Said = import.wait_with_output().unwrap().into();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.starts_with("imported 4000 rows"), "{said:?}");
    let exported = run(&["export", "--target", &target, "--format", "tsv"]);
    assert_eq!(exported.stdout, rows.concat());
}

/// Rows of which every commit gives all the same value; together they are several chunks.
const ROWS: usize = 300;
const VALUE_BYTES: usize = 20_000;

#[test]
fn an_export_sees_one_snapshot_while_others_write() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let address = server.address.to_string();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(plinth_client::Database::connect(&address)).unwrap();
    let write = move |round: u64| {
        let database = database.clone();
        async move {
            let value = format!("{round:0VALUE_BYTES$}");
            database
                .transact(|transaction| {
                    let value = value.clone();
                    async move {
                        for row in 0..ROWS {
                            transaction.set(format!("row{row:05}"), value.as_str());
                        }
                        Ok(())
                    }
                })
                .await
        }
    };
    runtime.block_on(write(0)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = runtime.spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                write(round).await.unwrap();
            }
            round
        }
    });
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let said = run(&["export", "--target", &server.target(), "--format", "tsv"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        let values: BTreeSet<&str> =
            said.stdout.lines().map(|line| line.split_once('\t').unwrap().1).collect();
        assert_eq!(said.stdout.lines().count(), ROWS);
        assert_eq!(values.len(), 1, "rows of several commits in one export");
        seen.extend(values.into_iter().map(str::to_owned));
    }
    stop.store(true, Ordering::Relaxed);
    let rounds = runtime.block_on(writer).unwrap();
    assert!(seen.len() > 1 && rounds > 1, "nothing was written meanwhile");
}

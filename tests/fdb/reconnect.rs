//! Servers that are killed under load, come back, come back elsewhere or as another database:
//! clients neither hang nor lose or double a commit, and never hear of a broken connection.
//!
//! The native client and the C library do the same: increments of a counter of each worker's own and
//! of one that all share, in one transaction, while the server is killed over and over. At the end
//! both hold what was acknowledged, no more and no less.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use plinth_client::{
    AtomicOp, ClusterFile, ConnectOptions, Database, ErrorCode, ServerAddress, TcpBackend,
    TransactionOption,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::ffi;

/// How often the server is killed in a test.
const KILLS: u64 = 12;
/// So many acknowledgements there are between one kill and the next.
const PROGRESS: u64 = 25;
const WORKERS: u64 = 6;
/// Nothing takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_mins(1);

/// `transaction_too_old`, `commit_unknown_result`, `transaction_timed_out`.
const TOO_OLD: i32 = 1007;
const UNKNOWN: i32 = 1021;
const TIMED_OUT: i32 = 1031;
/// What may happen to a transaction when its server is killed: all of it is worth another try.
const EXPECTED: [i32; 5] = [TOO_OLD, 1009, 1020, UNKNOWN, 1037];

/// A server that dies and comes back, and a cluster file that leads to it.
struct Mortal {
    directory: TempDir,
    is_ephemeral: bool,
    child: Option<Child>,
    address: String,
}

impl Mortal {
    fn start(is_ephemeral: bool) -> Self {
        let directory = TempDir::new().unwrap();
        let address = "127.0.0.1:0".to_owned();
        let mut server = Self { directory, is_ephemeral, child: None, address };
        server.come_back("127.0.0.1:0");
        server
    }

    fn cluster_file(&self) -> PathBuf {
        self.directory.path().join("data/fdb.cluster")
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts again: on the same data, or as another database if it has none.
    fn come_back(&mut self, listen: &str) {
        let data = self.directory.path().join("data");
        let mut command = Command::new(env!("CARGO_BIN_EXE_plinth"));
        command.args(["serve", "--listen", listen]).env("TMPDIR", self.directory.path());
        if self.is_ephemeral {
            command.arg("--ephemeral");
        } else {
            // A killed process loses nothing of what the operating system has.
            command.args(["--durability", "interval=100", "--data-dir"]).arg(&data);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(ToOwned::to_owned))
            .expect("the server listens");
        self.child = Some(child);
        if self.is_ephemeral {
            // Where clients look, while the server's own file is a new one each time.
            std::fs::create_dir_all(&data).unwrap();
            let file = ClusterFile::new("test", "test", &self.address).unwrap();
            file.write(&self.cluster_file()).unwrap();
        }
    }

    /// Kills it and starts it, again and again, each time when there has been some progress.
    fn die_often(&mut self, progress: &AtomicU64) {
        for _ in 0..KILLS {
            let (begun, before) = (Instant::now(), progress.load(SeqCst));
            while progress.load(SeqCst) < before + PROGRESS {
                assert!(begun.elapsed() < LIMIT, "the clients stand still");
                thread::sleep(Duration::from_millis(1));
            }
            self.kill();
            // Any port that is free: the cluster file tells which.
            self.come_back("127.0.0.1:0");
        }
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.kill();
    }
}

fn native(cluster_file: &Path) -> Database<TcpBackend> {
    let address = ServerAddress::ClusterFile(Some(cluster_file.to_path_buf()));
    let options = ConnectOptions { waits_for_server: true, ..ConnectOptions::at(address) };
    Database::new(TcpBackend::lazy(options))
}

fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()))
}

/// Runs work on a thread of its own and fails if it doesn't end.
fn within_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    let worker = thread::spawn(move || tell.send(work()).unwrap());
    let done = told.recv_timeout(LIMIT).expect("it ends in time");
    worker.join().unwrap();
    done
}

/// What the workers of a test share.
#[derive(Clone, Default)]
struct Load {
    acknowledged: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

/// Increments until told to stop; how often.
async fn increment_natively(db: Database<TcpBackend>, worker: u64, load: Load) -> u64 {
    let (mut count, mut newest) = (0, 0);
    let key = format!("worker {worker}");
    while !load.is_over.load(SeqCst) {
        let tx = db.transaction();
        loop {
            let done = async {
                let before = tx.get(key.clone()).await?;
                tx.set(key.clone(), (number(before.as_deref()) + 1).to_le_bytes());
                tx.atomic(AtomicOp::Add, "sum", 1_u64.to_le_bytes());
                tx.commit().await
            };
            match done.await {
                Ok(version) => {
                    let version = version.unwrap().0;
                    assert!(version > newest, "versions go on growing");
                    newest = version;
                    break;
                }
                Err(error) => {
                    let code = i32::from(error.code.0);
                    assert!(EXPECTED.contains(&code) && code != UNKNOWN, "{error}");
                    tx.on_error(error).await.unwrap();
                }
            }
        }
        count += 1;
        load.acknowledged.fetch_add(1, SeqCst);
    }
    count
}

#[test]
fn the_native_client_loses_and_doubles_nothing_while_the_server_is_killed() {
    let mut server = Mortal::start(false);
    let runtime = Runtime::new().unwrap();
    let db = native(&server.cluster_file());
    let load = Load::default();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| runtime.spawn(increment_natively(db.clone(), worker, load.clone())))
        .collect();
    server.die_often(&load.acknowledged);
    load.is_over.store(true, SeqCst);
    runtime.block_on(async {
        let mut counts = Vec::new();
        for worker in workers {
            counts.push(tokio::time::timeout(LIMIT, worker).await.unwrap().unwrap());
        }
        let tx = db.transaction();
        let mut sum = 0;
        for (worker, counted) in counts.into_iter().enumerate() {
            let value = tx.get(format!("worker {worker}")).await.unwrap();
            assert_eq!(number(value.as_deref()), counted);
            sum += counted;
        }
        assert_eq!(number(tx.get("sum").await.unwrap().as_deref()), sum);
        assert!(sum >= KILLS * PROGRESS);
    });
}

/// The same through the C library, from a thread that waits for each future.
fn increment_by_c(db: &ffi::Database, worker: u64, load: &Load) -> u64 {
    let (mut count, mut newest) = (0, 0);
    let key = format!("worker {worker}");
    while !load.is_over.load(SeqCst) {
        let tx = db.transaction();
        loop {
            let attempt = || -> Result<bool, i32> {
                let before = number(tx.get(&key, false).wait()?.value()?.as_deref());
                if before > count {
                    // The commit that was in doubt has happened.
                    return Ok(false);
                }
                tx.set(&key, (before + 1).to_le_bytes());
                tx.atomic_op("sum", 1_u64.to_le_bytes(), 2);
                tx.commit().wait()?;
                Ok(true)
            };
            match attempt() {
                Ok(is_told) => {
                    if is_told {
                        let version = tx.get_committed_version().unwrap();
                        assert!(version > newest, "versions go on growing");
                        newest = version;
                    }
                    break;
                }
                Err(code) => {
                    assert!(EXPECTED.contains(&code), "{code}: {}", ffi::error_text(code));
                    tx.on_error(code).wait().unwrap();
                }
            }
        }
        count += 1;
        load.acknowledged.fetch_add(1, SeqCst);
    }
    count
}

#[test]
fn the_c_library_loses_and_doubles_nothing_while_the_server_is_killed() {
    let mut server = Mortal::start(false);
    let db = Arc::new(ffi::open(&server.cluster_file()));
    let load = Load::default();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (db, load) = (Arc::clone(&db), load.clone());
            thread::spawn(move || increment_by_c(&db, worker, &load))
        })
        .collect();
    server.die_often(&load.acknowledged);
    load.is_over.store(true, SeqCst);
    within_limit(move || {
        let mut sum = 0;
        for (worker, counted) in workers.into_iter().enumerate() {
            let counted = counted.join().unwrap();
            let tx = db.transaction();
            let value = tx.get(format!("worker {worker}"), false).wait().unwrap().value().unwrap();
            assert_eq!(number(value.as_deref()), counted);
            sum += counted;
        }
        let value = db.transaction().get("sum", false).wait().unwrap().value().unwrap();
        assert_eq!(number(value.as_deref()), sum);
        assert!(sum >= KILLS * PROGRESS);
    });
}

#[test]
fn a_transaction_from_before_the_restart_is_too_old_and_a_watch_goes_on() {
    let mut server = Mortal::start(false);
    let db = ffi::open(&server.cluster_file());
    let tx = db.transaction();
    tx.set("k", "1");
    let watch = tx.watch("k");
    tx.commit().wait().unwrap();
    let before = db.transaction();
    assert_eq!(before.get("k", false).wait().unwrap().value(), Ok(Some(b"1".to_vec())));
    server.kill();
    // What is asked while nobody is there is answered by the one who comes.
    let late = db.transaction();
    let late_read = late.get("k", false);
    server.come_back("127.0.0.1:0");
    within_limit(move || {
        assert_eq!(late_read.wait().unwrap().value(), Ok(Some(b"1".to_vec())));
        let old = before.get("other", false).wait().err();
        assert_eq!(old, Some(TOO_OLD));
        before.on_error(TOO_OLD).wait().unwrap();
        before.get("other", false).wait().unwrap();
        assert!(!watch.is_ready(), "nothing has changed");
        let tx = db.transaction();
        tx.set("k", "2");
        tx.commit().wait().unwrap();
        watch.wait().unwrap();
    });
}

#[test]
fn an_empty_database_in_the_place_of_another_is_gone_on_with() {
    let mut server = Mortal::start(true);
    let c = ffi::open(&server.cluster_file());
    let (runtime, native) = (Runtime::new().unwrap(), native(&server.cluster_file()));
    let tx = c.transaction();
    tx.set("k", "1");
    let watch = tx.watch("k");
    tx.commit().wait().unwrap();
    let (by_c, natively) = (c.transaction(), native.transaction());
    by_c.get("k", false).wait().unwrap();
    runtime.block_on(natively.get("k")).unwrap();
    by_c.set("k", "of the one before");
    natively.set("k", "of the one before");
    // At the same address: the cluster file doesn't tell that it is another one.
    let address = server.address.clone();
    server.kill();
    server.come_back(&address);
    within_limit(move || {
        watch.wait().unwrap();
        assert_eq!(by_c.commit().wait().err(), Some(TOO_OLD));
        by_c.on_error(TOO_OLD).wait().unwrap();
        assert_eq!(by_c.get("k", false).wait().unwrap().value(), Ok(None));
        by_c.set("k", "2");
        by_c.commit().wait().unwrap();
        runtime.block_on(async {
            let error = natively.commit().await.unwrap_err();
            assert_eq!(error.code, ErrorCode::TRANSACTION_TOO_OLD, "{error}");
            natively.on_error(error).await.unwrap();
            let value = natively.get("k").await.unwrap();
            assert_eq!(value.as_deref(), Some(&b"2"[..]));
        });
    });
}

#[test]
fn timeouts_end_what_waits_for_a_server_that_is_gone() {
    let mut server = Mortal::start(true);
    let c = ffi::open(&server.cluster_file());
    let (runtime, native) = (Runtime::new().unwrap(), native(&server.cluster_file()));
    c.transaction().get("k", false).wait().unwrap();
    runtime.block_on(native.transaction().get("k")).unwrap();
    let armed = c.transaction();
    armed.get("k", false).wait().unwrap();
    armed.set("k", "1");
    server.kill();
    within_limit(move || {
        let timed = |tx: ffi::Transaction| {
            tx.set_option(500, &100_i64.to_le_bytes()).unwrap();
            tx
        };
        let armed = timed(armed);
        let fresh = timed(c.transaction());
        let (blind, watcher) = (timed(c.transaction()), timed(c.transaction()));
        blind.set("k", "2");
        let waiting = [
            fresh.get("k", false),
            fresh.get_read_version(),
            watcher.watch("k"),
            armed.commit(),
            blind.commit(),
        ];
        for future in waiting {
            assert_eq!(future.wait().err(), Some(TIMED_OUT));
        }
        runtime.block_on(async {
            let tx = native.transaction();
            tx.set_option(TransactionOption::Timeout(Some(Duration::from_millis(100))));
            let error = tx.get("k").await.unwrap_err();
            assert_eq!(error.code, ErrorCode::TRANSACTION_TIMED_OUT, "{error}");
        });
    });
}

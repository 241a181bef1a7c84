//! `plinth bench` on a Redis server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    thread,
};

use tempfile::TempDir;

use crate::process::{Said, run};

/// How often a port may turn out to be taken.
const ATTEMPTS: usize = 10;

/// A Redis server, killed when it is dropped.
struct Redis {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl Redis {
    /// Starts one with these options; `None` if there is none to start.
    fn start(options: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "redis-server is installed for CI");
            // The one place where a test speaks: whoever runs it should know what it has not shown.
            let left_out = b"left out: bench on Redis: there is no redis-server\n";
            std::io::stderr().write_all(left_out).unwrap();
            return None;
        }
        let started = (0..ATTEMPTS).find_map(|_| Self::attempt(options));
        Some(started.expect("redis-server starts"))
    }

    /// Starts one on a port that was free a moment ago; `None` if it isn't any more.
    fn attempt(options: &[&str]) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = TempDir::new().unwrap();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(port.to_string())
            .arg("--dir")
            .arg(directory.path())
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut redis = Self { child, port, _directory: directory };
        if lines.any(|line| line.contains("Ready to accept connections")) {
            // What it says must not fill a pipe that nobody reads.
            thread::spawn(move || lines.count());
            return Some(redis);
        }
        redis.child.wait().unwrap();
        None
    }

    /// A short run on it, after the scheme and before the port.
    fn bench(&self, workload: &str, login: &str, more: &[&str]) -> Said {
        bench(workload, &format!("redis://{login}127.0.0.1:{}/1", self.port), more)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bench(workload: &str, target: &str, more: &[&str]) -> Said {
    let mut arguments = vec!["bench", workload, "--target", target, "--json", "--keys", "500"];
    arguments.extend(["--connections", "4", "--pipeline", "3", "--seconds", "0.3"]);
    arguments.extend(["--warm-up", "0.1"]);
    arguments.extend(more);
    run(&arguments)
}

#[test]
fn redis_is_measured_like_plinth() {
    let Some(redis) = Redis::start(&[]) else { return };
    for (workload, more) in
        [("set", &["--load"][..]), ("get", &[]), ("batch-get", &["--batch", "7"]), ("ping", &[])]
    {
        let said = redis.bench(workload, "", more);
        assert_eq!(said.code, 0, "{workload}: {said:?}");
        let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((&report["errors"], &report["misses"]), (&0.into(), &0.into()), "{report}");
        assert!(report["operations"].as_u64().unwrap() > 10, "{report}");
        assert!(report["server"].as_str().unwrap().starts_with("redis/"), "{report}");
        assert_eq!(report["target"], format!("redis://127.0.0.1:{}/1", redis.port));
        assert!(report["server_cpu_seconds"].is_f64(), "the server tells: {report}");
    }
    // Values are checked against their keys, as Plinth's are.
    let said = redis.bench("get", "", &["--value-size", "50"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("--load"), "{said:?}");
}

#[test]
fn what_redis_has_not_is_refused() {
    // Nobody is asked: there is no server.
    for workload in ["scan", "rmw", "g10"] {
        let said = bench(workload, "redis://127.0.0.1:1", &[]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stderr.contains("redis://127.0.0.1:1"), "{said:?}");
        assert!(said.stderr.contains(workload) && said.stderr.contains("get, set"), "{said:?}");
        assert!(!said.stderr.contains("this server can't"), "none was asked: {said:?}");
    }
    let said = bench("get", "redis://127.0.0.1:1", &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("server_unreachable"), "{said:?}");
}

#[test]
fn what_redis_complains_of_is_told() {
    let mut options = vec!["--requirepass", "a secret", "--maxmemory", "1mb"];
    options.extend(["--user", "shy", "on", ">secret", "~*", "+@all", "-info"]);
    let Some(redis) = Redis::start(&options) else { return };
    let said = redis.bench("get", "", &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("NOAUTH"), "{said:?}");
    let said = redis.bench("get", ":wrong@", &[]);
    assert!(said.code == 1 && said.stderr.contains("WRONGPASS"), "{said:?}");

    let said = redis.bench("get", ":a%20secret@", &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!said.stdout.contains("secret"), "{said:?}");

    // Who may not ask for it measures without the server's processor time.
    let said = redis.bench("get", "shy:secret@", &[]);
    assert_eq!(said.code, 0, "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&report["server"], report["server_cpu_seconds"].is_null()),
        (&"redis".into(), true)
    );

    let said = redis.bench("set", ":a%20secret@", &["--value-size", "100000"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("OOM command not allowed"), "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(report["errors"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn another_server_than_redis_is_found_out() {
    for answer in
        ["HTTP/1.1 400 Bad Request\r\n\r\n", "$99999999999\r\n", "+OK\r\n+OK\r\n", ":x\r\n"]
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = format!("redis://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            // The client ends the connection.
            std::io::copy(&mut stream, &mut std::io::sink()).is_ok()
        });
        let said = bench("ping", &target, &[]);
        assert_eq!(said.code, 1, "{answer}: {said:?}");
        assert!(said.stderr.contains("Redis"), "{answer}: {said:?}");
        server.join().unwrap();
    }
}

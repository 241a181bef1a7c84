//! Reads that wait for a disk which doesn't answer keep nobody else waiting.

use std::{
    ffi::OsString,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    ops::Range,
    sync::Condvar,
    thread::JoinHandle,
};

use plinth_client::{Backend, Database, tcp::TcpBackend};
use plinth_protocol::request::RangeOptions;
use tokio::{runtime::Builder, sync::oneshot, task::JoinSet, time::timeout};

use super::*;
use crate::{
    embedded::EngineBackend,
    engine::{
        compaction::rewrite::table_path,
        key::{KeyBuf, KeyRef},
        layer::Entry,
        reader::NotRead,
        table::{Table, TableNumber, TableOptions, TableWriter},
        visible::Stamp,
    },
    server::{Server, ServerConfig},
    vfs::{File, LockGuard, Region, VfsError},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the disk answers those who read from tables, and how many wait for that.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    fn set_closed(&self, is_closed: bool) {
        self.state.lock().unwrap().0 = is_closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.changed.notify_all();
        while state.0 {
            state = self.changed.wait(state).unwrap();
        }
        state.1 -= 1;
    }

    /// Waits until so many wait.
    fn await_waiting(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| state.1 < count);
        let (state, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "{} wait for the disk, not {count}", state.1);
    }
}

/// A disk on which everything that is mapped is cold, and reading it passes a gate.
#[derive(Clone, Debug)]
struct GatedDisk {
    disk: SimVfs,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    file: Box<dyn File>,
    gate: Option<Arc<Gate>>,
}

impl GatedDisk {
    fn new() -> Self {
        let disk = SimVfs::with_plan("cold=1".parse().unwrap());
        Self { disk, gate: Arc::default() }
    }

    fn wrap(&self, path: &Path, file: Box<dyn File>) -> Box<dyn File> {
        let is_table = path.extension().is_some_and(|extension| extension == "table");
        let gate = is_table.then(|| Arc::clone(&self.gate));
        Box::new(GatedFile { file, gate })
    }
}

impl Vfs for GatedDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        Ok(self.wrap(path, self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        Ok(self.wrap(path, self.disk.open(path)?))
    }

    fn open_for_reading(&self, path: &Path) -> Result<Box<dyn File>, VfsError> {
        Ok(self.wrap(path, self.disk.open_for_reading(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        self.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), VfsError> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), VfsError> {
        self.disk.remove(path)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), VfsError> {
        self.disk.remove_directory(path)
    }

    fn create_directory(&self, path: &Path) -> Result<(), VfsError> {
        self.disk.create_directory(path)
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, VfsError> {
        self.disk.list(directory)
    }

    fn exists(&self, path: &Path) -> Result<bool, VfsError> {
        self.disk.exists(path)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, VfsError> {
        self.disk.free_bytes(path)
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), VfsError> {
        self.disk.sync_directory(directory)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, VfsError> {
        self.disk.lock(path)
    }
}

impl File for GatedFile {
    fn len(&self) -> Result<u64, VfsError> {
        self.file.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), VfsError> {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), VfsError> {
        self.file.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> Result<(), VfsError> {
        self.file.allocate(bytes)
    }

    fn set_len(&self, bytes: u64) -> Result<(), VfsError> {
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> Result<(), VfsError> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> Result<(), VfsError> {
        self.file.sync_all()
    }

    fn map(&self) -> Result<Region, VfsError> {
        self.file.map()
    }

    fn will_read(&self, range: Range<u64>) {
        self.file.will_read(range);
    }

    fn uncache(&self, range: Range<u64>) {
        self.file.uncache(range);
    }
}

/// An engine with `hot` in memory and tables on a disk that doesn't answer: each of the keys
/// `cold0` to `cold4` is in a table of its own, so that each has to be fetched.
struct Cold {
    disk: GatedDisk,
    engine: Engine,
    version: Version,
}

const TABLES: u64 = 5;

impl Cold {
    fn new() -> Self {
        let disk = GatedDisk::new();
        let options = EngineOptions {
            vfs: Arc::new(disk.clone()) as Arc<dyn Vfs>,
            ..EngineOptions::new(Path::new("/data"))
        };
        let engine = Engine::open(options).unwrap();
        let version = blind().set("hot", "memory").version(&engine);
        let directory = Path::new("/cold");
        disk.create_directory(directory).unwrap();
        for number in 0..TABLES {
            let table = table(&disk, directory, number);
            engine.shared().store.install(&[(6, Arc::new(table))], &[]);
        }
        disk.gate.set_closed(true);
        Self { disk, engine, version }
    }
}

/// Opens the gate when it is dropped, also by a failure: what has threads that wait there can't end
/// before.
struct OpenAtLast(Arc<Gate>);

impl Cold {
    fn open_at_last(&self) -> OpenAtLast {
        OpenAtLast(Arc::clone(&self.disk.gate))
    }
}

impl Drop for OpenAtLast {
    fn drop(&mut self) {
        self.0.set_closed(false);
    }
}

fn table(disk: &GatedDisk, directory: &Path, number: u64) -> Table {
    let (path, number) = (table_path(directory, TableNumber(100 + number)), number);
    let of = TableNumber(100 + number);
    let mut writer = TableWriter::create(disk, &path, of, &TableOptions::default()).unwrap();
    let key: KeyBuf = KeyRef::new(SPACE, cold_key(number).as_bytes()).into();
    let stamp = Stamp { version: Version(1), order: 0 };
    writer.add(Entry { key: key.as_ref(), stamp, value: Some(b"disk") }).unwrap();
    writer.finish().unwrap();
    Table::open(disk, &path, of).unwrap()
}

fn cold_key(number: u64) -> String {
    format!("cold{number}")
}

/// A server on one worker: whoever makes it wait makes everyone wait.
struct OneWorker {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OneWorker {
    fn start(engine: &Engine) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let engine = engine.clone();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listen = "127.0.0.1:0".to_owned();
                let config = ServerConfig { listen, ..ServerConfig::default() };
                let server = Server::bind(config, engine).await.unwrap();
                tell.send(server.local_addr()).unwrap();
                server.run(async { drop(stopped.await) }).await;
            });
        });
        let address = told.recv_timeout(PATIENCE).unwrap();
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for OneWorker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// Begins reads of every kind that have to wait for the disk; each ends with whether it had the
/// right answer.
fn begin_cold_reads<B: Backend>(backend: &B, version: Version) -> JoinSet<bool> {
    let mut reads = JoinSet::new();
    let of = backend.clone();
    reads.spawn(async move {
        let read = of.get(None, SPACE, cold_key(0).into()).await.unwrap();
        read.value.is_some_and(|found| found.value == "disk")
    });
    let of = backend.clone();
    reads.spawn(async move {
        let range = KeyRange::new("cold1", "cold2");
        let read = of.get_range(None, SPACE, range, RangeOptions::default()).await.unwrap();
        read.value.rows.len() == 1
    });
    let of = backend.clone();
    reads.spawn(async move {
        let selector = plinth_protocol::KeySelector::first_greater_or_equal("cold2");
        let read = of.get_key(None, SPACE, selector, "cold3".into()).await.unwrap();
        read.value == "cold2"
    });
    let of = backend.clone();
    // The value is another one than the watch knows, which the disk has to say.
    reads.spawn(async move { of.watch(version, SPACE, cold_key(3).into(), None).await.is_ok() });
    reads
}

const COLD_READS: usize = 4;

async fn read_hot<B: Backend>(backend: &B) {
    let read = timeout(PATIENCE, backend.get(None, SPACE, "hot".into())).await;
    let value = read.expect("nobody waits for somebody else's disk").unwrap().value;
    assert_eq!(value.unwrap().value, "memory");
}

async fn all_right(mut reads: JoinSet<bool>) {
    while let Some(is_right) = timeout(PATIENCE, reads.join_next()).await.unwrap() {
        assert!(is_right.unwrap());
    }
}

#[test]
fn a_reader_that_does_not_wait_says_so_and_one_that_does_has_the_answer() {
    let cold = Cold::new();
    let _open = cold.open_at_last();
    let read = |reader: &crate::engine::TryReader| {
        let found = reader.get(SPACE, b"cold0", reader.newest());
        found.map(|found| found.map(|found| found.value.to_vec()))
    };
    assert_eq!(read(&cold.engine.try_reader()), Err(NotRead::Cold));
    cold.disk.gate.set_closed(false);
    assert_eq!(read(&cold.engine.try_reader()), Err(NotRead::Cold), "nobody has fetched it");
    assert_eq!(read(cold.engine.reader().as_try()), Ok(Some(b"disk".to_vec())));
    assert_eq!(read(&cold.engine.try_reader()), Ok(Some(b"disk".to_vec())), "now it is here");
}

#[test]
fn reads_from_memory_are_answered_while_reads_from_the_disk_hang() {
    let cold = Cold::new();
    let server = OneWorker::start(&cold.engine);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _open = cold.open_at_last();
    runtime.block_on(async {
        let database: Database<TcpBackend> =
            Database::connect(server.address.to_string()).await.unwrap();
        let mut reads = begin_cold_reads(database.backend(), cold.version);
        // As long as it takes until all of them are at the disk, and no longer.
        let gate = Arc::clone(&cold.disk.gate);
        let waiting = tokio::task::spawn_blocking(move || gate.await_waiting(COLD_READS));
        waiting.await.unwrap();
        for _ in 0..100 {
            read_hot(database.backend()).await;
        }
        assert!(reads.try_join_next().is_none(), "the disk has not answered");
        cold.disk.gate.set_closed(false);
        all_right(reads).await;
    });
}

#[test]
fn text_waits_in_its_own_order_and_keeps_nobody_else_waiting() {
    let cold = Cold::new();
    let server = OneWorker::start(&cold.engine);
    let _open = cold.open_at_last();
    let connect = || {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut first = connect();
    first.write_all(b"get cold0\nget hot\nquit\n").unwrap();
    cold.disk.gate.await_waiting(1);
    let mut answers = String::new();
    let mut second = connect();
    second.write_all(b"get hot\nquit\n").unwrap();
    second.read_to_string(&mut answers).unwrap();
    assert!(answers.starts_with("\"memory\"\n"), "{answers}");
    cold.disk.gate.set_closed(false);
    answers.clear();
    first.read_to_string(&mut answers).unwrap();
    assert!(answers.starts_with("\"disk\"\n\"memory\"\n"), "{answers}");
}

#[test]
fn an_embedded_task_goes_on_while_another_waits_for_the_disk() {
    let cold = Cold::new();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _open = cold.open_at_last();
    runtime.block_on(async {
        let backend = EngineBackend::new(cold.engine.clone());
        let mut reads = begin_cold_reads(&backend, cold.version);
        let gate = Arc::clone(&cold.disk.gate);
        let waiting = tokio::task::spawn_blocking(move || gate.await_waiting(COLD_READS));
        // The one thread of this runtime is not the one that waits.
        waiting.await.unwrap();
        read_hot(&backend).await;
        assert!(reads.try_join_next().is_none());
        cold.disk.gate.set_closed(false);
        all_right(reads).await;
    });
}

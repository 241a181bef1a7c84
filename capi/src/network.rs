//! The process-wide part: the API version, and the one network thread.
//!
//! In order, once each: `fdb_select_api_version`, `fdb_setup_network`, `fdb_run_network` on a thread
//! that it takes, `fdb_stop_network`. The network thread drives a tokio runtime; it is the
//! program's own thread, so that nothing runs behind its back.

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::Duration,
};

use plinth_client::{ApiVersion, ErrorCode};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Notify,
    task::unconstrained,
    time::{Instant, interval},
};

use crate::{
    abi::{FdbError, bytes, code, guarded, guarded_error, number},
    future,
    options::{self, settings::Settings},
    trace,
};

/// `network_not_setup`: also what calls answer that need the network before it is there.
pub(crate) const NOT_RUNNING: FdbError = 2008;
const ALREADY_SET_UP: FdbError = 2009;
const CANNOT_BE_RESTARTED: FdbError = 2025;
const API_VERSION_UNSET: FdbError = 2200;
const API_VERSION_ALREADY_SET: FdbError = 2201;
const API_VERSION_INVALID: FdbError = 2202;
const API_VERSION_NOT_SUPPORTED: FdbError = 2203;

const API_VERSION_MIN: c_int = ApiVersion::OLDEST.0 as c_int;
const API_VERSION_MAX: c_int = ApiVersion::NEWEST.0 as c_int;

/// How often it is measured how busy the network thread is.
const BUSYNESS_PERIOD: Duration = Duration::from_secs(1);

static API_VERSION: AtomicI32 = AtomicI32::new(0);
static NETWORK: Mutex<Network> =
    Mutex::new(Network { phase: Phase::NotSetUp, settings: Settings::new(), hooks: Vec::new() });
/// The way to the runtime, once it is set up.
static HANDLE: OnceLock<Handle> = OnceLock::new();
/// The busy share of the last period, as the bits of an `f64`.
static BUSYNESS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_NETWORK_THREAD: Cell<bool> = const { Cell::new(false) };
    static IS_DRIVING: Cell<bool> = const { Cell::new(false) };
}

struct Network {
    phase: Phase,
    /// What the program and the environment want it to be like.
    settings: Settings,
    hooks: Vec<Hook>,
}

enum Phase {
    NotSetUp,
    SetUp { runtime: Runtime, stop: Arc<Notify> },
    Running { stop: Arc<Notify> },
    Over,
}

/// What a program wants to be called when the network thread ends.
struct Hook {
    function: extern "C" fn(*mut c_void),
    parameter: *mut c_void,
}

// SAFETY: the parameter is the program's, which gave it to be used on the network thread.
unsafe impl Send for Hook {}

impl Hook {
    fn call(&self) {
        (self.function)(self.parameter);
    }
}

fn network() -> MutexGuard<'static, Network> {
    NETWORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runtime that the network thread drives, once it is set up.
pub(crate) fn handle() -> Option<&'static Handle> {
    HANDLE.get()
}

/// Fails unless the network has been set up, with the error that says what is missing.
pub(crate) fn require_set_up() -> Result<(), FdbError> {
    require_api_version()?;
    if handle().is_some() { Ok(()) } else { Err(NOT_RUNNING) }
}

fn require_api_version() -> Result<(), FdbError> {
    if api_version() == 0 { Err(API_VERSION_UNSET) } else { Ok(()) }
}

/// What share of the last second the network thread was busy: 0 to 1.
pub(crate) fn busyness() -> f64 {
    f64::from_bits(BUSYNESS.load(Ordering::Relaxed))
}

/// Measures how busy the network thread is, for ever.
async fn measure_busyness() {
    let metrics = Handle::current().metrics();
    let mut ticks = interval(BUSYNESS_PERIOD);
    let (mut began, mut busy_before) = (Instant::now(), metrics.worker_total_busy_duration(0));
    loop {
        let now = ticks.tick().await;
        let (elapsed, busy) = (now - began, metrics.worker_total_busy_duration(0));
        if !elapsed.is_zero() {
            let share = busy.saturating_sub(busy_before).as_secs_f64() / elapsed.as_secs_f64();
            BUSYNESS.store(share.clamp(0.0, 1.0).to_bits(), Ordering::Relaxed);
        }
        (began, busy_before) = (now, busy);
    }
}

/// What the options of the network have asked for.
pub(crate) fn settings() -> Settings {
    network().settings.clone()
}

/// Whether this is the network thread, which must not wait for itself.
pub(crate) fn is_network_thread() -> bool {
    IS_NETWORK_THREAD.get()
}

/// Whether this thread drives the runtime now, and so is within its context.
pub(crate) fn is_driving() -> bool {
    IS_DRIVING.get()
}

/// The API version that the program has selected.
pub(crate) fn api_version() -> c_int {
    API_VERSION.load(Ordering::Relaxed)
}

/// Chooses the API version: once, before everything else.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_select_api_version_impl(runtime: c_int, header: c_int) -> FdbError {
    guarded_error(|| {
        if api_version() != 0 {
            return Err(API_VERSION_ALREADY_SET);
        }
        if runtime > header {
            return Err(API_VERSION_INVALID);
        }
        if header > API_VERSION_MAX || runtime < API_VERSION_MIN {
            return Err(API_VERSION_NOT_SUPPORTED);
        }
        API_VERSION
            .compare_exchange(0, runtime, Ordering::Relaxed, Ordering::Relaxed)
            .map(|_| ())
            .map_err(|_| API_VERSION_ALREADY_SET)
    })
}

/// The newest API version that this library has.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_get_max_api_version() -> c_int {
    API_VERSION_MAX
}

/// Sets an option of the network, before it is set up.
///
/// # Safety
///
/// The bytes are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_network_set_option(
    option: c_int,
    value: *const u8,
    value_length: c_int,
) -> FdbError {
    guarded_error(|| {
        require_api_version()?;
        // SAFETY: by this function's contract.
        let value = unsafe { bytes(value, value_length) };
        let mut network = network();
        let is_late = !matches!(network.phase, Phase::NotSetUp);
        if is_late && !options::network::may_be_late(option) {
            return Err(code(ErrorCode::INVALID_OPTION));
        }
        network.settings.set(option, &value).map_err(|error| number(&error))
    })
}

/// Makes the network ready to run.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_setup_network() -> FdbError {
    guarded_error(|| {
        require_api_version()?;
        let mut network = network();
        if !matches!(network.phase, Phase::NotSetUp) {
            return Err(ALREADY_SET_UP);
        }
        options::environment::load(&mut network.settings)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| code(ErrorCode::IO_ERROR))?;
        HANDLE.get_or_init(|| runtime.handle().clone());
        runtime.spawn(measure_busyness());
        // It minds itself that others have their turn.
        runtime.spawn(unconstrained(future::give()));
        network.phase = Phase::SetUp { runtime, stop: Arc::new(Notify::new()) };
        trace::begin(&network.settings.trace);
        let (version, api_version) = (env!("CARGO_PKG_VERSION"), api_version().to_string());
        trace::event("ClientStart", &[("Plinth", version), ("ApiVersion", &api_version)]);
        Ok(())
    })
}

/// Runs the network on this thread until it is stopped.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_run_network() -> FdbError {
    guarded_error(|| {
        require_api_version()?;
        let (runtime, stop) = {
            let mut network = network();
            match std::mem::replace(&mut network.phase, Phase::Over) {
                Phase::SetUp { runtime, stop } => {
                    network.phase = Phase::Running { stop: Arc::clone(&stop) };
                    (runtime, stop)
                }
                other => {
                    let error = match &other {
                        Phase::NotSetUp => NOT_RUNNING,
                        _ => CANNOT_BE_RESTARTED,
                    };
                    network.phase = other;
                    return Err(error);
                }
            }
        };
        IS_NETWORK_THREAD.set(true);
        IS_DRIVING.set(true);
        runtime.block_on(stop.notified());
        IS_DRIVING.set(false);
        {
            let _context = runtime.enter();
            future::close();
        }
        drop(runtime);
        let hooks = {
            let mut network = network();
            network.phase = Phase::Over;
            std::mem::take(&mut network.hooks)
        };
        for hook in &hooks {
            guarded((), || hook.call());
        }
        trace::event("ClientStop", &[]);
        trace::end();
        IS_NETWORK_THREAD.set(false);
        Ok(())
    })
}

/// Has `fdb_run_network` return soon.
#[unsafe(no_mangle)]
pub extern "C" fn fdb_stop_network() -> FdbError {
    guarded_error(|| {
        require_api_version()?;
        match &network().phase {
            Phase::NotSetUp => Err(NOT_RUNNING),
            Phase::SetUp { stop, .. } | Phase::Running { stop } => {
                stop.notify_one();
                Ok(())
            }
            Phase::Over => Ok(()),
        }
    })
}

/// Has a function called on the network thread when that ends.
///
/// # Safety
///
/// `hook` may be called with `parameter` on the network thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_add_network_thread_completion_hook(
    hook: Option<extern "C" fn(*mut c_void)>,
    parameter: *mut c_void,
) -> FdbError {
    guarded_error(|| {
        require_api_version()?;
        let function = hook.ok_or(code(ErrorCode::CLIENT_INVALID_OPERATION))?;
        let mut network = network();
        if matches!(network.phase, Phase::NotSetUp) {
            return Err(NOT_RUNNING);
        }
        network.hooks.push(Hook { function, parameter });
        Ok(())
    })
}

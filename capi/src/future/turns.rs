//! Whose turn it is: the work of all futures, polled by one task on the network thread.
//!
//! The roll holds what has not ended: without it nothing would own work that only a waker knows, and
//! when the network stops everybody on it is told. The queue holds what was woken, in order. The
//! first who is put into an empty queue wakes the network thread, the others find it awake.
//!
//! There is one such list, as there is one network thread. Its lock is held for a few instructions,
//! and nothing is called or dropped meanwhile.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use super::task::{Task, end};

/// After so many turns the network thread looks after its connections.
const TURNS_MAX: usize = 256;

static TURNS: Mutex<Turns> = Mutex::new(Turns::new());

struct Turns {
    roll: Roll,
    woken: VecDeque<Arc<dyn Task>>,
    /// Wakes the task that gives the turns, while that sleeps.
    sleeper: Option<Waker>,
    is_closed: bool,
}

impl Turns {
    const fn new() -> Self {
        Self { roll: Roll::new(), woken: VecDeque::new(), sleeper: None, is_closed: false }
    }
}

/// Work that has not ended, each at its place.
struct Roll {
    places: Vec<Option<Arc<dyn Task>>>,
    free: Vec<usize>,
}

impl Roll {
    const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    fn add(&mut self, task: Arc<dyn Task>) -> usize {
        if let Some(place) = self.free.pop()
            && let Some(empty) = self.places.get_mut(place)
        {
            *empty = Some(task);
            return place;
        }
        self.places.push(Some(task));
        self.places.len() - 1
    }

    fn remove(&mut self, place: usize) -> Option<Arc<dyn Task>> {
        let task = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(task)
    }
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts work on the roll; its place there. `None` when the network has ended.
pub(super) fn enrol(task: &Arc<dyn Task>) -> Option<usize> {
    let mut turns = turns();
    (!turns.is_closed).then(|| turns.roll.add(Arc::clone(task)))
}

/// Takes work off the roll that has ended.
pub(super) fn strike(place: usize) {
    let task = turns().roll.remove(place);
    // Not under the lock.
    drop(task);
}

/// Gives a future its turn, soon; or back, when the network has ended.
pub(super) fn push(task: Arc<dyn Task>) -> Result<(), Arc<dyn Task>> {
    let mut turns = turns();
    if turns.is_closed {
        return Err(task);
    }
    turns.woken.push_back(task);
    let sleeper = turns.sleeper.take();
    drop(turns);
    if let Some(sleeper) = sleeper {
        sleeper.wake();
    }
    Ok(())
}

/// Gives turns for ever: the one task of the network thread that polls the futures' work.
pub(crate) async fn give() {
    let mut batch = Vec::new();
    let mut ended = Vec::new();
    let mut struck = Vec::new();
    poll_fn(|context| {
        {
            let mut turns = turns();
            let count = turns.woken.len().min(TURNS_MAX);
            batch.extend(turns.woken.drain(..count));
        }
        for task in batch.drain(..) {
            ended.extend(task.run());
        }
        let mut turns = turns();
        struck.extend(ended.drain(..).filter_map(|place| turns.roll.remove(place)));
        if turns.woken.is_empty() {
            turns.sleeper = Some(context.waker().clone());
            drop(turns);
        } else {
            drop(turns);
            context.waker().wake_by_ref();
        }
        struck.clear();
        Poll::<()>::Pending
    })
    .await;
}

/// The network has ended: everything that waits is told so, now and from now on.
pub(crate) fn close() {
    let last = {
        let mut turns = turns();
        std::mem::replace(&mut *turns, Turns { is_closed: true, ..Turns::new() })
    };
    for task in last.woken.iter().chain(last.roll.places.iter().flatten()) {
        end(task);
    }
}

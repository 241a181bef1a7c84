//! Commits of a worker's connections, decided together.
//!
//! To wake the thread that commits costs two system calls and two switches of threads, more than a
//! small commit itself. So a connection only lines its commit up, and leaves word here. The task that
//! listens is the last in the worker's queue then: once every connection has had its turn that had
//! something to do, it has all of their commits decided at once, on this thread; some earlier, if
//! the log has nothing to do meanwhile.

use std::convert::Infallible;

use tokio::sync::Notify;

use crate::engine::Engine;

/// Where connections say that they have lined up commits.
#[derive(Debug, Default)]
pub(super) struct Drive {
    lined_up: Notify,
}

impl Drive {
    /// Has what has lined up decided soon.
    pub(super) fn soon(&self) {
        self.lined_up.notify_one();
    }

    /// Drives the engine whenever commits have lined up, until it is dropped.
    pub(super) async fn run(&self, engine: &Engine) -> Infallible {
        loop {
            self.lined_up.notified().await;
            engine.drive();
        }
    }
}

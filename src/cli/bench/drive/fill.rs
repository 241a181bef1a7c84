//! Fills the database before it is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use plinth_protocol::{Error, ErrorCode};
use tokio::task::JoinSet;

use super::{raw, runtime};
use crate::cli::{
    bench::{arguments::RunArguments, target::plinth::Connection},
    progress,
};

/// Connections that fill the database.
const LOAD_CONNECTIONS: usize = 8;

/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Writes all keys, if that is asked for; tells how long it took.
pub(crate) fn fill(arguments: &RunArguments) -> Result<Option<f64>, Error> {
    if !arguments.load {
        return Ok(None);
    }
    let begun = Instant::now();
    let bar =
        progress::bar(Some(arguments.keys), "loading {bar:30} {percent}% {pos} keys, {eta} left");
    runtime()?.block_on(async {
        let next = Arc::new(AtomicU64::new(0));
        let mut loaders = JoinSet::new();
        for _ in 0..LOAD_CONNECTIONS {
            let (next, arguments) = (Arc::clone(&next), arguments.clone());
            loaders.spawn(async move {
                let (mut connection, _) = Connection::open(arguments.target.address()).await?;
                raw::load(&mut connection, &next, &arguments).await
            });
        }
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => bar.set_position(next.load(Ordering::Relaxed)),
                loaded = loaders.join_next() => match loaded {
                    Some(Ok(result)) => result?,
                    Some(Err(error)) => {
                        return Err(Error::new(ErrorCode::INTERNAL_ERROR, error.to_string()));
                    }
                    None => return Ok(()),
                },
            }
        }
    })?;
    bar.finish_and_clear();
    Ok(Some(begun.elapsed().as_secs_f64()))
}

//! The open loop: each request when it is due.

use std::time::{Duration, Instant};

use plinth_protocol::{Error, ErrorCode};
use tokio::time::sleep;

use super::{Worker, requests::Judged, too_many_answers};
use crate::cli::bench::{
    drive::{bell::Turns, pace::Pace, tally::Run},
    target::pipe::Pipe,
};

/// How long requests may take that are in flight when the run ends.
const DRAINING: Duration = Duration::from_secs(30);

/// How often is looked whether the run has ended, while no answer comes.
const LOOK: Duration = Duration::from_millis(50);

impl<P: Pipe> Worker<P> {
    /// Each request when it is due, or as soon as the pipeline has room for it.
    pub(super) async fn open(
        &mut self,
        run: &Run,
        turns: &Turns,
        mut pace: Pace,
    ) -> Result<(), Error> {
        let depth = self.requests.depth();
        let mut free: Vec<usize> = (0..depth).rev().collect();
        // When the request with this id was due; nothing if it is free.
        let mut due: Vec<Option<Instant>> = vec![None; depth];
        let mut finished = Vec::new();
        let mut drained_by = None;
        loop {
            let now = Instant::now();
            let is_over = run.is_over();
            if is_over && drained_by.is_none() {
                drained_by = Some(now + DRAINING);
                self.tally.lock().unsent += pace.missed(now);
            }
            let mut asked = false;
            while !is_over
                && let Some(&id) = free.last()
                && let Some(at) = pace.take(now)
            {
                if run.admit(1) == 0 {
                    break;
                }
                free.pop();
                if let Some(due) = due.get_mut(id) {
                    *due = Some(at);
                }
                self.requests.ask(&mut self.pipe, id);
                asked = true;
            }
            if asked {
                self.pipe.send().await?;
            }
            let is_idle = free.len() == depth;
            if is_idle && (is_over || run.is_spent()) {
                return Ok(());
            }
            if drained_by.is_some_and(|by| now > by) {
                let message = "requests were not answered for long after the run's end";
                return Err(Error::new(ErrorCode::TIMED_OUT, message));
            }
            // Without room nothing can begin before an answer; but the run may end.
            let has_room = !free.is_empty();
            let mut judged = Judged::default();
            let requests = &self.requests;
            let receive = self.pipe.receive(|id, answer| {
                finished.push((id, requests.judge(id, answer, &mut judged)));
            });
            tokio::select! {
                received = receive, if !is_idle => received?,
                () = turns.rung(), if has_room => {}
                () = async { sleep(LOOK).await }, if !has_room => {}
            }
            if finished.is_empty() {
                continue;
            }
            let now = Instant::now();
            let mut tally = self.tally.lock();
            judged.count(&mut tally);
            for (id, is_good) in finished.drain(..) {
                let due = due.get_mut(id as usize).and_then(Option::take);
                let due = due.ok_or_else(too_many_answers)?;
                free.push(id as usize);
                if is_good {
                    tally.complete(1, now.saturating_duration_since(due));
                }
            }
        }
    }
}

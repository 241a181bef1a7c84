//! The closed loop: a pipeline when the one before it is answered.

use std::time::Instant;

use plinth_protocol::Error;

use super::{Worker, requests::Judged, too_many_answers};
use crate::cli::bench::{drive::tally::Run, target::pipe::Pipe};

impl<P: Pipe> Worker<P> {
    /// Pipeline after pipeline.
    pub(super) async fn closed(&mut self, run: &Run) -> Result<(), Error> {
        loop {
            let depth = run.admit(self.requests.depth());
            if depth == 0 {
                return Ok(());
            }
            self.round(depth).await?;
        }
    }

    /// A pipeline of requests in one write, and their answers.
    async fn round(&mut self, depth: usize) -> Result<(), Error> {
        for id in 0..depth {
            self.requests.ask(&mut self.pipe, id);
        }
        let begun = Instant::now();
        self.pipe.send().await?;
        let mut open = depth;
        while open > 0 {
            let mut judged = Judged::default();
            let requests = &self.requests;
            self.pipe
                .receive(|id, answer| {
                    requests.judge(id, answer, &mut judged);
                })
                .await?;
            open = open.checked_sub(judged.answered).ok_or_else(too_many_answers)?;
            let good = judged.good;
            let mut tally = self.tally.lock();
            judged.count(&mut tally);
            if good > 0 {
                tally.complete(good, begun.elapsed());
            }
        }
        Ok(())
    }
}

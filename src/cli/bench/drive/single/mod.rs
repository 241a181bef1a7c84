//! Single requests through a pipelined connection, one task a connection.
//!
//! [`requests`] are what it asks, [`closed`] and [`open`] when.

mod closed;
mod open;
mod requests;

use std::sync::Arc;

use plinth_protocol::{Error, ErrorCode};

pub(crate) use self::requests::Requests;
use super::{
    bell::Turns,
    tally::{Run, SharedTally},
};
use crate::cli::bench::target::pipe::Pipe;

/// A worker: its connection, and what it asks over and over.
pub(crate) struct Worker<P> {
    pipe: P,
    requests: Requests,
    tally: Arc<SharedTally>,
}

impl<P: Pipe> Worker<P> {
    /// A worker on this connection.
    pub(crate) fn new(pipe: P, requests: Requests, tally: &Arc<SharedTally>) -> Self {
        Self { pipe, requests, tally: Arc::clone(tally) }
    }

    /// Works until the run is over or the connection fails: in turn with others, if it has turns.
    pub(crate) async fn work(mut self, run: Arc<Run>, turns: Option<Turns>) {
        let begun = run.begun().await;
        let worked = match turns {
            None => self.closed(&run).await,
            Some(turns) => self.open(&run, &turns, turns.pace(begun)).await,
        };
        if let Err(error) = worked {
            self.tally.lock().fail(error);
        }
    }
}

fn too_many_answers() -> Error {
    Error::new(ErrorCode::PROTOCOL_VIOLATION, "there are more answers than requests")
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Mutex,
        time::{Duration, Instant},
    };

    use clap::{Args as _, FromArgMatches as _};
    use tokio::time::sleep;

    use super::*;
    use crate::cli::bench::{
        arguments::RunArguments,
        drive::{bell::Bell, pace::Timetable, tally::Tally},
        target::pipe::{Answer, Operation},
        workload::{ground::Ground, single::Single},
    };

    /// Answers at once what was sent, but for one stall.
    struct Stalling {
        sent: Vec<u32>,
        answered: u64,
        stall: Duration,
    }

    /// Answers before the stall.
    const BEFORE: u64 = 20;

    impl Pipe for Stalling {
        fn push(&mut self, id: u32, _: &Operation<'_>) {
            self.sent.push(id);
        }

        async fn send(&mut self) -> Result<(), Error> {
            Ok(())
        }

        async fn receive(
            &mut self,
            mut visit: impl FnMut(u32, Answer<'_>) + Send,
        ) -> Result<(), Error> {
            while self.answered >= BEFORE && !self.stall.is_zero() {
                // In pieces, and so that nothing is lost if the caller drops the wait.
                sleep(Duration::from_millis(10)).await;
                self.stall = self.stall.saturating_sub(Duration::from_millis(10));
            }
            for id in self.sent.drain(..) {
                self.answered += 1;
                visit(id, Answer::Done);
            }
            Ok(())
        }
    }

    fn arguments(words: &str) -> RunArguments {
        let command = RunArguments::augment_args(clap::Command::new("bench"));
        let words = ["bench"].into_iter().chain(words.split(' '));
        RunArguments::from_arg_matches(&command.get_matches_from(words)).unwrap()
    }

    /// Pings such a target; tells how many pings took so long, and how many there were.
    async fn pings(words: &str, count: u64, longer: Duration) -> (u64, u64) {
        let arguments = arguments(words);
        let run = Arc::new(Run::new(1, Some(count)));
        let ground = Ground::new(&arguments);
        let requests = Requests::new(&arguments, Single::Ping, &ground, 0);
        let pipe = Stalling { sent: Vec::new(), answered: 0, stall: Duration::from_millis(200) };
        let worker = Worker::new(pipe, requests, &run.tallies()[0]);
        let mut bell =
            arguments.rate.map(|rate| Bell::new(Timetable { rate, workers: 1 }).unwrap());
        let turns = bell.as_mut().map(|bell| bell.add(0));
        run.begin();
        let working = worker.work(Arc::clone(&run), turns);
        match bell {
            None => working.await,
            Some(bell) => tokio::select! {
                () = working => {}
                error = bell.ring(&run) => unreachable!("{error}"),
            },
        }
        let mut sum = Tally::default();
        run.take(&mut sum);
        assert_eq!((sum.errors, sum.first_error), (0, None));
        let from = u64::try_from(longer.as_micros()).unwrap();
        (sum.latency.count_between(from, u64::MAX), sum.latency.len())
    }

    #[tokio::test]
    async fn at_a_rate_a_stall_is_seen_by_all_that_were_due_in_it() {
        let longer = Duration::from_millis(100);
        // A thousand a second: a hundred are due in the first half of the stall.
        let (slow, all) = pings("ping --rate 1000", 400, longer).await;
        assert_eq!(all, 400);
        assert!(slow >= 99, "{slow}");
        // So it is with room for more in flight.
        let (slow, all) = pings("ping --rate 1000 --pipeline 8", 400, longer).await;
        assert_eq!(all, 400);
        assert!(slow >= 90, "{slow}");
    }

    /// Answers at once, and keeps how many requests left in each write.
    #[derive(Default)]
    struct Writes {
        pushed: Vec<u32>,
        sent: Vec<u32>,
        sizes: Arc<Mutex<Vec<usize>>>,
    }

    impl Pipe for Writes {
        fn push(&mut self, id: u32, _: &Operation<'_>) {
            self.pushed.push(id);
        }

        async fn send(&mut self) -> Result<(), Error> {
            self.sizes.lock().unwrap().push(self.pushed.len());
            self.sent.append(&mut self.pushed);
            Ok(())
        }

        async fn receive(
            &mut self,
            mut visit: impl FnMut(u32, Answer<'_>) + Send,
        ) -> Result<(), Error> {
            self.sent.drain(..).for_each(|id| visit(id, Answer::Done));
            Ok(())
        }
    }

    #[tokio::test]
    async fn all_that_is_due_leaves_at_once_as_far_as_there_is_room() {
        // A worker of two whose run has begun a minute ago: every other operation of a minute is due.
        for (pipeline, written) in [(64, vec![50]), (16, vec![16, 16, 16, 2]), (1, vec![1; 50])] {
            let arguments = arguments(&format!("ping --rate 1000 --pipeline {pipeline}"));
            let run = Run::new(1, Some(50));
            let ground = Ground::new(&arguments);
            let requests = Requests::new(&arguments, Single::Ping, &ground, 0);
            let sizes = Arc::default();
            let pipe = Writes { sizes: Arc::clone(&sizes), ..Writes::default() };
            let mut worker = Worker::new(pipe, requests, &run.tallies()[0]);
            let mut bell = Bell::new(Timetable { rate: 1_000.0, workers: 2 }).unwrap();
            let turns = bell.add(1);
            let begun = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
            worker.open(&run, &turns, turns.pace(begun)).await.unwrap();
            assert_eq!(*sizes.lock().unwrap(), written);
            let mut sum = Tally::default();
            run.take(&mut sum);
            assert_eq!(sum.operations, 50);
            // The last of them was due in the first tenth of a second.
            assert!(sum.latency.min() >= 59_800_000, "{}", sum.latency.min());
        }
    }

    #[tokio::test]
    async fn a_closed_loop_does_what_it_is_to_and_no_more() {
        let (_, all) = pings("ping --pipeline 16", 50, Duration::ZERO).await;
        assert_eq!(all, 50);
    }
}

//! Single requests through a pipelined connection, one task a connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plinth_protocol::{Error, ErrorCode};

use super::{
    pace::{Alarm, Pace, Timetable, no_alarm},
    tally::{Run, SharedTally, Tally},
};
use crate::cli::bench::{
    arguments::RunArguments,
    keys::{Keys, Random},
    target::pipe::{Answer, KeyList, Operation, Pipe},
    workload::{ground::Ground, single::Single},
};

/// A worker: its connection, and what it asks over and over.
pub(crate) struct Worker<P> {
    number: u64,
    pipe: P,
    requests: Requests,
    tally: Arc<SharedTally>,
}

/// What came of the answers to some requests.
#[derive(Debug, Default)]
struct Judged {
    answered: usize,
    good: u64,
    misses: u64,
    conflicts: u64,
    errors: Vec<Error>,
}

impl<P: Pipe> Worker<P> {
    /// A worker on the connection with this number.
    pub(crate) fn new(
        (pipe, number): (P, u64),
        requests: Requests,
        tally: &Arc<SharedTally>,
    ) -> Self {
        Self { number, pipe, requests, tally: Arc::clone(tally) }
    }

    /// Works until the run is over or the connection fails.
    pub(crate) async fn work(mut self, run: Arc<Run>, timetable: Option<Timetable>) {
        let begun = run.begun().await;
        let worked = match timetable {
            None => self.closed(&run).await,
            Some(table) => self.open(&run, Pace::new(table, self.number, begun)).await,
        };
        if let Err(error) = worked {
            self.tally.lock().fail(error);
        }
    }

    /// Pipeline after pipeline.
    async fn closed(&mut self, run: &Run) -> Result<(), Error> {
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

    /// Each request when it is due, or as soon as the pipeline has room for it.
    async fn open(&mut self, run: &Run, mut pace: Pace) -> Result<(), Error> {
        let alarm = Alarm::new().map_err(|error| no_alarm(&error))?;
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
            // Otherwise nothing can begin before an answer.
            let has_room = !free.is_empty() && !is_over && !run.is_spent();
            let wake = if has_room { pace.next() } else { now + DRAINING };
            let mut judged = Judged::default();
            let requests = &self.requests;
            let receive = self.pipe.receive(|id, answer| {
                finished.push((id, requests.judge(id, answer, &mut judged)));
            });
            tokio::select! {
                received = receive, if !is_idle => received?,
                woken = alarm.wait_for(wake) => woken.map_err(|error| no_alarm(&error))?,
            }
            let mut tally = self.tally.lock();
            judged.count(&mut tally);
            for (id, is_good) in finished.drain(..) {
                let due = due.get_mut(id as usize).and_then(Option::take);
                let due = due.ok_or_else(too_many_answers)?;
                free.push(id as usize);
                if is_good {
                    tally.complete(1, due.elapsed());
                }
            }
        }
    }
}

/// How long requests may take that are in flight when the run ends.
const DRAINING: Duration = Duration::from_secs(30);

fn too_many_answers() -> Error {
    Error::new(ErrorCode::PROTOCOL_VIOLATION, "there are more answers than requests")
}

impl Judged {
    /// Counts all but what went well.
    fn count(self, tally: &mut Tally) {
        tally.misses += self.misses;
        tally.conflicts += self.conflicts;
        for error in self.errors {
            tally.fail(error);
        }
    }
}

/// The requests of a connection, by their ids, and whether their answers are right.
pub(crate) struct Requests {
    single: Single,
    ground: Ground,
    random: Random,
    /// Rows of a scan.
    rows: u32,
    /// Keys of one request.
    width: usize,
    /// The keys of all requests, one after the other.
    keys: Vec<u8>,
    value: Vec<u8>,
}

impl Requests {
    /// Those of the connection with this number, which says what random keys they have.
    pub(crate) fn new(
        arguments: &RunArguments,
        single: Single,
        ground: &Ground,
        number: u32,
    ) -> Self {
        let width = match single {
            Single::BatchGet => arguments.batch as usize,
            Single::Scan => 2,
            Single::Ping | Single::Get | Single::Set => 1,
        };
        Self {
            single,
            ground: ground.clone(),
            random: arguments.random(number.into()),
            rows: arguments.rows,
            width,
            keys: vec![0; arguments.pipeline * width * ground.keys.size()],
            value: Vec::new(),
        }
    }

    /// Bytes of the keys of one request.
    fn stride(&self) -> usize {
        self.width * self.ground.keys.size()
    }

    /// How many requests may be in flight.
    fn depth(&self) -> usize {
        self.keys.len() / self.stride()
    }

    /// Draws a request and appends it to what the pipe sends next.
    fn ask(&mut self, pipe: &mut impl Pipe, id: usize) {
        let stride = self.stride();
        let Some(keys) = self.keys.get_mut(id * stride..(id + 1) * stride) else { return };
        let (ground, random) = (&self.ground, &mut self.random);
        let key_size = ground.keys.size();
        let operation = match self.single {
            Single::Ping => Operation::Ping,
            Single::Get => {
                Keys::write(ground.pick(random), keys);
                Operation::Get { key: keys }
            }
            Single::Set => {
                Keys::write(ground.pick(random), keys);
                ground.values.write(keys, random, &mut self.value);
                Operation::Set { key: keys, value: &self.value }
            }
            Single::Scan => {
                let last = ground.key_count().saturating_sub(self.rows.into());
                let first = ground.pick(random).min(last);
                let (begin, end) = keys.split_at_mut(key_size);
                Keys::write(first, begin);
                Keys::write(first + u64::from(self.rows), end);
                Operation::Scan { begin, end, rows: self.rows }
            }
            Single::BatchGet => {
                for key in keys.chunks_exact_mut(key_size) {
                    Keys::write(ground.pick(random), key);
                }
                Operation::GetMany { keys: KeyList { bytes: keys, key_size } }
            }
        };
        pipe.push(id as u32, &operation);
    }

    /// Says what an answer is worth: whether its request went well.
    fn judge(&self, id: u32, answer: Answer<'_>, judged: &mut Judged) -> bool {
        judged.answered += 1;
        let at = id as usize * self.stride();
        let Some(keys) = self.keys.get(at..at + self.stride()) else {
            let message = "an answer has an id that no request had";
            judged.errors.push(Error::new(ErrorCode::PROTOCOL_VIOLATION, message));
            return false;
        };
        match self.check(keys, answer, judged) {
            Ok(true) => {
                judged.good += 1;
                return true;
            }
            Ok(false) => judged.conflicts += 1,
            Err(error) => judged.errors.push(error),
        }
        false
    }

    /// Whether an answer is what was asked for, or but a conflict.
    fn check(&self, keys: &[u8], answer: Answer<'_>, judged: &mut Judged) -> Result<bool, Error> {
        let values = &self.ground.values;
        let list = KeyList { bytes: keys, key_size: self.ground.keys.size() };
        match (self.single, answer) {
            (Single::Get, Answer::Value(value)) => values.check(value, keys)?,
            (Single::Get, Answer::Missing) => judged.misses += 1,
            (Single::Ping | Single::Set, Answer::Done) => {}
            (Single::Set, Answer::Conflict) => return Ok(false),
            (Single::BatchGet, Answer::Values(found)) if found.len() == list.iter().len() => {
                for (key, value) in list.iter().zip(found) {
                    match value {
                        Some(value) => values.check(value, key)?,
                        None => judged.misses += 1,
                    }
                }
            }
            (Single::Scan, Answer::Rows(rows)) => {
                for (key, value) in &rows {
                    values.check(value, key)?;
                }
                judged.misses += u64::from(self.rows).saturating_sub(rows.len() as u64);
            }
            (_, Answer::Failed(error)) => return Err(error),
            _ => {
                let message = "an answer of another kind than its request";
                return Err(Error::new(ErrorCode::PROTOCOL_VIOLATION, message));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use plinth_protocol::Error;
    use tokio::time::sleep;

    use super::*;

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
        let worker = Worker::new((pipe, 0), requests, &run.tallies()[0]);
        run.begin();
        worker
            .work(Arc::clone(&run), arguments.rate.map(|rate| Timetable { rate, workers: 1 }))
            .await;
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

    #[tokio::test]
    async fn a_closed_loop_does_what_it_is_to_and_no_more() {
        let (_, all) = pings("ping --pipeline 16", 50, Duration::ZERO).await;
        assert_eq!(all, 50);
    }
}

//! Every interleaving of the seats: of the pipeline's threads and of callers who help.

use std::{sync::Arc, time::Duration};

use loom::thread;
use plinth_protocol::Version;

use super::{
    hand_off::{HandOff, Handed, Wake},
    loom_tests::check,
    mark::{Marks, Ticket},
    queue::{Bounds, Queue, Taken},
    seats::{Decides, Lines, Seats, Step, Writes},
};
use crate::{
    engine::wal::LogMark,
    sync::{Condvar, Mutex},
};

const ONE: Bounds = Bounds { items_max: 1, bytes_max: 1 };
/// Loom's clock stands still: what would only happen with time doesn't.
const TICK: Duration = Duration::from_secs(1);

/// The pipeline with numbers for commits. Odd ones leave nothing for the log, as those do that lose
/// a conflict; the others are answered when they are written, or at once.
struct Line {
    queue: Queue<u32>,
    hand_off: HandOff<Vec<u32>>,
    marks: Marks,
    answers_when_written: bool,
    answered: Mutex<Vec<u32>>,
    has_answered: Condvar,
}

impl Line {
    fn new(answers_when_written: bool) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(Bounds { items_max: 10, bytes_max: 10 }),
            hand_off: HandOff::new(),
            marks: Marks::default(),
            answers_when_written,
            answered: Mutex::new(Vec::new()),
            has_answered: Condvar::new(),
        })
    }

    fn line_up(&self, item: u32) {
        self.queue.push(item, 1).unwrap();
    }

    fn answer(&self, items: &[u32]) {
        self.answered.lock().extend(items);
        self.has_answered.notify_all();
    }

    fn is_answered(&self, item: u32) -> bool {
        self.answered.lock().contains(&item)
    }

    /// What is never answered leaves this waiting for ever, which loom reports.
    fn await_answer(&self, item: u32) {
        let mut answered = self.answered.lock();
        while !answered.contains(&item) {
            answered = self.has_answered.wait(answered);
        }
    }
}

impl Lines for Line {
    type Item = u32;
    type Job = Vec<u32>;

    fn queue(&self) -> &Queue<u32> {
        &self.queue
    }

    fn hand_off(&self) -> &HandOff<Vec<u32>> {
        &self.hand_off
    }

    fn marks(&self) -> &Marks {
        &self.marks
    }

    fn abandon(&self) {}
}

struct Decider(Arc<Line>);

impl Decider {
    fn put(&self, items: &[u32], wake: Wake) {
        let mut job = self.0.hand_off.reclaim().unwrap_or_default();
        job.extend(items);
        self.0.hand_off.put(job, wake);
    }

    /// One at a time, so that more are left.
    fn decide(&self, wake: Wake) -> Step {
        let mut taken = Vec::new();
        match self.0.queue.take(&mut taken, ONE) {
            Taken::Nothing => return Step::Idle,
            Taken::Closed => return Step::Closed,
            Taken::Items => {}
        }
        let is_written = taken.iter().all(|item| item % 2 == 0);
        if is_written {
            self.put(&taken, wake);
        }
        if !is_written || !self.0.answers_when_written {
            self.0.answer(&taken);
        }
        Step::Worked
    }
}

impl Decides for Decider {
    fn step(&mut self, _limit: Duration) -> Step {
        self.decide(Wake::Taker)
    }

    fn step_for(&mut self, _waits_for_disk: bool) -> Step {
        let step = self.decide(Wake::Nobody);
        if step == Step::Closed {
            // A ceiling may still be due.
            self.put(&[], Wake::Nobody);
        }
        step
    }

    fn has_work(&self) -> bool {
        false
    }
}

struct Writer {
    line: Arc<Line>,
    written: u64,
}

impl Writes for Writer {
    type Lines = Line;

    fn lines(&self) -> &Line {
        &self.line
    }

    fn carry_out(&mut self, handed: Handed<Vec<u32>>) -> Step {
        match handed {
            Handed::Job(job) => {
                self.written += job.len() as u64;
                if self.line.answers_when_written {
                    self.line.answer(&job);
                }
                Step::Worked
            }
            Handed::Nothing | Handed::Out => Step::Idle,
            Handed::Closed => Step::Closed,
        }
    }

    fn make_mark(&mut self, ticket: Ticket) {
        let position = self.written;
        let mark = LogMark { segment: 0, position, previous: 0, last_version: Version(0) };
        self.line.marks.answer(ticket, mark);
    }

    fn until_due(&self) -> Option<Duration> {
        None
    }

    fn may_rest(&self) -> Option<Duration> {
        None
    }
}

type ModelSeats = Seats<Line, Decider, Writer>;

fn seats(line: &Arc<Line>) -> Arc<ModelSeats> {
    let writer = Writer { line: Arc::clone(line), written: 0 };
    Arc::new(Seats::new(Arc::clone(line), Decider(Arc::clone(line)), writer))
}

fn spawn(
    seats: &Arc<ModelSeats>,
    run: impl FnOnce(&ModelSeats) + Send + 'static,
) -> thread::JoinHandle<()> {
    let seats = Arc::clone(seats);
    thread::spawn(move || run(&seats))
}

#[test]
fn what_lines_up_is_decided_and_written_by_its_owner_or_by_whoever_has_the_seat() {
    check(|| {
        let line = Line::new(true);
        let seats = seats(&line);
        let log = spawn(&seats, ModelSeats::run_log);
        let decides = spawn(&seats, |seats| seats.run_sequencer(TICK));
        let other = {
            let line = Arc::clone(&line);
            spawn(&seats, move |seats| {
                line.line_up(1);
                seats.help(|| line.is_answered(1));
                line.await_answer(1);
            })
        };
        line.line_up(2);
        seats.help(|| line.is_answered(2));
        line.await_answer(2);
        other.join().unwrap();
        line.queue.close();
        decides.join().unwrap();
        line.hand_off.close();
        log.join().unwrap();
    });
}

#[test]
fn what_is_decided_is_written_whoever_decides_on_what_comes_next() {
    check(|| {
        let line = Line::new(true);
        let seats = seats(&line);
        let log = spawn(&seats, ModelSeats::run_log);
        line.line_up(2);
        line.line_up(1);
        let decides = spawn(&seats, |seats| seats.run_sequencer(TICK));
        seats.help(|| line.is_answered(2));
        line.await_answer(2);
        line.queue.close();
        decides.join().unwrap();
        line.hand_off.close();
        log.join().unwrap();
        assert!(line.is_answered(1));
    });
}

#[test]
fn a_mark_lies_after_all_that_was_answered_when_it_was_asked_for() {
    check(|| {
        let line = Line::new(false);
        let seats = seats(&line);
        let log = spawn(&seats, ModelSeats::run_log);
        line.line_up(2);
        seats.help_quickly();
        assert!(line.is_answered(2));
        let other = {
            let line = Arc::clone(&line);
            spawn(&seats, move |seats| {
                line.line_up(4);
                seats.help_quickly();
            })
        };
        let ticket = line.marks.ask();
        line.hand_off.nudge();
        assert!(line.marks.wait(ticket).unwrap().position >= 1);
        other.join().unwrap();
        line.hand_off.close();
        log.join().unwrap();
    });
}

#[test]
fn a_close_loses_nothing_that_is_being_added_to() {
    check(|| {
        let line = Line::new(true);
        let seats = seats(&line);
        line.line_up(2);
        let other = spawn(&seats, |seats| seats.help(|| false));
        let log = spawn(&seats, ModelSeats::run_log);
        line.queue.close();
        seats.run_sequencer(TICK);
        line.hand_off.close();
        log.join().unwrap();
        assert!(line.is_answered(2));
        other.join().unwrap();
    });
}

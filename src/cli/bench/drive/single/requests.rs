//! What a connection asks, and whether its answers are right.

use plinth_protocol::{Error, ErrorCode};

use crate::cli::bench::{
    arguments::RunArguments,
    drive::tally::Tally,
    keys::{Keys, Random},
    target::pipe::{Answer, KeyList, Operation, Pipe},
    workload::{ground::Ground, single::Single},
};

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
            keys: vec![0; arguments.pipeline() * width * ground.keys.size()],
            value: Vec::new(),
        }
    }

    /// Bytes of the keys of one request.
    fn stride(&self) -> usize {
        self.width * self.ground.keys.size()
    }

    /// How many requests may be in flight.
    pub(super) fn depth(&self) -> usize {
        self.keys.len() / self.stride()
    }

    /// Draws a request and appends it to what the pipe sends next.
    pub(super) fn ask(&mut self, pipe: &mut impl Pipe, id: usize) {
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
    pub(super) fn judge(&self, id: u32, answer: Answer<'_>, judged: &mut Judged) -> bool {
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

/// What came of the answers to some requests.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// How many.
    pub(super) answered: usize,
    /// How many went well.
    pub(super) good: u64,
    misses: u64,
    conflicts: u64,
    errors: Vec<Error>,
}

impl Judged {
    /// Counts all but what went well.
    pub(super) fn count(self, tally: &mut Tally) {
        tally.misses += self.misses;
        tally.conflicts += self.conflicts;
        for error in self.errors {
            tally.fail(error);
        }
    }
}

//! Gives up the log from a place on.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use plinth_protocol::Version;

use super::{Consent, Repair, RepairError, RepairReport};
use crate::{
    engine::{
        verify::{counted, start_of},
        wal::{LogRecord, LogStart, LogSurvey, RecordPlace, path_of_segment, segments_in, survey},
    },
    vfs::Vfs,
};

/// Where the first record of a segment begins.
const RECORDS_BEGIN: u64 = 512;
/// How much is copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The segment.
    pub segment: u64,
    /// The offset in it; 0 means the whole segment.
    pub offset: u64,
}

/// What lies at and behind a place.
#[derive(Default)]
struct Lost {
    transactions: u64,
    first: Option<Version>,
    last: Version,
    /// Where records of the segment begin.
    places: Vec<u64>,
}

impl Repair {
    /// Makes the log end at a place where a record begins, or ought to.
    pub fn truncate_log(
        &self,
        at: LogPlace,
        consent: Consent,
    ) -> Result<RepairReport, RepairError> {
        let start = start_of(&self.state()?);
        let mut lost = Lost { places: vec![RECORDS_BEGIN], ..Lost::default() };
        let survey = survey(
            &*self.vfs,
            &self.directory.log_path(),
            self.database_id().0,
            start,
            &mut |place, record| {
                lost.see(at, place, record);
                ControlFlow::Continue(())
            },
        )?;
        let segments = segments_in(&*self.vfs, &self.directory.log_path())?;
        check_place(at, start, &segments, &survey, &lost.places)?;
        let mut report = RepairReport { lines: told(at, &survey, &lost), copies: None };
        if consent == Consent::Given {
            report.copies = Some(self.cut(at, &segments, &survey, &lost)?);
        }
        Ok(report)
    }

    fn cut(
        &self,
        at: LogPlace,
        segments: &[u64],
        survey: &LogSurvey,
        lost: &Lost,
    ) -> Result<PathBuf, RepairError> {
        let directory = self.directory.log_path();
        let path = |number| path_of_segment(&directory, number);
        let touched: Vec<u64> = segments.iter().copied().filter(|of| *of >= at.segment).collect();
        let copies = self.begin_copies()?;
        let files: Vec<PathBuf> = touched.iter().map(|number| path(*number)).collect();
        copies.keep(&directory, &files)?;
        // Before anything is gone that says which versions there were.
        let known = lost.last.max(survey.last_version()).max(survey.ceiling.unwrap_or_default());
        self.reserve_above(known)?;
        let shortened =
            if at.offset == 0 { None } else { Some(self.shortened(&path(at.segment), at.offset)?) };
        // The last ones first: what is left is a whole log at every moment, if a damaged one.
        let kept = u64::from(shortened.is_some());
        for number in touched.iter().rev().filter(|number| **number >= at.segment + kept) {
            self.vfs.remove(&path(*number))?;
            self.vfs.sync_directory(&directory)?;
        }
        if let Some(shortened) = shortened {
            self.vfs.rename(&shortened, &path(at.segment))?;
            self.vfs.sync_directory(&directory)?;
        }
        Ok(copies.path)
    }

    /// The beginning of a segment as a file of its own, under the name of one that is being made.
    fn shortened(&self, path: &Path, bytes: u64) -> Result<PathBuf, RepairError> {
        let vfs: &dyn Vfs = &*self.vfs;
        let shortened = path.with_extension("new");
        if vfs.exists(&shortened)? {
            vfs.remove(&shortened)?;
        }
        let (from, to) = (vfs.open_for_reading(path)?, vfs.create(&shortened)?);
        let mut offset = 0;
        while offset < bytes {
            let mut buffer = vec![0; (bytes - offset).min(COPY_BYTES) as usize];
            from.read_exact_at(&mut buffer, offset)?;
            to.write_all_at(&buffer, offset)?;
            offset += buffer.len() as u64;
        }
        to.sync_all()?;
        Ok(shortened)
    }
}

impl Lost {
    fn see(&mut self, at: LogPlace, place: RecordPlace, record: &LogRecord) {
        if place.segment == at.segment {
            self.places.push(place.offset);
        }
        if (place.segment, place.offset) < (at.segment, at.offset) {
            return;
        }
        match record {
            LogRecord::Batch(batch) => {
                self.transactions += batch.len() as u64;
                self.first = self.first.or(batch.first().map(|first| first.version));
                self.last = self.last.max(batch.last().map_or(Version::ZERO, |last| last.version));
            }
            LogRecord::Ceiling(ceiling) => self.last = self.last.max(*ceiling),
        }
    }
}

fn check_place(
    at: LogPlace,
    start: LogStart,
    segments: &[u64],
    survey: &LogSurvey,
    places: &[u64],
) -> Result<(), RepairError> {
    let LogPlace { segment, offset } = at;
    let pointless = |reason: String| Err(RepairError::Pointless(reason));
    if !segments.contains(&segment) || segment < start.first_segment {
        return pointless(format!("the log has no segment {segment} that counts"));
    }
    if offset == 0 {
        return if segment > start.first_segment {
            Ok(())
        } else {
            pointless(format!(
                "segment {segment} is the first that counts: without it there is no log; restore \
                 the database from a backup"
            ))
        };
    }
    let Some(summary) = survey.segments.iter().find(|of| of.number == segment) else {
        return pointless(format!(
            "segment {segment} can't be read at all: give up the whole of it with {segment}:0"
        ));
    };
    if places.contains(&offset) || [summary.end, summary.stopped_at].contains(&offset) {
        return Ok(());
    }
    let before = places.iter().copied().filter(|place| *place < offset).max();
    pointless(format!(
        "no record begins at {segment}:{offset}; the one before begins at {segment}:{}",
        before.unwrap_or(RECORDS_BEGIN)
    ))
}

fn told(at: LogPlace, survey: &LogSurvey, lost: &Lost) -> Vec<String> {
    let LogPlace { segment, offset } = at;
    let mut lines = vec![match lost.first {
        Some(first) => format!(
            "the log ends before {segment}:{offset}: {} up that can be read, versions \
             {first} to {}",
            counted(lost.transactions, "transaction is given", "transactions are given"),
            lost.last
        ),
        None => format!(
            "the log ends before {segment}:{offset}: no transaction is given up that can be read"
        ),
    }];
    let damages = survey.errors.len();
    if damages > 0 {
        lines.push(format!(
            "what can't be read any more behind that place is given up too: the whole log has {}",
            counted(damages as u64, "damage that is known", "damages that are known")
        ));
    }
    lines
}

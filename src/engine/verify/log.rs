//! The log's part of a check.

use std::ops::ControlFlow;

use super::{Finding, Use, Verifier, start_of};
use crate::engine::{
    manifest::look::look,
    wal::{
        LogError, LogRecord, LogStart, LogSurvey, RecordPlace, path_of_segment, segments_in, survey,
    },
};

impl Verifier<'_> {
    /// The bytes of all segments that are there.
    pub(super) fn log_bytes(&self) -> u64 {
        let directory = self.look.log_path();
        // What can't be listed or opened is found out later; here it is only counted.
        let segments = segments_in(self.vfs, &directory).unwrap_or_default();
        let bytes = segments.iter().filter_map(|number| {
            let path = path_of_segment(&directory, *number);
            self.vfs.open_for_reading(&path).and_then(|file| file.len()).ok()
        });
        bytes.sum()
    }

    pub(super) fn check_log(&mut self, start: LogStart) -> ControlFlow<()> {
        let directory = self.look.log_path();
        if !self.vfs.exists(&directory).unwrap_or(true) && start == LogStart::default() {
            return ControlFlow::Continue(());
        }
        let surveyed = self.survey(start)?;
        let survey = match surveyed {
            Ok(survey) => survey,
            Err(error) => {
                self.find(Finding::of_log(&directory, &error));
                return ControlFlow::Continue(());
            }
        };
        self.report.segments = survey.segments.len() as u64;
        self.report.records = survey.segments.iter().map(|segment| segment.records).sum();
        self.report.transactions = survey.segments.iter().map(|segment| segment.transactions).sum();
        self.report.last_version = survey.last_version().max(start.flushed);
        let errors = self.confirmed(survey.errors)?;
        for error in &errors {
            let finding = Finding::of_log(&directory, error);
            self.find(match error {
                LogError::Damaged { path, offset, .. } => {
                    let segment = path.file_stem().unwrap_or_default().to_string_lossy();
                    let segment = segment.trim_start_matches('0').to_owned();
                    finding.with_remedy(format!(
                        "to give up this and all that follows: plinth repair truncate-log {} \
                         --at {segment}:{offset}",
                        self.look.path.display()
                    ))
                }
                _ => finding,
            });
        }
        if let Some(last) = survey.segments.last()
            && last.torn_bytes > 0
            && errors.is_empty()
            && self.in_use == Use::Closed
        {
            let text = "the last write was cut short; the next start cuts it off";
            self.find(Finding::notice(last.path.clone(), Some(last.stopped_at), text));
        }
        ControlFlow::Continue(())
    }

    fn survey(&mut self, start: LogStart) -> ControlFlow<(), Result<LogSurvey, LogError>> {
        let (directory, id) = (self.look.log_path(), self.look.database_id.0);
        let mut flow = ControlFlow::Continue(());
        let (vfs, mut at) = (self.vfs, RecordPlace { segment: 0, offset: 0, bytes: 0 });
        let visit = &mut |place: RecordPlace, _: &LogRecord| {
            let before = if place.segment == at.segment { at.offset + at.bytes } else { 0 };
            flow = self.advance((place.offset + place.bytes).saturating_sub(before));
            at = place;
            flow
        };
        let surveyed = survey(vfs, &directory, id, start, visit);
        flow?;
        ControlFlow::Continue(surveyed)
    }

    /// The errors that are still there at a second look, if the log was written and cut short
    /// during the first.
    fn confirmed(&mut self, errors: Vec<LogError>) -> ControlFlow<(), Vec<LogError>> {
        if self.in_use == Use::Closed || errors.is_empty() {
            return ControlFlow::Continue(errors);
        }
        let manifest = look(self.vfs, &self.look.manifest_path(), self.look.database_id.0);
        let state = manifest.ok().flatten().map(|look| look.state).unwrap_or_default();
        let Ok(again) = self.survey(start_of(&state))? else {
            return ControlFlow::Continue(errors);
        };
        let first: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let is_there = |error: &LogError| first.contains(&error.to_string());
        ControlFlow::Continue(again.errors.into_iter().filter(is_there).collect())
    }
}

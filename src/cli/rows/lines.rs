//! Lines of bounded length, counted.

use std::io::{BufRead, Read as _};

use super::RowError;

/// The longest line that is read, in bytes: any key and value of the default limits, escaped.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads lines.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    /// The number of the line that was read last, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, RowError> {
        self.line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line);
        if read.map_err(RowError::Io)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.last() != Some(&b'\n') && self.line.len() > LINE_BYTES_MAX {
            self.input.skip_until(b'\n').map_err(RowError::Io)?;
            let what = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Err(RowError::Bad { line: self.number, what });
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

//! Backups: a checkpoint below the server's backup directory, and nowhere else.

use std::path::Path;

use bytes::Bytes;
use plinth_protocol::{Error, ErrorCode};

use super::Work;

/// The longest name of a backup.
const NAME_BYTES_MAX: usize = 100;

/// Checks the name, and that no backup has it, and makes the work.
pub(super) fn prepare(directory: Option<&Path>, name: &Bytes) -> Result<Work, Error> {
    let Some(directory) = directory else {
        let text = "this server keeps its files in memory, and backups would end with them: export \
                    what is to be kept";
        return Err(Error::new(ErrorCode::JOB_REFUSED, text));
    };
    let name = checked(name)?.to_owned();
    let path = directory.join(&name);
    // The checkpoint looks again, and at more; but this answer comes at once.
    if path.join("BACKUP").exists() {
        let text = format!("there is a backup '{name}' already");
        return Err(Error::new(ErrorCode::JOB_REFUSED, text));
    }
    Ok(Box::new(move |engine, progress| {
        let made = engine
            .checkpoint(&path, &mut |now| progress.report(now.done_bytes, now.total_bytes))
            .map_err(|error| Error::new(error.code(), error.to_string()))?;
        Ok(format!("the backup {} has {made}", path.display()))
    }))
}

/// A name that is one component of a path, on every system and in every shell.
fn checked(name: &[u8]) -> Result<&str, Error> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let begins_well = name.first().is_some_and(u8::is_ascii_alphanumeric);
    let is_good = begins_well && name.len() <= NAME_BYTES_MAX && name.iter().all(is_plain);
    let name = std::str::from_utf8(name).ok().filter(|_| is_good);
    name.ok_or_else(|| {
        let text = format!(
            "a backup's name is 1 to {NAME_BYTES_MAX} letters, digits, -, _ and ., and begins with \
             a letter or a digit"
        );
        Error::new(ErrorCode::JOB_REFUSED, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_directory() {
        for good in ["monday", "2026-11-21", "a", "a.b_c-d", &"x".repeat(100)] {
            assert_eq!(checked(good.as_bytes()), Ok(good));
        }
        let bad: [&[u8]; 12] = [
            b"",
            b".",
            b"..",
            b"../x",
            b"a/b",
            b"/etc",
            b"a\\b",
            b"a b",
            b"-rf",
            b"a\0",
            b"\xff",
            &[b'x'; 101],
        ];
        for bad in bad {
            let error = checked(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::JOB_REFUSED, "{}", bad.escape_ascii());
        }
    }
}

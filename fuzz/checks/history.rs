//! A history is read or refused, and a refusal names its line; what was read is written and read
//! again as it was, and both checkers come to a verdict.

use plinthdb::cli::bench::{
    check::{Checks, check},
    history::{read_from, write},
};

/// The bytes as they are, and as lines whose checksums are right.
pub(crate) fn history(data: &[u8]) {
    read_and_check(data);
    read_and_check(&sealed(data));
}

fn read_and_check(file: &[u8]) {
    let history = match read_from(file) {
        Ok(history) => history,
        Err(error) => {
            let lines = file.split(|byte| *byte == b'\n').count() as u64;
            assert!(error.line.is_some_and(|line| (1..=lines + 1).contains(&line)), "{error}");
            return;
        }
    };
    let mut written = Vec::new();
    write(&mut written, &history).expect("writing to memory succeeds");
    assert_eq!(read_from(&written[..]).as_ref(), Ok(&history));
    for checks in [Checks::All, Checks::WithoutVersions] {
        let verdict = check(&history, checks);
        let outcomes: u64 = verdict.outcomes.iter().sum();
        assert_eq!(outcomes, history.transactions.len() as u64);
    }
}

/// The lines with the checksums that belong to them, in the place of those they have.
fn sealed(data: &[u8]) -> Vec<u8> {
    let (mut chain, mut file) = (crc32fast::Hasher::new(), Vec::new());
    for line in data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let checksum = line.windows(8).rposition(|bytes| bytes == b",\"crc\":\"");
        let content = &line[..checksum.unwrap_or(line.len())];
        chain.update(content);
        let crc = chain.clone().finalize();
        file.extend_from_slice(content);
        file.extend_from_slice(format!(",\"crc\":\"{crc:08x}\"}}\n").as_bytes());
    }
    file
}

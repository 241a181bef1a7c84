//! Compares bytes with what `docs/format.md` shows.

const PAGE: &str = include_str!("../../docs/format.md");

/// The bytes of the page's block of this name. A line is the offset in hexadecimal, the bytes, and
/// words behind a semicolon; bytes that no line gives are zeros.
pub(super) fn drawn(name: &str) -> Vec<u8> {
    let begin = format!("```hex {name}\n");
    let (_, block) = PAGE.split_once(&begin).unwrap_or_else(|| panic!("no block {name}"));
    let (block, _) = block.split_once("```").unwrap();
    let mut bytes = vec![];
    for line in block.lines() {
        let (line, _) = line.split_once(';').unwrap_or((line, ""));
        let mut words = line.split_whitespace();
        let Some(offset) = words.next() else { continue };
        let offset = usize::from_str_radix(offset, 16).unwrap();
        assert!(offset >= bytes.len(), "{name}: offset {offset:x} comes too late");
        bytes.resize(offset, 0);
        bytes.extend(words.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

/// Fails, and shows what is written, unless these bytes are drawn in the page's block.
pub(super) fn check(name: &str, written: &[u8]) {
    assert!(drawn(name) == written, "{}", dump(name, written));
}

fn dump(name: &str, bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{name} is\n");
    for (index, chunk) in bytes.chunks(16).enumerate() {
        write!(text, "{:03x} ", index * 16).unwrap();
        for byte in chunk {
            write!(text, " {byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

//! A stream of bytes gives the same replies, and the same end, however it is cut; and an array has as
//! many elements as it says.

use plinthdb::cli::bench::resp::{Reply, Scanner};

/// The first byte says how the rest is cut.
pub(crate) fn resp(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = scan(stream, stream.len().max(1));
    let cut = scan(stream, usize::from(cut) + 1);
    assert_eq!(whole, cut);
}

/// The replies of a stream that arrives in pieces, and the error that ends it, if one does.
fn scan(stream: &[u8], piece: usize) -> (Vec<String>, Option<String>) {
    let (mut scanner, mut replies) = (Scanner::default(), Vec::new());
    let (mut begin, mut come) = (0, 0);
    while come < stream.len() {
        come = (come + piece).min(stream.len());
        loop {
            match scanner.next(&stream[begin..come]) {
                Ok(Some((reply, length))) => {
                    assert!(length > 0 && length <= come - begin, "{length} bytes");
                    if let Reply::Array(elements) = reply {
                        assert_eq!(elements.len(), elements.into_iter().count());
                    }
                    replies.push(format!("{reply:?}"));
                    begin += length;
                }
                Ok(None) => break,
                Err(error) => return (replies, Some(error.to_string())),
            }
        }
    }
    (replies, None)
}

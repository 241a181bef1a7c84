//! Any lines at all: a session answers each, and what it prints can be read back.

use std::sync::Arc;

use plinth_client::testing::MemoryBackend;
use plinth_protocol::response::ServerInfo;
use plinthdb::server::text::{
    escape::{quoted, unescape},
    lexer::split_commands,
    session::TextSession,
};

/// Runs the lines through one session on an empty database.
pub(crate) fn text_line(data: &[u8]) {
    check_escapes(data);
    let commands: usize = split_commands(data).iter().map(|command| command.len()).sum();
    assert!(commands <= data.len());

    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let info = Arc::new(|| Box::pin(async { Ok(ServerInfo::default()) }) as _);
        let (mut session, _watches) = TextSession::new(MemoryBackend::default(), info);
        for line in data.split(|byte| *byte == b'\n') {
            let reply = session.line(line).await;
            let text = reply.to_text();
            assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
            if reply.is_last {
                break;
            }
        }
    });
}

/// Bytes that are quoted are read back.
fn check_escapes(data: &[u8]) {
    let text = quoted(data);
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect("quotes");
    assert_eq!(unescape(inner.as_bytes()).as_deref(), Ok(data));
}

//! The status as JSON, in the form that FoundationDB's programs know: what one server and one client
//! can say of it.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::super::Transaction;
use crate::{
    Backend,
    backend::{Place, ServerStatus},
};

/// How long the server is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

impl<B: Backend> Transaction<B> {
    /// The status; of the client alone, if the server can't be asked.
    pub(super) async fn status_json(&self) -> Bytes {
        let asked = tokio::time::timeout(PATIENCE, self.backend().status()).await;
        let server = asked.ok().and_then(Result::ok);
        status(&self.backend().place(), server.as_ref()).into()
    }
}

/// A string as JSON.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn status(place: &Place, server: Option<&ServerStatus>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let is_reachable = server.is_some();
    let address = server.and_then(|server| server.address.clone());
    let coordinators: Vec<String> = address
        .iter()
        .map(|address| format!("{{\"address\":{},\"reachable\":true}}", quoted(address)))
        .collect();
    let client = format!(
        "{{\"cluster_file\":{{\"path\":{},\"up_to_date\":true}},\
         \"coordinators\":{{\"coordinators\":[{}],\"quorum_reachable\":{is_reachable}}},\
         \"database_status\":{{\"available\":{is_reachable},\"healthy\":{is_reachable}}},\
         \"messages\":[],\"timestamp\":{now}}}",
        quoted(place.cluster_file.as_deref().unwrap_or_default()),
        coordinators.join(","),
    );
    // Of a cluster that they can't reach clients say only this.
    let unknown = || "{\"layers\":{\"_valid\":false}}".to_owned();
    let cluster = server.map_or_else(unknown, |server| cluster(place, server));
    format!("{{\"client\":{client},\"cluster\":{cluster},\"database_available\":{is_reachable}}}")
}

fn cluster(place: &Place, server: &ServerStatus) -> String {
    let address = quoted(server.address.as_deref().unwrap_or_default());
    let process = format!(
        "{{\"address\":{address},\"class_source\":\"command_line\",\"class_type\":\"unset\",\
         \"excluded\":false,\"roles\":[{{\"role\":\"storage\"}},{{\"role\":\"log\"}},\
         {{\"role\":\"coordinator\"}}],\"uptime_seconds\":{},\"version\":{}}}",
        server.uptime_seconds,
        quoted(&server.version),
    );
    format!(
        "{{\"configuration\":{{\"coordinators_count\":1,\"redundancy_mode\":\"single\",\
         \"storage_engine\":\"plinth\"}},\"connection_string\":{},\
         \"data\":{{\"state\":{{\"healthy\":true,\"name\":\"healthy\"}}}},\
         \"database_available\":true,\"database_lock_state\":{{\"locked\":false}},\
         \"generation\":1,\"layers\":{{\"_valid\":true}},\"machines\":{{}},\"messages\":[],\
         \"processes\":{{\"0\":{process}}},\"recovery_state\":{{\"name\":\"fully_recovered\"}}}}",
        quoted(place.connection_string.as_deref().unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_json() {
        let place = Place {
            cluster_file: Some("/a \"quoted\" place".to_owned()),
            connection_string: Some("d:i@[::1]:1".to_owned()),
        };
        let server = ServerStatus {
            address: Some("[::1]:1".to_owned()),
            version: "1.2.3\n".to_owned(),
            uptime_seconds: 7,
        };
        let with: serde_json::Value = serde_json::from_str(&status(&place, Some(&server))).unwrap();
        assert_eq!(with["client"]["cluster_file"]["path"], "/a \"quoted\" place");
        assert_eq!(with["cluster"]["processes"].as_object().unwrap().len(), 1);
        assert_eq!(with["cluster"]["processes"]["0"]["version"], "1.2.3\n");
        assert_eq!(with["cluster"]["generation"], 1);
        let without: serde_json::Value = serde_json::from_str(&status(&place, None)).unwrap();
        assert_eq!(without["client"]["database_status"]["available"], false);
        assert_eq!(without["database_available"], false);
    }
}

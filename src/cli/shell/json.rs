//! Answers as JSON, one object a line.
//!
//! `{"ok":true}` with `version` and `versionstamp` where there are any, `{"value":…}` with `null` for
//! absence, `{"rows":[…],"more":…}`, `{"keyspaces":[…]}`, `{"jobs":[{…}]}`, `{"info":{…}}`, `{"text":"…"}`,
//! `{"event":"…"}`, and `{"error":{"code":…,"name":…,"message":…,"advice":…}}`. Bytes that are not
//! UTF-8 stand in `value_base64`, `key_base64` instead of `value`, `key`, as in `plinth export`.

use serde_json::{Map, Value, json};

use crate::{
    cli::{jobs::job_json, rows::text_or_base64},
    server::text::answer::Answer,
};

/// An answer as a line; nothing for no answer.
pub(super) fn line(answer: &Answer) -> String {
    to_json(answer).map(|json| format!("{json}\n")).unwrap_or_default()
}

/// A watch's line.
pub(super) fn event(text: &str) -> String {
    format!("{}\n", json!({ "event": text.trim_end() }))
}

fn to_json(answer: &Answer) -> Option<Value> {
    Some(match answer {
        Answer::Nothing => return None,
        Answer::Done(version, stamp) => {
            let mut object = Map::from_iter([("ok".to_owned(), true.into())]);
            if let Some(version) = version {
                object.insert("version".into(), version.0.into());
            }
            if let Some(stamp) = stamp {
                let hex = format!(
                    "{:020x}",
                    stamp.0.iter().fold(0_u128, |hex, &byte| hex << 8 | u128::from(byte))
                );
                object.insert("versionstamp".into(), hex.into());
            }
            object.into()
        }
        Answer::Value(None) => json!({ "value": null }),
        Answer::Value(Some(value)) => {
            let mut object = Map::new();
            insert_bytes(&mut object, "value", value);
            object.into()
        }
        Answer::Rows { rows, next } => {
            let rows: Vec<Value> = rows
                .iter()
                .map(|row| {
                    let mut object = Map::new();
                    insert_bytes(&mut object, "key", &row.key);
                    insert_bytes(&mut object, "value", &row.value);
                    object.into()
                })
                .collect();
            json!({ "rows": rows, "more": next.is_some() })
        }
        Answer::JobStarted(job) => json!({ "ok": true, "job": job }),
        Answer::Jobs(jobs) => json!({ "jobs": jobs.iter().map(job_json).collect::<Vec<_>>() }),
        Answer::Keyspaces(names) => json!({ "keyspaces": names }),
        Answer::Info(info) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let statistics: Map<String, Value> =
                info.statistics.iter().map(|(name, value)| (text(name), (*value).into())).collect();
            json!({ "info": {
                "server_version": text(&info.server_version),
                "uptime_seconds": info.uptime_seconds,
                "features": info.features.iter().map(|name| text(name)).collect::<Vec<_>>(),
                "statistics": statistics,
            }})
        }
        Answer::Pong => json!({ "ok": true }),
        Answer::Text(text) => json!({ "text": text }),
        Answer::Failed(error) => json!({ "error": {
            "code": error.code.0,
            "name": error.code.name(),
            "message": error.message,
            "advice": error.code.advice(),
        }}),
    })
}

/// Puts bytes into an object: as text, or as base64 under a name that says so.
pub(in crate::cli) fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match text_or_base64(bytes) {
        (Some(text), _) => object.insert(name.to_owned(), text.into()),
        (None, base64) => object.insert(format!("{name}_base64"), base64.into()),
    };
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use plinth_protocol::{ErrorCode, Version, Versionstamp, response::KeyValue};

    use super::*;

    #[test]
    fn answers_are_one_object_a_line() {
        assert_eq!(line(&Answer::Nothing), "");
        assert_eq!(line(&Answer::Value(None)), "{\"value\":null}\n");
        let value = |bytes: &'static [u8]| line(&Answer::Value(Some(Bytes::from_static(bytes))));
        assert_eq!(value(b"a\nb"), "{\"value\":\"a\\nb\"}\n");
        assert_eq!(value(b"\xff"), "{\"value_base64\":\"/w==\"}\n");
        let stamp = Versionstamp::new(Version(5), 1);
        assert_eq!(
            line(&Answer::Done(Some(Version(5)), Some(stamp))),
            "{\"ok\":true,\"version\":5,\"versionstamp\":\"00000000000000050001\"}\n"
        );
        let rows = vec![KeyValue { key: Bytes::from("k"), value: Bytes::from("v") }];
        assert_eq!(
            line(&Answer::Rows { rows, next: None }),
            "{\"more\":false,\"rows\":[{\"key\":\"k\",\"value\":\"v\"}]}\n"
        );
        let failed = line(&Answer::Failed(ErrorCode::NOT_COMMITTED.into()));
        assert!(failed.contains("\"code\":1020") && failed.contains("\"name\":\"not_committed\""));
    }
}

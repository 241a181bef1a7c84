//! The black box: what must have come before what, from the values alone.
//!
//! Transactions append unique elements to lists and read lists. A list that was read tells the order
//! of all appends before; from these orders and from real time the `adya` crate draws the graph of
//! dependencies and looks for the cycles that strict serializability forbids. The versions that the
//! database states play no part.

use adya::{History, Opts, Valid, Workload};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    history::{Op, Outcome, Record},
    workload::list_keys,
};

/// Checks a history of lists.
pub(crate) fn check(history: &[Record]) -> Result<(), String> {
    let mut events: Vec<(u64, Value)> = Vec::new();
    for record in history {
        let ended = match record.outcome {
            Outcome::Committed(_) | Outcome::ReadOnly => "ok",
            Outcome::Conflicted => "fail",
        };
        let event = |kind, knows| {
            let value: Vec<Value> = record.ops.iter().flat_map(|op| steps(op, knows)).collect();
            json!({ "type": kind, "process": record.client, "value": value })
        };
        events.push((record.begun, event("invoke", false)));
        events.push((record.ended, event(ended, true)));
    }
    events.sort_by_key(|(at, _)| *at);
    let events = Value::Array(events.into_iter().map(|(_, event)| event).collect());
    let history = History::from_json(&events.to_string()).map_err(|error| error.to_string())?;
    let report = adya::check(&history, Workload::ListAppend, &Opts::default());
    if report.valid == Valid::True {
        return Ok(());
    }
    let first = report.anomalies.values().flatten().next();
    let explanation = first.map(|anomaly| anomaly.explanation.clone()).unwrap_or_default();
    Err(format!("{:?} {:?}: {explanation}", report.valid, report.anomaly_types))
}

/// An op as the checker wants it: a read of a range reads every list in it.
fn steps(op: &Op, knows: bool) -> Vec<Value> {
    let read = |key: &Bytes, value: Option<&Bytes>| {
        let list = if knows { json!(elements(value)) } else { Value::Null };
        json!(["r", name(key), list])
    };
    match op {
        Op::Get { key, value } => vec![read(key, value.as_ref())],
        Op::Range { begin, end, rows } => list_keys()
            .filter(|key| begin <= key && key < end)
            .map(|key| {
                let row = rows.iter().find(|(found, _)| *found == key);
                read(&key, row.map(|(_, value)| value))
            })
            .collect(),
        Op::Append { key, element } => vec![json!(["append", name(key), element])],
        Op::Set { .. } | Op::Clear { .. } | Op::ClearRange { .. } => Vec::new(),
    }
}

fn name(key: &Bytes) -> String {
    key.escape_ascii().to_string()
}

fn elements(list: Option<&Bytes>) -> Vec<u32> {
    let (elements, rest) = list.map_or(&[][..], |list| list).as_chunks::<4>();
    assert!(rest.is_empty(), "a list of whole elements");
    elements.iter().map(|element| u32::from_be_bytes(*element)).collect()
}

//! Watches on a live engine.

use std::sync::mpsc;

use super::*;
use crate::engine::{Stage, WatchHandle};

type Told = mpsc::Receiver<Result<Version, Error>>;

fn watch(engine: &Engine, key: &str, value: Option<&str>) -> (WatchHandle, Told) {
    let (sender, told) = mpsc::channel();
    let version = engine.read_version();
    let notify = Box::new(move |result| sender.send(result).unwrap());
    let value = value.map(str::as_bytes);
    (engine.watch(version, SPACE, key.as_bytes(), value, notify).unwrap(), told)
}

#[test]
fn a_watch_is_told_when_the_change_is_visible() {
    let bench = Bench::new();
    let engine = bench.open();
    let (_handle, told) = watch(&engine, "a", None);
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    assert!(engine.step_stage(Stage::Sequence));
    assert!(told.try_recv().is_err(), "not before it is durable");
    assert!(engine.step_stage(Stage::Log));
    assert_eq!(told.try_recv(), Ok(Ok(engine.read_version())));
}

#[test]
fn a_watch_set_while_the_change_is_in_flight_is_told() {
    let bench = Bench::new();
    let engine = bench.open();
    let outcomes = Arc::new(Outcomes::default());
    outcomes.submit(&engine, 0, blind().set("a", "1"));
    assert!(engine.step_stage(Stage::Sequence));
    let (_handle, told) = watch(&engine, "a", None);
    assert!(told.try_recv().is_err());
    settle(&engine);
    assert_eq!(told.try_recv(), Ok(Ok(engine.read_version())));
}

#[test]
fn a_watch_on_another_value_fires_at_once_and_a_dropped_one_never() {
    let bench = Bench::new();
    let engine = bench.open();
    blind().set("a", "1").version(&engine);
    let (_handle, told) = watch(&engine, "a", Some("0"));
    assert!(told.try_recv().unwrap().is_ok());
    let (handle, told) = watch(&engine, "a", Some("1"));
    assert_eq!(engine.stats().watches, 1);
    drop(handle);
    assert_eq!(engine.stats().watches, 0);
    blind().set("a", "2").version(&engine);
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn watches_end_with_the_engine() {
    let bench = Bench::new();
    let engine = bench.open();
    let (_handle, told) = watch(&engine, "a", None);
    engine.close();
    assert_eq!(told.try_recv().unwrap().unwrap_err().code.0, 8010);
}

#[test]
fn a_watch_on_an_illegal_key_or_at_a_version_to_come_is_refused() {
    let bench = Bench::new();
    let engine = bench.open();
    let refusal = |version, key: &[u8]| {
        engine.watch(version, SPACE, key, None, Box::new(|_| ())).unwrap_err().code.0
    };
    assert_eq!(refusal(engine.read_version(), &[b'k'; 10_001]), 2102);
    assert_eq!(refusal(Version::MAX, b"k"), 1009);
}

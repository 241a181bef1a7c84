//! Transactions of the native client, in the same process.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use bytes::Bytes;
use plinthdb::{Database, EngineBackend, engine::Engine};

use crate::{VALUE_BYTES, Work, carry_out, keys};

/// A transaction each that reads a key and writes it.
pub(crate) fn read_modify_write(engine: &Engine, count: usize) -> Work<'_> {
    let database = Database::new(EngineBackend::new(engine.clone()));
    let keys: Vec<_> = keys(count).collect();
    let value = Bytes::from_static(&[b'w'; VALUE_BYTES]);
    Box::new(move || {
        for key in keys {
            drive(engine, async {
                let transaction = database.transaction();
                let found = transaction.get(key.clone()).await.expect("readable");
                assert_eq!(found.map(|value| value.len()), Some(VALUE_BYTES));
                transaction.set(key, value.clone());
                transaction.commit().await.expect("without rivals");
            });
        }
    })
}

/// Polls the future, and does the engine's work between.
fn drive(engine: &Engine, future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut context).is_pending() {
        assert!(carry_out(engine), "nothing is left to be done, and still the transaction waits");
    }
}

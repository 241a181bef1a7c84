//! What there is to read.

use bytes::Bytes;
use plinth_protocol::{Error, KeyRange, response::KeyValue};

use super::{
    super::Transaction,
    conflicts::{CONFLICTING_KEYS, READ_CONFLICTS, WRITE_CONFLICTS},
    modules::Module,
};
use crate::Backend;

fn row(key: impl Into<Bytes>, value: impl Into<Bytes>) -> KeyValue {
    KeyValue { key: key.into(), value: value.into() }
}

fn meets(range: &KeyRange, other: &KeyRange) -> bool {
    range.begin < other.end && other.begin < range.end
}

impl<B: Backend> Transaction<B> {
    /// The rows of a range of special keys, in order.
    pub(super) async fn special_rows(&self, range: &KeyRange) -> Result<Vec<KeyValue>, Error> {
        let mut rows = Vec::new();
        for module in Module::all().filter(|module| meets(&module.range(), range)) {
            rows.extend(self.module_rows(module, range).await?);
        }
        rows.retain(|row| range.begin <= row.key && row.key < range.end);
        Ok(rows)
    }

    /// The rows of a module; those outside the range may be left out.
    async fn module_rows(&self, module: Module, range: &KeyRange) -> Result<Vec<KeyValue>, Error> {
        let only = |value: Option<Bytes>| {
            value.map(|value| row(module.prefix(), value)).into_iter().collect::<Vec<_>>()
        };
        Ok(match module {
            Module::ClusterFilePath => only(self.backend().place().cluster_file.map(Bytes::from)),
            Module::ConnectionString => {
                only(self.backend().place().connection_string.map(Bytes::from))
            }
            Module::ClusterId => only(self.backend().place().cluster_id().map(Bytes::from)),
            Module::ErrorMessage => only(self.state().special.error_message.clone()),
            Module::Status => only(Some(self.status_json().await)),
            Module::Tracing => self.tracing_rows(),
            Module::Workers => self.worker_rows(module).await?,
            Module::Transaction => self.transaction_rows(range).await?,
            Module::Management => self.state().special.management_rows(),
            // What only a cluster of several processes has.
            Module::ActorLineage
            | Module::ActorProfiler
            | Module::Configuration
            | Module::GlobalConfiguration
            | Module::Metrics => Vec::new(),
        })
    }

    async fn transaction_rows(&self, range: &KeyRange) -> Result<Vec<KeyValue>, Error> {
        let asks = |part: &'static [u8]| {
            let part = KeyRange::new(part, [part, super::BEGIN].concat());
            meets(&part, range)
        };
        let mut rows = Vec::new();
        if asks(CONFLICTING_KEYS) {
            rows.extend(self.conflicting_key_rows());
        }
        if asks(READ_CONFLICTS) {
            rows.extend(self.read_conflict_rows().await?);
        }
        if asks(WRITE_CONFLICTS) {
            rows.extend(self.write_conflict_rows());
        }
        Ok(rows)
    }

    /// The one process that there is.
    async fn worker_rows(&self, module: Module) -> Result<Vec<KeyValue>, Error> {
        let address = self.backend().status().await?.address;
        let worker =
            |address: String| row([module.prefix(), address.as_bytes()].concat(), address.clone());
        Ok(address.map(worker).into_iter().collect())
    }
}

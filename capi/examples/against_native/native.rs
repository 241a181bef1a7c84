//! The native client.

use std::path::Path;

use plinth_client::{ConnectOptions, Database, Error, ErrorCode, TcpBackend};

use crate::{Client, Transaction};

#[derive(Clone)]
pub(crate) struct Native(Database<TcpBackend>);

impl Native {
    pub(crate) fn new(cluster_file: &Path) -> Self {
        let options = ConnectOptions::cluster_file(Some(cluster_file.to_path_buf()));
        Self(Database::new(TcpBackend::lazy(options)))
    }
}

impl Client for Native {
    type Transaction = plinth_client::Transaction<TcpBackend>;

    fn begin(&self) -> Self::Transaction {
        self.0.transaction()
    }
}

fn code(error: &Error) -> i32 {
    i32::from(error.code.0)
}

impl Transaction for plinth_client::Transaction<TcpBackend> {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, i32> {
        let value = Self::get(self, key).await.map_err(|error| code(&error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn set(&self, key: &str, value: &[u8]) {
        Self::set(self, key, value);
    }

    async fn commit(&self) -> Result<(), i32> {
        Self::commit(self).await.map(|_| ()).map_err(|error| code(&error))
    }

    async fn on_error(&self, code_before: i32) -> Result<(), i32> {
        let known = ErrorCode(u16::try_from(code_before).unwrap_or_default());
        Self::on_error(self, known).await.map_err(|error| code(&error))
    }
}

//! Keyspaces by name: the catalog, kept as ordinary rows and changed by ordinary transactions.
//!
//! The catalog keyspace holds
//!
//! - `n` and a name: the keyspace's number, four bytes big-endian;
//! - `i`: the number that the next keyspace gets. Numbers are never used twice, so that whoever
//!   holds on to the number of a dropped keyspace can't reach into another.
//!
//! Opening a keyspace in a transaction reads its row, so the transaction conflicts with a drop that
//! is committed meanwhile. A drop clears all of the keyspace's keys as one range, whatever their
//! number.

use bytes::{BufMut, Bytes, BytesMut};
use plinth_protocol::{Error, ErrorCode, KeyspaceId};

use crate::{Backend, Database, RangeRead, Transaction};

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Begins the keys of names.
const NAME_PREFIX: u8 = b'n';
/// The key of the next number.
const NEXT_ID_KEY: &[u8] = b"i";
/// The first key after all that a keyspace can hold.
const KEYSPACE_END: &[u8] = b"\xFF\xFF";

/// A keyspace that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: KeyspaceId,
}

impl<B: Backend> Transaction<B> {
    /// Creates a keyspace: this transaction's handle in it. Fails with `keyspace_exists` if there
    /// is one of this name.
    pub async fn create_keyspace(&self, name: &str) -> Result<Self, Error> {
        let catalog = self.in_keyspace(KeyspaceId::CATALOG);
        let key = name_key(name)?;
        let (present, next) = tokio::join!(catalog.get(&key), catalog.get(NEXT_ID_KEY));
        if present?.is_some() {
            let text = format!("There is a keyspace '{name}' already");
            return Err(Error::new(ErrorCode::KEYSPACE_EXISTS, text));
        }
        let id = next?.map_or(Ok(KeyspaceId::FIRST_NAMED), |next| read_id(&next))?;
        let next = id.0.checked_add(1).ok_or_else(|| {
            Error::new(ErrorCode::INTERNAL_ERROR, "All numbers of keyspaces have been used")
        })?;
        catalog.set(key, id.0.to_be_bytes());
        catalog.set(NEXT_ID_KEY, next.to_be_bytes());
        Ok(self.in_keyspace(id))
    }

    /// This transaction's handle in the keyspace of this name, which stays for as long as the
    /// transaction: it conflicts with a drop. Fails with `keyspace_not_found` if there is none.
    pub async fn open_keyspace(&self, name: &str) -> Result<Self, Error> {
        self.keyspace_id(name).await.map(|id| self.in_keyspace(id))
    }

    /// All keyspaces that have names, by name.
    pub async fn list_keyspaces(&self) -> Result<Vec<Keyspace>, Error> {
        let catalog = self.in_keyspace(KeyspaceId::CATALOG);
        let rows = catalog.range(RangeRead::prefix([NAME_PREFIX])).collect().await?;
        rows.iter()
            .map(|row| {
                let name = row.key.get(1..).unwrap_or_default();
                let name = String::from_utf8_lossy(name).into_owned();
                Ok(Keyspace { name, id: read_id(&row.value)? })
            })
            .collect()
    }

    /// Drops a keyspace with everything in it. Fails with `keyspace_not_found` if there is none of
    /// this name.
    pub async fn drop_keyspace(&self, name: &str) -> Result<(), Error> {
        let id = self.keyspace_id(name).await?;
        self.in_keyspace(KeyspaceId::CATALOG).clear(name_key(name)?);
        self.in_keyspace(id).clear_all();
        Ok(())
    }

    async fn keyspace_id(&self, name: &str) -> Result<KeyspaceId, Error> {
        let catalog = self.in_keyspace(KeyspaceId::CATALOG);
        let Some(id) = catalog.get(name_key(name)?).await? else {
            let text = format!("There is no keyspace '{name}'");
            return Err(Error::new(ErrorCode::KEYSPACE_NOT_FOUND, text));
        };
        read_id(&id)
    }

    /// Clears every key there can be in the handle's keyspace, those beyond the users' included.
    fn clear_all(&self) {
        self.clear_range_unchecked(Bytes::new(), Bytes::from_static(KEYSPACE_END));
    }
}

impl<B: Backend> Database<B> {
    /// Creates a keyspace, in a transaction of its own.
    pub async fn create_keyspace(&self, name: &str) -> Result<Keyspace, Error> {
        let create = |tx: Transaction<B>| async move { tx.create_keyspace(name).await };
        let keyspace = self.transact(create).await?;
        Ok(Keyspace { name: name.to_owned(), id: keyspace.keyspace() })
    }

    /// Looks up a keyspace. It may be dropped the next moment; opening it in the transaction that
    /// uses it, with [`Transaction::open_keyspace`], makes sure that it isn't.
    pub async fn open_keyspace(&self, name: &str) -> Result<Keyspace, Error> {
        let open = |tx: Transaction<B>| async move { tx.open_keyspace(name).await };
        let keyspace = self.transact(open).await?;
        Ok(Keyspace { name: name.to_owned(), id: keyspace.keyspace() })
    }

    /// All keyspaces that have names, by name.
    pub async fn list_keyspaces(&self) -> Result<Vec<Keyspace>, Error> {
        self.transact(|tx| async move { tx.list_keyspaces().await }).await
    }

    /// Drops a keyspace with everything in it, in a transaction of its own.
    pub async fn drop_keyspace(&self, name: &str) -> Result<(), Error> {
        self.transact(|tx| async move { tx.drop_keyspace(name).await }).await
    }
}

fn name_key(name: &str) -> Result<Bytes, Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(ErrorCode::INVALID_KEYSPACE_NAME.into());
    }
    let mut key = BytesMut::with_capacity(1 + name.len());
    key.put_u8(NAME_PREFIX);
    key.put_slice(name.as_bytes());
    Ok(key.freeze())
}

fn read_id(bytes: &[u8]) -> Result<KeyspaceId, Error> {
    let id = bytes.try_into().map(u32::from_be_bytes).ok();
    id.filter(|id| *id >= KeyspaceId::FIRST_NAMED.0).map(KeyspaceId).ok_or_else(|| {
        Error::new(ErrorCode::STORAGE_DAMAGED, "A row of the catalog of keyspaces is damaged")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryBackend;

    fn code<T>(result: Result<T, Error>) -> ErrorCode {
        result.map(|_| ()).unwrap_err().code
    }

    #[tokio::test]
    async fn keyspaces_are_created_listed_and_dropped() {
        let db = Database::new(MemoryBackend::new());
        let orders = db.create_keyspace("orders").await.unwrap();
        let carts = db.create_keyspace("carts").await.unwrap();
        assert_eq!(code(db.create_keyspace("orders").await), ErrorCode::KEYSPACE_EXISTS);
        assert_eq!(db.open_keyspace("orders").await.unwrap(), orders);
        assert_eq!(db.list_keyspaces().await.unwrap(), [carts, orders.clone()]);

        let tx = db.transaction();
        tx.set("k", "default");
        tx.open_keyspace("orders").await.unwrap().set("k", "orders");
        tx.open_keyspace("carts").await.unwrap().set("k", "carts");
        tx.commit().await.unwrap();
        db.drop_keyspace("orders").await.unwrap();
        assert_eq!(code(db.open_keyspace("orders").await), ErrorCode::KEYSPACE_NOT_FOUND);
        assert_eq!(code(db.drop_keyspace("orders").await), ErrorCode::KEYSPACE_NOT_FOUND);

        let tx = db.transaction();
        assert_eq!(tx.get("k").await.unwrap().unwrap(), "default");
        assert_eq!(tx.in_keyspace(orders.id).get("k").await.unwrap(), None);
        let carts = tx.open_keyspace("carts").await.unwrap();
        assert_eq!(carts.get("k").await.unwrap().unwrap(), "carts");
        let again = db.create_keyspace("orders").await.unwrap();
        assert_ne!(again.id, orders.id, "numbers are never used twice");
    }

    #[tokio::test]
    async fn a_drop_conflicts_with_whoever_uses_the_keyspace() {
        let db = Database::new(MemoryBackend::new());
        db.create_keyspace("orders").await.unwrap();
        let tx = db.transaction();
        tx.open_keyspace("orders").await.unwrap().set("k", "v");
        db.drop_keyspace("orders").await.unwrap();
        assert_eq!(code(tx.commit().await), ErrorCode::NOT_COMMITTED);
    }

    #[tokio::test]
    async fn everything_may_happen_in_one_transaction() {
        let db = Database::new(MemoryBackend::new());
        let tx = db.transaction();
        tx.create_keyspace("a").await.unwrap().set("k", "v");
        tx.create_keyspace("b").await.unwrap();
        tx.drop_keyspace("a").await.unwrap();
        let names: Vec<_> =
            tx.list_keyspaces().await.unwrap().into_iter().map(|keyspace| keyspace.name).collect();
        assert_eq!(names, ["b"]);
        tx.commit().await.unwrap();
        assert_eq!(db.list_keyspaces().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn names_have_bounds() {
        let db = Database::new(MemoryBackend::new());
        assert_eq!(code(db.create_keyspace("").await), ErrorCode::INVALID_KEYSPACE_NAME);
        let long = "x".repeat(256);
        assert_eq!(code(db.open_keyspace(&long).await), ErrorCode::INVALID_KEYSPACE_NAME);
        assert!(db.create_keyspace(&long[1..]).await.is_ok());
    }
}

//! FoundationDB's favourite invariant: pointers that form one ring, rotated by threes.
//!
//! A turn takes three neighbours A → B → C → D and makes them A → C → B → D. Done serializably,
//! there is one ring with all its nodes after any number of turns; a single lost or half-done turn
//! tears it into pieces.

use bytes::Bytes;
use plinth_client::{Backend, Database, RangeRead};
use plinth_protocol::Error;

use crate::support::random::Random;

const PREFIX: &[u8] = b"ring/";

/// How large, and how much is done to it.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    pub(crate) nodes: u32,
    pub(crate) clients: usize,
    pub(crate) turns: usize,
}

fn key(node: u32) -> Bytes {
    [PREFIX, &node.to_be_bytes()].concat().into()
}

fn node(value: Option<&Bytes>) -> Result<u32, String> {
    let bytes = value.and_then(|value| value.as_ref().try_into().ok());
    bytes.map(u32::from_be_bytes).ok_or_else(|| format!("{value:?} is no node"))
}

impl Ring {
    /// Writes a fresh ring.
    pub(crate) async fn create<B: Backend>(self, database: &Database<B>) {
        database
            .transact(|tx| async move {
                for node in 0..self.nodes {
                    let next = (node + 1) % self.nodes;
                    tx.set(key(node), next.to_be_bytes().to_vec());
                }
                Ok(())
            })
            .await
            .expect("a ring");
    }

    /// Lets all clients turn, with someone watching.
    pub(crate) async fn turn<B: Backend>(
        self,
        database: &Database<B>,
        random: &mut Random,
    ) -> Result<(), String> {
        let clients: Vec<_> = (0..self.clients)
            .map(|_| {
                let (database, random) = (database.clone(), random.fork());
                tokio::spawn(self.turns_of_one(database, random))
            })
            .collect();
        for client in clients {
            self.check(database).await?;
            client
                .await
                .expect("a client that did not panic")
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn turns_of_one<B: Backend>(
        self,
        database: Database<B>,
        mut random: Random,
    ) -> Result<(), Error> {
        for _ in 0..self.turns {
            let a = random.below(self.nodes.into()) as u32;
            database
                .transact(|tx| async move {
                    let next = async |of| {
                        let value = tx.get(key(of)).await?;
                        Ok::<u32, Error>(node(value.as_ref()).unwrap_or(of))
                    };
                    let b = next(a).await?;
                    let c = next(b).await?;
                    let d = next(c).await?;
                    for (from, to) in [(a, c), (c, b), (b, d)] {
                        tx.set(key(from), to.to_be_bytes().to_vec());
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    /// Whether it is one ring.
    pub(crate) async fn check<B: Backend>(self, database: &Database<B>) -> Result<(), String> {
        let rows = database
            .transact(|tx| async move { tx.range(RangeRead::prefix(PREFIX)).collect().await })
            .await
            .map_err(|error| error.to_string())?;
        let pointers: Vec<u32> =
            rows.iter().map(|row| node(Some(&row.value))).collect::<Result<_, _>>()?;
        let (mut at, mut seen) = (0, 0);
        loop {
            at = *pointers.get(at as usize).ok_or_else(|| format!("no node {at}: {pointers:?}"))?;
            seen += 1;
            if at == 0 || seen > self.nodes {
                break;
            }
        }
        if seen == self.nodes && pointers.len() == self.nodes as usize {
            Ok(())
        } else {
            Err(format!("a ring of {seen} nodes of {}: {pointers:?}", self.nodes))
        }
    }
}

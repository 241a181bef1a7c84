//! Moves money between accounts from many tasks at once. Whatever they do to each other, no
//! transfer is done by half, no account is overdrawn, and the sum stays the same.
//!
//! `cargo run -p plinth-client --example bank -- [host:port]`, with a server running.

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use plinth_client::{Database, Error, ErrorCode, RangeRead, TcpBackend, Transaction};

const ACCOUNTS: u64 = 10;
const BEGIN_WITH: u64 = 100;
const TASKS: u64 = 8;
const TRANSFERS: u64 = 50;

fn account(number: u64) -> String {
    format!("bank/account/{number:03}")
}

async fn balance(tx: &Transaction<TcpBackend>, number: u64) -> Result<u64, Error> {
    let value = tx.get(account(number)).await?.unwrap_or_default();
    parse(&value)
}

fn parse(value: &[u8]) -> Result<u64, Error> {
    let number = value.try_into().map(u64::from_be_bytes);
    number.map_err(|_| Error::new(ErrorCode::INTERNAL_ERROR, "A balance is eight bytes"))
}

/// Moves the money if it is there; reading both balances makes sure that nobody else moves them.
async fn transfer(
    db: &Database<TcpBackend>,
    from: u64,
    to: u64,
    amount: u64,
) -> Result<bool, Error> {
    db.transact(|tx| async move {
        let (source, target) = tokio::try_join!(balance(&tx, from), balance(&tx, to))?;
        if source < amount || from == to {
            return Ok(false);
        }
        tx.set(account(from), (source - amount).to_be_bytes());
        tx.set(account(to), (target + amount).to_be_bytes());
        Ok(true)
    })
    .await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4500".to_owned());
    let db = Database::connect(&address).await?;

    db.transact(|tx| async move {
        for number in 0..ACCOUNTS {
            tx.set(account(number), BEGIN_WITH.to_be_bytes());
        }
        Ok(())
    })
    .await?;

    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut done = 0;
                for n in 0..TRANSFERS {
                    let (from, to) = ((task + n) % ACCOUNTS, (task * 3 + n * 7) % ACCOUNTS);
                    done += u64::from(transfer(&db, from, to, n % 40).await?);
                }
                Ok::<_, Error>(done)
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.map_err(|_| Error::from(ErrorCode::INTERNAL_ERROR))??;
    }

    let rows = db
        .transact(|tx| async move { tx.range(RangeRead::prefix("bank/account/")).collect().await })
        .await?;
    let balances = rows.iter().map(|row| parse(&row.value)).collect::<Result<Vec<_>, _>>()?;
    let sum: u64 = balances.iter().sum();
    println!("{done} transfers, balances {balances:?}, together {sum}");
    if sum == ACCOUNTS * BEGIN_WITH {
        Ok(())
    } else {
        Err(Error::new(ErrorCode::INTERNAL_ERROR, "Money was made or lost"))
    }
}

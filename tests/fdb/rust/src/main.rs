//! Programs for Rust's `foundationdb` crate; the argument says which one runs. Each finds the
//! library and the cluster file where the crate looks for them, says what it found, and panics
//! otherwise.

mod directories;
mod errors;
mod joins;
mod loops;
mod ranges;
mod stamps;
mod watches;

use foundationdb::{Database, FdbBindingError, api::FdbApiBuilder, options, tuple::Subspace};

/// What a program ends with.
type Outcome = Result<String, FdbBindingError>;

fn main() {
    let program = std::env::args().nth(1).expect("the name of a program");
    let version = foundationdb::api::get_max_api_version();
    assert!(version >= 730, "the library offers {version}");
    let network = FdbApiBuilder::default().set_runtime_version(730).build().expect("730 is there");
    // SAFETY: it is dropped before the process ends.
    let network = unsafe { network.boot() }.expect("the network starts");
    let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
    let said = runtime.block_on(async {
        let db = Database::new(None).expect("the default cluster file");
        // Nothing here may take long: what hangs fails instead.
        db.set_option(options::DatabaseOption::TransactionTimeout(30_000)).unwrap();
        match program.as_str() {
            "loops" => loops::run(&db).await,
            "contention" => loops::contention(db).await,
            "ranges" => ranges::run(&db).await,
            "stamps" => stamps::run(&db).await,
            "directories" => directories::run(db).await,
            "watches" => watches::run(&db).await,
            "errors" => errors::run(&db).await,
            "joins" => joins::run(&db).await,
            other => panic!("there is no program {other}"),
        }
    });
    drop(runtime);
    drop(network);
    println!("{}", said.expect("it ends well"));
}

/// A subspace of the program's own, empty.
async fn place(db: &Database, name: &str) -> Result<Subspace, FdbBindingError> {
    let own = Subspace::all().subspace(&name);
    let cleared = &own;
    db.run(|trx, _| async move {
        trx.clear_subspace_range(cleared);
        Ok(())
    })
    .await?;
    Ok(own)
}

/// Sees that something ended with an error code.
#[track_caller]
fn fails<T>(result: Result<T, impl Into<FdbBindingError>>, code: i32) {
    let error = result.err().expect("an error").into();
    let found = error.get_fdb_error().map(|error| error.code());
    assert_eq!(found, Some(code), "{error:?}");
}

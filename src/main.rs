//! The `plinth` binary. Everything it does is in [`plinthdb::cli`].

use std::process::ExitCode;

/// Many small allocations of many threads: measured, the system's allocator costs a fifth of the
/// throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plinthdb::cli::run().into()
}

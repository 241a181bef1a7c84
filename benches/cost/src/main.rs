//! Goes one way of a request so many times, for a count of the instructions under valgrind; see
//! `.ci/instructions`.

use std::{
    env,
    hint::black_box,
    io::{self, Write},
    process::ExitCode,
};

use plinth_cost::{WAYS, Work};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let times = arguments.next().and_then(|times| times.parse().ok());
    let way = WAYS.iter().find(|way| way.name == name);
    let (Some(way), Some(times)) = (way, times) else {
        let names = WAYS.map(|way| way.name).join(", ");
        let _ = writeln!(io::stderr(), "usage: plinth-cost WAY TIMES, where WAY is one of {names}");
        return ExitCode::from(2);
    };
    let engine = plinth_cost::engine();
    // Buffers reach their size at first.
    (way.prepare)(&engine, times)();
    counted((way.prepare)(&engine, times));
    ExitCode::SUCCESS
}

/// What happens in here is counted.
#[inline(never)]
fn counted(work: Work<'_>) {
    work();
    black_box(());
}

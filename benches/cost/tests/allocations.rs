//! How often the ways of a request go to the allocator, and that it doesn't become more.
//!
//! One test in a binary of its own, because an allocator is a program's. Of the bounds, those that
//! aren't 0 may be lowered whenever less is needed; raising one wants a reason.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fmt::Write,
};

use plinth_cost::WAYS;

/// Counts what is asked of the allocator by each thread.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ASKED.set(ASKED.get() + 1);
}

#[expect(unsafe_code, reason = "counting allocations")]
// SAFETY: hands everything on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often each way is gone.
const TIMES: usize = 1600;

/// What the runtime asks for when a run begins, whatever its length.
const AT_FIRST: u64 = 4;

/// The most allocations of a hundred requests each way; now and then a table grows.
const BOUNDS: [(&str, u64); WAYS.len()] = [
    ("engine-get", 0),
    ("engine-get-nothing", 0),
    ("engine-set", 810),
    ("native-read-modify-write", 1910),
    ("server-get", 0),
    ("server-get-of-16", 0),
    ("server-set", 910),
];

#[test]
fn no_way_of_a_request_allocates_more_than_it_did() {
    let engine = plinth_cost::engine();
    let mut wrong = String::new();
    for (way, (name, bound)) in WAYS.iter().zip(BOUNDS) {
        assert_eq!(way.name, name);
        // Buffers reach their size at first.
        (way.prepare)(&engine, TIMES)();
        let work = (way.prepare)(&engine, TIMES);
        let before = ASKED.get();
        work();
        let asked = ASKED.get() - before;
        let of_hundred = (asked.saturating_sub(AT_FIRST) * 100).div_ceil(TIMES as u64);
        if of_hundred > bound {
            let _ = writeln!(
                wrong,
                "{name}: {of_hundred} for a hundred requests, not {bound} ({asked} for {TIMES})"
            );
        }
    }
    assert!(wrong.is_empty(), "more allocations than before:\n{wrong}");
}

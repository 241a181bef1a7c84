#![no_main]

#[path = "../checks/history.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::history(data));

#![no_main]

#[path = "../checks/log_recovery.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::log_recovery(data));

#![no_main]

#[path = "../checks/resp.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::resp(data));

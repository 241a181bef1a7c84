#![no_main]

#[path = "../checks/response.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::response(data));

#![no_main]

#[path = "../checks/text_line.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::text_line(data));

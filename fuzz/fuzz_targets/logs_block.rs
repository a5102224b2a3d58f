//! libFuzzer's entrance to the target `logs_block`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("logs_block").expect("a known target")(bytes));

//! libFuzzer's entrance to the target `lumberjack`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("lumberjack").expect("a known target")(bytes));

//! libFuzzer's entrance to the target `log_record`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("log_record").expect("a known target")(bytes));

//! libFuzzer's entrance to the target `gelf`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("gelf").expect("a known target")(bytes));

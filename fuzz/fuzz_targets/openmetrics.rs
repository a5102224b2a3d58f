//! libFuzzer's entrance to the target `openmetrics`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("openmetrics").expect("a known target")(bytes));

//! libFuzzer's entrance to the target `loki_json`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("loki_json").expect("a known target")(bytes));

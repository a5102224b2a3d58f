//! libFuzzer's entrance to the target `jsonpath`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("jsonpath").expect("a known target")(bytes));

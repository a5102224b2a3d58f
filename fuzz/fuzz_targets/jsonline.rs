//! libFuzzer's entrance to the target `jsonline`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("jsonline").expect("a known target")(bytes));

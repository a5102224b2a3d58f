//! libFuzzer's entrance to the target `lucene`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("lucene").expect("a known target")(bytes));

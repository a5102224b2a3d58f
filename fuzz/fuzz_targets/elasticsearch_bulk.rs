//! libFuzzer's entrance to the target `elasticsearch_bulk`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("elasticsearch_bulk").expect("a known target")(bytes));

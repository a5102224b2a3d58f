//! libFuzzer's entrance to the target `head_chunk`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("head_chunk").expect("a known target")(bytes));

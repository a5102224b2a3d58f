//! libFuzzer's entrance to the target `segment_block`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("segment_block").expect("a known target")(bytes));

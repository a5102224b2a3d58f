//! libFuzzer's entrance to the target `alloy`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("alloy").expect("a known target")(bytes));

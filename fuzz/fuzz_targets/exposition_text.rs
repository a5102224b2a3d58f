//! libFuzzer's entrance to the target `exposition_text`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("exposition_text").expect("a known target")(bytes));

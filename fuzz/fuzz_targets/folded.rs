//! libFuzzer's entrance to the target `folded`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("folded").expect("a known target")(bytes));

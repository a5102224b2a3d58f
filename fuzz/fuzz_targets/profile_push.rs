//! libFuzzer's entrance to the target `profile_push`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("profile_push").expect("a known target")(bytes));

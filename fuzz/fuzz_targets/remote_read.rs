//! libFuzzer's entrance to the target `remote_read`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("remote_read").expect("a known target")(bytes));

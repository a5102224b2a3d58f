//! libFuzzer's entrance to the target `remote_write_v2`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("remote_write_v2").expect("a known target")(bytes));

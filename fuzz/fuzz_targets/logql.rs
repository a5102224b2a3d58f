//! libFuzzer's entrance to the target `logql`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("logql").expect("a known target")(bytes));

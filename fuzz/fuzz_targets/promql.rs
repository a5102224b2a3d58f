//! libFuzzer's entrance to the target `promql`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("promql").expect("a known target")(bytes));

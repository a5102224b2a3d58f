//! libFuzzer's entrance to the target `traceql`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("traceql").expect("a known target")(bytes));

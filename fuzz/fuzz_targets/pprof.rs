//! libFuzzer's entrance to the target `pprof`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("pprof").expect("a known target")(bytes));

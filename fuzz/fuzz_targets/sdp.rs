//! libFuzzer's entrance to the target `sdp`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("sdp").expect("a known target")(bytes));

//! libFuzzer's entrance to the target `hls_playlist`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("hls_playlist").expect("a known target")(bytes));

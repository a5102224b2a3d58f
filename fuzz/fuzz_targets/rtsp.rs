//! libFuzzer's entrance to the target `rtsp`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("rtsp").expect("a known target")(bytes));

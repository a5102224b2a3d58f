//! libFuzzer's entrance to the target `mjpeg`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("mjpeg").expect("a known target")(bytes));

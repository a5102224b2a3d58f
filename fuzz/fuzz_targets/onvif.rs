//! libFuzzer's entrance to the target `onvif`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("onvif").expect("a known target")(bytes));

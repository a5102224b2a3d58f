//! libFuzzer's entrance to the target `exposition_proto`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("exposition_proto").expect("a known target")(bytes));

//! libFuzzer's entrance to the target `stacks`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("stacks").expect("a known target")(bytes));

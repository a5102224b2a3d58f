//! libFuzzer's entrance to the target `redis_info`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("redis_info").expect("a known target")(bytes));
